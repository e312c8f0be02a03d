/* SPDX-License-Identifier: Apache-2.0 */
/* show_core.c - the JSON printers of the structures that are decoded by hand: destinations, the
 * forwarding header, contents, security block, stored values, the whole message. */
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/secblock.h"
#include "codec/show_inside.h"

/* ---- addresses (6.3.1.1), as text ---- */

void show_core_address(struct show *s, const struct candidate_address *in)
{
    char text[ADDRESS_TEXT_CAP];
    show_text(s, "{");
    show_number_of(s, "type", in->type);
    if (in->address.family == 0) {
        show_bytes_of(s, "unknown", in->unknown);
    } else {
        show_key(s, in->address.family == 4 ? "v4addr_port" : "v6addr_port");
        show_text(s, "{");
        show_key(s, "addr");
        show_text(s, "\"");
        show_text(s, address_host_text(&in->address, text));
        show_text(s, "\"");
        show_number_of(s, "port", in->address.port);
        show_text(s, "}");
    }
    show_text(s, "}");
}

/* ---- forwarding header (6.3.2) ---- */

void show_core_destination(struct show *s, const struct fwd_destination *in)
{
    static const char *const names[] = {"", "node_id", "resource_id", "opaque_id"};
    show_text(s, "{");
    if (in->is_compact) {
        show_bytes_of(s, "compact", in->id);
    } else {
        show_number_of(s, "type", in->type);
        show_bytes_of(s, in->type < ARRAY_COUNT(names) ? names[in->type] : "unknown", in->id);
    }
    show_text(s, "}");
}

static void show_destinations(struct show *s, const char *name, struct slice list)
{
    struct rd r = rd_init(list);
    struct fwd_destination d;
    show_key(s, name);
    show_text(s, "[");
    while (fwd_next(&r, &s->c->params, &d)) {
        show_comma(s);
        show_core_destination(s, &d);
    }
    rd_close(s->r, &r);
    show_text(s, "]");
}

static void show_option(struct show *s, const struct fwd_option *in)
{
    show_text(s, "{");
    show_number_of(s, "type", in->type);
    show_number_of(s, "flags", in->flags);
    show_bytes_of(s, "option", in->value);
    show_text(s, "}");
}

static void show_fwd(struct show *s, const struct fwd *h)
{
    struct rd r = rd_init(h->options);
    struct fwd_option o;
    show_text(s, "{\"relo_token\":");
    show_hex_number(s, FWD_TOKEN, 8);
    show_key(s, "overlay");
    show_hex_number(s, h->overlay, 8);
    show_number_of(s, "configuration_sequence", h->configuration_sequence);
    show_number_of(s, "version", h->version);
    show_number_of(s, "ttl", h->ttl);
    show_key(s, "fragment");
    show_hex_number(s, h->fragment, 8);
    show_number_of(s, "length", h->length);
    show_key(s, "transaction_id");
    show_hex_number(s, h->transaction_id, 16);
    show_number_of(s, "max_response_length", h->max_response_length);
    show_destinations(s, "via_list", h->via_list);
    show_destinations(s, "destination_list", h->destination_list);
    show_key(s, "options");
    show_text(s, "[");
    while (fwd_option_next(&r, &o)) {
        show_comma(s);
        show_option(s, &o);
    }
    show_text(s, "]}");
}

static void show_frame(struct show *s, const struct frame *in)
{
    bool is_data = in->type == FRAME_DATA;
    show_text(s, "{");
    show_number_of(s, "type", in->type);
    show_number_of(s, is_data ? "sequence" : "ack_sequence", in->sequence);
    if (is_data) {
        show_bytes_of(s, "message", in->message);
    } else {
        show_number_of(s, "received", in->received);
    }
    show_text(s, "}");
}

/* ---- contents (6.3.3) ---- */

static void show_extension(struct show *s, const struct content_extension *in)
{
    show_text(s, "{");
    show_number_of(s, "type", in->type);
    show_boolean_of(s, "critical", in->critical);
    show_bytes_of(s, "extension_contents", in->contents);
    show_text(s, "}");
}

static void show_content(struct show *s, const struct content *in)
{
    struct rd r = rd_init(in->extensions);
    struct content_extension e;
    show_text(s, "{");
    show_number_of(s, "message_code", in->code);
    show_bytes_of(s, "message_body", in->body);
    show_key(s, "extensions");
    show_text(s, "[");
    while (content_extension_next(&r, &e)) {
        show_comma(s);
        show_extension(s, &e);
    }
    show_text(s, "]}");
}

static void show_error(struct show *s, const struct content_error *in)
{
    show_text(s, "{");
    show_number_of(s, "error_code", in->code);
    show_bytes_of(s, "error_info", in->info);
    show_text(s, "}");
}

/* ---- security block (6.3.4) ---- */

static void show_certificate(struct show *s, const struct secblock_certificate *in)
{
    show_text(s, "{");
    show_number_of(s, "type", in->type);
    show_bytes_of(s, "certificate", in->der);
    show_text(s, "}");
}

static void show_identity(struct show *s, const struct secblock_identity *in)
{
    show_text(s, "{");
    show_number_of(s, "identity_type", in->type);
    if (in->type > SECBLOCK_IDENTITY_NONE) {
        show_bytes_of(s, "unknown", in->hash);
    } else if (in->type != SECBLOCK_IDENTITY_NONE) {
        bool is_plain = in->type == SECBLOCK_IDENTITY_CERT_HASH;
        show_number_of(s, "hash_alg", in->hash_algorithm);
        show_bytes_of(s, is_plain ? "certificate_hash" : "certificate_node_id_hash", in->hash);
    }
    show_text(s, "}");
}

static void show_signature(struct show *s, const struct secblock_signature *in)
{
    show_text(s, "{\"algorithm\":{");
    show_number_of(s, "hash", in->algorithm >> 8);
    show_number_of(s, "signature", in->algorithm & 0xff);
    show_text(s, "}");
    show_key(s, "identity");
    show_identity(s, &in->identity);
    show_bytes_of(s, "signature_value", in->value);
    show_text(s, "}");
}

static void show_secblock(struct show *s, const struct secblock *in)
{
    struct rd r = rd_init(in->certificates);
    struct secblock_certificate c;
    show_text(s, "{\"certificates\":[");
    while (secblock_certificate_next(&r, &c)) {
        show_comma(s);
        show_certificate(s, &c);
    }
    show_text(s, "]");
    show_key(s, "signature");
    show_signature(s, &in->signature);
    show_text(s, "}");
}

/* ---- stored values (7) ---- */

void show_core_nodes(struct show *s, struct slice nodes)
{
    struct rd r = rd_init(nodes);
    struct node_id id;
    show_text(s, "[");
    while (rd_left(&r) > 0) {
        ids_rd_node(&r, &s->c->params, &id);
        show_comma(s);
        show_bytes(s, ids_node_slice(&id, &s->c->params));
    }
    rd_close(s->r, &r);
    show_text(s, "]");
}

static bool find_model(const struct show *s, uint32_t kind, enum stored_model *model)
{
    for (size_t i = 0; i < s->c->kind_count; i++) {
        if (s->c->kinds[i].kind == kind) {
            *model = s->c->kinds[i].model;
            return true;
        }
    }
    return false;
}

/* An index or key around what follows; close_place closes it. */
static void open_place(struct show *s, enum stored_model model, uint32_t index, struct slice key)
{
    show_text(s, "{");
    if (model == STORED_ARRAY) {
        show_number_of(s, "index", index);
    } else if (model == STORED_DICTIONARY) {
        show_bytes_of(s, "key", key);
    }
    if (model != STORED_SINGLE) {
        show_key(s, "value");
        show_text(s, "{");
    }
}

static void close_place(struct show *s, enum stored_model model)
{
    show_text(s, model == STORED_SINGLE ? "}" : "}}");
}

static void show_value(struct show *s, const struct stored_value *in)
{
    open_place(s, in->model, in->index, in->key);
    show_boolean_of(s, "exists", in->exists);
    show_bytes_of(s, "value", in->bytes);
    close_place(s, in->model);
}

static void show_metadata(struct show *s, const struct stored_meta *in)
{
    open_place(s, in->model, in->index, in->key);
    show_boolean_of(s, "exists", in->exists);
    show_number_of(s, "value_length", in->value_length);
    show_number_of(s, "hash_algorithm", in->hash_algorithm);
    show_bytes_of(s, "hash_value", in->hash);
    close_place(s, in->model);
}

static void show_times(struct show *s, uint64_t storage_time_ms, uint32_t lifetime_s)
{
    show_text(s, "{\"storage_time\":");
    show_hex_number(s, storage_time_ms, 16);
    show_number_of(s, "lifetime", lifetime_s);
}

static void show_data(struct show *s, const struct stored_data *in)
{
    show_times(s, in->storage_time_ms, in->lifetime_s);
    show_key(s, "value");
    show_value(s, &in->value);
    show_key(s, "signature");
    show_signature(s, &in->signature);
    show_text(s, "}");
}

static void show_meta(struct show *s, const struct stored_meta *in)
{
    show_times(s, in->storage_time_ms, in->lifetime_s);
    show_key(s, "metadata");
    show_metadata(s, in);
    show_text(s, "}");
}

static void show_values(struct show *s, struct slice values, enum stored_model model, bool is_stat)
{
    struct rd r = rd_init(values);
    show_text(s, "[");
    while (rd_left(&r) > 0) {
        struct stored_data d;
        struct stored_meta m;
        show_comma(s);
        if (is_stat) {
            stored_rd_meta(&r, model, &m);
            show_meta(s, &m);
        } else {
            stored_rd(&r, model, &d);
            show_data(s, &d);
        }
    }
    rd_close(s->r, &r);
    show_text(s, "]");
}

void show_core_block(struct show *s, const struct stored_block *in, enum show_block which)
{
    enum stored_model model = STORED_SINGLE;
    show_text(s, "{");
    show_number_of(s, "kind", in->kind);
    show_key(s, which == SHOW_STORE ? "generation_counter" : "generation");
    show_hex_number(s, in->generation, 16);
    if (find_model(s, in->kind, &model)) {
        show_key(s, "values");
        show_values(s, in->values, model, which == SHOW_STAT);
    } else {
        show_bytes_of(s, "unknown", in->values);
    }
    show_text(s, "}");
}

void show_core_response(struct show *s, const struct stored_response *in)
{
    show_text(s, "{");
    show_number_of(s, "kind", in->kind);
    show_key(s, "generation_counter");
    show_hex_number(s, in->generation, 16);
    show_key(s, "replicas");
    show_core_nodes(s, in->replicas);
    show_text(s, "}");
}

static void show_ranges(struct show *s, struct rd *items)
{
    struct stored_range range;
    show_key(s, "indices");
    show_text(s, "[");
    while (stored_range_next(items, &range)) {
        show_comma(s);
        show_text(s, "{");
        show_number_of(s, "first", range.first);
        show_number_of(s, "last", range.last);
        show_text(s, "}");
    }
    show_text(s, "]");
}

static void show_keys(struct show *s, struct rd *items)
{
    struct slice key;
    show_key(s, "keys");
    show_text(s, "[");
    while (stored_key_next(items, &key)) {
        show_comma(s);
        show_bytes(s, key);
    }
    show_text(s, "]");
}

void show_core_specifier(struct show *s, const struct stored_specifier *in)
{
    enum stored_model model = STORED_SINGLE;
    show_text(s, "{");
    show_number_of(s, "kind", in->kind);
    show_key(s, "generation");
    show_hex_number(s, in->generation, 16);
    if (find_model(s, in->kind, &model)) {
        struct rd items = stored_specifier_items(in, model);
        if (model == STORED_ARRAY) {
            show_ranges(s, &items);
        } else if (model == STORED_DICTIONARY) {
            show_keys(s, &items);
        }
        rd_close(s->r, &items);
    } else {
        show_bytes_of(s, "unknown", in->what);
    }
    show_text(s, "}");
}

/* ---- at the top: one structure read off s->r and shown, or written again ---- */

/* Of type `type`, read with RD and written with WR. */
#define TOP(name, type, RD, SHOW, WR)                                                              \
    static void top_##name(struct show *s)                                                         \
    {                                                                                              \
        type x;                                                                                    \
        RD;                                                                                        \
        if (rd_ok(s->r)) {                                                                         \
            SHOW;                                                                                  \
        }                                                                                          \
    }                                                                                              \
    static void again_##name(struct show *s)                                                       \
    {                                                                                              \
        type x;                                                                                    \
        RD;                                                                                        \
        if (rd_ok(s->r)) {                                                                         \
            WR;                                                                                    \
        }                                                                                          \
    }

#define P (&s->c->params)
TOP(address, struct candidate_address, candidate_rd_address(s->r, &x), show_core_address(s, &x),
    candidate_wr_address(s->w, &x))
TOP(destination, struct fwd_destination, fwd_rd_destination(s->r, P, &x),
    show_core_destination(s, &x), fwd_wr_destination(s->w, &x))
TOP(option, struct fwd_option, fwd_rd_option(s->r, &x), show_option(s, &x),
    fwd_wr_option(s->w, x.type, x.flags, x.value))
TOP(fwd, struct fwd, fwd_rd(s->r, P, &x), show_fwd(s, &x), fwd_wr(s->w, &x))
TOP(extension, struct content_extension, content_rd_extension(s->r, &x), show_extension(s, &x),
    content_wr_extension(s->w, &x))
TOP(content, struct content, content_rd(s->r, &x), show_content(s, &x),
    content_wr(s->w, x.code, x.body, x.extensions))
TOP(error, struct content_error, content_rd_error(s->r, &x), show_error(s, &x),
    content_wr_error(s->w, x.code, x.info))
TOP(certificate, struct secblock_certificate, secblock_rd_certificate(s->r, &x),
    show_certificate(s, &x), secblock_wr_certificate(s->w, x.type, x.der))
TOP(identity, struct secblock_identity, secblock_rd_identity(s->r, &x), show_identity(s, &x),
    secblock_wr_identity(s->w, &x))
TOP(signature, struct secblock_signature, secblock_rd_signature(s->r, &x), show_signature(s, &x),
    secblock_wr_signature(s->w, &x))
TOP(secblock, struct secblock, secblock_rd(s->r, &x), show_secblock(s, &x),
    secblock_wr(s->w, x.certificates, &x.signature))
TOP(data_value, struct stored_value, stored_rd_value(s->r, STORED_SINGLE, &x), show_value(s, &x),
    stored_wr_value(s->w, &x))
TOP(array_entry, struct stored_value, stored_rd_value(s->r, STORED_ARRAY, &x), show_value(s, &x),
    stored_wr_value(s->w, &x))
TOP(dictionary_entry, struct stored_value, stored_rd_value(s->r, STORED_DICTIONARY, &x),
    show_value(s, &x), stored_wr_value(s->w, &x))
TOP(metadata, struct stored_meta, stored_rd_metadata(s->r, STORED_SINGLE, &x), show_metadata(s, &x),
    stored_wr_metadata(s->w, &x))
TOP(array_entry_meta, struct stored_meta, stored_rd_metadata(s->r, STORED_ARRAY, &x),
    show_metadata(s, &x), stored_wr_metadata(s->w, &x))
TOP(dictionary_entry_meta, struct stored_meta, stored_rd_metadata(s->r, STORED_DICTIONARY, &x),
    show_metadata(s, &x), stored_wr_metadata(s->w, &x))
TOP(data, struct stored_data, stored_rd(s->r, s->c->model, &x), show_data(s, &x),
    stored_wr(s->w, &x))
TOP(meta, struct stored_meta, stored_rd_meta(s->r, s->c->model, &x), show_meta(s, &x),
    stored_wr_meta(s->w, &x))
TOP(store_block, struct stored_block, stored_rd_block(s->r, &x), show_core_block(s, &x, SHOW_STORE),
    stored_wr_block(s->w, &x))
TOP(fetch_block, struct stored_block, stored_rd_block(s->r, &x), show_core_block(s, &x, SHOW_FETCH),
    stored_wr_block(s->w, &x))
TOP(stat_block, struct stored_block, stored_rd_block(s->r, &x), show_core_block(s, &x, SHOW_STAT),
    stored_wr_block(s->w, &x))
TOP(response, struct stored_response, stored_rd_response(s->r, P, &x), show_core_response(s, &x),
    stored_wr_response(s->w, &x))
TOP(specifier, struct stored_specifier, stored_rd_specifier(s->r, &x), show_core_specifier(s, &x),
    stored_wr_specifier(s->w, &x))
TOP(frame, struct frame, frame_rd(s->r, &x), show_frame(s, &x), frame_wr(s->w, &x))
#undef TOP

/* Destinations without a length in front, as in a reload: URI (14.15). */
static void top_destinations(struct show *s)
{
    show_text(s, "{");
    show_destinations(s, "destinations", rd_rest(s->r));
    show_text(s, "}");
}

static void again_destinations(struct show *s)
{
    struct fwd_destination d;
    while (fwd_next(s->r, P, &d)) {
        fwd_wr_destination(s->w, &d);
    }
}

static void top_nothing(struct show *s)
{
    show_text(s, "{}");
}

static void again_nothing(struct show *s)
{
    (void)s;
}

/* ---- a whole message ---- */

static const struct {
    uint16_t code;
    const char *type;
} bodies[] = {
    {CONTENT_PROBE_REQ, "ProbeReq"},
    {CONTENT_PROBE_ANS, "ProbeAns"},
    {CONTENT_ATTACH_REQ, "AttachReqAns"},
    {CONTENT_ATTACH_ANS, "AttachReqAns"},
    {CONTENT_STORE_REQ, "StoreReq"},
    {CONTENT_STORE_ANS, "StoreAns"},
    {CONTENT_FETCH_REQ, "FetchReq"},
    {CONTENT_FETCH_ANS, "FetchAns"},
    {CONTENT_FIND_REQ, "FindReq"},
    {CONTENT_FIND_ANS, "FindAns"},
    {CONTENT_JOIN_REQ, "JoinReq"},
    {CONTENT_JOIN_ANS, "JoinAns"},
    {CONTENT_LEAVE_REQ, "LeaveReq"},
    {CONTENT_LEAVE_ANS, "LeaveAns"},
    {CONTENT_UPDATE_REQ, "ChordUpdate"},
    {CONTENT_UPDATE_ANS, "UpdateAns"},
    {CONTENT_ROUTE_QUERY_REQ, "RouteQueryReq"},
    {CONTENT_ROUTE_QUERY_ANS, "ChordRouteQueryAns"},
    {CONTENT_PING_REQ, "PingReq"},
    {CONTENT_PING_ANS, "PingAns"},
    {CONTENT_STAT_REQ, "StatReq"},
    {CONTENT_STAT_ANS, "StatAns"},
    {CONTENT_APP_ATTACH_REQ, "AppAttach"},
    {CONTENT_APP_ATTACH_ANS, "AppAttach"},
    {CONTENT_CONFIG_UPDATE_REQ, "ConfigUpdateReq"},
    {CONTENT_CONFIG_UPDATE_ANS, "ConfigUpdateAns"},
    {CONTENT_PATH_TRACK_REQ, "PathTrackReq"},
    {CONTENT_PATH_TRACK_ANS, "PathTrackAns"},
    {CONTENT_ERROR, "ErrorResponse"},
};

static void show_body(struct show *s, const struct content *c)
{
    const char *type = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        type = bodies[i].code == c->code ? bodies[i].type : type;
    }
    if (type == NULL) {
        show_text(s, ",\"body_type\":null,\"body\":null");
        return;
    }
    show_text(s, ",\"body_type\":\"");
    show_text(s, type);
    show_text(s, "\",\"body\":");
    struct rd r = rd_init(c->body);
    struct show body = {s->c, s->w, &r};
    show_find(slice_of(type, strlen(type)))->show(&body);
    if (rd_finish(&r) != ERR_OK) {
        rd_reject_at(s->r, r.why, r.at);
    }
}

struct message {
    struct fwd header;
    struct content content;
    struct secblock block;
};

static void read_message(struct show *s, struct message *m)
{
    struct rl_params params = s->c->params;
    if (!s->c->has_overlay) {
        struct rd overlay = rd_init(slice_from(slice_of(s->r->at, rd_left(s->r)), 4));
        params.overlay = rd_u32(&overlay);
    }
    memset(m, 0, sizeof(*m));
    fwd_rd_message(s->r, &params, &m->header);
    if (rd_ok(s->r) && !fwd_is_whole(&m->header)) {
        rd_reject(s->r, REJECT_FRAGMENT);
    }
    content_rd(s->r, &m->content);
    secblock_rd(s->r, &m->block);
}

static void top_message(struct show *s)
{
    struct message m;
    read_message(s, &m);
    if (rd_finish(s->r) == ERR_OK) {
        show_text(s, "{\"header\":");
        show_fwd(s, &m.header);
        show_key(s, "contents");
        show_content(s, &m.content);
        show_key(s, "security_block");
        show_secblock(s, &m.block);
        show_text(s, "}");
        show_body(s, &m.content);
    }
}

static void again_message(struct show *s)
{
    struct message m;
    read_message(s, &m);
    if (rd_ok(s->r)) {
        fwd_wr(s->w, &m.header);
        content_wr(s->w, m.content.code, m.content.body, m.content.extensions);
        secblock_wr(s->w, m.block.certificates, &m.block.signature);
    }
}

const struct show_entry show_core_table[] = {
    {"Message", top_message, again_message},
    {"ForwardingHeader", top_fwd, again_fwd},
    {"MessageContents", top_content, again_content},
    {"SecurityBlock", top_secblock, again_secblock},
    {"FramedMessage", top_frame, again_frame},
    {"Destination", top_destination, again_destination},
    {"DestinationList", top_destinations, again_destinations},
    {"ForwardingOption", top_option, again_option},
    {"MessageExtension", top_extension, again_extension},
    {"ErrorResponse", top_error, again_error},
    {"GenericCertificate", top_certificate, again_certificate},
    {"SignerIdentity", top_identity, again_identity},
    {"Signature", top_signature, again_signature},
    {"IpAddressPort", top_address, again_address},
    {"StoredData", top_data, again_data},
    {"StoredMetaData", top_meta, again_meta},
    {"DataValue", top_data_value, again_data_value},
    {"ArrayEntry", top_array_entry, again_array_entry},
    {"DictionaryEntry", top_dictionary_entry, again_dictionary_entry},
    {"MetaData", top_metadata, again_metadata},
    {"ArrayEntryMeta", top_array_entry_meta, again_array_entry_meta},
    {"DictionaryEntryMeta", top_dictionary_entry_meta, again_dictionary_entry_meta},
    {"StoreKindData", top_store_block, again_store_block},
    {"FetchKindResponse", top_fetch_block, again_fetch_block},
    {"StatKindResponse", top_stat_block, again_stat_block},
    {"StoreKindResponse", top_response, again_response},
    {"StoredDataSpecifier", top_specifier, again_specifier},
    {"LeaveAns", top_nothing, again_nothing},
    {"UpdateAns", top_nothing, again_nothing},
    {"ConfigUpdateAns", top_nothing, again_nothing},
};
const size_t show_core_count = ARRAY_COUNT(show_core_table);
