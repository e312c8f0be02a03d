/* SPDX-License-Identifier: Apache-2.0 */
/* guess.c - see guess.h. */
#include "sip/guess.h"
#include "core/hash.h"
#include "sip/registrar.h"

#define US_PER_S UINT64_C(1000000)
enum { ONE = 1000, WAYS = 4, ANY_ACCOUNT = UINT32_MAX, V6_HOST_BYTES = 8 };

size_t guess_bytes(const struct limits *l)
{
    return (size_t)l->sip_guesses * sizeof(struct guess) + 64;
}

void guess_init(struct turn *t, struct sip *s, struct arena *arena)
{
    s->guess_sets = s->settings.limits->sip_guesses / WAYS;
    s->guess_seed = rng_next(t->rng);
    if (s->guess_sets > 0) {
        s->guesses = ARENA_ARRAY(arena, struct guess, (size_t)s->guess_sets * WAYS);
    }
}

static uint32_t now_s(const struct turn *t)
{
    return (uint32_t)(t->now_us / US_PER_S);
}

/* What is left of `level` now, when one is forgotten every `each_s`. */
static uint32_t left_of(const struct turn *t, const struct guess_level *level, uint32_t each_s)
{
    uint64_t forgotten = (uint64_t)(now_s(t) - level->at_s) * ONE / each_s;
    return forgotten >= level->milli ? 0 : level->milli - (uint32_t)forgotten;
}

static void add(const struct turn *t, struct guess_level *level, uint32_t each_s, uint32_t most)
{
    uint32_t left = left_of(t, level, each_s);
    level->milli = left + ONE < most * ONE ? left + ONE : most * ONE;
    level->at_s = now_s(t);
}

/* Of an IPv6 address the /64 counts: who has one has all of it. */
static uint64_t key_of(const struct sip *s, const struct address *remote, uint32_t account)
{
    uint8_t bytes[sizeof(remote->ip) + 1 + sizeof(account)] = {0};
    memcpy(bytes, remote->ip, remote->family == 6 ? V6_HOST_BYTES : sizeof(remote->ip));
    bytes[sizeof(remote->ip)] = remote->family;
    memcpy(bytes + sizeof(remote->ip) + 1, &account, sizeof(account));
    return hash_64(slice_of(bytes, sizeof(bytes)), s->guess_seed) | 1;
}

static struct guess *set_of(const struct sip *s, uint64_t key)
{
    return &s->guesses[(key >> 8) % s->guess_sets * WAYS];
}

static struct guess_level *find(const struct sip *s, uint64_t key)
{
    struct guess *set = set_of(s, key);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            return &set[i].level;
        }
    }
    return NULL;
}

static struct guess_level *obtain(const struct turn *t, const struct sip *s, uint64_t key)
{
    struct guess_level *there = find(s, key);
    struct guess *set = set_of(s, key), *least = set;
    if (there != NULL) {
        return there;
    }
    for (size_t i = 1; i < WAYS; i++) {
        if (left_of(t, &set[i].level, GUESS_PAIR_S) < left_of(t, &least->level, GUESS_PAIR_S)) {
            least = &set[i];
        }
    }
    *least = (struct guess){.key = key, .level = {.at_s = now_s(t)}};
    return &least->level;
}

/* Has the account a contact on the very flow that the request came by? */
static bool is_known_flow(const struct turn *t, const struct sip *s, const struct flow_ref *from,
                          uint32_t account)
{
    handle at = 0;
    const struct registrar_binding *b = NULL;
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        bool is_same = b->flow.kind == from->kind && b->flow.flow == from->flow &&
                       address_is_equal(&b->flow.remote, &from->remote);
        if (is_same && (from->kind == SIP_UDP || b->flow.shard == from->shard)) {
            return true;
        }
    }
    return false;
}

static bool is_below(const struct turn *t, const struct guess_level *level, uint32_t each_s,
                     uint32_t most)
{
    return level == NULL || left_of(t, level, each_s) + ONE <= most * ONE;
}

/* What an account has had to stand; of one that is not there, kept among the others.  NULL: nothing
 * is known. */
static struct guess_level *account_level(const struct turn *t, const struct sip *s,
                                         uint32_t account, bool is_wanted)
{
    static const struct address nowhere;
    if (account < GUESS_DECOY) {
        return &s->accounts[account].guesses;
    }
    uint64_t key = key_of(s, &nowhere, account);
    return is_wanted ? obtain(t, s, key) : find(s, key);
}

bool guess_is_allowed(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account)
{
    if (s->guess_sets == 0) {
        return true;
    }
    const struct address *remote = &rx->from.remote;
    bool is_guessed =
        !is_below(t, account_level(t, s, account, false), GUESS_ACCOUNT_S, GUESS_ACCOUNT);
    if ((is_below(t, find(s, key_of(s, remote, account)), GUESS_PAIR_S,
                  is_guessed ? 1 : GUESS_PAIR) &&
         is_below(t, find(s, key_of(s, remote, ANY_ACCOUNT)), GUESS_SOURCE_S, GUESS_SOURCE)) ||
        (account < GUESS_DECOY && is_known_flow(t, s, &rx->from, account))) {
        return true;
    }
    metric_add(t->metrics, METRIC_sip_guesses_refused, 1);
    return false;
}

void guess_note(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account)
{
    if (s->guess_sets == 0) {
        return;
    }
    const struct address *remote = &rx->from.remote;
    add(t, obtain(t, s, key_of(s, remote, account)), GUESS_PAIR_S, GUESS_PAIR);
    add(t, obtain(t, s, key_of(s, remote, ANY_ACCOUNT)), GUESS_SOURCE_S, GUESS_SOURCE);
    add(t, account_level(t, s, account, true), GUESS_ACCOUNT_S, 2 * GUESS_ACCOUNT);
    metric_add(t->metrics, METRIC_sip_guesses, 1);
}
