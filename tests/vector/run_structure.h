/* SPDX-License-Identifier: Apache-2.0 */
/* run_structure.h - structures and messages of the wire: "fields" to "hex" and back, and what must
 * be rejected (RFC 6940 6.3 to 6.6, 7, 9, 10; RFC 7904 3). */
#pragma once
#include "tests/vector/run_base.h"

/* With "fields": decodes to them and encodes to the bytes, a message also to its "body" and
 * "signature_input".  Without: the bytes must be rejected. */
bool run_structure(const json_t *vector, char *why, size_t cap);
/* Are `bytes` refused where the vector's own are taken?  They are read from a heap block of just
 * their size. */
bool run_structure_refuses(const json_t *vector, struct slice bytes);
bool run_structure_knows(const char *type);
