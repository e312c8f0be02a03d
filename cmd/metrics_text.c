/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/metrics_text.h"
#include <inttypes.h>

enum { NAME_CAP = 96, US_PER_S = 1000000 };
static const char drop[] = "_drop_";

/* ---- parts ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    return len > strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static void jot_seconds(struct jot *j, uint64_t us)
{
    jot_add(j, "%" PRIu64 ".%06" PRIu64, us / US_PER_S, us % US_PER_S);
}

static void jot_ms(struct jot *j, uint64_t ms)
{
    jot_add(j, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

/* "# TYPE", "# UNIT" where there is one, "# HELP". */
static void begin(struct jot *j, const char *family, const char *type, const char *help)
{
    jot_add(j, "# TYPE chordial_%s %s\n", family, type);
    if (ends_with(family, "_seconds") || ends_with(family, "_bytes")) {
        jot_add(j, "# UNIT chordial_%s %s\n", family, strrchr(family, '_') + 1);
    }
    jot_add(j, "# HELP chordial_%s %s\n", family, help);
}

static void one(struct jot *j, const char *family, uint64_t value, const char *help)
{
    begin(j, family, "gauge", help);
    jot_add(j, "chordial_%s %" PRIu64 "\n", family, value);
}

static void one_ms(struct jot *j, const char *family, uint64_t ms, const char *help)
{
    begin(j, family, "gauge", help);
    jot_add(j, "chordial_%s ", family);
    jot_ms(j, ms);
    jot_add(j, "\n");
}

/* ---- what shards count ---- */

/* "busy_poll_us" -> "busy_poll_seconds"; true: it is of microseconds. */
static bool family_of(const char *name, char out[NAME_CAP])
{
    bool is_us = ends_with(name, "_us");
    size_t len = strlen(name) - (is_us ? 3 : 0);
    CHECK(len + sizeof("_seconds") <= NAME_CAP);
    memcpy(out, name, len);
    memcpy(out + len, is_us ? "_seconds" : "", is_us ? sizeof("_seconds") : 1);
    return is_us;
}

static void add_metric(const struct metrics_text *m, enum metric which, struct jot *j)
{
    char family[NAME_CAP];
    bool is_us = family_of(metric_name(which), family);
    const char *kind = metric_kind(which);
    begin(j, family, kind, metric_help(which));
    jot_add(j, "chordial_%s%s ", family, strcmp(kind, "counter") == 0 ? "_total" : "");
    if (is_us) {
        jot_seconds(j, metric_read(m->sum, which));
        jot_add(j, "\n");
    } else {
        jot_add(j, "%" PRIu64 "\n", metric_read(m->sum, which));
    }
}

static void add_drops(const struct metrics_text *m, struct jot *j)
{
    begin(j, "drops", "counter", "messages and packets dropped, by layer and reason");
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_name((enum metric)i);
        const char *at = strstr(name, drop);
        if (at != NULL) {
            jot_add(j, "chordial_drops_total{layer=\"%.*s\",reason=\"%s\"} %" PRIu64 "\n",
                    (int)(at - name), name, at + sizeof(drop) - 1,
                    metric_read(m->sum, (enum metric)i));
        }
    }
}

/* Two of the four bounds of an octave, from 3 us on; no bound is a power of ten, which would have
 * to be written in another way. */
static void add_histogram(const struct metrics_text *m, enum histogram which, struct jot *j)
{
    char family[NAME_CAP];
    const struct histogram_counts *h = &m->sum->histograms[which];
    bool is_us = family_of(histogram_name(which), family);
    CHECK(is_us);
    begin(j, family, "histogram", histogram_help(which));
    uint64_t count = 0;
    for (uint32_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        count += h->buckets[i];
        if (i % 2 == 1 && i >= 3) {
            jot_add(j, "chordial_%s_bucket{le=\"", family);
            jot_seconds(j, histogram_bound_us(i));
            jot_add(j, "\"} %" PRIu64 "\n", count);
        }
    }
    count += h->buckets[HISTOGRAM_BUCKETS - 1];
    jot_add(j, "chordial_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", family, count);
    jot_add(j, "chordial_%s_count %" PRIu64 "\nchordial_%s_sum ", family, count, family);
    jot_seconds(j, h->sum_us);
    jot_add(j, "\n");
}

/* ---- what the control thread knows ---- */

static void add_expiries(const struct metrics_text *m, struct jot *j)
{
    static const char *const of[METRICS_TEXT_EXPIRIES] = {"peer", "account", "sip_tls",
                                                          "overlay_document"};
    begin(j, "expiry_timestamp_seconds", "gauge",
          "when the first certificate of its sort, or the overlay document, ends");
    for (unsigned i = 0; i < METRICS_TEXT_EXPIRIES; i++) {
        if (m->expiry_ms[i] != 0) {
            jot_add(j, "chordial_expiry_timestamp_seconds{of=\"%s\"} ", of[i]);
            jot_ms(j, m->expiry_ms[i]);
            jot_add(j, "\n");
        }
    }
}

static void add_state(const struct metrics_text *m, struct jot *j)
{
    jot_add(j,
            "# TYPE chordial_build info\n# HELP chordial_build what runs, and on what\n"
            "chordial_build_info{version=\"%s\",backend=\"",
            m->version);
    for (const char *c = m->backend; *c != '\0'; c++) { /* "io_uring (multishot ...)" */
        bool is_plain = *c != '"' && *c != '\\' && *c >= ' ';
        jot_add(j, "%c", is_plain ? *c : '_');
    }
    jot_add(j, "\"} 1\n");
    one(j, "peers", m->peers, "peers of this process, one a shard");
    one(j, "peers_joined", m->peers_joined, "of them, those that have joined the overlay");
    one(j, "live", m->is_live ? 1 : 0, "1: all shards go on");
    one(j, "ready", m->is_ready ? 1 : 0, "1: all peers have joined and find their own records");
    one(j, "draining", m->is_draining ? 1 : 0, "1: the node is about to end");
    one(j, "reload_failed", m->is_reload_failed ? 1 : 0, "1: the last reload was refused");
    one_ms(j, "reload_success_timestamp_seconds", m->reloaded_ms,
           "when the files were last read, at the start or by a reload");
    one_ms(j, "selfcheck_success_timestamp_seconds", m->checked_ms,
           "when every peer had found its own record in the overlay; 0: not yet");
    one(j, "memory_budget_bytes", m->budget_bytes, "what the limits allow all pools to take");
    add_expiries(m, j);
}

static void add_process(const struct metrics_text *m, struct jot *j)
{
    jot_add(j,
            "# TYPE process_start_time_seconds gauge\n# UNIT process_start_time_seconds seconds\n"
            "process_start_time_seconds ");
    jot_ms(j, m->started_ms);
    jot_add(j, "\n# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"
               "process_cpu_seconds_total ");
    jot_seconds(j, m->cpu_us);
    jot_add(j,
            "\n# TYPE process_resident_memory_bytes gauge\n"
            "# UNIT process_resident_memory_bytes bytes\n"
            "process_resident_memory_bytes %" PRIu64 "\n"
            "# TYPE process_open_fds gauge\nprocess_open_fds %" PRIu64 "\n"
            "# TYPE process_max_fds gauge\nprocess_max_fds %" PRIu64 "\n",
            m->resident_bytes, m->descriptors, m->descriptors_max);
}

void metrics_text_write(const struct metrics_text *m, struct jot *j)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (strstr(metric_name((enum metric)i), drop) == NULL) {
            add_metric(m, (enum metric)i, j);
        }
    }
    add_drops(m, j);
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        add_histogram(m, (enum histogram)i, j);
    }
    add_state(m, j);
    add_process(m, j);
    jot_add(j, "# EOF\n");
}
