/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/roam.h"
#include "sim/draw.h"

enum {
    SECOND_US = 1000000,
    STEP_US = 250000,
    BOOTSTRAP = 4, /* these stand in the overlay document: they stay where they are */
    TRIES = 64
};

void roam_world(const struct scenario *s, struct world_settings *out)
{
    uint64_t behind = s->nodes * s->nat_percent / 100;
    behind = min_u64(behind - behind % s->shards, s->nodes);
    out->places = (struct places_settings){
        .nat = behind > 0 ? (enum places_nat)s->nat_kind : PLACES_OPEN,
        .first = behind > 0 ? (uint32_t)(s->nodes - behind) : UINT32_MAX,
        .mapping_us = s->nat_mapping_s * SECOND_US,
    };
}

void roam_init(struct run *r, uint64_t seed)
{
    rng_init(&r->roam_rng, seed ^ 0x70a3);
    r->move_next_us = UINT64_MAX;
}

static bool is_ready(struct run *r, uint32_t i)
{
    return world_is_alive(r->world, i) && overlay_is_ready(node_overlay(world_node(r->world, i)));
}

static uint32_t joined_behind(struct run *r, uint32_t *behind)
{
    uint32_t joined = 0;
    *behind = 0;
    for (uint32_t i = 0; i < r->s->nodes; i++) {
        if (places_is_behind(world_places(r->world), i)) {
            ++*behind;
            joined += is_ready(r, i) ? 1 : 0;
        }
    }
    return joined;
}

void roam_settle(struct run *r)
{
    struct scenario_roam *out = &r->out->roam;
    if (world_settings_of(r->world)->places.nat == PLACES_OPEN) {
        return;
    }
    uint64_t until = world_now_us(r->world) + r->s->settle_s * SECOND_US;
    out->behind_joined = joined_behind(r, &out->behind);
    while (out->behind_joined < out->behind && world_now_us(r->world) < until) {
        world_run_until(r->world, world_now_us(r->world) + STEP_US);
        out->behind_joined = joined_behind(r, &out->behind);
    }
    for (uint32_t i = 0; i < r->s->nodes; i++) {
        bool is_behind = places_is_behind(world_places(r->world), i);
        if (is_behind && world_is_alive(r->world, i) && !is_ready(r, i)) {
            world_kill(r->world, i);
        }
    }
}

/* A process that may move and is there; UINT32_MAX: none was found. */
static uint32_t draw_process(struct run *r)
{
    const struct world_settings *s = world_settings_of(r->world);
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        uint32_t i = (uint32_t)rng_below(&r->roam_rng, s->nodes);
        uint32_t first = i - i % s->shards;
        bool is_there = true;
        for (uint32_t k = first; k < first + s->shards; k++) {
            is_there = is_there && world_is_alive(r->world, k) && !world_is_leaving(r->world, k);
        }
        if (is_there && first >= BOOTSTRAP) {
            return first;
        }
    }
    return UINT32_MAX;
}

static void move(struct run *r, uint32_t first, churn_watch *watch)
{
    uint32_t shards = world_settings_of(r->world)->shards;
    r->out->roam.moves++;
    if (r->s->move_restart == 0) {
        world_move(r->world, first);
        return;
    }
    watch(r, r->world, first, shards, false);
    world_move(r->world, first);
    world_kill(r->world, first);
    for (uint32_t k = first; k < first + shards; k++) {
        world_start(r->world, k);
    }
}

void roam_step(struct run *r, churn_watch *watch)
{
    uint64_t mean_us = r->s->move_interval_s * SECOND_US;
    uint64_t now = world_now_us(r->world);
    if (mean_us == 0) {
        return;
    }
    if (r->move_next_us == UINT64_MAX) {
        r->move_next_us = now + draw_us(&r->roam_rng, DRAW_EXPONENTIAL, mean_us);
    }
    while (r->move_next_us <= now) {
        uint32_t first = draw_process(r);
        if (first != UINT32_MAX) {
            move(r, first, watch);
        }
        r->move_next_us += draw_us(&r->roam_rng, DRAW_EXPONENTIAL, mean_us);
    }
}

void roam_count(struct run *r)
{
    const struct places *p = world_places(r->world);
    r->out->roam.streams_refused = p->streams_refused;
    r->out->roam.datagrams_refused = p->datagrams_refused;
}
