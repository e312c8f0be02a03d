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
    bool is_mutual;  /* both sides have certificates: peers, few and busy, not phones */
    bool is_retired; /* goes with its last connection */
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
    uint64_t now_us;                  /* of datagrams */
    struct tls_boring_record *record; /* of datagrams, once the handshake is done */
    struct tls_boring_stream *stream; /* of streams, from the handshake's secrets on */
    bool is_datagram;
    bool is_left; /* of datagrams: records are left to BoringSSL, whatever the suite */
    bool failed;  /* the only thing left is to pull the alert */
};

/* False when TLS_BORING_BUFFER_CAP is reached or there is no memory. */
bool tls_boring_push(struct tls *tls, struct tls_boring_queue *q, const void *bytes, size_t len);
/* Takes up to `cap` bytes off the front; the memory goes with the last. */
size_t tls_boring_shift(struct tls *tls, struct tls_boring_queue *q, uint8_t *out, size_t cap);
/* Room for `len` bytes at the end and no more, for what will be pushed by and by. */
bool tls_boring_reserve(struct tls *tls, struct tls_boring_queue *q, size_t len);
/* Gives back what memory there is above `cap`, which what is in it fits. */
void tls_boring_shrink(struct tls *tls, struct tls_boring_queue *q, size_t cap);
/* `len` bytes at the end, which count as there; NULL as with push. */
uint8_t *tls_boring_extend(struct tls *tls, struct tls_boring_queue *q, size_t len);
/* Takes `len` bytes off the front; the memory goes with the last. */
void tls_boring_drop(struct tls *tls, struct tls_boring_queue *q, size_t len);
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
void tls_boring_datagram_shutdown(struct tls *tls);
/* A datagram that is to be sent waits behind the others.  False as with tls_boring_push. */
bool tls_boring_datagram_push(struct tls *tls, struct slice datagram);
/* The next datagram that waits to be sent. */
size_t tls_boring_datagram_pull(struct tls *tls, uint8_t *out, size_t cap);
/* BoringSSL asks for the time without saying for which connection: until the next call of this, it
 * is that of `tls`. */
void tls_boring_datagram_set_clock(const struct tls *tls);

/* tls_boring_record.c: application data of datagrams, once the handshake is done */
enum { TLS_BORING_ALERT = 21, TLS_BORING_DATA = 23 }; /* content types */
enum tls_boring_next {
    TLS_BORING_NEXT_NONE,  /* nothing is left of the datagram */
    TLS_BORING_NEXT_OTHER, /* a record that is BoringSSL's business, at the front of *rest */
};
/* False: the cipher suite is one that only BoringSSL knows, or there is no memory. */
bool tls_boring_record_take_over(struct tls *tls);
void tls_boring_record_free(struct tls *tls);
enum err tls_boring_record_seal(struct tls *tls, uint8_t type, struct slice plaintext, uint8_t *out,
                                size_t cap, size_t *len);
void tls_boring_record_seal_ahead(const struct tls *tls);
/* Plaintext of the records in *rest, one behind the other, up to one of another type. */
enum tls_boring_next tls_boring_record_open(struct tls *tls, struct slice *rest, uint8_t *out,
                                            size_t cap, size_t *len);
/* Takes the record at the front of *rest, which is whole. */
struct slice tls_boring_record_take(struct slice *rest);
/* May this record of BoringSSL leave? */
bool tls_boring_record_is_allowed(const struct tls *tls, struct slice record);
/* The last record of this connection, into pull. */
void tls_boring_record_alert(struct tls *tls, uint8_t description);

/* tls_boring_stream.c: application data of streams between peers, once the handshake is done */
enum { TLS_BORING_STREAM_OVERHEAD = 5 + 1 + 16 }; /* of a record */
/* A line of the key log, of a connection whose handshake is under way. */
void tls_boring_stream_keys_note(struct tls *tls, const char *line);
/* The handshake is done, and nothing behind it has been read or written.  Nothing happens where
 * BoringSSL has to go on: with phones, another version, another cipher suite. */
void tls_boring_stream_keys_take_over(struct tls *tls);
bool tls_boring_stream_is_up(const struct tls *tls);
void tls_boring_stream_keys_free(struct tls *tls);
/* As tls_ops.seal; `out` may be NULL. */
enum err tls_boring_stream_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                                size_t *len);
/* As tls_ops.read. */
enum err tls_boring_stream_read(struct tls *tls, uint8_t *out, size_t cap, size_t *len);
void tls_boring_stream_shutdown(struct tls *tls);
