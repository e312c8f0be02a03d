/* SPDX-License-Identifier: Apache-2.0 */
/* stun.h - STUN messages (RFC 8489): the Binding method, with the attributes that ICE adds.
 *
 * Decoding borrows.  The first attribute of each known type stands in a member of struct stun; all
 * of them, in order, are told by stun_walk_next.  What follows the message integrity is ignored as
 * RFC 8489 9 asks: after MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 and FINGERPRINT count,
 * after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT.  (The RFC leaves open whether what stands
 * between a MESSAGE-INTEGRITY-SHA256 and a MESSAGE-INTEGRITY behind it counts.  It does not here:
 * only the second would protect it, and a receiver checks the first.)
 *
 * A FINGERPRINT must be right and last.  Integrity needs a key and is link/stun_auth's; here are
 * the bytes that it is computed over.  Texts are bytes, nobody has looked whether they are UTF-8.
 * Without the magic cookie it is RFC 3489, which is refused.
 *
 * Owner:  slices are borrowed; nothing is kept.
 * Limits: the first STUN_UNKNOWN_CAP types that are not understood are remembered. */
#pragma once
#include "codec/rw.h"
#include "core/address.h"

enum {
    STUN_HEADER_BYTES = 20,
    STUN_ATTR_HEADER_BYTES = 4,
    STUN_ALIGNMENT = 4,
    STUN_TRANSACTION_BYTES = 12,
    STUN_SHA1_BYTES = 20,   /* the value of MESSAGE-INTEGRITY */
    STUN_SHA256_BYTES = 32, /* of MESSAGE-INTEGRITY-SHA256, not truncated */
    STUN_UNKNOWN_CAP = 16,
};
#define STUN_COOKIE 0x2112a442u

enum stun_class {
    STUN_CLASS_REQUEST,
    STUN_CLASS_INDICATION,
    STUN_CLASS_SUCCESS,
    STUN_CLASS_ERROR,
};

enum stun_method {
#define STUN_METHOD(name, number, word) STUN_METHOD_##name = number,
#include "codec/stun.def"
};

enum stun_error_number {
#define STUN_ERROR(name, code, text) STUN_ERROR_##name = code,
#include "codec/stun.def"
};

enum stun_attr_type {
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step) STUN_ATTR_##name = type,
#include "codec/stun.def"
};

/* Bits of stun.has, by number. */
enum stun_bit {
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step) STUN_HAS_##name,
#include "codec/stun.def"
    STUN_ATTR_COUNT
};
STATIC_CHECK(STUN_ATTR_COUNT <= 32);

/* What an attribute's value is, and which member of struct stun_attr holds it. */
enum stun_shape {
    STUN_SHAPE_RAW,         /* value: of an unknown type or address family, or ignored */
    STUN_SHAPE_BYTES,       /* value */
    STUN_SHAPE_TYPES,       /* value: stun_type_next */
    STUN_SHAPE_ALGORITHM,   /* value: stun_algorithm_next, which finds one */
    STUN_SHAPE_ALGORITHMS,  /* value: stun_algorithm_next */
    STUN_SHAPE_ADDRESS,     /* address */
    STUN_SHAPE_XOR_ADDRESS, /* address, in clear */
    STUN_SHAPE_ERROR,       /* error */
    STUN_SHAPE_U32,         /* number */
    STUN_SHAPE_U64,         /* number */
    STUN_SHAPE_FLAG,        /* being there is all it says */
};

struct stun_error {
    uint16_t code; /* 300 to 699 */
    struct slice reason;
};

struct stun_algorithm {
    uint16_t number; /* 1 MD5, 2 SHA-256 */
    struct slice parameters;
};

struct stun_attr {
    uint16_t type;
    enum stun_shape shape;
    bool is_ignored;    /* stands behind the integrity; then the shape is RAW */
    struct slice value; /* as received, without padding */
    struct address address;
    struct stun_error error;
    uint64_t number;
};

#define STUN_MEMBER_BYTES struct slice
#define STUN_MEMBER_TYPES struct slice
#define STUN_MEMBER_ALGORITHM struct stun_algorithm
#define STUN_MEMBER_ALGORITHMS struct slice
#define STUN_MEMBER_ADDRESS struct address
#define STUN_MEMBER_XOR_ADDRESS struct address
#define STUN_MEMBER_ERROR struct stun_error
#define STUN_MEMBER_U32 uint32_t
#define STUN_MEMBER_U64 uint64_t
#define STUN_MEMBER_FLAG bool

struct stun {
    enum stun_class class;
    uint16_t method;                             /* one of stun.def */
    uint8_t transaction[STUN_TRANSACTION_BYTES]; /* transaction ID */
    struct slice wire;                           /* the whole message */
    uint32_t has;                                /* which of the members below were received */
#define STUN_ATTR(name, type, word, field, shape, shortest, longest, step)                         \
    STUN_MEMBER_##shape field;
#include "codec/stun.def"
    /* Comprehension-required types that are not in stun.def, each once: what a 420 lists. */
    uint16_t unknown[STUN_UNKNOWN_CAP];
    uint32_t unknown_count;
};

static inline bool stun_has(const struct stun *m, enum stun_bit bit)
{
    return (m->has >> bit & 1) != 0;
}

/* Could this datagram be STUN?  For telling protocols on one port apart (RFC 7983): first byte 0 to
 * 3, cookie, and a length that a STUN message can have. */
bool stun_is_message(struct slice datagram);

/* A message that fills the rest of `r`.  Where the header is good but an attribute is not, `out`
 * has the header's members and `wire` set, so that a request can be answered with a 400. */
void stun_rd(struct rd *r, struct stun *out);
enum err stun_decode(struct slice in, struct stun *out) MUST_USE;

/* All attributes of a message in their order, those that are ignored included. */
struct stun_walk {
    struct rd r;
    const uint8_t *message;
    unsigned place;
};

/* Over the attributes of `message`, which stun_decode has accepted. */
struct stun_walk stun_walk(struct slice message);
/* False at the end or at a fault, see rd_ok(&walk->r). */
bool stun_walk_next(struct stun_walk *walk, struct stun_attr *out);

/* Walks the value of UNKNOWN-ATTRIBUTES. */
bool stun_type_next(struct rd *r, uint16_t *type);
/* Walks the value of PASSWORD-ALGORITHM(S); false at the end or at a fault.  The padding of the
 * last one may be missing: the RFC does not say whose length counts it. */
bool stun_algorithm_next(struct rd *r, struct stun_algorithm *out);

/* ---- names: static storage, NULL for what is not in stun.def */

/* "XOR-MAPPED-ADDRESS" */
const char *stun_attr_name(uint16_t type);
/* "xor_mapped_address" */
const char *stun_attr_field(uint16_t type);
/* RAW for an unknown type */
enum stun_shape stun_attr_shape(uint16_t type);
const char *stun_method_name(uint16_t method);
/* "request", "indication", "success", "error" */
const char *stun_class_name(enum stun_class class);
/* The recommended reason phrase. */
const char *stun_error_text(uint16_t code);
/* May the value of such an attribute be `len` bytes long?  Any may where the type is unknown. */
bool stun_attr_is_length(uint16_t type, size_t len);

/* ---- for the decoder and stun_wr */

/* Bytes behind a value of `len` bytes (14). */
static inline size_t stun_padding(size_t len)
{
    return (STUN_ALIGNMENT - len % STUN_ALIGNMENT) % STUN_ALIGNMENT;
}

/* The FINGERPRINT of a message whose bytes in front of that attribute are `before` (14.7). */
uint32_t stun_fingerprint(struct slice before);
/* Between an address and its XOR'ed form, which depends on the header of `message` (14.2). */
void stun_mask_address(struct address *a, const uint8_t *message);
