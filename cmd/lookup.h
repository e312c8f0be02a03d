/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - overlay operations for people, through a running node: what resolve, fetch, ping and
 * `ctl lookup` have in common.  Each prints its result and returns the exit status. */
#pragma once
#include "core/base.h"
#include <stdint.h>

/* The way to a user, as a caller would see it: routes, or 404, 480, 504. */
int lookup_resolve(const char *socket, const char *aor, bool is_json);
int lookup_fetch(const char *socket, const char *name, uint32_t kind, bool is_json);
/* `target`: a Node-ID of 32 hex digits, or a Resource Name. */
int lookup_ping(const char *socket, const char *target, bool is_json);
