/* SPDX-License-Identifier: Apache-2.0 */
/* attach_policy.c - see attach_policy.h. */
#include "dht/attach_policy.h"

#include "codec/msgs.h"
#include "dht/budget.h"

enum { LOWEST_PORT = 1024, MINUTE_S = 60 };

size_t attach_policy_bytes(uint32_t requesters)
{
    return (size_t)requesters * sizeof(struct attach_policy_requester) + BUDGET_SLACK;
}

void attach_policy_init(struct attach_policy *ap, struct arena *arena, uint32_t requesters,
                        uint32_t dials_per_minute)
{
    CHECK(requesters > 0);
    *ap = (struct attach_policy){.cap = requesters, .dials_per_minute = dials_per_minute};
    ap->requesters = ARENA_ARRAY(arena, struct attach_policy_requester, requesters);
}

static struct attach_policy_requester *find(struct turn *t, struct attach_policy *ap,
                                            const struct node_id *id)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < ap->count; i++) {
        if (ids_node_is_equal(&ap->requesters[i].id, id)) {
            return &ap->requesters[i];
        }
        oldest = ap->requesters[i].used_us < ap->requesters[oldest].used_us ? i : oldest;
    }
    uint32_t index = ap->count < ap->cap ? ap->count++ : oldest;
    struct attach_policy_requester *r = &ap->requesters[index];
    r->id = *id;
    bucket_init(&r->bucket, ap->dials_per_minute * 1000 / MINUTE_S, ap->dials_per_minute,
                t->now_us);
    return r;
}

bool attach_policy_take(struct turn *t, struct attach_policy *ap, const struct node_id *requester)
{
    struct attach_policy_requester *r = find(t, ap, requester);
    r->used_us = t->now_us;
    return bucket_take(&r->bucket, 1, t->now_us);
}

bool attach_policy_allows(const struct attach_policy_ours *ours, const struct address *a)
{
    enum address_range range = address_range_of(a);
    if (a->port < LOWEST_PORT || range == ADDRESS_NEVER) {
        return false;
    }
    if (range == ADDRESS_GLOBAL) {
        return true;
    }
    for (size_t i = 0; i < ours->candidate_count; i++) {
        if (address_range_of(&ours->candidates[i]) == range) {
            return true;
        }
    }
    return false;
}

struct pick {
    struct attach_policy_dial dial;
    uint32_t priority;
};

/* How a candidate could be dialled; false: not by us. */
static bool is_usable(const struct msgs_ice_candidate *c, const struct attach_policy_ours *ours)
{
    return c->type == CANDIDATE_HOST && c->addr_port.address.family != 0 &&
           ((ours->trunks && c->overlay_link == CANDIDATE_TLS_TCP_FH_NO_ICE) ||
            (ours->datagrams && c->overlay_link == CANDIDATE_DTLS_UDP_SR_NO_ICE));
}

/* Inserts by priority, the last one falls off. */
static void insert(struct pick *picks, size_t *count, const struct msgs_ice_candidate *c)
{
    size_t at = *count;
    while (at > 0 && picks[at - 1].priority < c->priority) {
        at--;
    }
    if (at == ATTACH_POLICY_DIALS) {
        return;
    }
    size_t end = *count < ATTACH_POLICY_DIALS ? *count : ATTACH_POLICY_DIALS - 1;
    memmove(&picks[at + 1], &picks[at], (end - at) * sizeof(picks[0]));
    picks[at] =
        (struct pick){.dial = {.address = c->addr_port.address,
                               .is_datagram = c->overlay_link == CANDIDATE_DTLS_UDP_SR_NO_ICE},
                      .priority = c->priority};
    *count = end + 1;
}

enum err attach_policy_pick(struct slice candidates, const struct attach_policy_ours *ours,
                            struct attach_policy_dial out[ATTACH_POLICY_DIALS], size_t *count)
{
    struct pick picks[ATTACH_POLICY_DIALS + 1];
    struct rd r = rd_init(candidates);
    struct msgs_ice_candidate c;
    *count = 0;
    while (msgs_ice_candidate_next(&r, NULL, &c)) {
        if (c.overlay_link == CANDIDATE_DTLS_UDP_SR) {
            return ERR_MALFORMED;
        }
        if (is_usable(&c, ours)) {
            insert(picks, count, &c);
        }
    }
    if (!rd_ok(&r)) {
        return ERR_MALFORMED;
    }
    /* The four best are looked at, not the four best of those that we like: a list may not make us
     * search. */
    size_t kept = 0;
    for (int datagrams = 0; datagrams < 2; datagrams++) {
        for (size_t i = 0; i < *count; i++) {
            if (picks[i].dial.is_datagram == (datagrams == 1) &&
                attach_policy_allows(ours, &picks[i].dial.address)) {
                out[kept++] = picks[i].dial;
            }
        }
    }
    *count = kept;
    return ERR_OK;
}
