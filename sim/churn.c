/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/churn.h"

size_t churn_bytes(uint32_t processes)
{
    return processes * (sizeof(uint64_t) + sizeof(bool)) + 128;
}

void churn_init(struct churn *c, struct arena *arena, const struct churn_settings *s,
                uint32_t processes, uint64_t seed)
{
    *c = (struct churn){.s = *s,
                        .ends_us = ARENA_ARRAY(arena, uint64_t, processes),
                        .is_leaving = ARENA_ARRAY(arena, bool, processes),
                        .processes = processes};
    rng_init(&c->rng, seed ^ 0xc4e7);
}

/* A process is alive while any of its peers is. */
static uint32_t alive_in(const struct world *w, uint32_t process)
{
    uint32_t shards = world_settings_of(w)->shards;
    uint32_t alive = 0;
    for (uint32_t i = process * shards; i < (process + 1) * shards; i++) {
        alive += world_is_alive(w, i) ? 1 : 0;
    }
    return alive;
}

static uint64_t end_of_life(struct churn *c, const struct world *w)
{
    if (c->s.lifetime_us == 0) {
        return UINT64_MAX;
    }
    return world_now_us(w) + draw_us(&c->rng, c->s.shape, c->s.lifetime_us);
}

void churn_begin(struct churn *c, struct world *w)
{
    c->begun_us = world_now_us(w);
    c->seen_lives = 0;
    for (uint32_t p = 0; p < c->processes; p++) {
        c->ends_us[p] = alive_in(w, p) > 0 ? end_of_life(c, w) : world_now_us(w);
        c->is_leaving[p] = false;
    }
}

static void stop_all(struct world *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (world_is_alive(w, i)) {
            world_stop(w, i);
        }
    }
}

static uint32_t first_alive(const struct world *w, uint32_t first)
{
    while (!world_is_alive(w, first)) {
        first++;
    }
    return first;
}

static void end(struct churn *c, struct world *w, uint32_t process, churn_watch *watch,
                void *context)
{
    uint32_t count = world_settings_of(w)->shards;
    uint32_t first = process * count;
    bool is_graceful = rng_below(&c->rng, 100) < c->s.graceful_percent;
    bool is_silent = rng_below(&c->rng, 100) < c->s.silent_percent;
    watch(context, w, first, count, is_graceful);
    if (is_graceful) {
        c->counts.left++;
        c->is_leaving[process] = true;
        stop_all(w, first, count);
        return;
    }
    c->ends_us[process] = world_now_us(w);
    if (is_silent) {
        c->counts.vanished++;
        world_vanish(w, first_alive(w, first));
    } else {
        c->counts.killed++;
        world_kill(w, first_alive(w, first));
    }
}

static void start(struct churn *c, struct world *w, uint32_t process)
{
    uint32_t shards = world_settings_of(w)->shards;
    for (uint32_t i = process * shards; i < (process + 1) * shards; i++) {
        if (!world_is_alive(w, i)) {
            world_start(w, i);
        }
    }
    c->ends_us[process] = end_of_life(c, w);
    c->is_leaving[process] = false;
    c->counts.started++;
}

/* Who has been dead longest; c->processes when nobody is dead. */
static uint32_t longest_dead(const struct churn *c, const struct world *w)
{
    uint32_t found = c->processes;
    for (uint32_t p = 0; p < c->processes; p++) {
        bool is_older = found == c->processes || c->ends_us[p] < c->ends_us[found];
        found = is_older && alive_in(w, p) == 0 ? p : found;
    }
    return found;
}

/* How many are to be alive: from noon on fewer and fewer until midnight, then more again. */
static uint32_t wanted(const struct churn *c, const struct world *w)
{
    if (c->s.day_us == 0) {
        return c->s.population;
    }
    uint64_t hour_us = (world_now_us(w) - c->begun_us) % c->s.day_us;
    uint64_t since_noon_us = min_u64(hour_us, c->s.day_us - hour_us);
    uint64_t gone = (uint64_t)c->s.population * min_u64(c->s.night_percent, 100) * since_noon_us /
                    (100 * (c->s.day_us / 2 + 1));
    return c->s.population - (uint32_t)gone;
}

void churn_step(struct churn *c, struct world *w, churn_watch *watch, void *context)
{
    uint32_t alive = 0;
    bool has_clock = c->s.lifetime_us > 0 || c->s.day_us > 0;
    if (!has_clock && c->seen_lives == world_lives(w) + 1) {
        return; /* whoever had to come for somebody has come */
    }
    c->seen_lives = world_lives(w) + 1;
    for (uint32_t p = 0; p < c->processes; p++) {
        uint32_t now_alive = alive_in(w, p);
        if (now_alive > 0 && !c->is_leaving[p] && c->ends_us[p] <= world_now_us(w)) {
            end(c, w, p, watch, context);
            now_alive = alive_in(w, p);
        }
        if (now_alive == 0 && c->is_leaving[p]) {
            c->is_leaving[p] = false;
            c->ends_us[p] = world_now_us(w);
        }
        alive += now_alive > 0 ? 1 : 0;
    }
    for (uint32_t most = wanted(c, w); alive < most; alive++) {
        uint32_t p = longest_dead(c, w);
        if (p == c->processes) {
            return;
        }
        start(c, w, p);
    }
}
