/* SPDX-License-Identifier: Apache-2.0 */
/* control_health.h - does the node go on, and is it of use?  What /livez, /readyz and `ctl health`
 * say.
 *
 * Live: each shard has had a turn not long ago; those that have nothing to do are mailed something.
 * Ready: all peers have joined, and, where somebody watches (metrics-listen), each has found its
 * own certificate in the overlay not long ago: a node whose links all look well but that nobody
 * answers is not ready.  A certificate stands in two places, by Node-ID and by user, and they are
 * asked in turn: what the owner of one of them answers, or does not, is not the word of the
 * overlay.
 *
 * Owner: the control thread.  Decisions only: times come in, what is to be mailed comes out. */
#pragma once
#include "core/base.h"
#include "dht/overlay.h"

enum {
    CONTROL_HEALTH_EVERY_US = 10 * 1000 * 1000, /* a self-check of each shard */
    CONTROL_HEALTH_STUCK_US = 30 * 1000 * 1000, /* without a turn */
    CONTROL_HEALTH_STALE_US = 60 * 1000 * 1000, /* without a self-check that went well */
};

struct control_health_shard {
    uint64_t turns, moved_us;
    uint64_t asked_us;
    uint32_t asked;   /* how often */
    uint64_t good_us; /* the last good self-check, or when the peer joined */
    uint64_t good_ms; /* wall clock; 0: none yet */
    bool has_joined;
};

struct control_health {
    uint32_t count;
    bool is_checked;
    struct control_health_shard shards[OVERLAY_SHARDS_CAP];
};

/* `is_checked`: self-checks are made. */
void control_health_init(struct control_health *h, uint32_t count, bool is_checked,
                         uint64_t now_us);
/* About once a second.  True: ask the shard to look up its own certificate now. */
bool control_health_tick(struct control_health *h, uint32_t shard, uint64_t turns, uint64_t now_us);
/* Which of the two then: that by Node-ID, else that by user. */
bool control_health_asks_by_node(const struct control_health *h, uint32_t shard);
void control_health_on_joined(struct control_health *h, uint32_t shard, bool has_joined,
                              uint64_t now_us);
void control_health_on_check(struct control_health *h, uint32_t shard, bool is_good,
                             uint64_t now_us, uint64_t wall_ms);
uint32_t control_health_joined(const struct control_health *h);
/* When the last of the peers had its last good self-check; 0: one has had none. */
uint64_t control_health_checked_ms(const struct control_health *h);
/* False: `shard` is the one that does not, for *for_us now. */
bool control_health_is_live(const struct control_health *h, uint64_t now_us, uint32_t *shard,
                            uint64_t *for_us);
/* The same of the self-checks; joined is another question. */
bool control_health_is_fresh(const struct control_health *h, uint64_t now_us, uint32_t *shard,
                             uint64_t *for_us);
