/* SPDX-License-Identifier: Apache-2.0 */
/* peer_auth.h - is the other end of a TLS connection who it should be? (RFC 6940 6.5.1.13, 11.4)
 *
 * TLS has proved that the peer holds the key of the certificate it presented; here the certificate
 * is judged: issuer, names, validity now (ID-3), and the Node-ID that we expect (AT-13, AT-14,
 * ID-5). Each reason to refuse has a metric of its own. */
#pragma once
#include "codec/ids.h"
#include "core/turn.h"
#include "link/tls.h"

struct peer_auth {
    const struct crypto_trust *trust;
    const struct node_id *expect; /* NULL: learn it */
    const struct node_id *self;   /* NULL: being called by ourselves is fine */
};

struct peer_auth_verdict {
    enum err error;
    enum metric metric;     /* for the caller to count when error != ERR_OK */
    const char *why;        /* static text for people */
    struct node_id node_id; /* as far as known */
    struct crypto_certificate certificate;
};

/* Judges what `tls` presented.  ERR_UNAUTHENTICATED (nothing presented), ERR_MALFORMED,
 * ERR_BAD_CERTIFICATE, ERR_EXPIRED, ERR_FORBIDDEN (another Node-ID than expected), ERR_DUPLICATE
 * (it is ourselves). */
enum err peer_auth_judge(struct turn *t, const struct peer_auth *rules, const struct tls_ops *ops,
                         struct tls *tls, struct peer_auth_verdict *out) MUST_USE;
