/* SPDX-License-Identifier: Apache-2.0 */
/* secblock.c - see secblock.h. */
#include "codec/secblock.h"

/* Compiled into what decodes a whole message's block: there the cursor stays in registers. */
#define INLINE static inline __attribute__((always_inline))

INLINE void read_certificate(struct rd *r, struct secblock_certificate *out)
{
    out->type = rd_u8(r);
    out->der = rd_opaque16(r);
}

void secblock_rd_certificate(struct rd *r, struct secblock_certificate *out)
{
    read_certificate(r, out);
}

bool secblock_certificate_next(struct rd *r, struct secblock_certificate *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    secblock_rd_certificate(r, out);
    return rd_ok(r);
}

/* The usual identity in the SECBLOCK_USUAL_IDENTITY bytes at `p`; anything else is left to whoever
 * can say what is wrong with it. */
INLINE bool get_usual_identity(const uint8_t *p, struct secblock_identity *out)
{
    if (UNLIKELY(p[0] != SECBLOCK_IDENTITY_CERT_HASH || rd_at16(p + 1) != 2 + SECBLOCK_USUAL_HASH ||
                 p[4] != SECBLOCK_USUAL_HASH)) {
        return false;
    }
    out->type = SECBLOCK_IDENTITY_CERT_HASH;
    out->hash_algorithm = p[3];
    out->hash = slice_of(p + 5, SECBLOCK_USUAL_HASH);
    return true;
}

INLINE bool read_usual_identity(struct rd *r, struct secblock_identity *out)
{
    if (UNLIKELY(rd_left(r) < SECBLOCK_USUAL_IDENTITY || !get_usual_identity(r->at, out))) {
        return false;
    }
    r->at += SECBLOCK_USUAL_IDENTITY;
    return true;
}

INLINE void read_identity(struct rd *r, struct secblock_identity *out)
{
    if (LIKELY(read_usual_identity(r, out))) {
        return;
    }
    const uint8_t *start = r->at;
    uint8_t type = rd_u8(r);
    uint8_t algorithm = 0;
    struct slice hash = SLICE_EMPTY;
    size_t len = rd_u16(r);
    struct rd value = rd_sub(r, len); /* told by its length, so that new types can be skipped */
    if (type == SECBLOCK_IDENTITY_CERT_HASH || type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID) {
        algorithm = rd_u8(&value);
        hash = rd_opaque8(&value);
    } else if (type != SECBLOCK_IDENTITY_NONE) {
        hash = rd_rest(&value);
    }
    *out = (struct secblock_identity){type, algorithm, hash};
    rd_close(r, &value);
    if (UNLIKELY(type == 0)) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

void secblock_rd_identity(struct rd *r, struct secblock_identity *out)
{
    read_identity(r, out);
}

INLINE void read_signature(struct rd *r, struct secblock_signature *out)
{
    out->algorithm = rd_u16(r);
    read_identity(r, &out->identity);
    out->value = rd_opaque16(r);
}

void secblock_rd_signature(struct rd *r, struct secblock_signature *out)
{
    read_signature(r, out);
}

INLINE void read_block(struct rd *r, struct secblock *out)
{
    struct slice certificates = rd_opaque16(r);
    struct rd list = rd_init(certificates);
    struct secblock_certificate c;
    uint32_t count = 0;
    size_t len = 0;
    while (rd_left(&list) >= 3 && rd_left(&list) - 3 >= (len = rd_at16(list.at + 1))) {
        list.at += 3 + len;
        count++;
    }
    if (UNLIKELY(rd_left(&list) > 0)) {
        read_certificate(&list, &c); /* which says what is wrong with it */
    }
    out->certificates = certificates;
    out->certificate_count = (uint16_t)count; /* three bytes each at least */
    rd_close(r, &list);
    read_signature(r, &out->signature);
}

void secblock_rd(struct rd *r, struct secblock *out)
{
    read_block(r, out);
}

/* The end of a message as nearly all have it: whole certificates, a signature of the usual identity
 * and nothing behind it.  What is of fixed length is asked for once.  False: look closer. */
INLINE bool decode_usual(struct slice in, struct secblock *out)
{
    enum { AT_VALUE = 2 + SECBLOCK_USUAL_IDENTITY + 2, FIXED = 2 + AT_VALUE };
    if (in.len < FIXED) {
        return false;
    }
    const uint8_t *list = in.data + 2;
    size_t list_len = rd_at16(in.data);
    if (in.len - FIXED < list_len) {
        return false;
    }
    const uint8_t *signature = list + list_len;
    size_t value_len = in.len - FIXED - list_len;
    if (rd_at16(signature + AT_VALUE - 2) != value_len ||
        !get_usual_identity(signature + 2, &out->signature.identity)) {
        return false;
    }
    uint32_t count = 0;
    size_t at = 0;
    while (list_len - at >= 3 && list_len - at - 3 >= rd_at16(list + at + 1)) {
        at += 3u + rd_at16(list + at + 1);
        count++;
    }
    if (at != list_len) {
        return false;
    }
    out->certificates = slice_of(list, list_len);
    out->certificate_count = (uint16_t)count; /* three bytes each at least */
    out->signature.algorithm = rd_at16(signature);
    out->signature.value = slice_of(signature + AT_VALUE, value_len);
    return true;
}

enum err secblock_decode(struct slice in, struct secblock *out)
{
    if (LIKELY(decode_usual(in, out))) {
        return ERR_OK;
    }
    struct rd r = rd_init(in);
    read_block(&r, out);
    return rd_finish(&r);
}

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

INLINE uint8_t *put_identity(uint8_t *p, const struct secblock_identity *in)
{
    if (LIKELY(secblock_identity_is_usual(in))) {
        return secblock_put_usual_identity(p, in->hash_algorithm, in->hash.data);
    }
    *p++ = in->type;
    p = wr_at16(p, (uint16_t)(identity_bytes(in) - 3));
    if (is_hash(in)) {
        *p++ = in->hash_algorithm;
        *p++ = (uint8_t)in->hash.len;
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

static inline bool is_signature_too_long(const struct secblock_signature *in)
{
    return is_identity_too_long(&in->identity) || in->value.len > UINT16_MAX;
}

static inline size_t signature_bytes(const struct secblock_signature *in)
{
    return 4 + identity_bytes(&in->identity) + in->value.len;
}

INLINE void put_signature(uint8_t *p, const struct secblock_signature *in)
{
    p = wr_at16(p, in->algorithm);
    p = put_identity(p, &in->identity);
    p = wr_at16(p, (uint16_t)in->value.len);
    (void)wr_at_bytes(p, in->value);
}

void secblock_wr_signature(struct wr *w, const struct secblock_signature *in)
{
    uint8_t *p = is_signature_too_long(in) ? NULL : wr_claim(w, signature_bytes(in));
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    put_signature(p, in);
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
    size_t list = 0;
    for (size_t i = 0; i < count; i++) {
        list += 3 + der[i].len; /* too long for its prefix: too long for the list's */
    }
    bool is_too_long = list > UINT16_MAX || is_signature_too_long(in);
    uint8_t *p = is_too_long ? NULL : wr_claim(w, 2 + list + signature_bytes(in));
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    p = wr_at16(p, (uint16_t)list);
    for (size_t i = 0; i < count; i++) {
        *p++ = SECBLOCK_CERTIFICATE_X509;
        p = wr_at16(p, (uint16_t)der[i].len);
        p = wr_at_bytes(p, der[i]);
    }
    put_signature(p, in);
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

struct slice secblock_put_message_input(struct wr *w, size_t at, uint32_t overlay,
                                        uint64_t transaction_id,
                                        const struct secblock_identity *signer)
{
    size_t behind = identity_bytes(signer);
    if (!wr_ok(w) || at < SECBLOCK_INPUT_FRONT || at > wr_len(w) || wr_left(w) < behind ||
        is_identity_too_long(signer)) {
        wr_fail(w);
        return SLICE_EMPTY;
    }
    uint8_t *front = w->start + at - SECBLOCK_INPUT_FRONT;
    (void)wr_at64(wr_at32(front, overlay), transaction_id);
    (void)put_identity(w->at, signer);
    return slice_of(front, (size_t)(w->at - front) + behind);
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
