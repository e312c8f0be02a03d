/* SPDX-License-Identifier: Apache-2.0 */
/* floor_run.h - what the programs share that measure floors and load rivals: a thread's place, its
 * CPU time, and one line of JSON a result, as bench/rivals.py reads it.
 *
 * A figure is the CPU time of the measured thread by operations, never wall time: so it does not
 * matter who else wants the processor, but for what he does to the caches. */
#pragma once
#include "core/base.h"

enum { FLOOR_RUN_SERVER_CPU = 0, FLOOR_RUN_LOAD_CPU = 1 };

struct floor_run_result {
    uint64_t ops;
    uint64_t cpu_ns;
    uint64_t wall_ns;
    uint64_t lost; /* operations that were begun and never seen to end */
};

/* Ends the program, with a reason, when it cannot measure or has measured nonsense. */
void floor_run_require(bool is_right, const char *what);
/* Keeps this thread on one processor; where there is only one, on that. */
void floor_run_pin(unsigned cpu);

uint64_t floor_run_cpu_ns(void); /* of this thread */
uint64_t floor_run_wall_ns(void);
/* CPU time of the kernel's thread that handles what soft interrupts leave; 0 where a container
 * does not show it. */
uint64_t floor_run_softirq_ns(unsigned cpu);
/* Of all threads of a process, by the scheduler's accounting; 0 when it is gone. */
uint64_t floor_run_process_ns(unsigned pid);

/* {"work": ..., "ns_per_op": ...} and a newline. */
void floor_run_print(const char *work, const struct floor_run_result *result);

/* A number of the command line, or the program ends. */
uint64_t floor_run_number(const char *text, uint64_t min, uint64_t max);
