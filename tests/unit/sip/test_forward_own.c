/* SPDX-License-Identifier: Apache-2.0 */
/* A user's own forward: a Contact that is another AOR of the overlay (RFC 7904 3.1, sip/forward).
 */
#include "sip/forward.h"
#include "tests/unit/sip/phone_world.h"

struct scene {
    struct world *w;
    struct phone *alice, *bob, *carol; /* bob and carol at another node than alice */
};

static struct scene begin(void)
{
    struct scene x = {.w = world_make()};
    int one = world_add_node(x.w, 1), two = world_add_node(x.w, 1);
    x.alice = world_add_phone(x.w, "alice", one);
    x.bob = world_add_phone(x.w, "bob", two);
    x.carol = world_add_phone(x.w, "carol", two);
    phone_register(x.w, x.alice, "3600");
    phone_register(x.w, x.bob, "3600");
    phone_register(x.w, x.carol, "3600");
    return x;
}

static void finish(struct scene *x)
{
    world_expect_empty(x->w);
    world_free(x->w);
}

static void forward(struct scene *x, struct phone *p, const char *lines, const char *status)
{
    const char *text = phone_register_as(x->w, p, lines);
    cr_assert(strncmp(text, status, strlen(status)) == 0, "%s", text);
    world_run(x->w, 3000000); /* callers remember for a while where she was */
}

/* Carol sends alice a message. */
static void ask(struct scene *x)
{
    phone_ask(x->w, x->carol, "MESSAGE", "sip:alice@example.org", "", NULL);
}

static void expect_at(struct scene *x, struct phone *p, const char *start)
{
    phone_answer(x->w, p, phone_expect(p, start), "200 OK");
    phone_expect(x->carol, "SIP/2.0 200");
    phone_expect_nothing(x->alice);
    phone_expect_nothing(x->bob);
}

#define TO_BOB "Contact: <sip:bob@example.org>;expires=600\n"

Test(forward_own, set_followed_and_removed)
{
    struct scene x = begin();
    struct overlay_resource resource;
    char ok[PHONE_TEXT];
    ask(&x);
    expect_at(&x, x.alice, "MESSAGE");
    snprintf(ok, sizeof(ok), "%s", phone_register_as(x.w, x.alice, TO_BOB));
    cr_assert(strstr(ok, "Contact: <sip:bob@example.org>;expires=600\r\n") != NULL, "%s", ok);
    cr_assert(strstr(ok, "Contact: <sip:alice@10.1.0.1:5060>") != NULL, "%s", ok);
    overlay_resource_of(&x.w->instances[0]->turn, SLICE_LITERAL("alice@example.org"), &resource);
    const struct fake_record *r =
        fake_find(&x.w->dht, &resource, OVERLAY_KIND_SIP_REGISTRATION,
                  slice_of(x.w->instances[0]->idents[0].node_id.bytes, 16));
    cr_assert(r->exists);
    cr_assert_eq(r->value_len, 5 + 15);
    cr_assert_eq(memcmp(r->value,
                        "\x01\x00\x11\x00\x0f"
                        "bob@example.org",
                        20),
                 0);
    ask(&x); /* at once: what carol's node remembers leads to alice's, which sends it back */
    expect_at(&x, x.bob, "MESSAGE sip:bob@10.1.0.2");
    ask(&x);
    expect_at(&x, x.bob, "MESSAGE sip:bob@10.1.0.2");
    /* nothing says any more that this peer speaks for her */
    phone_ask(x.w, x.alice, "MESSAGE", "sip:carol@example.org", "", NULL);
    cr_assert(strstr(phone_expect(x.alice, "SIP/2.0 403"), "forwarded") != NULL);
    /* a refresh of the phone's own contact leaves it */
    uint32_t stores = x.w->dht.stores;
    phone_register(x.w, x.alice, "3600");
    cr_assert_eq(x.w->dht.stores, stores, "the record is fresh");
    ask(&x);
    expect_at(&x, x.bob, "MESSAGE");
    forward(&x, x.alice, "Contact: <sip:bob@example.org>;expires=0\n", "SIP/2.0 200");
    ask(&x);
    expect_at(&x, x.alice, "MESSAGE");
    finish(&x);
}

Test(forward_own, ends_with_its_time)
{
    struct scene x = begin();
    forward(&x, x.alice, "Contact: <sip:bob@example.org>;expires=100\n", "SIP/2.0 200");
    world_run(x.w, 90000000);
    ask(&x);
    expect_at(&x, x.bob, "MESSAGE");
    world_run(x.w, 20000000);
    ask(&x);
    expect_at(&x, x.alice, "MESSAGE");
    finish(&x);
}

Test(forward_own, one_at_a_time)
{
    struct scene x = begin();
    forward(&x, x.alice, "Contact: <sip:bob@example.org>, <sip:carol@example.org>\n",
            "SIP/2.0 403");
    forward(&x, x.alice, "Contact: <sip:carol@example.org>\n", "SIP/2.0 200");
    forward(&x, x.alice, TO_BOB, "SIP/2.0 200"); /* in its place */
    cr_assert_null(strstr(phone_register_as(x.w, x.alice, ""), "carol"));
    ask(&x);
    expect_at(&x, x.bob, "MESSAGE");
    forward(&x, x.alice, "Contact: *\nExpires: 0\n", "SIP/2.0 200");
    ask(&x);
    phone_expect(x.carol, "SIP/2.0 4");
    finish(&x);
}

/* A Contact with a device's name is no device, one that is her own AOR no forward. */
Test(forward_own, neither_a_device_nor_herself)
{
    struct scene x = begin();
    forward(&x, x.alice, "Contact: <sip:alice@10.1.0.1>;+sip.instance=\"<urn:uuid:1>\"\n",
            "SIP/2.0 200");
    forward(&x, x.alice, "Contact: <sip:bob@example.org>;+sip.instance=\"<urn:uuid:1>\"\n",
            "SIP/2.0 200");
    cr_assert_not_null(forward_now(&x.w->instances[0]->turn, x.w->instances[0]->sip, 0));
    const char *ok = phone_register_as(x.w, x.alice, "");
    cr_assert(strstr(ok, "urn:uuid:1") != NULL, "the device is still there:\n%s", ok);
    forward(&x, x.alice, "Contact: <sip:bob@example.org>;expires=0\n", "SIP/2.0 200");
    forward(&x, x.alice, "Contact: <sip:alice@example.org>\n", "SIP/2.0 200");
    cr_assert_null(forward_now(&x.w->instances[0]->turn, x.w->instances[0]->sip, 0));
    finish(&x);
}

/* alice -> bob -> alice: each name is looked up once (spec S10). */
Test(forward_own, circle)
{
    struct scene x = begin();
    forward(&x, x.alice, TO_BOB, "SIP/2.0 200");
    forward(&x, x.bob, "Contact: <sip:alice@example.org>\n", "SIP/2.0 200");
    uint32_t fetches = x.w->dht.fetches;
    ask(&x);
    phone_expect(x.carol, "SIP/2.0 4"); /* 404: nobody's certificates are in this overlay */
    cr_assert_leq(x.w->dht.fetches - fetches, 3, "each record once, then the certificates");
    finish(&x);
}

/* Of the account alone: another one's REGISTER forwards nobody. */
Test(forward_own, of_nobody_else)
{
    struct scene x = begin();
    char auth[PHONE_TEXT];
    phone_send(x.w, x.bob,
               "REGISTER sip:example.org SIP/2.0\nVia: SIP/2.0/UDP 10.1.0.2:5060;branch=z9hG4bKx\n"
               "From: <sip:bob@example.org>;tag=r\nTo: <sip:alice@example.org>\nCall-ID: x\n"
               "CSeq: 900 REGISTER\nMax-Forwards: 70\n" TO_BOB);
    credentials(phone_expect(x.bob, "SIP/2.0 401"), "bob", "secret", "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_send(x.w, x.bob,
               "REGISTER sip:example.org SIP/2.0\nVia: SIP/2.0/UDP 10.1.0.2:5060;branch=z9hG4bKy\n"
               "From: <sip:bob@example.org>;tag=r\nTo: <sip:alice@example.org>\nCall-ID: x\n"
               "CSeq: 901 REGISTER\nMax-Forwards: 70\n" TO_BOB "%s",
               auth);
    phone_expect(x.bob, "SIP/2.0 403");
    ask(&x);
    expect_at(&x, x.alice, "MESSAGE");
    finish(&x);
}
