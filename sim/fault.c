/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/fault.h"

enum {
    SECOND_US = 1000000,
    PARTITION_LEAST_S = 15,
    PARTITION_SPREAD_S = 120,
    LOSS_PPM = 100000,
    LOSS_S = 60,
    SKEW_MS = 60000,
    CLOG_STEP_US = 1500000,
};

enum what { VANISH, KILL, LEAVE, PARTITION, ASYMMETRIC, CLOG, LOSS, SKEW, WHATS };

void fault_init(struct fault *f, const struct fault_settings *s, uint64_t seed)
{
    *f = (struct fault){.s = *s};
    rng_init(&f->rng, seed ^ 0xfa017);
}

static void schedule(struct fault *f, const struct world *w)
{
    f->next_us = world_now_us(w) + draw_us(&f->rng, DRAW_EXPONENTIAL, f->s.interval_us);
}

void fault_begin(struct fault *f, struct world *w)
{
    schedule(f, w);
}

static uint32_t processes_of(const struct world *w)
{
    return world_settings_of(w)->nodes / world_settings_of(w)->shards;
}

/* ---- machines ---- */

static uint32_t process_alive(const struct world *w, uint32_t process)
{
    uint32_t shards = world_settings_of(w)->shards;
    for (uint32_t i = process * shards; i < (process + 1) * shards; i++) {
        if (world_is_alive(w, i)) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* The first peer alive of a process drawn among those alive; UINT32_MAX when too few are. */
static uint32_t draw_alive(struct fault *f, const struct world *w)
{
    uint32_t alive = 0;
    for (uint32_t p = 0; p < processes_of(w); p++) {
        alive += process_alive(w, p) != UINT32_MAX ? 1 : 0;
    }
    for (uint32_t tries = 0; alive > f->s.spared && tries < 1000; tries++) {
        uint32_t i = process_alive(w, (uint32_t)rng_below(&f->rng, processes_of(w)));
        if (i != UINT32_MAX) {
            return i;
        }
    }
    return UINT32_MAX;
}

bool fault_kill_process(struct fault *f, struct world *w, bool is_silent, churn_watch *watch,
                        void *context)
{
    uint32_t shards = world_settings_of(w)->shards;
    uint32_t i = draw_alive(f, w);
    if (i == UINT32_MAX) {
        return false;
    }
    watch(context, w, i - i % shards, shards, false);
    if (is_silent) {
        world_vanish(w, i);
    } else {
        world_kill(w, i);
    }
    f->counts.vanished += is_silent ? 1 : 0;
    f->counts.killed += is_silent ? 0 : 1;
    return true;
}

static void leave(struct fault *f, struct world *w, churn_watch *watch, void *context)
{
    uint32_t shards = world_settings_of(w)->shards;
    uint32_t i = draw_alive(f, w);
    if (i == UINT32_MAX) {
        return;
    }
    uint32_t first = i - i % shards;
    watch(context, w, first, shards, true);
    for (uint32_t k = first; k < first + shards; k++) {
        if (world_is_alive(w, k)) {
            world_stop(w, k);
        }
    }
    f->counts.left++;
}

/* ---- networks ---- */

void fault_partition(struct fault *f, struct world *w, uint32_t percent, bool is_asymmetric)
{
    struct net_faults *net = world_net_faults(w);
    uint32_t shards = world_settings_of(w)->shards;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        bool is_apart = i % shards == 0 ? rng_below(&f->rng, 100) < percent : net->side[i - 1] != 0;
        net->side[i] = is_apart ? 1 : 0;
    }
    net->cut[0][1] = true;
    net->cut[1][0] = !is_asymmetric;
    world_ways_changed(w);
    f->counts.partitions++;
    f->counts.asymmetric += is_asymmetric ? 1 : 0;
}

static void heal_partition(struct fault *f, struct world *w)
{
    struct net_faults *net = world_net_faults(w);
    memset(net->cut, 0, sizeof(net->cut));
    world_ways_changed(w);
    f->partition_until_us = 0;
}

static void begin_partition(struct fault *f, struct world *w, bool is_asymmetric)
{
    if (f->partition_until_us != 0) {
        return;
    }
    uint32_t percent = 5 + (uint32_t)rng_below(&f->rng, 46);
    fault_partition(f, w, percent, is_asymmetric);
    uint64_t lasts_s = PARTITION_LEAST_S + rng_below(&f->rng, PARTITION_SPREAD_S);
    f->partition_until_us = world_now_us(w) + lasts_s * SECOND_US;
}

static void begin_clog(struct fault *f, struct world *w)
{
    uint32_t nodes = world_settings_of(w)->nodes;
    if (f->clog_count > 0 || nodes < 4) {
        return;
    }
    uint32_t most = nodes / 4 < FAULT_CLOGGED ? nodes / 4 : FAULT_CLOGGED;
    f->clog_count = 1 + (uint32_t)rng_below(&f->rng, most);
    for (uint32_t k = 0; k < f->clog_count; k++) {
        f->clogged[k] = (uint32_t)rng_below(&f->rng, nodes);
    }
    f->clog_at = 0;
    f->is_unclogging = false;
    f->clog_next_us = world_now_us(w);
    f->counts.clogs++;
}

static void shuffle(struct fault *f)
{
    for (uint32_t k = f->clog_count; k > 1; k--) {
        uint32_t with = (uint32_t)rng_below(&f->rng, k);
        uint32_t kept = f->clogged[k - 1];
        f->clogged[k - 1] = f->clogged[with];
        f->clogged[with] = kept;
    }
}

static void step_clog(struct fault *f, struct world *w)
{
    if (f->clog_count == 0 || f->clog_next_us > world_now_us(w)) {
        return;
    }
    uint8_t *clog = &world_net_faults(w)->clog[f->clogged[f->clog_at]];
    *clog = f->is_unclogging ? 0 : (uint8_t)(1 + rng_below(&f->rng, 3));
    world_ways_changed(w);
    f->clog_next_us = world_now_us(w) + rng_jitter(&f->rng, CLOG_STEP_US, 80);
    if (++f->clog_at < f->clog_count) {
        return;
    }
    f->clog_at = 0;
    f->clog_count = f->is_unclogging ? 0 : f->clog_count;
    f->is_unclogging = true;
    shuffle(f);
}

static void unclog(struct fault *f, struct world *w)
{
    memset(world_net_faults(w)->clog, 0, world_settings_of(w)->nodes);
    world_ways_changed(w);
    f->clog_count = 0;
}

/* ---- the rest ---- */

static int64_t wrong_by(struct fault *f, uint64_t most_ms)
{
    return (int64_t)rng_below(&f->rng, 2 * most_ms + 1) - (int64_t)most_ms;
}

void fault_skew_all(struct fault *f, struct world *w, uint64_t most_ms)
{
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        world_set_skew(w, i, wrong_by(f, most_ms));
        f->counts.skews++;
    }
}

static const char *const names[WHATS] = {"vanish",     "kill", "leave", "partition",
                                         "asymmetric", "clog", "loss",  "skew"};

static void one(struct fault *f, struct world *w, churn_watch *watch, void *context)
{
    struct rng before = f->rng;
    uint32_t i = (uint32_t)rng_below(&f->rng, world_settings_of(w)->nodes);
    enum what what = (enum what)rng_below(&f->rng, WHATS);
    if (f->s.list != NULL && !f->s.list->is_given) {
        fault_list_note(f->s.list, world_now_us(w), &before, names[what]);
    }
    switch (what) {
    case VANISH:
        (void)fault_kill_process(f, w, true, watch, context);
        break;
    case KILL:
        (void)fault_kill_process(f, w, false, watch, context);
        break;
    case LEAVE:
        leave(f, w, watch, context);
        break;
    case PARTITION:
        begin_partition(f, w, false);
        break;
    case ASYMMETRIC:
        begin_partition(f, w, true);
        break;
    case CLOG:
        begin_clog(f, w);
        break;
    case LOSS:
        world_net_faults(w)->extra_loss_ppm = LOSS_PPM;
        f->loss_until_us = world_now_us(w) + (uint64_t)LOSS_S * SECOND_US;
        f->counts.losses++;
        break;
    case SKEW:
        world_set_skew(w, i, wrong_by(f, SKEW_MS));
        f->counts.skews++;
        break;
    case WHATS:
        break;
    }
}

void fault_step(struct fault *f, struct world *w, churn_watch *watch, void *context)
{
    uint64_t now = world_now_us(w);
    if (f->partition_until_us != 0 && f->partition_until_us <= now) {
        heal_partition(f, w);
    }
    if (f->loss_until_us != 0 && f->loss_until_us <= now) {
        world_net_faults(w)->extra_loss_ppm = 0;
        f->loss_until_us = 0;
    }
    step_clog(f, w);
    const struct fault_listed *given;
    bool has_list = f->s.list != NULL && f->s.list->is_given;
    while (has_list && (given = fault_list_take(f->s.list, now)) != NULL) {
        f->rng = given->state;
        one(f, w, watch, context);
        schedule(f, w); /* draws what the run did from which the list is */
    }
    while (!has_list && f->s.interval_us > 0 && f->next_us <= now) {
        one(f, w, watch, context);
        schedule(f, w);
    }
}

void fault_heal(struct fault *f, struct world *w)
{
    world_net_faults(w)->extra_loss_ppm = 0;
    f->loss_until_us = 0;
    unclog(f, w);
    heal_partition(f, w);
}

uint32_t fault_total(const struct fault *f)
{
    const struct fault_counts *c = &f->counts;
    return c->killed + c->vanished + c->left + c->hosts + c->partitions + c->clogs + c->losses +
           c->skews;
}
