/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stun.c - STUN messages: what is accepted is written again as the same bytes, padding and
 * reserved bits apart; the text under an HMAC is the same when written and when read.
 *
 * Input: bits (1: put the length right, 2: put the cookie right, 4: put a FINGERPRINT right that
 * stands at the end), then the message. */
#include "codec/stun_wr.h"
#include "fuzz/fuzz.h"

enum { FIX_LENGTH = 1, FIX_COOKIE = 2, FIX_FINGERPRINT = 4, FINGERPRINT_BYTES = 8 };

static void put_u32(uint8_t *at, uint32_t v)
{
    struct wr w = wr_init(at, sizeof(v));
    wr_u32(&w, v);
}

/* A mutator seldom gets these right by itself. */
static void repair(uint8_t *message, size_t len, uint8_t how)
{
    if (len < STUN_HEADER_BYTES) {
        return;
    }
    if ((how & FIX_LENGTH) != 0) {
        message[2] = (uint8_t)((len - STUN_HEADER_BYTES) >> 8);
        message[3] = (uint8_t)(len - STUN_HEADER_BYTES);
    }
    if ((how & FIX_COOKIE) != 0) {
        put_u32(message + 4, STUN_COOKIE);
    }
    if ((how & FIX_FINGERPRINT) != 0 && len >= STUN_HEADER_BYTES + FINGERPRINT_BYTES) {
        uint8_t *attr = message + len - FINGERPRINT_BYTES;
        put_u32(attr, (uint32_t)STUN_ATTR_FINGERPRINT << 16 | 4);
        put_u32(attr + 4, stun_fingerprint(slice_of(message, len - FINGERPRINT_BYTES)));
    }
}

/* Marks the bits of the attribute that a receiver must ignore: where a copy may differ. */
static void mark_ignored_bits(const struct stun_attr *a, const uint8_t *message, uint8_t *mask)
{
    size_t at = (size_t)(a->value.data - message);
    memset(mask + at + a->value.len, 0xff, stun_padding(a->value.len));
    if (a->shape == STUN_SHAPE_ADDRESS || a->shape == STUN_SHAPE_XOR_ADDRESS) {
        mask[at] = 0xff;
    } else if (a->shape == STUN_SHAPE_ERROR) {
        mask[at] = mask[at + 1] = 0xff;
        mask[at + 2] = 0xf8;
    }
}

static void check_lists(const struct stun_attr *a)
{
    struct rd r = rd_init(a->value);
    struct stun_algorithm one;
    uint16_t type = 0;
    if (a->shape == STUN_SHAPE_TYPES) {
        while (stun_type_next(&r, &type)) {}
        CHECK(rd_is_done(&r));
    } else if (a->shape == STUN_SHAPE_ALGORITHM || a->shape == STUN_SHAPE_ALGORITHMS) {
        size_t count = 0;
        while (stun_algorithm_next(&r, &one)) {
            count++;
        }
        CHECK(rd_is_done(&r) && count > 0);
        CHECK(count == 1 || a->shape == STUN_SHAPE_ALGORITHMS);
    }
}

/* Writes `m` again and compares; gives the copy, and whether it is the same. */
static uint8_t *rewrite(const struct stun *m, bool *is_same)
{
    size_t len = m->wire.len;
    uint8_t *copy = malloc(len), *mask = calloc(1, len);
    CHECK(copy != NULL && mask != NULL);
    struct wr w = wr_init(copy, len);
    stun_wr(&w, m);
    CHECK(wr_ok(&w) && wr_len(&w) == len);
    struct stun_walk walk = stun_walk(m->wire);
    struct stun_attr a;
    uint32_t seen = 0;
    while (stun_walk_next(&walk, &a)) {
        mark_ignored_bits(&a, m->wire.data, mask);
        check_lists(&a);
        CHECK(!a.is_ignored || a.shape == STUN_SHAPE_RAW);
        CHECK(a.shape == STUN_SHAPE_RAW || a.shape == stun_attr_shape(a.type));
        seen += a.shape != STUN_SHAPE_RAW;
    }
    CHECK(rd_is_done(&walk.r));
    CHECK(seen >= (uint32_t)__builtin_popcount(m->has));
    for (size_t i = 0; i < len; i++) {
        CHECK((copy[i] & mask[i]) == 0);
        CHECK(copy[i] == (m->wire.data[i] & ~mask[i]));
    }
    *is_same = memcmp(copy, m->wire.data, len) == 0;
    free(mask);
    return copy;
}

/* Only a fingerprint notices padding that became zero. */
static void check_again(const struct stun *m, struct slice copy, bool is_same)
{
    struct stun again;
    struct rd r = rd_init(copy);
    stun_rd(&r, &again);
    bool has_fingerprint = stun_has(m, STUN_HAS_FINGERPRINT);
    CHECK(r.why == (is_same || !has_fingerprint ? REJECT_NONE : REJECT_STUN_FINGERPRINT));
    if (r.why == REJECT_NONE) {
        bool is_same_again = false;
        free(rewrite(&again, &is_same_again));
        CHECK(is_same_again);
        CHECK(again.has == m->has && again.class == m->class && again.method == m->method);
        CHECK(again.unknown_count == m->unknown_count);
        CHECK(address_is_equal(&again.xor_mapped_address, &m->xor_mapped_address));
        CHECK(again.error_code.code == m->error_code.code && again.priority == m->priority);
    }
}

/* The attributes in front of the first integrity, with integrity and fingerprint of our own. */
static void check_sealed(const struct stun *m)
{
    static const uint16_t types[] = {STUN_ATTR_MESSAGE_INTEGRITY,
                                     STUN_ATTR_MESSAGE_INTEGRITY_SHA256};
    size_t cap = m->wire.len + 68;
    uint8_t *out = malloc(cap), *text = malloc(cap), *again = malloc(cap);
    CHECK(out != NULL && text != NULL && again != NULL);
    struct wr w = wr_init(out, cap), texts = wr_init(text, cap);
    size_t start = stun_wr_begin(&w, m->class, m->method, m->transaction);
    struct stun_walk walk = stun_walk(m->wire);
    struct stun_attr a;
    while (stun_walk_next(&walk, &a) && a.type != types[0] && a.type != types[1] &&
           a.type != STUN_ATTR_FINGERPRINT) {
        stun_wr_attr(&w, start, &a);
    }
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct slice input;
        uint8_t *mac = stun_wr_integrity(&w, start, types[i], &input);
        texts = wr_init(text, cap);
        wr_bytes(&texts, input);
        struct stun sealed;
        struct wr read = wr_init(again, cap);
        if (mac != NULL) { /* a message as long as can be has no room for it */
            CHECK(stun_decode(wr_slice(&w), &sealed) == ERR_OK);
            stun_wr_integrity_input(&read, &sealed, types[i]);
            fuzz_same(&read, wr_slice(&texts));
            memset(mac, 0xa5, 20);
        }
    }
    stun_wr_fingerprint(&w, start);
    struct stun sealed;
    struct wr read = wr_init(again, cap);
    if (wr_ok(&w)) {
        CHECK(stun_decode(wr_slice(&w), &sealed) == ERR_OK);
        CHECK(stun_has(&sealed, STUN_HAS_FINGERPRINT));
        stun_wr_integrity_input(&read, &sealed, types[1]);
        fuzz_same(&read, wr_slice(&texts)); /* the fingerprint behind it changes nothing */
    }
    free(out);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    uint8_t how = rd_u8(&r);
    struct slice rest = rd_rest(&r);
    uint8_t *message = fuzz_copy(rest);
    repair(message, rest.len, how);
    struct slice wire = slice_of(message, rest.len);
    struct rd in = rd_init(wire);
    struct stun m;
    stun_rd(&in, &m);
    CHECK(in.at == NULL || (in.at >= wire.data && in.at <= wire.data + wire.len));
    CHECK(m.unknown_count <= STUN_UNKNOWN_CAP);
    CHECK(m.wire.len == 0 || slice_is_equal(m.wire, wire));
    CHECK(m.wire.len == 0 || stun_is_message(wire));
    if (rd_finish(&in) == ERR_OK) {
        bool is_same = false;
        CHECK(m.wire.len == wire.len);
        uint8_t *copy = rewrite(&m, &is_same);
        check_again(&m, slice_of(copy, wire.len), is_same);
        check_sealed(&m);
        free(copy);
    }
    free(message);
    return 0;
}
