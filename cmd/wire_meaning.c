/* SPDX-License-Identifier: Apache-2.0 */
/* wire_meaning.c - see wire_meaning.h. */
#include "cmd/wire_meaning.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/secblock.h"
#include <stdlib.h>

enum { DEPTH_CAP = 32, EXTENSION_DIAGNOSTIC = 2, EXTENSION_SELF_TUNING = 3 };

struct named {
    json_int_t number;
    const char *name;
};

/* ---- names ---- */

static const struct named kinds[] = {
    {0x1, "SIP-REGISTRATION"},    {0x2, "TURN-SERVICE"},         {0x3, "CERTIFICATE_BY_NODE"},
    {0x4, "ACCESS-CONTROL-LIST"}, {0x10, "CERTIFICATE_BY_USER"}, {0x104, "REDIR"},
};

/* RFC 7851 9.2; the structures of codec/msgs.def have these names. */
static const struct named diagnostics[] = {
    {0x1, "STATUS_INFO"},        {0x2, "ROUTING_TABLE_SIZE"},   {0x3, "PROCESS_POWER"},
    {0x4, "UPSTREAM_BANDWIDTH"}, {0x5, "DOWNSTREAM_BANDWIDTH"}, {0x6, "SOFTWARE_VERSION"},
    {0x7, "MACHINE_UPTIME"},     {0x8, "APP_UPTIME"},           {0x9, "MEMORY_FOOTPRINT"},
    {0xa, "DATASIZE_STORED"},    {0xb, "INSTANCES_STORED"},     {0xc, "MESSAGES_SENT_RCVD"},
    {0xd, "EWMA_BYTES_SENT"},    {0xe, "EWMA_BYTES_RCVD"},      {0xf, "UNDERLAY_HOP"},
    {0x10, "BATTERY_STATUS"},
};

/* TLS 1.2's numbers (RFC 5246 7.4.1.4.1), which RFC 6940 6.3.4 takes. */
static const struct named hashes[] = {
    {0, "none"},   {1, "md5"},    {2, "sha1"},   {3, "sha224"},
    {4, "sha256"}, {5, "sha384"}, {6, "sha512"},
};
static const struct named signatures[] = {{0, "anonymous"}, {1, "rsa"}, {2, "dsa"}, {3, "ecdsa"}};

static const struct named identities[] = {
    {SECBLOCK_IDENTITY_CERT_HASH, "cert_hash"},
    {SECBLOCK_IDENTITY_CERT_HASH_NODE_ID, "cert_hash_node_id"},
    {SECBLOCK_IDENTITY_NONE, "none"},
};

static const struct named extensions[] = {
    {EXTENSION_DIAGNOSTIC, "Diagnostic_Ping"},
    {EXTENSION_SELF_TUNING, "self_tuning_data"},
};

static const struct named options[] = {{FWD_OPTION_ROUTE_MODE, "extensive_routing_mode"}};

static const char *name_in(const struct named *table, size_t count, json_int_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].number == number) {
            return table[i].name;
        }
    }
    return NULL;
}
#define NAME_IN(table, number) name_in(table, ARRAY_COUNT(table), number)

static bool is_diagnostic(const json_t *o)
{
    return json_object_get(o, "diagnostic_info_contents") != NULL ||
           json_object_get(o, "diagnostic_extension_contents") != NULL;
}

const char *wire_meaning_number(const json_t *parent, const char *name, json_int_t v)
{
    static const struct {
        const char *name;
        const struct named *table;
        size_t count;
    } members[] = {
        {"unknown_kinds", kinds, ARRAY_COUNT(kinds)},
        {"kinds", kinds, ARRAY_COUNT(kinds)},
        {"hash", hashes, ARRAY_COUNT(hashes)},
        {"hash_alg", hashes, ARRAY_COUNT(hashes)},
        {"hash_algorithm", hashes, ARRAY_COUNT(hashes)},
        {"signature", signatures, ARRAY_COUNT(signatures)},
        {"identity_type", identities, ARRAY_COUNT(identities)},
    };
    if (strcmp(name, "message_code") == 0) {
        return content_name((uint16_t)v);
    }
    if (strcmp(name, "error_code") == 0) {
        return content_error_name((uint16_t)v);
    }
    if (strcmp(name, "kind") == 0) {
        return is_diagnostic(parent) ? NAME_IN(diagnostics, v) : NAME_IN(kinds, v);
    }
    if (strcmp(name, "type") == 0) {
        return json_object_get(parent, "extension_contents") != NULL ? NAME_IN(extensions, v)
               : json_object_get(parent, "option") != NULL           ? NAME_IN(options, v)
                                                                     : NULL;
    }
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        if (strcmp(name, members[i].name) == 0) {
            return name_in(members[i].table, members[i].count, v);
        }
    }
    return NULL;
}

/* ---- structures inside bytes ---- */

json_t *wire_meaning_decode(const struct show_context *context, const char *type,
                            struct slice bytes, struct show_fault *fault)
{
    json_t *o = NULL;
    enum err e = ERR_TOO_LARGE;
    for (size_t room = 4096 + 16 * bytes.len; e == ERR_TOO_LARGE; room *= 2) {
        char *text = malloc(room);
        CHECK(text != NULL);
        struct wr w = wr_init(text, room);
        e = show_json(context, slice_text(type), bytes, &w, fault);
        o = e == ERR_OK ? json_loadb(text, wr_len(&w), 0, NULL) : NULL;
        free(text);
    }
    CHECK(e == ERR_MALFORMED || o != NULL); /* callers know the type */
    return o;
}

/* The hex digits of member `name` as the first of the types that takes them, put behind the others.
 * Bytes that none takes stay bytes: whoever stores a value may store what he likes. */
static void unfold(const struct show_context *context, json_t *o, const char *name,
                   const char *const types[2])
{
    const json_t *v = json_object_get(o, name);
    size_t len = json_string_length(v) / 2;
    uint8_t *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    bool is_hex = json_is_string(v) &&
                  ids_unhex(slice_of(json_string_value(v), 2 * len), bytes, len, &len) == ERR_OK;
    json_t *inner = NULL;
    for (size_t i = 0; is_hex && inner == NULL && i < 2 && types[i] != NULL; i++) {
        struct show_fault fault = {REJECT_NONE, 0};
        inner = wire_meaning_decode(context, types[i], slice_of(bytes, len), &fault);
        if (inner != NULL) {
            (void)json_object_set(o, types[i], json_object_get(inner, "fields"));
        }
    }
    json_decref(inner);
    free(bytes);
}

struct opaque {
    json_int_t number;
    const char *types[2];
};

/* An ACCESS-CONTROL-LIST item has a name in front if its Kind has variable names (RFC 8076 3.1);
 * the extension of a ping is a question or an answer (RFC 7851 4.2). */
static const struct opaque values[] = {
    {0x1, {"SipRegistration", NULL}},
    {0x2, {"TurnServer", NULL}},
    {0x4, {"AccessControlListItem", "NamedAccessControlListItem"}},
    {0x104, {"RedirServiceProvider", NULL}},
};
static const struct opaque extension_contents[] = {
    {EXTENSION_DIAGNOSTIC, {"DiagnosticsRequest", "DiagnosticsResponse"}},
    {EXTENSION_SELF_TUNING, {"SelfTuningData", NULL}},
};
static const struct opaque option_values[] = {
    {FWD_OPTION_ROUTE_MODE, {"ExtensiveRoutingModeOption", NULL}}};
static const struct opaque error_infos[] = {{CONTENT_ERROR_UNKNOWN_KIND, {"UnknownKinds", NULL}}};

/* Member `name` of `o`, whose structure `number` tells. */
static void unfold_by(const struct show_context *context, json_t *o, const char *name,
                      const struct opaque *table, size_t count, json_int_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].number == number) {
            unfold(context, o, name, table[i].types);
        }
    }
}
#define UNFOLD_BY(name, table, number)                                                             \
    unfold_by(context, o, name, table, ARRAY_COUNT(table), number)

static void walk(const struct show_context *context, json_t *v, json_int_t kind, unsigned depth);

static void unfold_object(const struct show_context *context, json_t *o, json_int_t kind)
{
    json_int_t type = json_integer_value(json_object_get(o, "type"));
    const char *info = NAME_IN(diagnostics, json_integer_value(json_object_get(o, "kind")));
    bool exists = json_is_true(json_object_get(o, "exists"));
    if (exists && json_is_string(json_object_get(o, "value"))) {
        UNFOLD_BY("value", values, kind);
    }
    if (json_object_get(o, "extension_contents") != NULL) {
        UNFOLD_BY("extension_contents", extension_contents, type);
    }
    if (json_object_get(o, "option") != NULL) {
        UNFOLD_BY("option", option_values, type);
    }
    if (json_object_get(o, "error_info") != NULL) {
        UNFOLD_BY("error_info", error_infos, json_integer_value(json_object_get(o, "error_code")));
    }
    if (json_object_get(o, "diagnostic_info_contents") != NULL && info != NULL) {
        const char *const types[2] = {info, NULL};
        unfold(context, o, "diagnostic_info_contents", types);
    }
}

/* `kind`: of the values below. */
static void walk(const struct show_context *context, json_t *v, json_int_t kind, unsigned depth)
{
    if (depth > DEPTH_CAP) {
        return;
    }
    if (json_is_object(v)) {
        const json_t *own = json_object_get(v, "kind");
        unfold_object(context, v, kind);
        kind = own != NULL && !is_diagnostic(v) ? json_integer_value(own) : kind;
    }
    const char *name = NULL;
    json_t *inner = NULL;
    json_object_foreach(v, name, inner)
    {
        walk(context, inner, kind, depth + 1);
    }
    size_t i = 0;
    json_array_foreach(v, i, inner)
    {
        walk(context, inner, kind, depth + 1);
    }
}

void wire_meaning_unfold(const struct show_context *context, json_t *tree)
{
    walk(context, tree, -1, 0);
}
