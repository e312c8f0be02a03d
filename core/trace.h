/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - the last things that this thread did, for `chordial ctl trace`; the very last are
 * printed when a CHECK fails.
 *
 * Owner:  each thread has a ring of its own; nobody else reads it.  Costs four stores an event, so
 * it stays on in release builds; what is done for each message in transit notes nothing.  The names
 * stand in core/trace.def, so that who asks for one that is none can be told.
 * Limits: TRACE_EVENTS, the oldest goes. */
#pragma once
#include "core/slice.h"

enum { TRACE_EVENTS = 1024, TRACE_LAST = 64, TRACE_NO_SHARD = 0xffffffff };

enum trace_name {
#define TRACE(name) TRACE_##name,
#include "core/trace.def"
#undef TRACE
    TRACE_NAME_COUNT
};

struct trace_event {
    uint64_t now_us;
    enum trace_name name;
    uint64_t a;
    uint64_t b;
};

void trace_note(uint64_t now_us, enum trace_name name, uint64_t a, uint64_t b);
const char *trace_name_text(enum trace_name name);
/* False: no event is called so; *out is left. */
bool trace_name_find(struct slice text, enum trace_name *out);
/* What this thread is: said by check_failed.  core/os/shard and sim/world call it each turn. */
void trace_where(uint32_t shard, uint64_t turn);
uint32_t trace_shard(void); /* TRACE_NO_SHARD when never said */
uint64_t trace_turn(void);
uint64_t trace_noted(void); /* how many in all */
/* The events of this thread, `back` 0 being the newest; NULL behind the oldest. */
const struct trace_event *trace_back(uint32_t back);
