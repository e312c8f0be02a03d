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
 * Look-ups and floors take turns, there and back, a slice of some milliseconds of each, since the
 * memory of a machine with neighbors changes from one moment to the next (slices.h).  Every answer
 * is checked, outside of what is timed: a wrong or missing one makes the exit code 1. */
#include "bench/bench.h"
#include "bench/lookup_floor.h"
#include "bench/lookup_tcp.h"
#include "bench/lookup_world.h"
#include "bench/slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS_CAP = 64, TURNS_EACH = 8, WARM_TURNS = 4, ROUND = 8 * 1024, FULL = 1000000 };

struct options {
    bool json;
    uint32_t records;
    uint32_t repeats;
    uint32_t batch;
    bool scaling;
    bool memory; /* and nothing else */
    uint32_t tcp_ms;
};

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

static void print(const struct options *o, const char *work, double ns)
{
    printf(o->json ? "{\"work\": \"%s\", \"ns_per_op\": %.1f, \"records\": %u, \"batch\": %u}\n"
                   : "%-28s %8.1f ns\n",
           work, ns, o->records, o->batch);
}

/* What was measured in slices, by `floor` unless that is NULL. */
static void print_slices(const struct options *o, const char *work, const struct slices *s,
                         const struct slices *floor)
{
    struct slices_ratio r = {0};
    if (floor != NULL) {
        r = slices_ratio(s, floor);
    }
    if (!o->json) {
        printf("%-28s %8.1f ns", work, slices_median(s));
        printf(floor != NULL ? "   %.3f x floor (half of them %.3f to %.3f)\n" : "\n", r.middle,
               r.lower, r.upper);
        return;
    }
    printf("{\"work\": \"%s\", \"ns_per_op\": %.1f, \"records\": %u, \"batch\": %u", work,
           slices_median(s), o->records, o->batch);
    printf(floor != NULL ? ", \"ratio\": %.4f" : "", r.middle);
    slices_print_json(&s, 1);
    printf("}\n");
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

/* Look-ups and the floors, which take turns. */
struct turns {
    struct slices fetch, floor, probe, copy, huge, stored;
    struct lookup_floor *small, *large, *same;
};

static double floor_slice(struct lookup_floor *f, double *probe, double *copy)
{
    *probe = lookup_floor_probe(f, ROUND);
    *copy = lookup_floor_copy(f, ROUND);
    return *probe + 2 * *copy;
}

static void slice(struct turns *t, uint32_t which, struct lookup_world *w, struct rng *rng,
                  const struct options *o)
{
    double probe, copy;
    if (which == 0) {
        slices_add(&t->fetch, fetch_round(w, rng, o));
    } else if (which == 1) {
        slices_add(&t->floor, floor_slice(t->small, &probe, &copy));
        slices_add(&t->probe, probe);
        slices_add(&t->copy, copy);
    } else if (which == 2) {
        slices_add(&t->huge, floor_slice(t->large, &probe, &copy));
    } else {
        slices_add(&t->stored, floor_slice(t->same, &probe, &copy));
    }
}

/* There and back, so many times; false: a wrong answer. */
static bool take_turns(struct turns *t, uint32_t count, struct lookup_world *w, struct rng *rng,
                       const struct options *o)
{
    enum { MEMBERS = 4 };
    t->fetch.count = t->floor.count = t->probe.count = t->copy.count = 0;
    t->huge.count = t->stored.count = 0;
    for (uint32_t i = 0; i < count && !w->is_wrong; i++) {
        for (uint32_t k = 0; k < MEMBERS; k++) {
            slice(t, k, w, rng, o);
        }
        for (uint32_t k = MEMBERS; k > 0; k--) {
            slice(t, k - 1, w, rng, o);
        }
    }
    return !w->is_wrong;
}

/* Everything at one size; false: a wrong answer, or too much memory. */
static bool measure(const struct options *o)
{
    static struct turns t = {.fetch.name = "ns_per_op",
                             .floor.name = "ns_per_op",
                             .huge.name = "ns_per_op",
                             .stored.name = "ns_per_op"};
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
    t.small = lookup_floor_make(o->records, LOOKUP_FLOOR_SMALL_PAGES);
    t.large = lookup_floor_make(o->records, LOOKUP_FLOOR_HUGE_PAGES);
    t.same = lookup_floor_make(o->records, LOOKUP_FLOOR_AS_STORED);
    bool is_right = take_turns(&t, WARM_TURNS, w, &rng, o) && /* these fill the caches */
                    take_turns(&t, o->repeats * TURNS_EACH, w, &rng, o);
    if (is_right) {
        print(o, "lookup/store", store);
        print(o, "lookup/floor_probe", slices_median(&t.probe));
        print(o, "lookup/floor_copy", slices_median(&t.copy));
        print_slices(o, "lookup/floor", &t.floor, NULL);
        print_slices(o, "lookup/floor_huge_pages", &t.huge, NULL);
        print_slices(o, "lookup/floor_as_stored", &t.stored, NULL);
        print_slices(o, "lookup/fetch", &t.fetch, &t.floor);
    }
    if (is_right && o->records >= 100000) {
        double tcp = lookup_tcp_run(w, o->records, o->tcp_ms);
        is_right = tcp > 0;
        print(o, "lookup/tcp", tcp);
    }
    lookup_floor_free(t.small);
    lookup_floor_free(t.large);
    lookup_floor_free(t.same);
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
