/* SPDX-License-Identifier: Apache-2.0 */
/* test_stun.c - STUN messages against RFC 8489, the vectors of RFC 5769, and lies of every kind. */
#include "tests/unit/codec/stun_fixture.h"
#include <stdio.h>

static const char *const vectors[] = {STUN_5769_REQUEST, STUN_5769_IPV4, STUN_5769_IPV6,
                                      STUN_5769_LONG_TERM, STUN_8489_LONG_TERM};
static const uint8_t transaction[STUN_TRANSACTION_BYTES] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
                                                            0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

static void expect_text(struct slice got, const char *text)
{
    cr_assert(slice_is_equal(got, slice_text(text)), "%s", text);
}

static void expect_address(const struct address *got, const char *text)
{
    char buffer[ADDRESS_TEXT_CAP];
    cr_assert_str_eq(address_text(got, buffer), text);
}

Test(stun, the_request_of_rfc_5769)
{
    struct stun_bytes b = stun_unhex(STUN_5769_REQUEST);
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    cr_assert_eq(m.class, STUN_CLASS_REQUEST);
    cr_assert_eq(m.method, STUN_METHOD_BINDING);
    cr_assert_eq(memcmp(m.transaction, transaction, sizeof(transaction)), 0);
    expect_text(m.software, "STUN test client");
    expect_text(m.username, "evtj:h6vY"); /* padded with spaces there */
    cr_assert_eq(m.priority, 0x6e0001ff);
    cr_assert_eq(m.ice_controlled, 0x932ff9b151263b36);
    cr_assert_eq(m.message_integrity.len, 20);
    cr_assert_eq(m.fingerprint, 0xe57a3bcf);
    cr_assert_eq(m.has, 1u << STUN_HAS_SOFTWARE | 1u << STUN_HAS_USERNAME |
                            1u << STUN_HAS_PRIORITY | 1u << STUN_HAS_ICE_CONTROLLED |
                            1u << STUN_HAS_MESSAGE_INTEGRITY | 1u << STUN_HAS_FINGERPRINT);
    cr_assert_eq(m.unknown_count, 0);
}

Test(stun, the_answers_of_rfc_5769)
{
    struct stun_bytes b = stun_unhex(STUN_5769_IPV4);
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    cr_assert_eq(m.class, STUN_CLASS_SUCCESS);
    expect_text(m.software, "test vector");
    expect_address(&m.xor_mapped_address, "192.0.2.1:32853");
    b = stun_unhex(STUN_5769_IPV6);
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    expect_address(&m.xor_mapped_address, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

Test(stun, long_term_requests)
{
    struct stun_bytes b = stun_unhex(STUN_5769_LONG_TERM);
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    expect_text(m.nonce, "f//499k954d6OL34oL9FSTvy64sA");
    expect_text(m.realm, "example.org");
    cr_assert_eq(m.username.len, 18);
    b = stun_unhex(STUN_8489_LONG_TERM);
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    expect_text(m.nonce, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
    cr_assert_eq(m.userhash.len, 32);
    cr_assert_eq(m.message_integrity_sha256.len, 32);
    cr_assert_eq(m.password_algorithm.number, 2);
    cr_assert_not(stun_has(&m, STUN_HAS_USERNAME));
    b = stun_unhex(STUN_8489_PRINTED);
    cr_assert_eq(stun_why(stun_slice(&b)), REJECT_MESSAGE_LENGTH);
}

Test(stun, every_class_and_its_type)
{
    static const uint16_t types[] = {0x0001, 0x0011, 0x0101, 0x0111}; /* RFC 8489 5 */
    static const char *const names[] = {"request", "indication", "success", "error"};
    for (unsigned kind = 0; kind < 4; kind++) {
        uint8_t out[STUN_HEADER_BYTES];
        struct wr w = wr_init(out, sizeof(out));
        cr_assert_eq(stun_wr_begin(&w, (enum stun_class)kind, STUN_METHOD_BINDING, transaction), 0);
        cr_assert(wr_ok(&w));
        cr_assert_eq(out[0] << 8 | out[1], types[kind]);
        struct stun m;
        cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
        cr_assert_eq(m.class, kind);
        cr_assert_str_eq(stun_class_name(m.class), names[kind]);
    }
    /* every other type is of a method that is not supported, or no STUN */
    struct stun_bytes b = stun_unhex("000100002112a442000000000000000000000000");
    for (unsigned type = 0; type < 0x10000; type++) {
        b.data[0] = (uint8_t)(type >> 8);
        b.data[1] = (uint8_t)type;
        bool is_binding = type == 0x0001 || type == 0x0011 || type == 0x0101 || type == 0x0111;
        enum reject want = type >= 0x4000 ? REJECT_STUN_BITS
                           : is_binding   ? REJECT_NONE
                                          : REJECT_STUN_METHOD;
        cr_assert_eq(stun_why(stun_slice(&b)), want, "type %04x", type);
        cr_assert_eq(stun_is_message(stun_slice(&b)), type < 0x4000);
    }
}

Test(stun, vectors_cut_anywhere)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes b = stun_unhex(vectors[i]);
        for (size_t len = 0; len < b.len; len++) {
            enum reject want = len < STUN_HEADER_BYTES ? REJECT_SHORT : REJECT_MESSAGE_LENGTH;
            cr_assert_eq(stun_why(slice_of(b.data, len)), want, "vector %zu, %zu bytes", i, len);
            cr_assert_eq(stun_is_message(slice_of(b.data, len)), len >= STUN_HEADER_BYTES);
        }
        b.len += 4; /* zeros */
        cr_assert_eq(stun_why(stun_slice(&b)), REJECT_MESSAGE_LENGTH);
    }
}

/* The header says the truth about the bytes, but they end inside an attribute. */
Test(stun, vectors_cut_with_a_fitting_header)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes whole = stun_unhex(vectors[i]);
        bool is_end[STUN_BYTES_CAP] = {[STUN_HEADER_BYTES] = true};
        struct stun_walk walk = stun_walk(stun_slice(&whole));
        struct stun_attr a;
        while (stun_walk_next(&walk, &a)) {
            is_end[walk.r.at - whole.data] = true;
        }
        for (size_t len = STUN_HEADER_BYTES; len < whole.len; len += 4) {
            struct stun_bytes b = whole;
            b.len = len;
            b.data[2] = (uint8_t)((len - STUN_HEADER_BYTES) >> 8);
            b.data[3] = (uint8_t)(len - STUN_HEADER_BYTES);
            cr_assert_eq(stun_why(stun_slice(&b)), is_end[len] ? REJECT_NONE : REJECT_INNER_LENGTH,
                         "vector %zu, %zu bytes", i, len);
        }
    }
}

static void put_u16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

Test(stun, the_length_of_a_message_may_lie)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes b = stun_unhex(vectors[i]);
        for (size_t length = 0; length < 0x10000; length++) {
            put_u16(b.data + 2, length);
            enum reject want = length % 4 != 0                       ? REJECT_STUN_ALIGNMENT
                               : length + STUN_HEADER_BYTES != b.len ? REJECT_MESSAGE_LENGTH
                                                                     : REJECT_NONE;
            cr_assert_eq(stun_why(stun_slice(&b)), want);
            cr_assert_eq(stun_is_message(stun_slice(&b)), length % 4 == 0);
        }
    }
}

Test(stun, the_length_of_an_attribute_may_lie)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes b = stun_unhex(vectors[i]);
        struct stun_walk walk = stun_walk(stun_slice(&b));
        struct stun_attr a;
        while (stun_walk_next(&walk, &a)) {
            size_t at = (size_t)(a.value.data - b.data);
            size_t truth = a.value.len, padded = truth + stun_padding(truth);
            /* far enough to be behind the end of every vector, then in strides */
            for (size_t length = 0; length < 0x10000; length += length < 256 ? 1 : 251) {
                put_u16(b.data + at - 2, length);
                enum reject got = stun_why(stun_slice(&b));
                bool is_framed = length + stun_padding(length) <= b.len - at;
                if (!is_framed) {
                    cr_assert_eq(got, REJECT_INNER_LENGTH);
                } else if (!stun_attr_is_length(a.type, length)) {
                    cr_assert_eq(got, REJECT_STUN_VALUE_LENGTH);
                } else if (length + stun_padding(length) == padded && i >= 3) {
                    cr_assert_eq(got, REJECT_NONE, "other padding, and no fingerprint to notice");
                } else if (got == REJECT_NONE && length != truth) {
                    struct stun m; /* without a fingerprint: it was swallowed, if there was one */
                    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
                    cr_assert_not(stun_has(&m, STUN_HAS_FINGERPRINT));
                }
            }
            put_u16(b.data + at - 2, truth);
        }
        cr_assert_eq(stun_why(stun_slice(&b)), REJECT_NONE);
    }
}

/* One attribute in a message. */
static enum reject why_attr(unsigned type, const char *value_hex)
{
    struct stun_bytes b = stun_unhex("000100002112a442b7e7a701bc34d686fa87dfae");
    struct stun_bytes v = stun_unhex(value_hex);
    struct wr w = wr_init(b.data + b.len, sizeof(b.data) - b.len);
    wr_u16(&w, (uint16_t)type);
    wr_opaque16(&w, stun_slice(&v));
    memset(w.at, 0xff, stun_padding(v.len)); /* padding is ignored */
    size_t length = wr_len(&w) + stun_padding(v.len);
    put_u16(b.data + 2, length);
    b.len += length;
    return stun_why(stun_slice(&b));
}

Test(stun, lengths_of_every_type)
{
    static char hex[2 * 1200 + 1];
    for (unsigned type = 0; type < 0x10000; type = type == 0x40 ? 0x7ff0 : type + 1) {
        if (type == 0x8040) {
            break;
        }
        for (size_t len = 0; len <= 800; len++) {
            memset(hex, '0', 2 * len);
            hex[2 * len] = '\0';
            enum reject got = why_attr(type, hex);
            cr_assert(got == REJECT_STUN_VALUE_LENGTH || stun_attr_is_length((uint16_t)type, len),
                      "type %04x with %zu bytes: %s", type, len, reject_name(got));
            if (stun_attr_name((uint16_t)type) == NULL) {
                cr_assert_eq(got, REJECT_NONE);
            }
        }
    }
}

Test(stun, addresses)
{
    cr_assert_eq(why_attr(STUN_ATTR_MAPPED_ADDRESS, "000113c4c0000201"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_MAPPED_ADDRESS, "ff0113c4c0000201"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_MAPPED_ADDRESS, "000113c4c00002"), REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_MAPPED_ADDRESS, "000113c4c000020100"),
                 REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_MAPPED_ADDRESS, "000213c4c0000201"), REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_XOR_MAPPED_ADDRESS, "000213c4c0000201"),
                 REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_ALTERNATE_SERVER, "000113"), REJECT_STUN_VALUE_LENGTH);
    /* 6.3.3: another family is ignored */
    struct stun_bytes b = stun_unhex("0101000c2112a442b7e7a701bc34d686fa87dfae"
                                     "00200008000300000a0b0c0d");
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    cr_assert_eq(m.has, 0);
    cr_assert_eq(m.unknown_count, 0);
    cr_assert_eq(m.xor_mapped_address.family, 0);
}

Test(stun, error_codes)
{
    for (unsigned hundreds = 0; hundreds < 8; hundreds++) {
        for (unsigned number = 0; number < 256; number++) {
            char hex[17];
            snprintf(hex, sizeof(hex), "0000%02x%02x", 0xf8 | hundreds, number);
            bool is_good = hundreds >= 3 && hundreds <= 6 && number <= 99;
            cr_assert_eq(why_attr(STUN_ATTR_ERROR_CODE, hex),
                         is_good ? REJECT_NONE : REJECT_STUN_ERROR_CODE);
        }
    }
    struct stun_bytes b = stun_unhex("011100142112a442b7e7a701bc34d686fa87dfae"
                                     "00090010000004576f6c6520436f6e666c696374");
    struct stun m;
    cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
    cr_assert_eq(m.error_code.code, STUN_ERROR_ROLE_CONFLICT);
    expect_text(m.error_code.reason, "ole Conflict");
    cr_assert_str_eq(stun_error_text(487), "Role Conflict");
    cr_assert_null(stun_error_text(499));
}

Test(stun, lists)
{
    cr_assert_eq(why_attr(STUN_ATTR_UNKNOWN_ATTRIBUTES, "802900"), REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "0001000000020000"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "00010001ff00000000020000"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "00010001ff"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "000100"), REJECT_STUN_VALUE_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "000100000002"), REJECT_INNER_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHMS, "00010002ff"), REJECT_INNER_LENGTH);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHM, "00020000"), REJECT_NONE);
    cr_assert_eq(why_attr(STUN_ATTR_PASSWORD_ALGORITHM, "0002000000010000"),
                 REJECT_STUN_VALUE_LENGTH);
    struct stun_bytes v = stun_unhex("00010001ff00000000020000");
    struct rd r = rd_init(stun_slice(&v));
    struct stun_algorithm a;
    cr_assert(stun_algorithm_next(&r, &a));
    cr_assert_eq(a.number, 1);
    cr_assert_eq(a.parameters.len, 1);
    cr_assert(stun_algorithm_next(&r, &a));
    cr_assert_eq(a.number, 2);
    cr_assert_eq(a.parameters.len, 0);
    cr_assert_not(stun_algorithm_next(&r, &a));
    cr_assert(rd_is_done(&r));
}

/* Section 5, and RFC 3489, whose transaction ID began where the cookie is now */
Test(stun, without_cookie)
{
    struct stun_bytes b = stun_unhex("000100002112a443b7e7a701bc34d686fa87dfae");
    cr_assert_eq(stun_why(stun_slice(&b)), REJECT_STUN_COOKIE);
    cr_assert_not(stun_is_message(stun_slice(&b)));
    for (size_t bit = 0; bit < 32; bit++) {
        b = stun_unhex(STUN_5769_IPV4);
        b.data[4 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(stun_why(stun_slice(&b)), REJECT_STUN_COOKIE);
    }
}

/* 14.7: every bit counts, those of padding and integrity too */
Test(stun, a_fingerprint_notices_every_bit)
{
    struct stun_bytes whole = stun_unhex(STUN_5769_REQUEST);
    struct stun m;
    for (size_t bit = 8 * 8; bit < 8 * whole.len; bit++) {
        struct stun_bytes b = whole;
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* a longer user name can swallow the fingerprint: it is for the caller to miss it */
        cr_assert(stun_decode(stun_slice(&b), &m) == ERR_MALFORMED ||
                      !stun_has(&m, STUN_HAS_FINGERPRINT),
                  "bit %zu", bit);
    }
    whole.data[whole.len - 1] ^= 1;
    struct rd r = rd_init(stun_slice(&whole));
    stun_rd(&r, &m);
    cr_assert_eq(r.why, REJECT_STUN_FINGERPRINT);
    cr_assert_eq(r.at, whole.data + whole.len - 4);
    cr_assert_eq(m.wire.len, whole.len, "the header was good");
    /* the check value of this CRC */
    cr_assert_eq(stun_fingerprint(SLICE_LITERAL("123456789")), 0xcbf43926u ^ 0x5354554eu);
}

static size_t begin(struct wr *w, struct stun_bytes *b)
{
    *w = wr_init(b->data, sizeof(b->data));
    return stun_wr_begin(w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
}

static enum reject why_written(const struct wr *w)
{
    cr_assert(wr_ok(w));
    return stun_why(wr_slice(w));
}

/* 9 and 14.7: what counts behind the integrity, and what may not be behind the fingerprint */
Test(stun, order)
{
    static struct stun_bytes b;
    struct wr w;
    struct stun m;
    struct slice input;
    size_t start = begin(&w, &b);
    stun_wr_number(&w, start, STUN_ATTR_PRIORITY, 1);
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY, &input);
    stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, SLICE_LITERAL("late"));
    stun_wr_bytes(&w, start, 0x7777, SLICE_LITERAL("late"));
    stun_wr_attr(&w, start, &(struct stun_attr){.type = STUN_ATTR_PRIORITY}); /* of no length */
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY, &input);
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, &input);
    size_t sha256_ends = wr_len(&w);
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, &input);
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY, &input);
    stun_wr_fingerprint(&w, start);
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    cr_assert_eq(m.has, 1u << STUN_HAS_PRIORITY | 1u << STUN_HAS_MESSAGE_INTEGRITY |
                            1u << STUN_HAS_MESSAGE_INTEGRITY_SHA256 | 1u << STUN_HAS_FINGERPRINT);
    cr_assert_eq(m.unknown_count, 0);
    cr_assert_eq(m.message_integrity.data, b.data + STUN_HEADER_BYTES + 8 + 4);
    cr_assert_eq(m.message_integrity_sha256.data, b.data + sha256_ends - 32);
    struct stun_walk walk = stun_walk(wr_slice(&w));
    struct stun_attr a;
    size_t ignored = 0, all = 0;
    while (stun_walk_next(&walk, &a)) {
        ignored += a.is_ignored;
        all++;
        cr_assert(!a.is_ignored || a.shape == STUN_SHAPE_RAW);
    }
    cr_assert_eq(all, 10);
    cr_assert_eq(ignored, 6);
    stun_wr_bytes(&w, start, STUN_ATTR_SOFTWARE, SLICE_EMPTY);
    cr_assert_eq(why_written(&w), REJECT_STUN_BEHIND_FINGERPRINT);

    start = begin(&w, &b);
    stun_wr_fingerprint(&w, start);
    cr_assert_eq(why_written(&w), REJECT_NONE);
    stun_wr_fingerprint(&w, start);
    cr_assert_eq(why_written(&w), REJECT_STUN_BEHIND_FINGERPRINT);
}

Test(stun, the_first_of_a_type_counts)
{
    static struct stun_bytes b;
    struct wr w;
    struct stun m;
    size_t start = begin(&w, &b);
    stun_wr_bytes(&w, start, STUN_ATTR_SOFTWARE, SLICE_LITERAL("one"));
    stun_wr_bytes(&w, start, STUN_ATTR_SOFTWARE, SLICE_LITERAL("two"));
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    expect_text(m.software, "one");
}

/* 6.3.1: each unknown comprehension-required type once, as many as fit */
Test(stun, unknown_types)
{
    static struct stun_bytes b;
    struct wr w;
    struct stun m;
    size_t start = begin(&w, &b);
    for (unsigned i = 0; i < 3; i++) {
        stun_wr_bytes(&w, start, 0x0003,
                      SLICE_LITERAL("\0\0\0\6")); /* CHANGE-REQUEST of RFC 3489 */
        stun_wr_bytes(&w, start, 0x7fff, SLICE_EMPTY);
        stun_wr_bytes(&w, start, 0x8000, SLICE_LITERAL("x"));
        stun_wr_bytes(&w, start, 0xffff, SLICE_LITERAL("x"));
        stun_wr_bytes(&w, start, 0x0000, SLICE_LITERAL("x"));
    }
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    cr_assert_eq(m.unknown_count, 3);
    cr_assert_eq(m.unknown[0], 0x0003);
    cr_assert_eq(m.unknown[1], 0x7fff);
    cr_assert_eq(m.unknown[2], 0x0000);
    for (uint16_t type = 0x4000; type < 0x4020; type++) {
        stun_wr_bytes(&w, start, type, SLICE_EMPTY);
    }
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    cr_assert_eq(m.unknown_count, STUN_UNKNOWN_CAP);

    static const uint16_t first[] = {0x0003, 0x7fff, 0x0000};
    static struct stun_bytes answer;
    start = begin(&w, &answer);
    stun_wr_types(&w, start, m.unknown, m.unknown_count);
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    struct rd r = rd_init(m.unknown_attributes);
    uint16_t type = 0;
    size_t count = 0;
    while (stun_type_next(&r, &type)) {
        cr_assert(count > 2 || type == first[count]);
        count++;
    }
    cr_assert_eq(count, STUN_UNKNOWN_CAP);
    cr_assert(rd_is_done(&r));
}

/* The text that an HMAC is taken of is the same when writing and when reading. */
Test(stun, input_of_the_integrity)
{
    static const uint16_t types[] = {STUN_ATTR_MESSAGE_INTEGRITY,
                                     STUN_ATTR_MESSAGE_INTEGRITY_SHA256};
    static struct stun_bytes b;
    static struct stun_bytes inputs[2];
    struct wr w;
    size_t start = begin(&w, &b);
    stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, SLICE_LITERAL("a:b"));
    for (size_t i = 0; i < 2; i++) {
        struct slice input;
        uint8_t *mac = stun_wr_integrity(&w, start, types[i], &input);
        cr_assert_not_null(mac);
        memcpy(inputs[i].data, input.data, input.len);
        inputs[i].len = input.len;
        size_t end = (size_t)(mac - b.data) + (i == 0 ? 20 : 32) - STUN_HEADER_BYTES;
        cr_assert_eq((size_t)(input.data[2] << 8 | input.data[3]), end);
        memset(mac, 0x55, i == 0 ? 20 : 32);
    }
    stun_wr_fingerprint(&w, start);
    struct stun m;
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        static struct stun_bytes again;
        struct wr input = wr_init(again.data, sizeof(again.data));
        stun_wr_integrity_input(&input, &m, types[i]);
        cr_assert(slice_is_equal(wr_slice(&input), stun_slice(&inputs[i])));
        input = wr_init(again.data, inputs[i].len - 1);
        stun_wr_integrity_input(&input, &m, types[i]);
        cr_assert_not(wr_ok(&input));
    }
    m.has = 0;
    for (size_t i = 0; i < 2; i++) {
        uint8_t out[100];
        struct wr input = wr_init(out, sizeof(out));
        stun_wr_integrity_input(&input, &m, types[i]);
        cr_assert_not(wr_ok(&input));
    }
}

/* One attribute of every type in stun.def, from 14 and RFC 8445 16.1, and back */
Test(stun, writes_every_type)
{
    static struct stun_bytes b, list;
    struct address v4 = {.family = 4, .port = 5060, .ip = {192, 0, 2, 1}};
    struct address v6 = {.family = 6, .port = 6084, .ip = {0x20, 1, 0xd, 0xb8, [15] = 7}};
    struct wr w, l = wr_init(list.data, sizeof(list.data));
    struct stun m;
    size_t start = begin(&w, &b);
    stun_wr_address(&w, start, STUN_ATTR_MAPPED_ADDRESS, &v4);
    stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, SLICE_LITERAL("user"));
    stun_wr_error(&w, start, 699, SLICE_LITERAL("why"));
    stun_wr_types(&w, start, (uint16_t[]){1, 0xffff}, 2);
    stun_wr_bytes(&w, start, STUN_ATTR_REALM, SLICE_LITERAL("realm"));
    stun_wr_bytes(&w, start, STUN_ATTR_NONCE, SLICE_LITERAL("nonce"));
    stun_wr_algorithm(&l, &(struct stun_algorithm){2, SLICE_LITERAL("p")});
    stun_wr_bytes(&w, start, STUN_ATTR_PASSWORD_ALGORITHM, wr_slice(&l));
    stun_wr_algorithm(&l, &(struct stun_algorithm){1, SLICE_EMPTY});
    stun_wr_bytes(&w, start, STUN_ATTR_PASSWORD_ALGORITHMS, wr_slice(&l));
    stun_wr_bytes(&w, start, STUN_ATTR_USERHASH, slice_of(b.data, 32));
    stun_wr_address(&w, start, STUN_ATTR_XOR_MAPPED_ADDRESS, &v6);
    stun_wr_number(&w, start, STUN_ATTR_PRIORITY, 0xfedcba98);
    stun_wr_flag(&w, start, STUN_ATTR_USE_CANDIDATE);
    stun_wr_bytes(&w, start, STUN_ATTR_ALTERNATE_DOMAIN, SLICE_LITERAL("a.example"));
    stun_wr_bytes(&w, start, STUN_ATTR_SOFTWARE, SLICE_LITERAL("soft"));
    stun_wr_address(&w, start, STUN_ATTR_ALTERNATE_SERVER, &v6);
    stun_wr_number(&w, start, STUN_ATTR_ICE_CONTROLLED, 0x123456789abcdef0);
    stun_wr_number(&w, start, STUN_ATTR_ICE_CONTROLLING, UINT64_MAX);
    struct slice input;
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY, &input);
    (void)stun_wr_integrity(&w, start, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, &input);
    stun_wr_fingerprint(&w, start);
    cr_assert(wr_ok(&w));
    cr_assert_eq(stun_decode(wr_slice(&w), &m), ERR_OK);
    cr_assert_eq(m.has, (1u << STUN_ATTR_COUNT) - 1);
    cr_assert(address_is_equal(&m.mapped_address, &v4));
    cr_assert(address_is_equal(&m.xor_mapped_address, &v6));
    cr_assert(address_is_equal(&m.alternate_server, &v6));
    cr_assert_eq(m.error_code.code, 699);
    expect_text(m.error_code.reason, "why");
    cr_assert_eq(m.password_algorithm.number, 2);
    expect_text(m.password_algorithm.parameters, "p");
    cr_assert_eq(m.password_algorithms.len, 12);
    expect_text(m.alternate_domain, "a.example");
    cr_assert_eq(m.priority, 0xfedcba98);
    cr_assert(m.use_candidate);
    cr_assert_eq(m.ice_controlled, 0x123456789abcdef0);
    cr_assert_eq(m.ice_controlling, UINT64_MAX);

    static struct stun_bytes again; /* not at the start of its buffer; then too little room */
    struct wr w2 = wr_init(again.data, sizeof(again.data));
    wr_u8(&w2, 0xee);
    stun_wr(&w2, &m);
    cr_assert(slice_is_equal(slice_from(wr_slice(&w2), 1), m.wire));
    for (size_t cap = 0; cap < m.wire.len; cap++) {
        w2 = wr_init(again.data, cap);
        stun_wr(&w2, &m);
        cr_assert_not(wr_ok(&w2));
    }
}

Test(stun, vectors_written_again)
{
    /* RFC 5769 pads with spaces: 3 behind the user name, 1 behind SOFTWARE */
    static const size_t spaces[ARRAY_COUNT(vectors)] = {3, 1, 1, 0, 0};
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct stun_bytes b = stun_unhex(vectors[i]);
        static struct stun_bytes again;
        struct wr w = wr_init(again.data, sizeof(again.data));
        struct stun m;
        cr_assert_eq(stun_decode(stun_slice(&b), &m), ERR_OK);
        stun_wr(&w, &m);
        cr_assert(wr_ok(&w));
        cr_assert_eq(wr_len(&w), b.len);
        size_t different = 0;
        for (size_t k = 0; k < b.len; k++) {
            different += again.data[k] != b.data[k];
            cr_assert(again.data[k] == b.data[k] || (again.data[k] == 0 && b.data[k] == ' '));
        }
        cr_assert_eq(different, spaces[i]);
    }
}

/* What the decoder refuses is not written. */
Test(stun, refuses_to_write)
{
    static const uint8_t zeros[0x10000];
    static uint8_t out[0x20000];
    struct address v4 = {.family = 4};
    for (unsigned which = 0; which < 12; which++) {
        struct wr w = wr_init(out, sizeof(out));
        size_t start = stun_wr_begin(&w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
        cr_assert(wr_ok(&w));
        struct slice input;
        switch (which) {
        case 0:
            stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, slice_of(zeros, 764));
            break;
        case 1:
            stun_wr_number(&w, start, STUN_ATTR_PRIORITY, 0x100000000);
            break;
        case 2:
            stun_wr_number(&w, start, STUN_ATTR_USERNAME, 1);
            break;
        case 3:
            stun_wr_address(&w, start, STUN_ATTR_USERNAME, &v4);
            break;
        case 4:
            stun_wr_address(&w, start, STUN_ATTR_MAPPED_ADDRESS, &(struct address){.family = 0});
            break;
        case 5:
            stun_wr_error(&w, start, 299, SLICE_EMPTY);
            break;
        case 6:
            stun_wr_error(&w, start, 700, SLICE_EMPTY);
            break;
        case 7:
            stun_wr_error(&w, start, 400, slice_of(zeros, 764));
            break;
        case 8:
            stun_wr_flag(&w, start, STUN_ATTR_SOFTWARE);
            break;
        case 9:
            (void)stun_wr_integrity(&w, start, STUN_ATTR_SOFTWARE, &input);
            break;
        case 10:
            stun_wr_bytes(&w, start, 0x9999, slice_of(zeros, 0x10000));
            break;
        default: /* longer than the length field can say */
            stun_wr_bytes(&w, start, 0x9999, slice_of(zeros, 0xfff8));
            cr_assert(wr_ok(&w));
            cr_assert_eq(stun_why(wr_slice(&w)), REJECT_NONE);
            stun_wr_fingerprint(&w, start);
            break;
        }
        cr_assert_not(wr_ok(&w), "case %u", which);
    }
    struct wr w = wr_init(out, sizeof(out));
    (void)stun_wr_begin(&w, STUN_CLASS_REQUEST, 3, transaction);
    cr_assert_not(wr_ok(&w));
}

Test(stun, names)
{
    cr_assert_str_eq(stun_attr_name(0x0020), "XOR-MAPPED-ADDRESS");
    cr_assert_str_eq(stun_attr_field(0x802a), "ice_controlling");
    cr_assert_null(stun_attr_name(0x0021));
    cr_assert_null(stun_attr_field(0x0021));
    cr_assert_eq(stun_attr_shape(0x0021), STUN_SHAPE_RAW);
    cr_assert_eq(stun_attr_shape(STUN_ATTR_REALM), STUN_SHAPE_BYTES);
    cr_assert_str_eq(stun_method_name(1), "binding");
    cr_assert_null(stun_method_name(2));
#define STUN_ERROR(name, code, text) cr_assert_str_eq(stun_error_text(code), text);
#define STUN_ATTR(name, number, word, field, of_shape, shortest, longest, step)                    \
    cr_assert_str_eq(stun_attr_name(number), word);                                                \
    cr_assert_str_eq(stun_attr_field(number), #field);                                             \
    cr_assert_eq(stun_attr_shape(number), STUN_SHAPE_##of_shape);                                  \
    cr_assert(stun_attr_is_length(number, shortest));                                              \
    cr_assert_not(stun_attr_is_length(number, (longest) + 1));
#include "codec/stun.def"
}
