/* SPDX-License-Identifier: Apache-2.0 */
/* test_stun_auth.c - message integrity against the vectors of RFC 5769 and RFC 8489 B.1. */
#include "link/crypto_boring.h"
#include "link/stun_auth.h"
#include "tests/unit/codec/stun_fixture.h"

static const uint8_t transaction[STUN_TRANSACTION_BYTES] = "transaction";

static enum err check(const struct stun_bytes *b, struct slice key, enum stun_auth_use accepted)
{
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(b), &m), ERR_OK);
    return stun_auth_check(crypto_boring(), &m, key, accepted);
}

Test(stun_auth, vectors_of_the_rfcs)
{
    static const char *const vectors[] = {STUN_5769_REQUEST, STUN_5769_IPV4, STUN_5769_IPV6,
                                          STUN_5769_LONG_TERM, STUN_8489_LONG_TERM};
    const struct crypto *c = crypto_boring();
    uint8_t md5[CRYPTO_MD5_BYTES], sha256[CRYPTO_SHA256_BYTES];
    c->md5(STUN_LONG_TERM_SECRET, md5);
    c->sha256(STUN_LONG_TERM_SECRET, sha256);
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes b = stun_unhex(vectors[i]);
        bool is_sha256 = i == 4;
        struct slice key = i < 3    ? STUN_PASSWORD
                           : i == 3 ? slice_of(md5, sizeof(md5))
                                    : slice_of(sha256, sizeof(sha256));
        cr_assert_eq(check(&b, key, STUN_AUTH_BOTH), ERR_OK, "vector %zu", i);
        cr_assert_eq(check(&b, key, is_sha256 ? STUN_AUTH_SHA256 : STUN_AUTH_SHA1), ERR_OK);
        cr_assert_eq(check(&b, key, is_sha256 ? STUN_AUTH_SHA1 : STUN_AUTH_SHA256),
                     ERR_UNSUPPORTED);
        cr_assert_eq(check(&b, SLICE_LITERAL("VOkJxbRl1RmTxUk/WvJxBT"), STUN_AUTH_BOTH),
                     ERR_BAD_SIGNATURE);
        cr_assert_eq(check(&b, SLICE_EMPTY, STUN_AUTH_BOTH), ERR_BAD_SIGNATURE);
    }
    /* RFC 8489 14.4: the user hash of B.1 */
    struct stun_bytes b = stun_unhex(STUN_8489_LONG_TERM);
    struct stun m;
    struct slice name = STUN_LONG_TERM_SECRET;
    c->sha256(slice_sub(name, 0, name.len - strlen(":TheMatrIX")), sha256);
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    cr_assert(slice_is_equal(m.userhash, slice_of(sha256, sizeof(sha256))));
}

/* A request or answer with everything that `use` says. */
static struct stun_bytes sealed(enum stun_auth_use use)
{
    struct stun_bytes b;
    struct wr w = wr_init(b.data, sizeof(b.data));
    size_t start = stun_wr_begin(&w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
    stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, SLICE_LITERAL("a:bcd"));
    stun_wr_flag(&w, start, STUN_ATTR_USE_CANDIDATE);
    stun_auth_seal(crypto_boring(), &w, start, STUN_PASSWORD, use);
    cr_assert(wr_ok(&w));
    b.len = wr_len(&w);
    return b;
}

Test(stun_auth, seals_in_order)
{
    static const uint16_t orders[][4] = {
        {STUN_ATTR_FINGERPRINT},
        {STUN_ATTR_MESSAGE_INTEGRITY, STUN_ATTR_FINGERPRINT},
        {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, STUN_ATTR_FINGERPRINT},
        {STUN_ATTR_MESSAGE_INTEGRITY, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, STUN_ATTR_FINGERPRINT},
    };
    for (unsigned use = STUN_AUTH_NONE; use <= STUN_AUTH_BOTH; use++) {
        struct stun_bytes b = sealed((enum stun_auth_use)use);
        enum err want = use == STUN_AUTH_NONE ? ERR_UNAUTHENTICATED : ERR_OK;
        cr_assert_eq(check(&b, STUN_PASSWORD, STUN_AUTH_BOTH), want);
        struct stun_walk walk = stun_walk(stun_slice(&b));
        struct stun_attr a;
        size_t count = 0;
        while (stun_walk_next(&walk, &a)) {
            cr_assert(count < 2 || a.type == orders[use][count - 2]);
            count++;
        }
        struct stun m;
        cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
        cr_assert_eq(stun_auth_answer(&m), use == STUN_AUTH_BOTH ? STUN_AUTH_SHA256 : use);
    }
}

/* RFC 8489 9.1.3: where both are there the stronger counts, the other is not looked at. */
Test(stun_auth, sha256_decides)
{
    struct stun_bytes b = sealed(STUN_AUTH_BOTH);
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    uint8_t *sha1 = b.data + (m.message_integrity.data - b.data);
    uint8_t *sha256 = b.data + (m.message_integrity_sha256.data - b.data);
    cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_SHA1),
                 ERR_UNSUPPORTED);
    for (size_t i = 0; i < 8 * STUN_SHA256_BYTES; i++) {
        sha256[i / 8] ^= (uint8_t)(1 << i % 8);
        cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH),
                     ERR_BAD_SIGNATURE, "bit %zu", i);
        sha256[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH), ERR_OK);
    sha1[0] ^= 1; /* is covered by the other */
    cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH),
                 ERR_BAD_SIGNATURE);
}

/* Every bit in front of the integrity counts, the length field apart: it is put right (14.5). */
Test(stun_auth, covers_the_message)
{
    for (unsigned use = STUN_AUTH_SHA1; use <= STUN_AUTH_SHA256; use++) {
        struct stun_bytes b = sealed((enum stun_auth_use)use);
        struct stun m;
        cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
        const uint8_t *mac =
            use == STUN_AUTH_SHA1 ? m.message_integrity.data : m.message_integrity_sha256.data;
        size_t covered = (size_t)(mac - b.data) - STUN_ATTR_HEADER_BYTES;
        for (size_t bit = 0; bit < 8 * covered; bit++) {
            bool is_length = bit / 8 == 2 || bit / 8 == 3;
            b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH),
                         is_length ? ERR_OK : ERR_BAD_SIGNATURE, "bit %zu", bit);
            b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* 14.6: a short one is well-formed, but no usage here permits it. */
Test(stun_auth, refuses_truncation)
{
    for (size_t len = 16; len < STUN_SHA256_BYTES; len += 4) {
        struct stun_bytes b;
        struct stun m;
        uint8_t mac[CRYPTO_SHA256_BYTES] = {0};
        for (int round = 0; round < 2; round++) { /* the second time with the right value */
            struct wr w = wr_init(b.data, sizeof(b.data));
            size_t start = stun_wr_begin(&w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
            stun_wr_bytes(&w, start, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, slice_of(mac, len));
            cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
            crypto_boring()->hmac_sha256(STUN_PASSWORD, slice_of(b.data, STUN_HEADER_BYTES), mac);
        }
        cr_assert(slice_is_equal(m.message_integrity_sha256, slice_of(mac, len)));
        cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH),
                     ERR_BAD_SIGNATURE);
    }
}

Test(stun_auth, is_bounded)
{
    static uint8_t out[STUN_AUTH_INPUT_CAP + 100];
    static const uint8_t zeros[STUN_AUTH_INPUT_CAP];
    for (size_t more = 0; more <= 4; more += 4) {
        size_t value = STUN_AUTH_INPUT_CAP - STUN_HEADER_BYTES - STUN_ATTR_HEADER_BYTES + more;
        struct wr w = wr_init(out, sizeof(out));
        struct stun m;
        size_t start = stun_wr_begin(&w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
        stun_wr_bytes(&w, start, 0xc001, slice_of(zeros, value));
        stun_auth_seal(crypto_boring(), &w, start, STUN_PASSWORD, STUN_AUTH_SHA1);
        cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
        cr_assert_eq(stun_auth_check(crypto_boring(), &m, STUN_PASSWORD, STUN_AUTH_BOTH),
                     more == 0 ? ERR_OK : ERR_TOO_LARGE);
    }
    struct wr small = wr_init(out, STUN_HEADER_BYTES + 30);
    size_t start = stun_wr_begin(&small, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
    stun_auth_seal(crypto_boring(), &small, start, STUN_PASSWORD, STUN_AUTH_BOTH);
    cr_assert_not(wr_ok(&small));
}
