/* SPDX-License-Identifier: Apache-2.0 */
/* scenarios.h - one run of a scenario in a test. */
#pragma once
#include "sim/scenario.h"
#include <criterion/criterion.h>
#include <stdlib.h>

/* How long it takes is of no interest here. */
static uint64_t scenarios_no_clock(void)
{
    return 0;
}

static inline void run_scenario(const struct scenario *s, uint64_t seed,
                                struct scenario_result *out)
{
    struct arena arena;
    size_t bytes = scenario_bytes(s);
    void *block = calloc(1, bytes);
    cr_assert(block != NULL);
    arena_init(&arena, block, bytes);
    scenario_run(s, &arena, seed, scenarios_no_clock, out);
    free(block);
}

static inline struct scenario ring_scenario(uint64_t nodes, uint64_t records)
{
    struct scenario s;
    scenario_defaults(&s);
    s.nodes = nodes;
    s.records = records;
    return s;
}

/* 24 peers with 40 records, under load. */
static inline struct scenario small_scenario(void)
{
    struct scenario s = ring_scenario(24, 40);
    s.load_lookups_per_s = 4;
    s.load_stores_per_s = 1;
    return s;
}

/* Nothing may be broken. */
static inline void run_unbroken(const struct scenario *s, uint64_t seed,
                                struct scenario_result *out)
{
    run_scenario(s, seed, out);
    for (unsigned i = 0; i < SCENARIO_INVARIANTS; i++) {
        cr_expect_eq(out->broken_by[i], 0, "seed %lu: %s is broken: %s", (unsigned long)seed,
                     scenario_invariant_name(i), scenario_invariant_text(i));
    }
    cr_expect_gt(out->checked, 5);
}
