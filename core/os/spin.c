/* SPDX-License-Identifier: Apache-2.0 */
/* spin.c - see spin.h. */
#include "core/os/spin.h"

STATIC_CHECK(SPIN_HISTORY == 8 * sizeof(uint16_t));

void spin_init(struct spin *s, uint32_t window_us, bool is_adaptive)
{
    *s = (struct spin){
        .window_us = window_us, .is_adaptive = is_adaptive, .is_on = !is_adaptive && window_us > 0};
}

void spin_idle(struct spin *s, uint64_t now_us)
{
    if (s->has_worked) {
        s->has_worked = false;
        s->since_us = now_us;
    }
}

void spin_work(struct spin *s, uint64_t turn_us)
{
    s->has_worked = true;
    if (s->since_us == 0) {
        return;
    }
    bool is_short = turn_us <= s->since_us + s->window_us;
    s->since_us = 0;
    if (!s->is_adaptive || s->window_us == 0) {
        return;
    }
    s->history = (uint16_t)((unsigned)s->history << 1 | is_short);
    int count = __builtin_popcount(s->history);
    s->is_on = count >= (s->is_on ? SPIN_END : SPIN_BEGIN);
}

uint64_t spin_until_us(const struct spin *s)
{
    return s->is_on && s->since_us != 0 ? s->since_us + s->window_us : 0;
}
