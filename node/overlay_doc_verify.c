/* SPDX-License-Identifier: Apache-2.0 */
/* A signature is a SecurityBlock whose signature covers the bytes of the element and nothing else
 * (RFC 6940 11.1).  The form with the SignerIdentity appended, which 6.3.4 has for messages,
 * is not accepted: independent implementations sign the blob alone, and one form is enough to get
 * wrong. */
#include "codec/secblock.h"
#include "node/overlay_doc.h"

enum {
    CERTIFICATE_BYTES = 2600, /* of a signer; RSA-4096 needs about 2,000 */
    CERTIFICATES_CAP = 4,     /* in one SecurityBlock: the signer's and those of its issuers */
};

struct judging {
    const struct overlay_doc_signers *signers;
    const struct crypto *crypto;
    uint64_t at_ms;
    struct slice certificates[CERTIFICATES_CAP];
    size_t certificate_count;
    const char **why;
};

/* SHA-2 only; the length of the digest, 0 for another hash. */
static size_t digest_of(const struct judging *j, uint8_t algorithm, struct slice bytes,
                        uint8_t out[CRYPTO_SHA512_BYTES])
{
    switch (algorithm) {
    case SECBLOCK_HASH_SHA256:
        j->crypto->sha256(bytes, out);
        return CRYPTO_SHA256_BYTES;
    case SECBLOCK_HASH_SHA384:
        j->crypto->sha384(bytes, out);
        return CRYPTO_SHA384_BYTES;
    case SECBLOCK_HASH_SHA512:
        j->crypto->sha512(bytes, out);
        return CRYPTO_SHA512_BYTES;
    default:
        return 0;
    }
}

static bool is_hash_of(const struct judging *j, const struct secblock_identity *identity,
                       const struct node_id *id, struct slice der)
{
    uint8_t input[IDS_NODE_MAX + CERTIFICATE_BYTES];
    uint8_t digest[CRYPTO_SHA512_BYTES];
    struct rl_params params = {.node_id_length = j->signers->trust.node_id_length};
    struct wr w = wr_init(input, sizeof(input));
    secblock_wr_identity_input(&w, &params, (enum secblock_identity_type)identity->type, id, der);
    if (!wr_ok(&w)) {
        return false;
    }
    size_t len = digest_of(j, identity->hash_algorithm, wr_slice(&w), digest);
    return len > 0 && slice_is_equal(slice_of(digest, len), identity->hash);
}

/* The Node-ID of `c` that the SignerIdentity designates; false: none.  The type must fit the number
 * of Node-IDs (SG-3), here as in dht/sign. */
static bool designated(const struct judging *j, const struct secblock_identity *identity,
                       struct slice der, const struct crypto_certificate *c, struct node_id *out)
{
    uint8_t fitting =
        c->node_id_count == 1 ? SECBLOCK_IDENTITY_CERT_HASH : SECBLOCK_IDENTITY_CERT_HASH_NODE_ID;
    if (identity->type != fitting) {
        return false;
    }
    for (size_t i = 0; i < c->node_id_count; i++) {
        memcpy(out->bytes, c->node_ids[i], sizeof(out->bytes));
        if (is_hash_of(j, identity, out, der)) {
            return true;
        }
    }
    return false;
}

static enum err judge_block(struct judging *j, const struct secblock *block, size_t position,
                            struct crypto_certificate *c, struct node_id *signer)
{
    static const struct node_id no_id;
    const struct secblock_identity *identity = &block->signature.identity;
    struct slice der = j->certificates[position];
    struct slice others[CERTIFICATES_CAP];
    size_t other_count = 0;
    /* A hash of the certificate alone is cheap to compare; judging a certificate is not. */
    if (identity->type == SECBLOCK_IDENTITY_CERT_HASH && !is_hash_of(j, identity, &no_id, der)) {
        return ERR_MORE;
    }
    for (size_t i = 0; i < j->certificate_count; i++) {
        if (i != position) {
            others[other_count++] = j->certificates[i];
        }
    }
    enum err e =
        j->crypto->certificate(der, others, other_count, &j->signers->trust, j->at_ms, c, j->why);
    if (e != ERR_OK) {
        return e;
    }
    if (j->at_ms < c->not_before_ms || j->at_ms > c->not_after_ms) {
        *j->why = "the signer's certificate has expired, or is not valid yet"; /* ID-3 */
        return ERR_EXPIRED;
    }
    return designated(j, identity, der, c, signer) ? ERR_OK : ERR_MORE;
}

/* The certificate of `block` that its SignerIdentity means, and the Node-ID. */
static enum err find_signer(struct judging *j, const struct secblock *block,
                            struct crypto_certificate *c, struct node_id *signer)
{
    struct secblock_certificate next;
    struct rd r = rd_init(block->certificates);
    enum err result = ERR_BAD_SIGNATURE;
    while (secblock_certificate_next(&r, &next)) {
        if (j->certificate_count == CERTIFICATES_CAP) {
            *j->why = "more than 4 certificates in a signature";
            return ERR_BAD_SIGNATURE;
        }
        if (next.type == SECBLOCK_CERTIFICATE_X509) {
            j->certificates[j->certificate_count++] = next.der;
        }
    }
    for (size_t i = 0; i < j->certificate_count; i++) {
        enum err e = judge_block(j, block, i, c, signer);
        if (e == ERR_OK) {
            return ERR_OK;
        }
        result = e == ERR_MORE ? result : e;
    }
    if (result == ERR_BAD_SIGNATURE) {
        *j->why = "the signer's certificate is not in the signature";
    }
    return result;
}

enum err overlay_doc_verify_block(struct slice bytes, struct slice blob,
                                  const struct overlay_doc_signers *signers,
                                  const struct crypto *crypto, uint64_t at_ms,
                                  struct node_id *signer, const char **why)
{
    struct secblock block;
    struct crypto_certificate c;
    uint8_t len = signers->trust.node_id_length;
    struct judging j = {.signers = signers, .crypto = crypto, .at_ms = at_ms, .why = why};
    *why = "the signature is not a SecurityBlock";
    if (secblock_decode(bytes, &block) != ERR_OK) {
        return ERR_BAD_SIGNATURE;
    }
    enum err e = find_signer(&j, &block, &c, signer);
    if (e != ERR_OK) {
        return e;
    }
    if (!overlay_doc_lists(signers->allowed, signer, len)) {
        *why = "the signer is not one of those that the document lists";
        return ERR_BAD_SIGNATURE;
    }
    *why = "the signature does not fit the bytes of the element";
    return crypto->verify(slice_of(c.public_key, c.public_key_len),
                          (enum crypto_algorithm)block.signature.algorithm, blob,
                          block.signature.value);
}

enum err overlay_doc_verify(const struct overlay_doc *doc,
                            const struct overlay_doc_signers *signers, const struct crypto *crypto,
                            uint64_t at_ms, const char **why)
{
    struct node_id signer;
    enum err e = ERR_NOT_FOUND;
    *why = "the document has no signature";
    if (doc->signature_count > 0 && doc->outside != NULL) {
        *why = doc->outside;
        return ERR_BAD_SIGNATURE;
    }
    for (size_t i = 0; i < doc->signature_count; i++) {
        e = overlay_doc_verify_block(doc->signatures[i], doc->configuration, signers, crypto, at_ms,
                                     &signer, why);
        if (e == ERR_OK) {
            break;
        }
    }
    return e;
}

enum err overlay_doc_verify_first(const struct overlay_doc *doc, const struct crypto *crypto,
                                  uint64_t at_ms, const char **why)
{
    struct overlay_doc_signers own = {.trust = overlay_doc_trust(doc),
                                      .allowed = &doc->configuration_signers};
    return overlay_doc_verify(doc, &own, crypto, at_ms, why);
}
