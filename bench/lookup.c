/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.c - what it costs to look up a stored record, from the bytes of a FetchReq to those of the
 * FetchAns in the record that goes to TLS, beside the floor in the same run.
 *
 *     build/release/bench/lookup [--json] [--records N] [--repeats N] [--batch N]
 *
 * Repeats of all works are taken in turn; medians.  Every answer is checked, outside of what is
 * timed: a wrong or missing one makes the exit code 1. */
#include "bench/bench.h"
#include "bench/lookup_floor.h"
#include "bench/lookup_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS_CAP = 64, ROUND = 64 * 1024, STORE_ROUND = 1 << 16 };

struct options {
    bool json;
    uint32_t records;
    uint32_t repeats;
    uint32_t batch;
};

struct series {
    double ns[REPEATS_CAP];
    uint32_t count;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(struct series *s)
{
    bench_require(s->count > 0, "nothing was measured");
    qsort(s->ns, s->count, sizeof(s->ns[0]), compare);
    return s->ns[s->count / 2];
}

static void note(struct series *s, double ns)
{
    bench_require(s->count < REPEATS_CAP, "too many repeats");
    s->ns[s->count++] = ns;
}

/* What reading the clock adds to each thing that is timed. */
static double clock_ns(void)
{
    enum { TIMES = 1000 };
    uint64_t spent = 0;
    for (int i = 0; i < TIMES; i++) {
        uint64_t from = lookup_world_cpu_ns();
        spent += lookup_world_cpu_ns() - from;
    }
    return (double)spent / TIMES;
}

/* One round of look-ups in turns of `batch`; ns for each. */
static double fetch_round(struct lookup_world *w, struct rng *rng, const struct options *o)
{
    double clock = clock_ns();
    double spent = 0;
    uint32_t done = 0;
    uint32_t round = o->batch < 16 ? ROUND / 4 : ROUND;
    while (done < round && !w->is_wrong) {
        uint32_t numbers[LOOKUP_BATCH_CAP];
        for (uint32_t i = 0; i < o->batch; i++) {
            numbers[i] = (uint32_t)rng_below(rng, o->records);
        }
        lookup_world_prepare(w, numbers, o->batch);
        uint64_t from = lookup_world_cpu_ns();
        lookup_world_run(w);
        spent += (double)(lookup_world_cpu_ns() - from) - clock;
        lookup_world_check(w);
        done += o->batch;
    }
    return spent / done;
}

static void print(const struct options *o, const char *work, double ns, double ratio)
{
    if (o->json) {
        printf("{\"work\": \"%s\", \"ns_per_op\": %.1f, \"records\": %u, \"batch\": %u", work, ns,
               o->records, o->batch);
        printf(ratio > 0 ? ", \"ratio\": %.3f}\n" : "}\n", ratio);
        return;
    }
    printf("%-28s %8.1f ns", work, ns);
    printf(ratio > 0 ? "   %.2f x floor\n" : "\n", ratio);
}

static uint32_t number_of(const char *text)
{
    char *end = NULL;
    unsigned long long n = strtoull(text, &end, 10);
    bench_require(*text != 0 && *end == 0 && n > 0 && n < LOOKUP_PEER_FIRST, "a number");
    return (uint32_t)n;
}

static void read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){.records = 1000000, .repeats = 7, .batch = LOOKUP_BATCH_CAP};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (has_value && strcmp(argv[i], "--records") == 0) {
            o->records = number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--repeats") == 0) {
            o->repeats = number_of(argv[++i]);
        } else if (has_value && strcmp(argv[i], "--batch") == 0) {
            o->batch = number_of(argv[++i]);
        } else {
            (void)fprintf(stderr,
                          "usage: lookup [--json] [--records N] [--repeats N] [--batch N]\n");
            exit(2);
        }
    }
    bench_require(o->batch <= LOOKUP_BATCH_CAP, "--batch");
    bench_require(o->repeats <= REPEATS_CAP, "--repeats");
}

int main(int argc, char **argv)
{
    struct options o;
    struct series fetch = {0}, probe = {0}, copy = {0}, huge = {0};
    struct rng rng;
    read_options(argc, argv, &o);
    rng_init(&rng, 5);
    struct lookup_world *w = lookup_world_make(o.records);
    struct lookup_floor *floor = lookup_floor_make(o.records, false);
    struct lookup_floor *large = lookup_floor_make(o.records, true);
    double store = (double)lookup_world_store(w, 0, o.records) / o.records;
    for (uint32_t i = 0; i <= o.repeats && !w->is_wrong; i++) {
        double ns[4] = {fetch_round(w, &rng, &o), lookup_floor_probe(floor, ROUND),
                        lookup_floor_copy(floor, ROUND),
                        lookup_floor_probe(large, ROUND) + 2 * lookup_floor_copy(large, ROUND)};
        if (i > 0) { /* the first one fills the caches */
            note(&fetch, ns[0]);
            note(&probe, ns[1]);
            note(&copy, ns[2]);
            note(&huge, ns[3]);
        }
    }
    if (!w->is_wrong) {
        double below = median(&probe) + 2 * median(&copy);
        double ours = median(&fetch);
        print(&o, "lookup/store", store, 0);
        print(&o, "lookup/floor_probe", median(&probe), 0);
        print(&o, "lookup/floor_copy", median(&copy), 0);
        print(&o, "lookup/floor", below, 0);
        print(&o, "lookup/floor_huge_pages", median(&huge), 0);
        print(&o, "lookup/fetch", ours, ours / below);
    }
    bool is_right = !w->is_wrong;
    lookup_floor_free(floor);
    lookup_floor_free(large);
    lookup_world_free(w);
    return is_right ? 0 : 1;
}
