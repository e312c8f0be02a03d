/* SPDX-License-Identifier: Apache-2.0 */
/* bare_boring.h - what signatures cost that are made and verified by BoringSSL itself, with keys
 * that stand ready: the floor of everything that is signed. */
#pragma once
#include "link/crypto_boring.h"

struct bare;

struct bare *bare_boring_open(enum crypto_algorithm algorithm);
void bare_boring_close(struct bare *b);
/* CPU time in ns of verifying a message of `v` and then signing one of `s`, over `count` pairs. */
double bare_boring_pair_ns(struct bare *v, struct bare *s, uint32_t count, size_t len);
