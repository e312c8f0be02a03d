/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_secblock.c - SecurityBlock, its parts, and the bytes that signatures and identities are made
 * over (RFC 6940 6.3.4).
 *
 * Input: which structure, Node-ID length, a Node-ID, a string that stands for the contents, then
 * the structure.  What decodes is written again and must be the same bytes; the input of a
 * signature is put together here a second time. */
#include "codec/secblock.h"
#include "fuzz/mutate.h"

FUZZ_UNCOUNTED

enum { CERTIFICATES_MAX = 64 };

static struct fuzz_block block;
static uint8_t out[1 << 18];
static uint8_t expected[1 << 18];

struct around {
    struct rl_params params;
    struct node_id id;
    struct slice contents;
};

static void identity(struct slice in, const struct around *a)
{
    struct rd r = rd_init(in);
    struct secblock_identity identity;
    secblock_rd_identity(&r, &identity);
    if (rd_finish(&r) != ERR_OK) {
        return;
    }
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr_identity(&w, &identity);
    fuzz_same(&w, in);
    CHECK(identity.type != SECBLOCK_IDENTITY_NONE || identity.hash.len == 0);
    /* overlay, transaction id, contents, and the identity as it stood on the wire */
    struct wr e = wr_init(expected, sizeof(expected));
    wr_u32(&e, a->params.overlay);
    wr_u64(&e, 0x0102030405060708ULL);
    wr_bytes(&e, a->contents);
    wr_bytes(&e, in);
    w = wr_init(out, sizeof(out));
    secblock_wr_message_input(&w, a->params.overlay, 0x0102030405060708ULL, a->contents, &identity);
    fuzz_same(&w, wr_slice(&e));
}

static void signature(struct slice in, const struct around *a)
{
    struct rd r = rd_init(in);
    struct secblock_signature s;
    (void)a;
    secblock_rd_signature(&r, &s);
    if (rd_finish(&r) == ERR_OK) {
        struct wr w = wr_init(out, sizeof(out));
        secblock_wr_signature(&w, &s);
        fuzz_same(&w, in);
    }
}

static void hashed(struct slice der, const struct around *a)
{
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr_identity_input(&w, &a->params, SECBLOCK_IDENTITY_CERT_HASH, &a->id, der);
    fuzz_same(&w, der);
    struct wr e = wr_init(expected, sizeof(expected));
    wr_bytes(&e, slice_of(a->id.bytes, a->params.node_id_length));
    wr_bytes(&e, der);
    w = wr_init(out, sizeof(out));
    secblock_wr_identity_input(&w, &a->params, SECBLOCK_IDENTITY_CERT_HASH_NODE_ID, &a->id, der);
    fuzz_same(&w, wr_slice(&e));
}

/* How many there are, or 0 for a list that is not well-formed. */
static size_t certificates(struct slice list, const struct around *a, struct slice *ders,
                           bool *are_x509)
{
    struct rd r = rd_init(list);
    struct wr w = wr_init(out, sizeof(out));
    struct secblock_certificate c;
    size_t count = 0;
    *are_x509 = true;
    while (secblock_certificate_next(&r, &c)) {
        secblock_wr_certificate(&w, c.type, c.der);
        *are_x509 = *are_x509 && c.type == SECBLOCK_CERTIFICATE_X509;
        if (count < CERTIFICATES_MAX) {
            ders[count] = c.der;
        }
        count++;
    }
    if (!rd_is_done(&r)) {
        return 0;
    }
    fuzz_same(&w, list);
    for (size_t i = 0; i < min_size(count, 2); i++) {
        hashed(ders[i], a);
    }
    return count;
}

static void whole(struct slice in, const struct around *a)
{
    struct secblock b;
    struct slice ders[CERTIFICATES_MAX];
    bool are_x509 = false;
    if (secblock_decode(in, &b) != ERR_OK) {
        return;
    }
    size_t count = certificates(b.certificates, a, ders, &are_x509);
    CHECK(count == b.certificate_count);
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr(&w, b.certificates, &b.signature);
    fuzz_same(&w, in);
    if (are_x509 && count <= CERTIFICATES_MAX) {
        w = wr_init(out, sizeof(out));
        secblock_wr_x509(&w, ders, count, &b.signature);
        fuzz_same(&w, in);
    }
    signature(slice_from(in, 2 + b.certificates.len), a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, sizeof(out) / 4)));
    uint8_t which = rd_u8(&r) % 4;
    struct around a = {.params = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)}};
    a.params.overlay = 0x9aa32b8d;
    struct slice id = fuzz_take(&r, IDS_NODE_MAX);
    if (id.len > 0) {
        memcpy(a.id.bytes, id.data, id.len);
    }
    a.contents = fuzz_take(&r, UINT8_MAX);
    struct slice in = rd_rest(&r);
    in.data = fuzz_exact(&block, in);
    struct slice ders[CERTIFICATES_MAX];
    bool are_x509 = false;
    switch (which) {
    case 0:
        whole(in, &a);
        break;
    case 1:
        identity(in, &a);
        break;
    case 2:
        signature(in, &a);
        break;
    default:
        (void)certificates(in, &a, ders, &are_x509);
        break;
    }
    return 0;
}

/* Whole blocks only; the other three structures are changed as bytes. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t made[MUTATE_OUT];
    struct rd r = rd_init(slice_of(data, size));
    struct rl_params p = {.node_id_length = IDS_NODE_MIN};
    uint8_t which = rd_u8(&r) % 4;
    (void)rd_u8(&r);
    (void)fuzz_take(&r, IDS_NODE_MAX);
    (void)fuzz_take(&r, UINT8_MAX);
    size_t head = size - rd_left(&r);
    if (which != 0 || !rd_ok(&r) || mutate_is_plain(seed, size, head)) {
        return mutate_plain(data, size, max_size);
    }
    struct mutate g = mutate_begin(seed, &p);
    struct wr w = wr_init(made, sizeof(made));
    g.all = true;
    mutate_secblock(&g, rd_rest(&r), &w);
    return mutate_end(&w, data, size, head, max_size);
}

FUZZ_COUNTED
