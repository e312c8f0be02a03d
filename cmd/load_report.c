/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_report.h"
#include <jansson.h>
#include <stdio.h>

#define NS_PER_S 1e9
#define NS_PER_US 1e3

static const struct {
    const char *name;
    uint32_t per_million;
} quantiles[] = {
    {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p999", 999000}, {"max", 1000000}};

static json_t *latency_of(const struct load_histogram *h)
{
    json_t *out = json_object();
    for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++) {
        double us = (double)load_histogram_quantile(h, quantiles[i].per_million) / NS_PER_US;
        json_object_set_new(out, quantiles[i].name, h->count == 0 ? json_null() : json_real(us));
    }
    json_object_set_new(
        out, "mean", h->count == 0 ? json_null() : json_real(load_histogram_mean(h) / NS_PER_US));
    return out;
}

static json_t *errors_of(const struct load_ops_tally *t)
{
    json_t *out = json_object();
    for (uint32_t i = 0; i < t->error_count; i++) {
        json_object_set_new(out, t->errors[i].name, json_integer((json_int_t)t->errors[i].count));
    }
    return out;
}

/* From the beginning to the last answer, but not less than was asked for. */
static double elapsed_s(const struct load *l)
{
    uint64_t last_ns = l->ops.last_done_ns > l->begin_ns ? l->ops.last_done_ns - l->begin_ns : 0;
    return (double)max_u64(max_u64(last_ns, l->sending_ns), 1) / NS_PER_S;
}

static double sending_s(const struct load *l)
{
    return (double)max_u64(l->sending_ns, 1) / NS_PER_S;
}

static double server_share(const struct load *l)
{
    return (double)l->server_ns / (double)max_u64(l->end_ns - l->begin_ns, 1);
}

static void add_tally(json_t *out, const struct load_ops_tally *t)
{
    json_object_set_new(out, "begun", json_integer((json_int_t)t->begun));
    json_object_set_new(out, "done", json_integer((json_int_t)t->done));
    json_object_set_new(out, "failed", json_integer((json_int_t)t->failed));
    json_object_set_new(out, "outstanding",
                        json_integer((json_int_t)(t->begun - t->done - t->failed)));
    json_object_set_new(out, "errors", errors_of(t));
    json_object_set_new(out, "latency_us", latency_of(&t->latency));
}

static json_t *limits_of(const struct load *l)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < l->limit_count; i++) {
        json_array_append_new(out, json_string(l->limits[i]));
    }
    return out;
}

static json_t *kinds_of(const struct load *l)
{
    json_t *out = json_object();
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        if (l->s->mix[k] > 0) {
            json_t *one = json_object();
            add_tally(one, &l->ops.tallies[k]);
            json_object_set_new(out, load_kind_name((enum load_kind)k), one);
        }
    }
    return out;
}

static bool is_mixed(const struct load *l)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        count += l->s->mix[k] > 0 ? 1 : 0;
    }
    return count > 1;
}

static const char *arrivals_of(const struct load *l)
{
    if (l->s->is_max) {
        return "closed";
    }
    return l->s->arrivals == LOAD_SCHEDULE_POISSON ? "poisson" : "constant";
}

void load_report_json(const struct load *l, const struct load_report *r)
{
    static struct load_ops_tally sum; /* too large for a frame */
    load_ops_sum(&l->ops, &sum);
    json_t *out = json_object();
    json_object_set_new(out, "kind", json_string(r->kind));
    json_object_set_new(out, "target", json_string(r->target));
    json_object_set_new(out, "source", json_string(r->source));
    json_object_set_new(out, "transport", json_string(r->transport));
    json_object_set_new(out, "arrivals", json_string(arrivals_of(l)));
    json_object_set_new(out, "connections", json_integer((json_int_t)l->s->connections));
    json_object_set_new(out, "elapsed_s", json_real(elapsed_s(l)));
    json_object_set_new(out, "offered_per_s", json_real((double)l->due / sending_s(l)));
    json_object_set_new(out, "done_per_s", json_real((double)sum.done / elapsed_s(l)));
    json_object_set_new(out, "due", json_integer((json_int_t)l->due));
    json_object_set_new(out, "unsent", json_integer((json_int_t)l->unsent));
    add_tally(out, &sum);
    bool has_cost = l->has_server_ns && sum.done > 0;
    json_object_set_new(out, "server_cpu_ns_per_op",
                        has_cost ? json_real((double)l->server_ns / (double)sum.done)
                                 : json_null());
    json_object_set_new(out, "server_cpu_share",
                        l->has_server_ns ? json_real(server_share(l)) : json_null());
    json_object_set_new(out, "generator_cpu_share",
                        json_real((double)l->own_ran_ns / (double)max_u64(l->sending_ns, 1)));
    json_object_set_new(out, "generator_limited", json_boolean(l->limit_count > 0));
    json_object_set_new(out, "generator_limited_why", limits_of(l));
    json_object_set_new(
        out, "behind_us",
        json_pack("{s:f, s:f}", "p99",
                  (double)load_histogram_quantile(&l->behind, 990000) / NS_PER_US, "max",
                  (double)load_histogram_quantile(&l->behind, 1000000) / NS_PER_US));
    json_object_set_new(out, "interrupted", json_boolean(l->is_interrupted));
    if (is_mixed(l)) {
        json_object_set_new(out, "kinds", kinds_of(l));
    }
    (void)json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(out);
}

/* ---- for people ---- */

static void print_latency(const char *name, const struct load_ops_tally *t)
{
    printf("  %-10s %10llu done  latency", name, (unsigned long long)t->done);
    if (t->done == 0) {
        printf("  of nothing\n");
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++) {
        double us = (double)load_histogram_quantile(&t->latency, quantiles[i].per_million) / 1e3;
        printf("  %s %.0f", quantiles[i].name, us);
    }
    printf(" us\n");
}

static void print_errors(const struct load *l, const struct load_ops_tally *sum)
{
    uint64_t outstanding = sum->begun - sum->done - sum->failed;
    if (sum->failed == 0 && l->unsent == 0 && outstanding == 0) {
        printf("  errors     none: %llu begun, all done\n", (unsigned long long)sum->begun);
        return;
    }
    printf("  errors     %llu of %llu begun", (unsigned long long)sum->failed,
           (unsigned long long)sum->begun);
    for (uint32_t i = 0; i < sum->error_count; i++) {
        printf("%s %s %llu", i == 0 ? ":" : "", sum->errors[i].name,
               (unsigned long long)sum->errors[i].count);
    }
    printf("; outstanding %llu, due and never begun %llu\n", (unsigned long long)outstanding,
           (unsigned long long)l->unsent);
}

static void print_server(const struct load *l, const struct load_ops_tally *sum)
{
    if (!l->has_server_ns || sum->done == 0) {
        printf("  server     no processor time: give --server-pid\n");
        return;
    }
    printf("  server     %.0f ns of processor for each, %.0f %% of a core\n",
           (double)l->server_ns / (double)sum->done, 100 * server_share(l));
}

void load_report_table(const struct load *l, const struct load_report *r)
{
    static struct load_ops_tally sum;
    load_ops_sum(&l->ops, &sum);
    printf("%s at %s from %s, %llu connections, %s arrivals%s\n", r->kind, r->target, r->source,
           (unsigned long long)l->s->connections, arrivals_of(l),
           l->is_interrupted ? ", interrupted" : "");
    printf("  offered    %10.0f /s   done %10.0f /s   in %.2f s\n", (double)l->due / sending_s(l),
           (double)sum.done / elapsed_s(l), elapsed_s(l));
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        if (l->s->mix[k] > 0) {
            print_latency(load_kind_name((enum load_kind)k), &l->ops.tallies[k]);
        }
    }
    if (is_mixed(l)) {
        print_latency("all", &sum);
    }
    print_errors(l, &sum);
    print_server(l, &sum);
    printf("  generator  %.0f %% of a core",
           100 * (double)l->own_ran_ns / (double)max_u64(l->sending_ns, 1));
    if (l->limit_count == 0) {
        printf(", it kept up\n");
    } else {
        printf(": IT WAS THE BOTTLENECK\n");
    }
    for (uint32_t i = 0; i < l->limit_count; i++) {
        printf("             %s\n", l->limits[i]);
    }
}
