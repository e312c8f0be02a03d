/* SPDX-License-Identifier: Apache-2.0 */
/* transit.c - what a message in transit costs: from one TLS trunk to another through a real node.
 *
 *   build/release/bench/transit [--json] [--repeats N] [--messages N] [--links N] [WORK ...]
 *
 * Works (all but the last two when none is named): forward (over loopback TCP, with its floors in
 * the same run), links (in process, cost by number of links), shards (two against one, in process),
 * memory (an idle link), inside (in process: food for a profiler), check (nothing is timed: what is
 * allocated for each record, and that an idle link sends at once).  Each figure is the median of
 * the repeats.  Exit code 1 when a result is not as it must be. */
#include "bench/transit.h"
#include "bench/transit_node.h"
#include "core/os/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void forward(const struct transit_ca *ca, size_t len)
{
    double ours[TRANSIT_REPEATS_CAP], tcp[TRANSIT_REPEATS_CAP], tls[TRANSIT_REPEATS_CAP],
        ratio[TRANSIT_REPEATS_CAP];
    struct transit_live_result r = {0};
    for (unsigned i = 0; i < options.repeats; i++) {
        tcp[i] = transit_floor_tcp_ns(len, options.messages);
        tls[i] = transit_floor_tls_ns(ca, len, options.messages);
        transit_live_run(ca, len, options.messages, &r);
        ours[i] = r.ns;
        ratio[i] = r.ns / (tcp[i] + tls[i]);
    }
    double ns = transit_median(ours, options.repeats);
    double middle = transit_median(ratio, options.repeats); /* sorted from here on */
    double floor_tcp = transit_median(tcp, options.repeats),
           floor_tls = transit_median(tls, options.repeats);
    if (options.is_json) {
        printf("{\"work\": \"forward-tls-%zu\", \"ns_per_op\": %.1f, \"floor_tcp_ns\": %.1f, "
               "\"floor_tls_ns\": %.1f, \"ratio\": %.3f, \"ratio_min\": %.3f, \"ratio_max\": %.3f, "
               "\"must\": 1.9, \"cpu_share\": %.2f, \"bytes_per_receive\": %.0f}\n",
               len, ns, floor_tcp, floor_tls, middle, ratio[0], ratio[options.repeats - 1],
               r.cpu_share, r.bytes_per_receive);
    } else {
        printf("forward %zu bytes: %.0f ns, floor TCP %.0f + TLS %.0f ns, ratio %.2f (%.2f..%.2f),"
               " core %.0f %% busy, %.0f bytes a receive\n",
               len, ns, floor_tcp, floor_tls, middle, ratio[0], ratio[options.repeats - 1],
               r.cpu_share * 100, r.bytes_per_receive);
    }
    fflush(stdout);
}

static void work_forward(const struct transit_ca *ca, const struct transit_options *o)
{
    (void)o;
    transit_require(host_pin(0) == ERR_OK, "a cpu for the floors");
    forward(ca, 500);
    forward(ca, 700);
    forward(ca, 1300);
}

/* ---- the program ---- */

static const struct work {
    const char *name;
    void (*run)(const struct transit_ca *ca, const struct transit_options *o);
    bool is_asked_for;
} works[] = {
    {"forward", work_forward, false},         {"links", transit_inside_links, false},
    {"shards", transit_inside_shards, false}, {"memory", transit_memory_run, false},
    {"inside", transit_inside_run, true},     {"check", transit_inside_check, true},
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
                    "1 to 99 repeats");
    transit_ca_open(&ca);
    run_works(&ca, argv + at, argc - at);
    return 0;
}
