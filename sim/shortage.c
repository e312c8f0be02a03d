/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/shortage.h"

static uint32_t index_cap_of(uint32_t records)
{
    uint32_t cap = 16;
    while (cap < 2 * records) {
        cap *= 2;
    }
    return cap;
}

size_t shortage_bytes(uint32_t records)
{
    return records * (sizeof(uint64_t) + 1) + index_cap_of(records) * sizeof(uint32_t) + 256;
}

void shortage_init(struct shortage *s, struct arena *arena, uint32_t records, uint64_t window_us)
{
    memset(s, 0, sizeof(*s)); /* too large for a frame */
    s->records = records;
    s->window_us = window_us;
    s->index_cap = index_cap_of(records);
    s->since_us = ARENA_ARRAY(arena, uint64_t, records);
    s->copies = ARENA_ARRAY(arena, uint8_t, records);
    s->index = ARENA_ARRAY(arena, uint32_t, s->index_cap);
}

/* Node-IDs are random. */
static uint32_t place_of(const struct shortage *s, const uint8_t *id)
{
    uint32_t low = (uint32_t)id[0] | (uint32_t)id[1] << 8 | (uint32_t)id[2] << 16;
    return (low | (uint32_t)id[3] << 24) & (s->index_cap - 1);
}

void shortage_begin(struct shortage *s, struct world *w, uint64_t step_us)
{
    s->step_us = step_us;
    s->look_us = world_now_us(w);
    for (uint32_t k = 0; k < s->records; k++) {
        uint32_t at = place_of(s, world_account(w, k)->node_id.bytes);
        while (s->index[at] != 0) {
            at = (at + 1) & (s->index_cap - 1);
        }
        s->index[at] = k + 1;
    }
}

uint32_t shortage_record(const struct shortage *s, const struct world *w, struct slice key)
{
    if (key.len != 16) {
        return s->records;
    }
    for (uint32_t at = place_of(s, key.data); s->index[at] != 0;
         at = (at + 1) & (s->index_cap - 1)) {
        uint32_t k = s->index[at] - 1;
        if (memcmp(world_account(w, k)->node_id.bytes, key.data, 16) == 0) {
            return k;
        }
    }
    return s->records;
}

void shortage_wake(struct shortage *s, const struct world *w)
{
    s->seen_us = s->is_restless ? s->seen_us : world_now_us(w);
    s->is_restless = true;
}

static void count_copies(struct shortage *s, struct world *w)
{
    memset(s->copies, 0, s->records);
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        struct overlay_stored stored;
        uint32_t at = 0;
        while (world_is_alive(w, i) &&
               overlay_walk_stored(node_overlay(world_node(w, i)), &at, &stored)) {
            uint32_t k = shortage_record(s, w, stored.key);
            if (k < s->records && stored.exists && s->copies[k] < UINT8_MAX) {
                s->copies[k]++;
            }
        }
    }
}

void shortage_note(struct shortage *s, uint64_t us)
{
    uint64_t steps = (us + s->step_us - 1) / s->step_us;
    s->lasted[min_u64(steps, SHORTAGE_STEPS - 1)]++;
    s->count++;
    s->total_us += us;
    s->longest_us = max_u64(s->longest_us, us);
}

void shortage_step(struct shortage *s, struct world *w)
{
    uint64_t now_us = world_now_us(w);
    if (!s->is_restless || s->look_us > now_us || s->step_us == 0) {
        return;
    }
    s->look_us = now_us + s->step_us;
    s->is_restless = false;
    count_copies(s, w);
    for (uint32_t k = 0; k < s->records; k++) {
        bool is_short = s->copies[k] > 0 && s->copies[k] < SHORTAGE_COPIES;
        if (is_short && s->since_us[k] == 0) {
            s->since_us[k] = max_u64(s->seen_us, 1); /* at the earliest */
        } else if (!is_short && s->since_us[k] != 0) {
            /* Nobody knows how long the repair of a lost one would have taken. */
            shortage_note(s, s->copies[k] == 0 ? s->window_us : now_us - s->since_us[k]);
            s->since_us[k] = 0;
        }
        s->is_restless |= is_short;
    }
    s->seen_us = now_us;
}

void shortage_end(struct shortage *s, struct world *w)
{
    for (uint32_t k = 0; k < s->records; k++) {
        if (s->since_us[k] != 0) {
            shortage_note(s, world_now_us(w) - s->since_us[k]);
            s->since_us[k] = 0;
        }
    }
    s->is_restless = false;
}

uint64_t shortage_p95_us(const struct shortage *s)
{
    uint64_t longer = s->count;
    for (uint32_t steps = 0; steps < SHORTAGE_STEPS; steps++) {
        longer -= s->lasted[steps];
        if (longer * 20 <= s->count) {
            return steps * s->step_us;
        }
    }
    return s->longest_us;
}

/* 1 - e^-x, as (1 - x / 2^16)^(2^16). */
static double dies_within(double x)
{
    double lives = 1 - x / 65536;
    for (uint32_t i = 0; i < 16; i++) {
        lives *= lives;
    }
    return 1 - lives;
}

uint64_t shortage_expected_ppm(const struct shortage *s, uint64_t crashes, uint64_t node_us)
{
    if (node_us == 0) {
        return 0;
    }
    double rate = (double)crashes / (double)node_us;
    double lost = 0;
    for (uint32_t steps = 0; steps < SHORTAGE_STEPS; steps++) {
        double window = (double)min_u64(steps * s->step_us, s->window_us);
        double one = dies_within(rate * window);
        lost += (double)s->lasted[steps] * one * one;
    }
    return (uint64_t)(lost * 1e6);
}
