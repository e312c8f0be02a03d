/* SPDX-License-Identifier: Apache-2.0 */
/* run_vector.h - any vector of tests/vectors/README.md: finds its runner by what stands in it, not
 * by the file it comes from. */
#pragma once
#include "tests/vector/run_base.h"

bool run_vector(const json_t *vector, char *why, size_t cap);
