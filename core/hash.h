/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - fast hashing of bytes (XXH3) for tables, fingerprints and made-up worlds.
 *
 * Not for protocol or security: there crypto->sha1 and crypto->sha256 are meant.  Keys that a
 * stranger chooses need a secret seed. */
#pragma once
#include "core/slice.h"

uint64_t hash_64(struct slice bytes, uint64_t seed);
/* The same of 20 bytes, quicker: where so many are hashed once for each message. */
uint64_t hash_64_of_20(const void *bytes, uint64_t seed);
/* The canonical (big-endian) form of the 128-bit variant. */
void hash_128(struct slice bytes, uint64_t seed, uint8_t out[16]);
