/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.h - why a request is refused, noted while it is read and said at the end.
 *
 * For REGISTER, SUBSCRIBE and PUBLISH, whose answers say more than a status: Min-Expires with 423
 * (RFC 3261 21.4.17), Accept with 415 (21.4.13), Allow-Events with 489 (RFC 6665 8.3.2). */
#pragma once
#include "sip/sip_state.h"

struct refusal {
    unsigned status; /* 0: not refused */
    const char *why; /* for people, in a Warning */
};

/* What the answers name. */
struct refusal_facts {
    struct slice types;  /* 415 */
    struct slice events; /* 489 */
};

/* Returns false: for `return refusal_set(...)` where something is not sound. */
bool refusal_set(struct refusal *r, unsigned status, const char *why);
/* The lifetime that Expires asks for, between the registrar's least and most, or 0; without it the
 * default.  False: refused with 423, `too_short` says why. */
bool refusal_read_expires(const struct sip *s, const struct sip_rx *rx, const char *too_short,
                          uint32_t *expires_s, struct refusal *r);
void refusal_send(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                  const struct refusal *r, const struct refusal_facts *facts);
