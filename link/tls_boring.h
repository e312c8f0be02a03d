/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring.h - link/tls.h on BoringSSL: TLS 1.2 and 1.3, and DTLS 1.2 (RFC 6347), both
 * sides with a certificate; or, for phones, the server's alone.
 *
 * Owner:   a context belongs to whoever made it and must outlive its connections.
 * Threads: a context and its connections belong to one shard.
 * Limits:  TLS_BORING_BUFFER_CAP bytes waiting in each direction, TLS_BORING_CHAIN_BYTES of
 *          certificates.  No tickets, no resumption, no renegotiation, no early data.
 * BoringSSL allocates per connection, and with phones and TLS 1.2 per record; both are bounded by
 * the number of links. */
#pragma once
#include "link/crypto_boring.h"
#include "link/tls.h"

enum { TLS_BORING_BUFFER_CAP = 256 * 1024, TLS_BORING_CHAIN_BYTES = 16 * 1024 };

struct tls_boring;

/* For link_settings.tls. */
const struct tls_ops *tls_boring_ops(void);

/* A credential, for link_settings.tls_context.  ERR_BAD_CERTIFICATE when the key is not the
 * certificate's. */
enum err tls_boring_context_new(struct slice certificate, const struct slice *intermediates,
                                size_t intermediate_count, const struct crypto_key *key,
                                struct tls_boring **context) MUST_USE;
/* The same for a server that asks nobody for a certificate: phones prove themselves by digest. */
enum err tls_boring_context_public(struct slice certificate, const struct slice *intermediates,
                                   size_t intermediate_count, const struct crypto_key *key,
                                   struct tls_boring **context) MUST_USE;
/* The same for a client that has no certificate, and whose user judges the server's. */
enum err tls_boring_context_client(struct tls_boring **context) MUST_USE;
void tls_boring_context_free(struct tls_boring *context);
/* Nobody opens connections with it any more: it goes with the last that is open.  To be called by
 * the thread that owns its connections. */
void tls_boring_context_retire(struct tls_boring *context);

/* Hands each line of the NSS key log (no newline in it) to `sink`: for judges of test runs such as
 * tshark.  NULL turns it off. */
typedef void (*tls_boring_keylog_sink)(void *user, const char *line);
void tls_boring_keylog(struct tls_boring *context, tls_boring_keylog_sink sink, void *user);

struct tls_boring_counters {
    uint64_t opened;       /* connections ever */
    uint64_t open;         /* now */
    uint64_t buffer_bytes; /* in buffers of ours, now */
    uint64_t buffer_peak;
};
struct tls_boring_counters tls_boring_counters(const struct tls_boring *context);
