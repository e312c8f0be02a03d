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

static bool is_known(struct slice tag, const char *const *known)
{
    while (*known != NULL && !slice_is_equal_nocase(tag, slice_text(*known))) {
        known++;
    }
    return *known != NULL;
}

/* Counts the option tags in header `id` that are not among `known`, and writes them where `w` is
 * not NULL.  A list that cannot be read counts as one of them. */
static unsigned unknown(const struct sip_msg *m, enum sip_hdr_id id, const char *const *known,
                        struct sip_writer *w)
{
    struct slice tag;
    unsigned count = 0;
    enum err e = ERR_OK;
    struct sip_msg_items it = sip_msg_items(m, id);
    while ((e = sip_msg_items_next(&it, &tag)) == ERR_OK) {
        if (is_known(tag, known)) {
            continue;
        }
        if (w != NULL && sip_write_is_line(tag)) {
            sip_write_text(w, count == 0 ? "" : ", ");
            sip_write_slice(w, tag);
        }
        count++;
    }
    return count + (e == ERR_NOT_FOUND ? 0 : 1);
}

bool methods_require(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                     enum sip_hdr_id id, const char *const *known)
{
    struct sip_writer w;
    if (!sip_msg_has(rx->m, id) || unknown(rx->m, id, known, NULL) == 0) {
        return true;
    }
    reply_begin(t, s, rx, 420, &w);
    sip_write_header_begin(&w, SIP_HDR_UNSUPPORTED);
    (void)unknown(rx->m, id, known, &w);
    sip_write_header_end(&w);
    reply_finish(t, s, rx, tx, 420, &w);
    return false;
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
    static const char *const known[] = {NULL}; /* what is supported is for REGISTER */
    if (methods_require(t, s, rx, NULL, SIP_HDR_REQUIRE, known)) {
        methods_say(t, s, rx, 200);
    }
}
