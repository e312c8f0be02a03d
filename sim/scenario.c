/* SPDX-License-Identifier: Apache-2.0 */
/* join -> settle -> store -> count copies -> leave or kill -> faults -> repair -> fetch -> end.
 * What goes on during the faults stands in sim/survive.c. */
#include "sim/calls.h"
#include "sim/roam.h"
#include "sim/scenario_impl.h"
#include "sim/survive.h"

enum {
    COPIES_WANTED = 3,
    CHECK_US = 250000,
    WAVE_US = 600 * 1000 * 1000,
    COPIES_PER_RECORD = 16,
    /* A peer whose tables are behind refuses a replica; the owner asks again after 1, 2, 4, 8 and
     * 16 s (dht/replicate). */
    COPIES_US = 35 * 1000 * 1000,
};

void scenario_defaults(struct scenario *s)
{
    *s = (struct scenario){
#define SCENARIO(name, value, help) .name = (value),
#include "sim/scenario.def"
#undef SCENARIO
    };
}

static bool number_of(struct slice text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *out > 1000000000000ULL) {
            return false;
        }
        *out = *out * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

static bool is_key(struct slice key, const char *name)
{
    size_t i = 0;
    for (; i < key.len && name[i] != '\0'; i++) {
        if (key.data[i] != (uint8_t)name[i] && !(key.data[i] == '.' && name[i] == '_')) {
            return false;
        }
    }
    return i == key.len && name[i] == '\0';
}

enum err scenario_set(struct scenario *s, struct slice key, struct slice value)
{
    uint64_t number = 0;
    bool ok = number_of(value, &number);
#define SCENARIO(name, default_value, help)                                                        \
    if (is_key(key, #name)) {                                                                      \
        s->name = number;                                                                          \
        return ok ? ERR_OK : ERR_MALFORMED;                                                        \
    }
#include "sim/scenario.def"
#undef SCENARIO
    return ERR_NOT_FOUND;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 &&
           (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

/* The part of `s` before `c` (all of it when there is none); `rest` is what follows. */
static struct slice cut(struct slice s, uint8_t c, struct slice *rest)
{
    const uint8_t *at = s.len == 0 ? NULL : memchr(s.data, c, s.len);
    size_t len = at == NULL ? s.len : (size_t)(at - s.data);
    *rest = slice_from(s, len + 1);
    return slice_of(s.data, len);
}

enum err scenario_parse(struct scenario *s, struct slice text, uint32_t *line)
{
    for (*line = 1; text.len > 0; (*line)++) {
        struct slice comment;
        struct slice value;
        struct slice content = trim(cut(cut(text, '\n', &text), '#', &comment));
        if (content.len == 0) {
            continue;
        }
        struct slice key = trim(cut(content, '=', &value));
        enum err e = scenario_set(s, key, trim(value));
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

static struct underlay_settings underlay_of(const struct scenario *s)
{
    return (struct underlay_settings){
        .kind = s->underlay == 0   ? UNDERLAY_PAIRS
                : s->underlay == 1 ? UNDERLAY_CONSTANT
                                   : UNDERLAY_COORDINATES,
        .delay_us = s->latency_ms * 1000,
        .jitter_us = s->jitter_ms * 1000,
        .extent_us = (uint32_t)(s->extent_ms * 1000),
        .access_bytes_per_s = s->access_kbit_per_s * 125,
        .access_delay_us = (uint32_t)(s->access_delay_ms * 1000),
        .line = {.bytes_per_s = s->line_kbit_per_s * 125,
                 .queue_bytes = (uint32_t)s->line_queue_bytes,
                 .loss_ppm = (uint32_t)s->line_loss_ppm,
                 .reorder_ppm = (uint32_t)s->line_reorder_ppm,
                 .reorder_us = (uint32_t)(s->line_reorder_ms * 1000),
                 .duplicate_ppm = (uint32_t)s->line_duplicate_ppm},
    };
}

void scenario_world(const struct scenario *s, uint64_t seed, struct world_settings *out)
{
    world_defaults(out);
    out->seed = seed;
    out->nodes = scenario_impl_nodes(s);
    out->shards = (uint32_t)s->shards;
    out->accounts = (uint32_t)s->records;
    out->underlay = underlay_of(s);
    out->loss_ppm = (uint32_t)s->loss_ppm;
    out->config.replica_min_hosts = (uint32_t)s->replica_min_hosts;
    out->is_publishing = s->publish != 0;
    out->is_ready = s->ready != 0;
    out->is_real = s->crypto != 0;
    out->buggify_percent = (uint32_t)s->buggify;
    calls_world(s, out);
    roam_world(s, out);
    out->has_disks = s->disks != 0;
    out->disk_sync_us = s->disk_sync_ms * 1000;
    out->disk_lost_percent = (uint32_t)s->disk_lost_percent;
    out->bootstraps = (uint32_t)min_u64(max_u64(s->bootstraps, 1), WORLD_BOOTSTRAPS_CAP);
    out->ids = s->ids;
    out->id_count = s->id_count;
    out->capture = s->capture;
    out->capture_context = s->capture_context;
    out->config.links = s->links == 0   ? OVERLAY_LINKS_TRUNK
                        : s->links == 1 ? OVERLAY_LINKS_BOTH
                                        : OVERLAY_LINKS_DATAGRAM;
    out->datagram_bytes = (uint32_t)s->datagram_bytes;
    /* Three copies of each, unevenly spread; a small ring holds everything everywhere. */
    uint64_t least = s->publish != 0 ? 256 : s->nodes >= WORLD_TIGHT_NODES ? 8 : 64;
    uint64_t credentials = s->phones * s->phone_homes; /* each published twice */
    uint64_t records = s->records + credentials * (s->publish != 0 ? 3 : 1);
    uint64_t share = least + records * 48 / (s->nodes + 1);
    out->stored_values = (uint32_t)min_u64(share, records + least);
}

/* With those that come in for the dead. */
uint32_t scenario_impl_nodes(const struct scenario *s)
{
    uint64_t processes = s->nodes / s->shards;
    bool has_spares = s->churn_lifetime_s > 0 || s->mix_interval_s > 0 || s->hosts_return != 0;
    uint64_t spares = has_spares ? (processes * s->churn_spare_percent + 99) / 100 : 0;
    return (uint32_t)((processes + spares) * s->shards);
}

size_t scenario_bytes(const struct scenario *s)
{
    struct world_settings world;
    scenario_world(s, 1, &world);
    return sizeof(struct run) + world_bytes(&world) + workload_bytes((uint32_t)s->records) +
           world.nodes * sizeof(struct ready_node) + measure_bytes() +
           checker_bytes(world.nodes, (uint32_t)s->records * COPIES_PER_RECORD + 1024) +
           phones_bytes((uint32_t)s->phones) + traffic_bytes((uint32_t)s->records) +
           shortage_bytes((uint32_t)s->records) + sizeof(struct shortage) +
           churn_bytes(world.nodes) + sizeof(struct traffic) + adversary_bytes(world.nodes) +
           world.nodes + 64 + sizeof(struct adversary) + 4096;
}

bool scenario_impl_is_ring_right(struct run *r)
{
    struct checker_ring ring = checker_ring(&r->checker, r->world);
    r->out->ring = ring;
    return ring.ready == ring.nodes && ring.broken == 0 && ring.thin == 0;
}

static struct checker_copies copies_of(struct run *r)
{
    return checker_copies(&r->checker, r->world, OVERLAY_KIND_SIP_REGISTRATION, COPIES_WANTED);
}

/* Runs until the ring is right, at most limit_us; how long it took, 0 = never. */
uint64_t scenario_impl_until_right(struct run *r, uint64_t limit_us)
{
    uint64_t start = world_now_us(r->world);
    while (world_now_us(r->world) < start + limit_us) {
        world_run_until(r->world, world_now_us(r->world) + CHECK_US);
        if (scenario_impl_is_ring_right(r)) {
            return world_now_us(r->world) - start;
        }
    }
    return 0;
}

static uint64_t run_until_copied(struct run *r, uint64_t start_us, uint64_t limit_us)
{
    for (;;) {
        r->out->copies_after = copies_of(r);
        if (r->out->copies_after.under == 0 && r->out->copies_after.one_host == 0) {
            return world_now_us(r->world) - start_us;
        }
        if (world_now_us(r->world) >= start_us + limit_us) {
            return 0;
        }
        world_run_until(r->world, world_now_us(r->world) + CHECK_US);
    }
}

void scenario_impl_holds(struct run *r, enum scenario_invariant which, bool holds)
{
    r->out->checked++;
    r->out->broken += holds ? 0 : 1;
    r->out->broken_by[which] += holds ? 0 : 1;
}

const char *scenario_invariant_name(enum scenario_invariant which)
{
    static const char *const names[SCENARIO_INVARIANTS] = {
#define INVARIANT(name, text) [SCENARIO_##name] = #name,
#include "sim/invariant.def"
#undef INVARIANT
    };
    return names[which];
}

const char *scenario_invariant_text(enum scenario_invariant which)
{
    static const char *const texts[SCENARIO_INVARIANTS] = {
#define INVARIANT(name, text) [SCENARIO_##name] = text,
#include "sim/invariant.def"
#undef INVARIANT
    };
    return texts[which];
}

static void make_ready(struct run *r)
{
    r->out->ready = ready_ring(r->world, r->order, (uint32_t)r->s->nodes);
    scenario_impl_holds(r, SCENARIO_joined, scenario_impl_is_ring_right(r));
}

/* Of nodes whose Node-IDs were given. */
static void note_tables(struct run *r)
{
    uint64_t count = min_u64(min_u64(r->s->id_count, r->s->nodes), SCENARIO_TABLES_CAP);
    for (uint32_t i = 0; i < count; i++) {
        struct overlay_status status = {0};
        if (world_is_alive(r->world, i)) {
            overlay_status(node_overlay(world_node(r->world, i)), &status);
        }
        r->out->tables[i] = status.routing_table;
    }
    r->out->table_count = (uint32_t)count;
}

/* Upkeep alone, then with a load: what it costs, and whether every message arrives. */
static void measure_load(struct run *r)
{
    struct measure *m = &r->measure;
    struct scenario_result *out = r->out;
    m->count = ready_order(r->world, r->order);
    m->records = (uint32_t)r->s->records;
    m->acked = r->load.acked;
    struct account before = *world_account_of_links(r->world);
    uint64_t start_us = world_now_us(r->world);
    world_run_until(r->world, start_us + r->s->idle_s * 1000000);
    out->upkeep = *world_account_of_links(r->world);
    out->upkeep_us = world_now_us(r->world) - start_us;
    account_since(&out->upkeep, &before);
    measure_rate(m, MEASURE_KBR, r->s->kbr_interval_s);
    measure_rate(m, MEASURE_LOOKUP, r->s->lookup_interval_s);
    note_tables(r);
    uint64_t events = world_events(r->world);
    uint64_t turns = world_turns(r->world);
    out->measured_metrics = *world_metrics(r->world);
    uint64_t begun_us = r->clock_us();
    start_us = world_now_us(r->world);
    if (r->s->measure_s > 0) {
        measure_run(m, r->s->measure_s * 1000000);
    }
    out->measured_us = world_now_us(r->world) - start_us;
    out->measured_cpu_us = r->clock_us() - begun_us;
    out->measured_events = world_events(r->world) - events;
    out->measured_turns = world_turns(r->world) - turns;
    for (uint32_t i = 0; i < METRIC_COUNT; i++) {
        uint64_t before_it = metric_read(&out->measured_metrics, (enum metric)i);
        metric_set(&out->measured_metrics, (enum metric)i,
                   metric_read(world_metrics(r->world), (enum metric)i) - before_it);
    }
    out->measured_messages = metric_read(&out->measured_metrics, METRIC_link_messages_out);
    for (uint32_t k = 0; k < MEASURE_KINDS; k++) {
        out->measured[k] = m->results[k];
        scenario_impl_holds(r, SCENARIO_true_values, m->results[k].wrong == 0);
        scenario_impl_holds(r, SCENARIO_readable, m->results[k].failed == 0);
    }
}

static void join_all(struct run *r)
{
    uint64_t start = world_now_us(r->world);
    uint64_t at_once = r->s->nodes * r->s->flash_percent / 100;
    for (uint32_t i = 0; i < r->s->nodes; i++) {
        if (!survive_begins_with(r->s, i)) {
            continue;
        }
        world_start(r->world, i);
        bool is_flash = i + at_once >= r->s->nodes;
        uint64_t wait_us = is_flash ? 0 : r->s->join_interval_ms * 1000;
        world_run_until(r->world, world_now_us(r->world) + wait_us);
    }
    roam_settle(r);
    bool joined = scenario_impl_until_right(r, r->s->settle_s * 1000000) != 0;
    r->out->join_us = joined ? world_now_us(r->world) - start : 0;
    for (uint32_t i = 0; i < r->s->nodes; i++) {
        uint64_t took = world_join_us(r->world, i);
        if (took != UINT64_MAX) {
            spread_add(&r->out->join_each_us, took);
        }
    }
    scenario_impl_holds(r, SCENARIO_joined, joined);
}

static uint32_t random_live_node(struct run *r)
{
    for (;;) {
        uint32_t i = (uint32_t)rng_below(world_rng(r->world), world_settings_of(r->world)->nodes);
        if (world_is_alive(r->world, i)) {
            return i;
        }
    }
}

/* All three copies among the `dead` of `alive` peers that die at once: repair has no time. */
static uint64_t expect_lost_ppm(uint64_t dead, uint64_t alive)
{
    uint64_t ppm = 1000000;
    for (uint64_t k = 0; k < COPIES_WANTED; k++) {
        ppm = alive <= k || dead <= k ? 0 : ppm * (dead - k) / (alive - k);
    }
    return ppm;
}

static void kill_some(struct run *r)
{
    uint64_t start = world_now_us(r->world);
    uint32_t before = world_alive_count(r->world);
    uint32_t wanted = (uint32_t)(r->s->nodes * r->s->kill_percent / 100);
    while (before - world_alive_count(r->world) < wanted && world_alive_count(r->world) > 0) {
        uint32_t i = random_live_node(r);
        if (r->s->kill_silent != 0) {
            world_vanish(r->world, i);
        } else {
            world_kill(r->world, i);
        }
    }
    r->out->killed = before - world_alive_count(r->world);
    r->out->expected_lost_ppm = expect_lost_ppm(r->out->killed, before);
    r->out->lost = r->out->copies_before.records - copies_of(r).records;
    r->out->repair_us = scenario_impl_until_right(r, r->s->repair_s * 1000000);
    r->out->copies_repair_us = run_until_copied(r, start, r->s->repair_s * 1000000);
    scenario_impl_holds(r, SCENARIO_repaired, r->out->repair_us != 0);
    scenario_impl_holds(r, SCENARIO_copied_again, r->out->copies_repair_us != 0);
    scenario_impl_holds(r, SCENARIO_kept,
                        copies_of(r).records + r->out->lost >= r->out->copies_before.records);
}

static void leave_some(struct run *r)
{
    uint32_t leavers = (uint32_t)(r->s->nodes * r->s->leave_percent / 100);
    for (uint32_t k = 0; k < leavers; k++) {
        world_stop(r->world, random_live_node(r));
        world_run_until(r->world, world_now_us(r->world) + 3000000);
    }
    uint64_t start = world_now_us(r->world);
    scenario_impl_holds(r, SCENARIO_repaired,
                        scenario_impl_until_right(r, r->s->repair_s * 1000000) != 0);
    scenario_impl_holds(r, SCENARIO_copied_again,
                        run_until_copied(r, start, r->s->repair_s * 1000000) != 0);
    scenario_impl_holds(r, SCENARIO_kept,
                        r->out->copies_after.records == r->out->copies_before.records);
}

static void end_world(struct run *r)
{
    r->out->simulated_us = world_now_us(r->world);
    r->out->events = world_events(r->world);
    r->out->fingerprint = world_fingerprint(r->world);
    r->out->stream_bytes = world_stream_bytes(r->world);
    r->out->carried = *world_account_of_links(r->world);
    r->out->datagrams = world_datagrams(r->world, &r->out->datagrams_lost);
    calls_end(r);
    roam_count(r);
    world_end(r->world);
    world_run_until(r->world, world_now_us(r->world) + 60000000);
    r->out->buffers_left = world_buffers_in_use(r->world);
    r->out->metrics = *world_metrics(r->world);
}

/* What was seen after single events. */
static void judge_vigil(struct run *r)
{
    static const enum scenario_invariant names[VIGIL_RULES] = {
        [VIGIL_LOOPS] = SCENARIO_no_loops,
        [VIGIL_ONCE] = SCENARIO_answered_once,
        [VIGIL_SIGNED] = SCENARIO_true_values,
        [VIGIL_CAPS] = SCENARIO_within_caps,
    };
    r->out->looked = r->vigil.looked;
    for (uint32_t i = 0; i < VIGIL_RULES; i++) {
        r->out->first[i] = r->vigil.first[i];
        scenario_impl_holds(r, names[i], !r->vigil.first[i].is_broken);
    }
}

static void fetch_all(struct run *r)
{
    workload_run(&r->load, r->world, WORKLOAD_FETCH, 0, (uint32_t)r->s->records, WAVE_US);
    scenario_impl_holds(r, SCENARIO_true_values, r->load.fetches.wrong == 0);
    scenario_impl_holds(r, SCENARIO_readable, r->load.fetches.failed <= r->out->lost);
}

void scenario_run(const struct scenario *s, struct arena *arena, uint64_t seed,
                  uint64_t (*clock_us)(void), struct scenario_result *out)
{
    struct world_settings settings;
    struct run *r = ARENA_ARRAY(arena, struct run, 1);
    *r = (struct run){.s = s, .clock_us = clock_us, .out = out};
    uint64_t begun_us = clock_us();
    memset(out, 0, sizeof(*out));
    scenario_world(s, seed, &settings);
    r->world = world_init(arena, &settings);
    checker_init(&r->checker, arena, settings.nodes,
                 (uint32_t)s->records * COPIES_PER_RECORD + 1024);
    workload_init(&r->load, arena, (uint32_t)s->records);
    r->order = ARENA_RAW(arena, struct ready_node, settings.nodes);
    measure_init(&r->measure, arena, r->world, r->order, settings.nodes);
    survive_init(r, arena, seed);
    calls_init(r, arena);
    vigil_begin(&r->vigil, r->world);
    roam_init(r, seed);
    if (s->ready != 0) {
        make_ready(r);
    } else {
        join_all(r);
    }
    out->setup_cpu_us = clock_us() - begun_us;
    workload_run(&r->load, r->world, WORKLOAD_STORE, 0, (uint32_t)s->records, WAVE_US);
    run_until_copied(r, world_now_us(r->world), COPIES_US);
    out->copies_before = copies_of(r);
    scenario_impl_holds(r, SCENARIO_copied, out->copies_before.under == 0);
    calls_begin(r);
    if (s->idle_s > 0 || s->measure_s > 0) {
        measure_load(r);
    }
    if (s->leave_percent > 0) {
        leave_some(r);
    }
    if (s->kill_percent > 0) {
        kill_some(r);
    }
    if (survive_is_asked(s)) {
        survive(r);
    } else {
        calls_judge(r);
        fetch_all(r);
    }
    judge_vigil(r);
    out->copies_after = copies_of(r);
    out->stores = r->load.stores;
    out->fetches = r->load.fetches;
    end_world(r);
    scenario_impl_holds(r, SCENARIO_no_leaks, out->buffers_left == 0);
}
