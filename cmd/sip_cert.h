/* SPDX-License-Identifier: Apache-2.0 */
/* sip_cert.h - the certificate and key by which phones know this node over TLS, from two PEM files
 * that the operator gets from whatever CA the phones trust (keys sip-tls-cert and sip-tls-key).
 *
 * Read at start, by `chordial check`, and anew at each reload (cmd/control_tls).
 * Owner: whoever loaded it; sip_cert_free. */
#pragma once
#include "cmd/config.h"
#include "cmd/say.h"
#include "link/crypto_sip_boring.h"
#include "link/tls_boring.h"

enum { SIP_CERT_INTERMEDIATES_CAP = 3 };

struct sip_cert {
    struct slice certificate; /* DER; empty: none is configured */
    struct slice intermediates[SIP_CERT_INTERMEDIATES_CAP];
    size_t intermediate_count;
    struct crypto_key *key;
    struct crypto_sip names;
    bool is_for_domain; /* or for an address that phones are told */
};

/* Does this configuration want one? */
bool sip_cert_is_wanted(const struct config *c);
/* ERR_OK with nothing loaded when none is wanted; else the reason in `why` (SAY_WHY_CAP). */
enum err sip_cert_load(const struct config *c, const char *domain, uint64_t at_ms,
                       struct sip_cert *out, char *why) MUST_USE;
void sip_cert_free(struct sip_cert *c);
/* A context with it, for one shard. */
enum err sip_cert_context(const struct sip_cert *c, struct tls_boring **out, char *why) MUST_USE;
/* "example.org, sip.example.org" into `out`, cut where it does not fit. */
void sip_cert_names(const struct sip_cert *c, char *out, size_t cap);
