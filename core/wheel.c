/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.c - see wheel.h.
 *
 * A tick is a number of WHEEL_LEVELS digits to the base 64.  A timer stands in the level of the
 * highest digit in which its tick differs from now, in the slot of that digit.  When now enters a
 * slot of a higher level, its timers are put in again and land lower.  So timers of one tick always
 * stand in one list, in arming order.  Ticks beyond the six digits (2.2 years) wait in the last
 * slot of the range and are put in again from there. */
#include "core/wheel.h"
#include <string.h>

enum {
    US_PER_TICK = 1000,
    DIGIT_BITS = 6,
    DIGIT_MASK = WHEEL_SLOTS - 1,
    READY_SLOT = WHEEL_LEVELS * WHEEL_SLOTS, /* behind all real ones */
};
#define RANGE_MASK ((UINT64_C(1) << (DIGIT_BITS * WHEEL_LEVELS)) - 1)

STATIC_CHECK(WHEEL_SLOTS == 1 << DIGIT_BITS);

/* A list is a ring of its links; who has it names the first. */
static void list_append(struct wheel_link **first, struct wheel_link *link)
{
    if (*first == NULL) {
        link->next = link;
        link->prev = link;
        *first = link;
        return;
    }
    link->next = *first;
    link->prev = (*first)->prev;
    link->prev->next = link;
    (*first)->prev = link;
}

static void list_remove(struct wheel_link **first, struct wheel_link *link)
{
    if (*first == link) {
        *first = link->next == link ? NULL : link->next;
    }
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = NULL;
    link->prev = NULL;
}

static struct wheel_timer *timer_of(struct wheel_link *link)
{
    return CONTAINER_OF(link, struct wheel_timer, link);
}

static uint32_t digit(uint64_t tick, uint32_t level)
{
    return (uint32_t)(tick >> (DIGIT_BITS * level)) & DIGIT_MASK;
}

/* Rounded up: a timer never fires early. */
static uint64_t tick_of(uint64_t due_us)
{
    return due_us / US_PER_TICK + (due_us % US_PER_TICK != 0);
}

void wheel_init(struct wheel *w, uint64_t now_us)
{
    memset(w, 0, sizeof(*w));
    w->now_tick = now_us / US_PER_TICK;
}

/* Puts the timer where it belongs as seen from now. */
static void place(struct wheel *w, struct wheel_timer *timer)
{
    uint64_t tick = tick_of(timer->due_us);
    if (tick < w->now_tick) {
        timer->slot = READY_SLOT;
        list_append(&w->ready, &timer->link);
        return;
    }
    if ((tick ^ w->now_tick) > RANGE_MASK) {
        tick = w->now_tick | RANGE_MASK;
    }
    uint64_t differing = tick ^ w->now_tick;
    uint32_t level = differing == 0 ? 0 : (uint32_t)(63 - __builtin_clzll(differing)) / DIGIT_BITS;
    uint32_t at = digit(tick, level);
    timer->slot = level * WHEEL_SLOTS + at;
    list_append(&w->slots[level][at], &timer->link);
    w->occupied[level] |= UINT64_C(1) << at;
}

void wheel_arm(struct wheel *w, struct wheel_timer *timer, uint64_t due_us)
{
    wheel_cancel(w, timer);
    timer->due_us = due_us;
    place(w, timer);
    w->armed++;
}

void wheel_cancel(struct wheel *w, struct wheel_timer *timer)
{
    if (!wheel_is_armed(timer)) {
        return;
    }
    CHECK(w->armed > 0);
    uint32_t slot = timer->slot;
    w->armed--;
    if (slot == READY_SLOT) {
        list_remove(&w->ready, &timer->link);
        return;
    }
    uint32_t level = slot / WHEEL_SLOTS;
    uint32_t at = slot % WHEEL_SLOTS;
    CHECK(level < WHEEL_LEVELS);
    list_remove(&w->slots[level][at], &timer->link);
    if (w->slots[level][at] == NULL) {
        w->occupied[level] &= ~(UINT64_C(1) << at);
    }
}

/* Takes the whole list of a slot and places each timer anew, in order. */
static void replace_slot(struct wheel *w, uint32_t level, uint32_t at)
{
    struct wheel_link *moved = w->slots[level][at];
    w->slots[level][at] = NULL;
    w->occupied[level] &= ~(UINT64_C(1) << at);
    while (moved != NULL) {
        struct wheel_timer *timer = timer_of(moved);
        list_remove(&moved, &timer->link);
        place(w, timer);
    }
}

/* Lets now be `tick`; the slots of the higher levels that begin there come down. */
static void enter(struct wheel *w, uint64_t tick)
{
    bool is_same_block = (w->now_tick ^ tick) >> DIGIT_BITS == 0;
    w->now_tick = tick;
    if (is_same_block) {
        return; /* of the higher levels the same slots, which have come down already */
    }
    for (uint32_t level = WHEEL_LEVELS - 1; level > 0; level--) {
        if ((w->occupied[level] >> digit(tick, level) & 1) != 0) {
            replace_slot(w, level, digit(tick, level));
        }
    }
}

/* The first tick at which something happens: a timer of level 0, or a slot to enter. */
static uint64_t next_tick(const struct wheel *w)
{
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        if (w->occupied[level] != 0) {
            uint32_t at = (uint32_t)__builtin_ctzll(w->occupied[level]);
            DCHECK(at >= digit(w->now_tick, level));
            uint32_t shift = DIGIT_BITS * level;
            uint64_t above = w->now_tick >> shift >> DIGIT_BITS << DIGIT_BITS << shift;
            return above | (uint64_t)at << shift;
        }
    }
    return UINT64_MAX;
}

struct wheel_timer *wheel_take(struct wheel *w, uint64_t now_us)
{
    uint64_t target = now_us / US_PER_TICK;
    while (w->ready == NULL && w->now_tick <= target) {
        uint64_t tick = next_tick(w);
        if (tick > target) {
            enter(w, target + 1);
            break;
        }
        enter(w, tick);
        uint32_t at = digit(tick, 0);
        bool is_due = (w->occupied[0] >> at & 1) != 0;
        if (is_due) {
            enter(w, tick + 1);
            replace_slot(w, 0, at); /* all are due before now: to the ready list */
        }
    }
    if (w->ready == NULL) {
        return NULL;
    }
    struct wheel_timer *timer = timer_of(w->ready);
    wheel_cancel(w, timer);
    return timer;
}

uint64_t wheel_next_us(const struct wheel *w)
{
    if (w->ready != NULL) {
        return timer_of(w->ready)->due_us;
    }
    uint64_t tick = next_tick(w);
    return tick >= UINT64_MAX / US_PER_TICK ? UINT64_MAX : tick * US_PER_TICK;
}

/* Lower levels come before higher ones, and slots of a level in their order. */
uint64_t wheel_due_us(const struct wheel *w)
{
    if (w->ready != NULL) {
        return timer_of(w->ready)->due_us;
    }
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++) {
        if (w->occupied[level] == 0) {
            continue;
        }
        struct wheel_link *first = w->slots[level][(uint32_t)__builtin_ctzll(w->occupied[level])];
        struct wheel_link *at = first;
        uint64_t tick = UINT64_MAX;
        do {
            tick = min_u64(tick, tick_of(timer_of(at)->due_us));
            at = at->next;
        } while (at != first);
        return tick >= UINT64_MAX / US_PER_TICK ? UINT64_MAX : tick * US_PER_TICK;
    }
    return UINT64_MAX;
}
