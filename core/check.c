/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the end of the line: a CHECK failed, say all we know and abort.
 *
 * The only place in core that prints: the process is over, no sink can be trusted any more. */
#include "core/base.h"
#include "core/trace.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *expression)
{
    fprintf(stderr, "CHECK failed: %s:%d: %s", file, line, expression);
    if (trace_shard() != TRACE_NO_SHARD) {
        fprintf(stderr, " (shard %" PRIu32 ", turn %" PRIu64 ")", trace_shard(), trace_turn());
    }
    fputc('\n', stderr);
    for (uint32_t back = TRACE_LAST; back-- > 0;) {
        const struct trace_event *e = trace_back(back);
        if (e != NULL) {
            fprintf(stderr, "  %" PRIu64 " us %s %" PRIu64 " %" PRIu64 "\n", e->now_us,
                    trace_name_text(e->name), e->a, e->b);
        }
    }
    fflush(stderr);
    abort();
}
