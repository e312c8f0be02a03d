/* SPDX-License-Identifier: Apache-2.0 */
/* Everything at once, at random: dials, messages, closes, damage, silence, shortage.  Whatever
 * happens, nothing is delivered that was not sent, and every pool is as before in the end. */
#include "link/link_table.h"
#include "tests/unit/link/link_world.h"

static void random_conn(struct world_host *h, uint64_t what)
{
    struct world_conn *c = &h->conns[rng_below(&world.rng, 8)];
    if (!c->is_open) {
        return;
    }
    if (what == 0 && c->len > 0) {
        c->bytes[rng_below(&world.rng, c->len)] ^= 0x10;
    } else if (what == 1) {
        c->is_silent = !c->is_silent;
    } else if (what == 2) {
        handle link = c->link;
        close_conn(c);
        link_on_closed(&h->t, h->links, link, ERR_IO);
        take_events(h);
    }
}

static void random_step(size_t from, size_t to)
{
    static uint8_t text[5000];
    struct world_host *h = &world.hosts[from];
    struct node_id id = node_of(&world.hosts[to]);
    handle link = 0;
    enum err error = ERR_OK;
    h->t.now_us = world.now_us;
    switch (rng_below(&world.rng, 16)) {
    case 0:
        error = link_dial(&h->t, h->links, &world.hosts[to].address, &id, 1, &link);
        cr_assert(error == ERR_OK || error == ERR_LIMIT);
        break;
    case 1:
        link_close(&h->t, h->links, link_find(h->links, &id));
        take_events(h);
        break;
    case 2:
        random_conn(h, rng_below(&world.rng, 40));
        break;
    case 3:
        h->buffers.fail_after =
            rng_below(&world.rng, 12) == 0 ? (uint32_t)rng_below(&world.rng, 20) : UINT32_MAX;
        break;
    case 4:
        world_pass(rng_below(&world.rng, 2000000));
        break;
    case 5:
        world_settle();
        break;
    default:
        memset(text, (int)(from * 16 + to), sizeof(text));
        error =
            world_send(from, to, slice_of(text, 3), slice_of(text, rng_below(&world.rng, 4990)));
        cr_assert_neq(error, ERR_TOO_LARGE);
        break;
    }
    carry_out(h);
}

/* Each link that drains stands in the chain of its node, and no other does. */
static void check_draining(const struct link_table *lt)
{
    uint32_t index = 0, draining = 0, chained = 0;
    const struct link *l = NULL;
    while ((l = pool_next(&lt->pool, &index)) != NULL) {
        cr_assert(l->state == LINK_STATE_DRAINING || l->next_draining == NULL);
        draining += l->state == LINK_STATE_DRAINING;
    }
    for (size_t i = 0; i < WORLD_HOSTS; i++) {
        struct node_id id = node_of(&world.hosts[i]);
        uint32_t of_node = 0;
        l = link_table_draining(lt, &id);
        for (; l != NULL; l = l->next_draining) {
            cr_assert_eq(l->state, LINK_STATE_DRAINING);
            cr_assert(ids_node_is_equal(&l->node_id, &id));
            of_node++;
        }
        cr_assert_leq(of_node, LINK_TABLE_DRAINING_PER_NODE);
        chained += of_node;
    }
    cr_assert_eq(draining, chained);
}

static void check_messages(size_t to)
{
    const struct world_host *h = &world.hosts[to];
    for (size_t i = 0; i < h->event_count; i++) {
        const struct world_event *e = &h->events[i];
        if (e->message == NULL) {
            continue;
        }
        /* Node-IDs begin with 0x10 * (host + 1). */
        size_t peer = (size_t)(e->event.node_id.bytes[0] >> 4) - 1;
        size_t sender = e->event.kind == LINK_MESSAGE ? peer : to;
        size_t target = e->event.kind == LINK_MESSAGE ? to : peer;
        cr_assert_geq(e->event.message_len, 3);
        for (size_t k = 0; k < e->event.message_len; k++) {
            cr_assert_eq(e->message[k], sender * 16 + target);
        }
    }
}

/* Each link handle: UP at most once at a time, DOWN ends it, nothing without UP but DOWN. */
static void check_order(size_t host)
{
    const struct world_host *h = &world.hosts[host];
    for (size_t i = 0; i < h->event_count; i++) {
        const struct link_event *e = &h->events[i].event;
        bool is_up = false;
        for (size_t k = 0; k < i; k++) {
            const struct link_event *before = &h->events[k].event;
            if (before->link == e->link) {
                is_up = before->kind == LINK_UP || (is_up && before->kind != LINK_DOWN);
            }
        }
        cr_assert_eq(is_up, e->kind != LINK_UP && (e->kind != LINK_DOWN || e->was_up),
                     "event %zu kind %d", i, (int)e->kind);
    }
}

Test(link_table, survives_everything_at_once)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        world_init(1000 + seed);
        world.most = seed % 3 == 0 ? 400 : 20000;
        size_t up = 0;
        for (size_t i = 0; i < 600; i++) {
            size_t from = rng_below(&world.rng, 3);
            size_t to = (from + 1 + rng_below(&world.rng, 2)) % 3;
            random_step(from, to);
            check_draining(world.hosts[from].links);
            check_draining(world.hosts[to].links);
            if (world.hosts[from].event_count > WORLD_EVENTS / 2) {
                break;
            }
        }
        for (size_t i = 0; i < WORLD_HOSTS; i++) {
            world.hosts[i].buffers.fail_after = UINT32_MAX;
            for (size_t k = 0; k < WORLD_CONNS; k++) {
                world.hosts[i].conns[k].is_silent = false;
            }
            up += count_events(&world.hosts[i], LINK_MESSAGE);
        }
        cr_assert_gt(up, 20, "the test does something");
        world_settle();
        world_pass(30000000);
        for (size_t i = 0; i < 3; i++) {
            check_messages(i);
            check_order(i);
        }
        world_fini();
    }
}

/* link_table_bytes is what a table takes: worlds are built with exactly that (see
 * world_open_table); here for odd sizes. */
Test(link_table, says_how_much_memory_it_takes)
{
    for (uint32_t links = 1; links < 300; links += 7) {
        struct crypto_trust trust = {.node_id_length = 16};
        struct link_settings s = {.tls = tls_boring_ops(), .trust = &trust, .links = links};
        struct arena arena;
        size_t bytes = link_table_bytes(&s);
        uint8_t *block = malloc(bytes);
        arena_init(&arena, block, bytes);
        struct link_table *lt = link_table_init(&arena, &s);
        cr_assert_eq(link_count_up(lt), 0);
        cr_assert_geq(arena.used + 2048, bytes - links * 16, "and not much less");
        free(block);
    }
}
