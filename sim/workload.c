/* SPDX-License-Identifier: Apache-2.0 */
/* A request is known by its record number, which is the tag; the value of record k says k, so that
 * a wrong answer shows. */
#include "sim/workload.h"
#include "codec/msgs.h"
#include "node/answer.h"

enum { STEP_US = 5000 };

struct wave {
    struct workload *load;
    struct world *world;
    enum workload_kind kind;
    struct workload_result *result;
    uint32_t next, end;
    uint32_t open;
};

size_t workload_bytes(uint32_t records)
{
    return records * sizeof(bool) + 64;
}

void workload_init(struct workload *l, struct arena *arena, uint32_t records)
{
    *l = (struct workload){.records = records, .acked = ARENA_ARRAY(arena, bool, records)};
}

/* The record's value: a SipRegistration of type 2 whose destination is the account's own Node-ID.
 */
struct slice workload_value(const struct ident *account, uint8_t *out, size_t cap)
{
    struct wr w = wr_init(out, cap);
    const struct rl_params params = {.node_id_length = 16};
    uint8_t route[32];
    struct wr list = wr_init(route, sizeof(route));
    fwd_wr_node(&list, &params, &account->node_id);
    struct msgs_sip_registration value = {.type = MSGS_SIP_ROUTE,
                                          .destination_list = slice_of(route, wr_len(&list))};
    msgs_sip_registration_wr(&w, &params, &value);
    CHECK(wr_ok(&w));
    return slice_of(out, wr_len(&w));
}

static bool pick_node(struct wave *v, uint32_t *node)
{
    uint32_t nodes = world_settings_of(v->world)->nodes;
    for (uint32_t tries = 0; tries < 1000; tries++) {
        *node = (uint32_t)rng_below(world_rng(v->world), nodes);
        if (world_is_alive(v->world, *node) &&
            overlay_is_ready(node_overlay(world_node(v->world, *node)))) {
            return true;
        }
    }
    return false;
}

static enum err ask(struct wave *v, uint32_t node, uint32_t record)
{
    uint8_t bytes[128];
    const struct ident *account = world_account(v->world, record);
    struct turn *t = world_begin_turn(v->world, node);
    struct overlay_store what = {
        .kind = OVERLAY_KIND_SIP_REGISTRATION,
        .signer = account,
        .key = slice_of(account->node_id.bytes, 16),
        .exists = true,
        .value = workload_value(account, bytes, sizeof(bytes)),
        .lifetime_s = 86400,
    };
    overlay_resource_of(t, slice_text(account->user), &what.resource);
    enum err e =
        v->kind == WORKLOAD_STORE
            ? answer_store(t, world_node(v->world, node), &what, record)
            : answer_fetch(t, world_node(v->world, node), &what.resource, what.kind, record);
    world_end_turn(v->world, node);
    return e;
}

static void fill(struct wave *v)
{
    uint32_t node = 0;
    while (v->open < WORKLOAD_OPEN && v->next < v->end && pick_node(v, &node)) {
        if (v->kind == WORKLOAD_FETCH && !v->load->acked[v->next]) {
            v->next++;
            continue;
        }
        if (ask(v, node, v->next) != ERR_OK) {
            return; /* that node has its hands full: later */
        }
        v->result->sent++;
        v->open++;
        v->next++;
    }
}

static bool is_right(struct wave *v, const struct answer *a)
{
    uint8_t bytes[128];
    struct slice expected = workload_value(world_account(v->world, a->tag), bytes, sizeof(bytes));
    return a->value_count == 1 && slice_is_equal(a->values[0].value, expected);
}

static void settle(struct wave *v, const struct answer *a)
{
    struct workload_result *r = v->result;
    v->open--;
    r->hops_total += a->hops;
    r->hops_max = a->hops > r->hops_max ? a->hops : r->hops_max;
    r->latency_us_total += a->elapsed_us;
    r->latency_us_max = max_u64(r->latency_us_max, a->elapsed_us);
    uint32_t ok = r->ok;
    if (a->error != ERR_OK) {
        r->failed++;
    } else if (v->kind == WORKLOAD_STORE) {
        v->load->acked[a->tag] = true;
        r->ok++;
    } else if (is_right(v, a)) {
        r->ok++;
    } else if (a->value_total == 0) {
        r->failed++;
    } else {
        r->wrong++;
    }
    if (r->ok > ok) {
        spread_add(&r->hops, a->hops);
        spread_add(&r->latency_us, a->elapsed_us);
    }
}

static void collect(struct wave *v)
{
    const struct answer *a;
    uint32_t i = 0;
    while ((i = world_take_answering(v->world)) != UINT32_MAX) {
        while (world_is_alive(v->world, i) && (a = answer_next(world_node(v->world, i))) != NULL) {
            settle(v, a);
        }
    }
}

void workload_run(struct workload *l, struct world *w, enum workload_kind kind, uint32_t first,
                  uint32_t count, uint64_t limit_us)
{
    struct wave v = {.load = l, .world = w, .kind = kind, .next = first, .end = first + count};
    v.result = kind == WORKLOAD_STORE ? &l->stores : &l->fetches;
    CHECK(v.end <= l->records);
    uint64_t until = world_now_us(w) + limit_us;
    while ((v.next < v.end || v.open > 0) && world_now_us(w) < until) {
        fill(&v);
        world_run_until(w, world_now_us(w) + STEP_US);
        collect(&v);
    }
    v.result->failed += v.open + (v.end - v.next); /* never answered, or never asked */
}
