/* SPDX-License-Identifier: Apache-2.0 */
/* wire_build.c - see wire_build.h: reading JSON, and the structures of msgs.def, expanded from
 * their lines.  Fields are written as they are read; `m` keeps those that others depend on. */
#include "cmd/wire_build_inside.h"
#include <stdio.h>

/* "header.ttl", "kind_data[0].values[2].lifetime"; a path that is too long loses its end. */
static void put_path(const struct build *b, const char *field, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i <= b->depth; i++) {
        bool is_field = i == b->depth;
        const char *name = is_field ? field : b->path[i].name;
        size_t index = is_field ? b->last.index : b->path[i].index;
        if (name == NULL || len >= cap) {
            continue;
        }
        if (is_field && (b->last.name == NULL || strcmp(name, b->last.name) != 0)) {
            index = BUILD_NO_INDEX;
        }
        len += (size_t)snprintf(out + len, cap - len, "%s%.60s", len > 0 ? "." : "", name);
        if (index != BUILD_NO_INDEX && len < cap) {
            len += (size_t)snprintf(out + len, cap - len, "[%zu]", index);
        }
    }
}

void wire_build_fail(struct build *b, const char *field, const char *what)
{
    if (!b->failed) {
        char path[WIRE_BUILD_PATH_CAP];
        put_path(b, field, path, sizeof(path));
        (void)snprintf(b->why, WIRE_BUILD_WHY_CAP, "%s: %.90s", path[0] == '\0' ? "fields" : path,
                       what);
        b->failed = true;
    }
}

/* ---- JSON ---- */

struct build_object wire_build_open(struct build *b, const json_t *v)
{
    struct build_object o = {.o = v, .depth = b->depth};
    if (b->depth < BUILD_DEPTH_CAP) {
        b->path[b->depth++] = b->last;
    }
    b->last = (struct build_place){NULL, BUILD_NO_INDEX};
    if (!json_is_object(v)) {
        wire_build_fail(b, NULL, "an object is wanted here");
    }
    return o;
}

void wire_build_at(struct build *b, const char *list, size_t index)
{
    b->last = (struct build_place){list, index};
}

const json_t *wire_build_get(struct build *b, struct build_object *o, const char *name)
{
    const json_t *v = json_object_get(o->o, name);
    b->last = (struct build_place){name, BUILD_NO_INDEX};
    if (v == NULL) {
        wire_build_fail(b, name, "this field is missing");
    }
    CHECK(o->taken < BUILD_MEMBERS_CAP);
    o->names[o->taken++] = name;
    return v;
}

bool wire_build_has(const struct build_object *o, const char *name)
{
    return json_object_get(o->o, name) != NULL;
}

void wire_build_all_taken(struct build *b, const struct build_object *o)
{
    if (json_object_size(o->o) == o->taken || b->failed) {
        return;
    }
    json_t *members = json_deep_copy(o->o); /* jansson walks over no constant object */
    const char *name = NULL;
    const json_t *v = NULL;
    json_object_foreach(members, name, v)
    {
        size_t i = 0;
        while (i < o->taken && strcmp(o->names[i], name) != 0) {
            i++;
        }
        if (i == o->taken) {
            wire_build_fail(b, name, "this structure has no such field");
        }
    }
    json_decref(members);
}

void wire_build_close(struct build *b, const struct build_object *o)
{
    wire_build_all_taken(b, o);
    b->depth = o->depth;
    b->last = (struct build_place){NULL, BUILD_NO_INDEX};
}

/* 0x and hex digits. */
static bool hex_number(const char *text, uint64_t *out)
{
    *out = 0;
    if (text[0] != '0' || text[1] != 'x' || text[2] == '\0') {
        return false;
    }
    for (text += 2; *text != '\0'; text++) {
        uint8_t byte[1];
        size_t len = 0;
        const char pair[2] = {'0', *text};
        if (*out >> 60 != 0 || ids_unhex(slice_of(pair, 2), byte, 1, &len) != ERR_OK) {
            return false;
        }
        *out = *out << 4 | byte[0];
    }
    return true;
}

uint64_t wire_build_number(struct build *b, const json_t *v, const char *name, uint64_t max)
{
    uint64_t number = 0;
    bool is_good = false;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        number = (uint64_t)json_integer_value(v);
        is_good = true;
    } else if (json_is_string(v)) {
        is_good = hex_number(json_string_value(v), &number);
    }
    if (!is_good || number > max) {
        wire_build_fail(b, name, "wants a number that fits, or \"0x...\"");
        return 0;
    }
    return number;
}

bool wire_build_boolean(struct build *b, const json_t *v, const char *name)
{
    if (!json_is_boolean(v)) {
        wire_build_fail(b, name, "wants true or false");
    }
    return json_is_true(v);
}

struct slice wire_build_hex(struct build *b, const json_t *v, const char *name)
{
    struct slice text = slice_of(json_string_value(v), json_string_length(v));
    uint8_t *to = wr_claim(b->w, text.len / 2);
    size_t len = 0;
    if (!json_is_string(v)) {
        wire_build_fail(b, name, "wants bytes as hex digits");
    } else if (to != NULL && ids_unhex(text, to, text.len / 2, &len) != ERR_OK) {
        wire_build_fail(
            b, name, text.len % 2 != 0 ? "wants an even number of hex digits" : "wants hex digits");
    }
    return slice_of(to, len);
}

void wire_build_node(struct build *b, const json_t *v, const char *name)
{
    if (wire_build_hex(b, v, name).len != b->c->params.node_id_length && wr_ok(b->w)) {
        wire_build_fail(b, name, "wants a Node-ID of the overlay's length");
    }
}

size_t wire_build_count(struct build *b, const json_t *v, const char *name)
{
    if (!json_is_array(v)) {
        wire_build_fail(b, name, "wants a list");
    }
    return json_array_size(v);
}

/* ---- kinds of fields: build_KIND(b, json, name, out) ---- */

#define NUMBER(kind, type, max, call)                                                              \
    static void build_##kind(struct build *b, const json_t *v, const char *name, type *out)        \
    {                                                                                              \
        *out = (type)wire_build_number(b, v, name, max);                                           \
        call(b->w, *out);                                                                          \
    }
NUMBER(u8, uint8_t, UINT8_MAX, wr_u8)
NUMBER(u16, uint16_t, UINT16_MAX, wr_u16)
NUMBER(u32, uint32_t, UINT32_MAX, wr_u32)
NUMBER(u64, uint64_t, UINT64_MAX, wr_u64)
#undef NUMBER
#define build_type8 build_u8

static void build_boolean(struct build *b, const json_t *v, const char *name, bool *out)
{
    *out = wire_build_boolean(b, v, name);
    wr_bool(b->w, *out);
}

static void build_node(struct build *b, const json_t *v, const char *name, struct node_id *out)
{
    (void)out;
    wire_build_node(b, v, name);
}

#define OPAQUE(kind, bytes)                                                                        \
    static void build_##kind(struct build *b, const json_t *v, const char *name,                   \
                             struct slice *out)                                                    \
    {                                                                                              \
        size_t mark = wr_begin(b->w, bytes);                                                       \
        *out = wire_build_hex(b, v, name);                                                         \
        wr_end(b->w, bytes, mark);                                                                 \
    }
OPAQUE(opaque8, 1)
OPAQUE(opaque16, 2)
OPAQUE(opaque24, 3)
OPAQUE(opaque32, 4)
#undef OPAQUE
#define build_resource build_opaque8

static void build_rest(struct build *b, const json_t *v, const char *name, struct slice *out)
{
    *out = wire_build_hex(b, v, name);
}

#define CORE(kind, type)                                                                           \
    static void build_##kind(struct build *b, const json_t *v, const char *name, type *out)        \
    {                                                                                              \
        (void)name;                                                                                \
        (void)out;                                                                                 \
        wire_build_core_##kind(b, v);                                                              \
    }
CORE(destination, struct fwd_destination)
CORE(address, struct candidate_address)
CORE(store_block, struct stored_block)
CORE(fetch_block, struct stored_block)
CORE(stat_block, struct stored_block)
CORE(response, struct stored_response)
CORE(specifier, struct stored_specifier)
#undef CORE

#define MSG(name, rfc, fields)                                                                     \
    static void build_##name(struct build *b, const json_t *v, const char *what,                   \
                             struct msgs_##name *m);
#include "codec/msgs.def"

/* ---- lists ---- */

static size_t begin_twice32(struct wr *w)
{
    (void)wr_begin(w, 4);
    return wr_begin(w, 4);
}

/* ext_length first, then the length of the list: the same number (RFC 7851 5.1). */
static void end_twice32(struct wr *w, size_t mark)
{
    wr_end(w, 4, mark);
    if (wr_ok(w)) {
        memcpy(w->start + mark - 4, w->start + mark, 4);
    }
}

#define BEGIN_8 wr_begin(b->w, 1)
#define BEGIN_16 wr_begin(b->w, 2)
#define BEGIN_24 wr_begin(b->w, 3)
#define BEGIN_32 wr_begin(b->w, 4)
#define BEGIN_twice32 begin_twice32(b->w)
#define BEGIN_rest wr_len(b->w)
#define END_8 wr_end(b->w, 1, mark)
#define END_16 wr_end(b->w, 2, mark)
#define END_24 wr_end(b->w, 3, mark)
#define END_32 wr_end(b->w, 4, mark)
#define END_twice32 end_twice32(b->w, mark)
#define END_rest (void)mark

#define WALK(kind, bits, type, build_item)                                                         \
    static void build_##kind(struct build *b, const json_t *v, const char *name,                   \
                             struct slice *out)                                                    \
    {                                                                                              \
        size_t mark = BEGIN_##bits;                                                                \
        size_t start = wr_len(b->w);                                                               \
        size_t count = wire_build_count(b, v, name);                                               \
        for (size_t i = 0; i < count && !b->failed; i++) {                                         \
            type item;                                                                             \
            wire_build_at(b, name, i);                                                             \
            build_item(b, json_array_get(v, i), name, &item);                                      \
        }                                                                                          \
        *out = slice_of(b->w->start + start, wr_len(b->w) - start);                                \
        END_##bits;                                                                                \
    }
#define LIST(kind, bits, item) WALK(kind, bits, MSGS_TYPE_##item, build_##item)
#define LIST_OF(kind, bits, message) WALK(kind, bits, struct msgs_##message, build_##message)
#define LIST_REST(kind, message) WALK(kind, rest, struct msgs_##message, build_##message)
#include "codec/msgs.def"
#undef WALK

/* ---- structures ---- */

#define FIELD(kind, name) build_##kind(b, wire_build_get(b, &o, #name), #name, &m->name);
#define WHEN(condition, kind, name)                                                                \
    if (condition) {                                                                               \
        FIELD(kind, name)                                                                          \
    }
#define NESTED(message, name) FIELD(message, name)
#define NEED(condition, why)
#define BYTES_8 1
#define BYTES_16 2
#define BYTES_32 4
#define OPEN(bits) size_t mark = wr_begin(b->w, BYTES_##bits);
#define CLOSE(bits) wr_end(b->w, BYTES_##bits, mark);
#define MSG(name, rfc, fields)                                                                     \
    static void build_##name(struct build *b, const json_t *v, const char *what,                   \
                             struct msgs_##name *m)                                                \
    {                                                                                              \
        struct build_object o = wire_build_open(b, v);                                             \
        (void)what;                                                                                \
        memset(m, 0, sizeof(*m));                                                                  \
        fields wire_build_close(b, &o);                                                            \
    }                                                                                              \
    static void top_##name(struct build *b, const json_t *v)                                       \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        build_##name(b, v, #rfc, &m);                                                              \
    }
#include "codec/msgs.def"

static const struct build_entry body_table[] = {
#define MSG(name, rfc, fields) {#rfc, top_##name},
#include "codec/msgs.def"
};

static const struct build_entry *find(const char *type)
{
    for (size_t i = 0; i < wire_build_core_count; i++) {
        if (strcmp(wire_build_core_table[i].type, type) == 0) {
            return &wire_build_core_table[i];
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(body_table); i++) {
        if (strcmp(body_table[i].type, type) == 0) {
            return &body_table[i];
        }
    }
    return NULL;
}

enum err wire_build(const struct show_context *context, const char *type, const json_t *fields,
                    struct wr *w, char *why)
{
    const struct build_entry *e = find(type);
    struct build b = {.c = context, .w = w, .why = why, .last = {NULL, BUILD_NO_INDEX}};
    why[0] = '\0';
    if (e == NULL) {
        return ERR_NOT_FOUND;
    }
    e->build(&b, fields);
    if (b.failed) {
        return ERR_MALFORMED;
    }
    return wr_ok(w) ? ERR_OK : ERR_TOO_LARGE;
}
