/* SPDX-License-Identifier: Apache-2.0 */
/* Contacts of different q at several nodes: one group after the other (RFC 3261 16.6, sip/grade).
 */
#include "sip/grade.h"
#include "tests/unit/sip/phone_world.h"

struct scene {
    struct world *w;
    struct phone *alice, *desk, *mail; /* bob's, at nodes 1 and 2; alice is at node 0 */
};

static void take(struct world *w, struct phone *p, const char *method, const char *status)
{
    char request[PHONE_TEXT];
    snprintf(request, sizeof(request), "%s", phone_expect(p, method));
    phone_answer(w, p, request, status);
}

static void put(struct world *w, struct phone *p, const char *q)
{
    char lines[256], address[ADDRESS_TEXT_CAP];
    snprintf(lines, sizeof(lines), "Contact: <sip:bob@%s>;q=%s\n",
             address_text(&p->address, address), q);
    p->cseq += (uint32_t)w->phone_count * 100; /* one Call-ID for all */
    cr_assert(strncmp(phone_register_as(w, p, lines), "SIP/2.0 200", 11) == 0);
}

static struct phone *device(struct world *w, int node, const char *q)
{
    struct phone *p = world_add_phone(w, "bob", node);
    put(w, p, q);
    return p;
}

static struct scene begin(int alice_at, const char *desk, const char *mail)
{
    struct scene x = {.w = world_make()};
    for (int i = 0; i < 3; i++) {
        world_add_node(x.w, 1);
    }
    x.alice = world_add_phone(x.w, "alice", alice_at);
    phone_register(x.w, x.alice, "3600");
    x.mail = device(x.w, 2, mail); /* in no order */
    x.desk = device(x.w, 1, desk);
    return x;
}

static void call(struct scene *x)
{
    phone_ask(x->w, x->alice, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(x->alice, "SIP/2.0 100");
}

static void finish(struct scene *x)
{
    x->alice->is_sink = x->desk->is_sink = x->mail->is_sink = true;
    world_expect_empty(x->w);
    world_free(x->w);
}

/* From a third node, and from either of the two. */
Test(grade, the_next_node_when_one_has_failed)
{
    for (int at = 0; at < 3; at++) {
        struct scene x = begin(at, "1.0", "0.2");
        call(&x);
        phone_expect_nothing(x.mail);
        take(x.w, x.desk, "INVITE", "486 Busy Here");
        phone_expect(x.desk, "ACK");
        world_run(x.w, 100000);
        take(x.w, x.mail, "INVITE", "200 OK");
        phone_expect(x.alice, "SIP/2.0 200");
        phone_expect_nothing(x.desk);
        finish(&x);
    }
}

Test(grade, the_next_node_when_nobody_answers)
{
    struct scene x = begin(0, "0.9", "0.3");
    char invite[PHONE_TEXT];
    call(&x);
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.desk, "INVITE"));
    phone_answer(x.w, x.desk, invite, "180 Ringing");
    phone_expect(x.alice, "SIP/2.0 180");
    world_run(x.w, 19000000);
    phone_expect_nothing(x.mail);
    world_run(x.w, 2000000);
    take(x.w, x.desk, "CANCEL", "200 OK");
    phone_answer(x.w, x.desk, invite, "487 Request Terminated");
    world_run(x.w, 100000);
    take(x.w, x.mail, "INVITE", "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    finish(&x);
}

/* The first node has two groups, and gets the time for both. */
Test(grade, a_node_of_two_groups)
{
    struct scene x = begin(0, "1.0", "0.5");
    struct phone *second = device(x.w, 1, "0.7");
    char invite[PHONE_TEXT];
    call(&x);
    snprintf(invite, sizeof(invite), "%s", phone_expect(x.desk, "INVITE"));
    phone_answer(x.w, x.desk, invite, "180 Ringing");
    phone_expect(x.alice, "SIP/2.0 180");
    world_run(x.w, 21000000);
    take(x.w, x.desk, "CANCEL", "200 OK");
    phone_answer(x.w, x.desk, invite, "487 Request Terminated");
    snprintf(invite, sizeof(invite), "%s", phone_expect(second, "INVITE"));
    phone_answer(x.w, second, invite, "180 Ringing");
    world_run(x.w, 15000000);
    phone_expect_nothing(x.mail);
    world_run(x.w, 6000000);
    take(x.w, second, "CANCEL", "200 OK");
    phone_answer(x.w, second, invite, "487 Request Terminated");
    world_run(x.w, 100000);
    phone_expect(x.mail, "INVITE");
    second->is_sink = true;
    finish(&x);
}

Test(grade, together)
{
    struct scene x = begin(0, "0.4", "0.4"); /* the same */
    call(&x);
    phone_expect(x.desk, "INVITE");
    phone_expect(x.mail, "INVITE");
    finish(&x);
    x = begin(0, "1.0", "0.4"); /* no INVITE: no time for two */
    phone_ask(x.w, x.alice, "MESSAGE", "sip:bob@example.org", "", NULL);
    phone_expect(x.desk, "MESSAGE");
    phone_expect(x.mail, "MESSAGE");
    finish(&x);
}

Test(grade, cancelled_and_declined)
{
    struct scene x = begin(0, "1.0", "0.4");
    call(&x);
    take(x.w, x.desk, "INVITE", "603 Decline"); /* the end for all */
    phone_expect(x.alice, "SIP/2.0 603");
    phone_expect_nothing(x.mail);
    finish(&x);
}

/* A node that cannot be reached is no reason not to try the others. */
Test(grade, a_node_that_is_gone)
{
    struct scene x = begin(0, "1.0", "0.4");
    x.w->instances[1]->is_deaf = true;
    x.w->instances[0]->overlay.is_attach_failing = false;
    call(&x);
    world_run(x.w, 40000000);
    phone_expect(x.mail, "INVITE");
    finish(&x);
}

/* The record says it, and follows what the phones say. */
Test(grade, the_record)
{
    struct scene x = begin(0, "1.0", "1.0");
    struct overlay_resource resource;
    overlay_resource_of(&x.w->instances[0]->turn, SLICE_LITERAL("bob@example.org"), &resource);
    struct fake_record *r = fake_find(&x.w->dht, &resource, OVERLAY_KIND_SIP_REGISTRATION,
                                      slice_of(x.w->instances[1]->idents[1].node_id.bytes, 16));
    cr_assert_eq(r->value_len, 25, "nothing said where there is nothing to say");
    put(x.w, x.desk, "0.25");
    cr_assert_not_null(memmem(r->value, r->value_len, "SIPS));q=0.250\x00\x12", 16));
    put(x.w, x.desk, "0.5");
    cr_assert_not_null(memmem(r->value, r->value_len, "q=0.500", 7));
    put(x.w, x.desk, "1.0");
    cr_assert_eq(r->value_len, 25);
    finish(&x);
}

Test(grade, what_a_record_may_say)
{
    static const struct {
        const char *text;
        uint16_t q;
        uint8_t steps;
    } all[] = {
        {"", 1000, 1},
        {"(sip.audio=TRUE)", 1000, 1},
        {"(sip.audio=TRUE);q=0.5", 500, 1},
        {"(|(a=TRUE)(b=TRUE));q=0.125;steps=3", 125, 3},
        {"(a=TRUE) ; Q=0.7 ; Steps=2", 700, 2},
        {"(a=TRUE);q=1.5", 1000, 1},
        {"(a=TRUE);q=;steps=", 1000, 1},
        {"(a=TRUE);q=0.5;steps=5", 500, 1}, /* more than is waited for: what it was without */
        {"(a=TRUE);steps=0;q=-1", 1000, 1},
        {"(a=TRUE);steps=99999999999999999999", 1000, 1},
        {"(a=TRUE);;;==;q", 1000, 1},
        {";q=0.1", 1000, 1}, /* nothing in front */
        {"(a=\"<x>;q=0.1\")", 1000, 1},
        {")", 1000, 1},
        {");q=0", 0, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct grade g = grade_read(slice_text(all[i].text));
        cr_expect_eq(g.q_milli, all[i].q, "%s: %u", all[i].text, g.q_milli);
        cr_expect_eq(g.steps, all[i].steps, "%s: %u", all[i].text, g.steps);
        if (grade_is_plain(&g)) {
            continue;
        }
        uint8_t text[64];
        struct slice out;
        struct sip_writer w;
        sip_write_init(&w, text, sizeof(text));
        sip_write_text(&w, "(a=TRUE)");
        grade_write(&w, &g);
        cr_assert_eq(sip_write_finish(&w, &out), ERR_OK);
        cr_assert_leq(out.len - 8, GRADE_CAP);
        struct grade again = grade_read(out);
        cr_expect_eq(again.q_milli, g.q_milli);
        cr_expect_eq(again.steps, g.steps);
    }
}
