/* SPDX-License-Identifier: Apache-2.0 */
/* run_fragment.h - the golden vectors of type Fragments: what dht/frag makes of a sequence of
 * fragments (RFC 6940 6.7).  Without a test framework. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Feeds `fragments` in order, as from one neighbor: `expect` complete wants exactly `message`,
 * incomplete wants nothing.  False, and a line in `why`, when something else came out. */
bool run_fragment(const json_t *vector, char *why, size_t cap);
