/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.c - what it costs to look up a stored record, from the bytes of a FetchReq to those of the
 * FetchAns in the record that goes to TLS, beside the floor in the same run.
 *
 *     build/release/bench/lookup [--json] [--records N] [--repeats N] [--batch N] [--scaling]
 *                                [--memory] [--tcp-ms N]
 *
 * With 1,000,000 records it also says what a stored registration takes, and holds the memory of the
 * process against the printed budget (with --memory nothing else), and what a look-up over TCP
 * without TLS costs the server.  --scaling: look-ups and Stores among 10^3 to 10^6 records.
 *
 * Repeats of all works are taken in turn, a slice of some milliseconds of each, since the memory of
 * a machine with neighbors changes from one moment to the next: the slice whose ratio of look-up to
 * floor is the median stands for all, with its parts; the other figures are medians.  Every answer
 * is checked, outside of what is timed: a wrong or missing one makes the exit code 1. */
#include "bench/bench.h"
#include "bench/lookup_floor.h"
#include "bench/lookup_tcp.h"
#include "bench/lookup_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS_CAP = 64, SLICES = 8, ROUND = 8 * 1024, FULL = 1000000 };

struct options {
    bool json;
    uint32_t records;
    uint32_t repeats;
    uint32_t batch;
    bool scaling;
    bool memory; /* and nothing else */
    uint32_t tcp_ms;
};

struct series {
    double ns[REPEATS_CAP * SLICES];
    uint32_t count;
};

/* What was measured one after the other, so that it may be compared. */
struct slice_of_time {
    double ratio, fetch, probe, copy; /* ns */
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

static int compare_ratios(const void *a, const void *b)
{
    return compare(&((const struct slice_of_time *)a)->ratio,
                   &((const struct slice_of_time *)b)->ratio);
}

static void note(struct series *s, double ns)
{
    bench_require(s->count < ARRAY_COUNT(s->ns), "too many repeats");
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

/* Resident bytes of the process. */
static uint64_t resident(void)
{
    char text[128] = {0};
    FILE *f = fopen("/proc/self/statm", "r");
    bench_require(f != NULL && fgets(text, sizeof(text), f) != NULL, "/proc/self/statm");
    (void)fclose(f);
    const char *second = strchr(text, ' '); /* size, resident, ... in pages */
    bench_require(second != NULL, "/proc/self/statm");
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

enum { REGISTRATION_MUST = 700 };

/* False: more than it may be. */
static bool judge_memory(const struct options *o, const struct lookup_world *w, uint64_t before)
{
    double each = lookup_world_registration_bytes(o->records);
    uint64_t rss = resident() - before;
    double ratio = (double)rss / (double)w->budget_bytes;
    if (o->json) {
        printf("{\"work\": \"lookup/memory\", \"bytes_per_record\": %.1f}\n", each);
        printf("{\"work\": \"memory\", \"rss_bytes\": %llu, \"budget_bytes\": %llu}\n",
               (unsigned long long)rss, (unsigned long long)w->budget_bytes);
    } else {
        printf("%-28s %8.1f bytes beside its certificate (<= %d)\n", "a stored registration", each,
               REGISTRATION_MUST);
        printf("%-28s %8.3f x the budget (0.9 to 1.1)\n", "resident memory", ratio);
    }
    bool is_right = each <= REGISTRATION_MUST && ratio >= 0.9 && ratio <= 1.1;
    if (!is_right) {
        (void)fprintf(stderr, "lookup: memory is not what it must be\n");
    }
    return is_right;
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
    *o = (struct options){
        .records = 1000000, .repeats = 7, .batch = LOOKUP_BATCH_CAP, .tcp_ms = 1000};
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
        } else if (strcmp(argv[i], "--scaling") == 0) {
            o->scaling = true;
        } else if (strcmp(argv[i], "--memory") == 0) {
            o->memory = true;
        } else if (has_value && strcmp(argv[i], "--tcp-ms") == 0) {
            o->tcp_ms = number_of(argv[++i]);
        } else {
            (void)fprintf(stderr, "usage: lookup [--json] [--records N] [--repeats N] [--batch N]"
                                  " [--scaling] [--memory] [--tcp-ms N]\n");
            exit(2);
        }
    }
    bench_require(o->batch <= LOOKUP_BATCH_CAP, "--batch");
    bench_require(o->repeats <= REPEATS_CAP, "--repeats");
}

/* Everything at one size; false: a wrong answer, or too much memory. */
static bool measure(const struct options *o)
{
    static struct slice_of_time slices[REPEATS_CAP * SLICES];
    struct series huge = {0}, stored = {0};
    struct rng rng;
    rng_init(&rng, 5);
    uint64_t before = resident();
    struct lookup_world *w = lookup_world_make(o->records);
    double store = (double)lookup_world_store(w, 0, o->records) / o->records;
    bool fits = o->records < FULL || judge_memory(o, w, before);
    if (o->memory) {
        bool was_right = !w->is_wrong;
        lookup_world_free(w);
        return was_right && fits;
    }
    struct lookup_floor *floor = lookup_floor_make(o->records, LOOKUP_FLOOR_SMALL_PAGES);
    struct lookup_floor *large = lookup_floor_make(o->records, LOOKUP_FLOOR_HUGE_PAGES);
    struct lookup_floor *same = lookup_floor_make(o->records, LOOKUP_FLOOR_AS_STORED);
    uint32_t count = 0;
    for (uint32_t i = 0; i < (o->repeats + 1) * SLICES && !w->is_wrong; i++) {
        struct slice_of_time one = {.fetch = fetch_round(w, &rng, o),
                                    .probe = lookup_floor_probe(floor, ROUND),
                                    .copy = lookup_floor_copy(floor, ROUND)};
        one.ratio = one.fetch / (one.probe + 2 * one.copy);
        double on_large = lookup_floor_probe(large, ROUND) + 2 * lookup_floor_copy(large, ROUND);
        double as_stored = lookup_floor_probe(same, ROUND) + 2 * lookup_floor_copy(same, ROUND);
        if (i >= SLICES) { /* the first ones fill the caches */
            slices[count++] = one;
            note(&huge, on_large);
            note(&stored, as_stored);
        }
    }
    bool is_right = !w->is_wrong;
    if (is_right) {
        qsort(slices, count, sizeof(slices[0]), compare_ratios);
        const struct slice_of_time *middle = &slices[count / 2];
        print(o, "lookup/store", store, 0);
        print(o, "lookup/floor_probe", middle->probe, 0);
        print(o, "lookup/floor_copy", middle->copy, 0);
        print(o, "lookup/floor", middle->probe + 2 * middle->copy, 0);
        print(o, "lookup/floor_huge_pages", median(&huge), 0);
        print(o, "lookup/floor_as_stored", median(&stored), 0);
        print(o, "lookup/fetch", middle->fetch, middle->ratio);
    }
    if (is_right && o->records >= 100000) {
        double tcp = lookup_tcp_run(w, o->records, o->tcp_ms);
        is_right = tcp > 0;
        print(o, "lookup/tcp", tcp, 0);
    }
    lookup_floor_free(floor);
    lookup_floor_free(large);
    lookup_floor_free(same);
    lookup_world_free(w);
    return is_right && fits;
}

int main(int argc, char **argv)
{
    struct options o;
    read_options(argc, argv, &o);
    bool is_right = true;
    if (!o.scaling) {
        return measure(&o) ? 0 : 1;
    }
    for (o.records = 1000; o.records <= FULL; o.records *= 10) {
        if (!o.json) {
            printf("%u records\n", o.records);
        }
        is_right = measure(&o) && is_right;
    }
    return is_right ? 0 : 1;
}
