/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - see reply.h. */
#include "sip/reply.h"

enum { TAG_BYTES = 6, RETRY_AFTER_S = 5, RETRY_SPREAD_S = 11 };

/* RFC 6940 14.9 */
enum {
    RELOAD_FORBIDDEN = 2,
    RELOAD_NOT_FOUND = 3,
    RELOAD_REQUEST_TIMEOUT = 4,
    RELOAD_DATA_TOO_LARGE = 8,
    RELOAD_MESSAGE_TOO_LARGE = 11,
};

/* Our To tag of a call: the same for every response of this shard to it. */
struct slice reply_tag(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                       char hex[REPLY_TAG_CAP])
{
    struct mac m;
    uint8_t hash[MAC_BYTES];
    mac_begin(&m, &s->keys, MAC_TAG);
    mac_piece(t, &m, rx->core.call_id);
    mac_piece(t, &m, rx->core.from.tag);
    mac_end(t, &m, hash);
    STATIC_CHECK(REPLY_TAG_CAP == 2 * TAG_BYTES + 1);
    return slice_text(ids_hex(slice_of(hash, TAG_BYTES), hex));
}

void reply_begin(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status,
                 struct sip_writer *w)
{
    char hex[REPLY_TAG_CAP], host[ADDRESS_TEXT_CAP];
    struct sip_write_reply how = {.status = status};
    if (status > 100) {
        how.to_tag = reply_tag(t, s, rx, hex);
    }
    if (!flow_is_peer(&rx->from)) {
        address_host_text(&rx->from.remote, host);
        if (rx->core.via.has_rport || !slice_is_equal(slice_text(host), rx->core.via.host)) {
            how.received = slice_text(host);
        }
        how.rport = rx->core.via.has_rport ? rx->from.remote.port : 0;
    }
    sip_write_init(w, s->scratch, sizeof(s->scratch));
    sip_write_response(w, rx->m, &rx->core, &how);
    if (status == 503) {
        /* not all at once again: 5 to 15 s */
        sip_write_header_u32(w, SIP_HDR_RETRY_AFTER,
                             RETRY_AFTER_S + (uint32_t)rng_below(t->rng, RETRY_SPREAD_S));
        metric_add(t->metrics, METRIC_sip_refused_overload, 1);
    }
}

void reply_warning(const struct sip *s, struct sip_writer *w, const char *why)
{
    sip_write_header_begin(w, SIP_HDR_WARNING);
    bool has_code = why[0] >= '0' && why[0] <= '9'; /* of three digits and a space */
    sip_write_slice(w, has_code ? slice_of(why, 4) : SLICE_LITERAL("399 "));
    why += has_code ? 4 : 0;
    sip_write_text(w, s->domain);
    sip_write_text(w, " ");
    sip_write_quoted(w, slice_text(why));
    sip_write_header_end(w);
}

void reply_finish(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                  unsigned status, struct sip_writer *w)
{
    struct slice text;
    sip_write_body(w, SLICE_EMPTY, SLICE_EMPTY);
    struct msgbuf *buf = sip_write_finish(w, &text) == ERR_OK ? sip_state_buffer(t, text) : NULL;
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        if (tx != NULL && status >= 200 && tx->state <= TX_PROCEEDING) {
            tx_server_forget(t, s, tx); /* nothing can be said: it ends all the same */
        }
        return;
    }
    if (tx != NULL) {
        tx_server_respond(t, s, tx, status, buf);
    } else {
        struct flow_ref to = tx_server_return(&rx->core, &rx->from);
        s->responses_out++;
        metric_add(t->metrics, METRIC_sip_responses_out, 1);
        enum err e = flow_send(t, s, &to, buf);
        (void)e; /* counted */
    }
    msgbuf_release(t->buffers, buf);
}

void reply_send(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                unsigned status, const char *why)
{
    struct sip_writer w;
    if (rx->m->method == SIP_METHOD_ACK) {
        return; /* never answered */
    }
    reply_begin(t, s, rx, status, &w);
    if (why != NULL) {
        reply_warning(s, &w, why);
    }
    reply_finish(t, s, rx, tx, status, &w);
}

void reply_stranger(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                    unsigned status, const char *why)
{
    reply_send(t, s, rx, NULL, status, why);
    if (tx != NULL) {
        tx_server_forget(t, s, tx);
    }
}

unsigned reply_status_of(enum err error, uint16_t reload_error)
{
    if (error == ERR_TIMEOUT || error == ERR_UNREACHABLE_PEER) {
        return 504;
    }
    if (error == ERR_LIMIT || error == ERR_STATE || error == ERR_NO_MEMORY || error == ERR_CLOSED) {
        return 503;
    }
    if (error == ERR_FORBIDDEN) {
        return 403;
    }
    if (error == ERR_TOO_LARGE) {
        return 413;
    }
    if (error != ERR_REMOTE) {
        return 500;
    }
    switch (reload_error) {
    case RELOAD_FORBIDDEN:
        return 403;
    case RELOAD_REQUEST_TIMEOUT:
        return 504;
    case RELOAD_DATA_TOO_LARGE:
    case RELOAD_MESSAGE_TOO_LARGE:
        return 413;
    default:
        return 500;
    }
}

const char *reply_why_of(enum err error, uint16_t reload_error)
{
    switch (reply_status_of(error, reload_error)) {
    case 403:
        return "The overlay refused the registration";
    case 413:
        return "The registration is too large for the overlay";
    case 503:
        return "The overlay is not reachable from here now";
    case 504:
        return "The overlay did not answer";
    default:
        return "The overlay answered with an error";
    }
}
