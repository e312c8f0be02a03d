/* SPDX-License-Identifier: Apache-2.0 */
/* location.h - where a callee can be reached, and who may speak for a caller: Fetches of Kind 0x1.
 *
 * Location: all values at the AOR; a route gives the Node-ID at its end, an AOR is looked up in
 * turn (RFC 7904 4.2), each once; for a kept message only where the callee is herself.  A route
 * whose contact_prefs cannot be what the request requires is left out (sip/prefs).  Nothing there:
 * Kind 0x10 at the same place tells 480 (known) from 404. Right to speak: design.md section 6; see
 * location_may_speak.
 *
 * Owner:  struct sip.
 * Limits: sip_lookups; LOCATION_AORS AORs and LOCATION_TARGETS Node-IDs for one callee.
 *         Found callees are remembered for LOCATION_CACHE_MS, found rights for LOCATION_RIGHT_S;
 *         what was not found, never. */
#pragma once
#include "sip/grade.h"

enum {
    LOCATION_AORS = 8,
    LOCATION_TARGETS = 32,
    LOCATION_CACHE_MS = 2000,
    LOCATION_FRESH_MS = 1000, /* no need to ask again so soon because a peer has no room */
    LOCATION_CACHED = 512,
    LOCATION_CACHED_NODES = 4,
    LOCATION_RIGHT_S = 60,
    LOCATION_RIGHTS = 1024
};

/* Why a peer is refused (403), in a Warning: the caller's node knows by it that its record is not
 * where it should be, see proxy_settle. */
#define LOCATION_UNPROVED "This peer may not speak for the From of the request"

enum location_purpose { LOCATION_CALLEE, LOCATION_CALLER };

struct location_target {
    struct node_id node;
    uint8_t aor;   /* whose record it was: index into aors */
    uint8_t steps; /* of sip/grade, as q_milli is */
    uint16_t q_milli;
    bool is_mailbox; /* nobody is there but who keeps messages (sip/offline) */
};

struct location {
    handle owner; /* proxy */
    uint8_t purpose;
    bool is_cached;   /* found in the cache */
    bool is_fresh;    /* and no older than LOCATION_FRESH_MS */
    bool is_filtered; /* a target was left out: not for the cache */
    bool is_known;    /* asking Kind 0x10 */
    bool is_done;
    uint16_t status; /* done: 0 found, else what to answer */
    const char *why;
    uint8_t aor_count, aor_at;
    uint8_t target_count;
    struct node_id speaker; /* CALLER */
    uint8_t aor_len[LOCATION_AORS];
    char aors[LOCATION_AORS][SIP_ACCOUNT_USER_CAP];
    struct location_target targets[LOCATION_TARGETS];
};
STATIC_CHECK(sizeof(struct location) <= LIMITS_COST_sip_lookups);

struct location_cached {
    uint8_t key[16];
    uint64_t until_us;
    uint8_t count;
    struct node_id nodes[LOCATION_CACHED_NODES];
    struct grade grades[LOCATION_CACHED_NODES];
};

struct speak_cached {
    uint8_t key[16];
    uint64_t until_us;
};

/* Begins to look for `aor`, or asks whether `speaker` (not NULL) may speak for it.  The result is
 * done at once (is_done), or location_on_fetched says when.  NULL: no room.  The caller releases.
 */
struct location *location_start(struct turn *t, struct sip *s, struct slice aor,
                                const struct node_id *speaker, bool use_cache, handle owner);
/* From OVERLAY_FETCHED: the look-up when it is done, else NULL. */
struct location *location_on_fetched(struct turn *t, struct sip *s,
                                     const struct overlay_event *event);
void location_release(struct sip *s, struct location *l);
/* The Node-ID at the end of a route (RFC 7904 5.1). */
bool location_last_node(const struct sip *s, struct slice list, struct node_id *node);
/* The AOR of this overlay that a record forwards to: with or without a scheme. */
enum err location_forward_aor(const struct sip *s, struct slice text, char out[SIP_STATE_AOR_CAP],
                              size_t *len) MUST_USE;
static inline struct slice location_aor(const struct location *l, unsigned index)
{
    return slice_of(l->aors[index], l->aor_len[index]);
}
