/* SPDX-License-Identifier: Apache-2.0 */
/* spin.h - whether a shard that has nothing to do looks on for a while before it sleeps, and for
 * how long: the decision alone, which reads no clock and can be tested without one.
 *
 * An idle period lasts from the end of a turn that had work to the beginning of the next that has.
 * Spinning pays only in those that end within the window, and costs the whole window in all others.
 * So when it is adaptive a shard spins while most of the last SPIN_HISTORY periods were that short,
 * and sleeps at once otherwise; how long a period was is seen without spinning too. */
#pragma once
#include "core/base.h"

enum {
    SPIN_HISTORY = 16, /* periods that are remembered */
    SPIN_BEGIN = 12,   /* of them short: it begins */
    SPIN_END = 8,      /* fewer: it ends */
};

struct spin {
    uint32_t window_us; /* 0 = never */
    bool is_adaptive;
    bool is_on;
    uint16_t history;  /* a bit for each of the last periods, set: it was short */
    bool has_worked;   /* since the last period; before the first work there is none */
    uint64_t since_us; /* when the period began; 0 = none */
};

void spin_init(struct spin *s, uint32_t window_us, bool is_adaptive);
/* A turn has ended, and nothing is left to be done: a period begins, or goes on. */
void spin_idle(struct spin *s, uint64_t now_us);
/* A turn has had work: the period, if there was one, was over when it began. */
void spin_work(struct spin *s, uint64_t turn_us);
/* Until when to look for work before sleeping; 0 = sleep at once. */
uint64_t spin_until_us(const struct spin *s);
