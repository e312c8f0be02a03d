/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - one operation as a RELOAD client: a TLS link to a peer, a signed request, its answer
 * (RFC 6940 3.2.1).  The client joins nothing and keeps nothing.
 *
 * An answer counts when its signature is right, by a certificate of the overlay: the peer at the
 * other end has proved who it is, but need not be the one who answers. */
#pragma once
#include "core/err.h"
#include "core/slice.h"
#include <stdint.h>

struct client_who {
    const char *node;     /* HOST:PORT, the overlay address of any peer */
    const char *keystore; /* who signs */
    const char *document; /* the overlay document */
};
struct client_value {
    const char *name;
    uint32_t kind;
    uint32_t index;
    uint32_t lifetime_s;
    bool exists;
    struct slice bytes;
};

/* Stores a value.  ERR_CONFIG where what was given is wrong; `why` as usual. */
enum err client_store(const struct client_who *who, const struct client_value *value,
                      uint64_t *elapsed_us, char *why) MUST_USE;
