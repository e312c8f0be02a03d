/* SPDX-License-Identifier: Apache-2.0 */
/* peer_share.c - see peer_share.h. */
#include "sip/peer_share.h"
#include "core/hash.h"
#include "sip/sip_state.h"

size_t peer_share_bytes(void)
{
    return PEER_SHARES * sizeof(uint16_t) + 64;
}

void peer_share_init(struct sip *s, struct arena *arena)
{
    s->peer_shares = ARENA_ARRAY(arena, uint16_t, PEER_SHARES);
}

/* All of a peer are in the lower half, those of one source in the upper. */
static uint16_t *counter(struct sip *s, const struct node_id *node, uint16_t source)
{
    uint8_t bytes[sizeof(node->bytes) + sizeof(source)];
    enum { HALF = PEER_SHARES / 2 };
    memcpy(bytes, node->bytes, sizeof(node->bytes));
    memcpy(bytes + sizeof(node->bytes), &source, sizeof(source));
    uint64_t hash = hash_64(slice_of(bytes, sizeof(bytes)), s->source_seed);
    return &s->peer_shares[hash % HALF + (source == 0 ? 0 : HALF)];
}

bool peer_share_take(struct turn *t, struct sip *s, const struct node_id *node, uint16_t source)
{
    const struct limits *l = s->settings.limits;
    uint16_t *all = counter(s, node, 0), *own = source == 0 ? NULL : counter(s, node, source);
    if (*all == UINT16_MAX || *all >= l->sip_asks_per_peer ||
        (own != NULL && *own >= l->sip_asks_per_source)) {
        metric_add(t->metrics, METRIC_sip_refused_asks, 1);
        return false;
    }
    *all += 1;
    if (own != NULL) {
        *own += 1;
    }
    return true;
}

void peer_share_give(struct sip *s, const struct node_id *node, uint16_t source)
{
    uint16_t *all = counter(s, node, 0);
    CHECK(*all > 0);
    *all -= 1;
    if (source != 0) {
        uint16_t *own = counter(s, node, source);
        CHECK(*own > 0);
        *own -= 1;
    }
}
