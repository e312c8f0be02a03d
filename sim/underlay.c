/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/underlay.h"
#include "core/hash.h"

enum { NS_PER_US = 1000, NS_PER_S = 1000000000, IP_AND_UDP = 28 };

static bool has_line(const struct underlay_settings *s)
{
    const struct narrow_settings *l = &s->line;
    return l->bytes_per_s > 0 || l->jitter_us > 0 || l->loss_ppm > 0 || l->reorder_ppm > 0 ||
           l->duplicate_ppm > 0;
}

size_t underlay_bytes(const struct underlay_settings *s, uint32_t nodes)
{
    size_t places = s->kind == UNDERLAY_COORDINATES ? sizeof(struct underlay_place) : 0;
    size_t lines = has_line(s) ? sizeof(struct narrow) : 0;
    return nodes * (places + lines) + 128;
}

void underlay_init(struct underlay *u, struct arena *arena, const struct underlay_settings *s,
                   uint32_t nodes, uint64_t seed)
{
    *u = (struct underlay){.s = *s, .pair_seed = seed ^ 0x9a125};
    rng_init(&u->rng, seed ^ 0x2e7);
    if (s->kind == UNDERLAY_COORDINATES) {
        struct rng where;
        rng_init(&where, seed ^ 0xc002d);
        u->places = ARENA_ARRAY(arena, struct underlay_place, nodes);
        for (uint32_t i = 0; i < nodes; i++) {
            u->places[i].x_us = (uint32_t)rng_below(&where, (uint64_t)s->extent_us + 1);
            u->places[i].y_us = (uint32_t)rng_below(&where, (uint64_t)s->extent_us + 1);
        }
    }
    if (has_line(s)) {
        u->lines = ARENA_ARRAY(arena, struct narrow, nodes);
        for (uint32_t i = 0; i < nodes; i++) {
            narrow_init(&u->lines[i], &s->line, seed * 0x9e3779b97f4a7c15ULL + i);
        }
    }
}

static uint64_t root_of(uint64_t square)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 32; bit != 0; bit >>= 1) {
        uint64_t tried = root | bit;
        root = tried <= square / tried ? tried : root;
    }
    return root;
}

static uint64_t distance_us(const struct underlay_place *a, const struct underlay_place *b)
{
    uint64_t x = a->x_us > b->x_us ? a->x_us - b->x_us : b->x_us - a->x_us;
    uint64_t y = a->y_us > b->y_us ? a->y_us - b->y_us : b->y_us - a->y_us;
    return root_of(x * x + y * y);
}

static uint64_t over_plane_us(struct underlay *u, uint64_t now_us, uint32_t from, uint32_t to,
                              uint32_t bytes)
{
    struct underlay_place *sender = &u->places[from];
    uint64_t rate = u->s.access_bytes_per_s;
    uint64_t link_ns = rate == 0 ? 0 : (uint64_t)bytes * NS_PER_S / rate;
    sender->free_ns = max_u64(sender->free_ns, now_us * NS_PER_US) + link_ns;
    uint64_t sum = sender->free_ns / NS_PER_US - now_us + link_ns / NS_PER_US +
                   2 * (uint64_t)u->s.access_delay_us + distance_us(sender, &u->places[to]);
    return sum + rng_below(&u->rng, sum / 10 + 1);
}

uint64_t underlay_delay_us(struct underlay *u, uint64_t now_us, uint32_t from, uint32_t to,
                           uint32_t bytes)
{
    uint64_t delay = u->s.delay_us;
    uint32_t pair[2] = {from < to ? from : to, from < to ? to : from};
    switch (u->s.kind) {
    case UNDERLAY_CONSTANT:
        break;
    case UNDERLAY_PAIRS:
        delay += hash_64(slice_of(pair, sizeof(pair)), u->pair_seed) % (delay + 1);
        break;
    case UNDERLAY_COORDINATES:
        delay = over_plane_us(u, now_us, from, to, bytes);
        break;
    }
    return delay + rng_below(&u->rng, u->s.jitter_us + 1);
}

struct narrow_fate underlay_datagram(struct underlay *u, uint64_t now_us, uint32_t from,
                                     uint32_t to, uint32_t bytes)
{
    struct narrow_fate fate = {.copies = 1, .arrives_us = {now_us}};
    if (u->lines != NULL) {
        fate = narrow_enter(&u->lines[from], now_us, bytes + IP_AND_UDP);
    }
    for (uint32_t i = 0; i < fate.copies; i++) {
        fate.arrives_us[i] += underlay_delay_us(u, now_us, from, to, bytes + IP_AND_UDP);
    }
    return fate;
}
