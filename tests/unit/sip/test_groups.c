/* SPDX-License-Identifier: Apache-2.0 */
/* Contacts of different q: one group after the other (RFC 3261 16.6, 16.7). */
#include "tests/unit/sip/phone_world.h"

static struct phone *device(struct world *w, const char *q)
{
    char lines[256], address[ADDRESS_TEXT_CAP];
    struct phone *p = world_add_phone(w, "bob", 0);
    snprintf(lines, sizeof(lines), "Contact: <sip:bob@%s>;q=%s\n",
             address_text(&p->address, address), q);
    p->cseq = (uint32_t)w->phone_count * 100; /* one Call-ID for all */
    cr_assert(strncmp(phone_register_as(w, p, lines), "SIP/2.0 200", 11) == 0);
    return p;
}

struct scene {
    struct world *w;
    struct phone *alice, *desk, *first, *second;
};

static struct scene begin(void)
{
    struct scene x = {.w = world_make()};
    world_add_node(x.w, 1);
    x.alice = world_add_phone(x.w, "alice", 0);
    phone_register(x.w, x.alice, "3600");
    x.first = device(x.w, "0.5"); /* in no order */
    x.desk = device(x.w, "1.0");
    x.second = device(x.w, "0.5");
    return x;
}

static void call(struct scene *x)
{
    phone_ask(x->w, x->alice, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(x->alice, "SIP/2.0 100");
}

static void take(struct world *w, struct phone *p, const char *method, const char *status)
{
    char request[PHONE_TEXT];
    snprintf(request, sizeof(request), "%s", phone_expect(p, method));
    phone_answer(w, p, request, status);
}

/* The desk phone has the call, and says that it rings. */
static void ring(struct scene *x, char invite[PHONE_TEXT])
{
    call(x);
    snprintf(invite, PHONE_TEXT, "%s", phone_expect(x->desk, "INVITE"));
    phone_answer(x->w, x->desk, invite, "180 Ringing");
    phone_expect(x->alice, "SIP/2.0 180");
}

static void finish(struct scene *x)
{
    x->alice->is_sink = x->desk->is_sink = x->first->is_sink = x->second->is_sink = true;
    world_expect_empty(x->w);
    world_free(x->w);
}

Test(groups, the_next_when_all_have_failed)
{
    struct scene x = begin();
    char first[PHONE_TEXT];
    call(&x);
    phone_expect_nothing(x.first);
    phone_expect_nothing(x.second);
    take(x.w, x.desk, "INVITE", "486 Busy Here");
    phone_expect(x.desk, "ACK");
    phone_expect_nothing(x.alice);
    snprintf(first, sizeof(first), "%s", phone_expect(x.first, "INVITE")); /* both of 0.5 */
    phone_answer(x.w, x.first, first, "180 Ringing");
    phone_expect(x.alice, "SIP/2.0 180");
    take(x.w, x.second, "INVITE", "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    take(x.w, x.first, "CANCEL", "200 OK");
    cr_expect_eq(world_metric(x.w, METRIC_sip_forks_next), 1);
    finish(&x);
}

Test(groups, the_next_when_nobody_answers)
{
    struct scene x = begin();
    char invite[PHONE_TEXT];
    ring(&x, invite);
    world_run(x.w, 15000000);
    phone_answer(x.w, x.desk, invite, "180 Ringing"); /* which gives it no more time */
    phone_expect(x.alice, "SIP/2.0 180");
    world_run(x.w, 6000000);
    phone_expect(x.desk, "CANCEL");
    phone_expect_nothing(x.first);
    phone_answer(x.w, x.desk, invite, "487 Request Terminated");
    take(x.w, x.first, "INVITE", "480 Not here");
    take(x.w, x.second, "INVITE", "486 Busy Here");
    phone_expect(x.alice, "SIP/2.0 486"); /* not the 487, which says nothing to her */
    finish(&x);
}

/* Silent for as long as its group has, then it answers: that is the call, and the others stop. */
Test(groups, answer_out_of_turn)
{
    struct scene x = begin();
    char desk[PHONE_TEXT], first[PHONE_TEXT];
    call(&x);
    snprintf(desk, sizeof(desk), "%s", phone_expect(x.desk, "INVITE"));
    x.desk->is_sink = true;
    world_run(x.w, 20300000);
    snprintf(first, sizeof(first), "%s", phone_expect(x.first, "INVITE"));
    phone_answer(x.w, x.first, first, "180 Ringing");
    phone_expect(x.alice, "SIP/2.0 180");
    take(x.w, x.second, "INVITE", "486 Busy Here");
    phone_answer(x.w, x.desk, desk, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    phone_expect(x.second, "ACK");
    take(x.w, x.first, "CANCEL", "200 OK");
    phone_answer(x.w, x.desk, desk, "200 OK"); /* again, until there is an ACK */
    phone_expect(x.alice, "SIP/2.0 200");
    phone_answer(x.w, x.first, first, "487 Request Terminated");
    phone_expect(x.first, "ACK");
    phone_expect_nothing(x.alice);
    finish(&x);
}

/* One that has rung and then says nothing at all, not even that it is cancelled. */
Test(groups, silence_after_ringing)
{
    struct scene x = begin();
    char invite[PHONE_TEXT];
    ring(&x, invite);
    x.desk->is_sink = true;
    world_run(x.w, 60000000);
    take(x.w, x.first, "INVITE", "480 Not here");
    take(x.w, x.second, "INVITE", "480 Not here");
    phone_expect(x.alice, "SIP/2.0 408"); /* she has cancelled nothing */
    finish(&x);
}

Test(groups, the_end_for_all)
{
    struct scene x = begin();
    call(&x);
    take(x.w, x.desk, "INVITE", "603 Decline");
    phone_expect(x.desk, "ACK");
    phone_expect(x.alice, "SIP/2.0 603");
    phone_expect_nothing(x.first);
    phone_expect_nothing(x.second);
    finish(&x);
}

Test(groups, a_message_goes_to_all_at_once)
{
    struct scene x = begin();
    phone_ask(x.w, x.alice, "MESSAGE", "sip:bob@example.org", "", NULL);
    take(x.w, x.desk, "MESSAGE", "200 OK");
    take(x.w, x.first, "MESSAGE", "200 OK");
    take(x.w, x.second, "MESSAGE", "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    finish(&x);
}

Test(groups, cancelled)
{
    struct scene x = begin();
    char invite[PHONE_TEXT], request[PHONE_TEXT], via[PHONE_TEXT], from[PHONE_TEXT], to[PHONE_TEXT],
        id[PHONE_TEXT];
    ring(&x, invite);
    snprintf(request, sizeof(request), "%s", x.alice->last_request);
    phone_send(x.w, x.alice,
               "CANCEL sip:bob@example.org SIP/2.0\n%sFrom: %s\nTo: %s\nCall-ID: %s\n"
               "CSeq: 2 CANCEL\nMax-Forwards: 70\n",
               lines_of(request, "Via", via), value_of(request, "From", from),
               value_of(request, "To", to), value_of(request, "Call-ID", id));
    phone_expect(x.alice, "SIP/2.0 200");
    take(x.w, x.desk, "CANCEL", "200 OK");
    phone_answer(x.w, x.desk, invite, "487 Request Terminated");
    phone_expect(x.alice, "SIP/2.0 487");
    phone_expect_nothing(x.first);
    phone_expect_nothing(x.second);
    finish(&x);
}
