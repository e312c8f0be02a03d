/* SPDX-License-Identifier: Apache-2.0 */
/* test_lone_node.c - a node alone on the fuzzers' stage, with limits that leave it nothing. */
#include "fuzz/stage_node.h"
#include <criterion/criterion.h>

#pragma GCC diagnostic ignored "-Wunused-function"

static struct limits limits;

static struct node *start(struct stage *s)
{
    static struct node_settings settings;
    struct overlay_settings *o = &settings.overlay;
    stage_node_config(&o->config);
    o->trust = s->trust;
    o->self = &s->idents[0].ident;
    o->limits = settings.limits = settings.sip.limits = &limits;
    o->shards = settings.sip.shards = 1;
    o->siblings[0] = settings.sip.self = settings.sip.siblings[0] = o->self->node_id;
    o->found_ring = OVERLAY_FOUND_NOW;
    o->candidates[0] = o->sip_candidates[0] = settings.sip.advertised = stage_address(0);
    o->candidate_count = o->sip_candidate_count = 1;
    memcpy(settings.sip.domain, "a.example", sizeof("a.example"));
    settings.tls = tls_fake_ops();
    settings.tls_context = &s->contexts[0];
    struct node *n = node_init(&s->turn, &s->arena, &settings);
    node_start(&s->turn, n);
    io_outbox_clear(&s->outbox);
    return n;
}

/* 0 makes a pool that is always exhausted (core/limits.def): strangers are refused. */
Test(lone_node, no_places_for_other_peers_phones)
{
    stage_node_limits(&limits);
    for (uint32_t places = 0; places < 2; places++) {
        limits.sip_peers = places;
        struct stage *s = stage_init();
        struct node *n = start(s);
        struct io_event event = {.kind = IO_ACCEPTED,
                                 .conn = handle_make(HANDLE_CONN, 1, 3),
                                 .listener = IO_LISTEN_OVERLAY_SIP,
                                 .remote = stage_address(1)};
        node_on_event(&s->turn, n, &event);
        bool is_refused = s->outbox.count == 1 && s->outbox.ops[0].kind == IO_OP_ABORT &&
                          s->outbox.ops[0].conn == event.conn;
        cr_expect_eq(is_refused, places == 0);
        cr_expect_eq(metric_read(&s->metrics, METRIC_sip_peers_refused), places == 0 ? 1 : 0);
    }
}
