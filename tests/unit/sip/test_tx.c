/* SPDX-License-Identifier: Apache-2.0 */
/* test_tx.c - transactions: timers of RFC 3261 17 and RFC 6026, and every edge of the tables. */
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct pair {
    struct world *w;
    struct phone *a, *b;
};

static struct pair make_pair(void)
{
    struct pair x = {.w = world_make()};
    world_add_node(x.w, 1);
    x.a = world_add_phone(x.w, "alice", 0);
    x.b = world_add_phone(x.w, "bob", 0);
    phone_register(x.w, x.a, "3600");
    phone_register(x.w, x.b, "3600");
    return x;
}

static void resend(struct world *w, struct phone *p)
{
    char copy[PHONE_TEXT];
    snprintf(copy, sizeof(copy), "%s", p->last_request);
    phone_raw(w, p, copy, strlen(copy));
}

/* A: 500, 1000, 2000 ... ms; B: 32 s, then 408 (17.1.1.2). */
Test(tx, invite_client_retransmits_and_gives_up)
{
    struct pair x = make_pair();
    phone_call(x.w, x.a, "INVITE", "bob", "a");
    world_run(x.w, 20000);
    phone_expect(x.a, "SIP/2.0 100");
    static const uint32_t at_ms[] = {0, 500, 1000, 2000, 4000, 8000, 16000};
    for (size_t i = 0; i < ARRAY_COUNT(at_ms); i++) {
        world_run(x.w, at_ms[i] * 1000);
        phone_expect(x.b, "INVITE sip:bob@");
        phone_expect_nothing(x.b);
    }
    world_run(x.w, 600000);
    phone_expect(x.a, "SIP/2.0 408");
    /* G: the 408 comes again until the ACK */
    world_run(x.w, 500000);
    phone_expect(x.a, "SIP/2.0 408");
    world_run(x.w, 1000000);
    phone_expect(x.a, "SIP/2.0 408");
    char ack[PHONE_TEXT], *p = NULL;
    snprintf(ack, sizeof(ack), "%s", x.a->last_request);
    memcpy(ack, "ACK   ", 6); /* "INVITE" made "ACK" with one space */
    memmove(ack + 4, ack + 7, strlen(ack + 7) + 1);
    p = strstr(ack, "2 INVITE");
    memcpy(p, "2 ACK   ", 8);
    memmove(p + 5, p + 8, strlen(p + 8) + 1);
    phone_raw(x.w, x.a, ack, strlen(ack));
    phone_raw(x.w, x.a, ack, strlen(ack)); /* CONFIRMED absorbs */
    world_run(x.w, 40000000);
    phone_expect_nothing(x.a);
    world_expect_empty(x.w);
    world_free(x.w);
}

/* E: doubles up to T2; F: 32 s; a non-INVITE gets no 408 (RFC 4320 4.2). */
Test(tx, client_retransmits_and_gives_up)
{
    struct pair x = make_pair();
    phone_call(x.w, x.a, "MESSAGE", "bob", "m");
    world_run(x.w, 20000);
    static const uint32_t at_ms[] = {0, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000};
    for (size_t i = 0; i < ARRAY_COUNT(at_ms); i++) {
        world_run(x.w, at_ms[i] * 1000);
        phone_expect(x.b, "MESSAGE sip:bob@");
        phone_expect_nothing(x.b);
    }
    world_run(x.w, 10000000);
    phone_expect_nothing(x.a);
    phone_expect_nothing(x.b);
    world_expect_empty(x.w);
    world_free(x.w);
}

/* Lost responses: the retransmitted request is answered from the transaction. */
Test(tx, server_answers_retransmissions)
{
    struct pair x = make_pair();
    char text[PHONE_TEXT];
    phone_call(x.w, x.a, "MESSAGE", "bob", "m");
    resend(x.w, x.a); /* TRYING: nothing to say yet */
    world_run(x.w, 20000);
    snprintf(text, sizeof(text), "%s", phone_expect(x.b, "MESSAGE sip:bob@"));
    phone_expect_nothing(x.b);
    x.w->datagrams_lost = 1;
    phone_answer(x.w, x.b, text, "200 OK");
    phone_expect_nothing(x.a);
    resend(x.w, x.a);
    phone_expect(x.a, "SIP/2.0 200");
    phone_expect_nothing(x.b);
    phone_answer(x.w, x.b, text, "200 OK"); /* K absorbs the second answer */
    phone_expect_nothing(x.a);
    cr_assert_geq(world_metric(x.w, METRIC_sip_duplicates), 2);
    world_expect_empty(x.w);
    world_free(x.w);
}

/* Messages kept for retransmissions are bounded: the oldest goes, the newest still answers. */
Test(tx, oldest_retained_goes_first)
{
    struct pair x = make_pair();
    struct sip *s = x.w->instances[0]->sip;
    x.w->instances[0]->limits.sip_retained = 4;
    for (int i = 0; i < 6; i++) {
        cr_assert(strncmp(phone_register(x.w, x.a, "3600"), "SIP/2.0 200", 11) == 0);
    }
    cr_assert_eq(s->tx_retained, 4);
    cr_assert_eq(s->txs.in_use, 4);
    cr_assert_eq(world_metric(x.w, METRIC_sip_transactions_evicted), 4); /* make_pair made two */
    resend(x.w, x.a);
    phone_expect(x.a, "SIP/2.0 200");
    cr_assert_eq(world_metric(x.w, METRIC_sip_duplicates), 1);
    world_expect_empty(x.w);
    cr_assert_eq(s->tx_oldest, 0);
    cr_assert_eq(s->tx_newest, 0);
    cr_assert_eq(s->tx_retained, 0);
    world_free(x.w);
}

/* A table full of transactions that have ended refuses nobody, and touches none under way. */
Test(tx, full_table_forgets_the_ended)
{
    struct pair x = make_pair();
    char invite[PHONE_TEXT];
    struct sip *s = x.w->instances[0]->sip;
    phone_call(x.w, x.b, "INVITE", "alice", "long");
    world_run(x.w, 20000);
    phone_expect(x.b, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.a, "INVITE sip:"));
    phone_answer(x.w, x.a, invite, "180 Ringing");
    phone_expect(x.b, "SIP/2.0 180");
    for (uint32_t i = 0; i < s->txs.cap + 10; i++) {
        cr_assert(strncmp(phone_register(x.w, x.a, "3600"), "SIP/2.0 200", 11) == 0, "%u", i);
    }
    cr_assert_eq(s->txs.in_use, s->txs.cap);
    cr_assert_geq(world_metric(x.w, METRIC_sip_transactions_evicted), 10);
    phone_answer(x.w, x.a, invite, "486 Busy Here");
    phone_expect(x.b, "SIP/2.0 486");
    world_free(x.w);
}

/* RFC 6026: 2xx retransmissions pass, INVITE retransmissions are absorbed, after M nothing passes.
 */
Test(tx, invite_accepted)
{
    struct pair x = make_pair();
    char invite[PHONE_TEXT];
    phone_call(x.w, x.a, "INVITE", "bob", "acc");
    resend(x.w, x.a);
    world_run(x.w, 20000);
    phone_expect(x.a, "SIP/2.0 100");
    phone_expect(x.a, "SIP/2.0 100"); /* the retransmission got the 100 again */
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_answer(x.w, x.b, invite, "200 OK");
    phone_answer(x.w, x.b, invite, "200 OK");
    phone_expect(x.a, "SIP/2.0 200");
    phone_expect(x.a, "SIP/2.0 200");
    resend(x.w, x.a);
    phone_expect_nothing(x.a);
    phone_expect_nothing(x.b);
    world_run(x.w, 33000000);
    phone_answer(x.w, x.b, invite, "200 OK");
    phone_expect_nothing(x.a);
    world_expect_empty(x.w);
    world_free(x.w);
}

/* A failure is acknowledged hop by hop, each time it comes (17.1.1.2). */
Test(tx, invite_failure_is_acknowledged)
{
    struct pair x = make_pair();
    char invite[PHONE_TEXT];
    phone_call(x.w, x.a, "INVITE", "bob", "busy");
    world_run(x.w, 20000);
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_answer(x.w, x.b, invite, "486 Busy Here");
    phone_answer(x.w, x.b, invite, "486 Busy Here");
    phone_expect(x.b, "ACK sip:bob@");
    phone_expect(x.b, "ACK sip:bob@");
    phone_expect(x.a, "SIP/2.0 100");
    phone_expect(x.a, "SIP/2.0 486");
    phone_expect_nothing(x.a);
    world_run(x.w, 33000000); /* H: no ACK ever */
    x.a->first = x.a->count = 0;
    world_expect_empty(x.w);
    world_free(x.w);
}

/* Timer C: it rings and rings; after 200 s it is CANCELled. */
Test(tx, timer_c)
{
    struct pair x = make_pair();
    char invite[PHONE_TEXT], cancel[PHONE_TEXT];
    phone_call(x.w, x.a, "INVITE", "bob", "c");
    world_run(x.w, 20000);
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_answer(x.w, x.b, invite, "180 Ringing");
    world_run(x.w, UINT64_C(199000000));
    phone_expect_nothing(x.b);
    world_run(x.w, 1100000);
    snprintf(cancel, sizeof(cancel), "%s", phone_expect(x.b, "CANCEL sip:"));
    phone_answer(x.w, x.b, cancel, "200 OK");
    phone_answer(x.w, x.b, invite, "487 Request Terminated");
    phone_expect(x.b, "ACK sip:");
    phone_expect(x.a, "SIP/2.0 100");
    phone_expect(x.a, "SIP/2.0 180");
    phone_expect(x.a, "SIP/2.0 487");
    x.a->first = x.a->count = 0;
    world_expect_empty(x.w);
    world_free(x.w);
}

/* Each legal edge can be taken, each other one is a CHECK of ours (style: state machines). */
Test(tx, every_edge)
{
    struct pair x = make_pair();
    struct world_instance *at = x.w->instances[0];
    struct turn *t = &at->turn;
    struct sip *s = at->sip;
    world_run(x.w, 60000000);
    memset(tx_edges_taken, 0, sizeof(tx_edges_taken));
    /* paths of events from the first state to the end, for each kind and transport */
    static const struct {
        enum tx_kind kind;
        enum tx_event path[5];
        int len;
    } paths[] = {
        {TX_INVITE_CLIENT, {TX_EVENT_RETRY, TX_EVENT_TIMEOUT}, 2},
        {TX_INVITE_CLIENT, {TX_EVENT_FAILURE, TX_EVENT_FAILURE, TX_EVENT_TIMEOUT}, 3},
        {TX_INVITE_CLIENT, {TX_EVENT_SUCCESS, TX_EVENT_SUCCESS, TX_EVENT_TIMEOUT}, 3},
        {TX_INVITE_CLIENT, {TX_EVENT_PROVISIONAL, TX_EVENT_BROKEN}, 2},
        {TX_INVITE_CLIENT, {TX_EVENT_PROVISIONAL, TX_EVENT_FAILURE, TX_EVENT_TIMEOUT}, 3},
        {TX_INVITE_CLIENT, {TX_EVENT_PROVISIONAL, TX_EVENT_SUCCESS, TX_EVENT_TIMEOUT}, 3},
        {TX_CLIENT, {TX_EVENT_TIMEOUT}, 1},
        {TX_CLIENT, {TX_EVENT_FAILURE, TX_EVENT_SUCCESS, TX_EVENT_TIMEOUT}, 3},
        {TX_CLIENT, {TX_EVENT_PROVISIONAL, TX_EVENT_RETRY, TX_EVENT_TIMEOUT}, 3},
        {TX_CLIENT, {TX_EVENT_PROVISIONAL, TX_EVENT_SUCCESS, TX_EVENT_BROKEN, TX_EVENT_TIMEOUT}, 4},
        {TX_INVITE_SERVER, {TX_EVENT_REQUEST, TX_EVENT_BROKEN}, 2},
        {TX_INVITE_SERVER,
         {TX_EVENT_PROVISIONAL, TX_EVENT_FAILURE, TX_EVENT_RETRY, TX_EVENT_REQUEST,
          TX_EVENT_TIMEOUT},
         5},
        {TX_INVITE_SERVER,
         {TX_EVENT_FAILURE, TX_EVENT_ACK, TX_EVENT_ACK, TX_EVENT_REQUEST, TX_EVENT_TIMEOUT},
         5},
        {TX_INVITE_SERVER,
         {TX_EVENT_SUCCESS, TX_EVENT_SUCCESS, TX_EVENT_REQUEST, TX_EVENT_TIMEOUT},
         4},
        {TX_SERVER, {TX_EVENT_REQUEST, TX_EVENT_BROKEN}, 2},
        {TX_SERVER, {TX_EVENT_FAILURE, TX_EVENT_REQUEST, TX_EVENT_TIMEOUT}, 3},
        {TX_SERVER, {TX_EVENT_PROVISIONAL, TX_EVENT_SUCCESS, TX_EVENT_TIMEOUT}, 3},
        {TX_SERVER, {TX_EVENT_PROVISIONAL, TX_EVENT_BROKEN}, 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        for (int kind = 0; kind < 2; kind++) {
            struct flow_ref to = {.kind = kind == 0 ? SIP_UDP : SIP_TCP};
            uint8_t key[TX_KEY_BYTES] = {(uint8_t)i, (uint8_t)kind};
            struct tx *tx = tx_acquire(t, s, paths[i].kind, SIP_METHOD_INVITE, &to, key);
            cr_assert_not_null(tx);
            cr_assert_eq(tx_find(s, key), tx);
            for (int k = 0; k < paths[i].len; k++) {
                if (paths[i].kind == TX_INVITE_CLIENT || paths[i].kind == TX_CLIENT) {
                    tx_client_step(t, tx, paths[i].path[k]);
                } else {
                    tx_server_step(t, tx, paths[i].path[k]);
                }
            }
            cr_assert_eq(tx->state, TX_DONE, "path %zu ends in %d", i, tx->state);
            tx_release(t, s, tx);
        }
    }
    for (int kind = 0; kind < TX_KIND_COUNT; kind++) {
        for (int state = 0; state < TX_STATE_COUNT; state++) {
            uint8_t missing = tx_edges[kind][state] & (uint8_t)~tx_edges_taken[kind][state];
            /* COMPLETED -> DONE of an INVITE server without ACK is timer H: in the paths */
            cr_assert_eq(missing, 0, "kind %d state %d never took %02x", kind, state, missing);
        }
    }
    world_expect_empty(x.w);
    world_free(x.w);
}

/* The table is full of what is under way, but for an INVITE that was refused and has no ACK.  Its
 * CANCEL makes it go (sip/tx.h): 200, and nothing is read of what is gone. */
Test(tx, a_cancel_takes_the_place_of_its_invite)
{
    for (unsigned fails = 0; fails < 2; fails++) {
        struct pair x = make_pair();
        struct world_instance *at = x.w->instances[0];
        struct sip *s = at->sip;
        struct flow_ref nowhere = {.kind = SIP_UDP, .remote = x.b->address};
        struct tx *fillers[512];
        uint8_t key[TX_KEY_BYTES] = {0};
        size_t count = 0;
        world_run(x.w, 40000000); /* the REGISTERs are forgotten */
        phone_call(x.w, x.a, "INVITE", "nobody", "a");
        world_run(x.w, 7000000); /* and the ACK of the 407 */
        phone_expect(x.a, "SIP/2.0 100");
        phone_expect(x.a, "SIP/2.0 404");
        x.a->first = x.a->count = 0;
        cr_assert_eq(s->txs.in_use, 1);
        cr_assert_eq(s->tx_oldest, 0);
        while (s->txs.in_use < s->txs.cap) {
            cr_assert_lt(count, ARRAY_COUNT(fillers));
            memcpy(key, &count, sizeof(count));
            fillers[count++] =
                tx_acquire(&at->turn, s, TX_SERVER, SIP_METHOD_MESSAGE, &nowhere, key);
        }
        char cancel[PHONE_TEXT];
        snprintf(cancel, sizeof(cancel), "CANCEL%.*s CANCEL\r\n\r\n",
                 (int)(strstr(x.a->last_request, " INVITE\r\n") - x.a->last_request - 6),
                 x.a->last_request + 6);
        pool_fail_after(&s->txs, fails == 0 ? UINT32_MAX : 0);
        phone_raw(x.w, x.a, cancel, strlen(cancel));
        pool_fail_after(&s->txs, UINT32_MAX);
        phone_expect(x.a, "SIP/2.0 200");
        cr_assert_eq(s->txs.in_use, s->txs.cap - fails);
        cr_assert_eq(world_metric(x.w, METRIC_sip_transactions_evicted), 1);
        while (count > 0) {
            tx_release(&at->turn, s, fillers[--count]);
        }
        world_run(x.w, 40000000);
        phone_expect_nothing(x.a);
        world_expect_empty(x.w);
        world_free(x.w);
    }
}

Test(tx, branch_ids)
{
    struct pair x = make_pair();
    struct world_instance *at = x.w->instances[0];
    char one[TX_BRANCH_CAP], two[TX_BRANCH_CAP];
    uint8_t loop[TX_LOOP_BYTES] = {1}, key[TX_KEY_BYTES];
    uint16_t shard = 9;
    tx_branch_make(&at->turn, at->sip, loop, one);
    tx_branch_make(&at->turn, at->sip, loop, two);
    cr_assert(memcmp(one, two, TX_BRANCH_CAP) != 0);
    cr_assert(tx_branch_read(slice_of(one, TX_BRANCH_CAP), SIP_METHOD_BYE, &shard, key));
    cr_assert_eq(shard, 0);
    cr_assert_not(tx_branch_read(slice_of(one, TX_BRANCH_CAP - 1), SIP_METHOD_BYE, &shard, key));
    one[8] = 'z';
    cr_assert_not(tx_branch_read(slice_of(one, TX_BRANCH_CAP), SIP_METHOD_BYE, &shard, key));
    world_free(x.w);
}
