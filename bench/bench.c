/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - see bench.h. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* without valgrind there is nobody to count */
#define CALLGRIND_TOGGLE_COLLECT ((void)0)
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(text) ((void)(text))
#endif

enum { LIST_CAP = 64, CHECK_CYCLES = 3 };

const struct bench *bench_list(void)
{
    static struct bench all[LIST_CAP];
    static const struct bench *const lists[] = {
        bench_memcpy_list,   bench_fwd_list,     bench_frame_list,  bench_stored_list,
        bench_secblock_list, bench_content_list, bench_sr_list,     bench_core_list,
        bench_route_list,    bench_sip_list,     bench_lookup_list,
    };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        for (const struct bench *b = lists[i]; b->name != NULL; b++) {
            bench_require(count + 1 < LIST_CAP, "more works than LIST_CAP");
            all[count++] = *b;
        }
    }
    return all;
}

static uint64_t sum_of(const struct bench *b, const void *state, uint64_t iterations)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    for (size_t i = 0; i < b->cycle; i++) {
        uint64_t one = b->want(state, i);
        whole += one;
        part += i < iterations % b->cycle ? one : 0;
    }
    return whole * (iterations / b->cycle) + part;
}

struct bench_result bench_run(const struct bench *b, void *state, uint64_t iterations)
{
    uint64_t before = bench_alloc_count();
    uint64_t sum = b->run(state, iterations);
    return (struct bench_result){iterations, sum, bench_alloc_count() - before};
}

bool bench_is_right(const struct bench *b, const void *state, const struct bench_result *result)
{
    uint64_t want = sum_of(b, state, result->iterations);
    if (result->sum != want) {
        (void)fprintf(stderr, "benchmarks: %s: the results add up to %llu, not to %llu\n", b->name,
                      (unsigned long long)result->sum, (unsigned long long)want);
    }
    if (result->allocations != 0) {
        (void)fprintf(stderr, "benchmarks: %s: %llu allocations\n", b->name,
                      (unsigned long long)result->allocations);
    }
    return result->sum == want && result->allocations == 0;
}

/* Does the counter see an allocation at all?  Without this its zeros would say nothing. */
static bool is_counting(void)
{
    uint64_t before = bench_alloc_count();
    void *volatile seen = malloc(1);
    bool is_right = seen != NULL && bench_alloc_count() == before + 1;
    free(seen);
    return is_right;
}

static int check_all(void)
{
    unsigned passed = 0;
    unsigned failed = 0;
    bench_require(is_counting(), "an allocation is not counted");
    for (const struct bench *b = bench_list(); b->name != NULL; b++) {
        /* not a whole number of cycles, so that the sum of a part is used too */
        void *state = b->setup();
        struct bench_result result = bench_run(b, state, CHECK_CYCLES * b->cycle + 1);
        bool is_right = bench_is_right(b, state, &result);
        passed += is_right;
        failed += !is_right;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}

/* Each work `iterations` times for callgrind, one dump each, after a round that is not counted:
 * it resolves the symbols and fills the caches. */
static int count_all(uint64_t iterations, const char *only)
{
    for (const struct bench *b = bench_list(); b->name != NULL; b++) {
        if (only != NULL && strcmp(only, b->name) != 0) {
            continue;
        }
        void *state = b->setup();
        (void)bench_run(b, state, BENCH_SLOTS);
        CALLGRIND_ZERO_STATS;
        CALLGRIND_TOGGLE_COLLECT;
        struct bench_result result = bench_run(b, state, iterations);
        CALLGRIND_TOGGLE_COLLECT;
        CALLGRIND_DUMP_STATS_AT(b->name);
        if (!bench_is_right(b, state, &result)) {
            return 1;
        }
    }
    return 0;
}

int bench_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--check") == 0) {
        return check_all();
    }
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "--count") == 0) {
        char *end = NULL;
        uint64_t iterations = strtoull(argv[2], &end, 10);
        bench_require(*end == 0 && iterations > 0, "--count wants a number");
        return count_all(iterations, argc == 4 ? argv[3] : NULL);
    }
    return -1;
}
