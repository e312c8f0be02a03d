/* SPDX-License-Identifier: Apache-2.0 */
/* bare_boring.h - what signatures cost that are made and verified by BoringSSL itself, with keys
 * that stand ready: the floor of everything that is signed. */
#pragma once
#include "link/crypto_boring.h"

struct bare;

struct bare *bare_boring_open(enum crypto_algorithm algorithm);
void bare_boring_close(struct bare *b);
/* CPU time in ns of one, over `count` messages of `len` bytes. */
double bare_boring_verify_ns(struct bare *b, uint32_t count, size_t len);
double bare_boring_sign_ns(struct bare *b, uint32_t count, size_t len);
