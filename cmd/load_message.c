/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_message.h"
#include "codec/msgs.h"
#include "codec/stored.h"
#include <stdio.h>

enum { VALUE_CAP = 64, INPUT_CAP = 2048, WHY_CAP = 40 };

/* Overlay Resource-ID of a Resource Name: the first 16 bytes of SHA-1 (RFC 6940 10.2). */
static struct slice resource_of(struct slice name, uint8_t hash[CRYPTO_SHA1_BYTES])
{
    crypto_boring()->sha1(name, hash);
    return slice_of(hash, LOAD_MESSAGE_RESOURCE_BYTES);
}

static struct secblock_signature unsigned_of(const struct ident *who)
{
    return (struct secblock_signature){
        .algorithm = (uint16_t)who->algorithm,
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(who->certificate_sha256, sizeof(who->certificate_sha256))}};
}

static bool sign(const struct ident *who, const struct wr *input, uint8_t out[CRYPTO_SIGNATURE_CAP],
                 struct secblock_signature *signature)
{
    size_t len = 0;
    if (!wr_ok(input) || crypto_boring()->sign(who->key, wr_slice(input), out, &len) != ERR_OK) {
        return false;
    }
    signature->value = slice_of(out, len);
    return true;
}

/* Header without a length yet; the contents follow. */
static void wr_header_to(const struct load_message *m, struct slice destination_list, struct wr *w)
{
    struct fwd h = {.overlay = m->overlay->params.overlay,
                    .configuration_sequence = m->overlay->configuration_sequence,
                    .version = FWD_VERSION,
                    .ttl = m->overlay->initial_ttl,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = m->transaction_id,
                    .destination_list = destination_list};
    fwd_wr(w, &h);
}

static void wr_header(const struct load_message *m, struct slice resource, struct wr *w)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    struct wr d = wr_init(list, sizeof(list));
    fwd_wr_resource(&d, resource);
    wr_header_to(m, wr_slice(&d), w);
}

/* The SecurityBlock over what stands behind `contents_at`, and the length: a message. */
static size_t seal(const struct load_message *m, struct wr *w, size_t contents_at)
{
    const struct ident *who = &m->signer->keys.ident;
    uint8_t value[CRYPTO_SIGNATURE_CAP];
    uint8_t bytes[INPUT_CAP];
    struct wr input = wr_init(bytes, sizeof(bytes));
    struct secblock_signature signature = unsigned_of(who);
    struct slice chain[1 + KEYSTORE_INTERMEDIATES_CAP] = {who->certificate};
    for (size_t i = 0; i < who->intermediate_count; i++) {
        chain[i + 1] = who->intermediates[i];
    }
    secblock_wr_message_input(&input, m->overlay->params.overlay, m->transaction_id,
                              slice_from(wr_slice(w), contents_at), &signature.identity);
    if (!wr_ok(w) || !sign(who, &input, value, &signature)) {
        return 0;
    }
    secblock_wr_x509(w, chain, 1 + who->intermediate_count, &signature);
    if (!wr_ok(w)) {
        return 0;
    }
    fwd_put_length(w->start, (uint32_t)wr_len(w));
    return wr_len(w);
}

size_t load_message_fetch(const struct load_message *m, uint8_t *out)
{
    uint8_t hash[CRYPTO_SHA1_BYTES];
    uint8_t list[VALUE_CAP];
    struct wr w = wr_init(out, LOAD_MESSAGE_CAP);
    struct wr s = wr_init(list, sizeof(list));
    struct slice resource = resource_of(slice_text(m->about->keys.ident.user), hash);
    struct slice key = ids_node_slice(&m->about->keys.ident.node_id, &m->overlay->params);
    stored_wr_specifier_dictionary(&s, OVERLAY_KIND_SIP_REGISTRATION, 0, &key, 1);
    wr_header(m, resource, &w);
    size_t contents_at = wr_len(&w);
    size_t mark = content_begin(&w, CONTENT_FETCH_REQ);
    struct msgs_fetch_req body = {.resource = resource, .specifiers = wr_slice(&s)};
    msgs_fetch_req_wr(&w, &m->overlay->params, &body);
    content_end(&w, mark);
    return seal(m, &w, contents_at);
}

size_t load_message_attach(const struct load_message *m, const struct node_id *node,
                           const struct address *local, uint8_t *out)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    uint8_t candidates[128];
    struct wr w = wr_init(out, LOAD_MESSAGE_CAP);
    struct wr d = wr_init(list, sizeof(list));
    struct wr c = wr_init(candidates, sizeof(candidates));
    fwd_wr_node(&d, &m->overlay->params, node);
    msgs_wr_host_candidate(&c, local, CANDIDATE_DTLS_UDP_SR_NO_ICE, UINT32_MAX >> 1);
    wr_header_to(m, wr_slice(&d), &w);
    size_t contents_at = wr_len(&w);
    size_t mark = content_begin(&w, CONTENT_ATTACH_REQ);
    struct msgs_attach body = {.ufrag = SLICE_LITERAL("none"),
                               .password = SLICE_LITERAL("none"),
                               .role = SLICE_LITERAL("passive"),
                               .candidates = wr_slice(&c)};
    msgs_attach_wr(&w, &m->overlay->params, &body);
    content_end(&w, mark);
    return seal(m, &w, contents_at);
}

/* Where calls to the signer go: its own Node-ID (RFC 7904 3.2). */
static void wr_route(const struct load_message *m, struct wr *w)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    struct wr d = wr_init(list, sizeof(list));
    fwd_wr_node(&d, &m->overlay->params, &m->signer->keys.ident.node_id);
    struct msgs_sip_registration route = {.type = MSGS_SIP_ROUTE, .destination_list = wr_slice(&d)};
    msgs_sip_registration_wr(w, &m->overlay->params, &route);
}

/* One signed value (RFC 6940 7.1). */
static bool wr_value(const struct load_message *m, const struct load_message_value *v,
                     struct slice resource, struct wr *w)
{
    const struct ident *who = &m->signer->keys.ident;
    struct slice key = ids_node_slice(&who->node_id, &m->overlay->params);
    uint8_t bytes[1024];
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    struct wr input = wr_init(bytes, sizeof(bytes));
    struct stored_data d = {.storage_time_ms = m->storage_time_ms,
                            .lifetime_s = m->lifetime_s,
                            .value = {.model = v->model,
                                      .exists = v->exists,
                                      .index = v->index,
                                      .key = v->model == STORED_DICTIONARY ? key : SLICE_EMPTY,
                                      .bytes = v->bytes},
                            .signature = unsigned_of(who)};
    stored_wr_signature_input(&input, resource, v->kind, &d);
    if (!sign(who, &input, signature, &d.signature)) {
        return false;
    }
    stored_wr(w, &d);
    return wr_ok(w);
}

size_t load_message_store(const struct load_message *m, uint8_t *out)
{
    uint8_t value[VALUE_CAP];
    struct wr w = wr_init(value, sizeof(value));
    wr_route(m, &w);
    struct load_message_value v = {.name = slice_text(m->signer->keys.ident.user),
                                   .kind = OVERLAY_KIND_SIP_REGISTRATION,
                                   .model = STORED_DICTIONARY,
                                   .exists = true,
                                   .bytes = wr_slice(&w)};
    return wr_ok(&w) ? load_message_store_value(m, &v, out) : 0;
}

size_t load_message_store_value(const struct load_message *m, const struct load_message_value *v,
                                uint8_t *out)
{
    uint8_t hash[CRYPTO_SHA1_BYTES];
    uint8_t blocks[1024];
    struct wr w = wr_init(out, LOAD_MESSAGE_CAP);
    struct wr b = wr_init(blocks, sizeof(blocks));
    struct slice resource = resource_of(v->name, hash);
    size_t block = stored_block_begin(&b, v->kind, 0);
    if (!wr_value(m, v, resource, &b)) {
        return 0;
    }
    stored_block_end(&b, block);
    wr_header(m, resource, &w);
    size_t contents_at = wr_len(&w);
    size_t mark = content_begin(&w, CONTENT_STORE_REQ);
    struct msgs_store_req body = {.resource = resource, .kind_data = wr_slice(&b)};
    msgs_store_req_wr(&w, &m->overlay->params, &body);
    content_end(&w, mark);
    return seal(m, &w, contents_at);
}

/* ---- answers ---- */

/* Does the FetchAns have a value in it? */
static bool has_value(const struct load_overlay *o, struct slice body)
{
    struct msgs_fetch_ans answer;
    struct stored_block block;
    struct stored_data value;
    if (msgs_fetch_ans_decode(body, &o->params, &answer) != ERR_OK) {
        return false;
    }
    struct rd blocks = rd_init(answer.kind_responses);
    if (!stored_block_next(&blocks, &block)) {
        return false;
    }
    struct rd values = rd_init(block.values);
    return stored_next(&values, STORED_DICTIONARY, &value) && value.value.exists;
}

bool load_message_judge(const struct load_overlay *o, struct slice message,
                        uint64_t *transaction_id, uint16_t *code, char why[40])
{
    struct fwd h;
    struct content c;
    struct slice rest;
    struct content_error error;
    why[0] = '\0';
    if (fwd_decode(message, &o->params, &h) != ERR_OK || !fwd_is_whole(&h) ||
        content_decode(h.payload, &c, &rest) != ERR_OK || !content_is_answer(c.code)) {
        return false;
    }
    *transaction_id = h.transaction_id;
    *code = c.code;
    if (c.code == CONTENT_ERROR) {
        bool is_read = content_error_decode(c.body, &error) == ERR_OK;
        (void)snprintf(why, WHY_CAP, "error_%s",
                       is_read ? content_error_name(error.code) : "malformed");
    } else if (c.code == CONTENT_FETCH_ANS && !has_value(o, c.body)) {
        (void)snprintf(why, WHY_CAP, "absent");
    }
    return true;
}
