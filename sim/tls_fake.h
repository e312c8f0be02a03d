/* SPDX-License-Identifier: Apache-2.0 */
/* tls_fake.h - what stands in for TLS and DTLS in a made-up world: certificates are exchanged,
 * bytes stay readable, records keep their lengths.
 *
 * A connection is a small object; bytes that wait in it stand in chunks that all connections of a
 * world share, so that a thousand idle links cost nothing.
 * Owner: the world.  One context for each node (its certificate), one table for all. */
#pragma once
#include "core/pool.h"
#include "core/table.h"
#include "link/tls.h"

struct tls_fake_table {
    struct pool connections;
    struct pool certificates;
    struct table by_hash;
    struct tls_fake_chunk *chunks;
    struct tls_fake_chunk *first_free;
    uint32_t chunk_cap, chunks_used, chunks_open;
};

struct tls_fake_context {
    struct tls_fake_table *table;
    struct slice certificate;
    struct tls *first; /* its connections */
};

/* `peers`: different certificates. */
void tls_fake_table_init(struct tls_fake_table *table, struct arena *arena, uint32_t connections,
                         uint32_t peers);
size_t tls_fake_table_bytes(uint32_t connections, uint32_t peers);
/* Connections and chunks in use. */
uint32_t tls_fake_in_use(const struct tls_fake_table *table);
/* Its contexts are struct tls_fake_context. */
const struct tls_ops *tls_fake_ops(void);
/* The record at the front of bytes that one of them has sent: its length, and its plaintext, empty
 * when it is none of data; 0: no whole record. */
size_t tls_fake_record(struct slice bytes, struct slice *plain);
/* What a datagram of data carries; empty: it is of another kind. */
struct slice tls_fake_datagram_plain(struct slice datagram);
/* Frees all connections of a node that is gone. */
void tls_fake_bury(struct tls_fake_context *context);
