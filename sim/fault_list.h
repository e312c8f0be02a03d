/* SPDX-License-Identifier: Apache-2.0 */
/* fault_list.h - the faults of one run, so that it can be run again with fewer of them
 * (tools/shrink.py).
 *
 * A fault is what is drawn at one time out of one state of the fault's random numbers; so a line
 * says when, and that state.  What it names is for people.  A list that is given back whole makes
 * the same run; one that is shorter makes another, and always the same one.
 *
 * Owner: whoever calls scenario_run.  Limits: FAULT_LIST_CAP; what comes after is not written down.
 */
#pragma once
#include "core/err.h"
#include "core/rng.h"
#include "core/slice.h"

enum { FAULT_LIST_CAP = 65536, FAULT_LIST_LINE_CAP = 128 };

struct fault_listed {
    uint64_t at_us;
    struct rng state;
    const char *what;
};

struct fault_list {
    struct fault_listed *items; /* room for FAULT_LIST_CAP */
    uint32_t count;
    uint32_t at;   /* given: the next one */
    bool is_given; /* else written down */
};

void fault_list_note(struct fault_list *l, uint64_t at_us, const struct rng *state,
                     const char *what);
/* The next given one that is due, or NULL. */
const struct fault_listed *fault_list_take(struct fault_list *l, uint64_t now_us);
/* "at_us state state state state what"; its length. */
size_t fault_list_line(const struct fault_listed *one, char out[FAULT_LIST_LINE_CAP]);
/* A file of such lines; '#' begins a comment.  *line is the number of the line at fault. */
enum err fault_list_parse(struct fault_list *l, struct slice text, uint32_t *line) MUST_USE;
