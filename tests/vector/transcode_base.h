/* SPDX-License-Identifier: Apache-2.0 */
/* transcode_base.h - the first part of transcode.h: helpers, addresses, headers, security block. */
#pragma once
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/kind_sip.h"
#include "codec/msgs.h"
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRANSCODE_BLOCKS = 4096 };

struct transcode {
    struct rl_params params;
    json_t *kinds;            /* Kind-ID in decimal -> data model; borrowed, may be NULL */
    enum stored_model model;  /* of a bare StoredData or StoredMetaData */
    struct wr w;              /* where the encoder of the structure at hand writes */
    bool is_bad;              /* a decoder has refused */
    struct slice signed_part; /* of a Message: its signature input */
    size_t block_count;
    void *blocks[TRANSCODE_BLOCKS];
};

static inline void *tc_block(struct transcode *t, size_t len)
{
    if (t->block_count == TRANSCODE_BLOCKS) {
        abort();
    }
    void *block = malloc(len == 0 ? 1 : len);
    t->blocks[t->block_count++] = block;
    return block;
}

/* Nested encoders write into a block of their own; the outer writer is put aside. */
static inline struct wr tc_open(struct transcode *t, size_t len)
{
    struct wr outer = t->w;
    t->w = wr_init(tc_block(t, len), len);
    return outer;
}

static inline struct slice tc_close(struct transcode *t, struct wr outer)
{
    struct slice written = wr_slice(&t->w);
    if (!wr_ok(&t->w)) {
        t->is_bad = true;
    }
    t->w = outer;
    return written;
}

static inline bool tc_refused(struct transcode *t, enum err e)
{
    t->is_bad |= e != ERR_OK;
    return t->is_bad;
}

static inline void tc_end(struct transcode *t, const struct rd *r)
{
    t->is_bad |= !rd_is_done(r);
}

/* ---- JSON ---- */

static inline void tc_set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
}

static inline void tc_int(json_t *o, const char *key, uint32_t v)
{
    tc_set(o, key, json_integer(v));
}

static inline json_t *tc_hex(struct slice s)
{
    char *text = malloc(2 * s.len + 1);
    json_t *j = json_string(ids_hex(s, text));
    free(text);
    return j;
}

static inline void tc_bytes(json_t *o, const char *key, struct slice s)
{
    tc_set(o, key, tc_hex(s));
}

static inline void tc_u64(json_t *o, const char *key, uint64_t v, int digits)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "0x%0*llx", digits, (unsigned long long)v);
    tc_set(o, key, json_string(text));
}

static inline json_t *tc_nodes(struct transcode *t, struct slice nodes)
{
    json_t *list = json_array();
    for (size_t i = 0; !t->is_bad && i < msgs_node_count(nodes, &t->params); i++) {
        struct node_id id = msgs_node_at(nodes, &t->params, i);
        json_array_append_new(list, tc_hex(ids_node_slice(&id, &t->params)));
    }
    return list;
}

/* ---- addresses, candidates ---- */

static inline json_t *tc_address(const struct candidate_address *a)
{
    json_t *o = json_object();
    tc_int(o, "type", a->type);
    if (a->address.family == 0) {
        tc_bytes(o, "unknown", a->unknown);
        return o;
    }
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = a->address.family == 4;
    json_t *inner = json_object();
    const char *ip = inet_ntop(is_v4 ? AF_INET : AF_INET6, a->address.ip, text, sizeof(text));
    tc_set(inner, "addr", json_string(ip));
    tc_int(inner, "port", a->address.port);
    tc_set(o, is_v4 ? "v4addr_port" : "v6addr_port", inner);
    return o;
}

static inline json_t *tc_IpAddressPort(struct transcode *t, struct slice in)
{
    struct rd r = rd_init(in);
    struct candidate_address a;
    candidate_rd_address(&r, &a);
    tc_end(t, &r);
    if (!t->is_bad) {
        candidate_wr_address(&t->w, &a);
    }
    return tc_address(&a);
}

static inline json_t *tc_TurnServer(struct transcode *t, struct slice in)
{
    struct msgs_turn_server m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_turn_server_decode(in, &t->params, &m))) {
        tc_int(o, "iteration", m.iteration);
        tc_set(o, "server_address", tc_address(&m.server_address));
        msgs_turn_server_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_ice_extensions(struct transcode *t, struct rd *r)
{
    json_t *list = json_array();
    struct candidate_extension e;
    while (candidate_extension_next(r, &e)) {
        json_t *o = json_object();
        tc_bytes(o, "name", e.name);
        tc_bytes(o, "value", e.value);
        json_array_append_new(list, o);
        candidate_wr_extension(&t->w, &e);
    }
    tc_end(t, r);
    return list;
}

/* The only item of a list that `list` was made from. */
static inline json_t *tc_only(struct transcode *t, json_t *list)
{
    json_t *item = json_incref(json_array_get(list, 0));
    t->is_bad |= json_array_size(list) != 1;
    json_decref(list);
    return item;
}

static inline json_t *tc_IceExtension(struct transcode *t, struct slice in)
{
    struct rd r = rd_init(in);
    return tc_only(t, tc_ice_extensions(t, &r));
}

static inline json_t *tc_candidates(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct candidate c;
    while (candidate_next(&r, &c)) {
        json_t *o = json_object();
        tc_set(o, "addr_port", tc_address(&c.address));
        tc_int(o, "overlay_link", c.overlay_link);
        tc_bytes(o, "foundation", c.foundation);
        tc_int(o, "priority", c.priority);
        tc_int(o, "type", c.type);
        if (c.type != CANDIDATE_HOST) {
            tc_set(o, "rel_addr_port", tc_address(&c.related));
        }
        struct rd extensions = rd_init(c.extensions);
        struct wr mine = tc_open(t, c.extensions.len);
        tc_set(o, "extensions", tc_ice_extensions(t, &extensions));
        c.extensions = tc_close(t, mine);
        json_array_append_new(list, o);
        candidate_wr(&t->w, &c);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_IceCandidate(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_candidates(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_AttachReqAns(struct transcode *t, struct slice in)
{
    struct msgs_attach m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_attach_decode(in, &t->params, &m))) {
        tc_bytes(o, "ufrag", m.ufrag);
        tc_bytes(o, "password", m.password);
        tc_bytes(o, "role", m.role);
        tc_set(o, "candidates", tc_candidates(t, &m.candidates));
        tc_set(o, "send_update", json_boolean(m.send_update));
        msgs_attach_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_AppAttach(struct transcode *t, struct slice in)
{
    struct msgs_app_attach m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_app_attach_decode(in, &t->params, &m))) {
        tc_bytes(o, "ufrag", m.ufrag);
        tc_bytes(o, "password", m.password);
        tc_int(o, "application", m.application);
        tc_bytes(o, "role", m.role);
        tc_set(o, "candidates", tc_candidates(t, &m.candidates));
        msgs_app_attach_wr(&t->w, &t->params, &m);
    }
    return o;
}

/* ---- destinations, forwarding header ---- */

static inline json_t *tc_destination(struct transcode *t, const struct fwd_destination *d)
{
    json_t *o = json_object();
    static const char *const names[] = {"", "node_id", "resource_id", "opaque_id"};
    if (d->is_compact) {
        tc_bytes(o, "compact", d->id);
    } else {
        tc_int(o, "type", d->type);
        tc_bytes(o, d->type < ARRAY_COUNT(names) ? names[d->type] : "unknown", d->id);
    }
    fwd_wr_destination(&t->w, d);
    return o;
}

static inline json_t *tc_destinations(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct fwd_destination d;
    while (fwd_next(&r, &t->params, &d)) {
        json_array_append_new(list, tc_destination(t, &d));
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_Destination(struct transcode *t, struct slice in)
{
    struct rd r = rd_init(in);
    struct fwd_destination d;
    fwd_rd_destination(&r, &t->params, &d);
    tc_end(t, &r);
    return tc_destination(t, &d);
}

static inline json_t *tc_DestinationList(struct transcode *t, struct slice in)
{
    json_t *o = json_object();
    tc_set(o, "destinations", tc_destinations(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_options(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct fwd_option f;
    while (fwd_option_next(&r, &f)) {
        json_t *o = json_object();
        tc_int(o, "type", f.type);
        tc_int(o, "flags", f.flags);
        tc_bytes(o, "option", f.value);
        json_array_append_new(list, o);
        fwd_wr_option(&t->w, f.type, f.flags, f.value);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_ForwardingOption(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_options(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_header(struct transcode *t, struct fwd *h)
{
    json_t *o = json_object();
    tc_u64(o, "relo_token", FWD_TOKEN, 8);
    tc_u64(o, "overlay", h->overlay, 8);
    tc_int(o, "configuration_sequence", h->configuration_sequence);
    tc_int(o, "version", h->version);
    tc_int(o, "ttl", h->ttl);
    tc_u64(o, "fragment", h->fragment, 8);
    tc_int(o, "length", h->length);
    tc_u64(o, "transaction_id", h->transaction_id, 16);
    tc_int(o, "max_response_length", h->max_response_length);
    tc_set(o, "via_list", tc_destinations(t, &h->via_list));
    tc_set(o, "destination_list", tc_destinations(t, &h->destination_list));
    tc_set(o, "options", tc_options(t, &h->options));
    fwd_wr(&t->w, h);
    return o;
}

static inline json_t *tc_ForwardingHeader(struct transcode *t, struct slice in)
{
    struct fwd h;
    if (tc_refused(t, fwd_decode_header(in, &t->params, &h))) {
        return NULL;
    }
    t->is_bad |= h.header_bytes != in.len || h.payload.len != 0;
    return tc_header(t, &h);
}

static inline json_t *tc_FramedMessage(struct transcode *t, struct slice in)
{
    struct frame f;
    json_t *o = json_object();
    if (!tc_refused(t, frame_decode(in, &f))) {
        bool is_data = f.type == FRAME_DATA;
        tc_int(o, "type", f.type);
        tc_int(o, is_data ? "sequence" : "ack_sequence", f.sequence);
        if (is_data) {
            tc_bytes(o, "message", f.message);
        } else {
            tc_int(o, "received", f.received);
        }
        frame_wr(&t->w, &f);
    }
    return o;
}

/* ---- contents, security block ---- */

static inline json_t *tc_extensions(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct content_extension e;
    while (content_extension_next(&r, &e)) {
        json_t *o = json_object();
        tc_int(o, "type", e.type);
        tc_set(o, "critical", json_boolean(e.critical));
        tc_bytes(o, "extension_contents", e.contents);
        json_array_append_new(list, o);
        content_wr_extension(&t->w, &e);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_MessageExtension(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_extensions(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_content(struct transcode *t, struct content *c)
{
    json_t *o = json_object();
    tc_int(o, "message_code", c->code);
    tc_bytes(o, "message_body", c->body);
    tc_set(o, "extensions", tc_extensions(t, &c->extensions));
    content_wr(&t->w, c->code, c->body, c->extensions);
    return o;
}

static inline json_t *tc_MessageContents(struct transcode *t, struct slice in)
{
    struct content c;
    struct slice rest;
    if (tc_refused(t, content_decode(in, &c, &rest))) {
        return NULL;
    }
    t->is_bad |= rest.len != 0 || !slice_is_equal(c.bytes, in);
    return tc_content(t, &c);
}

static inline json_t *tc_ErrorResponse(struct transcode *t, struct slice in)
{
    struct content_error e;
    json_t *o = json_object();
    if (!tc_refused(t, content_error_decode(in, &e))) {
        tc_int(o, "error_code", e.code);
        tc_bytes(o, "error_info", e.info);
        content_wr_error(&t->w, e.code, e.info);
    }
    return o;
}

static inline json_t *tc_kinds(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    uint32_t kind;
    while (msgs_kind_next(&r, &kind)) {
        json_array_append_new(list, json_integer(kind));
        wr_u32(&t->w, kind);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_UnknownKinds(struct transcode *t, struct slice in)
{
    struct msgs_unknown_kinds m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_unknown_kinds_decode(in, &t->params, &m))) {
        tc_set(o, "unknown_kinds", tc_kinds(t, &m.kinds));
        msgs_unknown_kinds_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_certificates(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct secblock_certificate c;
    while (secblock_certificate_next(&r, &c)) {
        json_t *o = json_object();
        tc_int(o, "type", c.type);
        tc_bytes(o, "certificate", c.der);
        json_array_append_new(list, o);
        secblock_wr_certificate(&t->w, c.type, c.der);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_GenericCertificate(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_certificates(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_identity(const struct secblock_identity *i)
{
    json_t *o = json_object();
    tc_int(o, "identity_type", i->type);
    if (i->type > SECBLOCK_IDENTITY_NONE) {
        tc_bytes(o, "unknown", i->hash);
    } else if (i->type != SECBLOCK_IDENTITY_NONE) {
        bool is_plain = i->type == SECBLOCK_IDENTITY_CERT_HASH;
        tc_int(o, "hash_alg", i->hash_algorithm);
        tc_bytes(o, is_plain ? "certificate_hash" : "certificate_node_id_hash", i->hash);
    }
    return o;
}

static inline json_t *tc_signature(const struct secblock_signature *s)
{
    json_t *o = json_object();
    json_t *algorithm = json_object();
    tc_int(algorithm, "hash", s->algorithm >> 8);
    tc_int(algorithm, "signature", s->algorithm & 0xff);
    tc_set(o, "algorithm", algorithm);
    tc_set(o, "identity", tc_identity(&s->identity));
    tc_bytes(o, "signature_value", s->value);
    return o;
}

static inline json_t *tc_SignerIdentity(struct transcode *t, struct slice in)
{
    struct rd r = rd_init(in);
    struct secblock_identity i;
    secblock_rd_identity(&r, &i);
    tc_end(t, &r);
    secblock_wr_identity(&t->w, &i);
    return tc_identity(&i);
}

static inline json_t *tc_Signature(struct transcode *t, struct slice in)
{
    struct rd r = rd_init(in);
    struct secblock_signature s;
    secblock_rd_signature(&r, &s);
    tc_end(t, &r);
    secblock_wr_signature(&t->w, &s);
    return tc_signature(&s);
}

static inline json_t *tc_SecurityBlock(struct transcode *t, struct slice in)
{
    struct secblock s;
    json_t *o = json_object();
    if (!tc_refused(t, secblock_decode(in, &s))) {
        tc_set(o, "certificates", tc_certificates(t, &s.certificates));
        t->is_bad |= json_array_size(json_object_get(o, "certificates")) != s.certificate_count;
        tc_set(o, "signature", tc_signature(&s.signature));
        secblock_wr(&t->w, s.certificates, &s.signature);
    }
    return o;
}

/* A whole message, and what its signature is over. */
static inline json_t *tc_Message(struct transcode *t, struct slice in)
{
    struct fwd h;
    struct content c;
    struct slice block;
    if (tc_refused(t, fwd_decode(in, &t->params, &h)) ||
        tc_refused(t, content_decode(h.payload, &c, &block))) {
        return NULL;
    }
    struct slice signed_bytes = c.bytes;
    json_t *o = json_object();
    tc_set(o, "header", tc_header(t, &h));
    tc_set(o, "contents", tc_content(t, &c));
    tc_set(o, "security_block", tc_SecurityBlock(t, block));
    struct secblock s;
    if (!tc_refused(t, secblock_decode(block, &s))) {
        size_t cap = 12 + signed_bytes.len + SECBLOCK_IDENTITY_BYTES_MAX;
        struct wr outer = tc_open(t, cap);
        secblock_wr_message_input(&t->w, h.overlay, h.transaction_id, signed_bytes,
                                  &s.signature.identity);
        t->signed_part = tc_close(t, outer);
    }
    return o;
}
