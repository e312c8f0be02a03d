/* SPDX-License-Identifier: Apache-2.0 */
/* world_crypto.h - what stands for cryptography in a world: made up (sim/crypto_fake, sim/tls_fake)
 * or real (link/crypto_boring, sim/tls_real).
 *
 * Real keys and certificates are made here, out of the seed, and Ed25519 signatures depend on
 * nothing else; what BoringSSL draws for a handshake does not come from the seed, so that a real
 * world is told by its plaintext (world_fingerprint).  For sim/world.c, sim/net.c and
 * sim/world_phones.c alone. */
#pragma once
#include "sim/tls_fake.h"
#include "sim/tls_real.h"
#include "sim/world.h"

enum { WORLD_CRYPTO_REAL_CERTIFICATE = 1024 }; /* room; some 450 are used */

struct world_crypto; /* of a real world */

size_t world_crypto_bytes(const struct world_settings *s);
/* Fills w->crypto, w->root, w->tls; before the first identity. */
void world_crypto_init(struct arena *arena, struct world *w);
/* All that is BoringSSL's goes back to it; nodes are gone. */
void world_crypto_end(struct world *w);
uint32_t world_crypto_certificate_bytes(const struct world_settings *s);

struct world_ident;
/* A certificate of the world's root; given: the Node-ID, NULL: drawn. */
void world_crypto_make_ident(struct world *w, struct world_ident *out, const char *user,
                             const struct node_id *given);
/* The identity of node i is made. */
void world_crypto_settings(struct world *w, uint32_t i, struct node_settings *out);
void world_crypto_bury(struct world *w, uint32_t i);
/* Connections and what waits in them. */
uint32_t world_crypto_in_use(const struct world *w);

/* Bytes of a stream leave: they are accounted for. */
void world_crypto_account(struct world *w, struct slice bytes);
/* ... at the end of a turn. */
void world_crypto_turn_over(struct world *w);
/* Are these bytes the same in each run of the seed? */
bool world_crypto_is_told_by_bytes(const struct world *w, const struct io_event *event);
