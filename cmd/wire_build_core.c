/* SPDX-License-Identifier: Apache-2.0 */
/* wire_build_core.c - JSON to bytes for the structures that codec/ decodes by hand. */
#include "cmd/wire_build_inside.h"
#include "codec/frame.h"
#include "codec/secblock.h"

/* The next member of `o`, which every function here calls so. */
#define GET(name) wire_build_get(b, &o, name)

static uint64_t number(struct build *b, struct build_object *o, const char *name, uint64_t max)
{
    return wire_build_number(b, wire_build_get(b, o, name), name, max);
}

/* The bytes of member `name` behind a length of `width` bytes. */
static void opaque(struct build *b, struct build_object *o, const char *name, unsigned width)
{
    size_t mark = wr_begin(b->w, width);
    (void)wire_build_hex(b, wire_build_get(b, o, name), name);
    wr_end(b->w, width, mark);
}

/* A list behind a length of `width` bytes; 0: without one. */
static void list(struct build *b, struct build_object *o, const char *name, unsigned width,
                 void (*item)(struct build *b, const json_t *v))
{
    const json_t *v = wire_build_get(b, o, name);
    size_t mark = wr_begin(b->w, width);
    size_t count = wire_build_count(b, v, name);
    for (size_t i = 0; i < count && !b->failed; i++) {
        wire_build_at(b, name, i);
        item(b, json_array_get(v, i));
    }
    if (width > 0) {
        wr_end(b->w, width, mark);
    }
}

/* ---- addresses ---- */

void wire_build_core_address(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    uint8_t type = (uint8_t)number(b, &o, "type", UINT8_MAX);
    wr_u8(b->w, type);
    if (type != CANDIDATE_IPV4 && type != CANDIDATE_IPV6) {
        opaque(b, &o, "unknown", 1);
        wire_build_close(b, &o);
        return;
    }
    struct build_object inner =
        wire_build_open(b, GET(type == CANDIDATE_IPV4 ? "v4addr_port" : "v6addr_port"));
    const char *text = json_string_value(wire_build_get(b, &inner, "addr"));
    struct address a = {0};
    if (text == NULL || address_parse(slice_text(text), 0, &a) != ERR_OK || a.port != 0 ||
        a.family != (type == CANDIDATE_IPV4 ? 4 : 6)) {
        wire_build_fail(b, "addr", "wants an address of this family as text");
    }
    wr_u8(b->w, type == CANDIDATE_IPV4 ? 6 : 18);
    wr_bytes(b->w, slice_of(a.ip, type == CANDIDATE_IPV4 ? 4 : 16));
    wr_u16(b->w, (uint16_t)number(b, &inner, "port", UINT16_MAX));
    wire_build_close(b, &inner);
    wire_build_close(b, &o);
}

/* ---- forwarding header ---- */

void wire_build_core_destination(struct build *b, const json_t *v)
{
    static const char *const names[] = {"", "node_id", "resource_id", "opaque_id"};
    struct build_object o = wire_build_open(b, v);
    if (wire_build_has(&o, "compact")) {
        struct slice id = wire_build_hex(b, GET("compact"), "compact");
        if (wr_ok(b->w) && (id.len != 2 || (id.data[0] & 0x80) == 0)) {
            wire_build_fail(b, "compact", "wants two bytes, the top bit set");
        }
        wire_build_close(b, &o);
        return;
    }
    uint8_t type = (uint8_t)number(b, &o, "type", INT8_MAX);
    bool is_inner = type == FWD_DESTINATION_RESOURCE || type == FWD_DESTINATION_OPAQUE;
    const char *name = type > 0 && type < ARRAY_COUNT(names) ? names[type] : "unknown";
    wr_u8(b->w, type);
    size_t mark = wr_begin(b->w, 1);
    if (type == FWD_DESTINATION_NODE) {
        wire_build_node(b, GET(name), name);
    } else if (is_inner) {
        opaque(b, &o, name, 1);
    } else {
        (void)wire_build_hex(b, GET(name), name);
    }
    wr_end(b->w, 1, mark);
    wire_build_close(b, &o);
}

static void build_destinations(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    list(b, &o, "destinations", 0, wire_build_core_destination);
    wire_build_close(b, &o);
}

static void build_option(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u8(b->w, (uint8_t)number(b, &o, "type", UINT8_MAX));
    wr_u8(b->w, (uint8_t)number(b, &o, "flags", UINT8_MAX));
    opaque(b, &o, "option", 2);
    wire_build_close(b, &o);
}

/* The lists stand behind their three lengths, which are put in when they are known. */
static void build_fwd(struct build *b, const json_t *v)
{
    static const struct {
        const char *name;
        void (*item)(struct build *b, const json_t *v);
    } lists[] = {{"via_list", wire_build_core_destination},
                 {"destination_list", wire_build_core_destination},
                 {"options", build_option}};
    struct build_object o = wire_build_open(b, v);
    wr_u32(b->w, (uint32_t)number(b, &o, "relo_token", UINT32_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "overlay", UINT32_MAX));
    wr_u16(b->w, (uint16_t)number(b, &o, "configuration_sequence", UINT16_MAX));
    wr_u8(b->w, (uint8_t)number(b, &o, "version", UINT8_MAX));
    wr_u8(b->w, (uint8_t)number(b, &o, "ttl", UINT8_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "fragment", UINT32_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "length", UINT32_MAX));
    wr_u64(b->w, number(b, &o, "transaction_id", UINT64_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "max_response_length", UINT32_MAX));
    size_t lengths = wr_len(b->w);
    (void)wr_claim(b->w, 2 * ARRAY_COUNT(lists));
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        size_t before = wr_len(b->w);
        list(b, &o, lists[i].name, 0, lists[i].item);
        size_t len = wr_len(b->w) - before;
        if (len > UINT16_MAX) {
            wr_fail(b->w);
        } else if (wr_ok(b->w)) {
            struct wr at = wr_init(b->w->start + lengths + 2 * i, 2);
            wr_u16(&at, (uint16_t)len);
        }
    }
    wire_build_close(b, &o);
}

static void build_frame(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    uint8_t type = (uint8_t)number(b, &o, "type", UINT8_MAX);
    bool is_data = type == FRAME_DATA;
    wr_u8(b->w, type);
    wr_u32(b->w, (uint32_t)number(b, &o, is_data ? "sequence" : "ack_sequence", UINT32_MAX));
    if (is_data) {
        opaque(b, &o, "message", 3);
    } else {
        wr_u32(b->w, (uint32_t)number(b, &o, "received", UINT32_MAX));
    }
    wire_build_close(b, &o);
}

/* ---- contents ---- */

static void build_extension(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u16(b->w, (uint16_t)number(b, &o, "type", UINT16_MAX));
    wr_bool(b->w, wire_build_boolean(b, GET("critical"), "critical"));
    opaque(b, &o, "extension_contents", 4);
    wire_build_close(b, &o);
}

static void build_content(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u16(b->w, (uint16_t)number(b, &o, "message_code", UINT16_MAX));
    opaque(b, &o, "message_body", 4);
    list(b, &o, "extensions", 4, build_extension);
    wire_build_close(b, &o);
}

static void build_error(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u16(b->w, (uint16_t)number(b, &o, "error_code", UINT16_MAX));
    opaque(b, &o, "error_info", 2);
    wire_build_close(b, &o);
}

/* ---- security block ---- */

static void build_certificate(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u8(b->w, (uint8_t)number(b, &o, "type", UINT8_MAX));
    opaque(b, &o, "certificate", 2);
    wire_build_close(b, &o);
}

static void build_identity(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    uint8_t type = (uint8_t)number(b, &o, "identity_type", UINT8_MAX);
    wr_u8(b->w, type);
    size_t mark = wr_begin(b->w, 2);
    if (type == SECBLOCK_IDENTITY_CERT_HASH || type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        wr_u8(b->w, (uint8_t)number(b, &o, "hash_alg", UINT8_MAX));
        opaque(b, &o,
               type == SECBLOCK_IDENTITY_CERT_HASH ? "certificate_hash"
                                                   : "certificate_node_id_hash",
               1);
    } else if (type != SECBLOCK_IDENTITY_NONE) {
        (void)wire_build_hex(b, GET("unknown"), "unknown");
    }
    wr_end(b->w, 2, mark);
    wire_build_close(b, &o);
}

static void build_signature(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    struct build_object algorithm = wire_build_open(b, GET("algorithm"));
    wr_u8(b->w, (uint8_t)number(b, &algorithm, "hash", UINT8_MAX));
    wr_u8(b->w, (uint8_t)number(b, &algorithm, "signature", UINT8_MAX));
    wire_build_close(b, &algorithm);
    build_identity(b, GET("identity"));
    opaque(b, &o, "signature_value", 2);
    wire_build_close(b, &o);
}

static void build_secblock(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    list(b, &o, "certificates", 2, build_certificate);
    build_signature(b, GET("signature"));
    wire_build_close(b, &o);
}

/* ---- stored values ---- */

static bool find_model(const struct build *b, uint32_t kind, enum stored_model *model)
{
    for (size_t i = 0; i < b->c->kind_count; i++) {
        if (b->c->kinds[i].kind == kind) {
            *model = b->c->kinds[i].model;
            return true;
        }
    }
    return false;
}

/* Writes index or key; gives the object that has the rest. */
static struct build_object open_place(struct build *b, const json_t *v, enum stored_model model)
{
    struct build_object o = wire_build_open(b, v);
    if (model == STORED_SINGLE) {
        return o;
    }
    if (model == STORED_ARRAY) {
        wr_u32(b->w, (uint32_t)number(b, &o, "index", UINT32_MAX));
    } else {
        opaque(b, &o, "key", 2);
    }
    const json_t *value = GET("value");
    wire_build_all_taken(b, &o);
    struct build_object inner = wire_build_open(b, value);
    inner.depth = o.depth; /* closing it closes both */
    return inner;
}

static void build_value(struct build *b, const json_t *v, enum stored_model model)
{
    struct build_object o = open_place(b, v, model);
    wr_bool(b->w, wire_build_boolean(b, GET("exists"), "exists"));
    opaque(b, &o, "value", 4);
    wire_build_close(b, &o);
}

static void build_metadata(struct build *b, const json_t *v, enum stored_model model)
{
    struct build_object o = open_place(b, v, model);
    wr_bool(b->w, wire_build_boolean(b, GET("exists"), "exists"));
    wr_u32(b->w, (uint32_t)number(b, &o, "value_length", UINT32_MAX));
    wr_u8(b->w, (uint8_t)number(b, &o, "hash_algorithm", UINT8_MAX));
    opaque(b, &o, "hash_value", 1);
    wire_build_close(b, &o);
}

/* StoredData, or StoredMetaData. */
static void build_stored(struct build *b, const json_t *v, enum stored_model model, bool is_meta)
{
    struct build_object o = wire_build_open(b, v);
    size_t mark = wr_begin(b->w, 4);
    wr_u64(b->w, number(b, &o, "storage_time", UINT64_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "lifetime", UINT32_MAX));
    if (is_meta) {
        build_metadata(b, GET("metadata"), model);
    } else {
        build_value(b, GET("value"), model);
        build_signature(b, GET("signature"));
    }
    wr_end(b->w, 4, mark);
    wire_build_close(b, &o);
}

static void build_block(struct build *b, const json_t *v, const char *generation, bool is_stat)
{
    struct build_object o = wire_build_open(b, v);
    enum stored_model model = STORED_SINGLE;
    uint32_t kind = (uint32_t)number(b, &o, "kind", UINT32_MAX);
    wr_u32(b->w, kind);
    wr_u64(b->w, number(b, &o, generation, UINT64_MAX));
    if (!find_model(b, kind, &model)) {
        opaque(b, &o, "unknown", 4);
        wire_build_close(b, &o);
        return;
    }
    const json_t *values = GET("values");
    size_t mark = wr_begin(b->w, 4);
    size_t count = wire_build_count(b, values, "values");
    for (size_t i = 0; i < count && !b->failed; i++) {
        wire_build_at(b, "values", i);
        build_stored(b, json_array_get(values, i), model, is_stat);
    }
    wr_end(b->w, 4, mark);
    wire_build_close(b, &o);
}

void wire_build_core_store_block(struct build *b, const json_t *v)
{
    build_block(b, v, "generation_counter", false);
}

void wire_build_core_fetch_block(struct build *b, const json_t *v)
{
    build_block(b, v, "generation", false);
}

void wire_build_core_stat_block(struct build *b, const json_t *v)
{
    build_block(b, v, "generation", true);
}

static void build_replica(struct build *b, const json_t *v)
{
    wire_build_node(b, v, "replicas");
}

void wire_build_core_response(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u32(b->w, (uint32_t)number(b, &o, "kind", UINT32_MAX));
    wr_u64(b->w, number(b, &o, "generation_counter", UINT64_MAX));
    list(b, &o, "replicas", 2, build_replica);
    wire_build_close(b, &o);
}

static void build_range(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wr_u32(b->w, (uint32_t)number(b, &o, "first", UINT32_MAX));
    wr_u32(b->w, (uint32_t)number(b, &o, "last", UINT32_MAX));
    wire_build_close(b, &o);
}

static void build_specifier_key(struct build *b, const json_t *v)
{
    size_t mark = wr_begin(b->w, 2);
    (void)wire_build_hex(b, v, "keys");
    wr_end(b->w, 2, mark);
}

void wire_build_core_specifier(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    enum stored_model model = STORED_SINGLE;
    uint32_t kind = (uint32_t)number(b, &o, "kind", UINT32_MAX);
    wr_u32(b->w, kind);
    wr_u64(b->w, number(b, &o, "generation", UINT64_MAX));
    size_t mark = wr_begin(b->w, 2);
    if (!find_model(b, kind, &model)) {
        (void)wire_build_hex(b, GET("unknown"), "unknown");
    } else if (model == STORED_ARRAY) {
        list(b, &o, "indices", 2, build_range);
    } else if (model == STORED_DICTIONARY) {
        list(b, &o, "keys", 2, build_specifier_key);
    }
    wr_end(b->w, 2, mark);
    wire_build_close(b, &o);
}

/* ---- at the top ---- */

static void build_message(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    build_fwd(b, GET("header"));
    build_content(b, GET("contents"));
    build_secblock(b, GET("security_block"));
    wire_build_close(b, &o);
}

#define TOP(name, call)                                                                            \
    static void top_##name(struct build *b, const json_t *v)                                       \
    {                                                                                              \
        call;                                                                                      \
    }
TOP(data_value, build_value(b, v, STORED_SINGLE))
TOP(array_entry, build_value(b, v, STORED_ARRAY))
TOP(dictionary_entry, build_value(b, v, STORED_DICTIONARY))
TOP(metadata, build_metadata(b, v, STORED_SINGLE))
TOP(array_entry_meta, build_metadata(b, v, STORED_ARRAY))
TOP(dictionary_entry_meta, build_metadata(b, v, STORED_DICTIONARY))
TOP(data, build_stored(b, v, b->c->model, false))
TOP(meta, build_stored(b, v, b->c->model, true))
#undef TOP

static void top_nothing(struct build *b, const json_t *v)
{
    struct build_object o = wire_build_open(b, v);
    wire_build_close(b, &o);
}

const struct build_entry wire_build_core_table[] = {
    {"Message", build_message},
    {"ForwardingHeader", build_fwd},
    {"MessageContents", build_content},
    {"SecurityBlock", build_secblock},
    {"FramedMessage", build_frame},
    {"Destination", wire_build_core_destination},
    {"DestinationList", build_destinations},
    {"ForwardingOption", build_option},
    {"MessageExtension", build_extension},
    {"ErrorResponse", build_error},
    {"GenericCertificate", build_certificate},
    {"SignerIdentity", build_identity},
    {"Signature", build_signature},
    {"IpAddressPort", wire_build_core_address},
    {"StoredData", top_data},
    {"StoredMetaData", top_meta},
    {"DataValue", top_data_value},
    {"ArrayEntry", top_array_entry},
    {"DictionaryEntry", top_dictionary_entry},
    {"MetaData", top_metadata},
    {"ArrayEntryMeta", top_array_entry_meta},
    {"DictionaryEntryMeta", top_dictionary_entry_meta},
    {"StoreKindData", wire_build_core_store_block},
    {"FetchKindResponse", wire_build_core_fetch_block},
    {"StatKindResponse", wire_build_core_stat_block},
    {"StoreKindResponse", wire_build_core_response},
    {"StoredDataSpecifier", wire_build_core_specifier},
    {"StunMessage", wire_build_stun},
    {"LeaveAns", top_nothing},
    {"UpdateAns", top_nothing},
    {"ConfigUpdateAns", top_nothing},
};
const size_t wire_build_core_count = ARRAY_COUNT(wire_build_core_table);
