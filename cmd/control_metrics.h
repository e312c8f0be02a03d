/* SPDX-License-Identifier: Apache-2.0 */
/* control_metrics.h - what a running node counts and how it is, for `ctl metrics`, `histograms` and
 * `health`, and over HTTP where metrics-listen names an address.
 *
 * Shards are read while they run (core/metric.h); nothing here waits for them.
 * Owner: the control thread. */
#pragma once
#include "cmd/control_health.h"
#include "cmd/daemon.h"
#include "cmd/jot.h"
#include "cmd/metrics_http.h"
#include "core/io.h"

struct control_metrics {
    struct daemon *daemon;
    const struct overlay_doc_keep *document;
    const uint64_t *sip_tls_ends_ms; /* 0: phones have no TLS */
    struct control_health health;
    struct metrics_http *http; /* NULL: nobody is served */
    struct metrics_http_host host;
    uint64_t now_us;
    uint64_t started_ms, reloaded_ms;
    bool is_reload_failed;
    bool is_draining;
    bool has_untold[OVERLAY_SHARDS_CAP]; /* a self-check is due and was not mailed yet */
    struct metrics sum;                  /* too large for a frame */
};

/* Both pointers must outlive it. */
enum err control_metrics_open(struct control_metrics *cm, struct daemon *d,
                              const struct overlay_doc_keep *document,
                              const uint64_t *sip_tls_ends_ms, char *why) MUST_USE;
void control_metrics_close(struct control_metrics *cm);
struct pollfd control_metrics_poll(const struct control_metrics *cm, int *timeout_ms);
/* After each poll. */
void control_metrics_work(struct control_metrics *cm, uint64_t now_us);
/* An answer of a shard; false: to another question. */
bool control_metrics_on_answer(struct control_metrics *cm, const struct io_event *event,
                               uint64_t now_us);
void control_metrics_on_reload(struct control_metrics *cm, bool is_good);
/* Each one JSON object. */
void control_metrics_describe(struct control_metrics *cm, struct jot *j);
void control_metrics_describe_histograms(struct control_metrics *cm, struct jot *j);
void control_metrics_describe_health(struct control_metrics *cm, struct jot *j);
