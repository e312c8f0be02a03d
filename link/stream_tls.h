/* SPDX-License-Identifier: Apache-2.0 */
/* stream_tls.h - an authenticated stream of bytes to another peer, without framing.
 *
 * What an AppAttach connection runs over (RFC 6940 6.5.2, RFC 7904 5.1): node/path keeps one between
 * the connection and sip/.  Nothing is delivered before the peer's certificate has been judged.
 *
 * Owner:   one stream_tls_table for each peer, its streams in a pool.  Threads: shard-local.
 * Time:    deadlines (handshake, idle) are the caller's. */
#pragma once
#include "codec/ids.h"
#include "core/turn.h"
#include "link/tls.h"

struct stream_tls;
struct stream_tls_table;

struct stream_tls_settings {
    const struct tls_ops *tls;
    void *tls_context;
    const struct crypto_trust *trust; /* borrowed for the life of the table */
    struct node_id self;
    uint32_t streams;
};

size_t stream_tls_table_bytes(const struct stream_tls_settings *s);
struct stream_tls_table *stream_tls_table_init(struct arena *arena,
                                               const struct stream_tls_settings *s);

/* A stream over `conn`, which is connected; a client sends its first flight at once (io_send).
 * `expect` NULL: anybody with a good certificate.  NULL when the table is full. */
struct stream_tls *stream_tls_open(struct turn *t, struct stream_tls_table *table,
                                   enum tls_role role, handle conn, const struct node_id *expect);
/* Frees it; the connection itself is the caller's to close.  `notify`: send close_notify first. */
void stream_tls_close(struct turn *t, struct stream_tls_table *table, struct stream_tls *s,
                      bool notify);

/* Feeds received bytes; handshake answers are sent with io_send.  ERR_OK, or the reason for which the
 * caller must close it: ERR_CLOSED (close_notify), ERR_BAD_CERTIFICATE, ERR_MALFORMED ... (counted). */
enum err stream_tls_recv(struct turn *t, struct stream_tls *s, struct slice received) MUST_USE;
/* True once the peer is authenticated; then node_id and user tell who it is. */
bool stream_tls_is_up(const struct stream_tls *s);
const struct node_id *stream_tls_node_id(const struct stream_tls *s);
struct slice stream_tls_user(const struct stream_tls *s);
/* The next plaintext, copied into `out`: ERR_OK with *len > 0, ERR_MORE when there is none now,
 * ERR_CLOSED or another error as from stream_tls_recv. */
enum err stream_tls_read(struct turn *t, struct stream_tls *s, uint8_t *out, size_t cap,
                         size_t *len) MUST_USE;
/* Seals `plaintext` (any length) and sends it with io_send; *sent is how many bytes went out.
 * ERR_STATE before it is up, ERR_NO_MEMORY, ERR_LIMIT (outbox full). */
enum err stream_tls_write(struct turn *t, struct stream_tls *s, struct slice plaintext,
                          size_t *sent) MUST_USE;
