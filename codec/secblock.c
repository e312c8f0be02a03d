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

void secblock_wr_identity(struct wr *w, const struct secblock_identity *in)
{
    wr_u8(w, in->type);
    size_t mark = wr_begin(w, 2);
    if (in->type == SECBLOCK_IDENTITY_CERT_HASH ||
        in->type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        wr_u8(w, in->hash_algorithm);
        wr_opaque8(w, in->hash);
    } else {
        wr_bytes(w, in->hash);
    }
    wr_end(w, 2, mark);
}

void secblock_wr_signature(struct wr *w, const struct secblock_signature *in)
{
    wr_u16(w, in->algorithm);
    secblock_wr_identity(w, &in->identity);
    wr_opaque16(w, in->value);
}

void secblock_wr_certificate(struct wr *w, uint8_t type, struct slice der)
{
    wr_u8(w, type);
    wr_opaque16(w, der);
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
    wr_u32(w, overlay);
    wr_u64(w, transaction_id);
    wr_bytes(w, contents);
    secblock_wr_identity(w, signer);
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
