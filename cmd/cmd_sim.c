/* SPDX-License-Identifier: Apache-2.0 */
/* chordial sim: finds a scenario, runs it, prints what came of it. */
#include "cmd/cmd.h"
#include "cmd/files.h"
#include "cmd/options.h"
#include "cmd/sim_files.h"
#include "cmd/sim_phones.h"
#include "cmd/sim_repeat.h"
#include "core/os/host.h"
#include "core/os/mem.h"
#include "sim/net.h"
#include "sim/survive.h"
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum { WORD_CAP = 200, LARGE_PAGES_BYTES = 1 << 29 };

static const char *const keys[] = {
#define SCENARIO(name, value, help) #name,
#include "sim/scenario.def"
#undef SCENARIO
};

struct outcome {
    uint64_t seed;
    uint64_t wall_us;
    const char *word; /* as the scenario was named */
    struct options_texts sets;
    const char *pcap, *faults, *faults_out, *ids, *trace; /* paths, or NULL */
    struct fault_list list;
    struct trace trace_events;
    struct scenario scenario;
    struct scenario_result result;
};

/* ---- the scenario
 * -------------------------------------------------------------------------------- */

/* FILE itself, sim/scenarios/NAME.conf here, or the same beside the program's project. */
static enum err find_scenario(const char *word, struct slice *text, char *path)
{
    char name[FILES_PATH_CAP];
    char program[FILES_PATH_CAP];
    enum err e = files_join("", word, path);
    if (e == ERR_OK) {
        e = files_read(path, text, NULL);
    }
    bool is_name = strchr(word, '/') == NULL && strlen(word) < WORD_CAP;
    if (e == ERR_OK || !is_name) {
        return e;
    }
    (void)snprintf(name, sizeof(name), "sim/scenarios/%s.conf", word);
    if (files_join("", name, path) == ERR_OK && files_read(path, text, NULL) == ERR_OK) {
        return ERR_OK;
    }
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    for (int up = 0; len > 0 && up < 4; up++) { /* TOP/build/release/chordial */
        program[len] = '\0';
        char *slash = strrchr(program, '/');
        len = slash == NULL ? 0 : slash - program;
        program[len] = '\0';
        if (files_join(program, name, path) == ERR_OK && files_read(path, text, NULL) == ERR_OK) {
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

static enum err say_key(const char *key, const char *where, enum err e, char *why)
{
    const char *near = say_suggestion(key, keys, ARRAY_COUNT(keys));
    if (e == ERR_MALFORMED) {
        return say_why(why, ERR_CONFIG, "not a whole number: %s %s: give digits only", where, key);
    }
    return say_why(why, ERR_CONFIG, "unknown key: %s %s: %s%s", where, key,
                   near == NULL ? "sim/scenario.def lists them" : "did you mean ",
                   near == NULL ? "" : near);
}

static enum err set_one(struct scenario *s, const char *pair, char *why)
{
    char key[WORD_CAP];
    const char *equals = strchr(pair, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - pair);
    if (len == 0 || len >= sizeof(key)) {
        return say_why(why, ERR_CONFIG, "not KEY=VALUE: --set %s: write --set nodes=100", pair);
    }
    memcpy(key, pair, len);
    key[len] = '\0';
    enum err e = scenario_set(s, slice_text(key), slice_text(equals + 1));
    return e == ERR_OK ? e : say_key(key, "--set", e, why);
}

/* Where a key got its value: the last --set of it, or the file. */
static const char *source_of(const char *key, const struct options_texts *sets, const char *path)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < sets->count; i++) {
        size_t k = 0;
        const char *given = sets->texts[i];
        while (k < len && (given[k] == key[k] || (given[k] == '.' && key[k] == '_'))) {
            k++;
        }
        if (k == len && given[k] == '=') {
            return "--set";
        }
    }
    return path;
}

static enum err check(const struct scenario *s, const struct options_texts *sets, const char *path,
                      char *why)
{
    const char *key = NULL;
    uint64_t least = 0;
    uint64_t most = 0;
    enum err e = scenario_check(s, &key, &least, &most);
    if (e == ERR_OK) {
        return e;
    }
    const char *where = source_of(key, sets, path);
    return least == most
               ? say_why(why, ERR_CONFIG,
                         "not with the other keys: %s: %s: only %" PRIu64
                         " goes with them, see docs/simulator.md",
                         where, key, most)
               : say_why(why, ERR_CONFIG, "out of range: %s: %s: from %" PRIu64 " to %" PRIu64,
                         where, key, least, most);
}

static enum err load(const char *word, const struct options_texts *sets, struct scenario *s,
                     char *why)
{
    struct slice text = SLICE_EMPTY;
    char path[FILES_PATH_CAP];
    uint32_t line = 0;
    scenario_defaults(s);
    if (find_scenario(word, &text, path) != ERR_OK) {
        return say_why(why, ERR_CONFIG,
                       "no such scenario: %s: give a file, or the name of one in sim/scenarios",
                       word);
    }
    enum err e = scenario_parse(s, text, &line);
    files_release(&text);
    if (e != ERR_OK) {
        return say_why(why, ERR_CONFIG, "%s: %s:%u: see sim/scenario.def",
                       e == ERR_NOT_FOUND ? "unknown key" : "not a whole number", path, line);
    }
    for (size_t i = 0; e == ERR_OK && i < sets->count; i++) {
        e = set_one(s, sets->texts[i], why);
    }
    return e == ERR_OK ? check(s, sets, path, why) : e;
}

/* ---- what came of it
 * ----------------------------------------------------------------------------- */

static double per(uint64_t total, uint64_t count)
{
    return count == 0 ? 0.0 : (double)total / (double)count;
}

static uint64_t rss_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static json_t *wave_json(const struct workload_result *w)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)w->sent, "ok", (json_int_t)w->ok,
                     "failed", (json_int_t)w->failed, "wrong", (json_int_t)w->wrong);
}

static json_t *copies_json(const struct checker_copies *c)
{
    return json_pack("{s:I, s:f, s:I, s:I, s:I}", "min", (json_int_t)c->min, "mean",
                     per(c->total, c->records), "max", (json_int_t)c->max, "under",
                     (json_int_t)c->under, "one_host", (json_int_t)c->one_host);
}

/* Times are null where the thing never happened. */
static json_t *seconds_or_null(uint64_t us)
{
    return us == 0 ? json_null() : json_real((double)us / 1e6);
}

static bool is_drop(const char *name)
{
    return strstr(name, "drop") != NULL || strstr(name, "refused") != NULL;
}

static json_t *metrics_json(const struct metrics *m, bool drops_only)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_name((enum metric)i);
        uint64_t value = metric_read(m, (enum metric)i);
        if (value != 0 && (!drops_only || is_drop(name))) {
            json_object_set_new(out, name, json_integer((json_int_t)value));
        }
    }
    return out;
}

static json_t *percentiles_json(const struct spread *spread, double unit, bool is_counted)
{
    json_t *out = json_object();
    if (is_counted) {
        json_object_set_new(out, "mean", json_real(per(spread->total, spread->count) / unit));
    }
    json_object_set_new(out, "p50", json_real((double)spread_at(spread, 500) / unit));
    json_object_set_new(out, "p95", json_real((double)spread_at(spread, 950) / unit));
    json_object_set_new(
        out, is_counted ? "max" : "p99",
        json_real((double)(is_counted ? spread->max : spread_at(spread, 990)) / unit));
    return out;
}

/* Fetches of the wave and of the load are look-ups both. */
static void lookups_of(const struct scenario_result *r, struct measure_result *out)
{
    *out = r->measured[MEASURE_LOOKUP];
    out->sent += r->fetches.sent;
    out->ok += r->fetches.ok;
    out->failed += r->fetches.failed;
    out->wrong += r->fetches.wrong;
    spread_merge(&out->hops, &r->fetches.hops);
    spread_merge(&out->latency_us, &r->fetches.latency_us);
}

static json_t *counts_json(const struct measure_result *m)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)m->sent, "ok", (json_int_t)m->ok,
                     "failed", (json_int_t)m->failed, "wrong", (json_int_t)m->wrong);
}

static void add_lookups(json_t *all, const struct scenario_result *r)
{
    static struct measure_result lookups; /* with its buckets too large for a frame */
    static struct spread hops;
    static struct spread latency;
    lookups_of(r, &lookups);
    json_object_set_new(all, "lookups", counts_json(&lookups));
    hops = lookups.hops;
    latency = lookups.latency_us;
    if (r->measured[MEASURE_KBR].sent > 0) {
        json_object_set_new(all, "kbr", counts_json(&r->measured[MEASURE_KBR]));
        spread_merge(&hops, &r->measured[MEASURE_KBR].hops);
        spread_merge(&latency, &r->measured[MEASURE_KBR].latency_us);
    }
    json_t *by_hops = json_array();
    for (uint32_t i = 0; i <= hops.max && i < SPREAD_EXACT; i++) {
        json_array_append_new(by_hops, json_integer(hops.buckets[i]));
    }
    json_object_set_new(all, "hops", percentiles_json(&hops, 1, true));
    json_object_set_new(json_object_get(all, "hops"), "counts", by_hops);
    json_object_set_new(all, "latency_ms", percentiles_json(&latency, 1e3, false));
}

/* Bytes in a second of a node, by class. */
static json_t *by_class_json(const struct account *a, double node_s)
{
    json_t *out = json_object();
    for (uint32_t i = 0; i < ACCOUNT_CLASSES; i++) {
        if (node_s > 0 && a->bytes[i] > 0 && account_name(i) != NULL) {
            json_object_set_new(out, account_name(i), json_real((double)a->bytes[i] / node_s));
        }
    }
    return out;
}

/* Of idle_s; or of the time of the faults, when there was no load beside them.  Seconds of all
 * nodes together, 0: neither was. */
static double upkeep_of(const struct outcome *o, const struct account **sent)
{
    const struct scenario *s = &o->scenario;
    const struct scenario_result *r = &o->result;
    *sent = &r->upkeep;
    if (r->upkeep_us > 0) {
        return (double)r->upkeep_us / 1e6 * (double)s->nodes;
    }
    bool is_loaded = s->load_lookups_per_s > 0 || s->load_stores_per_s > 0 || s->phones > 0;
    *sent = &r->survival.carried;
    return is_loaded ? 0.0 : (double)r->survival.carried_node_us / 1e6;
}

static void add_upkeep(json_t *all, const struct outcome *o)
{
    const struct account *sent = NULL;
    double node_s = upkeep_of(o, &sent);
    json_object_set_new(all, "maintenance_bytes_per_s_per_node",
                        node_s > 0 ? json_real((double)account_frames(sent) / node_s)
                                   : json_null());
    json_object_set_new(all, "maintenance_bytes_by_class", by_class_json(sent, node_s));
}

/* The load without faults, and what the machine did meanwhile. */
static json_t *measured_json(const struct scenario_result *r)
{
    uint64_t put_off = r->measured[MEASURE_KBR].put_off + r->measured[MEASURE_LOOKUP].put_off;
    return json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "setup_cpu_s",
                     (double)r->setup_cpu_us / 1e6, "simulated_s", (double)r->measured_us / 1e6,
                     "cpu_s", (double)r->measured_cpu_us / 1e6, "events",
                     (json_int_t)r->measured_events, "turns", (json_int_t)r->measured_turns,
                     "put_off", (json_int_t)put_off, "messages", (json_int_t)r->measured_messages);
}

/* Which invariants did not hold, and how often. */
static json_t *broken_json(const struct scenario_result *r)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < SCENARIO_INVARIANTS; i++) {
        if (r->broken_by[i] != 0) {
            json_object_set_new(out, scenario_invariant_name((enum scenario_invariant)i),
                                json_integer(r->broken_by[i]));
        }
    }
    return out;
}

/* What sim/vigil saw, and when first. */
static json_t *first_broken_json(const struct scenario_result *r)
{
    static const char *const names[VIGIL_RULES] = {[VIGIL_LOOPS] = "no_loops",
                                                   [VIGIL_ONCE] = "answered_once",
                                                   [VIGIL_SIGNED] = "true_values",
                                                   [VIGIL_CAPS] = "within_caps"};
    json_t *out = json_object();
    for (unsigned i = 0; i < VIGIL_RULES; i++) {
        const struct vigil_first *f = &r->first[i];
        if (f->is_broken) {
            json_object_set_new(out, names[i],
                                json_pack("{s:f, s:I, s:I}", "at_s", (double)f->at_us / 1e6, "node",
                                          (json_int_t)f->node, "event", (json_int_t)f->event));
        }
    }
    return out;
}

static json_t *places_json(const struct scenario_roam *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "moves", (json_int_t)c->moves, "behind_nat",
                     (json_int_t)c->behind, "behind_nat_joined", (json_int_t)c->behind_joined,
                     "streams_refused", (json_int_t)c->streams_refused, "datagrams_refused",
                     (json_int_t)c->datagrams_refused);
}

static json_t *trace_json(const struct trace_counts *c)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < TRACE_ACTIONS; i++) {
        json_object_set_new(out, trace_action_name((enum trace_action)i), json_integer(c->done[i]));
    }
    json_object_set_new(out, "passed_over", json_integer(c->passed_over));
    return out;
}

/* How often each point of core/buggify.def came up. */
static json_t *buggify_json(const struct buggify *b)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < BUGGIFY_POINTS; i++) {
        if (b->fired[i] != 0) {
            json_object_set_new(out, buggify_name((enum buggify_point)i),
                                json_integer((json_int_t)b->fired[i]));
        }
    }
    return out;
}

static json_t *survival_json(const struct scenario_result *r)
{
    const struct scenario_survival *v = &r->survival;
    const struct traffic_counts *c = &v->traffic;
    const struct churn_counts *ch = &v->churn;
    const struct fault_counts *f = &v->faults;
    json_t *out =
        json_pack("{s:I, s:I, s:I, s:f, s:f}", "lost", (json_int_t)v->lost, "lost_unexcused",
                  (json_int_t)v->lost_unexcused, "stale_unexcused", (json_int_t)v->stale_unexcused,
                  "expected_lost", (double)v->expected_lost_ppm * (double)v->verified.sent / 1e6,
                  "node_hours", (double)v->node_us / 3.6e9);
    json_object_set_new(out, "bytes_by_class",
                        by_class_json(&v->carried, (double)v->carried_node_us / 1e6));
    json_object_set_new(out, "repair_window_s",
                        json_pack("{s:I, s:f, s:f, s:f}", "shortages", (json_int_t)v->shortages,
                                  "mean", (double)v->shortage_mean_us / 1e6, "p95",
                                  (double)v->shortage_p95_us / 1e6, "max",
                                  (double)v->shortage_longest_us / 1e6));
    json_object_set_new(out, "quiet_s", seconds_or_null(v->quiet_us));
    json_object_set_new(out, "blackout_s", seconds_or_null(v->blackout_us));
    json_object_set_new(out, "buggify", buggify_json(&v->buggify));
    json_object_set_new(out, "disks_lost", json_integer(v->disks_lost));
    json_object_set_new(out, "trace", trace_json(&v->trace));
    json_object_set_new(out, "verified", wave_json(&v->verified));
    json_object_set_new(out, "stores", wave_json(&c->stores));
    json_object_set_new(out, "lookups",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "fresh",
                                  (json_int_t)c->fresh, "stale", (json_int_t)c->stale, "empty",
                                  (json_int_t)c->empty, "misled", (json_int_t)c->misled, "orphaned",
                                  (json_int_t)c->orphaned, "unasked", (json_int_t)c->unasked,
                                  "unanswered", (json_int_t)c->unanswered));
    json_object_set_new(out, "churn",
                        json_pack("{s:I, s:I, s:I, s:I}", "left", (json_int_t)ch->left, "killed",
                                  (json_int_t)ch->killed, "vanished", (json_int_t)ch->vanished,
                                  "started", (json_int_t)ch->started));
    json_object_set_new(out, "faults",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "total",
                                  (json_int_t)v->faults_total, "killed", (json_int_t)f->killed,
                                  "vanished", (json_int_t)f->vanished, "left", (json_int_t)f->left,
                                  "hosts", (json_int_t)f->hosts, "partitions",
                                  (json_int_t)f->partitions, "asymmetric",
                                  (json_int_t)f->asymmetric, "clogs", (json_int_t)f->clogs,
                                  "losses", (json_int_t)f->losses, "skews", (json_int_t)f->skews));
    return out;
}

static const char *crypto_name(const struct outcome *o)
{
    return o->scenario.crypto != 0 ? "real" : "stub";
}

static void print_json(const struct outcome *o)
{
    const struct scenario_result *r = &o->result;
    char fingerprint[20];
    double wall_s = (double)o->wall_us / 1e6;
    (void)snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, r->fingerprint);
    json_t *all =
        json_pack("{s:I, s:s, s:I, s:f, s:f, s:I, s:f, s:I, s:s, s:s}", "seed", (json_int_t)o->seed,
                  "fingerprint", fingerprint, "nodes", (json_int_t)o->scenario.nodes, "simulated_s",
                  (double)r->simulated_us / 1e6, "wall_s", wall_s, "events", (json_int_t)r->events,
                  "events_per_s", wall_s > 0 ? (double)r->events / wall_s : 0.0, "rss_bytes",
                  (json_int_t)rss_bytes(), "crypto", crypto_name(o), "start",
                  o->scenario.ready != 0 ? "ready" : "joined");
    add_lookups(all, r);
    json_object_set_new(
        all, "stores",
        json_pack("{s:I, s:I, s:I, s:I, s:f}", "sent", (json_int_t)r->stores.sent, "acked",
                  (json_int_t)r->stores.ok, "failed", (json_int_t)r->stores.failed, "lost",
                  (json_int_t)r->lost, "expected_lost",
                  (double)r->expected_lost_ppm * (double)r->copies_before.records / 1e6));
    json_object_set_new(all, "values_forged_accepted", json_integer(r->fetches.wrong));
    json_object_set_new(all, "replicas", copies_json(&r->copies_after));
    json_object_set_new(all, "replicas_before", copies_json(&r->copies_before));
    add_upkeep(all, o);
    json_object_set_new(
        all, "join_s",
        r->join_each_us.count == 0 ? json_null() : percentiles_json(&r->join_each_us, 1e6, false));
    json_object_set_new(all, "ring_right_s", seconds_or_null(r->join_us));
    json_object_set_new(all, "repair_s", seconds_or_null(r->repair_us));
    json_object_set_new(all, "replicas_repair_s", seconds_or_null(r->copies_repair_us));
    json_object_set_new(all, "killed", json_integer(r->killed));
    json_object_set_new(all, "ring",
                        json_pack("{s:I, s:I, s:I, s:I}", "nodes", (json_int_t)r->ring.nodes,
                                  "ready", (json_int_t)r->ring.ready, "broken",
                                  (json_int_t)r->ring.broken, "thin", (json_int_t)r->ring.thin));
    json_object_set_new(all, "ready",
                        json_pack("{s:I, s:I}", "links", (json_int_t)r->ready.links, "refused",
                                  (json_int_t)r->ready.refused));
    json_t *measured = measured_json(r);
    json_t *tables = json_array();
    for (uint32_t i = 0; i < r->table_count; i++) {
        json_array_append_new(tables, json_integer(r->tables[i]));
    }
    json_object_set_new(measured, "routing_tables", tables);
    if (r->measured_us > 0) {
        json_object_set_new(measured, "metrics", metrics_json(&r->measured_metrics, false));
    }
    json_object_set_new(all, "measured", measured);
    json_object_set_new(all, "fetched", wave_json(&r->fetches));
    json_object_set_new(all, "stream_bytes", json_integer((json_int_t)r->stream_bytes));
    json_object_set_new(all, "places", places_json(&r->roam));
    sim_phones_json(all, &r->phones, (uint32_t)o->scenario.phones);
    json_object_set_new(all, "invariants",
                        json_pack("{s:I, s:I}", "checked", (json_int_t)r->checked, "broken",
                                  (json_int_t)r->broken));
    json_object_set_new(all, "broken", broken_json(r));
    json_object_set_new(all, "events_looked_at", json_integer((json_int_t)r->looked));
    json_object_set_new(all, "first_broken", first_broken_json(r));
    if (survive_is_asked(&o->scenario)) {
        json_object_set_new(all, "survival", survival_json(r));
    }
    json_object_set_new(all, "buffers_left", json_integer(r->buffers_left));
    json_object_set_new(all, "drops", metrics_json(&r->metrics, true));
    json_object_set_new(all, "metrics", metrics_json(&r->metrics, false));
    json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(all);
}

static void print_time(const char *name, uint64_t us)
{
    if (us == 0) {
        (void)printf("%-16s never\n", name);
    } else {
        (void)printf("%-16s %.1f s\n", name, (double)us / 1e6);
    }
}

static void print_copies(const char *name, const struct checker_copies *c)
{
    (void)printf("%-16s %u records, copies %u..%u, mean %.2f, %u too few\n", name, c->records,
                 c->min, c->max, per(c->total, c->records), c->under);
}

static void print_wave(const char *name, const struct workload_result *w)
{
    (void)printf("%-16s %u sent, %u ok, %u failed, %u wrong; hops mean %.2f max %u; mean %.1f ms\n",
                 name, w->sent, w->ok, w->failed, w->wrong, per(w->hops_total, w->ok), w->hops_max,
                 per(w->latency_us_total, w->ok) / 1e3);
}

static void print_measured(const char *name, const struct measure_result *m)
{
    if (m->sent > 0) {
        (void)printf("%-16s %" PRIu64 " sent, %" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64
                     " wrong; hops mean %.2f p50 %" PRIu64 " p95 %" PRIu64 " max %" PRIu64
                     "; p50 %.1f p99 %.1f ms\n",
                     name, m->sent, m->ok, m->failed, m->wrong, per(m->hops.total, m->hops.count),
                     spread_at(&m->hops, 500), spread_at(&m->hops, 950), m->hops.max,
                     (double)spread_at(&m->latency_us, 500) / 1e3,
                     (double)spread_at(&m->latency_us, 990) / 1e3);
    }
}

static void print_upkeep(const struct outcome *o)
{
    const struct account *sent = NULL;
    double node_s = upkeep_of(o, &sent);
    if (node_s <= 0) {
        return;
    }
    (void)printf("%-16s %.1f bytes/s of a node:", "upkeep", (double)account_frames(sent) / node_s);
    for (uint32_t i = 0; i < ACCOUNT_CLASSES; i++) {
        if (sent->bytes[i] > 0 && account_name(i) != NULL) {
            (void)printf(" %s %.1f", account_name(i), (double)sent->bytes[i] / node_s);
        }
    }
    (void)putchar('\n');
}

static void print_start(const struct outcome *o)
{
    const struct scenario_result *r = &o->result;
    if (o->scenario.ready != 0) {
        (void)printf("%-16s ready: nobody joined; %u links, %u refused\n", "start", r->ready.links,
                     r->ready.refused);
        return;
    }
    print_time("ring right after", r->join_us);
    (void)printf("%-16s p50 %.2f s, p99 %.2f s\n", "joins",
                 (double)spread_at(&r->join_each_us, 500) / 1e6,
                 (double)spread_at(&r->join_each_us, 990) / 1e6);
}

/* What became of faults that only some scenarios have. */
static void print_places(const struct outcome *o)
{
    const struct scenario_roam *c = &o->result.roam;
    const struct scenario_survival *v = &o->result.survival;
    if (c->behind > 0) {
        (void)printf("%-16s %u peers, %u of them joined; %" PRIu64 " connections and %" PRIu64
                     " datagrams refused\n",
                     "behind NATs", c->behind, c->behind_joined, c->streams_refused,
                     c->datagrams_refused);
    }
    if (o->scenario.move_interval_s > 0) {
        (void)printf("%-16s %u\n", "addresses moved", c->moves);
    }
    if (o->scenario.disks != 0) {
        (void)printf("%-16s %u went with their machines\n", "disks", v->disks_lost);
    }
    if (o->scenario.blackout_s > 0) {
        print_time("ring lit again", v->blackout_us);
    }
    if (o->trace != NULL) {
        (void)printf("%-16s %u joined, %u left, %u crashed, %u vanished, %u passed over\n", "trace",
                     v->trace.done[TRACE_JOIN], v->trace.done[TRACE_LEAVE],
                     v->trace.done[TRACE_CRASH], v->trace.done[TRACE_VANISH], v->trace.passed_over);
    }
}

static void print_table(const struct outcome *o)
{
    const struct scenario_result *r = &o->result;
    double wall_s = (double)o->wall_us / 1e6;
    (void)printf("%-16s %" PRIu64 "\n", "seed", o->seed);
    (void)printf("%-16s %016" PRIx64 "\n", "fingerprint", r->fingerprint);
    (void)printf("%-16s %" PRIu64 " (%" PRIu64 " on a machine), cryptography: %s\n", "nodes",
                 o->scenario.nodes, o->scenario.shards, crypto_name(o));
    (void)printf("%-16s %.1f s simulated in %.1f s, %" PRIu64 " events, %.0f/s, %" PRIu64 " MiB\n",
                 "time", (double)r->simulated_us / 1e6, wall_s, r->events,
                 (double)r->events / wall_s, rss_bytes() >> 20);
    print_start(o);
    if (o->scenario.records > 0) {
        print_wave("stores", &r->stores);
        print_copies("copies", &r->copies_before);
    }
    print_upkeep(o);
    if (r->measured_us > 0) {
        (void)printf("%-16s %.1f s of processor time to set up, %.1f s for %.1f s of load\n",
                     "speed", (double)r->setup_cpu_us / 1e6, (double)r->measured_cpu_us / 1e6,
                     (double)r->measured_us / 1e6);
    }
    print_measured("kbr", &r->measured[MEASURE_KBR]);
    print_measured("look-ups", &r->measured[MEASURE_LOOKUP]);
    if (r->killed > 0) {
        (void)printf("%-16s %u nodes; %u records without a copy left, %.1f expected\n", "killed",
                     r->killed, r->lost,
                     (double)r->expected_lost_ppm * (double)r->copies_before.records / 1e6);
        print_time("ring repaired", r->repair_us);
        print_time("copies repaired", r->copies_repair_us);
    }
    if (o->scenario.records > 0) {
        print_wave("fetches", &r->fetches);
        print_copies("copies", &r->copies_after);
    }
    print_places(o);
    if (o->scenario.phones > 0) {
        sim_phones_print(&r->phones, (uint32_t)o->scenario.phones);
    }
    (void)printf("%-16s %u checked, %u broken\n", "invariants", r->checked, r->broken);
    for (unsigned i = 0; i < SCENARIO_INVARIANTS; i++) {
        if (r->broken_by[i] != 0) {
            (void)printf("BROKEN           %s (%u): %s\n",
                         scenario_invariant_name((enum scenario_invariant)i), r->broken_by[i],
                         scenario_invariant_text((enum scenario_invariant)i));
        }
    }
}

/* The one command that shows it again. */
static void print_command(const struct outcome *o)
{
    (void)fprintf(stderr, "again: chordial sim %s --seed %" PRIu64, o->word, o->seed);
    for (size_t i = 0; i < o->sets.count; i++) {
        (void)fprintf(stderr, " --set %s", o->sets.texts[i]);
    }
    if (o->faults != NULL) {
        (void)fprintf(stderr, " --faults %s", o->faults);
    }
    if (o->trace != NULL) {
        (void)fprintf(stderr, " --trace %s", o->trace);
    }
    if (o->ids != NULL) {
        (void)fprintf(stderr, " --ids %s", o->ids);
    }
    (void)fputc('\n', stderr);
}

/* ---- the command
 * --------------------------------------------------------------------------------- */

static void on_alarm(int number)
{
    (void)number;
    ssize_t written = write(STDERR_FILENO, ".", 1);
    (void)written;
}

/* A dot every second, from the second one on, where somebody looks. */
static bool start_progress(void)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval every = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 2}};
    return isatty(STDERR_FILENO) && sigaction(SIGALRM, &action, NULL) == 0 &&
           setitimer(ITIMER_REAL, &every, NULL) == 0;
}

static void stop_progress(uint64_t wall_us)
{
    struct itimerval never = {0};
    if (setitimer(ITIMER_REAL, &never, NULL) == 0 && wall_us > 2000000) {
        (void)fputc('\n', stderr);
    }
}

/* Processor time: others use this machine too. */
static uint64_t cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* A small world comes in large pages: each event is at another node, and most of its memory is out
 * of reach of the TLB (12 % less processor time for an hour of 64 nodes).  In a large one only what
 * all nodes share does, which is used from its front on; of the nodes' own tables only some pages
 * are ever used. */
static enum err open_memory(const struct scenario *s, struct mem *mem, struct mem *sparse)
{
    size_t bytes = scenario_bytes(s);
    *sparse = (struct mem){0};
    if (s->nodes < WORLD_TIGHT_NODES) {
        return bytes <= LARGE_PAGES_BYTES ? mem_open(mem, bytes) : mem_open_sparse(mem, bytes);
    }
    enum err e = mem_open(mem, bytes);
    if (e == ERR_OK) {
        e = mem_open_sparse(sparse, bytes);
        mem->arena.sparse = &sparse->arena;
    }
    return e;
}

static int run(struct outcome *o, bool is_json)
{
    struct mem mem;
    struct mem sparse;
    size_t bytes = scenario_bytes(&o->scenario);
    if (open_memory(&o->scenario, &mem, &sparse) != ERR_OK) {
        say_error("no memory: %zu MiB for %" PRIu64 " nodes: --set nodes=", bytes >> 20,
                  o->scenario.nodes);
        return CMD_FAILED;
    }
    uint64_t begun_us = host_now_us();
    bool is_shown = start_progress();
    scenario_run(&o->scenario, &mem.arena, o->seed, cpu_us, &o->result);
    o->wall_us = host_now_us() - begun_us;
    if (is_shown) {
        stop_progress(o->wall_us);
    }
    if (is_json) {
        print_json(o);
    } else {
        print_table(o);
    }
    mem_close(&sparse);
    mem_close(&mem);
    if (o->result.broken > 0) {
        print_command(o);
    }
    return o->result.broken == 0 ? CMD_OK : CMD_FAILED;
}

/* The run, with the files that were asked for around it. */
static int simulate(struct outcome *o, bool is_json)
{
    char why[SAY_WHY_CAP];
    struct sim_files_capture *capture = NULL;
    enum err e = ERR_OK;
    if (o->faults != NULL || o->faults_out != NULL) {
        e = sim_files_faults(o->faults, &o->list, why);
        o->scenario.faults = &o->list;
    }
    if (e == ERR_OK && o->faults_out != NULL) {
        e = sim_files_try(o->faults_out, why);
    }
    struct node_id *ids = NULL;
    if (e == ERR_OK && o->ids != NULL) {
        e = sim_files_ids(o->ids, &ids, &o->scenario.id_count, why);
        o->scenario.ids = ids;
    }
    if (e == ERR_OK && o->trace != NULL) {
        e = sim_files_trace(o->trace, o->scenario.nodes, &o->trace_events, why);
        o->scenario.trace = &o->trace_events;
    }
    if (e == ERR_OK && o->pcap != NULL && o->scenario.crypto != 0) {
        e = say_why(why, ERR_CONFIG, "sealed frames are not written: --pcap: with crypto = 0 only");
    } else if (e == ERR_OK && o->pcap != NULL) {
        capture = sim_files_open(o->pcap, why);
        e = capture == NULL ? ERR_IO : e;
        o->scenario.capture = sim_files_capture;
        o->scenario.capture_context = capture;
    }
    int status = e == ERR_OK ? run(o, is_json) : CMD_USAGE;
    if (capture != NULL && !sim_files_close(capture)) {
        e = say_why(why, ERR_IO, "not all could be written: --pcap %s", o->pcap);
        status = CMD_FAILED;
    }
    if (e == ERR_OK && o->faults_out != NULL) {
        e = sim_files_write_faults(o->faults_out, &o->list, why);
        status = e == ERR_OK ? status : CMD_FAILED;
    }
    sim_files_release_faults(&o->list);
    free(ids);
    free(o->trace_events.items);
    if (e != ERR_OK) {
        say_error("%s", why);
    }
    return status;
}

static const uint64_t NO_REPEAT = UINT64_MAX; /* beyond what may be asked for */

static int repeat_one(void *context, uint64_t seed)
{
    struct outcome *o = context;
    o->seed = seed;
    return simulate(o, true);
}

static int repeat(struct outcome *o, uint64_t count, bool is_json)
{
    const struct sim_repeat r = {.first = o->seed, .count = count, .run = repeat_one, .context = o};
    if (count < 1 || count > SIM_REPEAT_CAP) {
        say_error("out of range: --repeat %" PRIu64 ": 1..%d", count, SIM_REPEAT_CAP);
        return CMD_USAGE;
    }
    if (o->pcap != NULL || o->faults_out != NULL) {
        say_error("each run would write the same file: --repeat: without --pcap and --faults-out");
        return CMD_USAGE;
    }
    return sim_repeat(&r, is_json);
}

int cmd_sim(int argc, char **argv)
{
    static struct outcome o = {.seed = 1};
    bool is_json = false;
    uint64_t count = NO_REPEAT;
    const struct options_item items[] = {
        {"seed", 0, OPTIONS_NUMBER, &o.seed, "S", "the run's seed (1)"},
        {"repeat", 0, OPTIONS_NUMBER, &count, "N",
         "so many seeds from S on: means, 95 % intervals"},
        {"set", 0, OPTIONS_LIST, &o.sets, "KEY=VALUE", "override a key of the scenario (repeat)"},
        {"pcap", 0, OPTIONS_TEXT, &o.pcap, "FILE", "write all frames between peers, for tshark"},
        {"faults-out", 0, OPTIONS_TEXT, &o.faults_out, "FILE", "write what faults there were"},
        {"faults", 0, OPTIONS_TEXT, &o.faults, "FILE", "do these instead of mix.interval_s's"},
        {"trace", 0, OPTIONS_TEXT, &o.trace, "FILE", "who comes and goes when (docs/simulator.md)"},
        {"ids", 0, OPTIONS_TEXT, &o.ids, "FILE", "Node-IDs of the first peers, one a line"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial sim SCENARIO [--seed S] [--set KEY=VALUE] [--pcap FILE] [--faults FILE] "
                 "[--json]",
        .about =
            "Runs many nodes on a virtual clock and network, from one seed.  SCENARIO is a file\n"
            "or the name of one in sim/scenarios.  Exit status 1: an invariant was broken.",
        .example = "    chordial sim massfail10 --seed 7 --set nodes=100",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "SCENARIO (a file, or a name such as baseline)",
        .words_least = 1,
        .words_most = 1};
    char why[SAY_WHY_CAP];
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    o.word = argv[rest];
    if (load(argv[rest], &o.sets, &o.scenario, why) != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    return count != NO_REPEAT ? repeat(&o, count, is_json) : simulate(&o, is_json);
}
