/* SPDX-License-Identifier: Apache-2.0 */
/* sips.c - see sips.h. */
#include "sip/sips.h"

enum { SCHEME_LEN = 5 /* "sips:" */ };

bool sips_may_come(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    if (rx->core.uri.scheme != SIP_URI_SIPS || flow_is_secure(&rx->from)) {
        return true;
    }
    bool has_tls = s->settings.ports[SIP_TLS] != 0 || s->settings.ports[SIP_WSS] != 0;
    reply_send(t, s, rx, tx, has_tls ? 403 : 416,
               has_tls ? "A request for a sips URI comes over TLS (RFC 3261 26.2.2)"
                       : "sips is not offered here, and never downgraded");
    return false;
}

bool sips_may_go(const struct proxy *p, const struct flow_ref *to, struct slice *uri, char *plain)
{
    bool is_sips = slice_is_equal_nocase(slice_sub(*uri, 0, SCHEME_LEN), SLICE_LITERAL("sips:"));
    if (p->is_sips) {
        return flow_is_secure(to) && (is_sips || uri->len == 0);
    }
    if (is_sips && uri->len <= FORK_URI_CAP) {
        memcpy(plain, "sip:", SCHEME_LEN - 1);
        memcpy(plain + SCHEME_LEN - 1, uri->data + SCHEME_LEN, uri->len - SCHEME_LEN);
        *uri = slice_of(plain, uri->len - 1);
    }
    return true;
}
