/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_impl.h - the inside of a connection on BoringSSL, shared by tls_boring*.c only. */
#pragma once
#include "link/tls_boring.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

struct tls_boring_queue {
    uint8_t *data;
    size_t cap;
    size_t start;
    size_t end;
};

struct tls_boring {
    SSL_CTX *ssl;
    SSL_CTX *dtls;
    BIO_METHOD *bio;
    BIO_METHOD *datagram_bio;
    tls_boring_keylog_sink sink;
    void *sink_user;
    struct tls_boring_counters counters;
};

struct tls {
    SSL *ssl;
    struct tls_boring *context;
    struct tls_boring_queue in;  /* of streams */
    struct tls_boring_queue out; /* of datagrams: each behind its length */
    struct slice lent;           /* of streams: received, behind what is in `in`; borrowed */
    struct slice datagram;       /* the one being fed, borrowed */
    uint8_t *seal_to;            /* where what is being sealed goes; streams, NULL: to `out` */
    size_t seal_cap;
    size_t seal_len;
    uint64_t now_us; /* of datagrams */
    bool is_datagram;
    bool failed; /* the only thing left is to pull the alert */
};

/* False when TLS_BORING_BUFFER_CAP is reached or there is no memory. */
bool tls_boring_push(struct tls *tls, struct tls_boring_queue *q, const void *bytes, size_t len);
/* Takes up to `cap` bytes off the front; the memory goes with the last. */
size_t tls_boring_shift(struct tls *tls, struct tls_boring_queue *q, uint8_t *out, size_t cap);
/* Turns the outcome of an SSL call into an error; ERR_MORE: it waits for the other side. */
enum err tls_boring_outcome(struct tls *tls, int result);
/* A connection of `ssl` over a BIO of `method`; NULL when there is no memory. */
struct tls *tls_boring_make(struct tls_boring *owner, SSL_CTX *ssl, const BIO_METHOD *method,
                            enum tls_role role);

/* tls_boring_datagram.c */
bool tls_boring_datagram_rules(SSL_CTX *ssl);
BIO_METHOD *tls_boring_datagram_bio(void);
struct tls *tls_boring_datagram_open(void *context, enum tls_role role, size_t datagram_bytes,
                                     uint64_t now_us);
enum err tls_boring_datagram_feed(struct tls *tls, uint64_t now_us, struct slice datagram,
                                  uint8_t *out, size_t cap, size_t *len);
uint64_t tls_boring_datagram_due_us(struct tls *tls, uint64_t now_us);
enum err tls_boring_datagram_on_due(struct tls *tls, uint64_t now_us);
enum err tls_boring_datagram_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                                  size_t *len);
size_t tls_boring_datagram_overhead(struct tls *tls);
/* The next datagram that waits to be sent. */
size_t tls_boring_datagram_pull(struct tls *tls, uint8_t *out, size_t cap);
/* BoringSSL asks for the time without saying for which connection: until the next call of this, it
 * is that of `tls`. */
void tls_boring_datagram_set_clock(const struct tls *tls);
