/* SPDX-License-Identifier: Apache-2.0 */
/* mutate.h - structures made up, and changed in one place: what a bit flip seldom does.
 *
 * mutate_X(g, in, w) for each structure of codec/msgs.def and for those that are decoded by hand.
 * Where `in` decodes as an X, one of its fields gets another value and the rest stays; else (and
 * sometimes anyway) all of it is made up.  It is written with the encoders of codec/, so lengths
 * fit, most of the time: a mutator that always gave good structures would never meet a decoder's
 * refusals, so libFuzzer's own mutations go on beside it (mutate_input).
 *
 * Numbers come from the seed that libFuzzer gives: the same seed, the same structure. */
#pragma once
#include "codec/content.h"
#include "codec/msgs_field.h"
#include "fuzz/fuzz.h"

FUZZ_UNCOUNTED

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* libFuzzer has it; another driver, or a test, need not. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Bytes changed as bytes. */
static inline size_t mutate_plain(uint8_t *data, size_t size, size_t max_size)
{
    return LLVMFuzzerMutate != NULL ? LLVMFuzzerMutate(data, size, max_size) : size;
}

enum { MUTATE_SCRATCH = 1 << 16, MUTATE_OUT = 1 << 16, MUTATE_DEPTH = 4 };

struct mutate {
    uint64_t state;
    const struct rl_params *p;
    struct wr scratch; /* what the slices of made-up structures point to */
    bool all;          /* every field is made up */
    bool is_valid;     /* no NEED was broken in what was made up */
    bool is_cut;       /* something did not fit and was left empty */
    unsigned countdown;
    unsigned depth;
};

static uint8_t mutate_scratch[MUTATE_SCRATCH];

static inline uint64_t mutate_next(struct mutate *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t mutate_below(struct mutate *g, uint32_t limit)
{
    return (uint32_t)(mutate_next(g) % limit);
}

/* Is this the field to change? */
static inline bool mutate_touch(struct mutate *g)
{
    return g->all || g->countdown-- == 0;
}

static inline struct slice mutate_bytes(struct mutate *g, size_t len)
{
    uint8_t *to = wr_claim(&g->scratch, len);
    uint64_t word = mutate_next(g);
    bool is_text = word % 3 == 0;
    for (size_t i = 0; to != NULL && i < len; i++) {
        word = i % 8 == 7 ? mutate_next(g) : word >> 7;
        to[i] = is_text ? (uint8_t)('a' + word % 26) : (uint8_t)word;
    }
    g->is_cut |= to == NULL;
    return to == NULL ? SLICE_EMPTY : slice_of(to, len);
}

/* Lengths at which something happens, mostly short. */
static inline size_t mutate_length(struct mutate *g, size_t most)
{
    static const uint16_t edges[] = {0, 1, 2, 16, 17, 20, 31, 127, 128, 254, 255, 256, 1000};
    size_t len =
        mutate_below(g, 4) == 0 ? edges[mutate_below(g, ARRAY_COUNT(edges))] : mutate_below(g, 24);
    return min_size(len, most);
}

/* ---- kinds of fields: make_KIND(g, out) ---- */

static inline uint64_t mutate_number(struct mutate *g, unsigned bits)
{
    uint64_t v = mutate_next(g);
    switch (mutate_below(g, 6)) {
    case 0:
        return 0;
    case 1:
        return v % 4; /* types and counts are small */
    case 2:
        return UINT64_MAX;
    case 3:
        return 1ull << (v % bits);
    case 4:
        return (1ull << (v % bits)) - 1;
    default:
        return v;
    }
}

static inline void make_u8(struct mutate *g, uint8_t *out)
{
    *out = (uint8_t)(mutate_below(g, 2) == 0 ? mutate_below(g, 5) : mutate_number(g, 8));
}

static inline void make_type8(struct mutate *g, uint8_t *out)
{
    make_u8(g, out);
    g->is_valid &= *out != 0;
}

static inline void make_u16(struct mutate *g, uint16_t *out)
{
    *out = (uint16_t)mutate_number(g, 16);
}

static inline void make_u32(struct mutate *g, uint32_t *out)
{
    static const uint32_t kinds[] = {1, 2, 3, 4, 0x10, 0x104, 0xf0000001};
    *out = mutate_below(g, 3) == 0 ? kinds[mutate_below(g, ARRAY_COUNT(kinds))]
                                   : (uint32_t)mutate_number(g, 32);
}

static inline void make_u64(struct mutate *g, uint64_t *out)
{
    *out = mutate_number(g, 64);
}

static inline void make_boolean(struct mutate *g, bool *out)
{
    *out = mutate_below(g, 2) != 0;
}

/* Few different ones, so that they meet again: zero, the wildcard, some others. */
static inline void make_node(struct mutate *g, struct node_id *out)
{
    uint32_t which = mutate_below(g, 6);
    memset(out, 0, sizeof(*out));
    memset(out->bytes, which == 1 ? 0xff : (int)(which * 0x11), g->p->node_id_length);
    out->bytes[0] ^= which > 3 ? (uint8_t)mutate_next(g) : 0;
}

static inline void make_opaque8(struct mutate *g, struct slice *out)
{
    *out = mutate_bytes(g, mutate_length(g, UINT8_MAX));
}

static inline void make_opaque16(struct mutate *g, struct slice *out)
{
    *out = mutate_bytes(g, mutate_length(g, UINT16_MAX));
}
#define make_opaque24 make_opaque16
#define make_opaque32 make_opaque16
#define make_rest make_opaque16

static inline void make_resource(struct mutate *g, struct slice *out)
{
    *out = mutate_bytes(g, mutate_below(g, 4) == 0 ? mutate_length(g, UINT8_MAX) : 16);
}

static inline void make_destination(struct mutate *g, struct fwd_destination *out)
{
    struct node_id id;
    *out = (struct fwd_destination){.type = (uint8_t)(1 + mutate_below(g, 5))};
    switch (out->type) {
    case FWD_DESTINATION_NODE:
        make_node(g, &id);
        out->id = mutate_bytes(g, g->p->node_id_length);
        if (out->id.len > 0) {
            memcpy(g->scratch.at - out->id.len, id.bytes, out->id.len);
        }
        break;
    case FWD_DESTINATION_RESOURCE:
        make_resource(g, &out->id);
        break;
    case 5: /* the 16-bit form */
        out->type = FWD_DESTINATION_OPAQUE;
        out->is_compact = true;
        out->id = mutate_bytes(g, 2);
        if (out->id.len > 0) {
            g->scratch.at[-2] |= 0x80;
        }
        break;
    default:
        out->id = mutate_bytes(g, mutate_length(g, FWD_OPAQUE_MAX));
        break;
    }
}

static inline void make_address(struct mutate *g, struct candidate_address *out)
{
    *out = (struct candidate_address){.type = (uint8_t)(1 + mutate_below(g, 3))};
    out->address.family = out->type == CANDIDATE_IPV4 ? 4 : 6;
    out->address.port = (uint16_t)mutate_number(g, 16);
    uint64_t ip = mutate_next(g);
    memcpy(out->address.ip, &ip, sizeof(ip));
    if (out->type > CANDIDATE_IPV6) {
        out->address.family = 0;
        out->unknown = mutate_bytes(g, mutate_length(g, UINT8_MAX));
    }
}

/* ---- stored values ---- */

static inline void make_signature(struct mutate *g, struct secblock_signature *out)
{
    static const uint16_t algorithms[] = {0, 0x0401, 0x0403, 0x0807, 0x0201, 0xffff};
    memset(out, 0, sizeof(*out));
    out->algorithm = algorithms[mutate_below(g, ARRAY_COUNT(algorithms))];
    out->identity.type = (uint8_t)(1 + mutate_below(g, 4));
    if (out->identity.type <= SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        out->identity.hash_algorithm = mutate_below(g, 4) == 0 ? 6 : SECBLOCK_HASH_SHA256;
        out->identity.hash = mutate_bytes(g, mutate_below(g, 4) == 0 ? 20 : 32);
    } else if (out->identity.type > SECBLOCK_IDENTITY_NONE) {
        out->identity.hash = mutate_bytes(g, mutate_length(g, 300));
    }
    out->value = mutate_bytes(g, mutate_length(g, 256));
}

/* The data model of a Kind, as the targets see it. */
static inline enum stored_model mutate_model(uint32_t kind)
{
    return kind == 1 || kind == 0x104       ? STORED_DICTIONARY
           : kind == 2 || kind > 0xf0000000 ? STORED_SINGLE
                                            : STORED_ARRAY;
}

static inline void make_stored(struct mutate *g, enum stored_model model, struct stored_data *out)
{
    memset(out, 0, sizeof(*out));
    out->value.model = model;
    if (mutate_touch(g)) {
        make_u64(g, &out->storage_time_ms);
        make_u32(g, &out->lifetime_s);
    }
    make_u32(g, &out->value.index);
    make_opaque16(g, &out->value.key);
    make_boolean(g, &out->value.exists);
    make_opaque16(g, &out->value.bytes);
    make_signature(g, &out->signature);
}

static inline void mutate_wr_values(struct mutate *g, struct wr *w, uint32_t kind, bool is_stat)
{
    for (uint32_t i = mutate_below(g, 4); i > 0; i--) {
        struct stored_data d;
        make_stored(g, mutate_model(kind), &d);
        if (!is_stat) {
            stored_wr(w, &d);
            continue;
        }
        struct stored_meta m = {.storage_time_ms = d.storage_time_ms,
                                .lifetime_s = d.lifetime_s,
                                .model = d.value.model,
                                .index = d.value.index,
                                .key = d.value.key,
                                .exists = d.value.exists,
                                .value_length = (uint32_t)d.value.bytes.len,
                                .hash_algorithm = SECBLOCK_HASH_SHA256,
                                .hash = mutate_bytes(g, 32)};
        stored_wr_meta(w, &m);
    }
}

/* A list is written apart and then put into the scratch. */
static inline struct slice mutate_keep(struct mutate *g, const struct wr *list)
{
    uint8_t *to = wr_ok(list) ? wr_claim(&g->scratch, wr_len(list)) : NULL;
    if (to != NULL && wr_len(list) > 0) {
        memcpy(to, list->start, wr_len(list));
    }
    g->is_cut |= to == NULL;
    return to == NULL ? SLICE_EMPTY : slice_of(to, wr_len(list));
}

static inline void mutate_block(struct mutate *g, struct stored_block *out, bool is_stat)
{
    static uint8_t bytes[1 << 14];
    struct wr w = wr_init(bytes, sizeof(bytes));
    make_u32(g, &out->kind);
    make_u64(g, &out->generation);
    mutate_wr_values(g, &w, out->kind, is_stat);
    out->values = mutate_keep(g, &w);
}

static inline void make_store_block(struct mutate *g, struct stored_block *out)
{
    mutate_block(g, out, false);
}
#define make_fetch_block make_store_block

static inline void make_stat_block(struct mutate *g, struct stored_block *out)
{
    mutate_block(g, out, true);
}

static inline void make_response(struct mutate *g, struct stored_response *out)
{
    make_u32(g, &out->kind);
    make_u64(g, &out->generation);
    out->replicas = mutate_bytes(g, (size_t)mutate_below(g, 4) * g->p->node_id_length);
}

static inline void make_specifier(struct mutate *g, struct stored_specifier *out)
{
    static uint8_t bytes[4096];
    struct wr w = wr_init(bytes, sizeof(bytes));
    make_u32(g, &out->kind);
    make_u64(g, &out->generation);
    enum stored_model model = mutate_model(out->kind);
    size_t mark = model == STORED_SINGLE ? 0 : wr_begin(&w, 2);
    for (uint32_t i = model == STORED_SINGLE ? 0 : mutate_below(g, 4); i > 0; i--) {
        struct slice key;
        make_opaque16(g, &key);
        if (model == STORED_ARRAY) {
            wr_u32(&w, (uint32_t)mutate_number(g, 32));
            wr_u32(&w, (uint32_t)mutate_number(g, 32));
        } else {
            wr_opaque16(&w, key);
        }
    }
    if (model != STORED_SINGLE) {
        wr_end(&w, 2, mark);
    }
    out->what = mutate_keep(g, &w);
}

/* ---- lists and structures of msgs.def ---- */

static inline void write_store_block(struct wr *w, const struct rl_params *p,
                                     const struct stored_block *in)
{
    (void)p;
    stored_wr_block(w, in);
}
#define write_fetch_block write_store_block
#define write_stat_block write_store_block
#define write_type8 write_u8

static inline void write_response(struct wr *w, const struct rl_params *p,
                                  const struct stored_response *in)
{
    (void)p;
    stored_wr_response(w, in);
}

static inline void write_specifier(struct wr *w, const struct rl_params *p,
                                   const struct stored_specifier *in)
{
    (void)p;
    stored_wr_specifier(w, in);
}

#define MSG(name, rfc, fields)                                                                     \
    static inline void make_##name(struct mutate *g, struct msgs_##name *m);
#include "codec/msgs.def"

/* One buffer for each depth, since the items of a list may have lists. */
#define WALK(kind, type, make_item, write_item)                                                    \
    static inline void make_##kind(struct mutate *g, struct slice *out)                            \
    {                                                                                              \
        static uint8_t bytes[MUTATE_DEPTH][1 << 14];                                               \
        if (g->depth == MUTATE_DEPTH) {                                                            \
            *out = SLICE_EMPTY;                                                                    \
            g->is_cut = true;                                                                      \
            return;                                                                                \
        }                                                                                          \
        struct wr w = wr_init(bytes[g->depth++], sizeof(bytes[0]));                                \
        bool was_all = g->all;                                                                     \
        g->all = true;                                                                             \
        for (uint32_t i = mutate_below(g, 5); i > 0; i--) {                                        \
            type item;                                                                             \
            make_item(g, &item);                                                                   \
            write_item(&w, g->p, &item);                                                           \
        }                                                                                          \
        g->all = was_all;                                                                          \
        g->depth--;                                                                                \
        *out = mutate_keep(g, &w);                                                                 \
    }
#define LIST(kind, bits, item) WALK(kind, MSGS_TYPE_##item, make_##item, write_##item)
#define LIST_OF(kind, bits, message)                                                               \
    WALK(kind, struct msgs_##message, make_##message, msgs_##message##_wr)
#define LIST_REST(kind, message) LIST_OF(kind, rest, message)
#include "codec/msgs.def"
#undef WALK

/* Changes the fields that it is to touch; with g->all it makes all of them up. */
#define FIELD(kind, name)                                                                          \
    if (mutate_touch(g)) {                                                                         \
        make_##kind(g, &m->name);                                                                  \
    }
#define WHEN(condition, kind, name)                                                                \
    if (condition) {                                                                               \
        FIELD(kind, name)                                                                          \
    }
#define NESTED(message, name) make_##message(g, &m->name);
#define NEED(condition, why) g->is_valid &= (condition);
#define OPEN(bits)
#define CLOSE(bits)
#define MSG(name, rfc, fields)                                                                     \
    static inline void make_##name(struct mutate *g, struct msgs_##name *m)                        \
    {                                                                                              \
        if (g->all) {                                                                              \
            memset(m, 0, sizeof(*m));                                                              \
        }                                                                                          \
        fields                                                                                     \
    }                                                                                              \
    static inline void mutate_##name(struct mutate *g, struct slice in, struct wr *w)              \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        g->all = mutate_below(g, 8) == 0 || msgs_##name##_decode(in, g->p, &m) != ERR_OK;          \
        make_##name(g, &m);                                                                        \
        msgs_##name##_wr(w, g->p, &m);                                                             \
    }
#include "codec/msgs.def"
#undef FIELD
#undef WHEN
#undef NESTED
#undef NEED
#undef OPEN
#undef CLOSE

/* ---- structures that are decoded by hand ---- */

static inline void mutate_stored(struct mutate *g, enum stored_model model, struct slice in,
                                 struct wr *w)
{
    struct stored_data d, made;
    g->all = true;
    make_stored(g, model, &made);
    if (mutate_below(g, 8) == 0 || stored_decode(in, model, &d) != ERR_OK) {
        stored_wr(w, &made);
        return;
    }
    switch (mutate_below(g, 4)) {
    case 0:
        d.value = made.value;
        break;
    case 1:
        d.signature = made.signature;
        break;
    case 2:
        d.storage_time_ms = made.storage_time_ms;
        break;
    default:
        d.lifetime_s = made.lifetime_s;
        break;
    }
    stored_wr(w, &d);
}

static inline void mutate_secblock(struct mutate *g, struct slice in, struct wr *w)
{
    struct secblock s;
    bool is_good = secblock_decode(in, &s) == ERR_OK;
    struct slice kept = is_good ? s.certificates : SLICE_EMPTY;
    size_t mark = wr_begin(w, 2);
    for (uint32_t i = mutate_below(g, 3); i > 0; i--) {
        secblock_wr_certificate(w, (uint8_t)mutate_below(g, 2),
                                mutate_bytes(g, mutate_below(g, 60)));
    }
    wr_bytes(w, kept);
    wr_end(w, 2, mark);
    if (!is_good || mutate_below(g, 2) == 0) {
        make_signature(g, &s.signature);
    }
    secblock_wr_signature(w, &s.signature);
}

/* A forwarding header of which one list or number is new; `payload_bytes` follow it. */
static inline void mutate_fwd(struct mutate *g, struct slice in, size_t payload_bytes, struct wr *w)
{
    struct fwd h;
    struct slice list;
    bool is_good = fwd_decode_header(in, g->p, &h) == ERR_OK;
    if (!is_good) {
        h = (struct fwd){.overlay = g->p->overlay, .ttl = 100, .fragment = FWD_FRAGMENT_WHOLE};
    }
    g->all = true;
    switch (mutate_below(g, 6)) {
    case 0:
        make_destinations16(g, &h.via_list);
        break;
    case 1: {
        uint8_t bytes[512];
        struct wr options = wr_init(bytes, sizeof(bytes));
        for (uint32_t i = mutate_below(g, 4); i > 0; i--) {
            make_opaque8(g, &list);
            fwd_wr_option(&options, (uint8_t)(1 + mutate_below(g, 3)), (uint8_t)mutate_below(g, 16),
                          slice_sub(list, 0, 40));
        }
        h.options = mutate_keep(g, &options);
        break;
    }
    case 2:
        h.ttl = (uint8_t)mutate_number(g, 8);
        h.configuration_sequence = (uint16_t)mutate_number(g, 16);
        break;
    case 3:
        h.fragment = FWD_FRAGMENT_ALWAYS | (uint32_t)mutate_number(g, 31);
        h.max_response_length = (uint32_t)mutate_number(g, 32);
        break;
    default:
        make_destinations16(g, &h.destination_list);
        break;
    }
    if (h.destination_list.len == 0) {
        make_destinations16(g, &h.destination_list);
    }
    h.length = (uint32_t)(FWD_FIXED_BYTES + h.via_list.len + h.destination_list.len +
                          h.options.len + payload_bytes);
    fwd_wr(w, &h);
}

/* ---- for LLVMFuzzerCustomMutator ---- */

static inline struct mutate mutate_begin(unsigned seed, const struct rl_params *p)
{
    struct mutate g = {.state = seed, .p = p, .is_valid = true};
    g.scratch = wr_init(mutate_scratch, sizeof(mutate_scratch));
    g.countdown = mutate_below(&g, 8);
    return g;
}

/* An input of `head` bytes of choices and a structure: puts `w` behind the choices.  The new size;
 * what does not fit is left to libFuzzer's own mutations. */
static inline size_t mutate_end(const struct wr *w, uint8_t *data, size_t size, size_t head,
                                size_t max_size)
{
    if (!wr_ok(w) || head + wr_len(w) > max_size) {
        return mutate_plain(data, size, max_size);
    }
    memcpy(data + head, w->start, wr_len(w));
    return head + wr_len(w);
}

/* Half of the time bytes are changed as bytes. */
static inline bool mutate_is_plain(unsigned seed, size_t size, size_t head)
{
    return size < head || seed % 2 == 0;
}

FUZZ_COUNTED
