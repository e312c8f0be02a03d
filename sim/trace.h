/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - who comes and goes when, out of a file: one event a line, `TIME PEER ACTION`.
 *
 *   # seconds, with up to six digits behind the point, never going back
 *   12.5 17 leave        in good order
 *   13   4  crash        kill -9: its kernel closes the connections
 *   60   9  vanish       its power fails, nobody is told
 *   300  17 join
 *
 * A peer stands for the process it is in.  Time counts from the beginning of the faults.  Whose
 * first event is a join is not there before it; what cannot be done (a peer that is dead cannot
 * leave) is counted and passed over.
 *
 * Owner: whoever calls scenario_run.  Limits: TRACE_CAP lines. */
#pragma once
#include "core/slice.h"
#include "sim/churn.h"

enum { TRACE_CAP = 1000000 };

enum trace_action { TRACE_JOIN, TRACE_LEAVE, TRACE_CRASH, TRACE_VANISH, TRACE_ACTIONS };

struct trace_event {
    uint64_t at_us;
    uint32_t peer;
    enum trace_action action;
};

struct trace {
    struct trace_event *items; /* room for `cap` */
    uint32_t cap;
    uint32_t count;
};

struct trace_counts {
    uint32_t done[TRACE_ACTIONS];
    uint32_t passed_over;
};

/* False: *line is the number of the line at fault, *why what is wrong with it.  `peers`: how many
 * there are. */
bool trace_parse(struct trace *t, struct slice text, uint64_t peers, uint32_t *line,
                 const char **why) MUST_USE;
const char *trace_action_name(enum trace_action action);
/* Is it there before the first event? */
bool trace_begins_with(const struct trace *t, uint32_t process, uint32_t shards);
/* When the last event is due; 0: there is none. */
uint64_t trace_ends_us(const struct trace *t);
/* All that is due; *next is the first that is not done (0 to begin). */
void trace_step(const struct trace *t, uint32_t *next, uint64_t since_us, struct world *w,
                struct trace_counts *counts, churn_watch *watch, void *context);
