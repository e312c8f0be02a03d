/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.c - see refusal.h. */
#include "sip/refusal.h"
#include "sip/reply.h"

bool refusal_set(struct refusal *r, unsigned status, const char *why)
{
    r->status = status;
    r->why = why;
    return false;
}

bool refusal_read_expires(const struct sip *s, const struct sip_rx *rx, const char *too_short,
                          uint32_t *expires_s, struct refusal *r)
{
    const struct sip_settings *settings = &s->settings;
    struct slice text = sip_msg_first(rx->m, SIP_HDR_EXPIRES);
    *expires_s = settings->default_expires_s;
    if (text.data != NULL && sip_hdr_number_decode(text, UINT32_MAX, expires_s) == ERR_TOO_LARGE) {
        *expires_s = settings->max_expires_s;
    }
    if (*expires_s > settings->max_expires_s) {
        *expires_s = settings->max_expires_s;
    }
    return *expires_s == 0 || *expires_s >= settings->min_expires_s ||
           refusal_set(r, 423, too_short);
}

void refusal_send(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                  const struct refusal *r, const struct refusal_facts *facts)
{
    struct sip_writer out;
    reply_begin(t, s, rx, r->status, &out);
    if (r->status == 423) {
        sip_write_header_u32(&out, SIP_HDR_MIN_EXPIRES, s->settings.min_expires_s);
    } else if (r->status == 415) {
        sip_write_header(&out, SIP_HDR_ACCEPT, facts->types);
    } else if (r->status == 489) {
        sip_write_header(&out, SIP_HDR_ALLOW_EVENTS, facts->events);
    }
    reply_warning(s, &out, r->why);
    reply_finish(t, s, rx, tx, r->status, &out);
}
