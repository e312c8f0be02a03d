/* SPDX-License-Identifier: Apache-2.0 */
/* test_inbox.c - the verification queue: lanes, and no link that keeps the others out. */
#include "codec/content.h"
#include "dht/inbox.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { CAP = 40, MEMORY = 1 << 20 };

struct fixture {
    struct turn turn;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct inbox inbox;
    void *memory;
};

static void setup(struct fixture *f)
{
    struct arena arena;
    *f = (struct fixture){.memory = calloc(1, MEMORY)};
    arena_init(&arena, f->memory, MEMORY);
    msgbuf_pool_init(&f->buffers, &arena, 2 * CAP, 1);
    inbox_init(&f->inbox, &arena, CAP);
    f->turn = (struct turn){.now_us = 1, .buffers = &f->buffers, .metrics = &f->metrics};
}

static void push(struct fixture *f, uint16_t code, uint32_t link)
{
    static const struct node_id nobody;
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    struct fwd h = {.fragment = FWD_FRAGMENT_WHOLE, .payload = slice_of(payload, sizeof(payload))};
    inbox_push(&f->turn, &f->inbox, h.payload, &h, handle_make(HANDLE_LINK, 1, link), &nobody);
}

/* Takes all; gives how many were of `link`. */
static uint32_t drain(struct fixture *f, uint32_t link)
{
    struct inbox_item item;
    uint32_t count = 0;
    while (inbox_pop(&f->turn, &f->inbox, &item)) {
        count += handle_index(item.link) == link ? 1 : 0;
        msgbuf_release(&f->buffers, item.buf);
    }
    return count;
}

Test(inbox, a_flood_makes_room_for_others)
{
    static const uint16_t codes[] = {CONTENT_UPDATE_REQ, CONTENT_STORE_REQ};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        struct fixture f;
        setup(&f);
        for (uint32_t k = 0; k < 3 * CAP; k++) {
            push(&f, codes[i], 1);
        }
        uint32_t full = inbox_count(&f.inbox);
        for (uint32_t k = 0; k < 4; k++) {
            push(&f, codes[i], 2);
            push(&f, codes[i], 1);
        }
        cr_assert_eq(inbox_count(&f.inbox), full);
        cr_assert_eq(metric_read(&f.metrics, METRIC_dht_drop_queue_full), 3 * CAP - full + 8);
        cr_assert_eq(drain(&f, 2), 4, "all of the quiet link's");
        for (uint32_t k = 0; k < full; k++) { /* the counts are right again */
            push(&f, codes[i], 3);
        }
        cr_assert_eq(drain(&f, 3), full);
        cr_assert_eq(f.buffers.in_use[0], 0);
        free(f.memory);
    }
}

Test(inbox, many_links_share_a_full_lane)
{
    struct fixture f;
    setup(&f);
    for (uint32_t k = 0; k < 2 * CAP; k++) {
        push(&f, CONTENT_STORE_REQ, k % 8);
    }
    uint32_t full = inbox_count(&f.inbox);
    push(&f, CONTENT_STORE_REQ, 9);
    cr_assert_eq(inbox_count(&f.inbox), full);
    cr_assert_eq(drain(&f, 9), 0, "nobody holds half: first come, first served");
    cr_assert_eq(f.buffers.in_use[0], 0);
    free(f.memory);
}

/* A pile of documents (they are large, and nobody in the ring waits for them) is passed by what
 * keeps the ring together. */
Test(inbox, documents_wait_in_the_second_lane)
{
    struct fixture f;
    struct inbox_item item;
    setup(&f);
    for (uint32_t k = 0; k < 10; k++) {
        push(&f, CONTENT_CONFIG_UPDATE_REQ, 1);
    }
    for (uint32_t k = 0; k < 3; k++) {
        push(&f, CONTENT_UPDATE_REQ, 2);
    }
    for (uint32_t k = 0; k < 3; k++) {
        cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
        cr_expect_eq(handle_index(item.link), 2);
        msgbuf_release(&f.buffers, item.buf);
    }
    cr_assert_eq(drain(&f, 1), 10);
    free(f.memory);
}
