/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/places.h"

enum { NODE_BITS = 20, MOVES = 16, FIRST_BYTE = 10 };

static bool has_nats(const struct places_settings *s, uint32_t nodes)
{
    return s->nat > PLACES_FORWARDED && s->first < nodes;
}

size_t places_bytes(const struct places_settings *s, uint32_t nodes)
{
    size_t behind = has_nats(s, nodes) ? nodes - s->first : 0;
    return nodes + behind * PLACES_MAPPINGS * sizeof(struct places_mapping) + 128;
}

void places_init(struct places *p, struct arena *arena, const struct places_settings *s,
                 uint32_t nodes, uint16_t port)
{
    *p = (struct places){.s = *s, .nodes = nodes, .port = port};
    p->moved = ARENA_ARRAY(arena, uint8_t, nodes);
    if (has_nats(s, nodes)) {
        p->mappings =
            ARENA_ARRAY(arena, struct places_mapping, (size_t)(nodes - s->first) * PLACES_MAPPINGS);
    }
}

struct address places_address(const struct places *p, uint32_t node)
{
    uint32_t all = (uint32_t)p->moved[node] << NODE_BITS | node;
    struct address a = {.family = 4, .port = p->port};
    a.ip[0] = FIRST_BYTE;
    a.ip[1] = (uint8_t)(all >> 16);
    a.ip[2] = (uint8_t)(all >> 8);
    a.ip[3] = (uint8_t)all;
    return a;
}

void places_move(struct places *p, uint32_t node)
{
    p->moved[node] = (uint8_t)((p->moved[node] + 1) % MOVES);
}

bool places_is_behind(const struct places *p, uint32_t node)
{
    return p->s.nat != PLACES_OPEN && node >= p->s.first;
}

bool places_find(const struct places *p, const struct address *a, uint32_t *node)
{
    uint32_t all = (uint32_t)a->ip[1] << 16 | (uint32_t)a->ip[2] << 8 | a->ip[3];
    uint32_t found = all & ((1U << NODE_BITS) - 1);
    if (a->family != 4 || a->ip[0] != FIRST_BYTE || found >= p->nodes) {
        return false;
    }
    *node = found;
    return all >> NODE_BITS == p->moved[found];
}

/* ---- NATs ---- */

static bool is_shut(const struct places *p, uint32_t node)
{
    return p->mappings != NULL && node >= p->s.first;
}

static struct places_mapping *mappings_of(const struct places *p, uint32_t node)
{
    return &p->mappings[(size_t)(node - p->s.first) * PLACES_MAPPINGS];
}

bool places_admits_stream(struct places *p, uint32_t node)
{
    bool is_refused = is_shut(p, node);
    p->streams_refused += is_refused ? 1 : 0;
    return !is_refused;
}

struct address places_datagram_out(struct places *p, uint64_t now_us, uint32_t from,
                                   const struct address *to)
{
    struct address seen = places_address(p, from);
    if (!is_shut(p, from)) {
        return seen;
    }
    struct places_mapping *all = mappings_of(p, from);
    uint32_t at = 0;
    for (uint32_t i = 0; i < PLACES_MAPPINGS; i++) {
        if (all[i].used_us != 0 && address_is_equal(&all[i].remote, to)) {
            at = i;
            break;
        }
        at = all[i].used_us < all[at].used_us ? i : at;
    }
    all[at] = (struct places_mapping){.remote = *to, .used_us = now_us + 1};
    if (p->s.nat == PLACES_SYMMETRIC) {
        seen.port = (uint16_t)(PLACES_PORT + at);
    }
    return seen;
}

static bool is_same_host(const struct address *a, const struct address *b)
{
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool lets_in(const struct places *p, const struct places_mapping *m, uint32_t slot,
                    const struct address *to, const struct address *seen)
{
    switch (p->s.nat) {
    case PLACES_FULL_CONE:
        return to->port == p->port;
    case PLACES_RESTRICTED:
        return to->port == p->port && is_same_host(&m->remote, seen);
    case PLACES_PORT_RESTRICTED:
        return to->port == p->port && address_is_equal(&m->remote, seen);
    case PLACES_SYMMETRIC:
        return to->port == PLACES_PORT + slot && address_is_equal(&m->remote, seen);
    case PLACES_OPEN:
    case PLACES_FORWARDED:
    case PLACES_NATS:
        break;
    }
    return true;
}

bool places_datagram_in(struct places *p, uint64_t now_us, uint32_t node, const struct address *to,
                        const struct address *seen)
{
    if (!is_shut(p, node)) {
        return to->port == p->port;
    }
    const struct places_mapping *all = mappings_of(p, node);
    for (uint32_t i = 0; i < PLACES_MAPPINGS; i++) {
        bool is_live = all[i].used_us != 0 && all[i].used_us + p->s.mapping_us > now_us;
        if (is_live && lets_in(p, &all[i], i, to, seen)) {
            return true;
        }
    }
    p->datagrams_refused++;
    return false;
}
