/* SPDX-License-Identifier: Apache-2.0 */
/* wire_text.c - see wire_text.h.  The JSON of codec/show, laid out: so a new structure of msgs.def
 * can be printed as soon as it is listed. */
#include "cmd/wire_text.h"
#include "cmd/wire_meaning.h"
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/stun.h"
#include <inttypes.h>

enum {
    STEP = 2,
    NAME_WIDTH = 24,
    SHORT_BYTES = 40, /* of bytes that are not shown whole */
    DUMP_ROW = 16,
    DEPTH_CAP = 32,
};

#define COLOUR_NAME "\033[36m"
#define COLOUR_HINT "\033[32m"
#define COLOUR_FAULT "\033[31;1m"
#define COLOUR_STRONG "\033[1m"
#define COLOUR_END "\033[0m"

static void put(const struct wire_text *t, const char *colour, const char *text)
{
    if (t->has_colour) {
        (void)fprintf(t->to, "%s%s%s", colour, text, COLOUR_END);
    } else {
        (void)fputs(text, t->to);
    }
}

static void indent_by(const struct wire_text *t, unsigned indent)
{
    (void)fprintf(t->to, "%*s", (int)indent, "");
}

static void put_name(const struct wire_text *t, unsigned indent, const char *name)
{
    size_t len = strlen(name);
    indent_by(t, indent);
    put(t, COLOUR_NAME, name);
    (void)fprintf(t->to, "%*s", len < NAME_WIDTH ? (int)(NAME_WIDTH - len) : 1, "");
}

/* ---- scalars ---- */

/* Text where the bytes are one, else hex; long ones cut short. */
static void put_bytes(const struct wire_text *t, const char *hex)
{
    size_t len = strlen(hex) / 2;
    size_t shown = t->is_whole ? len : min_size(len, SHORT_BYTES);
    uint8_t bytes[SHORT_BYTES];
    size_t got = 0;
    bool is_text = len > 0 && len <= sizeof(bytes) &&
                   ids_unhex(slice_of(hex, 2 * len), bytes, sizeof(bytes), &got) == ERR_OK;
    for (size_t i = 0; i < got; i++) {
        is_text = is_text && bytes[i] >= 0x20 && bytes[i] < 0x7f;
    }
    if (len == 0) {
        (void)fputs("(empty)", t->to);
        return;
    }
    (void)fprintf(t->to, "%.*s", (int)(2 * shown), hex);
    if (shown < len) {
        (void)fprintf(t->to, "... (%zu bytes)", len);
    }
    if (is_text) {
        (void)fputs("  ", t->to);
        char text[SHORT_BYTES + 3];
        (void)snprintf(text, sizeof(text), "\"%.*s\"", (int)got, (const char *)bytes);
        put(t, COLOUR_HINT, text);
    }
}

static void put_scalar(const struct wire_text *t, const json_t *parent, const char *name,
                       const json_t *v)
{
    const char *text = json_string_value(v);
    if (json_is_boolean(v) || json_is_null(v)) {
        (void)fputs(json_is_true(v) ? "true" : json_is_false(v) ? "false" : "-", t->to);
    } else if (json_is_integer(v)) {
        const char *what = wire_meaning_number(parent, name, json_integer_value(v));
        (void)fprintf(t->to, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        if (what != NULL) {
            (void)fputs("  ", t->to);
            put(t, COLOUR_HINT, what);
        }
    } else if (text != NULL && (strncmp(text, "0x", 2) == 0 || strcmp(name, "addr") == 0)) {
        (void)fputs(text, t->to);
    } else if (text != NULL) {
        put_bytes(t, text);
    }
}

/* ---- the tree ---- */

/* The one member that a Destination or an address is about; NULL: it is neither. */
static const char *flat_member(const json_t *v)
{
    static const char *const members[] = {"node_id", "resource_id", "opaque_id",
                                          "compact", "v4addr_port", "v6addr_port"};
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        if (json_object_get(v, members[i]) != NULL) {
            return members[i];
        }
    }
    return NULL;
}

static bool is_flat(const json_t *v)
{
    return flat_member(v) != NULL;
}

/* "node_id 01ab...", "192.0.2.1:6084": on one line. */
static bool put_flat(const struct wire_text *t, const json_t *v)
{
    const char *member = flat_member(v);
    const json_t *inner = member == NULL ? NULL : json_object_get(v, member);
    const char *addr = json_string_value(json_object_get(inner, "addr"));
    if (member == NULL) {
        return false;
    }
    if (addr != NULL) {
        (void)fprintf(t->to, member[1] == '4' ? "%s:%d" : "[%s]:%d", addr,
                      (int)json_integer_value(json_object_get(inner, "port")));
    } else {
        (void)fprintf(t->to, "%s %s", member, json_string_value(inner));
    }
    return true;
}

static void put_value(const struct wire_text *t, const json_t *parent, const char *name, json_t *v,
                      unsigned indent, unsigned depth);

static void put_members(const struct wire_text *t, json_t *o, unsigned indent, unsigned depth)
{
    const char *name = NULL;
    json_t *v = NULL;
    json_object_foreach(o, name, v)
    {
        put_value(t, o, name, v, indent, depth);
    }
}

static void put_list(const struct wire_text *t, const char *name, json_t *list, unsigned indent,
                     unsigned depth)
{
    size_t i = 0;
    json_t *v = NULL;
    (void)fprintf(t->to, "(%zu)\n", json_array_size(list));
    json_array_foreach(list, i, v)
    {
        indent_by(t, indent + STEP);
        (void)fputs("-", t->to);
        if (json_is_object(v) && !is_flat(v)) {
            (void)fputc('\n', t->to);
            put_members(t, v, indent + 2 * STEP, depth + 1);
            continue;
        }
        (void)fputc(' ', t->to);
        if (!put_flat(t, v)) {
            put_scalar(t, NULL, name, v);
        }
        (void)fputc('\n', t->to);
    }
}

/* `name` and its value, on one line or more. */
static void put_value(const struct wire_text *t, const json_t *parent, const char *name, json_t *v,
                      unsigned indent, unsigned depth)
{
    if (json_is_object(v) && !is_flat(v) && depth < DEPTH_CAP) {
        indent_by(t, indent);
        put(t, COLOUR_NAME, name);
        (void)fputc('\n', t->to);
        put_members(t, v, indent + STEP, depth + 1);
        return;
    }
    put_name(t, indent, name);
    if (json_is_array(v)) {
        put_list(t, name, v, indent, depth);
        return;
    }
    if (!put_flat(t, v)) {
        put_scalar(t, parent, name, v);
    }
    (void)fputc('\n', t->to);
}

/* ---- what is wrong ---- */

static void put_fault(const struct wire_text *t, const char *type, struct slice bytes,
                      const struct show_fault *fault, unsigned indent)
{
    char what[160];
    indent_by(t, indent);
    (void)snprintf(what, sizeof(what), "%s refused at byte %zu of %zu: %s (%s)", type,
                   fault->offset, bytes.len, reject_text(fault->why), reject_name(fault->why));
    put(t, COLOUR_FAULT, what);
    (void)fputc('\n', t->to);
    size_t row = fault->offset / DUMP_ROW * DUMP_ROW;
    for (size_t from = row > DUMP_ROW ? row - DUMP_ROW : 0;
         from < bytes.len && from <= row + DUMP_ROW; from += DUMP_ROW) {
        indent_by(t, indent + STEP);
        (void)fprintf(t->to, "%06zx ", from);
        for (size_t i = from; i < bytes.len && i < from + DUMP_ROW; i++) {
            (void)fprintf(t->to, i == fault->offset ? ">%02x" : " %02x", bytes.data[i]);
        }
        (void)fputc('\n', t->to);
    }
}

/* ---- one structure ---- */

static bool is_message(struct slice bytes)
{
    static const uint8_t token[] = {0xd2, 0x45, 0x4c, 0x4f};
    return slice_is_equal(slice_sub(bytes, 0, 4), slice_of(token, 4));
}

const char *wire_text_guess(struct slice bytes)
{
    if (is_message(bytes)) {
        return "Message";
    }
    if (stun_is_message(bytes)) {
        return "StunMessage";
    }
    bool is_frame = bytes.len > 0 && (bytes.data[0] == FRAME_DATA || bytes.data[0] == FRAME_ACK);
    return is_frame ? "FramedMessage" : NULL;
}

/* Its header reads and says a length that is that of `bytes`, but it is not a whole message. */
static bool is_fragment(const struct show_context *context, struct slice bytes, struct fwd *h)
{
    return fwd_decode_header(bytes, &context->params, h) == ERR_OK && !fwd_is_whole(h) &&
           h->length == bytes.len;
}

/* Its ForwardingHeader, and how much of the rest it carries. */
static enum err print_fragment(const struct wire_text *t, const struct show_context *context,
                               const struct fwd *h, struct slice bytes, unsigned indent)
{
    enum err e = wire_text_print(t, context, "ForwardingHeader",
                                 slice_sub(bytes, 0, h->header_bytes), indent);
    indent_by(t, indent);
    put(t, COLOUR_STRONG, "fragment");
    (void)fprintf(t->to, "  %zu bytes of payload, from byte %u of the whole one on%s\n",
                  h->payload.len, fwd_offset(h), fwd_is_last(h) ? ", the last" : "");
    return e;
}

enum err wire_text_print(const struct wire_text *t, const struct show_context *context,
                         const char *type, struct slice bytes, unsigned indent)
{
    struct show_fault fault = {REJECT_NONE, 0};
    struct fwd header;
    if (strcmp(type, "Message") == 0 && is_fragment(context, bytes, &header)) {
        return print_fragment(t, context, &header, bytes, indent);
    }
    json_t *o = wire_meaning_decode(context, type, bytes, &fault);
    if (o == NULL) {
        put_fault(t, type, bytes, &fault, indent);
        return ERR_MALFORMED;
    }
    json_t *fields = json_object_get(o, "fields"), *body = json_object_get(o, "body");
    const char *body_type = json_string_value(json_object_get(o, "body_type"));
    enum err e = ERR_OK;
    indent_by(t, indent);
    put(t, COLOUR_STRONG, type);
    (void)fprintf(t->to, "  (%zu bytes)\n", bytes.len);
    if (body_type != NULL) { /* the body is printed as what it is, not as bytes once more */
        (void)json_object_del(json_object_get(fields, "contents"), "message_body");
        (void)json_object_set(json_object_get(fields, "contents"), body_type, body);
    }
    struct frame frame;
    bool is_data = strcmp(type, "FramedMessage") == 0 && frame_decode(bytes, &frame) == ERR_OK &&
                   frame.type == FRAME_DATA && is_message(frame.message);
    if (is_data) {
        (void)json_object_del(fields, "message");
    }
    wire_meaning_unfold(context, fields);
    put_members(t, fields, indent + STEP, 0);
    if (is_data) {
        e = wire_text_print(t, context, "Message", frame.message, indent + STEP);
    }
    json_decref(o);
    return e;
}

static void put_destination(const struct wire_text *t, const struct fwd *h,
                            const struct rl_params *p)
{
    char text[2 * IDS_NODE_MAX + 1];
    struct fwd_destination d = h->first;
    struct rd r = rd_init(h->destination_list);
    while (fwd_next(&r, p, &d)) {} /* the last one is where it goes */
    static const char *const names[] = {"?", "node", "resource", "opaque"};
    (void)fprintf(t->to, " to %s %s", names[d.type < ARRAY_COUNT(names) ? d.type : 0],
                  ids_hex(slice_sub(d.id, 0, IDS_NODE_MAX), text));
}

static enum err put_message(const struct wire_text *t, const struct show_context *context,
                            struct slice bytes)
{
    struct show_fault fault = {REJECT_NONE, 0};
    struct fwd h;
    struct content c;
    struct slice rest;
    if (is_fragment(context, bytes, &h)) {
        (void)fprintf(t->to, "fragment of %016" PRIx64 " at %u, %zu bytes%s", h.transaction_id,
                      fwd_offset(&h), h.payload.len, fwd_is_last(&h) ? ", the last" : "");
        put_destination(t, &h, &context->params);
        return ERR_OK;
    }
    json_t *o = wire_meaning_decode(context, "Message", bytes, &fault);
    if (o == NULL) {
        char what[160];
        (void)snprintf(what, sizeof(what), "Message refused at byte %zu of %zu: %s", fault.offset,
                       bytes.len, reject_text(fault.why));
        put(t, COLOUR_FAULT, what);
        return ERR_MALFORMED;
    }
    json_decref(o);
    if (fwd_decode_header(bytes, &context->params, &h) == ERR_OK &&
        content_decode(h.payload, &c, &rest) == ERR_OK) {
        put(t, COLOUR_STRONG, content_name(c.code));
        (void)fprintf(t->to, " %016" PRIx64, h.transaction_id);
        put_destination(t, &h, &context->params);
        (void)fprintf(t->to, ", ttl %u, via %u, %zu bytes", h.ttl, h.via_count, bytes.len);
        struct content_error error;
        if (c.code == CONTENT_ERROR && content_error_decode(c.body, &error) == ERR_OK) {
            (void)fputs(": ", t->to);
            put(t, COLOUR_FAULT, content_error_name(error.code));
        }
    }
    return ERR_OK;
}

static enum err put_stun(const struct wire_text *t, struct slice bytes)
{
    struct stun m;
    if (stun_decode(bytes, &m) != ERR_OK) {
        put(t, COLOUR_FAULT, "STUN message refused");
        return ERR_MALFORMED;
    }
    put(t, COLOUR_STRONG, "stun");
    (void)fprintf(t->to, " %s %s, %zu bytes", stun_method_name(m.method), stun_class_name(m.class),
                  bytes.len);
    return ERR_OK;
}

enum err wire_text_summary(const struct wire_text *t, const struct show_context *context,
                           const char *type, struct slice bytes)
{
    struct frame f;
    if (strcmp(type, "Message") == 0) {
        return put_message(t, context, bytes);
    }
    if (strcmp(type, "StunMessage") == 0) {
        return put_stun(t, bytes);
    }
    if (frame_decode(bytes, &f) != ERR_OK) {
        put(t, COLOUR_FAULT, "not a frame");
        return ERR_MALFORMED;
    }
    if (f.type == FRAME_ACK) {
        (void)fprintf(t->to, "ack %u, received %08x", f.sequence, f.received);
        return ERR_OK;
    }
    (void)fprintf(t->to, "data %u: ", f.sequence);
    return put_message(t, context, f.message);
}
