/* SPDX-License-Identifier: Apache-2.0 */
/* access.h - may this signer write there?  The four policies of RFC 6940 7.3 (AC-1..AC-7).
 *
 * Asked for the signer of each value, and for the signer of an original StoreReq.
 * Owner: pure functions. */
#pragma once
#include "core/turn.h"
#include "dht/overlay.h"

struct access_signer {
    struct slice user;    /* rfc822Name of its certificate, as it stands */
    struct slice node_id; /* raw bytes of the Node-ID that its SignerIdentity designates */
};

/* The Resource-ID of a Resource Name: SHA-1, first 128 bits (10.2). */
void access_hash(struct turn *t, struct slice name, uint8_t out[OVERLAY_RESOURCE_BYTES]);

/* ERR_FORBIDDEN unless `signer` may write `key` (dictionaries; else empty) at `resource`. */
enum err access_check(struct turn *t, const struct overlay_kind *kind, struct slice resource,
                      const struct access_signer *signer, struct slice key) MUST_USE;
