/* SPDX-License-Identifier: Apache-2.0 */
/* run_digest.h - MetaData whose hash_value must be that of a DataValue, its 4 length bytes included
 * (RFC 6940 7.4.3.2). */
#pragma once
#include "tests/vector/run_base.h"

bool run_digest(const json_t *vector, char *why, size_t cap);
