/* SPDX-License-Identifier: Apache-2.0 */
/* asked.c - see asked.h. */
#include "sip/asked.h"
#include "core/hash.h"
#include "sip/forward.h"
#include "sip/gruu.h"

static void hash16(struct turn *t, struct slice text, uint8_t out[16])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    t->crypto->sha256(text, hash);
    memcpy(out, hash, 16);
}

uint32_t asked_expires(const struct sip *s, const struct sip_rx *rx)
{
    uint32_t seconds = 0;
    struct slice value = sip_msg_first(rx->m, SIP_HDR_EXPIRES);
    if (value.data == NULL) {
        return s->settings.default_expires_s;
    }
    enum err e = sip_hdr_number_decode(value, UINT32_MAX, &seconds);
    if (e == ERR_TOO_LARGE) {
        return UINT32_MAX;
    }
    return e == ERR_OK ? seconds : s->settings.default_expires_s;
}

static enum err read_contact(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                             struct slice item, struct asked_contact *c)
{
    struct sip_lex_param p;
    *c = (struct asked_contact){0};
    if (sip_hdr_address_within(rx->m->bytes, item, &c->address, &c->uri) != ERR_OK ||
        c->address.is_star || (c->uri.scheme != SIP_URI_SIP && c->uri.scheme != SIP_URI_SIPS)) {
        return ERR_MALFORMED;
    }
    if (c->uri.scheme == SIP_URI_SIPS && !flow_is_secure(&rx->from)) {
        return ERR_FORBIDDEN; /* it could not be reached over TLS */
    }
    struct gruu g;
    gruu_read(s, &c->uri, &g);
    if (g.kind != GRUU_NONE) { /* 5627 5.1: a contact that is a GRUU would lead to itself */
        return ERR_UNSUPPORTED;
    }
    if (c->address.uri.len > REGISTRAR_URI_CAP) {
        return ERR_TOO_LARGE;
    }
    c->expires_s = c->address.has_expires ? c->address.expires_s : asked_expires(s, rx);
    if (c->expires_s > s->settings.max_expires_s) {
        c->expires_s = s->settings.max_expires_s;
    }
    c->is_forward = forward_is_one(s, &c->uri, &rx->core.to_uri);
    if (c->is_forward) {
        return ERR_OK; /* no device */
    }
    if (sip_lex_param_find(c->address.params, SLICE_LITERAL("+sip.instance"), &p) &&
        p.value.len > 0) {
        uint8_t text[CRYPTO_SHA256_BYTES + sizeof(uint32_t)];
        uint32_t id = 0; /* 1 to 2^31 - 1 (5626 4.2): anything else is none */
        struct wr w = wr_init(text, sizeof(text));
        t->crypto->sha256(p.value, wr_claim(&w, CRYPTO_SHA256_BYTES));
        c->instance_text = p.value;
        c->has_reg_id = sip_lex_param_find(c->address.params, SLICE_LITERAL("reg-id"), &p) &&
                        sip_lex_u32(p.value, INT32_MAX, &id) == ERR_OK && id > 0;
        wr_u32(&w, id);
        hash16(t, wr_slice(&w), c->instance);
        c->has_instance = true;
    }
    return ERR_OK;
}

void asked_begin(const struct sip *s, const struct sip_rx *rx, struct asked *out)
{
    out->rx = rx;
    out->items = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    out->has_star = out->has_forward = false;
    out->count = 0;
    hash_128(rx->core.call_id, s->source_seed, out->call_id);
}

enum err asked_next(struct turn *t, const struct sip *s, struct asked *a)
{
    struct slice item;
    if (sip_msg_items_next(&a->items, &item) != ERR_OK) {
        return ERR_NOT_FOUND;
    }
    if (slice_is_equal(sip_lex_trim(item), SLICE_LITERAL("*"))) {
        a->has_star = true;
        return ERR_OK;
    }
    if (a->count == min_size(ASKED_CAP, s->settings.limits->sip_bindings_per_account)) {
        return ERR_LIMIT;
    }
    enum err e = read_contact(t, s, a->rx, item, &a->list[a->count]);
    const struct asked_contact *c = &a->list[a->count];
    if (e == ERR_OK && c->is_forward && c->expires_s > 0) {
        e = a->has_forward ? ERR_EXISTS : ERR_OK;
        a->has_forward = true;
    }
    a->count += e == ERR_OK ? 1 : 0;
    return e;
}

void asked_read(struct turn *t, const struct sip *s, const struct sip_rx *rx, struct asked *out)
{
    enum err e = ERR_OK;
    asked_begin(s, rx, out);
    while (e != ERR_NOT_FOUND && e != ERR_LIMIT) {
        e = asked_next(t, s, out);
    }
}

bool asked_is_in_order(const struct asked *a, const struct registrar_binding *b)
{
    return memcmp(a->call_id, b->call_id, sizeof(a->call_id)) != 0 ||
           a->rx->core.cseq.number > b->cseq;
}

bool asked_is_same(const struct registrar_binding *b, const struct asked_contact *c)
{
    struct sip_uri uri;
    if (b->has_instance && c->has_instance) {
        return memcmp(b->instance, c->instance, sizeof(b->instance)) == 0;
    }
    if (slice_is_equal(registrar_uri(b), c->address.uri)) {
        return true; /* letter by letter: nearly always */
    }
    return registrar_uri_decode(b, &uri) == ERR_OK && sip_uri_is_equal(&uri, &c->uri);
}

bool asked_has(const struct asked *a, const struct registrar_binding *b)
{
    bool is_it = false;
    for (unsigned i = 0; i < a->count && !is_it; i++) {
        is_it = asked_is_same(b, &a->list[i]);
    }
    return is_it;
}

/* Did a proxy bring it?  Then the contact is reached the same way back, whatever host it names. */
static bool is_brought(const struct sip_rx *rx)
{
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    return sip_msg_items_next(&it, &item) == ERR_OK && sip_msg_items_next(&it, &item) == ERR_OK;
}

struct flow_ref asked_flow(const struct sip_rx *rx, const struct asked_contact *c)
{
    struct flow_ref flow = tx_server_return(&rx->core, &rx->from);
    struct address via, contact;
    enum { SIP_PORT = 5060 };
    if (rx->from.kind == SIP_UDP && !is_brought(rx) &&
        address_parse(rx->core.via.host, SIP_PORT, &via) == ERR_OK) {
        contact = via; /* mostly written alike */
        if (!slice_is_equal(c->uri.host, rx->core.via.host) &&
            address_parse(c->uri.host, SIP_PORT, &contact) != ERR_OK) {
            return flow;
        }
        via.port = rx->core.via.port == 0 ? SIP_PORT : rx->core.via.port;
        contact.port = c->uri.port == 0 ? SIP_PORT : c->uri.port;
        if (address_is_equal(&via, &rx->from.remote) &&
            address_is_same_host(&contact, &rx->from.remote)) {
            flow.remote = contact;
        }
    }
    return flow;
}
