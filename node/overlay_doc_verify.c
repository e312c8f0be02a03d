/* SPDX-License-Identifier: Apache-2.0 */
/* The signature is a SecurityBlock whose signature covers the bytes of the element and nothing else
 * (RFC 6940 11.1; the form with the SignerIdentity appended, A-21, is not accepted: independent
 * implementations sign the blob alone). */
#include "codec/secblock.h"
#include "node/overlay_doc.h"

/* A configuration-signer's certificate may have so many bytes (RSA-4096 needs about 2,000). */
enum { CERTIFICATE_BYTES = 2600 };

static bool is_listed(const struct overlay_doc_ids *ids, const uint8_t bytes[IDS_NODE_MAX])
{
    for (size_t i = 0; i < ids->count; i++) {
        if (memcmp(ids->ids[i].bytes, bytes, IDS_NODE_MAX) == 0) {
            return true;
        }
    }
    return false;
}

/* The Node-ID of `c` that the SignerIdentity designates, or NULL. */
static const uint8_t *designated(const struct overlay_doc *doc, const struct crypto *crypto,
                                 const struct secblock_identity *identity, struct slice der,
                                 const struct crypto_certificate *c)
{
    uint8_t input[IDS_NODE_MAX + CERTIFICATE_BYTES];
    uint8_t digest[CRYPTO_SHA256_BYTES];
    struct rl_params params = {.node_id_length = doc->config.node_id_length};
    for (size_t i = 0; i < c->node_id_count; i++) {
        struct node_id id;
        memcpy(id.bytes, c->node_ids[i], sizeof(id.bytes));
        struct wr w = wr_init(input, sizeof(input));
        secblock_wr_identity_input(&w, &params, (enum secblock_identity_type)identity->type, &id,
                                   der);
        crypto->sha256(slice_of(input, wr_len(&w)), digest);
        if (wr_ok(&w) && slice_is_equal(slice_of(digest, sizeof(digest)), identity->hash)) {
            return c->node_ids[i];
        }
    }
    return NULL;
}

enum err overlay_doc_verify(const struct overlay_doc *doc, const struct crypto *crypto,
                            uint64_t at_ms, const char **why)
{
    struct secblock block;
    struct secblock_certificate certificate;
    struct crypto_trust trust = overlay_doc_trust(doc);
    enum err result = ERR_BAD_SIGNATURE;
    *why = "the document has no signature";
    if (doc->signature.len == 0) {
        return ERR_NOT_FOUND;
    }
    *why = "the signature is not a SecurityBlock with a SHA-256 signer identity";
    if (secblock_decode(doc->signature, &block) != ERR_OK ||
        block.signature.identity.hash_algorithm != SECBLOCK_HASH_SHA256) {
        return ERR_BAD_SIGNATURE;
    }
    *why = "the signer's certificate is not in the signature";
    struct rd r = rd_init(block.certificates);
    for (unsigned seen = 0; seen < 8 && secblock_certificate_next(&r, &certificate); seen++) {
        struct crypto_certificate c;
        enum err e = crypto->certificate(certificate.der, NULL, 0, &trust, at_ms, &c, why);
        if (e != ERR_OK) {
            result = e;
            continue;
        }
        const uint8_t *signer =
            designated(doc, crypto, &block.signature.identity, certificate.der, &c);
        if (signer == NULL) {
            continue;
        }
        *why = "the signer is not one of the document's configuration-signers";
        if (!is_listed(&doc->configuration_signers, signer)) {
            return ERR_BAD_SIGNATURE;
        }
        *why = "the signature does not fit the bytes of <configuration>";
        return crypto->verify(slice_of(c.public_key, c.public_key_len),
                              (enum crypto_algorithm)block.signature.algorithm, doc->configuration,
                              block.signature.value);
    }
    return result;
}
