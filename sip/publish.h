/* SPDX-License-Identifier: Apache-2.0 */
/* publish.h - what phones publish of themselves: PUBLISH, event "presence" (RFC 3903, 3856).
 *
 * Only the account itself publishes for its AOR, at the node where it is registered.  A publication
 * is a document (RFC 3863, well-formed: codec/pidf) under an entity tag that changes with each
 * PUBLISH; it ends with its Expires.  How the documents become one: sip/presence.
 *
 * Owner:  struct sip; accounts whose home shard this is.
 * Limits: sip_publications, of one account sip_publications_per_account: beyond, 503 and 403;
 *         PUBLISH_BODY_CAP bytes each (413). */
#pragma once
#include "sip/reply.h"

enum { PUBLISH_BODY_CAP = 2048, PUBLISH_ETAG_BYTES = 8 };

struct publication {
    struct wheel_timer timer;
    handle next;
    uint64_t expires_us;
    uint32_t account;
    uint16_t len;
    char etag[2 * PUBLISH_ETAG_BYTES + 1];
    uint8_t body[PUBLISH_BODY_CAP];
};
STATIC_CHECK(sizeof(struct publication) <= LIMITS_COST_sip_publications);

void publish_init(struct sip *s, struct arena *arena);
size_t publish_bytes(const struct limits *l);
/* PUBLISH of `account`, which has authenticated itself, for its own AOR. */
void publish_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                        uint32_t account);
void publish_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
/* Walks an account's publications, the newest first: *at = 0 to start; NULL at the end. */
const struct publication *publish_next(const struct sip *s, uint32_t account, handle *at);
