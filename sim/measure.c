/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/measure.h"
#include "node/answer.h"
#include "sim/workload.h"

enum { DRAIN_US = 60 * 1000 * 1000, STEP_US = 100 * 1000, VALUE_CAP = 128, NO_RECORD = -1 };

size_t measure_bytes(void)
{
    return MEASURE_OPEN * sizeof(struct measure_open) + 64;
}

void measure_init(struct measure *m, struct arena *arena, struct world *w,
                  const struct ready_node *order, uint32_t count)
{
    memset(m, 0, sizeof(*m));
    m->world = w;
    m->order = order;
    m->count = count;
    m->open = ARENA_RAW(arena, struct measure_open, MEASURE_OPEN);
    rng_init(&m->rng, world_settings_of(w)->seed ^ 0x3ea5);
}

void measure_rate(struct measure *m, enum measure_kind kind, uint64_t interval_s)
{
    m->period_us[kind] = interval_s == 0 ? 0 : max_u64(interval_s * 1000000 / m->count, 1);
}

static uint32_t take_slot(struct measure *m)
{
    uint32_t index = m->first_free;
    if (index != 0) {
        m->first_free = m->open[index - 1].next;
        return index - 1;
    }
    return m->used < MEASURE_OPEN ? m->used++ : UINT32_MAX;
}

static void free_slot(struct measure *m, uint32_t index)
{
    m->open[index].is_open = false;
    m->open[index].next = m->first_free;
    m->first_free = index + 1;
}

/* Where to, and who should answer. */
static void aim(struct measure *m, struct turn *t, struct measure_open *o,
                struct overlay_resource *resource)
{
    struct ring_id at = {0, 0};
    o->record = UINT32_MAX;
    if (o->kind == MEASURE_LOOKUP && m->records > 0) {
        o->record = (uint32_t)rng_below(&m->rng, m->records);
        overlay_resource_of(t, slice_text(world_account(m->world, o->record)->user), resource);
    } else {
        rng_fill(&m->rng, resource->bytes, sizeof(resource->bytes));
    }
    enum err e = ids_ring_of_resource(slice_of(resource->bytes, sizeof(resource->bytes)), &at);
    CHECK(e == ERR_OK);
    o->owner = m->order[ready_owner(m->order, m->count, at)].index;
}

static void ask(struct measure *m, enum measure_kind kind)
{
    struct overlay_resource resource;
    struct measure_result *r = &m->results[kind];
    uint32_t slot = take_slot(m);
    if (slot == UINT32_MAX) {
        r->put_off++;
        return;
    }
    struct measure_open *o = &m->open[slot];
    *o = (struct measure_open){.kind = kind, .is_open = true};
    o->node = m->order[rng_below(&m->rng, m->count)].index;
    struct node *node = world_node(m->world, o->node);
    struct turn *t = world_begin_turn(m->world, o->node);
    aim(m, t, o, &resource);
    enum err e = kind == MEASURE_KBR
                     ? answer_ping(t, node, &resource, slot)
                     : answer_fetch(t, node, &resource, OVERLAY_KIND_SIP_REGISTRATION, slot);
    world_end_turn(m->world, o->node);
    if (e != ERR_OK) {
        free_slot(m, slot);
        r->put_off++;
        return;
    }
    r->sent++;
    m->open_count++;
}

static bool is_right(const struct measure *m, const struct measure_open *o, const struct answer *a)
{
    uint8_t bytes[VALUE_CAP];
    if (!ids_node_is_equal(&a->node_id, &world_ident(m->world, o->owner)->node_id)) {
        return false;
    }
    if (o->record == UINT32_MAX || !m->acked[o->record]) {
        return a->value_total == 0;
    }
    struct slice expected =
        workload_value(world_account(m->world, o->record), bytes, sizeof(bytes));
    return a->value_count == 1 && slice_is_equal(a->values[0].value, expected);
}

static void settle(struct measure *m, const struct answer *a)
{
    CHECK(a->tag < m->used && m->open[a->tag].is_open); /* each is answered exactly once */
    struct measure_open *o = &m->open[a->tag];
    struct measure_result *r = &m->results[o->kind];
    if (a->error != ERR_OK) {
        r->failed++;
    } else if (!is_right(m, o, a)) {
        r->wrong++;
    } else {
        r->ok++;
        spread_add(&r->hops, a->hops);
        spread_add(&r->latency_us, a->elapsed_us);
    }
    free_slot(m, a->tag);
    m->open_count--;
}

static void collect(struct measure *m)
{
    const struct answer *a;
    uint32_t i = 0;
    while ((i = world_take_answering(m->world)) != UINT32_MAX) {
        while (world_is_alive(m->world, i) && (a = answer_next(world_node(m->world, i))) != NULL) {
            settle(m, a);
        }
    }
}

static uint64_t next_of(const struct measure *m, uint64_t until_us)
{
    for (uint32_t k = 0; k < MEASURE_KINDS; k++) {
        until_us = m->period_us[k] == 0 ? until_us : min_u64(until_us, m->next_us[k]);
    }
    return until_us;
}

void measure_run(struct measure *m, uint64_t duration_us)
{
    uint64_t until_us = world_now_us(m->world) + duration_us;
    for (uint32_t k = 0; k < MEASURE_KINDS; k++) {
        m->next_us[k] = world_now_us(m->world) + rng_below(&m->rng, 2 * m->period_us[k] + 1);
    }
    while (world_now_us(m->world) < until_us) {
        world_run_until(m->world, next_of(m, until_us));
        collect(m);
        for (uint32_t k = 0; k < MEASURE_KINDS; k++) {
            while (m->period_us[k] > 0 && m->next_us[k] <= world_now_us(m->world)) {
                m->next_us[k] += rng_below(&m->rng, 2 * m->period_us[k] + 1);
                ask(m, (enum measure_kind)k);
            }
        }
    }
    uint64_t patience_us = until_us + DRAIN_US;
    while (m->open_count > 0 && world_now_us(m->world) < patience_us) {
        world_run_until(m->world, world_now_us(m->world) + STEP_US);
        collect(m);
    }
    for (uint32_t i = 0; i < m->used; i++) {
        if (m->open[i].is_open) { /* never answered: nobody else looks at it again */
            m->results[m->open[i].kind].failed++;
        }
    }
}
