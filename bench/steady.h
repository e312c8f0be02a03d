/* SPDX-License-Identifier: Apache-2.0 */
/* steady.h - was it the node that took so long, or the machine under it?
 *
 * A virtual machine stands still now and then while its clocks go on, that of CPU time too, and one
 * such moment of 5 ms decides the p99 of a quarter of a second.  There is no counter that tells. So
 * a turn is called long by what it has done: STEADY_TIMES as much as its signatures and messages
 * cost, and STEADY_LONG_NS more.  A run with such a turn is set aside, counted, and done again.
 *
 * That must not hide a stall of our own.  Hence: a turn that waits for pages is never set aside,
 * since it is the node's business to have them; and a loop that does nothing is watched by the same
 * clock for as long as the node.  Where turns of the node are long more often than that loop,
 * steady_fault says so, and there is no result. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { STEADY_TIMES = 3, STEADY_LONG_NS = 300000 };

struct steady {
    bool is_disturbed; /* the run that goes on */
    /* of all runs */
    uint32_t runs, set_aside;
    uint32_t long_turns, paging_turns; /* the latter waited for pages: they count */
    uint64_t longest_ns;
    uint64_t turns_ns;
    /* of the loop */
    uint32_t jumps;
    uint64_t jump_ns; /* the longest */
    uint64_t loop_ns;
};

void steady_begin(struct steady *s);
/* A turn that took `ns`, for what usually costs `work_ns`, with `faults` of pages. */
void steady_turn(struct steady *s, uint64_t ns, uint64_t work_ns, uint64_t faults);
/* The end of a run; true: it counts.  Watches the loop for as long as the run took. */
bool steady_end(struct steady *s);
/* NULL, or what speaks against the node. */
const char *steady_fault(const struct steady *s);
/* Tries the rules on turns that are made up. */
void steady_check(void);
