/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_restore.c - a node starts with a database that somebody has been at (node/persist,
 * dht/store_restore): records cut, altered, made up, twice, missing, in any order.
 *
 * The database is what a first life of the same node has told its keeper: its certificates, its
 * accounts' and its neighbours'.  Input: flags, then what is done to the records (enum step).
 * Properties: the node starts; nothing exceeds the limits of the store; whatever came back is
 * proved or dropped within ten minutes; an untouched database comes back whole. */
#include "dht/store_log.h"
#include "fuzz/stage_node.h"

enum { RECORDS = 64, VALUE_BYTES = 6000, LOG_BYTES = 64 * 1024, FIRST_LIFE_S = 120, PROOF_S = 600 };
enum { FLAG_TELL_NOTHING = 1 }; /* the second life has no keeper */

enum step {
    STEP_DROP,
    STEP_FLIP_VALUE,
    STEP_FLIP_KEY,
    STEP_CUT,
    STEP_GROW,
    STEP_COPY, /* under another key */
    STEP_SWAP,
    STEP_SPLICE, /* the end of another one's value */
    STEP_RAW,
    STEP_COUNT
};

struct record {
    uint8_t key[STORE_LOG_KEY_CAP];
    size_t key_len;
    uint8_t value[VALUE_BYTES];
    size_t value_len;
};

static struct record database[RECORDS], records[RECORDS];
static size_t database_count, count;
static struct node *node;
static struct limits limits;
static struct sip_account accounts[2];

/* ---- the keeper of the first life */

static size_t find(struct slice key)
{
    size_t i = 0;
    while (i < database_count &&
           !slice_is_equal(slice_of(database[i].key, database[i].key_len), key)) {
        i++;
    }
    return i;
}

static bool keep(void *context, uint64_t sequence, struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step step;
    (void)context, (void)sequence;
    while (store_log_next(&r, &step)) {
        size_t i = find(step.key);
        if (step.op == STORE_LOG_REMOVE && i < database_count) {
            database[i] = database[--database_count];
        } else if (step.op == STORE_LOG_PUT && i < RECORDS && step.value.len <= VALUE_BYTES) {
            database_count += i == database_count ? 1 : 0;
            memcpy(database[i].key, step.key.data, step.key.len);
            database[i].key_len = step.key.len;
            memcpy(database[i].value, step.value.data, step.value.len);
            database[i].value_len = step.value.len;
        }
    }
    CHECK(rd_is_done(&r));
    return true;
}

static bool forget(void *context, uint64_t sequence, struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step step;
    (void)context, (void)sequence;
    while (store_log_next(&r, &step)) { /* what is thrown away is told, in good form */
    }
    CHECK(rd_is_done(&r));
    return true;
}

static bool has_room(void *context)
{
    (void)context;
    return true;
}

static void flush(void *context)
{
    (void)context;
}

static int by_key(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = memcmp(x->key, y->key, min_size(x->key_len, y->key_len));
    return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* ---- the node */

static void on_event(struct stage *s, const struct io_event *event)
{
    node_on_event(&s->turn, node, event);
}

static void on_timers(struct stage *s)
{
    node_on_timers(&s->turn, node);
}

static void on_flush(struct stage *s)
{
    enum { TURNS = 200 };
    uint32_t turns = 0;
    while (node_on_flush(&s->turn, node)) {
        CHECK(turns++ < TURNS); /* work that never gets less */
    }
}

static void set_accounts(struct stage *s, struct sip_settings *sip)
{
    memcpy(sip->domain, "a.example", sizeof("a.example"));
    memset(accounts, 0, sizeof(accounts));
    for (uint32_t i = 0; i < 2; i++) {
        memcpy(accounts[i].user, s->idents[3 + i].ident.user, s->idents[3 + i].ident.user_len);
        memset(accounts[i].ha1_md5, 'a', 32);
        accounts[i].digest = SIP_DIGEST_MD5;
        accounts[i].ident = &s->idents[3 + i].ident;
    }
    sip->accounts = accounts;
    sip->account_count = 2;
    sip->shards = 1;
    sip->self = sip->siblings[0] = s->idents[0].ident.node_id;
    sip->advertised = stage_address(0);
    sip->default_expires_s = 3600;
    sip->min_expires_s = 60;
    sip->max_expires_s = 7200;
    sip->limits = &limits;
}

static struct stage *build(const struct persist_ops *ops)
{
    static struct node_settings settings;
    static const struct ident *publish[3];
    struct stage *s = stage_init();
    s->on_event = on_event;
    s->on_timers = on_timers;
    s->on_flush = on_flush;
    memset(&settings, 0, sizeof(settings));
    stage_node_limits(&limits);
    struct overlay_settings *o = &settings.overlay;
    stage_node_config(&o->config);
    o->config.replica_min_hosts = 1;
    o->trust = s->trust;
    o->self = &s->idents[0].ident;
    o->limits = settings.limits = &limits;
    o->shards = 1;
    o->siblings[0] = o->self->node_id;
    o->found_ring = OVERLAY_FOUND_NOW;
    o->candidates[0] = o->sip_candidates[0] = stage_address(0);
    o->candidate_count = o->sip_candidate_count = 1;
    publish[0] = &s->idents[0].ident;
    publish[1] = &s->idents[3].ident;
    publish[2] = &s->idents[4].ident;
    o->publish = publish;
    o->publish_count = ARRAY_COUNT(publish);
    o->storage_ack = ops == NULL ? OVERLAY_ACK_REPLICA : OVERLAY_ACK_DISK;
    o->log_bytes = ops == NULL ? 0 : LOG_BYTES;
    set_accounts(s, &settings.sip);
    settings.tls = tls_fake_ops();
    settings.tls_context = &s->contexts[0];
    settings.persist = ops;
    node = node_init(&s->turn, &s->arena, &settings);
    return s;
}

static void first_life(void)
{
    static const struct persist_ops ops = {keep, has_room, flush};
    struct stage *s = build(&ops);
    node_start(&s->turn, node);
    stage_event(s, NULL);
    stage_sleep(s, (uint64_t)FIRST_LIFE_S * 1000000);
    qsort(database, database_count, sizeof(database[0]), by_key);
    CHECK(database_count >= 6); /* certificates, sets and values */
}

/* ---- what is done to the records */

static void raw(struct rd *r)
{
    if (count == RECORDS) {
        return;
    }
    struct record *to = &records[count++];
    struct slice key = fuzz_take(r, STORE_LOG_KEY_CAP), value = fuzz_take(r, VALUE_BYTES);
    to->key_len = key.len;
    to->value_len = value.len;
    if (key.len > 0) {
        memcpy(to->key, key.data, key.len);
    }
    if (value.len > 0) {
        memcpy(to->value, value.data, value.len);
    }
}

static void splice(struct record *to, const struct record *from, uint16_t at)
{
    size_t start = at % (from->value_len + 1);
    size_t keep_len = min_size(start, to->value_len);
    size_t len = from->value_len - start;
    memmove(to->value + keep_len, from->value + start, len);
    to->value_len = keep_len + len;
}

static void step(struct rd *r)
{
    static struct record other;
    enum step what = (enum step)(rd_u8(r) % STEP_COUNT);
    uint8_t byte = rd_u8(r);
    if (what == STEP_RAW || count == 0) {
        raw(r);
        return;
    }
    struct record *one = &records[byte % count];
    uint16_t at = rd_u16(r);
    switch (what) {
    case STEP_DROP:
        memmove(one, one + 1, (size_t)(&records[--count] - one) * sizeof(*one));
        break;
    case STEP_FLIP_VALUE:
        one->value[at % (one->value_len + 1) % VALUE_BYTES] ^= rd_u8(r);
        break;
    case STEP_FLIP_KEY:
        one->key[at % (one->key_len + 1) % STORE_LOG_KEY_CAP] ^= rd_u8(r);
        break;
    case STEP_CUT:
        one->value_len = min_size(at, one->value_len);
        one->key_len = min_size(max_size(1, rd_u8(r)), one->key_len);
        break;
    case STEP_GROW:
        one->value_len = min_size(one->value_len + at, VALUE_BYTES);
        break;
    case STEP_COPY:
        if (count < RECORDS) {
            records[count] = *one;
            records[count].key[at % (one->key_len + 1) % STORE_LOG_KEY_CAP] ^= rd_u8(r);
            count++;
        }
        break;
    case STEP_SWAP:
        other = *one;
        *one = records[at % count];
        records[at % count] = other;
        break;
    case STEP_SPLICE:
        other = records[rd_u8(r) % count];
        splice(one, &other, at);
        break;
    case STEP_RAW:
    case STEP_COUNT:
        break;
    }
}

/* ---- the second life */

static void second_life(bool has_keeper, bool is_untouched)
{
    static const struct persist_ops ops = {forget, has_room, flush};
    struct stage *s = build(has_keeper ? &ops : NULL);
    struct persist_status status;
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = fuzz_copy(slice_of(records[i].key, records[i].key_len));
        uint8_t *value = fuzz_copy(slice_of(records[i].value, records[i].value_len));
        persist_restore(&s->turn, node, slice_of(key, records[i].key_len),
                        slice_of(value, records[i].value_len));
        free(key);
        free(value);
    }
    persist_restored(&s->turn, node);
    persist_status(node, &status);
    CHECK(status.unproved <= limits.stored_values);
    const struct metrics *m = &s->metrics;
    CHECK(metric_read(m, METRIC_restored) <= count);
    node_start(&s->turn, node);
    stage_event(s, NULL);
    stage_sleep(s, (uint64_t)PROOF_S * 1000000);
    persist_status(node, &status);
    CHECK(status.unproved == 0);
    if (is_untouched && has_keeper) {
        CHECK(metric_read(m, METRIC_restored_proved) > 0);
        CHECK(metric_read(m, METRIC_restored_refused) == 0);
        CHECK(metric_read(m, METRIC_restored_malformed) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    uint8_t flags = rd_u8(&r);
    if (database_count == 0) {
        first_life();
    }
    memcpy(records, database, sizeof(records));
    count = database_count;
    bool is_untouched = rd_left(&r) == 0;
    while (rd_left(&r) > 0) {
        step(&r);
    }
    second_life((flags & FLAG_TELL_NOTHING) == 0, is_untouched);
    return 0;
}
