/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/control_health.h"

void control_health_init(struct control_health *h, uint32_t count, bool is_checked, uint64_t now_us)
{
    CHECK(count <= OVERLAY_SHARDS_CAP);
    *h = (struct control_health){.count = count, .is_checked = is_checked};
    for (uint32_t i = 0; i < count; i++) {
        h->shards[i].moved_us = h->shards[i].asked_us = now_us;
    }
}

bool control_health_tick(struct control_health *h, uint32_t shard, uint64_t turns, uint64_t now_us)
{
    struct control_health_shard *s = &h->shards[shard];
    CHECK(shard < h->count);
    if (turns != s->turns) {
        s->turns = turns;
        s->moved_us = now_us;
    }
    bool is_due = h->is_checked && now_us >= s->asked_us + CONTROL_HEALTH_EVERY_US;
    s->asked_us = is_due ? now_us : s->asked_us;
    s->asked += is_due ? 1 : 0;
    return is_due;
}

bool control_health_asks_by_node(const struct control_health *h, uint32_t shard)
{
    CHECK(shard < h->count);
    return h->shards[shard].asked % 2 == 1;
}

void control_health_on_joined(struct control_health *h, uint32_t shard, bool has_joined,
                              uint64_t now_us)
{
    CHECK(shard < h->count);
    h->shards[shard].has_joined = has_joined;
    h->shards[shard].good_us = now_us; /* from now on it has its time to prove it */
}

void control_health_on_check(struct control_health *h, uint32_t shard, bool is_good,
                             uint64_t now_us, uint64_t wall_ms)
{
    CHECK(shard < h->count);
    if (is_good) {
        h->shards[shard].good_us = now_us;
        h->shards[shard].good_ms = wall_ms;
    }
}

uint32_t control_health_joined(const struct control_health *h)
{
    uint32_t joined = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        joined += h->shards[i].has_joined ? 1 : 0;
    }
    return joined;
}

uint64_t control_health_checked_ms(const struct control_health *h)
{
    uint64_t oldest_ms = UINT64_MAX;
    for (uint32_t i = 0; i < h->count; i++) {
        oldest_ms = min_u64(oldest_ms, h->shards[i].good_ms);
    }
    return oldest_ms;
}

bool control_health_is_live(const struct control_health *h, uint64_t now_us, uint32_t *shard,
                            uint64_t *for_us)
{
    for (uint32_t i = 0; h->is_checked && i < h->count; i++) {
        *shard = i;
        *for_us = now_us - min_u64(h->shards[i].moved_us, now_us);
        if (*for_us >= CONTROL_HEALTH_STUCK_US) {
            return false;
        }
    }
    return true;
}

bool control_health_is_fresh(const struct control_health *h, uint64_t now_us, uint32_t *shard,
                             uint64_t *for_us)
{
    for (uint32_t i = 0; h->is_checked && i < h->count; i++) {
        *shard = i;
        *for_us = now_us - min_u64(h->shards[i].good_us, now_us);
        if (h->shards[i].has_joined && *for_us >= CONTROL_HEALTH_STALE_US) {
            return false;
        }
    }
    return true;
}
