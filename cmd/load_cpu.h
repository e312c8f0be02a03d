/* SPDX-License-Identifier: Apache-2.0 */
/* load_cpu.h - processor time as the kernel accounts for it. */
#pragma once
#include "core/err.h"

/* Nanoseconds that all threads of process `pid` (0: this one) and of its descendants have run, from
 * /proc/PID/task/N/schedstat: servers of many processes are charged whole.  At most
 * LOAD_CPU_PROCESSES.  ERR_NOT_FOUND: there is no such process, or it may not be read. */
enum { LOAD_CPU_PROCESSES = 256 };
enum err load_cpu_of(uint32_t pid, uint64_t *ns) MUST_USE;
/* Of the calling thread: how long it ran, and how long it was ready to run and did not get a
 * processor. */
void load_cpu_own(uint64_t *ran_ns, uint64_t *waited_ns);
/* Monotonic, in nanoseconds. */
uint64_t load_cpu_now_ns(void);
