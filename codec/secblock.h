/* SPDX-License-Identifier: Apache-2.0 */
/* secblock.h - the SecurityBlock at the end of a message, and Signature (RFC 6940 6.3.4).
 *
 * Says who signed and how; whether it is true is core/crypto.h's and dht/sign's business.
 * Owner: slices are borrowed. */
#pragma once
#include "codec/ids.h"

enum { SECBLOCK_CERTIFICATE_X509 = 0 };

enum secblock_identity_type {
    SECBLOCK_IDENTITY_CERT_HASH = 1,         /* H(certificate): it has one Node-ID */
    SECBLOCK_IDENTITY_CERT_HASH_NODE_ID = 2, /* H(Node-ID ‖ certificate): it has several */
    SECBLOCK_IDENTITY_NONE = 3,              /* synthetic values only */
};

/* HashAlgorithm of TLS 1.2 */
enum {
    SECBLOCK_HASH_NONE = 0,
    SECBLOCK_HASH_SHA1 = 2,
    SECBLOCK_HASH_SHA256 = 4,
    SECBLOCK_HASH_SHA384 = 5,
    SECBLOCK_HASH_SHA512 = 6,
};

enum { SECBLOCK_IDENTITY_BYTES_MAX = 3 + 2 + 255 };

/* The usual identity, which all of ours are: cert_hash with a hash of 32 bytes.  Its length is
 * known, so it is read and written without asking field by field. */
enum { SECBLOCK_USUAL_HASH = 32, SECBLOCK_USUAL_IDENTITY = 1 + 2 + 2 + SECBLOCK_USUAL_HASH };

struct secblock_identity {
    uint8_t type;           /* enum secblock_identity_type, or one that we do not know */
    uint8_t hash_algorithm; /* 0 for NONE and unknown types */
    struct slice hash;      /* empty for NONE; the whole value of an unknown type */
};

struct secblock_signature {
    uint16_t algorithm; /* hash << 8 | signature, the numbers of enum crypto_algorithm */
    struct secblock_identity identity;
    struct slice value;
};

struct secblock_certificate {
    uint8_t type; /* SECBLOCK_CERTIFICATE_X509, or one that we do not know */
    struct slice der;
};

struct secblock {
    struct slice certificates; /* walk with secblock_certificate_next */
    uint16_t certificate_count;
    struct secblock_signature signature;
};

/* Reads a SecurityBlock and leaves `r` behind it. */
void secblock_rd(struct rd *r, struct secblock *out);
/* A SecurityBlock that fills `in` exactly. */
enum err secblock_decode(struct slice in, struct secblock *out) MUST_USE;

void secblock_rd_certificate(struct rd *r, struct secblock_certificate *out);
/* Walks `certificates`; false at the end or at a fault, see rd_ok. */
bool secblock_certificate_next(struct rd *r, struct secblock_certificate *out);

/* As fields of other structures.  An identity of type 0 is malformed, one of a type that we do not
 * know is taken by its length. */
void secblock_rd_identity(struct rd *r, struct secblock_identity *out);
void secblock_rd_signature(struct rd *r, struct secblock_signature *out);

static inline bool secblock_identity_is_usual(const struct secblock_identity *in)
{
    return in->type == SECBLOCK_IDENTITY_CERT_HASH && in->hash.len == SECBLOCK_USUAL_HASH;
}
/* To `p`, where the caller has claimed SECBLOCK_USUAL_IDENTITY bytes; gives what is behind them. */
static inline uint8_t *secblock_put_usual_identity(uint8_t *p, uint8_t hash_algorithm,
                                                   const uint8_t hash[SECBLOCK_USUAL_HASH])
{
    p[0] = SECBLOCK_IDENTITY_CERT_HASH;
    p[1] = 0;
    p[2] = 2 + SECBLOCK_USUAL_HASH;
    p[3] = hash_algorithm;
    p[4] = SECBLOCK_USUAL_HASH;
    memcpy(p + 5, hash, SECBLOCK_USUAL_HASH);
    return p + SECBLOCK_USUAL_IDENTITY;
}
void secblock_wr_identity(struct wr *w, const struct secblock_identity *in);
void secblock_wr_signature(struct wr *w, const struct secblock_signature *in);
void secblock_wr_certificate(struct wr *w, uint8_t type, struct slice der);
/* An X.509 certificate, where the list is written one after the other. */
static inline void secblock_wr_der(struct wr *w, struct slice der)
{
    uint8_t *p = der.len > UINT16_MAX ? NULL : wr_claim(w, 3 + der.len);
    if (UNLIKELY(p == NULL)) {
        wr_fail(w);
        return;
    }
    *p++ = SECBLOCK_CERTIFICATE_X509;
    p = wr_at16(p, (uint16_t)der.len);
    (void)wr_at_bytes(p, der);
}
/* `certificates` is the encoded list (see secblock_wr_certificate), without its length. */
void secblock_wr(struct wr *w, struct slice certificates, const struct secblock_signature *in);
/* Usual case: X.509 certificates given as DER, `count` of them. */
void secblock_wr_x509(struct wr *w, const struct slice *der, size_t count,
                      const struct secblock_signature *in);

/* What a message's signature is over: overlay, transaction id, MessageContents (content.bytes) and
 * SignerIdentity (6.3.4).  At most 12 + contents.len + SECBLOCK_IDENTITY_BYTES_MAX bytes. */
void secblock_wr_message_input(struct wr *w, uint32_t overlay, uint64_t transaction_id,
                               struct slice contents, const struct secblock_identity *signer);

/* The same where it need not be copied: MessageContents stand in `w` from offset `at` to the end of
 * what is written.  Overlay and transaction id go in front of them, where the end of the header
 * comes to stand afterwards, the identity behind them, where the SecurityBlock does.  Fails when
 * either has no room. */
enum { SECBLOCK_INPUT_FRONT = 4 + 8 };
struct slice secblock_put_message_input(struct wr *w, size_t at, uint32_t overlay,
                                        uint64_t transaction_id,
                                        const struct secblock_identity *signer);

/* What a SignerIdentity's hash is over (6.3.4): H(certificate), or H(Node-ID ‖ certificate). */
void secblock_wr_identity_input(struct wr *w, const struct rl_params *p,
                                enum secblock_identity_type type, const struct node_id *id,
                                struct slice der);
