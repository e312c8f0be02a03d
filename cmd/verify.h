/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - is this signature, is this certificate good?  The daemon's own judgement (dht/sign on
 * link/crypto_boring) on single messages, stored values and certificates, described by one JSON
 * object as in tests/vectors/README.md:
 *
 *   {"type": "Message", "hex", "overlay_name"}
 *   {"type": "StoredData", "hex", "data_model", "kind", "resource", "certificate"}
 *   {"type": "Certificate" | "RootCertificate", "hex", "overlay_name",
 *    "self_signed_permitted", "digest"}
 *
 * each also with "node_id_length" (default 16) and "overlay_name"; where that is missing a
 * certificate's reload URI is believed: of a message the one whose overlay its header is of.
 *
 * Owner:   whoever called verify_make; one thread.  Allocates, is no part of the daemon.
 * Limits:  VERIFY_BYTES_CAP for a message or value, VERIFY_ROOTS_CAP roots.  Certificates met
 * before under the same terms are known by their hash and not judged again. */
#pragma once
#include "codec/ids.h"
#include "core/crypto.h"
#include <jansson.h>

enum { VERIFY_BYTES_CAP = 8 << 20, VERIFY_ROOTS_CAP = 16, VERIFY_WHY_CAP = 200 };

/* What it is judged by. */
struct verify_terms {
    struct slice roots[VERIFY_ROOTS_CAP]; /* DER */
    size_t root_count;
    uint64_t at_ms;
};

struct verify_verdict {
    bool is_certificate; /* what was judged: names are given */
    bool is_valid;
    char why[VERIFY_WHY_CAP]; /* empty when it is valid */
    struct crypto_certificate names;
    struct node_id signer; /* of a valid message or value */
};

struct verify;

struct verify *verify_make(void);
void verify_free(struct verify *v);

/* Whatever `o` is, there is a verdict. */
void verify_judge(struct verify *v, const json_t *o, const struct verify_terms *terms,
                  struct verify_verdict *out);

/* Terms of "trust" (a list of root certificates as hex DER, none when it is missing) and "at"
 * (milliseconds or seconds since 1970 as a number, or RFC 3339 text; now when it is missing).  The
 * roots live until the next call. False: `why` (VERIFY_WHY_CAP bytes) says what is wrong. */
bool verify_terms_of(struct verify *v, const json_t *o, struct verify_terms *out,
                     char *why) MUST_USE;
/* Any X.509 certificate, whoever may have issued it. */
bool verify_is_certificate(struct slice bytes) MUST_USE;
/* RFC 3339 with Z or an offset. */
bool verify_time(const char *text, uint64_t *out_ms) MUST_USE;
