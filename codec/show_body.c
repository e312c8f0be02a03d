/* SPDX-License-Identifier: Apache-2.0 */
/* show_body.c - the JSON printers of msgs.def: show_KIND(s, in) for each kind of field, and one
 * function for each structure made from its line. */
#include "codec/msgs_field.h"
#include "codec/show_inside.h"

static void show_u8(struct show *s, const uint8_t *in)
{
    show_number(s, *in);
}
#define show_type8 show_u8

static void show_u16(struct show *s, const uint16_t *in)
{
    show_number(s, *in);
}

static void show_u32(struct show *s, const uint32_t *in)
{
    show_number(s, *in);
}

static void show_u64(struct show *s, const uint64_t *in)
{
    show_hex_number(s, *in, 16);
}

static void show_boolean(struct show *s, const bool *in)
{
    show_text(s, *in ? "true" : "false");
}

static void show_node(struct show *s, const struct node_id *in)
{
    show_bytes(s, ids_node_slice(in, &s->c->params));
}

static void show_opaque8(struct show *s, const struct slice *in)
{
    show_bytes(s, *in);
}
#define show_resource show_opaque8
#define show_opaque16 show_opaque8
#define show_opaque24 show_opaque8
#define show_opaque32 show_opaque8
#define show_rest show_opaque8
#define show_destination show_core_destination
#define show_address show_core_address
#define show_response show_core_response
#define show_specifier show_core_specifier

static void show_store_block(struct show *s, const struct stored_block *in)
{
    show_core_block(s, in, SHOW_STORE);
}

static void show_fetch_block(struct show *s, const struct stored_block *in)
{
    show_core_block(s, in, SHOW_FETCH);
}

static void show_stat_block(struct show *s, const struct stored_block *in)
{
    show_core_block(s, in, SHOW_STAT);
}

#define MSG(name, rfc, fields) static void show_##name(struct show *s, const struct msgs_##name *m);
#include "codec/msgs.def"

/* ---- lists ---- */

#define WALK(kind, type, read_item, show_item)                                                     \
    static void show_##kind(struct show *s, const struct slice *in)                                \
    {                                                                                              \
        struct rd list = rd_init(*in);                                                             \
        show_text(s, "[");                                                                         \
        while (rd_left(&list) > 0) {                                                               \
            type item;                                                                             \
            read_item(&list, &s->c->params, &item);                                                \
            show_comma(s);                                                                         \
            show_item(s, &item);                                                                   \
        }                                                                                          \
        rd_close(s->r, &list);                                                                     \
        show_text(s, "]");                                                                         \
    }
#define LIST(kind, bits, item) WALK(kind, MSGS_TYPE_##item, read_##item, show_##item)
#define LIST_OF(kind, bits, message)                                                               \
    WALK(kind, struct msgs_##message, msgs_##message##_rd, show_##message)
#define LIST_REST(kind, message) LIST_OF(kind, rest, message)
#include "codec/msgs.def"

/* ---- structures ---- */

#define FIELD(kind, name)                                                                          \
    show_key(s, #name);                                                                            \
    show_##kind(s, &m->name);
#define WHEN(condition, kind, name)                                                                \
    if (condition) {                                                                               \
        FIELD(kind, name)                                                                          \
    }
#define NESTED(message, name) FIELD(message, name)
#define NEED(condition, why)
#define OPEN(bits)
#define CLOSE(bits)
#define MSG(name, rfc, fields)                                                                     \
    static void show_##name(struct show *s, const struct msgs_##name *m)                           \
    {                                                                                              \
        show_text(s, "{");                                                                         \
        fields show_text(s, "}");                                                                  \
    }                                                                                              \
    static void top_##name(struct show *s)                                                         \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        msgs_##name##_rd(s->r, &s->c->params, &m);                                                 \
        if (rd_ok(s->r)) {                                                                         \
            show_##name(s, &m);                                                                    \
        }                                                                                          \
    }                                                                                              \
    static void again_##name(struct show *s)                                                       \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        msgs_##name##_rd(s->r, &s->c->params, &m);                                                 \
        msgs_##name##_wr(s->w, &s->c->params, &m);                                                 \
    }
#include "codec/msgs.def"

const struct show_entry show_body_table[] = {
#define MSG(name, rfc, fields) {#rfc, top_##name, again_##name},
#include "codec/msgs.def"
};
const size_t show_body_count = ARRAY_COUNT(show_body_table);
