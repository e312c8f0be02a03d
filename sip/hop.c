/* SPDX-License-Identifier: Apache-2.0 */
/* hop.c - see hop.h.
 *
 * A token is hex of: the second it was made (4), kind, shard (2), family, then for UDP port (2) and
 * address (4 or 16), for streams the flow's handle (8), then a MAC of 8 bytes.  Towards another
 * domain the kind has FOREIGN in it, and there is neither address nor handle: what goes on from
 * there is looked up each time (sip/foreign).  But of TLS it says which domain was proved (16). */
#include "sip/hop.h"

enum {
    SEAL_BYTES = 8,
    TOKEN_CAP = 4 + 3 + 1 + 2 + 16 + SEAL_BYTES,
    SIP_PORT = 5060,
    SIPS_PORT = 5061,
    FOREIGN = 0x80,
    NODE_DIGITS = 2 * IDS_RING_BYTES
};

static void seal(struct turn *t, const struct sip *s, struct slice bytes, uint8_t out[SEAL_BYTES])
{
    uint8_t mac[MAC_BYTES];
    mac_of(t, &s->keys, MAC_TOKEN, bytes, mac);
    memcpy(out, mac, SEAL_BYTES);
}

static uint32_t now_s(const struct turn *t)
{
    return (uint32_t)(t->now_us / 1000000);
}

/* Compares without telling by its time where the difference is. */
static bool is_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < len; i++) {
        differs |= (uint8_t)(a[i] ^ b[i]);
    }
    return differs == 0;
}

static void write_token(struct turn *t, const struct sip *s, const struct flow_ref *f,
                        struct sip_writer *w)
{
    uint8_t bytes[TOKEN_CAP], mac[SEAL_BYTES];
    char hex[2 * TOKEN_CAP + 1];
    struct wr token = wr_init(bytes, sizeof(bytes));
    wr_u32(&token, now_s(t));
    wr_u8(&token, f->is_foreign ? FOREIGN | f->kind : f->kind);
    wr_u16(&token, f->shard);
    wr_u8(&token, f->remote.family);
    if (f->is_foreign && f->kind == SIP_TLS) {
        static const uint8_t none[sizeof(((struct flow *)NULL)->domain)];
        const struct flow *way = pool_get(&s->flows, f->flow);
        wr_bytes(&token, slice_of(way == NULL ? none : way->domain, sizeof(none)));
    } else if (f->is_foreign) {
        /* no way of its own */
    } else if (f->kind == SIP_UDP) {
        wr_u16(&token, f->remote.port);
        wr_bytes(&token, slice_of(f->remote.ip, f->remote.family == 4 ? 4 : 16));
    } else {
        wr_u64(&token, f->flow);
    }
    seal(t, s, wr_slice(&token), mac);
    wr_bytes(&token, slice_of(mac, sizeof(mac)));
    CHECK(wr_ok(&token));
    sip_write_text(w, ids_hex(wr_slice(&token), hex));
}

static bool read_token(struct turn *t, const struct sip *s, struct slice user, struct flow_ref *out)
{
    uint8_t bytes[TOKEN_CAP], mac[SEAL_BYTES];
    size_t len = 0;
    if (ids_unhex(user, bytes, sizeof(bytes), &len) != ERR_OK || len <= SEAL_BYTES) {
        return false;
    }
    seal(t, s, slice_of(bytes, len - SEAL_BYTES), mac);
    if (!is_same(mac, bytes + len - SEAL_BYTES, SEAL_BYTES)) {
        return false;
    }
    struct rd r = rd_init(slice_of(bytes, len - SEAL_BYTES));
    if (now_s(t) + 1 - rd_u32(&r) > HOP_TOKEN_S + 1) { /* a sibling's clock may be ahead a little */
        return false;
    }
    *out = (struct flow_ref){.kind = rd_u8(&r)};
    out->shard = rd_u16(&r);
    out->remote.family = rd_u8(&r);
    out->is_foreign = (out->kind & FOREIGN) != 0;
    out->kind &= FOREIGN - 1;
    if (out->is_foreign && out->kind == SIP_TLS) {
        struct slice domain = rd_rest(&r);
        if (domain.len != sizeof(out->remote.ip)) {
            return false;
        }
        memcpy(out->remote.ip, domain.data, domain.len); /* see hop.h */
    } else if (out->is_foreign) {
        /* see sip/foreign */
    } else if (out->kind == SIP_UDP) {
        out->remote.port = rd_u16(&r);
        struct slice ip = rd_rest(&r);
        memcpy(out->remote.ip, ip.data, ip.len);
    } else {
        out->flow = rd_u64(&r);
    }
    return rd_is_done(&r) && out->shard < s->settings.shards;
}

/* RFC 7118 5.3: "ws" for both; RFC 5630 3.1.3: with sips there is no "tls" to be said. */
const char *hop_transport(const struct flow_ref *side, bool is_sips)
{
    switch (side->kind) {
    case SIP_TCP:
        return ";transport=tcp";
    case SIP_TLS:
        return is_sips ? "" : ";transport=tls";
    case SIP_WS:
    case SIP_WSS:
        return ";transport=ws";
    default:
        return "";
    }
}

static struct slice record(struct turn *t, const struct sip *s, const struct flow_ref *side,
                           bool is_both, bool is_sips, char *out)
{
    struct sip_writer w;
    struct slice text;
    sip_write_init(&w, (uint8_t *)out, HOP_URI_CAP);
    sip_write_text(&w, is_sips ? "<sips:" : "<sip:");
    if (!flow_is_peer(side)) {
        write_token(t, s, side, &w);
        sip_write_text(&w, "@");
    }
    sip_write_text(&w, sip_state_host(s, side));
    sip_write_text(&w, hop_transport(side, is_sips));
    sip_write_text(&w, ";lr;s=");
    sip_write_u32(&w, s->settings.shard);
    if (is_both) {
        sip_write_text(&w, ";node=");
        sip_write_slice(&w, slice_sub(s->self_text, 0, NODE_DIGITS));
    }
    sip_write_text(&w, ">");
    enum err e = sip_write_finish(&w, &text);
    CHECK(e == ERR_OK); /* HOP_URI_CAP has room for the longest domain */
    return text;
}

struct slice hop_record(struct turn *t, const struct sip *s, const struct flow_ref *side,
                        bool is_sips, char *out)
{
    return record(t, s, side, false, is_sips, out);
}

struct slice hop_record_both(struct turn *t, const struct sip *s, const struct flow_ref *phone,
                             bool is_sips, char *out)
{
    CHECK(!flow_is_peer(phone));
    return record(t, s, phone, true, is_sips, out);
}

/* RFC 3261 19.1.2; of WebSockets it is HTTP's (RFC 7118 5.3), which our own URIs never leave out.
 */
static uint16_t default_port(const struct sip_uri *uri)
{
    struct slice transport;
    bool is_tls = sip_uri_param(uri, SLICE_LITERAL("transport"), &transport) &&
                  slice_is_equal_nocase(transport, SLICE_LITERAL("tls"));
    return is_tls || uri->scheme == SIP_URI_SIPS ? SIPS_PORT : SIP_PORT;
}

/* The phone side's addresses, whatever the shard. */
static bool is_phone_side(const struct sip *s, const struct sip_uri *uri)
{
    struct address a;
    if (uri->host_kind == SIP_LEX_HOST_NAME || address_parse(uri->host, SIP_PORT, &a) != ERR_OK ||
        (!address_is_same_host(&a, &s->settings.advertised) &&
         !address_is_same_host(&a, &s->settings.second))) {
        return false;
    }
    uint16_t port = uri->port != 0 ? uri->port : default_port(uri);
    bool is_ours = port == s->settings.advertised.port;
    for (unsigned kind = SIP_TLS; kind < SIP_PEER; kind++) {
        is_ours = is_ours || (port == s->settings.ports[kind] && port != 0);
    }
    return is_ours;
}

static bool read_node(struct slice digits, struct node_id *node)
{
    size_t len = 0;
    memset(node, 0, sizeof(*node));
    return digits.len == NODE_DIGITS &&
           ids_unhex(digits, node->bytes, sizeof(node->bytes), &len) == ERR_OK;
}

bool hop_node(const struct sip *s, struct slice host, struct node_id *node)
{
    memset(node, 0, sizeof(*node));
    return host.len > NODE_DIGITS + 1 && host.data[NODE_DIGITS] == '.' &&
           slice_is_equal_nocase(slice_from(host, NODE_DIGITS + 1), s->domain_text) &&
           read_node(slice_sub(host, 0, NODE_DIGITS), node);
}

bool hop_is_us(const struct sip *s, const struct sip_uri *uri)
{
    return is_phone_side(s, uri) || slice_is_equal_nocase(uri->host, s->domain_text) ||
           slice_is_equal_nocase(uri->host, s->self_text);
}

bool hop_is_sent_elsewhere(const struct sip *s, const struct sip_uri *uri)
{
    struct slice maddr;
    struct address a;
    if (!sip_uri_param(uri, SLICE_LITERAL("maddr"), &maddr)) {
        return false;
    }
    if (address_parse(maddr, SIP_PORT, &a) != ERR_OK) {
        return !slice_is_equal_nocase(maddr, s->domain_text);
    }
    return !address_is_same_host(&a, &s->settings.advertised) &&
           !address_is_same_host(&a, &s->settings.second);
}

static bool read_uri(const struct sip_rx *rx, struct slice item, struct sip_uri *uri)
{
    struct sip_hdr_address address;
    return sip_hdr_address_within(rx->m->bytes, item, &address, uri) == ERR_OK &&
           !address.is_star && (uri->scheme == SIP_URI_SIP || uri->scheme == SIP_URI_SIPS);
}

static bool read_shard(const struct sip *s, const struct sip_uri *uri, uint16_t *shard)
{
    struct slice text;
    uint32_t number = 0;
    if (!sip_uri_param(uri, SLICE_LITERAL("s"), &text) ||
        sip_lex_u32(text, UINT16_MAX, &number) != ERR_OK || number >= s->settings.shards) {
        return false;
    }
    *shard = (uint16_t)number;
    return true;
}

bool hop_shard(const struct sip *s, const struct sip_rx *rx, uint16_t *shard)
{
    struct sip_uri uri;
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_ROUTE);
    return sip_msg_items_next(&it, &item) == ERR_OK && read_uri(rx, item, &uri) &&
           is_phone_side(s, &uri) && read_shard(s, &uri, shard);
}

/* Does an entry that was recorded for both sides name its node? */
static bool names_node(const struct sip_uri *uri, struct node_id *node)
{
    struct slice digits;
    return uri->has_user && sip_uri_param(uri, SLICE_LITERAL("node"), &digits) &&
           read_node(digits, node);
}

bool hop_is_sealed(struct turn *t, const struct sip *s, const struct sip_uri *uri)
{
    struct flow_ref flow;
    return uri->has_user && read_token(t, s, uri->user, &flow);
}

void hop_read(struct turn *t, const struct sip *s, const struct sip_rx *rx, struct hop *out)
{
    struct slice item;
    memset(out, 0, offsetof(struct hop, next));
    out->has_uri = false;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_ROUTE);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        struct sip_uri uri;
        struct flow_ref flow;
        struct node_id node;
        uint16_t shard = s->settings.shard;
        bool is_read = read_uri(rx, item, &uri);
        bool is_named = is_read && names_node(&uri, &node);
        if (is_named ? ids_node_is_equal(&node, &s->settings.self)
                     : is_read && hop_is_us(s, &uri) &&
                           (!read_shard(s, &uri, &shard) || shard == s->settings.shard)) {
            out->ours++;
            if (uri.has_user && read_token(t, s, uri.user, &flow)) {
                out->has_token = true;
                out->flow = flow;
            }
            continue;
        }
        out->has_next = true;
        out->next = uri;
        out->has_uri = is_read;
        if (is_named) {
            out->is_peer = true;
            out->node = node;
        } else if (is_read && is_phone_side(s, &uri)) { /* a sibling, by its phone side */
            out->is_peer = true;
            out->node = s->settings.siblings[shard];
        } else {
            out->is_peer = is_read && hop_node(s, uri.host, &out->node);
        }
        return;
    }
}
