/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - see trace.h. */
#include "core/trace.h"

static const char *const names[TRACE_NAME_COUNT] = {
#define TRACE(name) #name,
#include "core/trace.def"
#undef TRACE
};

static _Thread_local struct {
    struct trace_event events[TRACE_EVENTS];
    uint64_t noted; /* in total; the next one goes to noted % TRACE_EVENTS */
    uint64_t turn;
    uint32_t shard; /* + 1, so that a fresh thread has none */
} ring;

void trace_note(uint64_t now_us, enum trace_name name, uint64_t a, uint64_t b)
{
    ring.events[ring.noted % TRACE_EVENTS] = (struct trace_event){now_us, name, a, b};
    ring.noted++;
}

const char *trace_name_text(enum trace_name name)
{
    return names[name];
}

bool trace_name_find(struct slice text, enum trace_name *out)
{
    for (unsigned i = 0; i < TRACE_NAME_COUNT; i++) {
        if (slice_is_equal(text, slice_text(names[i]))) {
            *out = (enum trace_name)i;
            return true;
        }
    }
    return false;
}

void trace_where(uint32_t shard, uint64_t turn)
{
    ring.shard = shard + 1;
    ring.turn = turn;
}

uint32_t trace_shard(void)
{
    return ring.shard == 0 ? TRACE_NO_SHARD : ring.shard - 1;
}

uint64_t trace_turn(void)
{
    return ring.turn;
}

uint64_t trace_noted(void)
{
    return ring.noted;
}

const struct trace_event *trace_back(uint32_t back)
{
    if (back >= TRACE_EVENTS || back >= ring.noted) {
        return NULL;
    }
    return &ring.events[(ring.noted - 1 - back) % TRACE_EVENTS];
}
