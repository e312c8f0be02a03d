/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.h - one direction of a made-up line for datagrams: rate, queue, delay, jitter, loss.
 *
 * A line keeps no datagrams.  It says what becomes of one that enters now, and whoever has the
 * event queue lets it arrive.  Several senders may share a line: they share its rate and queue.
 * Integers only; the same seed and the same datagrams in the same order have the same fates.
 * Owner: a plain value.   Limits: queue_bytes; at most NARROW_COPIES arrivals of a datagram. */
#pragma once
#include "core/rng.h"

enum { NARROW_COPIES = 2 };

struct narrow_settings {
    uint64_t bytes_per_s; /* 0 = as fast as you like */
    uint32_t queue_bytes; /* waiting for the line, the one being sent included; more are dropped */
    uint32_t delay_us;    /* of the line itself */
    uint32_t jitter_us;   /* up to so much more, drawn for each datagram; order is kept */
    uint32_t loss_ppm;    /* lost on the line, not for want of room */
    uint32_t reorder_ppm; /* held back by reorder_us, while others pass */
    uint32_t reorder_us;
    uint32_t duplicate_ppm; /* arrives once more, reorder_us later */
};

struct narrow {
    struct narrow_settings settings;
    struct rng rng;
    uint64_t free_ns;    /* when the line has sent all that waits */
    uint64_t arrives_us; /* of the last one that kept its place */
    uint64_t entered, lost, overflowed, held_back, duplicated;
    uint64_t carried_bytes;
};

struct narrow_fate {
    uint32_t copies; /* 0: it does not arrive */
    uint64_t arrives_us[NARROW_COPIES];
};

void narrow_init(struct narrow *n, const struct narrow_settings *settings, uint64_t seed);
/* A datagram of `bytes`, headers of UDP and IP included, enters at now_us (never before the last
 * one). */
struct narrow_fate narrow_enter(struct narrow *n, uint64_t now_us, uint32_t bytes);
