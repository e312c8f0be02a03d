/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - the seam behind which TLS stands: bytes in, bytes out, no sockets.
 *
 * link/tls_boring fills it with BoringSSL; the simulator with a plain stand-in that exchanges
 * certificates and keeps bytes readable (sim/tls_fake).  Certificates are NOT judged here: the
 * handshake only proves possession of the key, demands a certificate from both sides, and
 * link/peer_auth judges it before one byte is delivered.
 *
 * A connection is a stream (TLS) or made of datagrams (DTLS): opened by `open` or `open_datagram`,
 * and fed accordingly.  One datagram carries one record; those of a handshake may carry several. */
#pragma once
#include "core/err.h"
#include "core/slice.h"

enum tls_role { TLS_CLIENT, TLS_SERVER };

enum {
    TLS_RECORD_BYTES = 16 * 1024,          /* largest plaintext of one record */
    TLS_READ_BYTES = TLS_RECORD_BYTES + 1, /* room with which each is read without a copy */
    TLS_CHAIN_CAP = 4,                     /* certificates looked at in what the peer presents */
    TLS_DATAGRAM_OVERHEAD = 80, /* at most what a record adds to its plaintext in a datagram */
};

struct tls; /* one connection */

struct tls_ops {
    /* A new connection with the credential in `context`; NULL when there is no memory for one. */
    struct tls *(*open)(void *context, enum tls_role role);
    void (*close)(struct tls *tls);
    /* Of a client, before its handshake: the name that it looks for.  May be NULL. */
    void (*set_host)(struct tls *tls, const char *host);
    /* Feeds received bytes (copied or consumed before it returns) and drives the handshake.
     * ERR_OK, or ERR_IO / ERR_MALFORMED when the connection must be closed (an alert may be
     * waiting in pull); ERR_UNAUTHENTICATED when the peer has presented no certificate. */
    enum err (*feed)(struct tls *tls, struct slice received);
    /* Starts (client) or continues the handshake; ERR_OK when it is done, ERR_MORE while not. */
    enum err (*handshake)(struct tls *tls);
    /* One chunk of plaintext: ERR_OK with *len > 0, ERR_MORE when there is none now, ERR_CLOSED
     * after close_notify, else failure. */
    enum err (*read)(struct tls *tls, uint8_t *out, size_t cap, size_t *len);
    /* Seals `plaintext` (at most TLS_RECORD_BYTES) as one record.  Not of datagrams. */
    enum err (*write)(struct tls *tls, struct slice plaintext);
    /* The same, but what is sealed goes straight to `out`, and *len says how much; what finds no
     * room there, or comes behind something that waits already, waits for pull. */
    enum err (*seal)(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                     size_t *len);
    /* feed without a copy, once the handshake is done: the bytes must stay until read has said
     * ERR_MORE (or failed), or until keep has been called, which copies what was not yet read. */
    enum err (*lend)(struct tls *tls, struct slice received);
    void (*keep)(struct tls *tls);
    /* How much waits for pull. */
    size_t (*waiting)(const struct tls *tls);
    /* Moves bytes to be sent into `out`; returns how many, 0 when there are none.  Of datagrams:
     * the next one of the handshake, whole; `cap` is at least what open_datagram was told. */
    size_t (*pull)(struct tls *tls, uint8_t *out, size_t cap);
    /* What the peer presented, leaf first, DER, borrowed while the connection lives; the count. */
    size_t (*peer_chain)(struct tls *tls, struct slice chain[TLS_CHAIN_CAP]);
    void (*shutdown)(struct tls *tls); /* close_notify into pull */

    /* ---- datagrams; all NULL where there are none ---- */

    /* Like `open`; the handshake fits into datagrams of `datagram_bytes`. */
    struct tls *(*open_datagram)(void *context, enum tls_role role, size_t datagram_bytes,
                                 uint64_t now_us);
    /* Takes one received datagram, drives the handshake, and gives the plaintext of the records in
     * it (none, mostly one), one behind the other, in `out`.  What is not authentic is dropped
     * without a word.  ERR_OK, or the end as in `feed`; ERR_CLOSED: close_notify.  Plaintext may
     * have come before the end. */
    enum err (*feed_datagram)(struct tls *tls, uint64_t now_us, struct slice datagram, uint8_t *out,
                              size_t cap, size_t *len);
    /* When the flight under way is to be sent again; UINT64_MAX: nothing is awaited. */
    uint64_t (*due_us)(struct tls *tls, uint64_t now_us);
    /* Sends it again if it is time.  ERR_TIMEOUT: often enough. */
    enum err (*on_due)(struct tls *tls, uint64_t now_us);
    /* Seals `plaintext` as one record in one datagram, straight into `out`, which has room for
     * TLS_DATAGRAM_OVERHEAD bytes more.  ERR_STATE before the handshake is done. */
    enum err (*seal_datagram)(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                              size_t *len);
    /* A record is about to be sealed: what that needs may come into the caches.  May be NULL. */
    void (*seal_ahead)(const struct tls *tls);
    /* What a record adds to its plaintext, once the handshake is done. */
    size_t (*overhead)(struct tls *tls);
};
