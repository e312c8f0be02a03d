/* SPDX-License-Identifier: Apache-2.0 */
/* test_flood.c - a phone with the right password sends ten times of what the tables hold: it gets
 * 503, calls under way and those of others complete, and the tables do not stay full. */
#include "sip/peer_share.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct flooder {
    struct phone *p;
    char nonce[256];
    char ha1[65];
    uint32_t count;
    unsigned refused, retry_min, retry_max;
};

/* One INVITE with a pre-emptive nonce count; the answers are counted and never acknowledged. */
static void flood_one(struct world *w, struct flooder *f, const char *to)
{
    char via[256], branch[32], text[256], sent[512], response[65];
    f->count++;
    snprintf(branch, sizeof(branch), "flood%u", f->count);
    snprintf(text, sizeof(text), "INVITE:sip:%s@example.org", to);
    snprintf(sent, sizeof(sent), "%s:%08x:x:auth", f->nonce, f->count);
    digest_response(false, f->ha1, text, sent, response);
    phone_send(w, f->p,
               "INVITE sip:%s@example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=1\n"
               "To: <sip:%s@example.org>\nCall-ID: flood%u\nCSeq: 1 INVITE\nMax-Forwards: 70\n"
               "Proxy-Authorization: Digest username=\"%s\", realm=\"example.org\", nonce=\"%s\", "
               "uri=\"sip:%s@example.org\", response=\"%s\", qop=auth, nc=%08x, cnonce=\"x\"\n",
               to, phone_via(f->p, branch, via), f->p->name, to, f->count, f->p->name, f->nonce, to,
               response, f->count);
    for (; f->p->count > 0; f->p->first = (f->p->first + 1) % PHONE_INBOX, f->p->count--) {
        const char *got = f->p->inbox[f->p->first];
        char after[PHONE_TEXT];
        if (strncmp(got, "SIP/2.0 503", 11) == 0) {
            unsigned seconds = (unsigned)strtoul(value_of(got, "Retry-After", after), NULL, 10);
            f->retry_min = f->refused == 0 || seconds < f->retry_min ? seconds : f->retry_min;
            f->retry_max = seconds > f->retry_max ? seconds : f->retry_max;
            f->refused++;
        }
    }
}

static struct flooder flooder(struct world *w, const char *name)
{
    struct flooder f = {.p = world_add_phone(w, name, 0)};
    char text[PHONE_TEXT];
    cr_assert(strncmp(phone_register(w, f.p, "7000"), "SIP/2.0 200", 11) == 0);
    phone_send(w, f.p,
               "INVITE sip:x@example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=1\n"
               "To: <sip:x@example.org>\nCall-ID: ask\nCSeq: 1 INVITE\n",
               phone_via(f.p, "ask", text), name);
    param_of(phone_expect(f.p, "SIP/2.0 407"), "nonce", f.nonce);
    world_ha1(name, "secret", false, f.ha1);
    return f;
}

/* A call of two others, from INVITE to the answer of BYE. */
static void call(struct world *w, struct phone *a, struct phone *b, const char *id)
{
    struct dialog d;
    a->first = a->count = b->first = b->count = 0;
    phone_talk(w, a, b, id, &d);
    phone_hang_up(w, a, b, &d);
}

static void flood(const char *callee, bool is_callee_silent)
{
    enum { TIMES = 10, BATCH = 97 };
    struct world *w = world_make();
    struct dialog d;
    char text[PHONE_TEXT];
    world_digest = SIP_DIGEST_MD5;
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    struct sip *s = x->sip;
    x->limits.sip_proxies_per_account = x->limits.sip_proxies_per_source = 64;
    x->limits.sip_branches_per_source = 128;
    struct flooder f = flooder(w, "alice");
    f.p->is_sink = !is_callee_silent;
    struct phone *a = world_add_phone(w, "carol", 0), *b = world_add_phone(w, "dave", 0);
    struct phone *c = world_add_phone(w, "erin", 0);
    phone_register(w, a, "7000");
    phone_register(w, b, "7000");
    if (is_callee_silent) {
        phone_register(w, c, "7000");
        c->address.port++; /* what comes for it goes nowhere */
    }
    /* a call that is under way when it begins */
    phone_talk(w, a, b, "before", &d);
    for (unsigned i = 0; i < TIMES * s->txs.cap; i++) {
        flood_one(w, &f, callee);
        w->now_us += 1000; /* 1,000 a second */
        if (i % BATCH == BATCH - 1) {
            snprintf(text, sizeof(text), "during%u", i);
            call(w, a, b, text);
        }
    }
    a->first = a->count = b->first = b->count = 0;
    phone_hang_up(w, a, b, &d); /* existing dialogs go on */
    if (is_callee_silent) {
        cr_expect_gt(f.refused, f.count / 2, "only %u of %u", f.refused, f.count);
        cr_expect(f.retry_min >= 5 && f.retry_max > f.retry_min + 5, "Retry-After %u to %u",
                  f.retry_min, f.retry_max);
    }
    f.p->is_sink = a->is_sink = b->is_sink = true;
    world_expect_empty(w);
    world_free(w);
}

Test(flood, calls_to_a_phone_that_does_not_answer)
{
    flood("erin", true);
}

/* Each is refused with 404, which is kept until an ACK comes; none does. */
Test(flood, calls_to_nobody_without_an_ack)
{
    flood("nobody", false);
}

/* More comes in than the node can take: who is not in a dialog gets 503 at once, unasked for a
 * password and without a transaction; retransmissions, dialogs and registrations go on. */
Test(flood, overrun_spares_dialogs)
{
    struct world *w = world_make();
    struct dialog d;
    char text[PHONE_TEXT], invite[PHONE_TEXT];
    world_digest = SIP_DIGEST_MD5;
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    phone_register(w, a, "7000");
    phone_register(w, b, "7000");
    phone_call(w, a, "INVITE", "bob", "before");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", a->last_request);
    snprintf(text, sizeof(text), "%s", phone_expect(b, "INVITE sip:"));
    x->turn.full_since_us = w->now_us - x->limits.sip_overrun_ms * 1000;
    uint32_t transactions = x->sip->txs.in_use;
    phone_send(
        w, a,
        "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKn\n"
        "From: <sip:alice@example.org>;tag=n\nTo: <sip:bob@example.org>\nCall-ID: new\n"
        "CSeq: 1 INVITE\nMax-Forwards: 70\n");
    cr_assert(strstr(phone_expect(a, "SIP/2.0 503"), "Retry-After: ") != NULL);
    cr_assert_eq(x->sip->txs.in_use, transactions);
    cr_assert_eq(world_metric(w, METRIC_sip_refused_overrun), 1);
    phone_raw(w, a, invite, strlen(invite)); /* again: it has its 100 again */
    phone_expect(a, "SIP/2.0 100");
    phone_answer(w, b, text, "200 OK");
    dialog_caller(&d, phone_expect(a, "SIP/2.0 200"));
    phone_in_dialog(w, a, &d, "ACK");
    phone_expect(b, "ACK ");
    cr_assert(strncmp(phone_register(w, b, "7000"), "SIP/2.0 200", 11) == 0);
    phone_in_dialog(w, a, &d, "BYE");
    snprintf(text, sizeof(text), "%s", phone_expect(b, "BYE "));
    phone_answer(w, b, text, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    x->turn.full_since_us = 0;
    call(w, a, b, "after");
    cr_assert_eq(world_metric(w, METRIC_sip_refused_overrun), 1);
    a->is_sink = b->is_sink = true;
    world_expect_empty(w);
    world_free(w);
}

/* ---- a peer that is behind */

struct behind {
    struct world *w;
    struct world_instance *near, *far;
    struct phone *a, *b;
};

/* Alice at one node, Bob at another, who have spoken, so that there is a connection. */
static void behind_begin(struct behind *x)
{
    x->w = world_make();
    int one = world_add_node(x->w, 1), two = world_add_node(x->w, 1);
    x->near = x->w->instances[one];
    x->far = x->w->instances[two];
    x->a = world_add_phone(x->w, "alice", one);
    x->b = world_add_phone(x->w, "bob", two);
    cr_assert(strncmp(phone_register(x->w, x->a, "7000"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(x->w, x->b, "7000"), "SIP/2.0 200", 11) == 0);
    call(x->w, x->a, x->b, "first");
}

static void behind_end(struct behind *x)
{
    x->a->is_sink = x->b->is_sink = true;
    world_expect_empty(x->w);
    world_free(x->w);
}

/* Alice calls Bob; is the call refused, with a Retry-After, and so by her own node? */
static bool is_refused(struct behind *x, const char *id)
{
    uint64_t before = world_metric(x->w, METRIC_sip_refused_behind);
    phone_call(x->w, x->a, "INVITE", "bob", id);
    world_run(x->w, 10000);
    phone_expect(x->a, "SIP/2.0 100");
    if (world_metric(x->w, METRIC_sip_refused_behind) == before) {
        return false;
    }
    /* once: where Bob is was asked a moment ago */
    cr_assert_eq(world_metric(x->w, METRIC_sip_refused_behind), before + 1);
    cr_assert(strstr(phone_expect(x->a, "SIP/2.0 503"), "Retry-After: ") != NULL);
    return true;
}

static struct flow *to_far(const struct behind *x)
{
    uint32_t index = 0;
    struct flow *f = NULL;
    while ((f = pool_next(&x->near->sip->flows, &index)) != NULL && f->ref.kind != SIP_PEER) {}
    cr_assert(f != NULL);
    return f;
}

/* The other node says nothing, and has all that it is to have; then it is given up, and hears. */
Test(flood, a_peer_that_does_not_answer_gets_so_many)
{
    enum { MOST = 5 };
    struct behind x;
    char id[32];
    behind_begin(&x);
    x.near->limits.sip_unanswered_per_peer = MOST;
    x.far->is_deaf = true;
    for (unsigned i = 0; i < MOST; i++) {
        snprintf(id, sizeof(id), "unheard%u", i);
        cr_assert(!is_refused(&x, id), "%s", id);
    }
    cr_assert_eq(to_far(&x)->unanswered, MOST);
    cr_assert(is_refused(&x, "another"));
    x.far->is_deaf = false;
    world_run(x.w, 40 * 1000 * 1000); /* timer B: nobody will answer those */
    cr_assert_eq(to_far(&x)->unanswered, 0);
    x.a->first = x.a->count = 0;
    call(x.w, x.a, x.b, "again");
    behind_end(&x);
}

/* A MESSAGE to Bob: did the node refuse it for itself? */
static bool is_message_refused(struct behind *x, struct phone *from, const char *id)
{
    uint64_t before = world_metric(x->w, METRIC_sip_refused_asks);
    from->first = from->count = 0;
    phone_call(x->w, from, "MESSAGE", "bob", id);
    world_run(x->w, 10000);
    if (world_metric(x->w, METRIC_sip_refused_asks) == before) {
        phone_expect_nothing(from);
        return false;
    }
    cr_assert(strstr(phone_expect(from, "SIP/2.0 503"), "Retry-After: ") != NULL);
    return true;
}

/* Nothing but a phone answers a MESSAGE: so many wait, of one sender and of all, and a call goes
 * on. They are small, and the peer reads them: no count of bytes would hold them up. */
Test(flood, a_peer_gets_so_many_messages)
{
    enum { MOST = 7, OF_ONE = 5 };
    struct behind x;
    struct dialog d;
    char id[32];
    behind_begin(&x);
    x.near->limits.sip_asks_per_peer = MOST;
    x.near->limits.sip_asks_per_source = OF_ONE;
    struct phone *c = world_add_phone(x.w, "carol", x.near->node);
    cr_assert(strncmp(phone_register(x.w, c, "7000"), "SIP/2.0 200", 11) == 0);
    x.b->is_sink = true;
    for (unsigned i = 0; i < MOST; i++) {
        snprintf(id, sizeof(id), "unheard%u", i);
        cr_assert(!is_message_refused(&x, i < OF_ONE ? x.a : c, id), "%s", id);
        cr_assert(i != OF_ONE - 1 || is_message_refused(&x, x.a, "of-one"));
    }
    cr_assert(is_message_refused(&x, c, "of-all"));
    x.b->is_sink = false;
    phone_talk(x.w, x.a, x.b, "call", &d);
    x.a->first = x.a->count = x.b->first = x.b->count = 0;
    phone_hang_up(x.w, x.a, x.b, &d);
    x.b->is_sink = true;
    world_run(x.w, 40 * 1000 * 1000); /* timer F: nobody will answer those */
    for (unsigned i = 0; i < PEER_SHARES; i++) {
        cr_assert_eq(x.near->sip->peer_shares[i], 0, "%u", i);
    }
    cr_assert(!is_message_refused(&x, x.a, "again"));
    c->is_sink = true;
    behind_end(&x);
}

/* Its answers take too long: few are left to it, until one has come soon enough. */
Test(flood, a_peer_that_answers_late_gets_few)
{
    enum { FEW = 8 };
    struct behind x;
    char id[32];
    behind_begin(&x);
    x.near->limits.sip_peer_patience_ms = 150; /* its 100 comes after 200 ms */
    cr_assert(!is_refused(&x, "late"));
    world_run(x.w, 300000);
    cr_assert_geq(to_far(&x)->delay_ms, 200);
    for (unsigned i = 0; i < FEW; i++) {
        snprintf(id, sizeof(id), "few%u", i);
        cr_assert(!is_refused(&x, id), "%s", id);
    }
    cr_assert(is_refused(&x, "another"));
    x.near->limits.sip_peer_patience_ms = 700;
    cr_assert(!is_refused(&x, "patient"));
    behind_end(&x);
}

/* It does not read: what is new waits nowhere, what belongs to a call goes on. */
Test(flood, a_peer_that_does_not_read_gets_nothing_new)
{
    struct behind x;
    struct dialog d;
    char text[PHONE_TEXT];
    behind_begin(&x);
    cr_assert(!is_refused(&x, "stands"));
    snprintf(text, sizeof(text), "%s", phone_expect(x.b, "INVITE sip:"));
    phone_answer(x.w, x.b, text, "200 OK");
    dialog_caller(&d, phone_expect(x.a, "SIP/2.0 200"));
    phone_in_dialog(x.w, x.a, &d, "ACK");
    phone_expect(x.b, "ACK ");
    sip_peer_pressed(x.near->sip, to_far(&x)->ref.flow, true);
    cr_assert(is_refused(&x, "new"));
    phone_in_dialog(x.w, x.a, &d, "BYE");
    snprintf(text, sizeof(text), "%s", phone_expect(x.b, "BYE "));
    phone_answer(x.w, x.b, text, "200 OK");
    phone_expect(x.a, "SIP/2.0 200");
    sip_peer_pressed(x.near->sip, to_far(&x)->ref.flow, false);
    call(x.w, x.a, x.b, "after");
    behind_end(&x);
}

/* A node with few message buffers, one who floods it, and two others. */
struct scarce {
    struct world *w;
    struct world_instance *x;
    struct flooder f;
    struct phone *a, *b;
};

static struct scarce scarce_begin(void)
{
    struct scarce c = {.w = world_make()};
    world_digest = SIP_DIGEST_MD5;
    world_add_node(c.w, 1);
    c.x = c.w->instances[0];
    msgbuf_pool_reserve(&c.x->buffers, 500, 0);
    c.f = flooder(c.w, "alice");
    c.f.p->is_sink = true;
    c.a = world_add_phone(c.w, "carol", 0);
    c.b = world_add_phone(c.w, "dave", 0);
    phone_register(c.w, c.a, "7000");
    phone_register(c.w, c.b, "7000");
    return c;
}

/* The flooder has half of them, and the others can call. */
static void scarce_end(struct scarce *c)
{
    uint32_t free_of_reserve = c->x->buffers.cap[0] - c->x->buffers.reserved[0];
    cr_assert_lt(c->x->buffers.in_use[0], free_of_reserve / 2 + 32, "%u of %u",
                 c->x->buffers.in_use[0], free_of_reserve);
    call(c->w, c->a, c->b, "meanwhile");
    c->a->is_sink = c->b->is_sink = true;
    world_expect_empty(c->w);
    world_free(c->w);
}

/* Calls to a phone that says nothing: what may be sent again is kept, and counts to the caller. */
Test(flood, buffers_of_silent_calls_are_shared)
{
    struct scarce c = scarce_begin();
    struct phone *silent = world_add_phone(c.w, "erin", 0);
    phone_register(c.w, silent, "7000");
    silent->address.port++; /* what comes for it goes nowhere */
    silent->is_sink = true;
    for (unsigned i = 0; i < 480; i++) {
        flood_one(c.w, &c.f, "erin");
        c.w->now_us += 1000;
    }
    scarce_end(&c);
}

/* ... and each is cancelled at once: the proxy is over soon, the transaction, and what it keeps for
 * the phone, is not, and still counts to the caller. */
Test(flood, buffers_of_cancelled_calls_are_shared)
{
    struct scarce c = scarce_begin();
    struct phone *silent = world_add_phone(c.w, "erin", 0);
    char via[256], branch[32];
    phone_register(c.w, silent, "7000");
    silent->address.port++;
    silent->is_sink = true;
    for (unsigned i = 0; i < 1200; i++) {
        flood_one(c.w, &c.f, "erin");
        world_run(c.w, 2000);
        snprintf(branch, sizeof(branch), "flood%u", c.f.count);
        phone_send(c.w, c.f.p,
                   "CANCEL sip:erin@example.org SIP/2.0\nVia: %s\n"
                   "From: <sip:alice@example.org>;tag=1\nTo: <sip:erin@example.org>\n"
                   "Call-ID: flood%u\nCSeq: 1 CANCEL\nMax-Forwards: 70\n",
                   phone_via(c.f.p, branch, via), c.f.count);
        world_run(c.w, 8000);
    }
    cr_assert_gt(world_metric(c.w, METRIC_sip_forks_silent), 100);
    scarce_end(&c);
}

/* ... and the CANCEL that we send ourselves counts to the caller too. */
Test(flood, a_cancel_of_ours_counts_to_the_caller)
{
    struct scarce c = scarce_begin();
    char via[256], invite[PHONE_TEXT], cancel[PHONE_TEXT];
    phone_call(c.w, c.a, "INVITE", "dave", "own");
    world_run(c.w, 50000);
    phone_expect(c.a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(c.b, "INVITE sip:"));
    phone_answer(c.w, c.b, invite, "180 Ringing");
    phone_expect(c.a, "SIP/2.0 180");
    phone_send(c.w, c.a,
               "CANCEL sip:dave@example.org SIP/2.0\nVia: %s\nFrom: <sip:carol@example.org>;"
               "tag=f-own\nTo: <sip:dave@example.org>\nCall-ID: own\nCSeq: 2 CANCEL\n"
               "Max-Forwards: 70\n",
               phone_via(c.a, "INVITE-own-2", via));
    phone_expect(c.a, "SIP/2.0 200");
    snprintf(cancel, sizeof(cancel), "%s", phone_expect(c.b, "CANCEL sip:"));
    uint16_t account[2] = {0, 0};
    uint32_t at = 0;
    const struct tx *tx = NULL;
    while ((tx = pool_next(&c.x->sip->txs, &at)) != NULL) {
        if (tx->kind == TX_INVITE_CLIENT || tx->method == SIP_METHOD_CANCEL) {
            account[tx->kind == TX_INVITE_CLIENT ? 0 : 1] =
                tx->message == NULL ? 0 : tx->message->account;
        }
    }
    cr_expect_neq(account[0], 0);
    cr_expect_eq(account[1], account[0]);
    phone_answer(c.w, c.b, cancel, "200 OK");
    phone_answer(c.w, c.b, invite, "487 Request Terminated");
    phone_expect(c.b, "ACK sip:");
    scarce_end(&c);
}

/* Another peer's INVITEs are refused before anything is opened for them, and it acknowledges none:
 * the answers that wait for its ACKs count to it, and leave buffers to everybody else. */
Test(flood, buffers_of_refusals_to_a_peer_are_shared)
{
    struct behind x;
    char text[1024];
    world_digest = SIP_DIGEST_MD5;
    behind_begin(&x);
    msgbuf_pool_reserve(&x.near->buffers, 500, 0);
    for (unsigned i = 0; i < 480; i++) {
        int len = snprintf(text, sizeof(text),
                           "INVITE sip:bob@other.example SIP/2.0\r\n"
                           "Via: SIP/2.0/TLS far.invalid;branch=z9hG4bKflood%u\r\n"
                           "From: <sip:bob@example.org>;tag=1\r\nTo: <sip:bob@other.example>\r\n"
                           "Call-ID: flood%u\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
                           "Content-Length: 0\r\n\r\n",
                           i, i);
        x.near->turn.now_us = x.w->now_us;
        sip_on_stream(&x.near->turn, x.near->sip, to_far(&x)->ref.flow, (uint8_t *)text,
                      (size_t)len);
        world_run(x.w, 10000);
    }
    uint32_t free_of_reserve = x.near->buffers.cap[0] - x.near->buffers.reserved[0];
    cr_assert_lt(x.near->buffers.in_use[0], free_of_reserve / 2 + 32, "%u of %u",
                 x.near->buffers.in_use[0], free_of_reserve);
    cr_assert_gt(world_metric(x.w, METRIC_sip_not_retained), 100);
    x.a->first = x.a->count = 0;
    call(x.w, x.a, x.b, "meanwhile");
    behind_end(&x);
}

/* A refused INVITE is kept until its ACK comes, for 32 s: the buffers of one who never sends any,
 * and calls as fast as he can, are not those of all. */
Test(flood, buffers_are_shared)
{
    struct scarce c = scarce_begin();
    for (unsigned i = 0; i < 480; i++) {
        flood_one(c.w, &c.f, "nobody");
        world_run(c.w, 10000);
    }
    cr_assert_gt(world_metric(c.w, METRIC_sip_not_retained), 100);
    scarce_end(&c);
}
