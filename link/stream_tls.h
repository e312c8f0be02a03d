/* SPDX-License-Identifier: Apache-2.0 */
/* stream_tls.h - TLS byte streams without framing, for SIP: between two nodes of the overlay, what
 * AppAttach sets up (RFC 6940 6.5.2, RFC 7904 5), and of phones, who present no certificate.
 *
 * Owner:  one table for each peer; a stream belongs to whoever opened it (node/path), who also owns
 *         the connection: it closes or aborts it, and tells io that it has been proved (io_proved).
 * Time:   none; how long a handshake may take is the user's business.
 * Limits: settings.streams in total, one TLS object each; plaintext is read chunk by chunk when the
 *         user asks. */
#pragma once
#include "link/peer_auth.h"

struct stream_tls_settings {
    const struct tls_ops *tls;
    void *tls_context;                /* our certificate and key, for both roles */
    const struct crypto_trust *trust; /* borrowed for the life of the table; NULL: phones */
    struct node_id self;              /* a stream to ourselves is refused */
    uint32_t streams;
};

struct stream_tls_table;
struct stream_tls; /* valid until stream_tls_close */

/* Bytes of arena that stream_tls_table_init takes. */
size_t stream_tls_table_bytes(const struct stream_tls_settings *s);
struct stream_tls_table *stream_tls_table_init(struct arena *arena,
                                               const struct stream_tls_settings *s);
uint32_t stream_tls_count(const struct stream_tls_table *table);
/* Streams opened from now on use this credential; gives back the former one. */
void *stream_tls_table_use(struct stream_tls_table *table, void *tls_context);

/* Begins TLS on `conn`; the AppAttach requester is TLS_SERVER, the answerer dials and is
 * TLS_CLIENT. `expect` NULL: any Node-ID of the overlay.  NULL (counted) when the table is full or
 * there is no memory. */
struct stream_tls *stream_tls_open(struct turn *t, struct stream_tls_table *table,
                                   enum tls_role role, handle conn, const struct node_id *expect);
/* The same as a client without a certificate, of a table without trust: `host` goes into the
 * handshake (RFC 6066 3) where it is a name; who answers is for the user to judge, by the chain. */
struct stream_tls *stream_tls_open_to(struct turn *t, struct stream_tls_table *table, handle conn,
                                      const char *host);
/* What the other side has presented, leaf first, borrowed; how many. */
size_t stream_tls_chain(const struct stream_tls *s, struct slice chain[TLS_CHAIN_CAP]);
/* Received bytes, which must stay until stream_tls_read has said something else than ERR_OK: they
 * are opened where they lie.  ERR_OK: ask stream_tls_is_up and read on.  Anything else is its end,
 * counted by reason. */
enum err stream_tls_recv(struct turn *t, struct stream_tls *s, struct slice received) MUST_USE;
/* Authenticated; then these tell who it is. */
bool stream_tls_is_up(const struct stream_tls *s);
const struct node_id *stream_tls_node_id(const struct stream_tls *s);
struct slice stream_tls_user(const struct stream_tls *s);
uint64_t stream_tls_not_after_ms(const struct stream_tls *s);
/* After a failure: a static text for people. */
const char *stream_tls_why(const struct stream_tls *s);
/* A chunk of plaintext into `out`: ERR_OK, ERR_MORE (none now), ERR_CLOSED (the other side is
 * done), or a failure. */
enum err stream_tls_read(struct turn *t, struct stream_tls *s, uint8_t *out, size_t cap,
                         size_t *len) MUST_USE;
/* Seals and sends all of `plaintext`; *sent is how many bytes that gave the connection (io tells
 * with IO_SENT when the kernel has taken them).  ERR_STATE before it is up; anything else but
 * ERR_OK is its end. */
enum err stream_tls_write(struct turn *t, struct stream_tls *s, struct slice plaintext,
                          size_t *sent) MUST_USE;
/* Gives the stream back; `graceful`: says goodbye (close_notify) first. */
void stream_tls_close(struct turn *t, struct stream_tls_table *table, struct stream_tls *s,
                      bool graceful);
