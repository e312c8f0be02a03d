/* SPDX-License-Identifier: Apache-2.0 */
/* stun.c - see stun.h.
 *
 * One table, expanded from stun.def, says how long the values of a type are and what they hold; the
 * decoder goes through the attributes with the same walk that it offers to others. */
#include "codec/stun.h"

enum {
    LENGTH_AT = 2,
    COOKIE_AT = 4, /* the mask of the XOR'ed addresses begins here (14.2) */
    COOKIE_HIGH = STUN_COOKIE >> 16,
    FAMILY_IPV4 = 1,
    FAMILY_IPV6 = 2,
    ADDRESS_HEAD = 4, /* reserved, family, port */
    BYTES_IPV4 = 4,
    BYTES_IPV6 = 16,
    ERROR_HEAD = 4,
    ERROR_CLASS_MASK = 7,
    ERROR_CLASS_MIN = 3,
    ERROR_CLASS_MAX = 6,
    ERROR_NUMBER_MAX = 99,
    OPTIONAL_FIRST = 0x8000,
};
#define FINGERPRINT_MASK 0x5354554eu

/* How far a walk has come; from the second on other attributes are ignored (9). */
enum place { PLACE_OPEN, PLACE_SHA1, PLACE_SHA256 };

static const struct row {
    uint16_t type;
    uint8_t shape;
    uint8_t step;
    uint16_t shortest;
    uint16_t longest;
    const char *name;
    const char *field;
} rows[STUN_ATTR_COUNT] = {
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step)                         \
    [STUN_HAS_##name] = {type, STUN_SHAPE_##shape, step, shortest, longest, word, #field},
#include "codec/stun.def"
};

static const struct row *row_of(uint16_t type)
{
    switch (type) {
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step)                         \
    case type:                                                                                     \
        return &rows[STUN_HAS_##name];
#include "codec/stun.def"
    default:
        return NULL;
    }
}

/* ---- names */

const char *stun_attr_name(uint16_t type)
{
    const struct row *row = row_of(type);
    return row == NULL ? NULL : row->name;
}

const char *stun_attr_field(uint16_t type)
{
    const struct row *row = row_of(type);
    return row == NULL ? NULL : row->field;
}

enum stun_shape stun_attr_shape(uint16_t type)
{
    const struct row *row = row_of(type);
    return row == NULL ? STUN_SHAPE_RAW : (enum stun_shape)row->shape;
}

bool stun_attr_is_length(uint16_t type, size_t len)
{
    const struct row *row = row_of(type);
    return row == NULL ||
           (len >= row->shortest && len <= row->longest && (len - row->shortest) % row->step == 0);
}

const char *stun_method_name(uint16_t method)
{
    switch (method) {
#define STUN_METHOD(name, number, word)                                                            \
    case number:                                                                                   \
        return word;
#include "codec/stun.def"
    default:
        return NULL;
    }
}

const char *stun_class_name(enum stun_class class)
{
    static const char *const names[] = {"request", "indication", "success", "error"};
    return names[class];
}

const char *stun_error_text(uint16_t code)
{
    switch (code) {
#define STUN_ERROR(name, code, text)                                                               \
    case code:                                                                                     \
        return text;
#include "codec/stun.def"
    default:
        return NULL;
    }
}

/* ---- fingerprint */

/* CRC-32 of ITU-T V.42 (RFC 1952 8), half a byte a step: a message is about a hundred bytes, and
 * 64 bytes of table stay in the cache where 1024 would not. */
static uint32_t crc_32(struct slice bytes)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t stun_fingerprint(struct slice before)
{
    return crc_32(before) ^ FINGERPRINT_MASK;
}

/* ---- values */

void stun_mask_address(struct address *a, const uint8_t *message)
{
    size_t ip_bytes = a->family == 4 ? BYTES_IPV4 : BYTES_IPV6;
    a->port ^= COOKIE_HIGH;
    for (size_t i = 0; i < ip_bytes; i++) {
        a->ip[i] ^= message[COOKIE_AT + i];
    }
}

/* False for a wrong length.  An unknown family leaves the attribute RAW: it is not an error, it is
 * ignored (6.3.3). */
static bool read_address(struct stun_attr *a)
{
    struct rd r = rd_init(a->value);
    (void)rd_u8(&r); /* 14.1: ignored by receivers */
    uint8_t family = rd_u8(&r);
    a->address.port = rd_u16(&r);
    if (family != FAMILY_IPV4 && family != FAMILY_IPV6) {
        a->shape = STUN_SHAPE_RAW;
        a->address.port = 0;
        return true;
    }
    struct slice ip = rd_bytes(&r, family == FAMILY_IPV4 ? BYTES_IPV4 : BYTES_IPV6);
    if (!rd_is_done(&r)) {
        return false;
    }
    a->address.family = family == FAMILY_IPV4 ? 4 : 6;
    memcpy(a->address.ip, ip.data, ip.len);
    return true;
}

static bool read_error(struct stun_attr *a)
{
    uint8_t hundreds = a->value.data[2] & ERROR_CLASS_MASK; /* 14.8: the other bits are ignored */
    uint8_t number = a->value.data[3];
    a->error.code = (uint16_t)(hundreds * 100 + number);
    a->error.reason = slice_from(a->value, ERROR_HEAD);
    return hundreds >= ERROR_CLASS_MIN && hundreds <= ERROR_CLASS_MAX && number <= ERROR_NUMBER_MAX;
}

bool stun_type_next(struct rd *r, uint16_t *type)
{
    if (rd_left(r) == 0) {
        return false;
    }
    *type = rd_u16(r);
    return rd_ok(r);
}

bool stun_algorithm_next(struct rd *r, struct stun_algorithm *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    out->number = rd_u16(r);
    out->parameters = rd_opaque16(r);
    (void)rd_bytes(r, min_size(rd_left(r), stun_padding(out->parameters.len)));
    return rd_ok(r);
}

static void read_algorithms(struct rd *outer, const struct stun_attr *a)
{
    struct rd r = rd_init(a->value);
    struct stun_algorithm one;
    size_t count = 0;
    while (stun_algorithm_next(&r, &one)) {
        count++;
    }
    rd_close(outer, &r);
    if (a->shape == STUN_SHAPE_ALGORITHM && count > 1) {
        rd_reject_at(outer, REJECT_STUN_VALUE_LENGTH, a->value.data);
    }
}

static void read_value(struct stun_walk *walk, struct stun_attr *a)
{
    struct rd *r = &walk->r;
    struct rd number = rd_init(a->value);
    switch (a->shape) {
    case STUN_SHAPE_ADDRESS:
    case STUN_SHAPE_XOR_ADDRESS:
        if (!read_address(a)) {
            rd_reject_at(r, REJECT_STUN_VALUE_LENGTH, a->value.data);
        } else if (a->shape == STUN_SHAPE_XOR_ADDRESS) {
            stun_mask_address(&a->address, walk->message);
        }
        break;
    case STUN_SHAPE_ERROR:
        if (!read_error(a)) {
            rd_reject_at(r, REJECT_STUN_ERROR_CODE, a->value.data + 2);
        }
        break;
    case STUN_SHAPE_U32:
        a->number = rd_u32(&number);
        break;
    case STUN_SHAPE_U64:
        a->number = rd_u64(&number);
        break;
    case STUN_SHAPE_ALGORITHM:
    case STUN_SHAPE_ALGORITHMS:
        read_algorithms(r, a);
        break;
    case STUN_SHAPE_RAW:
    case STUN_SHAPE_BYTES:
    case STUN_SHAPE_TYPES:
    case STUN_SHAPE_FLAG:
        break;
    }
}

/* ---- walking */

struct stun_walk stun_walk(struct slice message)
{
    return (struct stun_walk){rd_init(slice_from(message, STUN_HEADER_BYTES)), message.data,
                              PLACE_OPEN};
}

/* Moves on to where an attribute of this type puts the walk; true if it is to be ignored. */
static bool is_behind_integrity(struct stun_walk *walk, uint16_t type)
{
    bool is_ignored = walk->place != PLACE_OPEN;
    switch (type) {
    case STUN_ATTR_FINGERPRINT:
        return false;
    case STUN_ATTR_MESSAGE_INTEGRITY:
        walk->place = is_ignored ? walk->place : PLACE_SHA1;
        return is_ignored;
    case STUN_ATTR_MESSAGE_INTEGRITY_SHA256:
        is_ignored = walk->place == PLACE_SHA256;
        walk->place = PLACE_SHA256;
        return is_ignored;
    default:
        return is_ignored;
    }
}

bool stun_walk_next(struct stun_walk *walk, struct stun_attr *out)
{
    struct rd *r = &walk->r;
    if (rd_left(r) == 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->type = rd_u16(r);
    out->value = rd_opaque16(r);
    (void)rd_bytes(r, stun_padding(out->value.len)); /* 14: whatever it holds */
    if (!rd_ok(r)) {
        return false;
    }
    const struct row *row = row_of(out->type);
    out->is_ignored = is_behind_integrity(walk, out->type);
    if (row == NULL || out->is_ignored) {
        return true;
    }
    out->shape = (enum stun_shape)row->shape;
    if (!stun_attr_is_length(out->type, out->value.len)) {
        rd_reject_at(r, REJECT_STUN_VALUE_LENGTH, out->value.data);
        return false;
    }
    if (out->type == STUN_ATTR_FINGERPRINT && rd_left(r) > 0) {
        rd_reject(r, REJECT_STUN_BEHIND_FINGERPRINT);
    }
    read_value(walk, out);
    return rd_ok(r);
}

/* ---- a message */

static uint16_t method_of(uint16_t type)
{
    return (uint16_t)((type & 0x3e00) >> 2 | (type & 0x00e0) >> 1 | (type & 0x000f));
}

static enum stun_class class_of(uint16_t type)
{
    return (enum stun_class)((type & 0x0100) >> 7 | (type & 0x0010) >> 4);
}

bool stun_is_message(struct slice datagram)
{
    struct rd r = rd_init(datagram);
    uint16_t type = rd_u16(&r);
    uint16_t length = rd_u16(&r);
    uint32_t cookie = rd_u32(&r);
    return datagram.len >= STUN_HEADER_BYTES && type >> 14 == 0 && cookie == STUN_COOKIE &&
           length % STUN_ALIGNMENT == 0;
}

/* Section 5; `wire` is set when nothing is wrong with the header. */
static void read_header(struct rd *r, struct stun *out)
{
    const uint8_t *start = r->at;
    size_t all = rd_left(r);
    uint16_t type = rd_u16(r);
    uint16_t length = rd_u16(r);
    uint32_t cookie = rd_u32(r);
    struct slice transaction = rd_bytes(r, STUN_TRANSACTION_BYTES);
    if (!rd_ok(r)) {
        return;
    }
    if (type >> 14 != 0) {
        rd_reject_at(r, REJECT_STUN_BITS, start);
    } else if (cookie != STUN_COOKIE) {
        rd_reject_at(r, REJECT_STUN_COOKIE, start + COOKIE_AT);
    } else if (length % STUN_ALIGNMENT != 0) {
        rd_reject_at(r, REJECT_STUN_ALIGNMENT, start + LENGTH_AT);
    } else if (STUN_HEADER_BYTES + (size_t)length != all) {
        rd_reject_at(r, REJECT_MESSAGE_LENGTH, start + LENGTH_AT);
    } else if (stun_method_name(method_of(type)) == NULL) {
        rd_reject_at(r, REJECT_STUN_METHOD, start);
    }
    if (!rd_ok(r)) {
        return;
    }
    out->class = class_of(type);
    out->method = method_of(type);
    memcpy(out->transaction, transaction.data, transaction.len);
    out->wire = slice_of(start, all);
}

static void note_unknown(struct stun *out, uint16_t type)
{
    bool is_noted = type >= OPTIONAL_FIRST || out->unknown_count == STUN_UNKNOWN_CAP;
    for (uint32_t i = 0; i < out->unknown_count && !is_noted; i++) {
        is_noted = out->unknown[i] == type;
    }
    if (!is_noted) {
        out->unknown[out->unknown_count++] = type;
    }
}

static struct stun_algorithm first_algorithm(struct slice value)
{
    struct rd r = rd_init(value);
    struct stun_algorithm first = {0};
    (void)stun_algorithm_next(&r, &first);
    return first;
}

#define GET_BYTES(a) (a)->value
#define GET_TYPES(a) (a)->value
#define GET_ALGORITHM(a) first_algorithm((a)->value)
#define GET_ALGORITHMS(a) (a)->value
#define GET_ADDRESS(a) (a)->address
#define GET_XOR_ADDRESS(a) (a)->address
#define GET_ERROR(a) (a)->error
#define GET_U32(a) (uint32_t)(a)->number
#define GET_U64(a) (a)->number
#define GET_FLAG(a) true

/* Puts a known attribute into its member, unless there was one of the type before (14). */
static void keep(struct stun *out, const struct stun_attr *a)
{
    switch (a->type) {
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step)                         \
    case type:                                                                                     \
        if (!stun_has(out, STUN_HAS_##name)) {                                                     \
            out->has |= 1u << STUN_HAS_##name;                                                     \
            out->field = GET_##shape(a);                                                           \
        }                                                                                          \
        break;
#include "codec/stun.def"
    default:
        break;
    }
}

static bool is_fingerprint_good(struct slice wire, const struct stun_attr *a)
{
    size_t value_at = (size_t)(a->value.data - wire.data);
    return a->number == stun_fingerprint(slice_sub(wire, 0, value_at - STUN_ATTR_HEADER_BYTES));
}

void stun_rd(struct rd *r, struct stun *out)
{
    memset(out, 0, sizeof(*out));
    read_header(r, out);
    (void)rd_rest(r);
    if (!rd_ok(r)) {
        return;
    }
    struct stun_walk walk = stun_walk(out->wire);
    struct stun_attr a;
    while (stun_walk_next(&walk, &a)) {
        if (a.shape != STUN_SHAPE_RAW) {
            keep(out, &a);
        } else if (!a.is_ignored && row_of(a.type) == NULL) {
            note_unknown(out, a.type);
        }
        if (a.type == STUN_ATTR_FINGERPRINT && !is_fingerprint_good(out->wire, &a)) {
            rd_reject_at(&walk.r, REJECT_STUN_FINGERPRINT, a.value.data);
        }
    }
    rd_close(r, &walk.r);
}

enum err stun_decode(struct slice in, struct stun *out)
{
    struct rd r = rd_init(in);
    stun_rd(&r, out);
    return rd_finish(&r);
}
