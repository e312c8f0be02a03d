/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - overlay operations for people, through a running node: what resolve, fetch, store,
 * stat, find, route, ping and `ctl lookup` have in common.  Each prints its result and returns the
 * exit status. */
#pragma once
#include "core/base.h"
#include <jansson.h>
#include <stdint.h>

/* One word, -s, --json, and --kind where it makes sense. */
struct lookup_help {
    const char *usage, *about, *example, *words;
    bool has_kind;
};
struct lookup_asked {
    const char *socket; /* the one to use */
    const char *word;
    uint32_t kind;
    bool is_json;
};
/* False: the command ends with *status. */
bool lookup_parse(const struct lookup_help *h, int argc, char **argv, struct lookup_asked *out,
                  int *status) MUST_USE;
/* Says what is wrong; false. */
bool lookup_kind(uint64_t kind) MUST_USE;

/* The way to a user, as a caller would see it: routes, or 404, 480, 504. */
int lookup_resolve(const char *socket, const char *aor, bool is_json);
int lookup_fetch(const char *socket, const char *name, uint32_t kind, bool is_json);
/* The values' metadata: time, length, hash (RFC 6940 7.4.3). */
int lookup_stat(const char *socket, const char *name, uint32_t kind, bool is_json);
/* The first Resource-ID at or behind that of the name which has something of the Kind, at the peer
 * that is responsible for the name (7.4.4). */
int lookup_find(const char *socket, const char *name, uint32_t kind, bool is_json);
/* Each peer on the way to a name or a Node-ID is asked whom it would send to (6.4.2.4). */
int lookup_route(const char *socket, const char *target, bool is_json);
/* `what` is the request, given to json_decref; signed by the node itself. */
int lookup_store(const char *socket, const char *name, json_t *what, bool is_json);
/* `target`: a Node-ID of 32 hex digits, or a Resource Name. */
int lookup_ping(const char *socket, const char *target, bool is_json);
