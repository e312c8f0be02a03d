/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.h - hierarchical timer wheel: arm and cancel in constant time.
 *
 * A wheel_timer is embedded in the object that waits; `tag` says what is to happen.  No callback:
 * the owner of the wheel takes expired timers one by one and dispatches on the tag.
 * Resolution 1 ms; a timer never fires early; timers of the same tick fire in arming order. */
#pragma once
#include "core/arena.h"
#include "core/handle.h"

enum { WHEEL_LEVELS = 6, WHEEL_SLOTS = 64 };

struct wheel_link {
    struct wheel_link *next; /* NULL = not armed */
    struct wheel_link *prev;
};

struct wheel_timer {
    struct wheel_link link;
    uint64_t due_us;
    handle tag;    /* whose timer: the kind byte tells the module (see the enum in core/turn.h) */
    uint32_t what; /* which of its timers: the module's own enum */
    uint32_t slot; /* wheel's own */
};

struct wheel {
    uint64_t now_tick;               /* all timers due before this tick were taken */
    uint32_t armed;                  /* timers in the wheel, for tests and metrics */
    uint64_t occupied[WHEEL_LEVELS]; /* one bit a slot */
    struct wheel_link *ready;        /* due, not yet taken: the first of a ring, NULL = none */
    struct wheel_link *slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* likewise */
};

void wheel_init(struct wheel *w, uint64_t now_us);
/* (Re)arms `timer`; the caller has set tag and what.  A time in the past fires at the next take. */
void wheel_arm(struct wheel *w, struct wheel_timer *timer, uint64_t due_us);
void wheel_cancel(struct wheel *w, struct wheel_timer *timer);
static inline bool wheel_is_armed(const struct wheel_timer *timer)
{
    return timer->link.next != NULL;
}
/* The next timer that is due at `now_us`, disarmed, or NULL. */
struct wheel_timer *wheel_take(struct wheel *w, uint64_t now_us);
/* When wheel_take should next be called; UINT64_MAX when nothing is armed.  May be early by the
 * coarseness of a level, never late. */
uint64_t wheel_next_us(const struct wheel *w);
/* Exactly when the first timer is due; walks the timers of one slot. */
uint64_t wheel_due_us(const struct wheel *w);
