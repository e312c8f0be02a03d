/* SPDX-License-Identifier: Apache-2.0 */
/* stun_wr.c - see stun_wr.h. */
#include "codec/stun_wr.h"

enum {
    LENGTH_AT = 2,
    COOKIE_AT = 4,
    LENGTH_MAX = 0xfffc,
    FAMILY_IPV4 = 1,
    FAMILY_IPV6 = 2,
    ADDRESS_HEAD = 4, /* reserved, family, port */
    BYTES_IPV4 = 4,
    BYTES_IPV6 = 16,
    ERROR_HEAD = 4, /* reserved, class, number */
    ERROR_CLASS_MIN = 3,
    ERROR_CLASS_MAX = 6,
};

static uint16_t type_of(enum stun_class class, uint16_t method)
{
    unsigned c = (unsigned)class;
    unsigned m = method;
    return (uint16_t)((m & 0xf80) << 2 | (m & 0x070) << 1 | (m & 0x00f) | (c & 2) << 7 |
                      (c & 1) << 4);
}

size_t stun_wr_begin(struct wr *w, enum stun_class class, uint16_t method,
                     const uint8_t transaction[STUN_TRANSACTION_BYTES])
{
    size_t start = wr_len(w);
    if (stun_method_name(method) == NULL) {
        wr_fail(w);
    }
    wr_u16(w, type_of(class, method));
    wr_u16(w, 0);
    wr_u32(w, STUN_COOKIE);
    wr_bytes(w, slice_of(transaction, STUN_TRANSACTION_BYTES));
    return start;
}

/* The head of an attribute and room for its value, all zero; the length of the message follows.
 * NULL when it does not fit. */
static uint8_t *open_attr(struct wr *w, size_t start, uint16_t type, size_t len)
{
    size_t room = len + stun_padding(len);
    if (len > UINT16_MAX) {
        wr_fail(w);
    }
    wr_u16(w, type);
    wr_u16(w, (uint16_t)len);
    uint8_t *value = wr_claim(w, room);
    size_t length = wr_len(w) - start - STUN_HEADER_BYTES;
    if (value == NULL || length > LENGTH_MAX) {
        wr_fail(w);
        return NULL;
    }
    memset(value, 0, room);
    w->start[start + LENGTH_AT] = (uint8_t)(length >> 8);
    w->start[start + LENGTH_AT + 1] = (uint8_t)length;
    return value;
}

static void put_value(struct wr *w, size_t start, uint16_t type, struct slice value)
{
    uint8_t *at = open_attr(w, start, type, value.len);
    if (at != NULL && value.len > 0) {
        memcpy(at, value.data, value.len);
    }
}

void stun_wr_bytes(struct wr *w, size_t start, uint16_t type, struct slice value)
{
    if (!stun_attr_is_length(type, value.len)) {
        wr_fail(w);
    }
    put_value(w, start, type, value);
}

void stun_wr_address(struct wr *w, size_t start, uint16_t type, const struct address *address)
{
    uint8_t value[ADDRESS_HEAD + BYTES_IPV6];
    struct address a = *address;
    struct wr v = wr_init(value, sizeof(value));
    enum stun_shape shape = stun_attr_shape(type);
    bool is_fitting = shape == STUN_SHAPE_ADDRESS || shape == STUN_SHAPE_XOR_ADDRESS;
    if (!is_fitting || (a.family != 4 && a.family != 6) || !wr_ok(w)) {
        wr_fail(w);
        return;
    }
    if (shape == STUN_SHAPE_XOR_ADDRESS) {
        stun_mask_address(&a, w->start + start);
    }
    wr_u8(&v, 0);
    wr_u8(&v, a.family == 4 ? FAMILY_IPV4 : FAMILY_IPV6);
    wr_u16(&v, a.port);
    wr_bytes(&v, slice_of(a.ip, a.family == 4 ? BYTES_IPV4 : BYTES_IPV6));
    stun_wr_bytes(w, start, type, wr_slice(&v));
}

void stun_wr_number(struct wr *w, size_t start, uint16_t type, uint64_t number)
{
    uint8_t value[sizeof(number)];
    struct wr v = wr_init(value, sizeof(value));
    if (stun_attr_shape(type) == STUN_SHAPE_U64) {
        wr_u64(&v, number);
    } else if (stun_attr_shape(type) == STUN_SHAPE_U32 && number <= UINT32_MAX) {
        wr_u32(&v, (uint32_t)number);
    } else {
        wr_fail(w);
    }
    stun_wr_bytes(w, start, type, wr_slice(&v));
}

void stun_wr_flag(struct wr *w, size_t start, uint16_t type)
{
    if (stun_attr_shape(type) != STUN_SHAPE_FLAG) {
        wr_fail(w);
    }
    stun_wr_bytes(w, start, type, SLICE_EMPTY);
}

void stun_wr_error(struct wr *w, size_t start, uint16_t code, struct slice reason)
{
    unsigned hundreds = code / 100;
    if (hundreds < ERROR_CLASS_MIN || hundreds > ERROR_CLASS_MAX ||
        !stun_attr_is_length(STUN_ATTR_ERROR_CODE, ERROR_HEAD + reason.len)) {
        wr_fail(w);
    }
    uint8_t *at = open_attr(w, start, STUN_ATTR_ERROR_CODE, ERROR_HEAD + reason.len);
    if (at != NULL) {
        struct wr v = wr_init(at, ERROR_HEAD + reason.len);
        wr_u16(&v, 0);
        wr_u8(&v, (uint8_t)hundreds);
        wr_u8(&v, (uint8_t)(code % 100));
        wr_bytes(&v, reason);
    }
}

void stun_wr_types(struct wr *w, size_t start, const uint16_t *types, size_t count)
{
    uint8_t *at = open_attr(w, start, STUN_ATTR_UNKNOWN_ATTRIBUTES, count * sizeof(*types));
    for (size_t i = 0; i < count && at != NULL; i++) {
        at[2 * i] = (uint8_t)(types[i] >> 8);
        at[2 * i + 1] = (uint8_t)types[i];
    }
}

void stun_wr_algorithm(struct wr *value, const struct stun_algorithm *in)
{
    static const uint8_t zeros[STUN_ALIGNMENT];
    wr_u16(value, in->number);
    wr_opaque16(value, in->parameters);
    wr_bytes(value, slice_of(zeros, stun_padding(in->parameters.len)));
}

uint8_t *stun_wr_integrity(struct wr *w, size_t start, uint16_t type, struct slice *input)
{
    bool is_sha256 = type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256;
    size_t before = wr_len(w) - start;
    if (!is_sha256 && type != STUN_ATTR_MESSAGE_INTEGRITY) {
        wr_fail(w);
    }
    uint8_t *value = open_attr(w, start, type, is_sha256 ? STUN_SHA256_BYTES : STUN_SHA1_BYTES);
    *input = value == NULL ? SLICE_EMPTY : slice_of(w->start + start, before);
    return value;
}

void stun_wr_fingerprint(struct wr *w, size_t start)
{
    size_t before = wr_len(w) - start;
    uint8_t *value = open_attr(w, start, STUN_ATTR_FINGERPRINT, sizeof(uint32_t));
    if (value != NULL) {
        struct wr v = wr_init(value, sizeof(uint32_t));
        wr_u32(&v, stun_fingerprint(slice_of(w->start + start, before)));
    }
}

void stun_wr_attr(struct wr *w, size_t start, const struct stun_attr *in)
{
    switch (in->shape) {
    case STUN_SHAPE_RAW:
        put_value(w, start, in->type, in->value);
        break;
    case STUN_SHAPE_BYTES:
    case STUN_SHAPE_TYPES:
    case STUN_SHAPE_ALGORITHM:
    case STUN_SHAPE_ALGORITHMS:
        stun_wr_bytes(w, start, in->type, in->value);
        break;
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS:
        stun_wr_address(w, start, in->type, &in->address);
        break;
    case STUN_SHAPE_ERROR:
        stun_wr_error(w, start, in->error.code, in->error.reason);
        break;
    case STUN_SHAPE_U32:
    case STUN_SHAPE_U64:
        stun_wr_number(w, start, in->type, in->number);
        break;
    case STUN_SHAPE_FLAG:
        stun_wr_flag(w, start, in->type);
        break;
    }
}

void stun_wr(struct wr *w, const struct stun *in)
{
    size_t start = stun_wr_begin(w, in->class, in->method, in->transaction);
    struct stun_walk walk = stun_walk(in->wire);
    struct stun_attr a;
    while (stun_walk_next(&walk, &a)) {
        stun_wr_attr(w, start, &a);
    }
}

void stun_wr_integrity_input(struct wr *w, const struct stun *m, uint16_t type)
{
    bool is_sha256 = type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256;
    struct slice mac = is_sha256 ? m->message_integrity_sha256 : m->message_integrity;
    if (!stun_has(m, is_sha256 ? STUN_HAS_MESSAGE_INTEGRITY_SHA256 : STUN_HAS_MESSAGE_INTEGRITY)) {
        wr_fail(w);
        return;
    }
    size_t value_at = (size_t)(mac.data - m->wire.data);
    wr_bytes(w, slice_sub(m->wire, 0, LENGTH_AT));
    wr_u16(w, (uint16_t)(value_at + mac.len - STUN_HEADER_BYTES));
    wr_bytes(w, slice_sub(m->wire, COOKIE_AT, value_at - STUN_ATTR_HEADER_BYTES - COOKIE_AT));
}
