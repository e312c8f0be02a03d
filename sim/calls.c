/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/calls.h"

enum {
    SECOND_US = 1000000,
    STEP_US = 100000,
    OPEN = 32,                   /* phones that are asked at a time */
    DRAIN_US = 300 * SECOND_US,  /* no call lasts longer: sim/phones' patience */
    PER_HOME_US = 40 * SECOND_US /* a REGISTER that nobody answers, and the next one */
};

void calls_world(const struct scenario *s, struct world_settings *out)
{
    out->phones =
        (struct world_phone_settings){.count = (uint32_t)s->phones,
                                      .homes = (uint32_t)s->phone_homes,
                                      .nodes = (uint32_t)(s->nodes / s->shards * s->shards),
                                      .delay_us = s->phone_delay_ms * 1000,
                                      .loss_ppm = (uint32_t)s->phone_loss_ppm};
}

void calls_init(struct run *r, struct arena *arena)
{
    const struct scenario *s = r->s;
    struct phones_settings settings = {
        .count = (uint32_t)s->phones,
        .homes = (uint32_t)min_u64(s->phone_homes, s->nodes / s->shards),
        .expires_s = (uint32_t)s->phone_expires_s,
        .register_us = s->phone_register_s * SECOND_US,
        .call_every_us = s->call_every_s * SECOND_US,
        .talk_us = s->call_talk_s * SECOND_US,
        .ring_us = s->call_ring_ms * 1000,
    };
    r->phones = ARENA_ARRAY(arena, struct phones, 1);
    phones_init(r->phones, arena, &settings, r->world);
}

/* Not more than these can be reachable: one of their processes lives. */
static uint32_t at_home(const struct run *r)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < r->phones->s.count; k++) {
        bool has_one = false;
        for (uint32_t i = 0; i < r->phones->s.homes; i++) {
            has_one = has_one || world_is_alive(r->world, world_phones_home(r->world, k, i));
        }
        count += has_one ? 1 : 0;
    }
    return count;
}

/* A phone notices that its node is gone when it is to register again. */
static void wait_for_all(struct run *r)
{
    uint64_t until = world_now_us(r->world) + r->s->phone_register_s * SECOND_US +
                     r->s->phone_expires_s * SECOND_US + r->phones->s.homes * (uint64_t)PER_HOME_US;
    while (phones_reachable(r->phones) < at_home(r) && world_now_us(r->world) < until) {
        world_run_until(r->world, world_now_us(r->world) + STEP_US);
    }
}

void calls_begin(struct run *r)
{
    if (r->s->phones == 0) {
        return;
    }
    phones_begin(r->phones);
    wait_for_all(r);
    scenario_impl_holds(r, SCENARIO_reachable, phones_reachable(r->phones) == r->s->phones);
    phones_set_calling(r->phones, true);
    world_run_until(r->world, world_now_us(r->world) + r->s->calls_s * SECOND_US);
}

static void drain(struct run *r)
{
    uint64_t until = world_now_us(r->world) + DRAIN_US;
    while (!phones_drain(r->phones) && world_now_us(r->world) < until) {
        world_run_until(r->world, world_now_us(r->world) + STEP_US);
    }
}

/* Each is asked once, some at a time; who is busy waits for his turn. */
static void ask_all(struct run *r)
{
    struct phones_counts *c = &r->phones->counts;
    uint64_t until = world_now_us(r->world) + DRAIN_US;
    uint32_t next = 0;
    while (next < r->s->phones && world_now_us(r->world) < until) {
        uint32_t begun = c->asked;
        for (uint32_t tries = 0; tries < OPEN && next < r->s->phones; tries++) {
            next += phones_ask(r->phones, next) || !phones_is_reachable(r->phones, next) ? 1 : 0;
        }
        world_run_until(r->world, world_now_us(r->world) + STEP_US);
        until += c->asked > begun ? STEP_US : 0;
    }
    drain(r);
}

void calls_judge(struct run *r)
{
    if (r->s->phones == 0) {
        return;
    }
    struct phones_counts *c = &r->phones->counts;
    drain(r);
    wait_for_all(r);
    uint32_t home = at_home(r);
    uint32_t reachable = phones_reachable(r->phones);
    c->unregistered = home > reachable ? home - reachable : 0;
    if (r->s->phones > 1) {
        ask_all(r);
    }
    scenario_impl_holds(r, SCENARIO_reachable, c->unregistered == 0 && c->asked == c->asked_ok);
}

void calls_end(struct run *r)
{
    if (r->s->phones == 0) {
        return;
    }
    phones_end(r->phones);
    r->out->phones = r->phones->counts;
    scenario_impl_holds(r, SCENARIO_answered_once,
                        r->out->phones.twice == 0 && r->out->phones.open == 0);
}
