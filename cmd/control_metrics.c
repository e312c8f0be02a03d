/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/control_metrics.h"
#include "cmd/cmd.h"
#include "core/os/host.h"
#include "node/overlay_doc_keep.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Of our own questions to shards: no client of the admin socket has this. */
#define CHECK_TAG UINT64_C(0xffffffff0001)

/* ---- sums ---- */

static void add_persistence(const struct daemon *d, struct metrics *out)
{
    struct persist_thread_status s = {0};
    if (d->persist != NULL) {
        persist_thread_status(d->persist, &s);
    }
    metric_add(out, METRIC_persist_commits, s.commits);
    metric_add(out, METRIC_persist_commit_max_us, s.commit_us_max);
    metric_add(out, METRIC_persist_failures, s.failures);
    metric_add(out, METRIC_persist_lost, s.lost_records);
    metric_add(out, METRIC_persist_bytes, s.db.bytes);
    metric_add(out, METRIC_persist_max_bytes, s.db.map_bytes);
    metric_add(out, METRIC_persist_broken, s.db.broken);
    metric_add(out, METRIC_persist_set_aside, s.db.set_aside);
}

/* Of all shards, and of what keeps their records. */
static const struct metrics *add_up(struct control_metrics *cm)
{
    cm->sum = (struct metrics){0};
    for (uint32_t i = 0; i < cm->daemon->count; i++) {
        const struct metrics *m = shard_metrics(cm->daemon->shards[i].shard);
        for (unsigned k = 0; k < METRIC_COUNT; k++) {
            cm->sum.values[k] += metric_read(m, (enum metric)k);
        }
        for (unsigned k = 0; k < HISTOGRAM_COUNT; k++) {
            histogram_add(&cm->sum.histograms[k], &m->histograms[k]);
        }
    }
    add_persistence(cm->daemon, &cm->sum);
    return &cm->sum;
}

void control_metrics_describe(struct control_metrics *cm, struct jot *j)
{
    const struct metrics *sum = add_up(cm);
    jot_add(j, "{");
    for (unsigned m = 0; m < METRIC_COUNT; m++) {
        jot_add(j, "%s\"%s\":%" PRIu64, m == 0 ? "" : ",", metric_name((enum metric)m),
                metric_read(sum, (enum metric)m));
    }
    jot_add(j, "}");
}

/* `key`: null where nothing was counted, and for what is beyond all bounds. */
static void jot_quantile(struct jot *j, const struct histogram_counts *h, const char *key,
                         uint32_t per_million)
{
    uint64_t us = histogram_quantile_us(h, per_million);
    if (histogram_count(h) == 0 || us == UINT64_MAX) {
        jot_add(j, ",\"%s\":null", key);
    } else {
        jot_add(j, ",\"%s\":%" PRIu64, key, us);
    }
}

void control_metrics_describe_histograms(struct control_metrics *cm, struct jot *j)
{
    const struct metrics *sum = add_up(cm);
    jot_add(j, "{\"rows\":[");
    for (unsigned k = 0; k < HISTOGRAM_COUNT; k++) {
        const struct histogram_counts *h = &sum->histograms[k];
        uint64_t count = histogram_count(h);
        jot_add(j, "%s{\"name\":\"%s\",\"count\":%" PRIu64 ",\"mean_us\":%" PRIu64,
                k == 0 ? "" : ",", histogram_name((enum histogram)k), count,
                count == 0 ? 0 : h->sum_us / count);
        jot_quantile(j, h, "p50_us", 500000);
        jot_quantile(j, h, "p90_us", 900000);
        jot_quantile(j, h, "p99_us", 990000);
        jot_quantile(j, h, "p999_us", 999000);
        jot_quantile(j, h, "max_us", 1000000);
        jot_add(j, "}");
    }
    jot_add(j, "]}");
}

/* ---- health ---- */

static bool is_live(void *context, char *why)
{
    const struct control_metrics *cm = context;
    uint32_t shard = 0;
    uint64_t for_us = 0;
    if (control_health_is_live(&cm->health, cm->now_us, &shard, &for_us)) {
        return true;
    }
    (void)snprintf(why, SAY_WHY_CAP, "shard %u has not moved for %" PRIu64 " s", shard,
                   for_us / 1000000);
    return false;
}

static bool is_ready(void *context, char *why)
{
    const struct control_metrics *cm = context;
    uint32_t shard = 0;
    uint64_t for_us = 0;
    uint32_t joined = control_health_joined(&cm->health);
    if (cm->is_draining) {
        (void)snprintf(why, SAY_WHY_CAP, "draining");
        return false;
    }
    if (joined < cm->daemon->count) {
        (void)snprintf(why, SAY_WHY_CAP, "%u of %u peers have joined the overlay", joined,
                       cm->daemon->count);
        return false;
    }
    if (!control_health_is_fresh(&cm->health, cm->now_us, &shard, &for_us)) {
        (void)snprintf(why, SAY_WHY_CAP,
                       "peer %u has not found its own record in the overlay for %" PRIu64 " s",
                       shard, for_us / 1000000);
        return false;
    }
    return is_live(context, why);
}

void control_metrics_describe_health(struct control_metrics *cm, struct jot *j)
{
    char why[SAY_WHY_CAP] = "";
    bool live = is_live(cm, why);
    bool ready = is_ready(cm, why);
    jot_add(j, "{\"live\":%s,\"ready\":%s,\"why\":", live ? "true" : "false",
            ready ? "true" : "false");
    jot_string(j, slice_text(why));
    jot_add(j, "}");
}

/* The peer looks up its own certificate, as anybody else would. */
static void ask(struct control_metrics *cm, uint32_t shard)
{
    const struct ident *who = &cm->daemon->setup->peers[shard].ident;
    bool by_node = control_health_asks_by_node(&cm->health, shard);
    struct slice name = by_node ? slice_of(who->node_id.bytes, IDS_NODE_MIN)
                                : slice_of((const uint8_t *)who->user, who->user_len);
    struct admin_request r = {.verb = ADMIN_FETCH,
                              .kind = by_node ? OVERLAY_KIND_CERTIFICATE_BY_NODE
                                              : OVERLAY_KIND_CERTIFICATE_BY_USER,
                              .name_len = (uint16_t)min_size(name.len, ADMIN_NAME_CAP)};
    memcpy(r.name, name.data, r.name_len);
    cm->has_untold[shard] = shard_control_send(cm->daemon->group, shard, IO_MAIL_CONTROL, CHECK_TAG,
                                               slice_of(&r, sizeof(r))) != ERR_OK;
}

bool control_metrics_on_answer(struct control_metrics *cm, const struct io_event *event,
                               uint64_t now_us)
{
    static const char good[] = "\"ok\":true", none[] = "\"value_total\":0";
    if (event->tag != CHECK_TAG) {
        return false;
    }
    const uint8_t *rows = event->data + sizeof(struct admin_answer);
    size_t len = event->data_len - sizeof(struct admin_answer);
    bool is_good = memmem(rows, len, good, sizeof(good) - 1) != NULL &&
                   memmem(rows, len, none, sizeof(none) - 1) == NULL;
    control_health_on_check(&cm->health, event->shard, is_good, now_us, host_wall_ms());
    return true;
}

/* ---- over HTTP ---- */

static uint64_t earliest(const struct keystore *keys, size_t count)
{
    uint64_t first_ms = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t ends_ms = keys[i].ident.not_after_ms;
        first_ms = first_ms == 0 ? ends_ms : min_u64(first_ms, ends_ms);
    }
    return first_ms;
}

static void measure_process(struct metrics_text *m)
{
    struct timespec cpu = {0};
    struct rlimit descriptors = {0};
    char line[128]; /* "size resident ...", in pages */
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        const char *second = fgets(line, sizeof(line), f) == NULL ? NULL : strchr(line, ' ');
        uint64_t pages = second == NULL ? 0 : strtoull(second, NULL, 10);
        m->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        (void)fclose(f);
    }
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        m->cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
    }
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        m->descriptors_max = descriptors.rlim_cur;
    }
    m->descriptors = host_descriptors_open();
}

static void describe_text(void *context, struct jot *j)
{
    struct control_metrics *cm = context;
    const struct setup *s = cm->daemon->setup;
    char why[SAY_WHY_CAP];
    size_t lines = 0;
    struct metrics_text m = {
        .sum = add_up(cm),
        .version = CMD_VERSION,
        .backend = shard_backend_text(cm->daemon->shards[0].shard),
        .peers = cm->daemon->count,
        .peers_joined = control_health_joined(&cm->health),
        .is_live = is_live(cm, why),
        .is_ready = is_ready(cm, why),
        .is_draining = cm->is_draining,
        .expiry_ms = {[METRICS_TEXT_PEER] = earliest(s->peers, cm->daemon->count),
                      [METRICS_TEXT_ACCOUNT] = earliest(s->accounts, s->account_count),
                      [METRICS_TEXT_SIP_TLS] = *cm->sip_tls_ends_ms,
                      [METRICS_TEXT_DOCUMENT] = overlay_doc_keep_now(cm->document)->expiration_ms},
        .checked_ms = control_health_checked_ms(&cm->health),
        .reloaded_ms = cm->reloaded_ms,
        .is_reload_failed = cm->is_reload_failed,
        .budget_bytes = limits_budget(&s->config.limits, NULL, 0, &lines) * cm->daemon->count,
        .started_ms = cm->started_ms};
    measure_process(&m);
    metrics_text_write(&m, j);
}

struct pollfd control_metrics_poll(const struct control_metrics *cm, int *timeout_ms)
{
    return cm->http == NULL ? (struct pollfd){.fd = -1} : metrics_http_poll(cm->http, timeout_ms);
}

void control_metrics_work(struct control_metrics *cm, uint64_t now_us)
{
    cm->now_us = now_us;
    for (uint32_t i = 0; i < cm->daemon->count; i++) {
        uint64_t turns = metric_read(shard_metrics(cm->daemon->shards[i].shard), METRIC_turns);
        if (control_health_tick(&cm->health, i, turns, now_us) || cm->has_untold[i]) {
            ask(cm, i);
        }
    }
    if (cm->http != NULL) {
        metrics_http_work(cm->http, now_us);
    }
}

void control_metrics_on_reload(struct control_metrics *cm, bool is_good)
{
    cm->is_reload_failed = !is_good;
    cm->reloaded_ms = is_good ? host_wall_ms() : cm->reloaded_ms;
}

enum err control_metrics_open(struct control_metrics *cm, struct daemon *d,
                              const struct overlay_doc_keep *document,
                              const uint64_t *sip_tls_ends_ms, char *why)
{
    const struct address *at = &d->setup->config.metrics;
    char text[ADDRESS_TEXT_CAP];
    cm->daemon = d;
    cm->document = document;
    cm->sip_tls_ends_ms = sip_tls_ends_ms;
    cm->now_us = host_now_us();
    cm->started_ms = cm->reloaded_ms = host_wall_ms();
    cm->host = (struct metrics_http_host){
        .context = cm, .describe = describe_text, .is_live = is_live, .is_ready = is_ready};
    control_health_init(&cm->health, d->count, at->family != 0, cm->now_us);
    if (at->family == 0) {
        return ERR_OK;
    }
    enum err e = metrics_http_open(at, &cm->host, &cm->http, why);
    if (e == ERR_OK) {
        say_line("metrics: http://%s/metrics%s", address_text(at, text),
                 address_range_of(at) == ADDRESS_LOOPBACK
                     ? ""
                     : "; WARNING: not loopback: whoever reaches it may read, without TLS");
    }
    return e;
}

void control_metrics_close(struct control_metrics *cm)
{
    metrics_http_close(cm->http);
    cm->http = NULL;
}
