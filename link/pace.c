/* SPDX-License-Identifier: Apache-2.0 */
/* pace.c - see pace.h. */
#include "link/pace.h"
#include "core/hash.h"

enum { MILLI = 1000, V6_HOST_BYTES = 8 };

void pace_init(struct pace *p, uint32_t per_s, uint32_t per_host_s, uint64_t secret)
{
    *p = (struct pace){.per_s = per_s, .per_host_s = per_host_s, .secret = secret};
    bucket_init(&p->all, (uint32_t)min_u64((uint64_t)per_s * MILLI, UINT32_MAX), per_s, 0);
}

/* Of an IPv6 address the /64 counts: who has one has all of it. */
static struct pace_host *host_of(struct pace *p, const struct address *remote)
{
    size_t len = remote->family == 6 ? V6_HOST_BYTES : sizeof(remote->ip);
    return &p->hosts[hash_64(slice_of(remote->ip, len), p->secret) % PACE_HOSTS];
}

static bool host_has_room(const struct turn *t, const struct pace *p, struct pace_host *h)
{
    uint32_t now_ms = (uint32_t)(t->now_us / MILLI);
    uint64_t forgotten = (uint64_t)(now_ms - h->at_ms) * p->per_host_s;
    h->level_milli -= (uint32_t)min_u64(forgotten, h->level_milli);
    h->at_ms = now_ms;
    uint64_t burst = (uint64_t)p->per_host_s * PACE_HOST_BURST_S * MILLI;
    return h->level_milli + (uint64_t)MILLI <= burst;
}

bool pace_take(struct turn *t, struct pace *p, const struct address *remote)
{
    struct pace_host *h = host_of(p, remote);
    if (p->per_host_s != 0 && !host_has_room(t, p, h)) {
        metric_add(t->metrics, METRIC_handshakes_paced_host, 1);
        return false;
    }
    if (p->per_s != 0 && !bucket_take(&p->all, 1, t->now_us)) {
        metric_add(t->metrics, METRIC_handshakes_paced, 1);
        return false;
    }
    h->level_milli += p->per_host_s != 0 ? MILLI : 0;
    return true;
}
