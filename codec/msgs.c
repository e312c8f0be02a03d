/* SPDX-License-Identifier: Apache-2.0 */
/* msgs.c - see msgs.h: the list of msgs.def expanded into functions. */
#include "codec/msgs_field.h"

/* ---- lists: the bytes behind a length, walked through once ---- */

#define WALK(kind, rd_call, wr_call, type, read_item)                                              \
    static void read_##kind(struct rd *r, const struct rl_params *p, struct slice *out)            \
    {                                                                                              \
        *out = rd_call(r);                                                                         \
        struct rd list = rd_init(*out);                                                            \
        type item;                                                                                 \
        while (rd_left(&list) > 0) {                                                               \
            read_item(&list, p, &item);                                                            \
        }                                                                                          \
        rd_close(r, &list);                                                                        \
    }                                                                                              \
    static void write_##kind(struct wr *w, const struct rl_params *p, const struct slice *in)      \
    {                                                                                              \
        (void)p;                                                                                   \
        wr_call(w, *in);                                                                           \
    }
#define LIST(kind, bits, item)                                                                     \
    WALK(kind, rd_opaque##bits, wr_opaque##bits, MSGS_TYPE_##item, read_##item)
#define LIST_OF(kind, bits, message)                                                               \
    WALK(kind, rd_opaque##bits, wr_opaque##bits, struct msgs_##message, msgs_##message##_rd)
#define LIST_REST(kind, message)                                                                   \
    WALK(kind, rd_rest, wr_bytes, struct msgs_##message, msgs_##message##_rd)
#include "codec/msgs.def"
#undef WALK

/* ---- the structures ---- */

/* OPEN puts the outer cursor aside; there is one level of it in a structure.  NEED is about the
 * field before it. */
#define FIELD(kind, name)                                                                          \
    last = r->at;                                                                                  \
    read_##kind(r, p, &m->name);
#define WHEN(condition, kind, name)                                                                \
    if (condition) {                                                                               \
        FIELD(kind, name)                                                                          \
    }
#define NESTED(message, name) msgs_##message##_rd(r, p, &m->name);
#define NEED(condition, reason)                                                                    \
    if (rd_ok(r) && !(condition)) {                                                                \
        rd_reject_at(r, REJECT_##reason, last);                                                    \
    }
#define OPEN(bits)                                                                                 \
    struct rd *outer = r;                                                                          \
    struct rd inner = rd_sub(outer, rd_u##bits(outer));                                            \
    r = &inner;
#define CLOSE(bits)                                                                                \
    r = outer;                                                                                     \
    rd_close(r, &inner);
#define MSG(name, rfc, fields)                                                                     \
    void msgs_##name##_rd(struct rd *r, const struct rl_params *p, struct msgs_##name *m)          \
    {                                                                                              \
        const uint8_t *last = NULL;                                                                \
        memset(m, 0, sizeof(*m));                                                                  \
        fields(void) last;                                                                         \
    }
#include "codec/msgs.def"
#undef FIELD
#undef WHEN
#undef NESTED
#undef NEED
#undef OPEN
#undef CLOSE

#define BYTES_8 1
#define BYTES_16 2
#define BYTES_32 4
#define FIELD(kind, name) write_##kind(w, p, &m->name);
#define WHEN(condition, kind, name)                                                                \
    if (condition) {                                                                               \
        write_##kind(w, p, &m->name);                                                              \
    }
#define NESTED(message, name) msgs_##message##_wr(w, p, &m->name);
#define NEED(condition, reason)
#define OPEN(bits) size_t mark = wr_begin(w, BYTES_##bits);
#define CLOSE(bits) wr_end(w, BYTES_##bits, mark);
#define MSG(name, rfc, fields)                                                                     \
    void msgs_##name##_wr(struct wr *w, const struct rl_params *p, const struct msgs_##name *m)    \
    {                                                                                              \
        fields                                                                                     \
    }
#include "codec/msgs.def"
#undef FIELD
#undef WHEN
#undef NESTED
#undef NEED
#undef OPEN
#undef CLOSE

/* ---- what is handy beside them ---- */

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

bool msgs_kind_block_next(struct rd *kinds, struct slice *xml)
{
    if (rd_left(kinds) == 0) {
        return false;
    }
    *xml = rd_opaque16(kinds);
    return rd_ok(kinds);
}

void msgs_wr_host_candidate(struct wr *w, const struct address *address, enum candidate_link link,
                            uint32_t priority)
{
    /* A foundation only tells candidates apart for ICE; without ICE any one will do (6.5.1.5). */
    struct msgs_ice_candidate c = {
        .addr_port = candidate_address_of(address),
        .overlay_link = (uint8_t)link,
        .type = CANDIDATE_HOST,
        .priority = priority,
        .foundation = SLICE_LITERAL("1"),
    };
    msgs_ice_candidate_wr(w, NULL, &c); /* no Node-ID in it */
}

bool msgs_is_c_string(struct slice text)
{
    return text.len > 0 && memchr(text.data, 0, text.len) == text.data + text.len - 1;
}
