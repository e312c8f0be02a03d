/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - see wire.h. */
#include "cmd/wire.h"
#include "cmd/wire_build.h"
#include "cmd/wire_line.h"
#include "codec/show_sip.h"
#include "link/crypto_boring.h"
#include <stdio.h>
#include <stdlib.h>

enum { KINDS_CAP = 256, ANSWER_FIRST = 4096 };

struct wire {
    struct show_kind kinds[KINDS_CAP];
    uint8_t *bytes; /* of the wire; grows with the longest line */
    size_t cap;
};

struct wire *wire_new(void)
{
    return calloc(1, sizeof(struct wire));
}

void wire_free(struct wire *w)
{
    if (w != NULL) {
        free(w->bytes);
        free(w);
    }
}

/* ---- what stands beside the bytes ---- */

static bool model_of(const json_t *v, enum stored_model *out)
{
    return json_is_string(v) &&
           stored_model_named(slice_of(json_string_value(v), json_string_length(v)), out);
}

/* {"1": "dictionary", ...} */
static const char *read_kinds(struct wire *w, json_t *kinds, struct show_context *c)
{
    const char *key = NULL;
    const json_t *value = NULL;
    c->kinds = w->kinds;
    c->kind_count = 0;
    json_object_foreach(kinds, key, value)
    {
        char *end = NULL;
        unsigned long id = strtoul(key, &end, 10);
        if (c->kind_count == KINDS_CAP) {
            return "kinds: more than 256";
        }
        struct show_kind *k = &w->kinds[c->kind_count++];
        if (*key < '0' || *key > '9' || *end != '\0' || id > UINT32_MAX ||
            !model_of(value, &k->model)) {
            return "kinds: wants {\"KIND-ID\": \"single\" or \"array\" or \"dictionary\"}";
        }
        k->kind = (uint32_t)id;
    }
    return json_is_object(kinds) ? NULL : "kinds: wants an object";
}

static void default_context(struct show_context *c)
{
    *c = (struct show_context){.params = {.node_id_length = 16},
                               .kinds = show_registered_kinds,
                               .kind_count = show_registered_kind_count};
}

/* NULL, or what is wrong. */
static const char *read_context(struct wire *w, const json_t *o, struct show_context *c)
{
    const json_t *length = json_object_get(o, "node_id_length");
    const json_t *model = json_object_get(o, "data_model");
    json_t *kinds = json_object_get(o, "kinds");
    const json_t *name = json_object_get(o, "overlay_name");
    default_context(c);
    if (length != NULL) {
        json_int_t n = json_integer_value(length);
        if (!json_is_integer(length) || n < IDS_NODE_MIN || n > IDS_NODE_MAX) {
            return "node_id_length: wants a number from 16 to 20";
        }
        c->params.node_id_length = (uint8_t)n;
    }
    if (model != NULL && !json_is_null(model) && !model_of(model, &c->model)) {
        return "data_model: wants \"single\", \"array\" or \"dictionary\"";
    }
    if (name != NULL) {
        uint8_t sha1[CRYPTO_SHA1_BYTES];
        if (!json_is_string(name)) {
            return "overlay_name: wants text";
        }
        crypto_boring()->sha1(slice_of(json_string_value(name), json_string_length(name)), sha1);
        struct rd r = rd_init(slice_of(sha1 + sizeof(sha1) - 4, 4)); /* RFC 6940 6.3.2 */
        c->params.overlay = rd_u32(&r);
        c->has_overlay = true;
    }
    return kinds == NULL ? NULL : read_kinds(w, kinds, c);
}

/* ---- answers ---- */

static void refuse(struct batch_out *out, const char *why, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%s%s%s", why, more[0] == '\0' ? "" : ": ", more);
    batch_text(out, "{\"reject\":");
    batch_string(out, slice_text(text));
}

static void refuse_at(struct batch_out *out, const char *why, const char *more, size_t offset)
{
    refuse(out, why, more);
    batch_text(out, ",\"offset\":");
    batch_number(out, offset);
    batch_text(out, "}");
}

/* The bytes of `hex`, in w->bytes. */
static const char *read_hex(struct wire *w, struct slice hex, struct slice *out)
{
    size_t len = 0;
    if (hex.data == NULL) {
        return "hex: wants bytes as hex digits";
    }
    if (w->cap < hex.len / 2 || w->bytes == NULL) {
        uint8_t *more = realloc(w->bytes, hex.len / 2 + 1);
        if (more == NULL) {
            return "hex: no memory for so many bytes";
        }
        w->bytes = more;
        w->cap = hex.len / 2;
    }
    if (ids_unhex(hex, w->bytes, w->cap, &len) != ERR_OK) {
        return "hex: wants an even number of hex digits";
    }
    *out = slice_of(w->bytes, len);
    return NULL;
}

/* Adds the JSON, or nothing.  ERR_TOO_LARGE: larger than an answer may be, which the batch says. */
static enum err decode(const struct show_context *c, struct slice type, struct slice in,
                       struct batch_out *out, struct show_fault *fault)
{
    size_t room = ANSWER_FIRST + 8 * in.len;
    enum err e = ERR_TOO_LARGE;
    while (e == ERR_TOO_LARGE) {
        char *to = batch_reserve(out, room);
        if (to == NULL) {
            return e;
        }
        struct wr w = wr_init(to, room);
        e = show_json(c, type, in, &w, fault);
        if (e == ERR_OK) {
            batch_took(out, wr_len(&w));
        }
        room *= 2;
    }
    return e;
}

static void decode_or_refuse(const struct show_context *c, struct slice type, struct slice in,
                             struct batch_out *out)
{
    struct show_fault fault = {REJECT_NONE, 0};
    enum err e = decode(c, type, in, out, &fault);
    if (e == ERR_NOT_FOUND) {
        refuse_at(out, "type: no structure of this name", "", 0);
    } else if (e == ERR_MALFORMED) {
        refuse_at(out, reject_name(fault.why), reject_text(fault.why), fault.offset);
    }
}

/* ---- SIP */

enum sip_type { SIP_TYPE_MESSAGE, SIP_TYPE_STREAM, SIP_TYPE_URI_PAIR, SIP_TYPE_NONE };

static enum sip_type sip_type_of(struct slice type)
{
    static const char *const names[] = {"SipMessage", "SipStream", "SipUriPair"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_is_equal(type, slice_text(names[i]))) {
            return (enum sip_type)i;
        }
    }
    return SIP_TYPE_NONE;
}

/* These have no context; a refusal is part of what codec/show_sip writes. */
static void decode_sip(struct wire *w, enum sip_type type, const struct wire_line *l,
                       struct batch_out *out)
{
    struct slice first = l->a;
    const char *why = NULL;
    if (type == SIP_TYPE_URI_PAIR) {
        why = l->a.data != NULL && l->b.data != NULL ? NULL : "a and b: want URIs as text";
    } else {
        why = read_hex(w, l->hex, &first);
    }
    if (why != NULL) {
        refuse_at(out, why, "", 0);
        return;
    }
    enum err e = ERR_TOO_LARGE;
    for (size_t room = ANSWER_FIRST + 2 * first.len; e == ERR_TOO_LARGE; room *= 2) {
        char *to = batch_reserve(out, room);
        if (to == NULL) {
            return; /* larger than an answer may be: the batch says so */
        }
        struct wr text = wr_init(to, room);
        e = type == SIP_TYPE_MESSAGE  ? show_sip_message(first, &text)
            : type == SIP_TYPE_STREAM ? show_sip_stream(first, &text)
                                      : show_sip_uri_pair(first, l->b, &text);
        if (e == ERR_OK) {
            batch_took(out, wr_len(&text));
        }
    }
}

static json_t *read_line(struct slice line, const struct batch_out *out, const char **why,
                         json_error_t *error)
{
    error->text[0] = '\0';
    *why = out->refused != NULL ? out->refused : "the line is not a JSON object";
    json_t *o = out->refused != NULL
                    ? NULL
                    : json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, error);
    if (o != NULL && !json_is_object(o)) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static struct slice text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return slice_of(json_string_value(v), json_string_length(v));
}

static void answer(struct wire *w, const struct show_context *c, const struct wire_line *l,
                   struct batch_out *out)
{
    enum sip_type sip = sip_type_of(l->type);
    if (sip != SIP_TYPE_NONE) {
        decode_sip(w, sip, l, out);
        return;
    }
    struct slice in = SLICE_EMPTY;
    const char *why =
        l->type.data == NULL ? "type: wants the name of a structure" : read_hex(w, l->hex, &in);
    if (why != NULL) {
        refuse_at(out, why, "", 0);
    } else {
        decode_or_refuse(c, l->type, in, out);
    }
}

void wire_decode(void *ctx, struct slice line, struct batch_out *out)
{
    struct wire *w = ctx;
    struct show_context c;
    struct wire_line l;
    if (wire_line_read(line, &l)) {
        default_context(&c);
        answer(w, &c, &l, out);
        return;
    }
    json_error_t error;
    const char *why = NULL;
    json_t *o = read_line(line, out, &why, &error);
    if (o == NULL) {
        refuse_at(out, why, error.text, 0);
        return;
    }
    l = (struct wire_line){text_of(o, "type"), text_of(o, "hex"), text_of(o, "a"), text_of(o, "b")};
    why = read_context(w, o, &c);
    if (why != NULL) {
        refuse_at(out, why, "", 0);
    } else {
        answer(w, &c, &l, out);
    }
    json_decref(o);
}

/* What was built goes through decoder and encoder once more. */
static void check_and_print(struct show_context *c, struct slice type, struct wr *built,
                            struct batch_out *out)
{
    struct show_fault fault = {REJECT_NONE, 0};
    struct slice bytes = wr_slice(built);
    struct wr again = wr_init(built->at, wr_left(built));
    enum err e = show_again(c, type, bytes, &again, &fault);
    if (e == ERR_OK && !slice_is_equal(wr_slice(&again), bytes)) {
        e = ERR_STATE; /* the two encoders differ */
    }
    size_t mark = out->len;
    if (e == ERR_OK) { /* lists whose shape a Kind decides are looked into by the printer alone */
        e = decode(c, type, bytes, out, &fault);
    }
    out->len = mark;
    if (e == ERR_OK) {
        batch_text(out, "{\"hex\":");
        batch_hex(out, bytes);
        batch_text(out, "}");
        return;
    }
    refuse(out, e == ERR_MALFORMED ? reject_name(fault.why) : err_name(e),
           e == ERR_MALFORMED ? reject_text(fault.why) : err_text(e));
    batch_text(out, "}");
}

void wire_encode(void *ctx, struct slice line, struct batch_out *out)
{
    struct wire *w = ctx;
    struct show_context c;
    json_error_t error;
    char told[WIRE_BUILD_WHY_CAP];
    const char *why = NULL;
    json_t *o = read_line(line, out, &why, &error);
    if (o == NULL) {
        refuse(out, why, error.text);
        batch_text(out, "}");
        return;
    }
    const json_t *type = json_object_get(o, "type");
    /* A field that is written as "0" may take eight bytes, hence the factor; and twice that. */
    size_t cap = 16 * line.len + ANSWER_FIRST;
    uint8_t *bytes = malloc(cap);
    enum err e = ERR_MALFORMED;
    why = json_is_string(type) ? read_context(w, o, &c) : "type: wants the name of a structure";
    why = why == NULL && bytes == NULL ? "no memory for so much" : why;
    if (why == NULL) {
        struct wr built = wr_init(bytes, cap);
        e = wire_build(&c, json_string_value(type), json_object_get(o, "fields"), &built, told);
        why = e == ERR_NOT_FOUND   ? "type: no structure of this name"
              : e == ERR_MALFORMED ? told
              : e == ERR_TOO_LARGE ? "something does not fit behind its length"
                                   : NULL;
        if (why == NULL) {
            check_and_print(&c, slice_text(json_string_value(type)), &built, out);
        }
    }
    if (why != NULL) {
        refuse(out, why, "");
        batch_text(out, "}");
    }
    free(bytes);
    json_decref(o);
}
