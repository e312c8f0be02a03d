/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_text.h - what a node counts, as OpenMetrics text 1.0 for Prometheus.
 *
 * Names are made from core/metric.def and core/histogram.def, so nothing can be forgotten:
 *
 *   links_up          gauge      chordial_links_up
 *   turns             counter    chordial_turns_total
 *   busy_poll_us      counter    chordial_busy_poll_seconds_total    (base units)
 *   dht_drop_ttl      counter    chordial_drops_total{layer="dht",reason="ttl"}
 *   lookup_us         histogram  chordial_lookup_seconds_bucket{le="..."}, _count, _sum
 *
 * No label ever holds what a peer or a user has chosen: the number of series is fixed, about 600.
 * Owner: pure, into the caller's buffer; METRICS_TEXT_CAP bytes suffice. */
#pragma once
#include "cmd/jot.h"
#include "core/metric.h"

enum { METRICS_TEXT_CAP = 192 * 1024 };

/* Of certificates and documents of one sort the one that ends first; 0: there is none. */
enum metrics_text_expiry {
    METRICS_TEXT_PEER,
    METRICS_TEXT_ACCOUNT,
    METRICS_TEXT_SIP_TLS,
    METRICS_TEXT_DOCUMENT,
    METRICS_TEXT_EXPIRIES,
};

struct metrics_text {
    const struct metrics *sum; /* of all shards */
    const char *version;
    const char *backend;
    uint32_t peers, peers_joined;
    bool is_live, is_ready, is_draining;
    uint64_t expiry_ms[METRICS_TEXT_EXPIRIES];
    uint64_t checked_ms;   /* when each peer had looked itself up; 0: not yet */
    uint64_t reloaded_ms;  /* when files were read anew, or the node began */
    bool is_reload_failed; /* the last time */
    uint64_t budget_bytes; /* what limits allow the pools to take */
    /* of the process; 0: /proc does not say */
    uint64_t started_ms, cpu_us, resident_bytes, descriptors, descriptors_max;
};

void metrics_text_write(const struct metrics_text *m, struct jot *j);
