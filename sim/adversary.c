/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/adversary.h"
#include "codec/frame.h"
#include "codec/msgs.h"
#include "dht/overlay_impl.h"
#include "sim/tls_fake.h"

enum { STEP_US = 1000000, FLOOD_STORES = 8, NOISE_BYTES = 200, WRONG = 0x55 };

static const struct rl_params params = {.node_id_length = 16};

size_t adversary_bytes(uint32_t nodes)
{
    return nodes + 128;
}

void adversary_init(struct adversary *a, struct arena *arena, const struct adversary_settings *s,
                    uint32_t nodes, uint64_t seed)
{
    memset(a, 0, sizeof(*a)); /* too large for a frame */
    a->s = *s;
    a->is_hostile = ARENA_ARRAY(arena, uint8_t, nodes);
    rng_init(&a->rng, seed ^ 0xad7e5);
}

/* ---- what passes through ---- */

/* Is this for somebody else? */
static bool is_transit(struct world *w, uint32_t node, const struct fwd *h)
{
    struct rd r = rd_init(h->destination_list);
    struct fwd_destination d;
    struct overlay_resource resource;
    if (!fwd_next(&r, &params, &d)) {
        return false;
    }
    if (d.type == FWD_DESTINATION_NODE) {
        bool is_us = slice_is_equal(d.id, slice_of(world_ident(w, node)->node_id.bytes, 16));
        return !is_us || h->destination_count > 1;
    }
    if (d.type != FWD_DESTINATION_RESOURCE || d.id.len != sizeof(resource.bytes)) {
        return false;
    }
    memcpy(resource.bytes, d.id.data, sizeof(resource.bytes));
    return !overlay_is_responsible(node_overlay(world_node(w, node)), &resource);
}

static void keep(struct adversary *a, struct slice message)
{
    struct adversary_kept *k = &a->kept[a->kept_next++ % ADVERSARY_KEPT];
    if (message.len <= sizeof(k->bytes)) {
        memcpy(k->bytes, message.data, message.len);
        k->len = (uint32_t)message.len;
    }
}

static bool draws(struct adversary *a, uint32_t what)
{
    return (a->s.does & what) != 0 &&
           ((a->s.does & (ADVERSARY_DROP | ADVERSARY_MISROUTE | ADVERSARY_GARBLE)) == what ||
            rng_below(&a->rng, 3) == 0);
}

/* `start` is where the event's bytes begin, which are ours to write to. */
static void on_message(struct adversary *a, struct world *w, uint32_t node, struct slice message,
                       uint8_t *bytes)
{
    struct fwd h;
    if (fwd_decode_header(message, &params, &h) != ERR_OK || !is_transit(w, node, &h)) {
        return;
    }
    keep(a, message);
    if (draws(a, ADVERSARY_DROP)) {
        bytes[4] ^= WRONG; /* of another overlay, so that it is dropped without a word */
        a->dropped++;
    } else if (draws(a, ADVERSARY_MISROUTE)) {
        size_t at = (size_t)(h.destination_list.data - message.data) + h.destination_list.len;
        rng_fill(&a->rng, bytes + at - 8, 8); /* the end of the last place to go to */
        a->misrouted++;
    } else if (draws(a, ADVERSARY_GARBLE) && message.len > h.header_bytes) {
        size_t at = h.header_bytes + rng_below(&a->rng, message.len - h.header_bytes);
        bytes[at] ^= (uint8_t)(1u << rng_below(&a->rng, 8));
        a->garbled++;
    }
}

static void on_frames(struct adversary *a, struct world *w, uint32_t node, struct slice plain,
                      uint8_t *bytes)
{
    struct rd r = rd_init(plain);
    while (rd_left(&r) > 0) {
        struct frame f;
        frame_rd(&r, &f);
        if (!rd_ok(&r)) {
            return;
        }
        if (f.type == FRAME_DATA) {
            on_message(a, w, node, f.message, bytes + (f.message.data - plain.data));
        }
    }
}

static void tamper(void *context, struct world *w, uint32_t node, uint8_t *bytes, size_t len)
{
    struct adversary *a = context;
    if (a->is_hostile[node] == 0) {
        return;
    }
    for (size_t at = 0; at < len;) {
        struct slice plain;
        size_t record = tls_fake_record(slice_of(bytes + at, len - at), &plain);
        if (record == 0) {
            return;
        }
        if (plain.len > 0) {
            on_frames(a, w, node, plain, bytes + (plain.data - bytes));
        }
        at += record;
    }
}

/* ---- of their own accord ---- */

static handle any_link(struct adversary *a, struct overlay *o)
{
    const struct chord_table *ct = &o->table;
    return ct->count == 0 ? 0 : ct->nodes[rng_below(&a->rng, ct->count)].link;
}

static void send(struct adversary *a, struct turn *t, struct overlay *o, struct slice message)
{
    handle link = any_link(a, o);
    if (link != 0) {
        (void)!link_send(t, o->links, link, message, SLICE_EMPTY);
    }
}

/* Eight neighbors on each side, none of whom exists, and the nearest that there could be. */
static void lie(struct adversary *a, struct turn *t, struct overlay *o)
{
    uint8_t near[2][8 * 16];
    uint8_t out[600];
    if (o->table.count == 0) {
        return;
    }
    const struct chord_table_node *to = &o->table.nodes[rng_below(&a->rng, o->table.count)];
    for (uint32_t k = 0; k < 16; k++) {
        memcpy(near[k / 8] + k % 8 * 16, to->id.bytes, 16);
        rng_fill(&a->rng, near[k / 8] + k % 8 * 16 + 2, 14);
    }
    struct msgs_chord_update body = {.uptime = 1,
                                     .type = MSGS_CHORD_NEIGHBORS,
                                     .predecessors = slice_of(near[0], sizeof(near[0])),
                                     .successors = slice_of(near[1], sizeof(near[1]))};
    struct wr w = wr_init(out, sizeof(out));
    msgs_chord_update_wr(&w, &o->params, &body);
    struct transact_request request = {.owner = TRANSACT_NOBODY,
                                       .target = {.type = TRANSACT_NODE, .node = to->id},
                                       .code = CONTENT_UPDATE_REQ,
                                       .body = wr_slice(&w),
                                       .transmissions = 1};
    if (wr_ok(&w) && transact_request(t, o->transact, &request, NULL) == ERR_OK) {
        a->lied++;
    }
}

/* At places that are nobody's business of theirs. */
static void flood(struct adversary *a, struct world *w, struct turn *t, uint32_t node)
{
    uint8_t value[400];
    rng_fill(&a->rng, value, sizeof(value));
    struct overlay_store what = {.kind = OVERLAY_KIND_SIP_REGISTRATION,
                                 .signer = world_ident(w, node),
                                 .key = slice_of(world_ident(w, node)->node_id.bytes, 16),
                                 .exists = true,
                                 .value = slice_of(value, sizeof(value)),
                                 .lifetime_s = 86400};
    for (uint32_t k = 0; k < FLOOD_STORES; k++) {
        rng_fill(&a->rng, what.resource.bytes, sizeof(what.resource.bytes));
        enum err e = overlay_store(t, node_overlay(world_node(w, node)), &what, 0);
        a->flooded += e == ERR_OK ? 1 : 0;
    }
}

static void act(struct adversary *a, struct world *w, uint32_t node)
{
    struct overlay *o = node_overlay(world_node(w, node));
    struct turn *t = world_begin_turn(w, node);
    const struct adversary_kept *k = &a->kept[rng_below(&a->rng, ADVERSARY_KEPT)];
    uint8_t noise[NOISE_BYTES];
    if ((a->s.does & ADVERSARY_REPLAY) != 0 && k->len > 0) {
        send(a, t, o, slice_of(k->bytes, k->len));
        a->replayed++;
    }
    if ((a->s.does & ADVERSARY_NOISE) != 0) {
        rng_fill(&a->rng, noise, sizeof(noise));
        if (k->len >= 16 && rng_below(&a->rng, 2) == 0) {
            memcpy(noise, k->bytes, 16); /* it begins well */
        }
        send(a, t, o, slice_of(noise, sizeof(noise)));
        a->noise++;
    }
    if ((a->s.does & ADVERSARY_LIE) != 0) {
        lie(a, t, o);
    }
    if ((a->s.does & ADVERSARY_FLOOD) != 0) {
        flood(a, w, t, node);
    }
    world_end_turn(w, node);
}

void adversary_step(struct adversary *a, struct world *w)
{
    bool acts = a->s.does >= ADVERSARY_REPLAY && a->hostile > 0;
    if (!acts || a->next_us > world_now_us(w)) {
        return;
    }
    a->next_us = world_now_us(w) + STEP_US;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        bool may = a->is_hostile[i] != 0 && world_is_alive(w, i);
        if (may && overlay_is_ready(node_overlay(world_node(w, i)))) {
            act(a, w, i);
        }
    }
}

void adversary_begin(struct adversary *a, struct world *w)
{
    uint32_t nodes = world_settings_of(w)->nodes;
    uint32_t wanted = (uint32_t)((uint64_t)nodes * a->s.percent / 100);
    while (a->hostile < wanted) {
        uint32_t i = (uint32_t)rng_below(&a->rng, nodes);
        a->hostile += a->is_hostile[i] == 0 ? 1 : 0;
        a->is_hostile[i] = 1;
    }
    if (wanted > 0) {
        world_set_tamper(w, tamper, a);
    }
}

void adversary_end(struct adversary *a, struct world *w)
{
    world_set_tamper(w, NULL, NULL);
    a->hostile = 0;
}

uint64_t adversary_deeds(const struct adversary *a)
{
    return a->dropped + a->misrouted + a->garbled + a->replayed + a->lied + a->flooded + a->noise;
}
