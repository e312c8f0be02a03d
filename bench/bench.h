/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - what is measured: C functions that do a work n times, and how their result is checked.
 *
 * The inputs of a work are taken in turn.  Those of the decoders are BENCH_SLOTS messages, some
 * 50 KB together: warm (a received datagram was written by the kernel a moment ago), but not the
 * one message that a loop would hold in the first-level cache and in the branch predictor.
 *
 * Each input is checked once when it is set up; afterwards the sum that `run` gives over all its
 * results must be what `want` says, so that no work can be left out, by us or by the compiler.
 * Nothing may be allocated while `run` runs: bench_alloc.c counts.
 *
 * Modes of the program build/release/benchmarks: alone with the options of Google Benchmark
 * (gbench.cc); --check runs everything once and ends with `N passed, N failed`; --count N is for
 * tools/count_instructions.py. */
#pragma once
#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_SLOTS = 64, BENCH_SLOT_BYTES = 1024 };

struct bench {
    const char *name; /* "fwd/transit" */
    size_t bytes;     /* that one operation works on */
    size_t cycle;     /* operation i takes input i % cycle */
    void *(*setup)(void);
    uint64_t (*run)(void *state, uint64_t iterations); /* begins with input 0 */
    uint64_t (*want)(const void *state, size_t input); /* what that input adds to the sum */
};

/* All works; the last has no name. */
const struct bench *bench_list(void);

/* What came out of one run. */
struct bench_result {
    uint64_t iterations;
    uint64_t sum;
    uint64_t allocations;
};

/* Runs, and nothing else: this is what is timed. */
struct bench_result bench_run(const struct bench *b, void *state, uint64_t iterations);
/* False after saying on stderr what is wrong. */
bool bench_is_right(const struct bench *b, const void *state,
                    const struct bench_result *result) MUST_USE;

/* Handles --check and --count; -1 when Google Benchmark is to run, else the exit code. */
int bench_main(int argc, char **argv);

/* Ends the program when a result is wrong that is checked before measuring. */
static inline void bench_require(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "benchmarks: wrong before measuring: %s\n", what);
        exit(1);
    }
}

/* Makes the compiler believe that all bytes of `*p` are read here: what a work has decoded or
 * written must stand in memory, whether or not the sum looks at it. */
static inline void bench_keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* How often this process has called the allocator. */
uint64_t bench_alloc_count(void);

/* The works of each file; the last has no name. */
extern const struct bench bench_content_list[];
extern const struct bench bench_core_list[];
extern const struct bench bench_frame_list[];
extern const struct bench bench_fwd_list[];
extern const struct bench bench_lookup_list[];
extern const struct bench bench_memcpy_list[];
extern const struct bench bench_route_list[];
extern const struct bench bench_secblock_list[];
extern const struct bench bench_sip_list[];
extern const struct bench bench_sr_list[];
extern const struct bench bench_stored_list[];

#ifdef __cplusplus
}
#endif
