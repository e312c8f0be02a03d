/* SPDX-License-Identifier: Apache-2.0 */
/* sign.h - who signed that?  Signatures of messages and stored values, and the certificates behind
 * them (RFC 6940 6.3.4, 7.1; catalogue SG-1..SG-7, ID-1..ID-4).
 *
 * A certificate is judged once (crypto->certificate) and then known by its hash; only its validity
 * period is looked at again each time.  The table evicts what was used longest ago, first of those
 * that were met only once: strangers, however many, do not displace whom we deal with.
 *
 * Owner:   one for each overlay.  Pointers to a sign_certificate are good until the turn ends.
 * Limits:  `certificates` entries; a DER certificate beyond `certificate_bytes` is judged, but not
 * kept in DER; buckets of more than SIGN_BUCKET_CAP certificates are refused (SG-6).  Judging costs
 * more than anything else that a stranger can ask for, so certificates that are not known yet have
 * a budget: SIGN_JUDGED_CAP for one signature and SIGN_MESSAGE_JUDGED_CAP for one message with all
 * the values in it; what was refused is remembered until the message ends.  Those judged in a turn
 * are counted for the caller, who stops when they are enough.  What is known costs nothing. */
#pragma once
#include "codec/stored.h"
#include "core/limits.h"
#include "core/table.h"
#include "core/turn.h"
#include "dht/ident.h"

enum {
    SIGN_DER_CAP = 1536, /* of stored ones, as they come back from a disk */
    SIGN_BUCKET_CAP = 16,
    SIGN_JUDGED_CAP = 4,
    /* A replica Store and a FetchAns bring the signers of their values along: a full bucket. */
    SIGN_MESSAGE_JUDGED_CAP = SIGN_BUCKET_CAP,
};

struct sign_certificate {
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    uint32_t newer, older; /* order of use: index + 1 */
    uint32_t moved_at;     /* to the front of that order: how many had been so far */
    uint16_t der_len;      /* 0: too long to be kept */
    bool is_kept;          /* it was met again */
    /* What each message of its owner asks for stands together: of `parsed`, that it has one Node-ID
     * and when it is valid, the first of its Node-IDs, what a signature of its key costs. */
    bool is_of_one_node;
    uint64_t not_before_ms, not_after_ms;
    struct node_id node_id;
    uint32_t verify_us;
    uint64_t host; /* hash of the user name: equal numbers, one user, one machine */
    uint8_t *der;  /* in the table of them */
    struct crypto_certificate parsed;
};

struct sign;

struct sign_limits {
    uint32_t certificates;
    uint32_t certificate_bytes;
    uint32_t values;            /* verified ones that are remembered (dht/verified) */
    uint32_t max_message_bytes; /* no signature is over more than that and a little */
};

size_t sign_bytes(const struct sign_limits *limits);
struct sign *sign_init(struct turn *t, struct arena *arena, const struct sign_limits *limits,
                       const struct rl_params *params, const struct crypto_trust *trust);

/* A turn, a message begins: its budget is whole again.  `can_wait`: the message can be looked at
 * again in another turn, so once `allowed_us` are spent in this one its next value gets ERR_MORE.
 */
void sign_begin_turn(struct sign *s, uint64_t allowed_us);
void sign_begin_message(struct sign *s, bool can_wait);
/* Certificates judged since sign_begin_turn. */
uint32_t sign_judged_in_turn(const struct sign *s);
/* What signatures and certificates have cost since sign_begin_turn, in modelled us. */
uint64_t sign_turn_us(const struct sign *s);
/* May `who` still sign something in this turn?  One signature may be made or checked in any. */
bool sign_fits(const struct sign *s, const struct ident *who);
/* The message has asked for more judgements than it may have: those got ERR_LIMIT. */
bool sign_is_message_over(const struct sign *s);

/* The certificate with this DER, judged now or before.  ERR_BAD_CERTIFICATE, ERR_EXPIRED (also when
 * only the validity period is over or not yet begun), ERR_MALFORMED, ERR_LIMIT (budget). */
enum err sign_learn(struct turn *t, struct sign *s, struct slice der,
                    const struct sign_certificate **out) MUST_USE;
/* A known certificate by SHA-256 of its DER, NULL when not known; validity is not looked at. */
const struct sign_certificate *sign_find(struct sign *s, const uint8_t sha256[CRYPTO_SHA256_BYTES]);

/* Who is meant by a SignerIdentity: first what is known, then the certificates of the bucket
 * (encoded list as in struct secblock).  Gives the certificate and the Node-ID of it that is meant.
 * ERR_UNAUTHENTICATED (identity none, or no such certificate), or an error of sign_learn. */
enum err sign_signer(struct turn *t, struct sign *s, const struct secblock_identity *identity,
                     struct slice bucket, const struct sign_certificate **certificate,
                     struct node_id *node_id) MUST_USE;

/* What was wrong with the certificate that was refused last, for people; "" when none was.  `names`
 * (may be NULL) gets what could be read of it. */
const char *sign_why(const struct sign *s, const struct crypto_certificate **names);

/* Is `signature` by the key of `certificate` over `input` (which ends in the SignerIdentity)?
 * ERR_BAD_SIGNATURE otherwise. */
enum err sign_verify(struct turn *t, struct sign *s, const struct sign_certificate *certificate,
                     const struct secblock_signature *signature, struct slice input) MUST_USE;

/* The same for a stored value, whose signer sign_signer has found: builds the input of 7.1.  One
 * that was verified before costs a hash.  ERR_MORE: not now (sign_begin_message). */
enum err sign_verify_value(struct turn *t, struct sign *s,
                           const struct sign_certificate *certificate, struct slice resource,
                           uint32_t kind, const struct stored_data *value) MUST_USE;

/* The same for a message: the input of 6.3.4. */
enum err sign_verify_message(struct turn *t, struct sign *s, uint64_t transaction_id,
                             struct slice contents, const struct sign_certificate *certificate,
                             const struct secblock_signature *signature) MUST_USE;

/* The SignerIdentity of one of our own (cert_hash: it has one Node-ID, SG-3); borrows from `who`.
 */
struct secblock_identity sign_identity(const struct ident *who);
/* Fills value->signature for one of our own; `out` (CRYPTO_SIGNATURE_CAP bytes) receives the
 * signature value and must live as long as the signature. */
enum err sign_make_value(struct turn *t, struct sign *s, const struct ident *who,
                         struct slice resource, uint32_t kind, struct stored_data *value,
                         uint8_t *out) MUST_USE;
/* Writes the SecurityBlock of a message of ours behind its contents: the signer's certificate, its
 * intermediates, and the others.  In front of the contents is the header, at least
 * SECBLOCK_INPUT_FRONT bytes, written or not: what is signed stands on its end for a while, which
 * is as before afterwards. */
struct sign_sealed {
    const struct ident *who;
    uint64_t transaction_id;
    size_t contents_at;               /* where MessageContents begin in `w` */
    const struct slice *certificates; /* DER, besides the signer's own */
    size_t certificate_count;
};
enum err sign_seal(struct turn *t, struct sign *s, struct wr *w,
                   const struct sign_sealed *what) MUST_USE;
/* The same without a signature, for a message of ours to ourselves: nobody looks at it there, and
 * what has been on a link is never one of those. */
enum err sign_leave_open(struct wr *w, const struct sign_sealed *what) MUST_USE;

/* A user name as a host number (struct sign_certificate). */
uint64_t sign_host(struct turn *t, struct slice user);

/* The trust has changed: certificates and values are judged anew.  Not while a message is served.
 */
void sign_forget(struct sign *s);

uint32_t sign_count(const struct sign *s);
