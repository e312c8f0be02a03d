/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.c - see narrow.h. */
#include "sim/narrow.h"

enum { NS_PER_US = 1000, NS_PER_S = 1000000000, PPM = 1000000 };

void narrow_init(struct narrow *n, const struct narrow_settings *settings, uint64_t seed)
{
    *n = (struct narrow){.settings = *settings};
    rng_init(&n->rng, seed);
}

static bool happens(struct narrow *n, uint32_t ppm)
{
    return ppm > 0 && rng_below(&n->rng, PPM) < ppm;
}

/* When the datagram has left the queue and the line's sender; 0: there was no room for it. */
static uint64_t sent_ns(struct narrow *n, uint64_t now_us, uint32_t bytes)
{
    const struct narrow_settings *s = &n->settings;
    uint64_t now_ns = now_us * NS_PER_US;
    if (s->bytes_per_s == 0) {
        return now_ns;
    }
    uint64_t starts_ns = max_u64(now_ns, n->free_ns);
    uint64_t waiting_bytes = (starts_ns - now_ns) * s->bytes_per_s / NS_PER_S;
    if (waiting_bytes + bytes > s->queue_bytes) {
        return 0;
    }
    n->free_ns = starts_ns + (uint64_t)bytes * NS_PER_S / s->bytes_per_s;
    return n->free_ns;
}

struct narrow_fate narrow_enter(struct narrow *n, uint64_t now_us, uint32_t bytes)
{
    const struct narrow_settings *s = &n->settings;
    struct narrow_fate fate = {0};
    n->entered++;
    uint64_t left_ns = sent_ns(n, now_us, bytes);
    if (left_ns == 0 && s->bytes_per_s != 0) {
        n->overflowed++;
        return fate;
    }
    n->carried_bytes += bytes;
    if (happens(n, s->loss_ppm)) { /* it has used the line all the same */
        n->lost++;
        return fate;
    }
    uint64_t at_us = left_ns / NS_PER_US + s->delay_us + rng_below(&n->rng, s->jitter_us + 1);
    if (happens(n, s->reorder_ppm)) {
        n->held_back++;
        at_us += s->reorder_us;
    } else {
        at_us = max_u64(at_us, n->arrives_us);
        n->arrives_us = at_us;
    }
    fate.arrives_us[fate.copies++] = at_us;
    if (happens(n, s->duplicate_ppm)) {
        n->duplicated++;
        fate.arrives_us[fate.copies++] = at_us + s->reorder_us;
    }
    return fate;
}
