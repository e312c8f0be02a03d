/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_keys_boring.h - public keys as BoringSSL wants them, parsed once.
 *
 * Parsing an RSA key and preparing its arithmetic costs a fifth of the signature check that follows
 * (4 of 25 us), so the keys met last are kept, found by the bytes of their SubjectPublicKeyInfo.
 *
 * Owner:   each thread has its own, made by its first check; it gives them back before it ends.
 * Limits:  CRYPTO_KEYS_BORING_CAP keys; one takes the place of another that falls upon its slot,
 *          which nobody can choose. */
#pragma once
#include "core/crypto.h"
#include <openssl/evp.h>

enum { CRYPTO_KEYS_BORING_CAP = 256 };

/* Borrowed until the next call in this thread; NULL when it is malformed or there is no memory. */
EVP_PKEY *crypto_keys_boring_find(struct slice spki);
/* Gives back what this thread holds. */
void crypto_keys_boring_forget(void);
/* Keys that this thread holds. */
size_t crypto_keys_boring_count(void);
