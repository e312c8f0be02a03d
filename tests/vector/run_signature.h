/* SPDX-License-Identifier: Apache-2.0 */
/* run_signature.h - "signature_valid" of messages and stored values, "valid" of certificates: what
 * cmd/verify, and so the daemon, says of them (RFC 6940 6.3.4, 7.1, 11.3, 11.3.1). */
#pragma once
#include "tests/vector/run_base.h"

bool run_signature(const json_t *vector, char *why, size_t cap);
