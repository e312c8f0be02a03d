/* SPDX-License-Identifier: Apache-2.0 */
/* test_spoiled.c - PROTOS-like cases (tests/unit/codec/protos.h) at a whole node: from strangers
 * over UDP and TCP, from a peer that may speak for its From, and from a phone with the right
 * password.  Nothing crashes, others are served in between, and in the end nothing is held. */
#include "tests/unit/codec/protos.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

/* Every STRIDE-th case, so that the fields take turns at the ways to spoil them; the parser gets
 * all of them elsewhere.  All are primes, and none divides the number of ways. */
enum { STRIDE_UDP = 3, STRIDE_TCP = 7, STRIDE_PEER = 5, STRIDE_PHONE = 3 };

static uint8_t text[PROTOS_CASE_CAP];

static struct address stranger(void)
{
    struct address a;
    cr_assert_eq(address_parse(SLICE_LITERAL("10.9.8.7:5060"), 0, &a), ERR_OK);
    return a;
}

/* A valid registration and a call, while things go on. */
static void is_served(struct world *w, struct phone *a, struct phone *b, unsigned n)
{
    char call[32];
    struct dialog d;
    a->first = a->count = b->first = b->count = 0;
    cr_assert(strncmp(phone_register(w, a, "600"), "SIP/2.0 200", 11) == 0, "after case %u", n);
    cr_assert(strncmp(phone_register(w, b, "600"), "SIP/2.0 200", 11) == 0, "after case %u", n);
    snprintf(call, sizeof(call), "c%u", n);
    phone_talk(w, a, b, call, &d);
}

static struct world *two_phones(struct phone **a, struct phone **b)
{
    struct world *w = world_make();
    world_digest = SIP_DIGEST_MD5;
    world_add_node(w, 1);
    *a = world_add_phone(w, "carol", 0);
    *b = world_add_phone(w, "dave", 0);
    is_served(w, *a, *b, 0);
    return w;
}

static void end(struct world *w)
{
    uint64_t bindings = w->instances[0]->sip->bindings.in_use;
    world_run(w, UINT64_C(7300) * 1000000); /* all registrations run out */
    world_expect_empty(w);
    cr_expect_eq(w->instances[0]->sip->bindings.in_use, 0, "%lu bindings left",
                 (unsigned long)bindings);
    world_free(w);
}

Test(spoiled, from_strangers_over_udp)
{
    struct phone *a = NULL, *b = NULL;
    struct world *w = two_phones(&a, &b);
    struct world_instance *x = w->instances[0];
    struct address remote = stranger();
    unsigned count = 0;
    for (unsigned n = 0; n < protos_count(); n += STRIDE_UDP) {
        size_t len = protos_make(n, "example.org", text);
        uint8_t *copy = malloc(len);
        memcpy(copy, text, len);
        w->now_us += 1000;
        x->turn.now_us = w->now_us;
        sip_on_datagram(&x->turn, x->sip, &remote, copy, len);
        free(copy);
        world_run(w, 0);
        if (++count % 1000 == 0) {
            is_served(w, a, b, n);
        }
    }
    is_served(w, a, b, protos_count());
    cr_expect_geq(count, 4500);
    cr_expect_geq(world_metric(w, METRIC_sip_drop_malformed), 500);
    end(w);
}

Test(spoiled, from_strangers_over_tcp)
{
    struct phone *a = NULL, *b = NULL;
    struct world *w = two_phones(&a, &b);
    struct world_instance *x = w->instances[0];
    struct address remote = stranger();
    for (unsigned n = 0; n < protos_count(); n += STRIDE_TCP) {
        size_t len = protos_make(n, "example.org", text);
        w->now_us += 1000;
        x->turn.now_us = w->now_us;
        handle flow = sip_flow_accepted(&x->turn, x->sip, SIP_TCP, 77, &remote);
        cr_assert_neq(flow, 0, "case %u", n);
        for (size_t done = 0; done < len;) { /* in pieces of a segment */
            size_t piece = min_size(len - done, 1460);
            uint8_t *copy = malloc(piece);
            memcpy(copy, text + done, piece);
            sip_on_stream(&x->turn, x->sip, flow, copy, piece);
            free(copy);
            done += piece;
            world_run(w, 0);
        }
        sip_flow_closed(&x->turn, x->sip, flow);
        world_run(w, 0);
    }
    is_served(w, a, b, protos_count());
    end(w);
}

/* The certificate of the peer is alice's: what is sound goes on to bob's phone. */
Test(spoiled, from_a_peer)
{
    struct phone *a = NULL, *b = NULL;
    struct world *w = two_phones(&a, &b);
    struct world_instance *x = w->instances[0];
    struct phone *bob = world_add_phone(w, "bob", 0);
    struct node_id id = world_node_id(7);
    phone_register(w, bob, "7000");
    bob->address.port++; /* whatever comes for bob goes nowhere */
    for (unsigned n = 0; n < protos_count(); n += STRIDE_PEER) {
        size_t len = protos_make(n, "example.org", text);
        w->now_us += 1000000; /* calls of before end: an account has not too many at once */
        x->turn.now_us = w->now_us;
        handle flow =
            sip_peer_up(&x->turn, x->sip, 77, &id, SLICE_LITERAL("alice@example.org"), false);
        cr_assert_neq(flow, 0, "case %u", n);
        uint8_t *copy = malloc(len);
        memcpy(copy, text, len);
        sip_on_stream(&x->turn, x->sip, flow, copy, len);
        free(copy);
        world_run(w, 0);
        sip_flow_closed(&x->turn, x->sip, flow);
        world_run(w, 0);
    }
    cr_expect_geq(world_metric(w, METRIC_sip_requests_out), 100);
    is_served(w, a, b, protos_count());
    end(w);
}

/* Puts `with` in the place of the first `what`. */
static size_t put(size_t len, const char *what, const char *with)
{
    size_t old = strlen(what), new = strlen(with);
    uint8_t *at = memmem(text, len, what, old);
    if (at == NULL || len - old + new > sizeof(text)) {
        return len;
    }
    memmove(at + new, at + old, len - (size_t)(at - text) - old);
    memcpy(at, with, new);
    return len - old + new;
}

/* The REGISTER in `text` with the right answer to a challenge, from where nobody listens. */
static void send_register(struct world *w, struct phone *alice, size_t len)
{
    char nonce[256], sent[512], ha1[65], response[65], field[300];
    struct world_instance *x = w->instances[0];
    alice->first = alice->count = 0;
    phone_register_once(w, alice, "", "");
    param_of(phone_expect(alice, "SIP/2.0 401"), "nonce", nonce);
    world_ha1("alice", "secret", false, ha1);
    snprintf(sent, sizeof(sent), "%s:00000001:x:auth", nonce);
    digest_response(false, ha1, "REGISTER:sip:example.org", sent, response);
    snprintf(field, sizeof(field), "nonce=\"%s\"", nonce);
    len = put(len, "nonce=\"00\"", field);
    len = put(len, "00000000000000000000000000000000", response);
    struct address other = alice->address; /* of the same network */
    other.ip[3] = 250;
    x->turn.now_us = w->now_us;
    sip_on_datagram(&x->turn, x->sip, &other, text, len);
    world_run(w, 100000);
}

/* Alice knows her password and spoils the rest of her REGISTERs.  A field like a tag, Supported or
 * q takes much, and so does the end of any: of all cases a quarter is sound. */
Test(spoiled, from_a_phone_that_registers)
{
    struct phone *a = NULL, *b = NULL;
    struct world *w = two_phones(&a, &b);
    struct phone *alice = world_add_phone(w, "alice", 0);
    uint64_t before = world_metric(w, METRIC_sip_registers_ok);
    unsigned count = 0;
    for (unsigned n = 0; n < protos_count(); n += STRIDE_PHONE) {
        if (protos_find(n).template->parts != protos_register) {
            continue;
        }
        if (count == 0) { /* with nothing spoiled it is a good one */
            send_register(w, alice, protos_make_good(n, "example.org", text));
            cr_assert_eq(world_metric(w, METRIC_sip_registers_ok), before + 1);
        }
        send_register(w, alice, protos_make(n, "example.org", text));
        count++;
    }
    uint64_t taken = world_metric(w, METRIC_sip_registers_ok) - before;
    cr_expect_geq(count, 500);
    cr_expect(taken >= count / 4 && taken <= count / 2, "%lu of %u got through",
              (unsigned long)taken, count);
    is_served(w, a, b, protos_count());
    end(w);
}
