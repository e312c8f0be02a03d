/* SPDX-License-Identifier: Apache-2.0 */
/* test_inbox.c - the verification queue: lanes, turns, and no link that keeps the others out. */
#include "codec/content.h"
#include "dht/inbox.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { CAP = 40, LARGE = 8, AGE_US = 3000000, MEMORY = 1 << 20 };

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
    struct inbox_limits limits = {.cap = CAP, .large = LARGE, .age_us = AGE_US};
    *f = (struct fixture){.memory = calloc(1, MEMORY)};
    arena_init(&arena, f->memory, MEMORY);
    msgbuf_pool_init(&f->buffers, &arena, 2 * CAP, 2 * LARGE);
    size_t before = arena.used;
    inbox_init(&f->inbox, &arena, &limits);
    cr_assert_leq(arena.used - before, inbox_bytes(CAP));
    f->turn = (struct turn){.now_us = 1, .buffers = &f->buffers, .metrics = &f->metrics};
}

static void end(struct fixture *f)
{
    cr_expect_eq(f->buffers.in_use[0], 0);
    cr_expect_eq(f->buffers.in_use[1], 0);
    cr_expect_eq(f->inbox.large, 0);
    cr_expect_eq(inbox_count(&f->inbox), 0);
    cr_expect_eq(inbox_oldest_us(&f->turn, &f->inbox), 0);
    free(f->memory);
}

/* A message of `len` bytes that has come over `link`, passed on for others when `vias` > 0. */
static void push_bytes(struct fixture *f, uint16_t code, uint32_t link, uint16_t vias, size_t len)
{
    static const struct node_id nobody;
    static uint8_t payload[MSGBUF_LARGE_BYTES];
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    struct fwd h = {
        .fragment = FWD_FRAGMENT_WHOLE, .via_count = vias, .payload = slice_of(payload, len)};
    inbox_copy(&f->turn, &f->inbox, h.payload, &h, handle_make(HANDLE_LINK, 1, link), &nobody);
}

static void push(struct fixture *f, uint16_t code, uint32_t link)
{
    push_bytes(f, code, link, 1, 2);
}

/* Takes the next and lets it cost `us`; gives its link. */
static uint32_t take(struct fixture *f, uint64_t us)
{
    struct inbox_item item;
    cr_assert(inbox_pop(&f->turn, &f->inbox, &item));
    inbox_charge(&f->inbox, &item, us);
    msgbuf_release(&f->buffers, item.buf);
    return handle_index(item.link);
}

/* Takes all; gives how many were of `link`. */
static uint32_t drain(struct fixture *f, uint32_t link)
{
    uint32_t count = 0;
    while (inbox_count(&f->inbox) > 0) {
        count += take(f, 0) == link ? 1 : 0;
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
        cr_assert_eq(full, CAP - CAP / 4);
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
        end(&f);
    }
}

/* However many fill a lane, who comes late gets as much as they have. */
Test(inbox, many_links_share_a_full_lane)
{
    struct fixture f;
    setup(&f);
    for (uint32_t k = 0; k < 3 * CAP; k++) {
        push(&f, CONTENT_STORE_REQ, k % 5);
    }
    uint32_t full = inbox_count(&f.inbox);
    for (uint32_t k = 0; k < 3 * CAP; k++) {
        push(&f, CONTENT_STORE_REQ, 9);
    }
    cr_assert_eq(inbox_count(&f.inbox), full);
    uint32_t got = drain(&f, 9);
    cr_expect(got >= full / 6 && got <= full / 6 + 1, "%u of %u", got, full);
    end(&f);
}

Test(inbox, a_cap_of_nothing_still_serves)
{
    struct fixture f;
    struct arena arena;
    struct inbox_limits limits = {.age_us = AGE_US};
    setup(&f);
    void *memory = calloc(1, MEMORY);
    arena_init(&arena, memory, MEMORY);
    inbox_init(&f.inbox, &arena, &limits);
    cr_expect_leq(arena.used, inbox_bytes(0));
    for (uint32_t k = 0; k < 8; k++) {
        push(&f, CONTENT_STORE_REQ, 1);
        push(&f, CONTENT_UPDATE_REQ, 1);
        push_bytes(&f, CONTENT_UPDATE_REQ, 1, 1, 4000);
    }
    cr_expect_eq(f.buffers.in_use[1], 0);
    cr_expect_eq(drain(&f, 1), 4);
    end(&f);
    free(memory);
}

/* No lane can shut the other out. */
Test(inbox, each_lane_has_a_quarter)
{
    struct fixture f;
    setup(&f);
    for (uint32_t k = 0; k < 2 * CAP; k++) {
        push(&f, CONTENT_STORE_REQ, 1);
    }
    for (uint32_t k = 0; k < 2 * CAP; k++) {
        push(&f, CONTENT_UPDATE_REQ, 1);
    }
    cr_expect_eq(f.inbox.count[INBOX_SECOND], CAP - CAP / 4);
    cr_expect_eq(f.inbox.count[INBOX_FIRST], CAP / 4);
    cr_expect_eq(inbox_count(&f.inbox), CAP);
    push(&f, CONTENT_UPDATE_REQ, 2); /* out of its own lane */
    cr_expect_eq(f.inbox.count[INBOX_FIRST], CAP / 4);
    cr_expect_eq(f.inbox.count[INBOX_SECOND], CAP - CAP / 4);
    cr_expect_eq(drain(&f, 2), 1);
    end(&f);
}

/* Large buffers are few, and links need them too: one neighbor gets at most our share of them, and
 * even that only until another needs one. */
Test(inbox, large_buffers_have_a_share)
{
    struct fixture f;
    setup(&f);
    for (uint32_t k = 0; k < CAP; k++) {
        push_bytes(&f, k % 2 == 0 ? CONTENT_STORE_REQ : CONTENT_UPDATE_REQ, 1, 1, 4000);
    }
    cr_expect_eq(f.buffers.in_use[1], LARGE);
    cr_expect_eq(metric_read(&f.metrics, METRIC_dht_drop_queue_large), CAP - LARGE);
    push(&f, CONTENT_STORE_REQ, 1); /* small ones are another matter */
    cr_expect_eq(inbox_count(&f.inbox), LARGE + 1);
    for (uint32_t k = 0; k < LARGE; k++) {
        push_bytes(&f, CONTENT_STORE_REQ, 2, 1, 4000);
    }
    cr_expect_eq(f.buffers.in_use[1], LARGE);
    uint32_t got = drain(&f, 2);
    cr_expect(got >= LARGE / 3 && got <= LARGE / 2, "%u", got);
    cr_expect_eq(f.buffers.in_use[1], 0);
    end(&f);
}

/* A neighbor's own message does not stand behind what it passes on for others. */
Test(inbox, a_neighbor_speaks_for_itself)
{
    struct fixture f;
    struct inbox_item item;
    setup(&f);
    for (uint32_t k = 0; k < 3 * CAP; k++) {
        push_bytes(&f, CONTENT_UPDATE_REQ, 1, 2, 2);
    }
    push_bytes(&f, CONTENT_UPDATE_REQ, 1, 0, 3);
    uint32_t before = 0;
    for (;; before++) {
        cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
        uint32_t len = item.buf->len;
        msgbuf_release(&f.buffers, item.buf);
        if (len == 3) {
            break;
        }
    }
    cr_expect_leq(before, 1);
    drain(&f, 0);
    end(&f);
}

/* In turns, each oldest first; and who costs three times as much is served a third as often. */
Test(inbox, turns_are_paid_in_time)
{
    struct fixture f;
    uint32_t cheap = 0;
    uint32_t dear = 0;
    setup(&f);
    for (uint32_t k = 0; k < 1000; k++) {
        while (f.inbox.count[INBOX_FIRST] < 10) {
            push(&f, CONTENT_UPDATE_REQ, 1);
            push(&f, CONTENT_UPDATE_REQ, 2);
        }
        struct inbox_item item;
        cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
        bool is_dear = handle_index(item.link) == 2;
        inbox_charge(&f.inbox, &item, is_dear ? 150 : 50);
        msgbuf_release(&f.buffers, item.buf);
        push(&f, CONTENT_UPDATE_REQ, handle_index(item.link));
        dear += is_dear ? 1 : 0;
        cheap += is_dear ? 0 : 1;
    }
    cr_expect(cheap > 2 * dear && cheap < 4 * dear, "%u cheap, %u dear", cheap, dear);
    drain(&f, 0);
    end(&f);
}

/* A message that costs very much is not held against its source for ever. */
Test(inbox, debts_have_an_end)
{
    struct fixture f;
    setup(&f);
    push(&f, CONTENT_UPDATE_REQ, 1);
    push(&f, CONTENT_UPDATE_REQ, 1);
    for (uint32_t k = 0; k < 20; k++) {
        push(&f, CONTENT_UPDATE_REQ, 2);
    }
    uint32_t seen = 0;
    for (uint32_t k = 0; k < 20 && seen < 2; k++) {
        seen += take(&f, 1000000) == 1 ? 1 : 0;
    }
    cr_expect_eq(seen, 2);
    drain(&f, 0);
    end(&f);
}

/* Whoever asked has asked again by then; answers to us are another matter. */
Test(inbox, old_requests_are_shed)
{
    struct fixture f;
    setup(&f);
    push(&f, CONTENT_STORE_REQ, 1);
    push(&f, CONTENT_UPDATE_ANS, 1);
    f.turn.now_us += AGE_US / 2;
    push(&f, CONTENT_UPDATE_REQ, 2);
    cr_expect_eq(inbox_oldest_us(&f.turn, &f.inbox), AGE_US / 2);
    f.turn.now_us += AGE_US / 2;
    inbox_shed(&f.turn, &f.inbox);
    cr_expect_eq(metric_read(&f.metrics, METRIC_dht_drop_queue_old), 1);
    cr_expect_eq(inbox_count(&f.inbox), 2);
    cr_expect_eq(inbox_oldest_us(&f.turn, &f.inbox), AGE_US / 2);
    f.turn.now_us += AGE_US;
    cr_expect_eq(take(&f, 0), 1, "the answer");
    cr_expect_eq(metric_read(&f.metrics, METRIC_dht_drop_queue_old), 2);
    end(&f);
}

Test(inbox, what_is_put_back_comes_first)
{
    struct fixture f;
    struct inbox_item item;
    setup(&f);
    push_bytes(&f, CONTENT_STORE_REQ, 1, 1, 4000);
    f.turn.now_us += 10;
    push(&f, CONTENT_STORE_REQ, 1);
    cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
    cr_expect_eq(item.buf->len, 4000);
    inbox_put_back(&f.inbox, &item);
    cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
    cr_expect(item.tries == 1 && item.buf->len == 4000);
    cr_expect_eq(inbox_oldest_us(&f.turn, &f.inbox), 0);
    msgbuf_release(&f.buffers, item.buf);
    drain(&f, 0);
    end(&f);
}

/* A pile of documents (they are large, and nobody in the ring waits for them) is passed by what
 * keeps the ring together. */
/* What is taken next of the second lane is known before, as long as nothing is charged in between;
 * each shows once, whatever was taken or came in the meantime. */
Test(inbox, the_next_ones_show)
{
    static const uint16_t codes[] = {CONTENT_UPDATE_REQ, CONTENT_FETCH_REQ, CONTENT_FETCH_REQ};
    enum { ALL = CAP / 2, SOME = 3 };
    struct fixture f;
    const struct msgbuf *shown[ALL];
    size_t count = 0;
    size_t taken = 0;
    setup(&f);
    const struct inbox_item *next[SOME];
    cr_assert_eq(inbox_ahead(&f.inbox, next, SOME), 0);
    for (uint32_t i = 0; i < ALL; i++) {
        push(&f, codes[i % ARRAY_COUNT(codes)], 1 + i % 2);
    }
    while (inbox_count(&f.inbox) > 0) {
        struct inbox_item item;
        size_t more = taken == count ? inbox_ahead(&f.inbox, next, SOME) : 0;
        for (size_t i = 0; i < more; i++) {
            cr_assert_eq(next[i]->lane, INBOX_SECOND);
            shown[count++] = next[i]->buf;
        }
        cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
        if (item.lane == INBOX_SECOND) {
            cr_assert_lt(taken, count);
            cr_assert_eq(item.buf, shown[taken++]);
        }
        msgbuf_release(&f.buffers, item.buf);
    }
    cr_assert_eq(taken, count);
    cr_assert_gt(taken, SOME);
    cr_assert_eq(inbox_ahead(&f.inbox, next, SOME), 0);
    end(&f);
}

/* One that leaves for want of room does not show any more. */
Test(inbox, who_has_left_does_not_show)
{
    struct fixture f;
    setup(&f);
    push(&f, CONTENT_FETCH_REQ, 1);
    push(&f, CONTENT_FETCH_REQ, 1);
    struct inbox_item item;
    const struct inbox_item *next[4];
    cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
    msgbuf_release(&f.buffers, item.buf);
    cr_assert_eq(inbox_ahead(&f.inbox, next, 4), 1);
    cr_assert(inbox_pop(&f.turn, &f.inbox, &item));
    cr_expect_eq(item.buf, next[0]->buf);
    inbox_put_back(&f.inbox, &item);
    cr_assert_eq(inbox_ahead(&f.inbox, next, 4), 0); /* its memory was asked for */
    drain(&f, 1);
    end(&f);
}

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
    end(&f);
}

/* Anybody can call a message upkeep: so much of the reserve for that, and so much for each. */
Test(inbox, claims_of_upkeep_leave_half_of_the_reserve)
{
    enum { RESERVE = CAP }; /* half of the small ones */
    struct fixture f;
    struct msgbuf *held[2 * CAP];
    uint32_t count = 0;
    setup(&f);
    msgbuf_pool_reserve(&f.buffers, RESERVE, LARGE);
    while ((held[count] = msgbuf_acquire(&f.buffers, 1)) != NULL) {
        count++;
    }
    push(&f, CONTENT_STORE_REQ, 1);
    cr_assert_eq(inbox_count(&f.inbox), 0);
    for (uint32_t k = 0; k < RESERVE; k++) {
        push(&f, CONTENT_UPDATE_REQ, 1);
    }
    cr_assert_eq(inbox_count(&f.inbox), INBOX_UPKEEP_EACH);
    for (uint32_t k = 0; k < 10 * RESERVE; k++) {
        push(&f, CONTENT_UPDATE_REQ, k % 10);
    }
    cr_assert_eq(inbox_count(&f.inbox), RESERVE / 2);
    cr_assert_eq(f.buffers.cap[0] - f.buffers.in_use[0], RESERVE / 2, "left for acknowledgements");
    push_bytes(&f, CONTENT_UPDATE_REQ, 20, 0, 5000); /* large ones: a count of their own */
    cr_assert_eq(inbox_count(&f.inbox), RESERVE / 2 + 1);
    drain(&f, 1);
    cr_assert_eq(f.inbox.reserved[0] + f.inbox.reserved[1], 0);
    push(&f, CONTENT_UPDATE_REQ, 3); /* there is room again */
    cr_assert_eq(drain(&f, 3), 1);
    while (count > 0) {
        msgbuf_release(&f.buffers, held[--count]);
    }
    end(&f);
}

/* A status is told by a turn that was kept: what has come since has waited for no time, not for
 * the 2^64 us that no reader of JSON takes. */
Test(inbox, what_came_later_has_not_waited)
{
    struct fixture f;
    setup(&f);
    struct turn kept = f.turn;
    f.turn.now_us += 1000;
    push(&f, CONTENT_STORE_REQ, 1);
    cr_expect_eq(inbox_oldest_us(&kept, &f.inbox), 0);
    f.turn.now_us += 10;
    cr_expect_eq(inbox_oldest_us(&f.turn, &f.inbox), 10);
    (void)take(&f, 1);
    end(&f);
}
