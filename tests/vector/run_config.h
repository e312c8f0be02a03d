/* SPDX-License-Identifier: Apache-2.0 */
/* run_config.h - configuration documents: what they say, which are refused, whose signatures hold
 * (RFC 6940 11.1).
 *
 * Of the advisory ones we take two:
 *   config.bad.cert-not-der    the RFC's own example has such a root-cert; it vouches for nobody
 *   config.bad.unknown-plugin  it can be read, but not joined (overlay_doc_join_check)
 * and refuse config.bad.ttl-101, whose TTL does not fit its 8 bits. */
#pragma once
#include "tests/vector/run_base.h"

bool run_config_knows(const char *type);
/* One of the three below, by what stands in the vector. */
bool run_config(const json_t *vector, char *why, size_t cap);
/* What the document says, defaults filled in, is `expect`, neither more nor less; and the schema
 * alone says what `relaxng` or `schema` says. */
bool run_config_good(const json_t *vector, char *why, size_t cap);
/* Refused, and the schema alone says what `relaxng` says. */
bool run_config_bad(const json_t *vector, char *why, size_t cap);
/* The signature holds or not, as stated, over the stated bytes; alt_signature_block_b64 holds over
 * those bytes and the SignerIdentity, and is refused. */
bool run_config_signature(const json_t *vector, char *why, size_t cap);
