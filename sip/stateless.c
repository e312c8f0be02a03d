/* SPDX-License-Identifier: Apache-2.0 */
/* stateless.c - see stateless.h. */
#include "sip/stateless.h"
#include "sip/contacts.h"
#include "sip/dial.h"
#include "sip/hop.h"
#include "sip/proxy.h"
#include "sip/relay.h"

enum { SIP_PORT = 5060, HASH_BYTES = 12, MARK_AT = TX_BRANCH_CAP - 2 * TX_LOOP_BYTES };
enum { DOT_AT = MARK_AT - 1, HASH_AT = DOT_AT - 2 * HASH_BYTES };

/* What a request and its response have in common: the Via of who sent the request to us, where that
 * is, and the names of the transaction. */
static void hash_of(struct turn *t, const struct sip *s, const struct sip_hdr_via *via,
                    const struct address *back, const struct sip_msg_core *core,
                    char out[2 * HASH_BYTES + 1])
{
    struct mac m;
    uint8_t hash[MAC_BYTES];
    mac_begin(&m, &s->keys, MAC_STATELESS);
    mac_piece(t, &m, via->sent_by);
    mac_piece(t, &m, via->branch);
    mac_piece(t, &m, slice_of(back, sizeof(*back)));
    mac_piece(t, &m, core->call_id);
    mac_piece(t, &m, core->from.tag);
    mac_u32(&m, core->cseq.number);
    mac_end(t, &m, hash);
    ids_hex(slice_of(hash, HASH_BYTES), out);
}

/* Where the response to a request with this Via, as it leaves us, has to go (18.2.2, RFC 3581). */
static bool read_back(const struct sip_hdr_via *via, struct address *out)
{
    struct slice host = via->received.len > 0 ? via->received : via->host;
    if (address_parse(host, SIP_PORT, out) != ERR_OK) {
        return false;
    }
    out->port = via->port == 0 ? SIP_PORT : via->port;
    out->port = via->rport != 0 ? via->rport : out->port;
    return true;
}

static bool is_stateless(struct slice branch, uint16_t *shard)
{
    return branch.len == TX_BRANCH_CAP && branch.data[DOT_AT] == '.' &&
           tx_branch_read(branch, SIP_METHOD_OTHER, shard, NULL);
}

/* The way back, where the Via of the request will say it: else somebody has to remember it. */
static bool find_back(const struct sip *s, const struct sip_rx *rx, struct address *out)
{
    const struct sip_hdr_via *via = &rx->core.via;
    struct address said;
    struct node_id node;
    *out = (struct address){0};
    if (!via->has_magic || !sip_msg_has(rx->m, SIP_HDR_ROUTE)) {
        return false;
    }
    bool is_node = hop_node(s, via->host, &node);
    if (is_node || rx->from.kind == SIP_PEER) { /* a phone that calls itself a node: no */
        return is_node && rx->from.kind == SIP_PEER && ids_node_is_equal(&node, &rx->from.node);
    }
    *out = tx_server_return(&rx->core, &rx->from).remote;
    return via->has_rport ||
           (via->received.len == 0 && read_back(via, &said) && address_is_equal(&said, out));
}

/* The one place that a request inside a dialog goes to; false: it takes more than that. */
static bool find_target(struct turn *t, struct sip *s, const struct sip_rx *rx, struct hop *hop,
                        struct flow_ref *to, struct slice *contact)
{
    bool is_ack = rx->m->method == SIP_METHOD_ACK;
    hop_read(t, s, rx, hop);
    if (!hop->has_token || hop->flow.is_foreign) {
        return false;
    }
    if (hop->has_next) {
        return hop->is_peer && dial_find(s, &hop->node, to) &&
               (is_ack || (to->kind == SIP_PEER && rx->from.kind == SIP_UDP));
    }
    *to = contacts_flow_now(t, s, rx, &hop->flow, contact);
    return is_ack || to->kind == SIP_UDP;
}

static bool may_be(const struct sip_rx *rx)
{
    enum sip_method method = rx->m->method;
    bool is_other =
        method != SIP_METHOD_INVITE && method != SIP_METHOD_CANCEL && method != SIP_METHOD_REGISTER;
    uint16_t shard = 0;
    bool is_repeated = rx->from.kind == SIP_UDP ||
                       (rx->from.kind == SIP_PEER && is_stateless(rx->core.via.branch, &shard));
    bool is_sips = rx->core.uri.scheme == SIP_URI_SIPS; /* over TLS at each hop: sip/sips */
    return rx->core.to.has_tag && is_other && !is_sips && (is_repeated || method == SIP_METHOD_ACK);
}

static void write_branch(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                         const struct address *back, const uint8_t mark[TX_LOOP_BYTES], char *out)
{
    char hex[2 * HASH_BYTES + 1];
    tx_branch_begin(s, mark, out);
    hash_of(t, s, &rx->core.via, back, &rx->core, hex);
    memcpy(out + HASH_AT, hex, 2 * HASH_BYTES);
    out[DOT_AT] = '.';
}

bool stateless_request(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    char branch[TX_BRANCH_CAP];
    uint8_t mark[TX_LOOP_BYTES];
    struct hop hop;
    struct flow_ref to;
    struct address back = {0};
    struct slice contact = SLICE_EMPTY; /* what a GRUU stands for */
    bool has_back = may_be(rx) && find_back(s, rx, &back);
    if (!may_be(rx) || (!has_back && rx->m->method != SIP_METHOD_ACK) ||
        !find_target(t, s, rx, &hop, &to, &contact)) {
        return false;
    }
    if (!proxy_is_sound(t, s, rx, NULL, mark)) {
        return true; /* answered */
    }
    write_branch(t, s, rx, &back, mark, branch);
    struct relay how = {.to = &to,
                        .branch = branch,
                        .request_uri = contact,
                        .max_breadth = proxy_breadth(rx),
                        .pop_routes = hop.ours,
                        .drop_credentials = !flow_is_peer(&rx->from)};
    struct msgbuf *buf = relay_request(t, s, rx, &how);
    if (buf == NULL) {
        return true; /* counted; it comes again */
    }
    metric_add(t->metrics, METRIC_sip_stateless_requests, 1);
    enum err e = flow_send(t, s, &to, buf);
    (void)e; /* counted; it comes again, as does the 2xx of an ACK */
    msgbuf_release(t->buffers, buf);
    return true;
}

/* The second Via is the one that we have forwarded, mark and all; the hash proves it. */
static bool is_of_ours(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                       struct flow_ref *to)
{
    char hex[2 * HASH_BYTES + 1];
    struct slice item;
    struct sip_hdr_via via;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    if (sip_msg_items_next(&it, &item) != ERR_OK || sip_msg_items_next(&it, &item) != ERR_OK ||
        sip_hdr_via_within(rx->m->bytes, item, &via) != ERR_OK) {
        return false;
    }
    bool is_peer = hop_node(s, via.host, &to->node);
    to->kind = is_peer ? SIP_PEER : SIP_UDP;
    if (!is_peer && !read_back(&via, &to->remote)) {
        return false;
    }
    hash_of(t, s, &via, &to->remote, &rx->core, hex);
    return memcmp(rx->core.via.branch.data + HASH_AT, hex, 2 * HASH_BYTES) == 0;
}

bool stateless_response(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    struct flow_ref to = {.shard = s->settings.shard};
    uint16_t shard = 0;
    if (!is_stateless(rx->core.via.branch, &shard)) {
        return false;
    }
    if (!is_of_ours(t, s, rx, &to)) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1);
        return true;
    }
    if (to.kind == SIP_PEER && shard != s->settings.shard) {
        return false; /* the connection is another shard's; datagrams leave by any */
    }
    s->responses_in++;
    s->responses_out++;
    metric_add(t->metrics, METRIC_sip_responses_in, 1);
    metric_add(t->metrics, METRIC_sip_responses_out, 1);
    metric_add(t->metrics, METRIC_sip_stateless_responses, 1);
    struct msgbuf *buf = relay_response(t, s, rx->m, &rx->from);
    if (buf != NULL) {
        enum err e = flow_send(t, s, &to, buf);
        (void)e; /* counted; it comes again */
        msgbuf_release(t->buffers, buf);
    }
    return true;
}
