/* SPDX-License-Identifier: Apache-2.0 */
/* underlay.h - how long bytes are on their way through a made-up network, and which datagrams are
 * not.
 *
 *   pairs        each pair of nodes has a delay of its own, from delay_us to twice that
 *   constant     delay_us
 *   coordinates  nodes stand on a plane, behind access links:
 *                wait for the sender's link + size / its rate + its delay + distance
 *                + size / the receiver's rate + its delay, and up to a tenth more (OverSim's
 *                SimpleUnderlay, in integers)
 *
 * jitter_us is added to each transmission, whatever the kind.  Datagrams may also pass a line of
 * their sender (sim/narrow): rate, queue, loss, reordering, duplicates.
 *
 * Owner: sim/net.  Integers only; everything comes from the seed. */
#pragma once
#include "core/arena.h"
#include "sim/narrow.h"

enum underlay_kind { UNDERLAY_PAIRS, UNDERLAY_CONSTANT, UNDERLAY_COORDINATES };

struct underlay_settings {
    enum underlay_kind kind;
    uint64_t delay_us;
    uint64_t jitter_us;
    /* coordinates */
    uint32_t extent_us; /* the plane's width and height, as delay */
    uint64_t access_bytes_per_s;
    uint32_t access_delay_us;
    /* datagrams; all zeros: no line */
    struct narrow_settings line;
};

struct underlay_place {
    uint32_t x_us, y_us;
    uint64_t free_ns; /* when its access link has sent all that waits */
};

struct underlay {
    struct underlay_settings s;
    uint64_t pair_seed;
    struct rng rng;
    struct underlay_place *places; /* of coordinates */
    struct narrow *lines;          /* of senders of datagrams, or NULL */
};

size_t underlay_bytes(const struct underlay_settings *s, uint32_t nodes);
void underlay_init(struct underlay *u, struct arena *arena, const struct underlay_settings *s,
                   uint32_t nodes, uint64_t seed);
/* How long `bytes` that leave now are on their way; they take their time on the access link. */
uint64_t underlay_delay_us(struct underlay *u, uint64_t now_us, uint32_t from, uint32_t to,
                           uint32_t bytes);
/* When a datagram and its duplicates arrive, if they do. */
struct narrow_fate underlay_datagram(struct underlay *u, uint64_t now_us, uint32_t from,
                                     uint32_t to, uint32_t bytes);
