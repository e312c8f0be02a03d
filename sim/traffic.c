/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/traffic.h"
#include "codec/msgs.h"
#include "codec/stored.h"
#include <stdio.h>

enum {
    VERIFY_US = 900 * 1000 * 1000,
    PATIENCE_US = 240 * 1000 * 1000,
    VALUE_CAP = 160,
    SECOND_US = 1000000,
    NO_RECORD = -1
};

size_t traffic_bytes(uint32_t records)
{
    return records * sizeof(struct traffic_record) + 128;
}

void traffic_init(struct traffic *f, struct arena *arena, const struct traffic_settings *s,
                  uint64_t seed)
{
    memset(f, 0, sizeof(*f)); /* too large for a frame */
    f->s = *s;
    f->records = ARENA_ARRAY(arena, struct traffic_record, s->records);
    rng_init(&f->rng, seed ^ 0x7aff1c);
}

static int64_t record_of(const struct traffic *f, const struct world *w, struct slice key);

/* While nobody stores: is_storing says of which records there is a copy. */
static void mark_held(struct traffic *f, struct world *w)
{
    for (uint32_t k = 0; k < f->s.records; k++) {
        f->records[k].is_storing = false;
    }
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        struct overlay_stored s;
        uint32_t at = 0;
        while (world_is_alive(w, i) &&
               overlay_walk_stored(node_overlay(world_node(w, i)), &at, &s)) {
            int64_t k = s.exists ? record_of(f, w, s.key) : NO_RECORD;
            if (k != NO_RECORD) {
                f->records[k].is_storing = true;
            }
        }
    }
}

void traffic_begin(struct traffic *f, struct world *w, const bool *acked)
{
    memset(f->records, 0, f->s.records * sizeof(f->records[0]));
    mark_held(f, w);
    for (uint32_t k = 0; k < f->s.records; k++) { /* what a kill before took is no loss of now */
        f->records[k] = (struct traffic_record){.is_known = acked[k] && f->records[k].is_storing};
    }
    f->next_lookup_us = f->next_store_us = world_now_us(w);
}

/* ---- values ---- */

static struct slice value_of(const struct world *w, uint32_t record, uint32_t version, uint8_t *out)
{
    if (version == 0) {
        return workload_value(world_account(w, record), out, VALUE_CAP);
    }
    const struct rl_params params = {.node_id_length = 16};
    char uri[48];
    int len = snprintf(uri, sizeof(uri), "sip:%u.%u@sim.example", record, version);
    struct msgs_sip_registration value = {.type = MSGS_SIP_URI,
                                          .uri = slice_of((const uint8_t *)uri, (size_t)len)};
    struct wr wr = wr_init(out, VALUE_CAP);
    msgs_sip_registration_wr(&wr, &params, &value);
    CHECK(wr_ok(&wr));
    return slice_of(out, wr_len(&wr));
}

/* Which version is it?  False: none that was ever sent. */
static bool version_of(const struct traffic *f, const struct world *w, uint32_t record,
                       struct slice value, uint32_t *version)
{
    uint8_t bytes[VALUE_CAP];
    for (uint32_t v = f->records[record].sent + 1; v-- > 0;) {
        if (slice_is_equal(value, value_of(w, record, v, bytes))) {
            *version = v;
            return true;
        }
    }
    return false;
}

/* ---- asking ---- */

static bool pick_node(struct traffic *f, struct world *w, uint32_t *node)
{
    for (uint32_t tries = 0; tries < 100; tries++) {
        *node = (uint32_t)rng_below(&f->rng, world_settings_of(w)->nodes);
        bool is_hostile = f->is_hostile != NULL && f->is_hostile[*node] != 0;
        if (!is_hostile && world_is_alive(w, *node) &&
            overlay_is_ready(node_overlay(world_node(w, *node)))) {
            return true;
        }
    }
    return false;
}

static struct traffic_open *free_slot(struct traffic *f)
{
    for (uint32_t i = 0; i < TRAFFIC_OPEN; i++) {
        if (f->open[i].tag == 0) {
            f->open_end = i < f->open_end ? f->open_end : i + 1;
            return &f->open[i];
        }
    }
    return NULL;
}

static enum err send(struct world *w, const struct traffic_open *o)
{
    uint8_t bytes[VALUE_CAP];
    const struct ident *account = world_account(w, o->record);
    struct turn *t = world_begin_turn(w, o->node);
    struct overlay_store what = {
        .kind = OVERLAY_KIND_SIP_REGISTRATION,
        .signer = account,
        .key = slice_of(account->node_id.bytes, 16),
        .exists = true,
        .value = value_of(w, o->record, o->version, bytes),
        .lifetime_s = 86400,
    };
    overlay_resource_of(t, slice_text(account->user), &what.resource);
    struct node *node = world_node(w, o->node);
    enum err e = o->is_store ? answer_store(t, node, &what, o->tag)
                             : answer_fetch(t, node, &what.resource, what.kind, o->tag);
    world_end_turn(w, o->node);
    return e;
}

/* False: not now. */
static bool ask(struct traffic *f, struct world *w, uint32_t record, bool is_store)
{
    struct traffic_record *r = &f->records[record];
    struct traffic_open *o = free_slot(f);
    uint32_t node = 0;
    if (o == NULL || !r->is_known || (is_store && r->is_storing) || !pick_node(f, w, &node)) {
        return false;
    }
    struct traffic_open asked = {.tag = ++f->last_tag,
                                 .node = node,
                                 .incarnation = world_incarnation(w, node),
                                 .record = record,
                                 .version = is_store ? r->sent + 1 : r->acked,
                                 .since_us = world_now_us(w),
                                 .is_store = is_store};
    if (send(w, &asked) != ERR_OK) {
        return false;
    }
    *o = asked;
    r->is_storing |= is_store;
    r->sent += is_store ? 1 : 0;
    (is_store ? &f->counts.stores : &f->counts.lookups)->sent++;
    return true;
}

/* ---- judging ---- */

static struct ring_id place_of(struct world *w, uint32_t record)
{
    struct overlay_resource resource;
    struct ring_id at = {0, 0};
    struct turn *t = world_begin_turn(w, 0);
    overlay_resource_of(t, slice_text(world_account(w, record)->user), &resource);
    enum err e = ids_ring_of_resource(slice_of(resource.bytes, sizeof(resource.bytes)), &at);
    CHECK(e == ERR_OK);
    return at;
}

/* The first peer at or after that place. */
static bool is_responsible(struct world *w, uint32_t record, const struct node_id *who)
{
    struct ring_id at = place_of(w, record);
    struct ring_id far = ids_ring_minus(ids_ring_of_node(who), at);
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        if (!world_is_alive(w, i) || !overlay_is_ready(node_overlay(world_node(w, i)))) {
            continue;
        }
        struct ring_id there = ids_ring_minus(ids_ring_of_node(&world_ident(w, i)->node_id), at);
        if (ids_ring_is_less(there, far)) {
            return false;
        }
    }
    return true;
}

static void judge_fetched(struct traffic *f, struct world *w, const struct traffic_open *o,
                          const struct answer *a)
{
    struct traffic_counts *c = &f->counts;
    uint32_t version = 0;
    if (a->value_total == 0) {
        bool is_right = is_responsible(w, o->record, &a->node_id);
        c->empty += is_right ? 1 : 0;
        c->misled += is_right ? 0 : 1;
        c->lookups.ok += is_right ? 1 : 0;
        c->lookups.failed += is_right ? 0 : 1;
        return;
    }
    if (a->value_count != 1 || !version_of(f, w, o->record, a->values[0].value, &version)) {
        c->lookups.wrong++;
        return;
    }
    c->lookups.ok++;
    c->fresh += version >= o->version ? 1 : 0;
    c->stale += version >= o->version ? 0 : 1;
    f->stale_unexcused += version >= o->version || f->records[o->record].is_worn ? 0 : 1;
}

/* What who acknowledged it holds now. */
struct copy {
    uint32_t version;
    uint64_t stored_ms;
};

static bool copy_at(const struct traffic *f, struct world *w, uint32_t record,
                    const struct node_id *by, struct copy *out)
{
    struct overlay_stored s;
    struct stored_data d;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        if (!world_is_alive(w, i) || !ids_node_is_equal(&world_ident(w, i)->node_id, by)) {
            continue;
        }
        uint32_t at = 0;
        while (overlay_walk_stored(node_overlay(world_node(w, i)), &at, &s)) {
            if (s.kind == OVERLAY_KIND_SIP_REGISTRATION && record_of(f, w, s.key) == record) {
                out->stored_ms = s.storage_time_ms;
                return s.exists && stored_decode(s.wire, STORED_DICTIONARY, &d) == ERR_OK &&
                       version_of(f, w, record, d.value.bytes, &out->version);
            }
        }
    }
    return false;
}

/* Two halves that do not see each other may both have a new value: the later one will count.  Who
 * acknowledged this one may have got that before the answer is looked at. */
static void note_stored(struct traffic *f, struct world *w, const struct traffic_open *o,
                        const struct node_id *by)
{
    struct traffic_record *r = &f->records[o->record];
    struct copy c = {.version = o->version};
    bool has_copy = copy_at(f, w, o->record, by, &c);
    if (has_copy && c.stored_ms <= r->acked_ms) {
        return;
    }
    r->acked = c.version;
    r->acked_ms = max_u64(r->acked_ms, c.stored_ms);
    r->is_worn = r->crashes_us[0] >= o->since_us;
}

static void add_times(struct workload_result *r, const struct answer *a)
{
    r->hops_total += a->hops;
    r->hops_max = a->hops > r->hops_max ? a->hops : r->hops_max;
    r->latency_us_total += a->elapsed_us;
    r->latency_us_max = max_u64(r->latency_us_max, a->elapsed_us);
}

static void settle(struct traffic *f, struct world *w, struct traffic_open *o,
                   const struct answer *a)
{
    struct traffic_record *r = &f->records[o->record];
    struct workload_result *out = o->is_store ? &f->counts.stores : &f->counts.lookups;
    if (a->error != ERR_OK) {
        out->failed++;
    } else if (o->is_store) {
        out->ok++;
        note_stored(f, w, o, &a->node_id);
        add_times(out, a);
    } else {
        judge_fetched(f, w, o, a);
        add_times(out, a);
    }
    r->is_storing &= !o->is_store;
    o->tag = 0;
}

static struct traffic_open *find(struct traffic *f, uint32_t node, uint32_t tag)
{
    for (uint32_t i = 0; i < TRAFFIC_OPEN; i++) {
        if (f->open[i].tag == tag && f->open[i].node == node) {
            return &f->open[i];
        }
    }
    return NULL;
}

static void poll_node(struct traffic *f, struct world *w, uint32_t node)
{
    const struct answer *a;
    while ((a = answer_next(world_node(w, node))) != NULL) {
        struct traffic_open *o = find(f, node, a->tag);
        if (o == NULL) {
            f->counts.unasked++;
        } else {
            settle(f, w, o, a);
        }
    }
}

static void give_up(struct traffic *f, struct traffic_open *o)
{
    f->records[o->record].is_storing &= !o->is_store;
    (o->is_store ? &f->counts.stores : &f->counts.lookups)->sent--;
    o->tag = 0;
}

/* How many are still open. */
static uint32_t collect(struct traffic *f, struct world *w)
{
    uint32_t open = 0;
    while (f->open_end > 0 && f->open[f->open_end - 1].tag == 0) {
        f->open_end--;
    }
    for (uint32_t i = 0; i < f->open_end; i++) {
        struct traffic_open *o = &f->open[i];
        if (o->tag == 0) {
            continue;
        }
        if (!world_is_alive(w, o->node) || world_incarnation(w, o->node) != o->incarnation) {
            f->counts.orphaned++;
            give_up(f, o);
            continue;
        }
        poll_node(f, w, o->node);
        if (o->tag != 0 && world_now_us(w) - o->since_us > PATIENCE_US) {
            f->counts.unanswered++;
            give_up(f, o);
        }
        open += o->tag != 0 ? 1 : 0;
    }
    return open;
}

void traffic_take(struct traffic *f, struct world *w, uint32_t i)
{
    poll_node(f, w, i);
}

bool traffic_has_sent(const struct traffic *f, const struct world *w,
                      const struct overlay_stored *s)
{
    struct stored_data d;
    uint32_t version = 0;
    int64_t k = s->kind == OVERLAY_KIND_SIP_REGISTRATION ? record_of(f, w, s->key) : NO_RECORD;
    if (k == NO_RECORD || !s->exists) {
        return true;
    }
    return stored_decode(s->wire, STORED_DICTIONARY, &d) == ERR_OK &&
           version_of(f, w, (uint32_t)k, d.value.bytes, &version);
}

void traffic_step(struct traffic *f, struct world *w)
{
    (void)collect(f, w);
    while (f->s.lookups_per_s > 0 && f->next_lookup_us <= world_now_us(w)) {
        (void)ask(f, w, (uint32_t)rng_below(&f->rng, f->s.records), false);
        f->next_lookup_us += rng_below(&f->rng, 2 * SECOND_US / f->s.lookups_per_s) + 1;
    }
    while (f->s.stores_per_s > 0 && f->s.changing > 0 && f->next_store_us <= world_now_us(w)) {
        (void)ask(f, w, (uint32_t)rng_below(&f->rng, f->s.changing), true);
        f->next_store_us += rng_below(&f->rng, 2 * SECOND_US / f->s.stores_per_s) + 1;
    }
}

bool traffic_drain(struct traffic *f, struct world *w)
{
    return collect(f, w) == 0;
}

void traffic_verify(struct traffic *f, struct world *w, struct workload_result *out)
{
    enum { AT_ONCE = 32, STEP_US = 20000 };
    f->kept = f->counts;
    memset(&f->counts, 0, sizeof(f->counts));
    uint32_t open = 0;
    uint32_t k = 0;
    uint64_t until_us = world_now_us(w) + VERIFY_US;
    f->stale_unexcused = 0;
    while ((k < f->s.records || open > 0) && world_now_us(w) < until_us) {
        for (; k < f->s.records && open < AT_ONCE; k++, open++) {
            if (f->records[k].is_known && !ask(f, w, k, false)) {
                break;
            }
        }
        world_run_until(w, world_now_us(w) + STEP_US);
        open = collect(f, w);
    }
    *out = f->counts.lookups;
    out->ok = f->counts.fresh;
    f->stale_seen = f->counts.stale;
    out->failed = out->sent - out->ok - out->wrong;
    f->kept.unasked += f->counts.unasked;
    f->kept.unanswered += f->counts.unanswered;
    f->counts = f->kept;
}

/* ---- copies ---- */

/* The account behind the key, which is its Node-ID; NO_RECORD: none of ours. */
static int64_t record_of(const struct traffic *f, const struct world *w, struct slice key)
{
    for (uint32_t k = 0; key.len == 16 && k < f->s.records; k++) {
        if (memcmp(world_account(w, k)->node_id.bytes, key.data, 16) == 0) {
            return k;
        }
    }
    return NO_RECORD;
}

void traffic_note_crash(struct traffic *f, struct world *w, uint32_t i)
{
    struct overlay_stored s;
    uint32_t at = 0;
    while (overlay_walk_stored(node_overlay(world_node(w, i)), &at, &s)) {
        int64_t k = s.kind == OVERLAY_KIND_SIP_REGISTRATION ? record_of(f, w, s.key) : NO_RECORD;
        if (k == NO_RECORD) {
            continue;
        }
        struct traffic_record *r = &f->records[k];
        r->is_worn = true;
        memmove(&r->crashes_us[1], &r->crashes_us[0], (TRAFFIC_CRASHES - 1) * sizeof(uint64_t));
        r->crashes_us[0] = world_now_us(w);
        uint64_t third = r->crashes_us[TRAFFIC_CRASHES - 1];
        r->is_excused |= third != 0 && world_now_us(w) - third <= f->s.window_us;
    }
}

uint32_t traffic_lost(struct traffic *f, struct world *w, uint32_t *unexcused)
{
    uint32_t lost = 0;
    *unexcused = 0;
    mark_held(f, w);
    for (uint32_t k = 0; k < f->s.records; k++) {
        struct traffic_record *r = &f->records[k];
        bool is_lost = r->is_known && !r->is_storing;
        lost += is_lost ? 1 : 0;
        *unexcused += is_lost && !r->is_excused ? 1 : 0;
        r->is_storing = false;
    }
    return lost;
}
