/* SPDX-License-Identifier: Apache-2.0 */
/* stun_fixture.h - the STUN messages that the RFCs give as test vectors, for tests.  Their HMACs
 * and CRCs prove that they are copied right. */
#pragma once
#include "codec/ids.h"
#include "codec/stun_wr.h"
#include <criterion/criterion.h>
#include <stdlib.h>

/* RFC 5769 2.1: request, short-term password STUN_PASSWORD */
#define STUN_5769_REQUEST                                                                          \
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e00" \
    "01ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5" \
    "b2d3f249c1b571a280280004e57a3bcf"
/* 2.2, 2.3: its answer, 192.0.2.1:32853 and [2001:db8:1234:5678:11:2233:4455:6677]:32853 */
#define STUN_5769_IPV4                                                                             \
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112" \
    "a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
#define STUN_5769_IPV6                                                                             \
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113" \
    "a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
/* 2.4: request with a long-term credential */
#define STUN_5769_LONG_TERM                                                                        \
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015" \
    "001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"                                 \
    "0014000b6578616d706c652e6f7267"                                                               \
    "0000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
/* RFC 8489 B.1 as erratum 6268 has it: USERHASH, MESSAGE-INTEGRITY-SHA256 */
#define STUN_8489_LONG_TERM                                                                        \
    "000100902112a44278ad3433c6ad72c029da412e" STUN_8489_B1                                        \
    "001d000400020000001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
/* ... and as it is printed: no PASSWORD-ALGORITHM, and the length counts the header too (so did the
 * HMAC, which no receiver can compute) */
#define STUN_8489_PRINTED                                                                          \
    "0001009c2112a44278ad3433c6ad72c029da412e" STUN_8489_B1                                        \
    "001c0020e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01"
#define STUN_8489_B1                                                                               \
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"                     \
    "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39"                     \
    "4653547679363473410000000014000b6578616d706c652e6f726700"
#define STUN_PASSWORD SLICE_LITERAL("VOkJxbRl1RmTxUk/WvJxBt")
/* "matorikkusu" in katakana; the password after SASLprep and OpaqueString is "TheMatrIX" */
#define STUN_LONG_TERM_SECRET                                                                      \
    SLICE_LITERAL("\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"       \
                  ":example.org:TheMatrIX")

enum { STUN_BYTES_CAP = 4096 };

struct stun_bytes {
    size_t len;
    uint8_t data[STUN_BYTES_CAP];
};

static inline struct stun_bytes stun_unhex(const char *hex)
{
    struct stun_bytes b = {0};
    cr_assert_eq(ids_unhex(slice_text(hex), b.data, sizeof(b.data), &b.len), ERR_OK);
    return b;
}

static inline struct slice stun_slice(const struct stun_bytes *b)
{
    return slice_of(b->data, b->len);
}

/* What a decoder says of a heap block of exactly these bytes. */
static inline enum reject stun_why(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    struct rd r = rd_init(slice_of(copy, bytes.len));
    struct stun m;
    stun_rd(&r, &m);
    enum reject why = r.why;
    cr_assert_eq(rd_finish(&r), why == REJECT_NONE ? ERR_OK : ERR_MALFORMED);
    free(copy);
    return why;
}
