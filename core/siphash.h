/* SPDX-License-Identifier: Apache-2.0 */
/* siphash.h - SipHash-2-4 with 128 bits of result (Aumasson and Bernstein, 2012): a keyed hash for
 * short texts, one pass.  For crypto->siphash; everybody else asks there. */
#pragma once
#include "core/slice.h"

enum { SIPHASH_BYTES = 16 }; /* of key and of result */

void siphash_128(const uint8_t key[SIPHASH_BYTES], struct slice bytes, uint8_t out[SIPHASH_BYTES]);
