/* SPDX-License-Identifier: Apache-2.0 */
/* tls_fake_impl.h - the inside of a made-up TLS connection, shared by tls_fake*.c only. */
#pragma once
#include "sim/tls_fake.h"

enum { TLS_FAKE_CHUNK_BYTES = 40 * 1024, TLS_FAKE_CERTIFICATE_CAP = 512, TLS_FAKE_HASH_BYTES = 16 };

struct tls_fake_chunk {
    struct tls_fake_chunk *next; /* free */
    uint32_t start, end;
    uint8_t bytes[TLS_FAKE_CHUNK_BYTES];
};

/* What was sent last, of datagrams; each answers the one before. */
enum tls_fake_flight {
    TLS_FAKE_NOTHING,
    TLS_FAKE_HELLO,  /* client: certificate */
    TLS_FAKE_REPLY,  /* server: certificate */
    TLS_FAKE_FINISH, /* client */
    TLS_FAKE_DONE,   /* server */
};

/* Everybody's certificate stands here once, however many have been shown it. */
struct tls_fake_certificate {
    uint32_t refs;
    uint32_t len;
    uint8_t hash[TLS_FAKE_HASH_BYTES];
    uint8_t bytes[TLS_FAKE_CERTIFICATE_CAP];
};

struct tls {
    struct tls_fake_context *context;
    struct tls *next, *prev; /* of the same context */
    enum tls_role role;
    bool has_sent, has_peer, is_closed, is_broken;
    /* datagrams */
    bool is_datagram, is_finished;
    enum tls_fake_flight flight;
    uint32_t tries;
    uint64_t now_us, due_us, wait_us;
    uint8_t nonces[6]; /* what stands for keys: three bytes of the client, three of the server */

    struct tls_fake_certificate *peer;
    struct slice lent;         /* not read yet, behind what is in `in` */
    uint32_t left;             /* of a data record that was read in part */
    struct tls_fake_chunk *in; /* NULL = nothing waits */
    struct tls_fake_chunk *out;
};

struct tls *tls_fake_open(void *context, enum tls_role role);
/* The far side has shown this certificate; false when it cannot be one. */
bool tls_fake_meet(struct tls *tls, struct slice certificate);
/* Appends to what waits; false when there is no room. */
bool tls_fake_put(struct tls *tls, struct tls_fake_chunk **where, struct slice bytes);
void tls_fake_take(struct tls *tls, struct tls_fake_chunk **where, size_t len);

/* tls_fake_datagram.c */
struct tls *tls_fake_datagram_open(void *context, enum tls_role role, size_t datagram_bytes,
                                   uint64_t now_us);
enum err tls_fake_datagram_handshake(struct tls *tls);
enum err tls_fake_datagram_feed(struct tls *tls, uint64_t now_us, struct slice datagram,
                                uint8_t *out, size_t cap, size_t *len);
uint64_t tls_fake_datagram_due_us(struct tls *tls, uint64_t now_us);
enum err tls_fake_datagram_on_due(struct tls *tls, uint64_t now_us);
enum err tls_fake_datagram_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                                size_t *len);
size_t tls_fake_datagram_overhead(struct tls *tls);
size_t tls_fake_datagram_pull(struct tls *tls, uint8_t *out, size_t cap);
void tls_fake_datagram_shutdown(struct tls *tls);
