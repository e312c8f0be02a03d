/* SPDX-License-Identifier: Apache-2.0 */
/* sim_repeat.h - one scenario with seed after seed, and what its reports have in common.
 *
 * Each run is a process of its own, so that none finds anything of another in memory. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_REPEAT_CAP = 10000 };

struct sim_repeat {
    uint64_t first, count;                    /* seeds */
    int (*run)(void *context, uint64_t seed); /* prints a report on stdout: the exit status */
    void *context;
};

/* Prints one report of which each number is its mean with the half width of the 95 % interval, and
 * which seeds have failed; the exit status. */
int sim_repeat(const struct sim_repeat *r, bool is_json);

/* {"n", "mean", "plus_minus"}; of one number the last is null. */
json_t *sim_repeat_interval(const double *numbers, size_t count);
/* What the reports have in common: numbers as above, texts that are the same in all; lists are left
 * out. */
json_t *sim_repeat_fold(json_t *const *reports, size_t count);
