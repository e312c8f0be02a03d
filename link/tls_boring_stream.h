/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_stream.h - the inside of tls_boring_stream*.c (RFC 8446 5), which tests look into to
 * seal what no peer of ours would. */
#pragma once
#include "link/tls_boring_impl.h"

#include <openssl/aead.h>

enum {
    TLS_BORING_STREAM_TAG = 16,
    TLS_BORING_STREAM_NONCE = 12,
    TLS_BORING_STREAM_SECRET = 32, /* of SHA-256 */
    TLS_BORING_STREAM_MESSAGE = 5, /* of a KeyUpdate: type, length, request_update */
    /* Records of one key.  5.5: 2^24.5 of full size leave the margin that AES-GCM shall have. */
    TLS_BORING_STREAM_LIMIT = 1 << 23,
};

struct tls_boring_half {
    uint64_t number; /* of the next record */
    uint8_t iv[TLS_BORING_STREAM_NONCE];
    bool has_secret;
    uint8_t secret[TLS_BORING_STREAM_SECRET];
    EVP_AEAD_CTX keys;
};

struct tls_boring_stream {
    bool is_up;         /* BoringSSL has nothing more to do */
    bool is_closed;     /* close_notify has come */
    bool is_shut;       /* or an alert has left */
    bool is_within;     /* a message of the handshake's type has begun and not ended */
    unsigned idle;      /* records in a row without data */
    unsigned updates;   /* UPDATE_COST for each KeyUpdate that came, less one for each data */
    uint64_t limit;     /* TLS_BORING_STREAM_LIMIT; tests have not the time */
    uint64_t update_at; /* out.number with which a KeyUpdate goes before data; 0: one is owed */
    size_t skip;        /* of a ticket, still to come */
    uint8_t message[TLS_BORING_STREAM_MESSAGE]; /* what has come of the next */
    size_t message_len;
    struct tls_boring_queue rest; /* opened, for a reader with little room */
    struct tls_boring_half out;
    struct tls_boring_half in;
};

/* 7.2: the next generation.  False: no memory, and the half must not be used again. */
bool tls_boring_stream_keys_update(struct tls_boring_half *h);

/* 5.3: of the next record. */
static inline void tls_boring_stream_nonce(const struct tls_boring_half *h,
                                           uint8_t nonce[TLS_BORING_STREAM_NONCE])
{
    uint64_t last;
    memcpy(nonce, h->iv, TLS_BORING_STREAM_NONCE);
    memcpy(&last, nonce + 4, sizeof(last));
    last ^= __builtin_bswap64(h->number);
    memcpy(nonce + 4, &last, sizeof(last));
}
