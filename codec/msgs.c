/* SPDX-License-Identifier: Apache-2.0 */
/* msgs.c - see msgs.h.  First how each kind of field is read and written, then the list expanded
 * into functions, then the bodies with arms. */
#include "codec/msgs.h"

/* ---- kinds of fields: read_KIND(r, p, out), write_KIND(w, p, in) ---- */

#define PLAIN(kind, type, rd_call, wr_call)                                                        \
    static void read_##kind(struct rd *r, const struct rl_params *p, type *out)                    \
    {                                                                                              \
        (void)p;                                                                                   \
        *out = rd_call(r);                                                                         \
    }                                                                                              \
    static void write_##kind(struct wr *w, const struct rl_params *p, const type *in)              \
    {                                                                                              \
        (void)p;                                                                                   \
        wr_call(w, *in);                                                                           \
    }

PLAIN(u8, uint8_t, rd_u8, wr_u8)
PLAIN(u16, uint16_t, rd_u16, wr_u16)
PLAIN(u64, uint64_t, rd_u64, wr_u64)
PLAIN(boolean, bool, rd_bool, wr_bool)
PLAIN(resource, struct slice, rd_opaque8, wr_opaque8)
PLAIN(opaque8, struct slice, rd_opaque8, wr_opaque8)
PLAIN(opaque16, struct slice, rd_opaque16, wr_opaque16)
#undef PLAIN

/* One-byte enumerations of which 0 is invalid. */
static void read_types8(struct rd *r, const struct rl_params *p, struct slice *out)
{
    read_opaque8(r, p, out);
    if (out->len > 0 && memchr(out->data, 0, out->len) != NULL) {
        rd_reject(r, REJECT_ZERO_TYPE);
    }
}

static void write_types8(struct wr *w, const struct rl_params *p, const struct slice *in)
{
    write_opaque8(w, p, in);
}

static void read_node(struct rd *r, const struct rl_params *p, struct node_id *out)
{
    ids_rd_node(r, p, out);
}

static void write_node(struct wr *w, const struct rl_params *p, const struct node_id *in)
{
    ids_wr_node(w, p, in);
}

static void read_destination(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    fwd_rd_destination(r, p, out);
}

static void write_destination(struct wr *w, const struct rl_params *p,
                              const struct fwd_destination *in)
{
    (void)p;
    fwd_wr_destination(w, in);
}

static void read_address(struct rd *r, const struct rl_params *p, struct candidate_address *out)
{
    (void)p;
    candidate_rd_address(r, out);
}

static void write_address(struct wr *w, const struct rl_params *p,
                          const struct candidate_address *in)
{
    (void)p;
    candidate_wr_address(w, in);
}

/* A list behind a length, walked through once while `next` says there is another item. */
#define LIST(kind, rd_call, wr_call, item, next)                                                   \
    static void read_##kind(struct rd *r, const struct rl_params *p, struct slice *out)            \
    {                                                                                              \
        (void)p;                                                                                   \
        *out = rd_call(r);                                                                         \
        struct rd list = rd_init(*out);                                                            \
        item ignored;                                                                              \
        while (next) {}                                                                            \
        rd_close(r, &list);                                                                        \
    }                                                                                              \
    static void write_##kind(struct wr *w, const struct rl_params *p, const struct slice *in)      \
    {                                                                                              \
        (void)p;                                                                                   \
        wr_call(w, *in);                                                                           \
    }

LIST(kinds8, rd_opaque8, wr_opaque8, uint32_t, msgs_kind_next(&list, &ignored))
LIST(candidates16, rd_opaque16, wr_opaque16, struct candidate, candidate_next(&list, &ignored))
LIST(probes16, rd_opaque16, wr_opaque16, struct msgs_probe, msgs_probe_next(&list, &ignored))
LIST(blocks32, rd_opaque32, wr_opaque32, struct stored_block, stored_block_next(&list, &ignored))
LIST(responses16, rd_opaque16, wr_opaque16, struct stored_response,
     stored_response_next(&list, p, &ignored))
LIST(specifiers16, rd_opaque16, wr_opaque16, struct stored_specifier,
     stored_specifier_next(&list, &ignored))
LIST(finds16, rd_opaque16, wr_opaque16, struct msgs_find, msgs_find_next(&list, &ignored))
#undef LIST

/* ---- the list ---- */

#define FIELD(kind, name) read_##kind(&r, p, &out->name);
#define MSG(name, fields)                                                                          \
    enum err msgs_##name##_decode(struct slice body, const struct rl_params *p,                    \
                                  struct msgs_##name *out)                                         \
    {                                                                                              \
        struct rd r = rd_init(body);                                                               \
        fields;                                                                                    \
        return rd_is_done(&r) ? ERR_OK : ERR_MALFORMED;                                            \
    }
#include "codec/msgs.def"
#undef MSG
#undef FIELD

#define FIELD(kind, name) write_##kind(w, p, &in->name);
#define MSG(name, fields)                                                                          \
    void msgs_##name##_wr(struct wr *w, const struct rl_params *p, const struct msgs_##name *in)   \
    {                                                                                              \
        fields;                                                                                    \
    }
#include "codec/msgs.def"
#undef MSG
#undef FIELD

/* ---- lists ---- */

struct node_id msgs_node_at(struct slice nodes, const struct rl_params *p, size_t index)
{
    CHECK(index < msgs_node_count(nodes, p));
    struct node_id id = {{0}};
    memcpy(id.bytes, nodes.data + index * p->node_id_length, p->node_id_length);
    return id;
}

bool msgs_kind_next(struct rd *kinds, uint32_t *kind)
{
    if (rd_left(kinds) == 0) {
        return false;
    }
    *kind = rd_u32(kinds);
    return rd_ok(kinds);
}

static bool is_numeric(uint8_t probe_type)
{
    return probe_type >= MSGS_PROBE_RESPONSIBLE_SET && probe_type <= MSGS_PROBE_UPTIME;
}

bool msgs_probe_next(struct rd *probes, struct msgs_probe *out)
{
    if (rd_left(probes) == 0) {
        return false;
    }
    *out = (struct msgs_probe){.type = rd_u8(probes)};
    struct slice value = rd_opaque8(probes);
    struct rd inner = rd_init(value);
    if (is_numeric(out->type)) {
        out->number = rd_u32(&inner);
    } else {
        out->unknown = rd_rest(&inner);
    }
    rd_close(probes, &inner);
    if (out->type == 0) {
        rd_reject(probes, REJECT_ZERO_TYPE);
    }
    return rd_ok(probes);
}

void msgs_probe_wr(struct wr *w, const struct msgs_probe *in)
{
    wr_u8(w, in->type);
    size_t mark = wr_begin(w, 1);
    if (is_numeric(in->type)) {
        wr_u32(w, in->number);
    } else {
        wr_bytes(w, in->unknown);
    }
    wr_end(w, 1, mark);
}

bool msgs_find_next(struct rd *results, struct msgs_find *out)
{
    if (rd_left(results) == 0) {
        return false;
    }
    out->kind = rd_u32(results);
    out->closest = rd_opaque8(results);
    return rd_ok(results);
}

void msgs_find_wr(struct wr *w, const struct msgs_find *in)
{
    wr_u32(w, in->kind);
    wr_opaque8(w, in->closest);
}

/* ---- bodies with arms ---- */

static struct slice read_nodes(struct rd *r, const struct rl_params *p)
{
    struct slice nodes = rd_opaque16(r);
    if (nodes.len % p->node_id_length != 0) {
        rd_reject(r, REJECT_NODE_LIST);
    }
    return nodes;
}

enum err msgs_chord_update_decode(struct slice body, const struct rl_params *p,
                                  struct msgs_chord_update *out)
{
    struct rd r = rd_init(body);
    memset(out, 0, sizeof(*out));
    out->uptime_s = rd_u32(&r);
    out->type = rd_u8(&r);
    if (out->type < MSGS_CHORD_PEER_READY || out->type > MSGS_CHORD_FULL) {
        rd_reject(&r, REJECT_UNKNOWN_TYPE);
    }
    if (out->type != MSGS_CHORD_PEER_READY) {
        out->predecessors = read_nodes(&r, p);
        out->successors = read_nodes(&r, p);
    }
    if (out->type == MSGS_CHORD_FULL) {
        out->fingers = read_nodes(&r, p);
    }
    return rd_is_done(&r) ? ERR_OK : ERR_MALFORMED;
}

void msgs_chord_update_wr(struct wr *w, const struct msgs_chord_update *in)
{
    wr_u32(w, in->uptime_s);
    wr_u8(w, in->type);
    if (in->type != MSGS_CHORD_PEER_READY) {
        wr_opaque16(w, in->predecessors);
        wr_opaque16(w, in->successors);
    }
    if (in->type == MSGS_CHORD_FULL) {
        wr_opaque16(w, in->fingers);
    }
}

enum err msgs_chord_leave_decode(struct slice data, const struct rl_params *p,
                                 struct msgs_chord_leave *out)
{
    struct rd r = rd_init(data);
    out->type = rd_u8(&r);
    out->peers = read_nodes(&r, p);
    if (out->type != MSGS_CHORD_FROM_SUCCESSOR && out->type != MSGS_CHORD_FROM_PREDECESSOR) {
        rd_reject(&r, REJECT_UNKNOWN_TYPE);
    }
    return rd_is_done(&r) ? ERR_OK : ERR_MALFORMED;
}

void msgs_chord_leave_wr(struct wr *w, const struct msgs_chord_leave *in)
{
    wr_u8(w, in->type);
    wr_opaque16(w, in->peers);
}

bool msgs_kind_block_next(struct rd *kinds, struct slice *xml)
{
    if (rd_left(kinds) == 0) {
        return false;
    }
    *xml = rd_opaque16(kinds);
    return rd_ok(kinds);
}

enum err msgs_config_update_decode(struct slice body, struct msgs_config_update *out)
{
    struct rd r = rd_init(body);
    *out = (struct msgs_config_update){.type = rd_u8(&r)};
    struct slice value = rd_opaque32(&r);
    struct rd inner = rd_init(value);
    if (out->type == MSGS_CONFIG || out->type == MSGS_KIND) {
        out->data = rd_opaque24(&inner);
    } else {
        out->data = rd_rest(&inner);
    }
    if (!rd_is_done(&r) || !rd_is_done(&inner) || out->type == 0) {
        return ERR_MALFORMED;
    }
    struct rd list = rd_init(out->type == MSGS_KIND ? out->data : SLICE_EMPTY);
    struct slice xml;
    while (msgs_kind_block_next(&list, &xml)) {}
    return rd_ok(&list) ? ERR_OK : ERR_MALFORMED;
}

void msgs_config_update_wr(struct wr *w, const struct msgs_config_update *in)
{
    wr_u8(w, in->type);
    size_t mark = wr_begin(w, 4);
    if (in->type == MSGS_CONFIG || in->type == MSGS_KIND) {
        wr_opaque24(w, in->data);
    } else {
        wr_bytes(w, in->data);
    }
    wr_end(w, 4, mark);
}
