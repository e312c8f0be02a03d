/* SPDX-License-Identifier: Apache-2.0 */
/* tls_real.h - TLS and DTLS of BoringSSL in a made-up world: link/tls_boring, with somebody who
 * hears the plaintext.
 *
 * What BoringSSL draws comes from no seed, so that the bytes of no two runs are the same: what a
 * run is told by is what goes into records and comes out of them.
 *
 * Owner: the world.  One context for each node, one table for all; connections stand in a pool, and
 * those of a node that is gone are closed by tls_real_bury. */
#pragma once
#include "core/pool.h"
#include "link/tls_boring.h"

/* What a node has sealed, and the bytes that this took (0: they leave later); or, is_heard, what it
 * has read. */
struct tls_real_plain {
    uint32_t node;
    bool is_heard;
    bool is_datagram;
    struct slice plain;
    size_t sealed_bytes;
};
typedef void tls_real_ear(void *of, const struct tls_real_plain *what);

struct tls_real_connection;

struct tls_real_table {
    struct pool connections;
    tls_real_ear *ear;
    void *ear_of;
};

struct tls_real_context {
    struct tls_real_table *table;
    struct tls_boring *credential;
    uint32_t node;
    struct tls_real_connection *first; /* its connections */
};

size_t tls_real_table_bytes(uint32_t connections);
void tls_real_table_init(struct tls_real_table *table, struct arena *arena, uint32_t connections);
/* Its contexts are struct tls_real_context. */
const struct tls_ops *tls_real_ops(void);
/* Closes all connections of a node that is gone. */
void tls_real_bury(struct tls_real_context *context);
