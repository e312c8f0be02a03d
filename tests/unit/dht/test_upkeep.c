/* SPDX-License-Identifier: Apache-2.0 */
/* test_upkeep.c - a peer without message buffers for others still keeps its place in the ring
 * (design.md section 7: maintenance has a reserved share). */
#include "tests/unit/dht/harness.h"

enum { FOUNDERS = 1, PEERS = 2, JOIN_MS = 8000, RESERVED_SMALL = 512, RESERVED_LARGE = 64 };

/* Everything that load from others could take. */
static struct msgbuf *take_all(struct harness *h)
{
    struct msgbuf *held = NULL;
    for (size_t bytes = 1; bytes <= MSGBUF_LARGE_BYTES; bytes += MSGBUF_LARGE_BYTES - 1) {
        struct msgbuf *b = NULL;
        while ((b = msgbuf_acquire(&h->w->buffers, bytes)) != NULL) {
            b->next = held;
            held = b;
        }
    }
    return held;
}

static void give_back(struct harness *h, struct msgbuf *held)
{
    while (held != NULL) {
        struct msgbuf *next = held->next;
        held->next = NULL;
        msgbuf_release(&h->w->buffers, held);
        held = next;
    }
}

static struct harness *found(uint32_t small, uint32_t large)
{
    struct harness *h = harness_make(PEERS, 31);
    msgbuf_pool_reserve(&h->w->buffers, small, large);
    for (uint32_t i = 0; i < FOUNDERS; i++) {
        harness_start(h, i);
    }
    for (uint32_t ms = 0; ms < 60000 && harness_wrong(h) != 0; ms += 50) {
        harness_run(h, 50);
    }
    cr_assert_eq(harness_wrong(h), 0);
    harness_run(h, 5000);
    return h;
}

Test(upkeep, a_peer_joins_when_only_the_reserve_is_left, .timeout = 60)
{
    struct harness *h = found(RESERVED_SMALL, RESERVED_LARGE);
    struct msgbuf *held = take_all(h);
    uint64_t refused = h->w->buffers.refused;
    harness_start(h, FOUNDERS);
    harness_run(h, JOIN_MS);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    cr_expect_eq(h->peers[FOUNDERS].ready, 1);
    cr_expect_gt(h->w->buffers.from_reserve, 0);
    /* What is not upkeep does not get it: the newcomer's certificate stays unpublished. */
    cr_expect_gt(h->w->buffers.refused, refused);
    cr_expect_not(h->w->buffers.is_reserve_open, "somebody has left it open");
    give_back(h, held);
    harness_end(h);
    harness_free(h);
}

/* The same without a reserve, so that the test above shows what it says. */
Test(upkeep, without_a_reserve_it_does_not, .timeout = 60)
{
    struct harness *h = found(0, 0);
    struct msgbuf *held = take_all(h);
    harness_start(h, FOUNDERS);
    harness_run(h, JOIN_MS);
    cr_expect_neq(harness_wrong(h), 0);
    cr_expect_eq(h->w->buffers.from_reserve, 0);
    give_back(h, held);
    for (uint32_t ms = 0; ms < 60000 && harness_wrong(h) != 0; ms += 500) {
        harness_run(h, 500);
    }
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    harness_end(h);
    harness_free(h);
}
