/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http.h - metrics and health over HTTP, for Prometheus and load balancers: read only, off
 * unless metrics-listen names an address.
 *
 *   GET /metrics  OpenMetrics text (cmd/metrics_text)
 *   GET /livez    200 while the shards go on, else 503; the body says why
 *   GET /readyz   200 while the node can be given work, else 503
 *
 * libmicrohttpd reads the requests; each connection carries one.
 *
 * Owner:  the control thread, which polls; no shard is touched or waited for.
 * Limits: METRICS_HTTP_CONNECTIONS, of one address METRICS_HTTP_PER_ADDRESS; of more the oldest
 * ends, of that address or of all, so silent ones keep nobody out.  A request line with its headers
 * METRICS_HTTP_REQUEST bytes; METRICS_HTTP_IDLE_S of silence, METRICS_HTTP_LIFE_US in all. */
#pragma once
#include "cmd/metrics_text.h"
#include "cmd/say.h"
#include "core/address.h"
#include "core/err.h"
#include <poll.h>

enum {
    METRICS_HTTP_PORT = 9464,
    METRICS_HTTP_CONNECTIONS = 16,
    METRICS_HTTP_PER_ADDRESS = 8,
    METRICS_HTTP_REQUEST = 4096,
    METRICS_HTTP_IDLE_S = 5,
    METRICS_HTTP_LIFE_US = 10 * 1000 * 1000,
};

struct metrics_http_host {
    void *context;
    void (*describe)(void *context, struct jot *j); /* all of /metrics */
    /* `why` (SAY_WHY_CAP) is filled when not. */
    bool (*is_live)(void *context, char *why);
    bool (*is_ready)(void *context, char *why);
};

struct metrics_http;

/* Listens at once. */
enum err metrics_http_open(const struct address *at, const struct metrics_http_host *host,
                           struct metrics_http **out, char *why) MUST_USE;
void metrics_http_close(struct metrics_http *h);
/* What to poll, and no longer than *timeout_ms. */
struct pollfd metrics_http_poll(const struct metrics_http *h, int *timeout_ms);
/* After each poll. */
void metrics_http_work(struct metrics_http *h, uint64_t now_us);
