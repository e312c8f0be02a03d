/* SPDX-License-Identifier: Apache-2.0 */
/* test_chaos.c - phones that answer by themselves while pools fail, datagrams are lost, connections
 * break and peers die: nothing crashes, and in the end nothing is held. */
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct chaos {
    struct world *w;
    struct rng rng;
    int answered; /* calls that got their 200 */
};

/* Reacts to one message; the phone plays both roles. */
static void react(struct chaos *c, struct phone *p, const char *message)
{
    char text[PHONE_TEXT], cseq[PHONE_TEXT];
    struct dialog d;
    snprintf(text, sizeof(text), "%s", message);
    value_of(text, "CSeq", cseq);
    bool is_invite = strstr(cseq, "INVITE") != NULL;
    if (strncmp(text, "INVITE ", 7) == 0) {
        if (rng_below(&c->rng, 4) != 0) {
            phone_answer(c->w, p, text, "180 Ringing");
        }
        phone_answer(c->w, p, text, rng_below(&c->rng, 5) == 0 ? "486 Busy Here" : "200 OK");
    } else if (strncmp(text, "SIP/2.0", 7) != 0 && strncmp(text, "ACK", 3) != 0) {
        if (rng_below(&c->rng, 5) != 0) {
            phone_answer(c->w, p, text, "200 OK");
        }
    } else if (strncmp(text, "SIP/2.0 200", 11) == 0 && is_invite) {
        c->answered++;
        dialog_caller(&d, text);
        phone_in_dialog(c->w, p, &d, "ACK");
        phone_in_dialog(c->w, p, &d, "BYE");
    }
}

static void pump(struct chaos *c, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        world_run(c->w, 100000);
        for (int i = 0; i < c->w->phone_count; i++) {
            struct phone *p = &c->w->phones[i];
            for (int k = 0; p->count > 0 && k < 8; k++) {
                react(c, p, phone_get(p));
            }
        }
    }
}

/* A call without the expectations of phone_call: the challenge may not come. */
static void try_call(struct chaos *c, struct phone *p, const char *to, int number)
{
    char via[256], branch[64], auth[PHONE_TEXT] = "", address[ADDRESS_TEXT_CAP];
    const char *method = number % 3 == 2 ? "MESSAGE" : "INVITE";
    for (int i = 0; i < 2; i++) {
        snprintf(branch, sizeof(branch), "call-%d-%d", number, i);
        phone_send(c->w, p,
                   "%s sip:%s@example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;"
                   "tag=%d\nTo: <sip:%s@example.org>\nCall-ID: %d\nCSeq: %d %s\n"
                   "Contact: <sip:%s@%s>\n%s",
                   method, to, phone_via(p, branch, via), p->name, number, to, number, i + 1,
                   method, p->name, address_text(&p->address, address), auth);
        if (i == 1 || p->count == 0) {
            return;
        }
        char uri[64], text[PHONE_TEXT];
        snprintf(uri, sizeof(uri), "sip:%s@example.org", to);
        snprintf(text, sizeof(text), "%s", phone_get(p));
        if (strncmp(text, "SIP/2.0 407", 11) != 0) {
            react(c, p, text);
            return;
        }
        credentials(text, p->name, "secret", method, uri, "00000001", auth);
    }
}

static struct chaos make_chaos(uint64_t seed)
{
    struct chaos c = {.w = world_make()};
    rng_init(&c.rng, seed);
    int one = world_add_node(c.w, 2), two = world_add_node(c.w, 1);
    phone_register(c.w, world_add_phone(c.w, "alice", one), "3600");
    phone_register(c.w, world_add_phone(c.w, "bob", two), "3600");
    phone_register(c.w, world_add_phone(c.w, "carol", one + 1), "3600");
    phone_register(c.w, world_add_phone(c.w, "bob", one), "3600");
    return c;
}

static void end_chaos(struct chaos *c)
{
    pump(c, 20);
    for (int i = 0; i < 20; i++) { /* phones stop answering; all timers run out */
        world_run(c->w, UINT64_C(20000000));
        for (int k = 0; k < c->w->phone_count; k++) {
            c->w->phones[k].first = c->w->phones[k].count = 0;
        }
    }
    world_expect_empty(c->w);
    world_free(c->w);
}

/* Each pool in turn fails at its nth acquisition and ever after, until the end of the calls. */
Test(chaos, pools_run_dry)
{
    int answered = 0;
    for (uint32_t n = 0; n < 30; n += n < 12 ? 1 : 4) {
        for (int which = 0; which < 6; which++) {
            struct chaos c = make_chaos(n);
            for (int i = 0; i < c.w->count; i++) {
                struct sip *s = c.w->instances[i]->sip;
                struct pool *const pools[] = {&s->txs, &s->proxies, &s->branches, &s->lookups,
                                              &s->dials};
                if (which < 5) {
                    pool_fail_after(pools[which], n);
                } else {
                    c.w->instances[i]->buffers.fail_after = n;
                }
            }
            for (int call = 0; call < 5; call++) {
                try_call(&c, &c.w->phones[call % 3], call % 2 == 0 ? "bob" : "carol", call);
                pump(&c, 3);
            }
            for (int i = 0; i < c.w->count; i++) {
                struct sip *s = c.w->instances[i]->sip;
                pool_fail_after(&s->txs, UINT32_MAX);
                pool_fail_after(&s->proxies, UINT32_MAX);
                pool_fail_after(&s->branches, UINT32_MAX);
                pool_fail_after(&s->lookups, UINT32_MAX);
                pool_fail_after(&s->dials, UINT32_MAX);
                c.w->instances[i]->buffers.fail_after = UINT32_MAX;
            }
            answered += c.answered;
            end_chaos(&c);
        }
    }
    cr_assert_gt(answered, 50, "only %d calls", answered);
}

/* Loss, closed connections, a silent overlay, a dead peer, unanswered and refused calls. */
Test(chaos, everything_breaks)
{
    int answered = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct chaos c = make_chaos(seed);
        for (int call = 0; call < 25; call++) {
            uint64_t dice = rng_below(&c.rng, 10);
            c.w->datagrams_lost = dice == 0 ? 2 : 0;
            c.w->dht.is_fetch_silent = dice == 1;
            c.w->instances[2]->is_deaf = dice == 2;
            c.w->instances[0]->overlay.is_attach_failing = dice == 3;
            c.w->instances[1]->overlay.is_down = dice == 4;
            if (dice == 5) {
                world_close_conn(c.w, 1 + (int)rng_below(&c.rng, 20), true);
            }
            try_call(&c, &c.w->phones[rng_below(&c.rng, 3)],
                     rng_below(&c.rng, 2) == 0 ? "bob" : "carol", call);
            pump(&c, (int)rng_below(&c.rng, 4));
        }
        c.w->dht.is_fetch_silent = c.w->instances[2]->is_deaf = false;
        answered += c.answered;
        end_chaos(&c);
    }
    cr_assert_gt(answered, 100, "only %d calls", answered);
}
