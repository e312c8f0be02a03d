/* SPDX-License-Identifier: Apache-2.0 */
/* demo_show.h - what a demo prints: the table of peers, who is where, the timeline of a call, and
 * the JSON of `--once --json` and `--hold --json`. */
#pragma once
#include "cmd/demo_phones.h"

/* All of it as of the last demo_ring_refresh. */
void demo_show_table(const struct demo_ring *r);
/* Where alice and bob are registered, and where bob's record stands. */
void demo_show_phones(struct demo_phones *p);
void demo_show_call(const struct demo_phones *p, const struct demo_phones_call *call);
/* One line that others start from (cli.md). */
void demo_show_hold(const struct demo_ring *r);

struct demo_show_result {
    uint32_t peers;
    bool is_ring_ok;
    const struct demo_phones_call *calls;
    size_t call_count;
    const char *killed; /* NULL: nobody */
    const struct demo_phones_call *calls_after;
    size_t call_after_count;
    uint32_t records_lost;
};
void demo_show_result(const struct demo_phones *p, const struct demo_show_result *result);
