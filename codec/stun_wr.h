/* SPDX-License-Identifier: Apache-2.0 */
/* stun_wr.h - writes STUN messages: header, attributes, integrity, fingerprint, in that order.
 *
 *     size_t start = stun_wr_begin(&w, STUN_CLASS_REQUEST, STUN_METHOD_BINDING, transaction);
 *     stun_wr_bytes(&w, start, STUN_ATTR_USERNAME, username);
 *     stun_auth_seal(crypto, &w, start, key, STUN_AUTH_BOTH);
 *
 * The length field is right after every call.  What the decoder would refuse is a fault of `w`; the
 * order is the caller's affair.  A message may stand anywhere in the buffer of its cursor. */
#pragma once
#include "codec/stun.h"

/* The header; gives what the other functions want as `start`. */
size_t stun_wr_begin(struct wr *w, enum stun_class class, uint16_t method,
                     const uint8_t transaction[STUN_TRANSACTION_BYTES]);
/* As `in->shape` says. */
void stun_wr_attr(struct wr *w, size_t start, const struct stun_attr *in);
/* Attributes that are bytes, types or algorithms, and any type that is not in stun.def. */
void stun_wr_bytes(struct wr *w, size_t start, uint16_t type, struct slice value);
void stun_wr_address(struct wr *w, size_t start, uint16_t type, const struct address *address);
void stun_wr_number(struct wr *w, size_t start, uint16_t type, uint64_t number);
void stun_wr_flag(struct wr *w, size_t start, uint16_t type);
/* ERROR-CODE; for the recommended reason see stun_error_text. */
void stun_wr_error(struct wr *w, size_t start, uint16_t code, struct slice reason);
/* UNKNOWN-ATTRIBUTES */
void stun_wr_types(struct wr *w, size_t start, const uint16_t *types, size_t count);
/* One entry of the value of PASSWORD-ALGORITHM(S), which goes through stun_wr_bytes. */
void stun_wr_algorithm(struct wr *value, const struct stun_algorithm *in);
/* Appends MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256.  The caller puts the HMAC of *input at the
 * place that is given back (20 or 32 bytes); NULL after a fault. */
uint8_t *stun_wr_integrity(struct wr *w, size_t start, uint16_t type, struct slice *input);
/* The last attribute. */
void stun_wr_fingerprint(struct wr *w, size_t start);

/* A decoded message once more, every attribute as received, padding and reserved bits zero. */
void stun_wr(struct wr *w, const struct stun *in);

/* What the integrity attribute `type` of a decoded message is an HMAC of: the message in front of
 * it, with the length field that the message would have if it ended there (14.5, 14.6).  A fault of
 * `w` where the message has no such attribute. */
void stun_wr_integrity_input(struct wr *w, const struct stun *m, uint16_t type);
