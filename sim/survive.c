/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic goes on, while faults come and go; then all is made whole, and after a while of quiet
 * everything must be as if nothing had happened. */
#include "sim/survive.h"
#include "sim/calls.h"
#include "sim/roam.h"

enum {
    STEP_US = 100000,
    SECOND_US = 1000000,
    READY_US = 120 * SECOND_US,
    SETTLE_US =
        100 * SECOND_US, /* copies that were held down come too, and what is unwanted goes */
    DRAIN_US = 300 * SECOND_US,
};

bool survive_is_asked(const struct scenario *s)
{
    return s->run_s > 0 || s->partition_s > 0 || s->hosts_crash > 0 || s->rolling != 0 ||
           s->blackout_s > 0 || s->trace != NULL;
}

bool survive_begins_with(const struct scenario *s, uint32_t i)
{
    uint32_t shards = (uint32_t)s->shards;
    return s->trace == NULL || trace_begins_with(s->trace, i / shards, shards);
}

void survive_init(struct run *r, struct arena *arena, uint64_t seed)
{
    const struct scenario *s = r->s;
    uint32_t processes = scenario_impl_nodes(s) / (uint32_t)s->shards;
    struct traffic_settings traffic = {
        .lookups_per_s = (uint32_t)s->load_lookups_per_s,
        .stores_per_s = (uint32_t)s->load_stores_per_s,
        .records = (uint32_t)s->records,
        .changing = (uint32_t)(s->records * s->load_changing_percent / 100),
        .window_us = s->window_s * SECOND_US,
    };
    struct churn_settings churn = {
        .shape = (enum draw_shape)(s->churn_shape % DRAW_SHAPES),
        .lifetime_us = s->churn_lifetime_s * SECOND_US,
        .graceful_percent = (uint32_t)s->churn_graceful_percent,
        .silent_percent = (uint32_t)s->churn_silent_percent,
        .population = (uint32_t)(s->nodes / s->shards),
        .day_us = s->churn_day_s * SECOND_US,
        .night_percent = (uint32_t)s->churn_night_percent,
    };
    struct fault_settings fault = {.list = s->faults,
                                   .interval_us = s->mix_interval_s * SECOND_US,
                                   .spared = (uint32_t)(s->nodes / s->shards / 2)};
    r->traffic = ARENA_ARRAY(arena, struct traffic, 1);
    traffic_init(r->traffic, arena, &traffic, seed);
    churn_init(&r->churn, arena, &churn, processes, seed);
    struct adversary_settings adversary = {.percent = (uint32_t)min_u64(s->hostile_percent, 90),
                                           .does = (uint32_t)s->hostile_does};
    r->adversary = ARENA_ARRAY(arena, struct adversary, 1);
    r->shortage = ARENA_ARRAY(arena, struct shortage, 1);
    shortage_init(r->shortage, arena, (uint32_t)s->records, s->window_s * SECOND_US);
    adversary_init(r->adversary, arena, &adversary, scenario_impl_nodes(s), seed);
    fault_init(&r->fault, &fault, seed);
    r->was_alive = ARENA_ARRAY(arena, uint8_t, scenario_impl_nodes(s));
}

/* Some peers of one process are about to be gone: books are kept on the copies. */
static void watch(void *context, struct world *w, uint32_t first, uint32_t count, bool is_graceful)
{
    struct run *r = context;
    shortage_wake(r->shortage, w);
    for (uint32_t i = first; i < first + count && !is_graceful; i++) {
        if (world_is_alive(w, i)) {
            traffic_note_crash(r->traffic, w, i);
        }
    }
}

static void step_trace(struct run *r)
{
    if (r->s->trace != NULL) {
        trace_step(r->s->trace, &r->trace_next, world_now_us(r->world) - r->trace_from_us, r->world,
                   &r->out->survival.trace, watch, r);
    }
}

static void advance(struct run *r, uint64_t us, bool replaces)
{
    uint64_t until = world_now_us(r->world) + us;
    while (world_now_us(r->world) < until) {
        world_run_until(r->world, world_now_us(r->world) + STEP_US);
        r->out->survival.node_us += (uint64_t)world_alive_count(r->world) * STEP_US;
        if (replaces) {
            churn_step(&r->churn, r->world, watch, r);
        }
        step_trace(r);
        roam_step(r, watch);
        fault_step(&r->fault, r->world, watch, r);
        adversary_step(r->adversary, r->world);
        traffic_step(r->traffic, r->world);
        shortage_step(r->shortage, r->world);
    }
}

/* ---- things that are done on purpose ---- */

static void part(struct run *r)
{
    const struct scenario *s = r->s;
    fault_partition(&r->fault, r->world, (uint32_t)s->partition_percent,
                    s->partition_asymmetric != 0);
    advance(r, s->partition_s * SECOND_US, false);
    fault_heal(&r->fault, r->world);
}

static void lose_hosts(struct run *r)
{
    for (uint64_t k = 0; k < r->s->hosts_crash; k++) {
        bool is_done = fault_kill_process(&r->fault, r->world, true, watch, r);
        r->fault.counts.hosts += is_done ? 1 : 0;
        advance(r, r->s->hosts_interval_s * SECOND_US, r->s->hosts_return != 0);
    }
}

/* Whoever keeps books on copies is not told: nothing that was acknowledged may be missed. */
static void black_out(struct run *r)
{
    struct world *w = r->world;
    uint32_t nodes = world_settings_of(w)->nodes;
    uint8_t *was_alive = r->was_alive;
    for (uint32_t i = 0; i < nodes; i++) {
        was_alive[i] = world_is_alive(w, i) ? 1 : 0;
    }
    for (uint32_t i = 0; i < nodes; i++) {
        if (world_is_alive(w, i)) {
            world_vanish(w, i);
        }
    }
    advance(r, r->s->blackout_s * SECOND_US, false);
    for (uint32_t i = 0; i < nodes; i++) {
        if (was_alive[i] != 0) {
            world_start(w, i);
        }
    }
    r->out->survival.blackout_us = scenario_impl_until_right(r, r->s->quiet_s * SECOND_US);
}

static bool is_ready(struct world *w, uint32_t first, uint32_t count)
{
    bool ready = true;
    for (uint32_t i = first; i < first + count; i++) {
        ready = ready && world_is_alive(w, i) && overlay_is_ready(node_overlay(world_node(w, i)));
    }
    return ready;
}

static bool is_gone(struct world *w, uint32_t first, uint32_t count)
{
    bool gone = true;
    for (uint32_t i = first; i < first + count; i++) {
        gone = gone && !world_is_alive(w, i);
    }
    return gone;
}

/* As an operator would: the next one only when this one is back. */
static void roll(struct run *r)
{
    uint32_t shards = (uint32_t)r->s->shards;
    struct world *w = r->world;
    for (uint32_t first = 0; first < r->s->nodes; first += shards) {
        uint64_t until = world_now_us(w) + READY_US;
        for (uint32_t i = first; i < first + shards; i++) {
            world_stop(w, i);
        }
        while (!is_gone(w, first, shards) && world_now_us(w) < until) {
            advance(r, STEP_US, false);
        }
        for (uint32_t i = first; i < first + shards; i++) {
            if (!world_is_alive(w, i)) {
                world_start(w, i);
            }
        }
        while (!is_ready(w, first, shards) && world_now_us(w) < until) {
            advance(r, STEP_US, false);
        }
        advance(r, SECOND_US, false);
    }
}

/* ---- the end ---- */

/* Machines that die on purpose, one after another, are no part of the model. */
static void judge_shortages(struct run *r)
{
    struct scenario_survival *v = &r->out->survival;
    const struct shortage *s = r->shortage;
    uint64_t processes = v->churn.killed + v->churn.vanished + v->faults.killed +
                         v->faults.vanished - v->faults.hosts;
    uint64_t total_ppm = shortage_expected_ppm(s, processes * r->s->shards, v->node_us);
    v->expected_lost_ppm = s->records == 0 ? 0 : total_ppm / s->records;
    v->shortages = s->count;
    v->shortage_mean_us = s->count == 0 ? 0 : s->total_us / s->count;
    v->shortage_p95_us = shortage_p95_us(s);
    v->shortage_longest_us = s->longest_us;
}

static void judge(struct run *r)
{
    struct scenario_survival *v = &r->out->survival;
    const struct traffic_counts *c = &r->traffic->counts;
    v->lost = traffic_lost(r->traffic, r->world, &v->lost_unexcused);
    traffic_verify(r->traffic, r->world, &v->verified);
    v->traffic = *c;
    v->stale_unexcused = r->traffic->stale_unexcused;
    v->churn = r->churn.counts;
    v->faults = r->fault.counts;
    v->disks_lost = world_disk_lost(r->world);
    v->faults_total = fault_total(&r->fault) + v->churn.killed + v->churn.left + v->churn.vanished;
    judge_shortages(r);
    r->out->expected_lost_ppm += v->expected_lost_ppm;
    r->out->lost += v->lost;
    scenario_impl_holds(r, SCENARIO_one_owner, v->quiet_us != 0);
    scenario_impl_holds(r, SCENARIO_not_lost, v->lost_unexcused == 0);
    scenario_impl_holds(r, SCENARIO_not_stale, v->stale_unexcused == 0);
    scenario_impl_holds(r, SCENARIO_true_values, c->lookups.wrong == 0 && v->verified.wrong == 0);
    scenario_impl_holds(r, SCENARIO_answered_once, c->unasked == 0 && c->unanswered == 0);
    scenario_impl_holds(r, SCENARIO_no_loops,
                        metric_read(world_metrics(r->world), METRIC_dht_drop_ttl) == 0);
    uint32_t readable = v->verified.ok + r->traffic->stale_seen;
    scenario_impl_holds(r, SCENARIO_readable, readable + v->lost >= v->verified.sent);
}

void survive(struct run *r)
{
    const struct scenario *s = r->s;
    struct account before = *world_account_of_links(r->world);
    traffic_begin(r->traffic, r->world, r->load.acked);
    r->vigil.traffic = r->traffic;
    shortage_begin(r->shortage, r->world, SECOND_US);
    churn_begin(&r->churn, r->world);
    fault_begin(&r->fault, r->world);
    adversary_begin(r->adversary, r->world);
    world_buggify(r->world)->is_on = true;
    r->trace_from_us = world_now_us(r->world);
    r->out->survival.hostile = r->adversary->hostile;
    r->traffic->is_hostile = r->adversary->is_hostile;
    if (s->skew_ms > 0) {
        fault_skew_all(&r->fault, r->world, s->skew_ms);
    }
    if (s->partition_s > 0) {
        part(r);
    }
    if (s->hosts_crash > 0) {
        lose_hosts(r);
    }
    if (s->rolling != 0) {
        roll(r);
    }
    if (s->trace != NULL) {
        uint64_t ends_us = r->trace_from_us + trace_ends_us(s->trace);
        advance(r, ends_us - min_u64(ends_us, world_now_us(r->world)) + STEP_US, false);
    }
    advance(r, s->run_s * SECOND_US, s->churn_lifetime_s > 0 || s->mix_interval_s > 0);
    r->out->survival.carried = *world_account_of_links(r->world);
    account_since(&r->out->survival.carried, &before);
    r->out->survival.carried_node_us = r->out->survival.node_us;
    shortage_end(r->shortage, r->world);
    if (s->blackout_s > 0) {
        black_out(r);
    }
    world_buggify(r->world)->is_on = false;
    r->out->survival.buggify = *world_buggify(r->world);
    fault_heal(&r->fault, r->world);
    r->out->survival.deeds = adversary_deeds(r->adversary);
    adversary_end(r->adversary, r->world);
    uint64_t quiet_us = scenario_impl_until_right(r, s->quiet_s * SECOND_US);
    r->out->survival.quiet_us = quiet_us;
    uint64_t until = world_now_us(r->world) + DRAIN_US;
    world_run_until(r->world, world_now_us(r->world) + SETTLE_US);
    while (!traffic_drain(r->traffic, r->world) && world_now_us(r->world) < until) {
        world_run_until(r->world, world_now_us(r->world) + SECOND_US);
    }
    calls_judge(r);
    judge(r);
    if (s->load_lookups_per_s > 0) {
        r->load.fetches = r->out->survival.traffic.lookups;
    } else {
        r->load.fetches = r->out->survival.verified;
    }
    r->load.stores.failed += r->out->survival.traffic.stores.failed;
    r->load.stores.sent += r->out->survival.traffic.stores.sent;
    r->load.stores.ok += r->out->survival.traffic.stores.ok;
}
