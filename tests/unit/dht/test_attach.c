/* SPDX-License-Identifier: Apache-2.0 */
/* test_attach.c - who answers whom when two nodes attach to each other at once (RFC 6940 6.5.1.2;
 * catalogue AT-3, AT-5, AT-13): one dials, the other waits, whoever's message comes first. */
#include "codec/msgs.h"
#include "dht/overlay_impl.h"
#include "tests/unit/dht/harness.h"

struct fixture {
    struct harness *h;
    struct overlay *o;
    struct turn *t;
    struct node_id larger, smaller; /* than ours, neither is connected */
};

static void make(struct fixture *f)
{
    f->h = harness_make(2, 21);
    (void)harness_grow(f->h, 30000);
    harness_run(f->h, 20000);
    f->o = f->h->peers[0].overlay;
    f->t = harness_turn(f->h, 0);
    struct ring_id one = {0, 1};
    f->larger = ids_node_of_ring(ids_ring_plus(f->o->table.self, one));
    f->smaller = ids_node_of_ring(ids_ring_minus(f->o->table.self, one));
}

static void ask(struct fixture *f, const struct node_id *who, bool is_retry)
{
    struct attach_request what = {.why = ATTACH_NEIGHBOR,
                                  .target = {.type = TRANSACT_NODE, .node = *who},
                                  .is_retry = is_retry};
    cr_assert_eq(attach_begin(f->t, f->o->attach, &what), ERR_OK);
    cr_expect_eq(attach_begin(f->t, f->o->attach, &what), ERR_EXISTS);
}

struct outcome {
    uint64_t refused;
    uint32_t dials;
};

/* An AttachReq from `who` arrives; what do we do? */
static struct outcome receive(struct fixture *f, const struct node_id *who, bool to_resource,
                              struct slice role)
{
    uint8_t list[64], out[256];
    struct address at = {.family = 4, .port = 7000, .ip = {127, 0, 0, 1}};
    struct wr candidates = wr_init(list, sizeof(list));
    msgs_wr_host_candidate(&candidates, &at, CANDIDATE_TLS_TCP_FH_NO_ICE, 1);
    struct msgs_attach body = {
        .role = role, .candidates = wr_slice(&candidates), .send_update = true};
    struct wr w = wr_init(out, sizeof(out));
    msgs_attach_wr(&w, &f->o->params, &body);
    struct message m = {.transaction_id = 4711,
                        .code = CONTENT_ATTACH_REQ,
                        .to = f->o->s.self,
                        .to_resource = to_resource,
                        .previous_hop = f->h->peers[1].person->ident.node_id,
                        .signer = *who,
                        .body = wr_slice(&w)};
    struct outcome r = {.refused = harness_metric(f->h, METRIC_attach_refused)};
    uint32_t before = f->h->w->out.count;
    attach_on_request(f->t, f->o->attach, &m);
    r.refused = harness_metric(f->h, METRIC_attach_refused) - r.refused;
    for (uint32_t i = before; i < f->h->w->out.count; i++) {
        r.dials += f->h->w->out.ops[i].kind == IO_OP_CONNECT ? 1 : 0;
    }
    return r;
}

static void end(struct fixture *f)
{
    harness_free(f->h); /* a dial is open that this harness cannot carry */
}

static const struct slice passive = SLICE_LITERAL("passive");

Test(attach, at5a_a_plain_request_makes_us_dial_once)
{
    struct fixture f;
    make(&f);
    struct outcome r = receive(&f, &f.larger, false, passive);
    cr_expect_eq(r.dials, 1);
    cr_expect_eq(r.refused, 0);
    r = receive(&f, &f.larger, false, passive);
    cr_expect_eq(r.dials, 0, "asked once more while we dial already");
    cr_expect_eq(r.refused, 0);
    end(&f);
}

Test(attach, at3_the_requester_is_passive)
{
    struct fixture f;
    make(&f);
    struct outcome r = receive(&f, &f.larger, false, SLICE_LITERAL("active"));
    cr_expect_eq(r.dials, 0);
    cr_expect_eq(r.refused, 1);
    end(&f);
}

Test(attach, at5c_the_larger_goes_on_with_its_own)
{
    struct fixture f;
    make(&f);
    ask(&f, &f.smaller, false);
    struct outcome r = receive(&f, &f.smaller, false, passive);
    cr_expect_eq(r.dials, 0);
    cr_expect_eq(r.refused, 1, "In_Progress");
    cr_expect_eq(attach_pending(f.o->attach, ATTACH_NEIGHBOR), 1);
    end(&f);
}

Test(attach, at5c_the_smaller_gives_up_its_own_and_dials)
{
    struct fixture f;
    make(&f);
    uint32_t open = transact_open(f.o->transact);
    ask(&f, &f.larger, false);
    cr_expect_eq(transact_open(f.o->transact), open + 1);
    struct outcome r = receive(&f, &f.larger, false, passive);
    cr_expect_eq(r.dials, 1);
    cr_expect_eq(r.refused, 0);
    cr_expect_eq(transact_open(f.o->transact), open, "no retransmission of ours any more");
    struct attach_event event;
    attach_on_link_up(f.t, f.o->attach, &f.larger);
    bool is_done = false;
    while (attach_next(f.t, f.o->attach, &event)) {
        cr_expect_eq(event.error, ERR_OK);
        is_done |= event.why == ATTACH_NEIGHBOR;
    }
    cr_expect(is_done, "the link that we dialled ends our own exchange too");
    end(&f);
}

Test(attach, at5_who_cannot_be_reached_is_served_whatever_the_tie_break_says)
{
    struct fixture f;
    make(&f);
    ask(&f, &f.smaller, false);
    cr_expect_eq(receive(&f, &f.smaller, true, passive).dials, 1, "it is joining");
    end(&f);
    make(&f);
    ask(&f, &f.smaller, true);
    cr_expect_eq(receive(&f, &f.smaller, false, passive).dials, 1, "ours was on the off-chance");
    end(&f);
}

Test(attach, at5_both_refused_does_not_leave_both_waiting)
{
    struct fixture f;
    make(&f);
    ask(&f, &f.smaller, false);
    /* Theirs overtook ours and was refused; now they say In_Progress to ours. */
    struct message answer = {.signer = f.smaller};
    struct transact_result result = {.owner = TRANSACT_ATTACH,
                                     .error = ERR_EXISTS,
                                     .reload_error = CONTENT_ERROR_IN_PROGRESS,
                                     .answer = &answer};
    struct transact_result aborted;
    bool was_open = transact_abort(f.t, f.o->transact, &aborted);
    while (was_open && aborted.owner != TRANSACT_ATTACH) {
        was_open = transact_abort(f.t, f.o->transact, &aborted);
    }
    cr_assert(was_open);
    result.tag = aborted.tag;
    attach_on_result(f.t, f.o->attach, &result);
    struct outcome r = receive(&f, &f.smaller, false, passive);
    cr_expect_eq(r.dials, 1);
    cr_expect_eq(r.refused, 0);
    end(&f);
}

static uint32_t count_dials(const struct fixture *f)
{
    uint32_t dials = 0;
    for (uint32_t i = 0; i < f->h->w->out.count; i++) {
        dials += f->h->w->out.ops[i].kind == IO_OP_CONNECT ? 1 : 0;
    }
    return dials;
}

/* The connection that was asked for last is refused. */
static void refuse_dial(struct fixture *f)
{
    struct link_event event;
    handle link = 0;
    for (uint32_t i = 0; i < f->h->w->out.count; i++) {
        const struct io_op *op = &f->h->w->out.ops[i];
        link = op->kind == IO_OP_CONNECT ? op->tag : link;
    }
    link_on_connected(f->t, f->h->peers[0].links, link, 0, ERR_REFUSED);
    while (link_next(f->t, f->h->peers[0].links, &event)) {
        overlay_on_link(f->t, f->o, &event);
    }
}

static void pass(struct fixture *f, uint64_t us)
{
    f->h->w->turn.now_us += us;
    f->t = harness_turn(f->h, 0);
    struct wheel_timer *timer;
    while ((timer = wheel_take(f->t->wheel, f->t->now_us)) != NULL) {
        if (handle_kind(timer->tag) == HANDLE_ATTACH) {
            attach_on_timer(f->t, f->o->attach, timer);
        }
    }
}

Test(attach, who_refuses_our_connection_is_dialled_again)
{
    enum { AGAIN = 3 };
    struct fixture f;
    struct attach_event event;
    make(&f);
    ask(&f, &f.larger, false); /* and it asks us, and is served: it waits for our connection */
    cr_assert_eq(receive(&f, &f.larger, false, passive).dials, 1);
    for (uint32_t i = 0; i < AGAIN; i++) {
        uint32_t before = count_dials(&f);
        refuse_dial(&f);
        cr_assert_eq(count_dials(&f), before, "not at once: it is full");
        cr_expect_not(attach_next(f.t, f.o->attach, &event));
        pass(&f, 999000);
        cr_assert_eq(count_dials(&f), before);
        pass(&f, 2000);
        cr_assert_eq(count_dials(&f), before + 1, "dial %u", i + 2);
    }
    refuse_dial(&f);
    cr_assert(attach_next(f.t, f.o->attach, &event), "not for ever");
    cr_expect_eq(event.why, ATTACH_ANSWERED);
    cr_expect_eq(event.error, ERR_UNREACHABLE_PEER);
    end(&f);
}
