/* SPDX-License-Identifier: Apache-2.0 */
/* binding.h - what a contact says of itself, and where that is kept.
 *
 * Most say little: a URI, +sip.instance, reg-id.  That stands in the contact.  Features (RFC 3840)
 * or a Path (RFC 3327) may take three times as much: then all of it stands in a block of its own,
 * so that a hundred thousand plain phones do not pay for what a few need.
 *
 * Owner:  struct sip; a block belongs to its contact.
 * Limits: sip_bindings_long.  There is no eviction: a contact goes when it expires, and of one
 *         account there are at most sip_bindings_per_account. */
#pragma once
#include "sip/registrar.h"

struct binding_long {
    char text[REGISTRAR_FAR_BYTES];
};
STATIC_CHECK(sizeof(struct binding_long) <= LIMITS_COST_sip_bindings_long);

/* The URI and parameters of `address`, the Path of `rx`.  False (counted): no room, and nothing has
 * changed. */
bool binding_write(struct turn *t, struct sip *s, struct registrar_binding *b,
                   const struct sip_hdr_address *address, const struct sip_rx *rx);
/* Before it is released. */
void binding_clear(struct sip *s, struct registrar_binding *b);
