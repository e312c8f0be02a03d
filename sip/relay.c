/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - see relay.h. */
#include "sip/relay.h"
#include "sip/location.h"
#include "sip/strict.h"

enum { MAX_FORWARDS = 70, BREADTH_CAP = 4 };

static const char *transport_name(const struct flow_ref *to)
{
    switch (to->kind) {
    case SIP_UDP:
        return "SIP/2.0/UDP ";
    case SIP_TCP:
        return "SIP/2.0/TCP ";
    case SIP_WS:
        return "SIP/2.0/WS ";
    case SIP_WSS:
        return "SIP/2.0/WSS ";
    default:
        return "SIP/2.0/TLS ";
    }
}

struct slice relay_via(const struct sip *s, const struct flow_ref *to, const char *branch,
                       char out[RELAY_VIA_CAP])
{
    struct sip_writer w;
    struct slice text;
    sip_write_init(&w, (uint8_t *)out, RELAY_VIA_CAP);
    sip_write_text(&w, transport_name(to));
    sip_write_text(&w, sip_state_host(s, to));
    sip_write_text(&w, ";branch=");
    sip_write_slice(&w, slice_of(branch, TX_BRANCH_CAP));
    if (!flow_is_peer(to)) {
        sip_write_text(&w, ";rport");
    }
    enum err e = sip_write_finish(&w, &text);
    CHECK(e == ERR_OK);
    return text;
}

static void mark_received(const struct sip_rx *rx, struct sip_edit *edit, char *host)
{
    if (flow_is_peer(&rx->from)) {
        return;
    }
    address_host_text(&rx->from.remote, host);
    bool is_needed = rx->core.via.has_rport || !slice_is_equal(slice_text(host), rx->core.via.host);
    sip_edit_received(edit, &rx->core.via, is_needed ? slice_text(host) : SLICE_EMPTY,
                      rx->core.via.has_rport ? rx->from.remote.port : 0);
}

/* Credentials for our realm end here (RFC 3261 22.3). */
static void drop_credentials(const struct sip *s, const struct sip_rx *rx, struct sip_edit *edit)
{
    const enum sip_hdr_id id = SIP_HDR_PROXY_AUTHORIZATION;
    for (unsigned next = rx->m->first[id]; next != 0; next = rx->m->headers[next - 1].next) {
        struct sip_hdr_digest d;
        if (sip_hdr_digest_decode(sip_msg_value(rx->m, next - 1), &d) == ERR_OK && d.is_digest &&
            slice_is_equal_nocase(d.realm, s->domain_text)) {
            sip_edit_remove(edit, next - 1);
        }
    }
}

static struct msgbuf *emit(struct turn *t, struct sip *s, const struct sip_edit *edit)
{
    size_t len = 0;
    if (sip_edit_emit(edit, s->scratch, sizeof(s->scratch), &len) != ERR_OK ||
        !sip_state_is_readable(s, edit, slice_of(s->scratch, len))) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        return NULL;
    }
    return sip_state_buffer(t, slice_of(s->scratch, len));
}

/* RFC 5393 5.3.3: every request has one, and it is what its branch was given. */
static void set_breadth(const struct sip_rx *rx, const struct relay *how, struct sip_edit *edit,
                        char *text)
{
    struct slice was = sip_msg_first(rx->m, SIP_HDR_MAX_BREADTH);
    unsigned n = how->max_breadth, len = 0;
    if (n >= 10) {
        text[len++] = (char)('0' + n / 10 % 10);
    }
    text[len++] = (char)('0' + n % 10);
    struct slice is = slice_of(text, len);
    if (was.data == NULL) {
        sip_edit_append(edit, SIP_HDR_MAX_BREADTH, is);
    } else if (!slice_is_equal(was, is)) {
        sip_edit_replace(edit, rx->m->first[SIP_HDR_MAX_BREADTH] - 1u, is);
    }
}

/* Ours, one entry or two (sip/hop). */
static void push_records(struct turn *t, struct sip *s, const struct sip_rx *rx,
                         const struct flow_ref *to, struct sip_edit *edit, char *up, char *down)
{
    bool is_sips = rx->core.uri.scheme == SIP_URI_SIPS;
    if (flow_is_peer(to) != flow_is_peer(&rx->from) && !to->is_foreign && !rx->from.is_foreign) {
        const struct flow_ref *phone = flow_is_peer(to) ? &rx->from : to;
        sip_edit_push(edit, SIP_HDR_RECORD_ROUTE, hop_record_both(t, s, phone, is_sips, up));
        return;
    }
    sip_edit_push(edit, SIP_HDR_RECORD_ROUTE, hop_record(t, s, &rx->from, is_sips, up));
    sip_edit_push(edit, SIP_HDR_RECORD_ROUTE, hop_record(t, s, to, is_sips, down));
}

/* Request-URI and Route, for a loose router or the target itself. */
static void set_next(const struct relay *how, struct sip_edit *edit)
{
    if (how->request_uri.len > 0) {
        sip_edit_request_uri(edit, how->request_uri);
    }
    if (how->drop_routes) {
        sip_edit_remove_all(edit, SIP_HDR_ROUTE);
    } else if (how->pop_routes > 0) {
        sip_edit_pop(edit, SIP_HDR_ROUTE, how->pop_routes);
    }
}

struct msgbuf *relay_request(struct turn *t, struct sip *s, const struct sip_rx *rx,
                             const struct relay *how)
{
    char via[RELAY_VIA_CAP], host[ADDRESS_TEXT_CAP], up[HOP_URI_CAP], down[HOP_URI_CAP];
    char breadth[BREADTH_CAP], last[STRICT_TARGET_CAP];
    struct sip_edit edit;
    struct slice target = how->request_uri.len > 0 ? how->request_uri : rx->m->request_uri;
    CHECK(!rx->core.has_max_forwards || rx->core.max_forwards > 0);
    sip_edit_init(&edit, rx->m);
    mark_received(rx, &edit, host);
    sip_edit_push(&edit, SIP_HDR_VIA, relay_via(s, how->to, how->branch, via));
    sip_edit_max_forwards(&edit, rx->core.has_max_forwards ? (uint8_t)(rx->core.max_forwards - 1)
                                                           : MAX_FORWARDS);
    set_breadth(rx, how, &edit, breadth);
    if (how->path.len > 0) {
        sip_edit_append(&edit, SIP_HDR_ROUTE, how->path);
    }
    if (!how->is_beyond || !strict_next(rx, how->pop_routes, target, &edit, last)) {
        set_next(how, &edit);
    }
    if (how->drop_credentials) {
        drop_credentials(s, rx, &edit);
    }
    if (how->record_route) {
        push_records(t, s, rx, how->to, &edit, up, down);
    }
    s->requests_out++;
    metric_add(t->metrics, METRIC_sip_requests_out, 1);
    return emit(t, s, &edit);
}

bool relay_is_unproved(const struct sip_msg *m)
{
    struct slice why = SLICE_LITERAL(LOCATION_UNPROVED);
    struct slice warning = sip_msg_first(m, SIP_HDR_WARNING);
    return m->status == 403 && warning.len > why.len &&
           slice_is_equal(slice_sub(warning, warning.len - why.len - 1, why.len), why);
}

struct msgbuf *relay_response(struct turn *t, struct sip *s, const struct sip_msg *m,
                              const struct flow_ref *from)
{
    struct sip_edit edit;
    struct slice item;
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_VIA);
    if (sip_msg_items_next(&it, &item) != ERR_OK || sip_msg_items_next(&it, &item) != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1);
        return NULL;
    }
    sip_edit_init(&edit, m);
    sip_edit_pop(&edit, SIP_HDR_VIA, 1);
    if (!flow_is_peer(from) && relay_is_unproved(m)) {
        sip_edit_remove_all(&edit, SIP_HDR_WARNING);
    }
    return emit(t, s, &edit);
}
