/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_sip_boring.h - whom a certificate of SIP over TLS speaks for (RFC 5922 7).
 *
 * Another matter than crypto_names_boring: not of the overlay's CA, but of whatever CA the phones
 * trust.  Cold: at start, at a reload.
 *
 * Owner: nobody.  Limits: identities that do not fit CRYPTO_SIP_NAMES_CAP bytes are left out. */
#pragma once
#include "core/crypto.h"

enum { CRYPTO_SIP_NAMES_CAP = 1024 };

struct crypto_sip {
    uint64_t not_before_ms, not_after_ms;
    bool has_sip_uri; /* the identities are those of sip URIs; DNS names do not count then (7.1) */
    size_t names_len;
    char names[CRYPTO_SIP_NAMES_CAP]; /* each ends in NUL; lower case */
};

/* Domain identities and period of a DER certificate.  ERR_BAD_CERTIFICATE when it is none. */
enum err crypto_sip_boring(struct slice der, struct crypto_sip *out) MUST_USE;
/* Does it speak for `host`, a domain name or an address?  No wildcards (7.2). */
bool crypto_sip_boring_is_for(const struct crypto_sip *c, struct slice host);
