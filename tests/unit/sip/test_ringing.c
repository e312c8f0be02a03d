/* SPDX-License-Identifier: Apache-2.0 */
/* test_ringing.c - the connection between the caller's node and the callee's ends before the final
 * response: the same transaction goes on over a new one, and the callee's phone notices nothing. */
#include "sip/fork.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct ringing {
    struct world *w;
    struct phone *a, *b;
    char invite[PHONE_TEXT]; /* as it came to b */
};

static void set_up(struct ringing *x)
{
    x->w = world_make();
    int one = world_add_node(x->w, 1), two = world_add_node(x->w, 1);
    x->a = world_add_phone(x->w, "alice", one);
    x->b = world_add_phone(x->w, "bob", two);
    cr_assert(strncmp(phone_register(x->w, x->a, "3600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(x->w, x->b, "3600"), "SIP/2.0 200", 11) == 0);
}

/* Alice has called, and Bob's phone has the INVITE; `rings`: has said so. */
static void call(struct ringing *x, bool rings)
{
    set_up(x);
    phone_call(x->w, x->a, "INVITE", "bob", "ring");
    world_run(x->w, 50000);
    phone_expect(x->a, "SIP/2.0 100");
    snprintf(x->invite, sizeof(x->invite), "%s", phone_expect(x->b, "INVITE sip:"));
    if (rings) {
        phone_answer(x->w, x->b, x->invite, "180 Ringing");
        phone_expect(x->a, "SIP/2.0 180");
    }
}

static void cut(struct ringing *x)
{
    for (int i = 1; i < WORLD_CONNS; i++) {
        world_close_conn(x->w, i, true);
    }
}

/* Only instance `at` hears of it. */
static void cut_for(struct ringing *x, int at)
{
    struct world_instance *y = x->w->instances[at];
    for (int i = 1; i < WORLD_CONNS; i++) {
        struct world_conn *c = &x->w->conns[i];
        if (!c->is_used) {
            continue;
        }
        c->other = 0; /* what is sent there arrives nowhere */
        if (c->at == at) {
            y->turn.now_us = x->w->now_us;
            sip_flow_closed(&y->turn, y->sip, c->flow);
        }
    }
}

/* The new connection is there; 180 may have come again. */
static void let_mend(struct ringing *x)
{
    world_run(x->w, 50000);
    cr_assert_eq(world_metric(x->w, METRIC_sip_sent_anew), 1);
    cr_assert_eq(x->w->dht.appattaches, 2);
    phone_expect_nothing(x->b); /* least of all a second INVITE */
    while (x->a->count > 0) {
        phone_expect(x->a, "SIP/2.0 180");
    }
}

static void talk_and_end(struct ringing *x)
{
    struct dialog d;
    dialog_caller(&d, phone_expect(x->a, "SIP/2.0 200"));
    phone_in_dialog(x->w, x->a, &d, "ACK");
    phone_expect(x->b, "ACK sip:");
    phone_hang_up(x->w, x->a, x->b, &d);
    phone_expect_nothing(x->a);
    phone_expect_nothing(x->b);
}

static void done(struct ringing *x)
{
    for (int i = 0; i < 12; i++) { /* unacknowledged finals come again and again */
        world_run(x->w, 20000000);
        x->a->first = x->a->count = 0;
    }
    world_expect_empty(x->w);
    world_free(x->w);
}

static void answer_and_end(struct ringing *x)
{
    phone_answer(x->w, x->b, x->invite, "200 OK");
    talk_and_end(x);
    done(x);
}

/* The phone is rid of it; the caller hears nothing yet. */
static void refuse_unheard(struct ringing *x)
{
    phone_answer(x->w, x->b, x->invite, "486 Busy Here");
    phone_expect(x->b, "ACK sip:");
    phone_expect_nothing(x->a);
    world_run(x->w, 50000);
}

/* CANCEL of x->a's last INVITE, with more lines. */
static void cancel_saying(struct ringing *x, const char *lines)
{
    char via[256];
    phone_send(x->w, x->a,
               "CANCEL sip:bob@example.org SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;"
               "tag=f-ring\nTo: <sip:bob@example.org>\nCall-ID: ring\nCSeq: 2 CANCEL\n"
               "Max-Forwards: 70\n%s",
               phone_via(x->a, "INVITE-ring-2", via), lines);
    phone_expect(x->a, "SIP/2.0 200");
}

static void cancel(struct ringing *x)
{
    cancel_saying(x, "");
}

static void expect_cancelled(struct ringing *x, const char *final)
{
    char text[PHONE_TEXT];
    snprintf(text, sizeof(text), "%s", phone_expect(x->b, "CANCEL sip:"));
    cr_expect(strstr(text, "\r\nReason:") == NULL, "nobody has answered: %s", text);
    phone_expect_nothing(x->b);
    phone_answer(x->w, x->b, text, "200 OK");
    phone_answer(x->w, x->b, x->invite, "487 Request Terminated");
    phone_expect(x->b, "ACK sip:");
    world_run(x->w, 50000);
    phone_expect(x->a, final);
    done(x);
}

/* chordial sim swarm, seeds 3 and 5: the phone got a second INVITE and refused it (482). */
Test(ringing, is_answered_after_the_loss)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    let_mend(&x);
    answer_and_end(&x);
}

/* Twice is no different. */
Test(ringing, is_answered_after_two_losses)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    let_mend(&x);
    cut(&x);
    world_run(x.w, 50000);
    cr_assert_eq(world_metric(x.w, METRIC_sip_sent_anew), 2);
    while (x.a->count > 0) {
        phone_expect(x.a, "SIP/2.0 180");
    }
    answer_and_end(&x);
}

/* A caller does not hide the call from the callee's list by saying that somebody has taken it: only
 * our own nodes know that (RFC 3326). */
Test(ringing, a_phone_is_not_believed_that_another_has_answered)
{
    struct ringing x;
    call(&x, true);
    cancel_saying(&x, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n");
    expect_cancelled(&x, "SIP/2.0 487");
}

/* Nothing came back before the loss: what the phone says goes over the new connection. */
Test(ringing, begins_after_the_loss)
{
    struct ringing x;
    call(&x, false);
    cut(&x);
    let_mend(&x);
    phone_answer(x.w, x.b, x.invite, "180 Ringing");
    phone_expect(x.a, "SIP/2.0 180");
    answer_and_end(&x);
}

/* The INVITE went down with its connection: the phone gets the one that follows. */
Test(ringing, request_was_lost_too)
{
    struct ringing x;
    struct dialog d;
    set_up(&x);
    phone_talk(x.w, x.a, x.b, "first", &d);
    phone_hang_up(x.w, x.a, x.b, &d);
    x.w->instances[1]->is_deaf = true;
    phone_call(x.w, x.a, "INVITE", "bob", "ring");
    world_run(x.w, 50000);
    phone_expect(x.a, "SIP/2.0 100");
    phone_expect_nothing(x.b);
    x.w->instances[1]->is_deaf = false;
    cut(&x);
    world_run(x.w, 50000);
    snprintf(x.invite, sizeof(x.invite), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_expect_nothing(x.b);
    answer_and_end(&x);
}

/* The 2xx finds no connection: the phone sends it again (13.3.1.4). */
Test(ringing, is_answered_during_the_loss)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    phone_answer(x.w, x.b, x.invite, "200 OK");
    phone_expect_nothing(x.a);
    world_run(x.w, 50000);
    phone_expect_nothing(x.b);
    answer_and_end(&x);
}

/* The callee's node has died and come back, and knows nothing of the call: its phone, which does,
 * refuses the same INVITE on another branch (8.2.2.2).  The caller has made no loop, the call is
 * gone; a 482 to an INVITE that was sent once is somebody's loop. */
Test(ringing, refused_as_merged_after_the_loss)
{
    struct ringing x;
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        call(&x, true);
        if (is_lost) {
            cut(&x);
            let_mend(&x);
        }
        phone_answer(x.w, x.b, x.invite, "482 Loop Detected");
        phone_expect(x.b, "ACK sip:");
        world_run(x.w, 50000);
        phone_expect(x.a, is_lost ? "SIP/2.0 480" : "SIP/2.0 482");
        phone_expect_nothing(x.b);
        done(&x);
    }
}

/* A refusal is not sent again by a phone that has its ACK: the node has kept it. */
Test(ringing, is_refused_during_the_loss)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    refuse_unheard(&x);
    phone_expect(x.a, "SIP/2.0 486");
    phone_expect_nothing(x.b);
    done(&x);
}

/* Only the callee's node knows of the loss, and has something to say: it asks for a connection
 * (18.2.2). */
Test(ringing, callee_opens_a_connection)
{
    struct ringing x;
    call(&x, true);
    cut_for(&x, 1);
    cr_assert_eq(x.w->dht.appattaches, 1);
    refuse_unheard(&x);
    cr_assert_eq(x.w->dht.appattaches, 2);
    phone_expect(x.a, "SIP/2.0 486");
    cr_assert_eq(x.w->instances[1]->sip->tx_unsent, 0);
    done(&x);
}

/* Only the caller's node knows: the callee's must not answer over the old connection. */
Test(ringing, callee_has_not_noticed)
{
    struct ringing x;
    call(&x, true);
    cut_for(&x, 0);
    let_mend(&x);
    answer_and_end(&x);
}

/* There is another connection already: INVITE and CANCEL go over that at once. */
Test(ringing, goes_on_over_the_other)
{
    struct ringing x;
    call(&x, true);
    world_join_peers(x.w, 1, 0);
    x.w->instances[1]->is_deaf = true;
    cancel(&x);
    x.w->instances[1]->is_deaf = false;
    int first = 1;
    while (!x.w->conns[first].is_used || x.w->conns[first].phone >= 0) {
        first++;
    }
    world_close_conn(x.w, first, true);
    world_run(x.w, 0);
    cr_assert_eq(x.w->dht.appattaches, 1);
    expect_cancelled(&x, "SIP/2.0 487");
}

Test(ringing, is_cancelled_after_the_loss)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    let_mend(&x);
    cancel(&x);
    expect_cancelled(&x, "SIP/2.0 487");
}

/* CANCEL waits for the new connection. */
Test(ringing, is_cancelled_during_the_loss)
{
    struct ringing x;
    call(&x, true);
    cut(&x);
    cancel(&x);
    phone_expect_nothing(x.b);
    world_run(x.w, 50000);
    expect_cancelled(&x, "SIP/2.0 487");
}

/* The CANCEL goes down with the connection, and comes again with the next. */
Test(ringing, cancel_was_lost_too)
{
    struct ringing x;
    call(&x, true);
    x.w->instances[1]->is_deaf = true;
    cancel(&x);
    phone_expect_nothing(x.b);
    x.w->instances[1]->is_deaf = false;
    cut(&x);
    world_run(x.w, 50000);
    expect_cancelled(&x, "SIP/2.0 487");
}

/* Nothing was heard, so no CANCEL could go (9.1): it follows what is heard over the new one. */
Test(ringing, is_cancelled_before_it_is_heard)
{
    struct ringing x;
    call(&x, false);
    cancel(&x);
    cut(&x);
    world_run(x.w, 50000);
    phone_expect_nothing(x.b);
    phone_answer(x.w, x.b, x.invite, "180 Ringing");
    expect_cancelled(&x, "SIP/2.0 487");
}

/* Timer C runs on: nobody answers. */
Test(ringing, ends_by_timer_c)
{
    struct ringing x;
    call(&x, true);
    world_run(x.w, UINT64_C(50) * 1000000);
    cut(&x);
    let_mend(&x);
    world_run(x.w, (uint64_t)(FORK_TIMER_C_S - 60) * 1000000);
    phone_expect_nothing(x.b);
    world_run(x.w, 10100000);
    expect_cancelled(&x, "SIP/2.0 487");
}

/* The callee's node is gone for good: the caller is told, within the time of a few attempts. */
Test(ringing, callees_node_is_gone)
{
    struct ringing x;
    call(&x, true);
    x.w->instances[1]->is_deaf = true;
    cut(&x);
    world_run(x.w, UINT64_C(90) * 1000000);
    phone_expect(x.a, "SIP/2.0 480");
    cr_assert_leq(x.w->dht.appattaches, 1 + 2 * (FORK_AGAIN + 1));
    done(&x);
}

/* Cancelled, and the callee's node is gone: the caller does not wait for ever. */
Test(ringing, is_cancelled_and_callees_node_is_gone)
{
    struct ringing x;
    call(&x, true);
    x.w->instances[1]->is_deaf = true;
    cut(&x);
    cancel(&x);
    world_run(x.w, UINT64_C(90) * 1000000);
    phone_expect(x.a, "SIP/2.0 487");
    done(&x);
}

/* The callee's node opens a connection and closes the one before, again and again, and says
 * nothing: `for_ms` after the CANCEL the branch is over all the same. */
static void cancel_and_change(struct ringing *x, uint32_t for_ms)
{
    x->w->instances[1]->is_deaf = true;
    cancel(x);
    for (uint32_t ms = 0; ms < for_ms; ms += 500) {
        int first = 1;
        while (!x->w->conns[first].is_used || x->w->conns[first].phone >= 0) {
            first++;
        }
        world_join_peers(x->w, 1, 0);
        world_close_conn(x->w, first, true);
        world_run(x->w, 500000);
    }
    phone_expect(x->a, "SIP/2.0 487");
    cr_expect_eq(x->w->instances[0]->sip->branches.in_use, 0, "it holds a branch");
    x->w->instances[1]->is_deaf = false;
    world_free(x->w);
}

Test(ringing, a_cancelled_one_is_not_kept_by_new_connections)
{
    struct ringing x;
    call(&x, true);
    cancel_and_change(&x, TX_64_T1_MS + 1000);
}

Test(ringing, a_cancelled_silent_one_is_not_kept_either)
{
    struct ringing x;
    struct dialog d;
    set_up(&x);
    phone_talk(x.w, x.a, x.b, "first", &d);
    phone_hang_up(x.w, x.a, x.b, &d);
    x.w->instances[1]->is_deaf = true;
    phone_call(x.w, x.a, "INVITE", "bob", "ring");
    world_run(x.w, 50000);
    phone_expect(x.a, "SIP/2.0 100");
    cancel_and_change(&x, 2 * FORK_SILENT_MS + 1000);
}

/* Who knows the branch (every hop behind has seen it) cannot take the responses away. */
Test(ringing, another_peer_gets_no_responses)
{
    struct ringing x;
    char vias[PHONE_TEXT], copy[PHONE_TEXT];
    call(&x, true);
    int three = world_add_node(x.w, 1);
    world_join_peers(x.w, three, 1);
    struct world_instance *y = x.w->instances[1];
    handle flow = 0;
    for (int i = 1; i < WORLD_CONNS; i++) {
        if (x.w->conns[i].is_used && x.w->conns[i].at == 1 && x.w->conns[i].peer == three) {
            flow = x.w->conns[i].flow;
        }
    }
    lines_of(x.invite, "Via", vias);
    const char *via = strchr(vias, '\n') + 1; /* of node 1, beneath node 2's own */
    int len = snprintf(copy, sizeof(copy),
                       "INVITE sip:bob@example.org SIP/2.0\r\n%.*s\r\n"
                       "From: <sip:alice@example.org>;tag=f-ring\r\nTo: <sip:bob@example.org>\r\n"
                       "Call-ID: ring\r\nCSeq: 2 INVITE\r\nMax-Forwards: 69\r\n"
                       "Content-Length: 0\r\n\r\n",
                       (int)strcspn(via, "\n"), via);
    uint64_t duplicates = world_metric(x.w, METRIC_sip_duplicates);
    y->turn.now_us = x.w->now_us;
    sip_on_stream(&y->turn, y->sip, flow, (uint8_t *)copy, (size_t)len);
    world_run(x.w, 1000);
    cr_assert_eq(world_metric(x.w, METRIC_sip_duplicates), duplicates + 1); /* it was the branch */
    while (x.a->count > 0) {
        phone_expect(x.a, "SIP/2.0 180");
    }
    answer_and_end(&x);
}

/* RFC 3326: it was no missed call. */
static void expect_elsewhere(const char *cancel)
{
    static const char reason[] = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    cr_expect(strstr(cancel, reason) != NULL, "%s", cancel);
}

/* It rings, and is told to stop. */
static void ring_to_be_cancelled(struct ringing *x, struct phone *silent, const char *invite,
                                 char *cancel)
{
    phone_answer(x->w, silent, invite, "180 Ringing");
    snprintf(cancel, PHONE_TEXT, "%s", phone_expect(silent, "CANCEL sip:"));
    expect_elsewhere(cancel);
}

static void stop_ringing(struct ringing *x, struct phone *silent, const char *invite,
                         const char *cancel)
{
    phone_answer(x->w, silent, cancel, "200 OK");
    phone_answer(x->w, silent, invite, "487 Request Terminated");
    phone_expect(silent, "ACK sip:");
}

/* Two phones of bob's at one node: one answers, the other has said nothing so far. */
static void answered_beside_silence(struct ringing *x, struct phone **silent, char *invite)
{
    struct dialog d;
    x->w = world_make();
    int one = world_add_node(x->w, 1);
    x->a = world_add_phone(x->w, "alice", one);
    x->b = world_add_phone(x->w, "bob", one);
    *silent = world_add_phone(x->w, "bob", one);
    (*silent)->cseq = 500;
    cr_assert(strncmp(phone_register(x->w, x->a, "3600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(x->w, x->b, "3600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(x->w, *silent, "3600"), "SIP/2.0 200", 11) == 0);
    phone_call(x->w, x->a, "INVITE", "bob", "beside");
    world_run(x->w, 50000);
    phone_expect(x->a, "SIP/2.0 100");
    snprintf(x->invite, sizeof(x->invite), "%s", phone_expect(x->b, "INVITE sip:"));
    snprintf(invite, PHONE_TEXT, "%s", phone_expect(*silent, "INVITE sip:"));
    phone_answer(x->w, x->b, x->invite, "200 OK");
    dialog_caller(&d, phone_expect(x->a, "SIP/2.0 200"));
    phone_in_dialog(x->w, x->a, &d, "ACK");
    phone_expect(x->b, "ACK sip:");
    cr_expect_eq(x->w->instances[0]->sip->proxies.in_use, 0, "it counts against the caller");
    cr_expect_eq(x->w->instances[0]->sip->branches.in_use, 0);
}

/* A contact that no longer answers costs the caller nothing once another has answered (found by
 * load: 1,024 proxies of a source, each for 32 s, were 32 calls a second). */
Test(ringing, silent_beside_one_that_answers)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT];
    answered_beside_silence(&x, &silent, invite);
    silent->is_sink = true;
    done(&x);
}

/* It does ring, late: it is told to stop. */
Test(ringing, late_beside_one_that_answers)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT], text[PHONE_TEXT];
    answered_beside_silence(&x, &silent, invite);
    ring_to_be_cancelled(&x, silent, invite, text);
    phone_answer(x.w, silent, invite, "180 Ringing");
    phone_expect_nothing(silent);
    stop_ringing(&x, silent, invite, text);
    phone_expect_nothing(x.a);
    done(&x);
}

/* It has been answered, too: the caller has two dialogs (RFC 3261 13.2.2.4). */
Test(ringing, both_answer)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT];
    answered_beside_silence(&x, &silent, invite);
    phone_answer(x.w, silent, invite, "200 OK");
    phone_expect(x.a, "SIP/2.0 200");
    done(&x);
}

/* Two phones of bob's at two nodes: one answers, the other, at node three, has said nothing so far;
 * its node has said 100 by then, and gets the CANCEL. */
static void answered_elsewhere(struct ringing *x, struct phone **silent, char *invite)
{
    struct dialog d;
    set_up(x);
    *silent = world_add_phone(x->w, "bob", world_add_node(x->w, 1));
    cr_assert(strncmp(phone_register(x->w, *silent, "3600"), "SIP/2.0 200", 11) == 0);
    phone_call(x->w, x->a, "INVITE", "bob", "ring");
    world_run(x->w, 300000);
    phone_expect(x->a, "SIP/2.0 100");
    snprintf(x->invite, sizeof(x->invite), "%s", phone_expect(x->b, "INVITE sip:"));
    snprintf(invite, PHONE_TEXT, "%s", phone_expect(*silent, "INVITE sip:"));
    phone_answer(x->w, x->b, x->invite, "200 OK");
    dialog_caller(&d, phone_expect(x->a, "SIP/2.0 200"));
    phone_in_dialog(x->w, x->a, &d, "ACK");
    phone_expect(x->b, "ACK sip:");
    phone_expect_nothing(*silent); /* 9.1: no CANCEL for what was not heard of */
    cr_expect_eq(x->w->instances[2]->sip->proxies.in_use, 1);
}

/* Neither node keeps the branch, or the proxy, until timer B. */
Test(ringing, silent_at_another_node)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT];
    answered_elsewhere(&x, &silent, invite);
    silent->is_sink = true;
    world_run(x.w, (FORK_SILENT_MS + 100) * 1000);
    for (int i = 0; i < x.w->count; i++) {
        cr_expect_eq(x.w->instances[i]->sip->proxies.in_use, 0, "a proxy left at %d", i);
        cr_expect_eq(x.w->instances[i]->sip->branches.in_use, 0, "a branch left at %d", i);
    }
    cr_expect_eq(world_metric(x.w, METRIC_sip_forks_silent), 1, "the caller's node got a 487");
    done(&x);
}

/* Its own node is gone, too: what nobody answers for holds nothing up at the caller's. */
Test(ringing, silent_with_its_node)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT];
    set_up(&x);
    silent = world_add_phone(x.w, "bob", world_add_node(x.w, 1));
    cr_assert(strncmp(phone_register(x.w, silent, "3600"), "SIP/2.0 200", 11) == 0);
    phone_call(x.w, x.a, "INVITE", "bob", "first"); /* there are connections now */
    world_run(x.w, 300000);
    x.w->instances[2]->is_deaf = true;
    silent->is_sink = true;
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_expect(x.a, "SIP/2.0 100");
    phone_answer(x.w, x.b, invite, "200 OK");
    phone_expect(x.a, "SIP/2.0 200");
    cr_expect_eq(x.w->instances[0]->sip->proxies.in_use, 1);
    world_run(x.w, (2 * FORK_SILENT_MS + 100) * 1000);
    cr_expect_eq(x.w->instances[0]->sip->proxies.in_use, 0);
    cr_expect_eq(x.w->instances[0]->sip->branches.in_use, 0);
    silent->first = silent->count = 0;
    done(&x);
}

/* It does ring, late, when nobody waits for it: it is told to stop. */
Test(ringing, late_at_another_node)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT], text[PHONE_TEXT];
    answered_elsewhere(&x, &silent, invite);
    world_run(x.w, (FORK_SILENT_MS + 100) * 1000);
    silent->first = silent->count = 0; /* INVITEs again */
    ring_to_be_cancelled(&x, silent, invite, text);
    stop_ringing(&x, silent, invite, text);
    done(&x);
}

/* It rings within that time: CANCEL, and its 487 is waited for. */
Test(ringing, rings_at_another_node_after_the_cancel)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT], text[PHONE_TEXT];
    answered_elsewhere(&x, &silent, invite);
    ring_to_be_cancelled(&x, silent, invite, text);
    world_run(x.w, (2 * FORK_SILENT_MS + 100) * 1000);
    cr_expect_eq(x.w->instances[2]->sip->proxies.in_use, 1);
    cr_expect_eq(x.w->instances[0]->sip->proxies.in_use, 0, "the caller has been answered");
    silent->first = silent->count = 0; /* CANCELs again */
    stop_ringing(&x, silent, invite, text);
    cr_expect_eq(x.w->instances[2]->sip->proxies.in_use, 0);
    cr_expect_eq(world_metric(x.w, METRIC_sip_forks_silent), 1, "at the caller's node");
    done(&x);
}

/* ... or is answered after all: the caller has two dialogs. */
Test(ringing, both_answer_at_two_nodes)
{
    struct ringing x = {0};
    struct phone *silent = NULL;
    char invite[PHONE_TEXT];
    answered_elsewhere(&x, &silent, invite);
    phone_answer(x.w, silent, invite, "200 OK");
    phone_expect(x.a, "SIP/2.0 200");
    done(&x);
}

/* The caller has given up: told so soon, although the callee's phone is switched off. */
Test(ringing, silent_and_cancelled)
{
    struct ringing x = {0};
    call(&x, false);
    world_run(x.w, 300000);
    x.b->is_sink = true;
    cancel(&x);
    world_run(x.w, (FORK_SILENT_MS + 100) * 1000);
    phone_expect(x.a, "SIP/2.0 487");
    cr_expect_eq(x.w->instances[0]->sip->proxies.in_use, 0);
    cr_expect_eq(x.w->instances[1]->sip->proxies.in_use, 0);
    done(&x);
}
