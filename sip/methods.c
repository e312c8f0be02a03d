/* SPDX-License-Identifier: Apache-2.0 */
/* methods.c - see methods.h. */
#include "sip/methods.h"
#include "sip/hop.h"
#include "sip/reply.h"

/* 200 to OPTIONS, or 405: what we take (RFC 3261 11.2, 21.4.6).  Anybody may ask, so nothing is
 * kept: asked again, it is said again (8.2.7). */
void methods_say(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status)
{
    struct sip_writer w;
    reply_begin(t, s, rx, status, &w);
    sip_write_header(&w, SIP_HDR_ALLOW,
                     s->settings.presence
                         ? SLICE_LITERAL("INVITE, ACK, CANCEL, BYE, REGISTER, OPTIONS, MESSAGE, "
                                         "SUBSCRIBE, NOTIFY, PUBLISH")
                         : SLICE_LITERAL("INVITE, ACK, CANCEL, BYE, REGISTER, OPTIONS, MESSAGE, "
                                         "SUBSCRIBE, NOTIFY"));
    if (s->settings.presence) {
        sip_write_header(&w, SIP_HDR_ALLOW_EVENTS, SLICE_LITERAL("presence, reg, presence.winfo"));
    }
    sip_write_header(&w, SIP_HDR_ACCEPT, SLICE_LITERAL("application/sdp"));
    sip_write_header(&w, SIP_HDR_SUPPORTED, SLICE_LITERAL("path, outbound, gruu"));
    reply_finish(t, s, rx, NULL, status, &w);
}

/* 420, statelessly: what the request requires of us and we do not know. */
void methods_refuse(struct turn *t, struct sip *s, const struct sip_rx *rx, enum sip_hdr_id id)
{
    struct sip_writer w;
    reply_begin(t, s, rx, 420, &w);
    sip_write_header(&w, SIP_HDR_UNSUPPORTED, sip_msg_first(rx->m, id));
    reply_finish(t, s, rx, NULL, 420, &w);
}

/* OPTIONS that asks this node what it takes. */
bool methods_is_asked(const struct sip *s, const struct sip_rx *rx)
{
    return rx->m->method == SIP_METHOD_OPTIONS && !rx->core.uri.has_user && !rx->core.to.has_tag &&
           hop_is_us(s, &rx->core.uri);
}

/* As a user agent server without state: no loop, no Max-Forwards to look at (11, 8.2.7, 16.3). */
void methods_answer(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    if (sip_msg_has(rx->m, SIP_HDR_REQUIRE)) { /* 8.2.2.3: what is supported is for REGISTER */
        methods_refuse(t, s, rx, SIP_HDR_REQUIRE);
        return;
    }
    methods_say(t, s, rx, 200);
}
