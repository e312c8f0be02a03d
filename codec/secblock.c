/* SPDX-License-Identifier: Apache-2.0 */
/* secblock.c - see secblock.h. */
#include "codec/secblock.h"

void secblock_rd_certificate(struct rd *r, struct secblock_certificate *out)
{
    out->type = rd_u8(r);
    out->der = rd_opaque16(r);
}

bool secblock_certificate_next(struct rd *r, struct secblock_certificate *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    secblock_rd_certificate(r, out);
    return rd_ok(r);
}

void secblock_rd_identity(struct rd *r, struct secblock_identity *out)
{
    const uint8_t *start = r->at;
    *out = (struct secblock_identity){.type = rd_u8(r)};
    size_t len = rd_u16(r);
    struct rd value = rd_sub(r, len); /* told by its length, so that new types can be skipped */
    if (out->type == SECBLOCK_IDENTITY_CERT_HASH ||
        out->type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        out->hash_algorithm = rd_u8(&value);
        out->hash = rd_opaque8(&value);
    } else if (out->type != SECBLOCK_IDENTITY_NONE) {
        out->hash = rd_rest(&value);
    }
    rd_close(r, &value);
    if (out->type == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

void secblock_rd_signature(struct rd *r, struct secblock_signature *out)
{
    out->algorithm = rd_u16(r);
    secblock_rd_identity(r, &out->identity);
    out->value = rd_opaque16(r);
}

void secblock_rd(struct rd *r, struct secblock *out)
{
    memset(out, 0, sizeof(*out));
    out->certificates = rd_opaque16(r);
    struct rd list = rd_init(out->certificates);
    struct secblock_certificate c;
    while (secblock_certificate_next(&list, &c)) {
        out->certificate_count++;
    }
    rd_close(r, &list);
    secblock_rd_signature(r, &out->signature);
}

enum err secblock_decode(struct slice in, struct secblock *out)
{
    struct rd r = rd_init(in);
    secblock_rd(&r, out);
    return rd_finish(&r);
}

enum { SHA256_BYTES = 32 };

/* These claim their bytes at once: each message and each value that we sign has them. */

static inline bool is_hash(const struct secblock_identity *in)
{
    return in->type == SECBLOCK_IDENTITY_CERT_HASH ||
           in->type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID;
}

static inline size_t identity_bytes(const struct secblock_identity *in)
{
    return 3 + (is_hash(in) ? 2u : 0u) + in->hash.len;
}

static inline bool is_identity_too_long(const struct secblock_identity *in)
{
    return in->hash.len > (is_hash(in) ? (size_t)UINT8_MAX : (size_t)UINT16_MAX);
}

static inline __attribute__((always_inline)) uint8_t *
put_identity(uint8_t *p, const struct secblock_identity *in)
{
    *p++ = in->type;
    p = wr_at16(p, (uint16_t)(identity_bytes(in) - 3));
    if (is_hash(in)) {
        *p++ = in->hash_algorithm;
        *p++ = (uint8_t)in->hash.len;
    }
    if (LIKELY(in->hash.len == SHA256_BYTES)) { /* a constant is copied without a call */
        memcpy(p, in->hash.data, SHA256_BYTES);
        return p + SHA256_BYTES;
    }
    return wr_at_bytes(p, in->hash);
}

void secblock_wr_identity(struct wr *w, const struct secblock_identity *in)
{
    uint8_t *p = is_identity_too_long(in) ? NULL : wr_claim(w, identity_bytes(in));
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    (void)put_identity(p, in);
}

void secblock_wr_signature(struct wr *w, const struct secblock_signature *in)
{
    bool is_too_long = is_identity_too_long(&in->identity) || in->value.len > UINT16_MAX;
    size_t bytes = 4 + identity_bytes(&in->identity) + in->value.len;
    uint8_t *p = is_too_long ? NULL : wr_claim(w, bytes);
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    p = wr_at16(p, in->algorithm);
    p = put_identity(p, &in->identity);
    p = wr_at16(p, (uint16_t)in->value.len);
    (void)wr_at_bytes(p, in->value);
}

void secblock_wr_certificate(struct wr *w, uint8_t type, struct slice der)
{
    uint8_t *p = der.len > UINT16_MAX ? NULL : wr_claim(w, 3 + der.len);
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    *p++ = type;
    p = wr_at16(p, (uint16_t)der.len);
    (void)wr_at_bytes(p, der);
}

void secblock_wr(struct wr *w, struct slice certificates, const struct secblock_signature *in)
{
    wr_opaque16(w, certificates);
    secblock_wr_signature(w, in);
}

void secblock_wr_x509(struct wr *w, const struct slice *der, size_t count,
                      const struct secblock_signature *in)
{
    size_t mark = wr_begin(w, 2);
    for (size_t i = 0; i < count; i++) {
        secblock_wr_certificate(w, SECBLOCK_CERTIFICATE_X509, der[i]);
    }
    wr_end(w, 2, mark);
    secblock_wr_signature(w, in);
}

void secblock_wr_message_input(struct wr *w, uint32_t overlay, uint64_t transaction_id,
                               struct slice contents, const struct secblock_identity *signer)
{
    size_t bytes = 12 + contents.len + identity_bytes(signer);
    uint8_t *p = is_identity_too_long(signer) ? NULL : wr_claim(w, bytes);
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    p = wr_at32(p, overlay);
    p = wr_at64(p, transaction_id);
    p = wr_at_bytes(p, contents);
    (void)put_identity(p, signer);
}

void secblock_wr_identity_input(struct wr *w, const struct rl_params *p,
                                enum secblock_identity_type type, const struct node_id *id,
                                struct slice der)
{
    if (type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        ids_wr_node(w, p, id);
    }
    wr_bytes(w, der);
}
