/* SPDX-License-Identifier: Apache-2.0 */
/* transit.c - what a message in transit costs: from one TLS trunk to another through a real node.
 *
 *   build/release/bench/transit [--json] [--repeats N] [--messages N] [--links N] [WORK ...]
 *
 * Works (all but the last two when none is named): forward (over loopback TCP, in turn with its
 * floors), links (in process, cost by number of links), shards (two against one, in process),
 * memory (an idle link), inside (in process: food for a profiler), check (nothing is timed: what is
 * allocated for each record, and that an idle link sends at once).  Each figure is the median of
 * the repeats.  Exit code 1 when a result is not as it must be. */
#include "bench/transit.h"
#include "bench/slices.h"
#include "bench/transit_node.h"
#include "core/os/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Turns for each repeat, fewer of sizes that are for information, and messages of their slices:
 * some 50 ms each. */
enum { TURNS_EACH = 6, TURNS_MORE = 2, SLICE_SHARE = 4, FLOOR_SHARE = 2 };

static struct transit_options options = {.repeats = 5, .messages = 200000, .links = 8};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double transit_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_size);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- forward ---- */

struct forward {
    struct transit_floor_tcp *floor_tcp;
    struct transit_floor_tls *floor_tls;
    struct transit_live *live;
    struct slices ours, tcp, tls;
    struct transit_live_result last;
};

static void forward_slice(struct forward *f, size_t which)
{
    if (which == 0) {
        slices_add(&f->tcp, transit_floor_tcp_ns(f->floor_tcp, options.messages / FLOOR_SHARE));
    } else if (which == 1) {
        slices_add(&f->tls, transit_floor_tls_ns(f->floor_tls, options.messages / FLOOR_SHARE));
    } else {
        transit_live_run(f->live, options.messages / SLICE_SHARE, &f->last);
        slices_add(&f->ours, f->last.ns);
    }
}

static void forward_print(const struct forward *f, size_t len)
{
    struct slices sum = slices_sum(&f->tcp, &f->tls);
    struct slices_ratio r = slices_ratio(&f->ours, &sum);
    double ns = slices_median(&f->ours);
    double floor_tcp = slices_median(&f->tcp), floor_tls = slices_median(&f->tls);
    if (options.is_json) {
        const struct slices *all[] = {&f->ours, &f->tcp, &f->tls};
        printf("{\"work\": \"forward-tls-%zu\", \"ns_per_op\": %.1f, \"floor_tcp_ns\": %.1f, "
               "\"floor_tls_ns\": %.1f, \"ratio\": %.4f, \"must\": 1.9, \"cpu_share\": %.2f, "
               "\"bytes_per_receive\": %.0f",
               len, ns, floor_tcp, floor_tls, r.middle, f->last.cpu_share,
               f->last.bytes_per_receive);
        slices_print_json(all, ARRAY_COUNT(all));
        printf("}\n");
    } else {
        printf("forward %zu bytes: %.0f ns, floor TCP %.0f + TLS %.0f ns, ratio %.2f (half of them"
               " %.2f..%.2f), core %.0f %% busy, %.0f bytes a receive\n",
               len, ns, floor_tcp, floor_tls, r.middle, r.lower, r.upper, f->last.cpu_share * 100,
               f->last.bytes_per_receive);
    }
    fflush(stdout);
}

/* Ours and both floors are open at once and take turns, there and back. */
static void forward(const struct transit_ca *ca, size_t len, unsigned turns)
{
    enum { MEMBERS = 3 };
    static struct forward f; /* too large for a frame */
    f = (struct forward){.floor_tcp = transit_floor_tcp_open(len),
                         .floor_tls = transit_floor_tls_open(ca, len),
                         .live = transit_live_open(ca, len),
                         .ours.name = "ns_per_op",
                         .tcp.name = "floor_tcp_ns",
                         .tls.name = "floor_tls_ns"};
    for (unsigned i = 0; i < turns; i++) {
        for (size_t k = 0; k < MEMBERS; k++) {
            forward_slice(&f, k);
        }
        for (size_t k = MEMBERS; k > 0; k--) {
            forward_slice(&f, k - 1);
        }
    }
    forward_print(&f, len);
    transit_live_close(f.live);
    transit_floor_tls_close(f.floor_tls);
    transit_floor_tcp_close(f.floor_tcp);
}

static void work_forward(const struct transit_ca *ca, const struct transit_options *o)
{
    (void)o;
    transit_require(host_pin(0) == ERR_OK, "a cpu for the floors");
    forward(ca, 500, options.repeats * TURNS_EACH);
    forward(ca, 700, options.repeats * TURNS_MORE);
    forward(ca, 1300, options.repeats * TURNS_MORE);
}

/* ---- the program ---- */

static const struct work {
    const char *name;
    void (*run)(const struct transit_ca *ca, const struct transit_options *o);
    bool is_asked_for;
} works[] = {
    {"forward", work_forward, false},      {"links", transit_inside_links, false},
    {"shards", transit_shards_run, false}, {"memory", transit_memory_run, false},
    {"inside", transit_inside_run, true},  {"check", transit_inside_check, true},
};

static void run_works(const struct transit_ca *ca, char **names, int count)
{
    for (size_t i = 0; i < ARRAY_COUNT(works); i++) {
        bool is_named = false;
        for (int k = 0; k < count; k++) {
            is_named = is_named || strcmp(names[k], works[i].name) == 0;
        }
        if (is_named || (count == 0 && !works[i].is_asked_for)) {
            works[i].run(ca, &options);
        }
    }
}

int main(int argc, char **argv)
{
    static struct transit_ca ca;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--json") == 0) {
            options.is_json = true;
        } else if (strcmp(argv[at], "--repeats") == 0 && at + 1 < argc) {
            options.repeats = (unsigned)strtoul(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--messages") == 0 && at + 1 < argc) {
            options.messages = strtoull(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--links") == 0 && at + 1 < argc) {
            options.links = (uint32_t)strtoul(argv[++at], NULL, 10);
        } else {
            fprintf(stderr, "usage: transit [--json] [--repeats N] [--messages N] [--links N] "
                            "[WORK ...]\n");
            return 2;
        }
    }
    transit_require(options.repeats > 0 && options.repeats <= TRANSIT_REPEATS_CAP,
                    "1 to 64 repeats");
    transit_ca_open(&ca);
    run_works(&ca, argv + at, argc - at);
    return 0;
}
