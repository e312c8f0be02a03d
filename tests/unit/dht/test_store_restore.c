/* SPDX-License-Identifier: Apache-2.0 */
/* What the store tells (dht/store_log) and takes back after a restart (dht/store_restore): issue 5,
 * Build 3.  The keeper is a table of a few lines. */
#include "core/poison.h"
#include "tests/unit/dht/storage_world.h"

#include "codec/content.h"
#include "dht/store_log.h"
#include "dht/store_restore.h"

#define T0 WORLD_NOW_MS

enum { KEPT = 256, LOG_BYTES = 32 * 1024 };

struct kept {
    uint8_t key[STORE_LOG_KEY_CAP];
    size_t key_len;
    uint8_t value[4096];
    size_t value_len;
    bool is_told; /* in the rewrite under way */
};

static struct kept kept[KEPT];
static size_t kept_count;
static uint64_t last_sequence;
static struct log quiet;

static void no_sink(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static struct store *new_store(struct world *w, uint32_t values_per_signer, uint32_t log_bytes)
{
    struct store_settings s = world_store_settings(w);
    s.log_bytes = log_bytes;
    s.values_per_signer = values_per_signer;
    w->store = store_init(&w->turn, &w->arena, &s);
    log_init(&quiet, no_sink, NULL, LOG_ERROR, 0);
    w->turn.log = &quiet;
    return w->store;
}

static void forget(size_t i)
{
    kept[i] = kept[--kept_count];
}

static size_t find(struct slice key)
{
    size_t i = 0;
    while (i < kept_count && !slice_is_equal(slice_of(kept[i].key, kept[i].key_len), key)) {
        i++;
    }
    return i;
}

static void keep_step(const struct store_log_step *s)
{
    size_t i = find(s->key);
    if (s->op == STORE_LOG_PUT) {
        cr_assert_lt(i, KEPT);
        kept_count += i == kept_count ? 1 : 0;
        memcpy(kept[i].key, s->key.data, s->key.len);
        kept[i].key_len = s->key.len;
        cr_assert_leq(s->value.len, sizeof(kept[i].value));
        memcpy(kept[i].value, s->value.data, s->value.len);
        kept[i].value_len = s->value.len;
        kept[i].is_told = true;
    } else if (s->op == STORE_LOG_REMOVE && i < kept_count) {
        forget(i);
    } else if (s->op == STORE_LOG_REMOVE_ALL || s->op == STORE_LOG_END) {
        for (i = kept_count; i > 0; i--) {
            struct slice key = slice_of(kept[i - 1].key, kept[i - 1].key_len);
            bool goes = s->op == STORE_LOG_END
                            ? !kept[i - 1].is_told
                            : slice_is_equal(slice_sub(key, 0, s->key.len), s->key);
            if (goes) {
                forget(i - 1);
            }
        }
    } else if (s->op == STORE_LOG_BEGIN) {
        for (i = 0; i < kept_count; i++) {
            kept[i].is_told = false;
        }
    }
}

/* All records that wait, into the table; how many. */
static uint32_t keep(struct world *w)
{
    uint64_t sequence = 0;
    struct slice record;
    struct store_log_step s;
    uint32_t records = 0;
    while (store_log_take(w->store, &sequence, &record)) {
        struct rd r = rd_init(record);
        cr_assert_gt(sequence, last_sequence);
        last_sequence = sequence;
        while (store_log_next(&r, &s)) {
            keep_step(&s);
        }
        cr_assert(rd_is_done(&r));
        records++;
    }
    return records;
}

static int by_key(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;
    size_t both = x->key_len < y->key_len ? x->key_len : y->key_len;
    int order = memcmp(x->key, y->key, both);
    return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* A new life of the store, on what was kept; it tells what it throws away. */
static void restart(struct world *w)
{
    (void)keep(w);
    (void)new_store(w, 64, LOG_BYTES);
    last_sequence = 0;
    qsort(kept, kept_count, sizeof(kept[0]), by_key);
    for (size_t i = 0; i < kept_count; i++) {
        enum err e = store_restore(&w->turn, w->store, slice_of(kept[i].key, kept[i].key_len),
                                   slice_of(kept[i].value, kept[i].value_len));
        (void)e;
    }
    store_restore_end(&w->turn, w->store);
    (void)keep(w);
}

static void prove_all(struct world *w)
{
    for (int i = 0; i < 1000 && store_restore_left(w->store) > 0; i++) {
        sign_begin_turn(w->sign, 1000000);
        sign_begin_message(w->sign, true);
        (void)store_restore_step(&w->turn, w->store);
    }
    cr_assert_eq(store_restore_left(w->store), 0);
}

static uint64_t metric(const struct world *w, enum metric which)
{
    return metric_read(&w->metrics, which);
}

struct fixture {
    struct world *w;
    struct person *alice, *bob;
    struct overlay_resource at;
};

static struct fixture start(void)
{
    struct fixture f = {.w = world_make(11)};
    kept_count = 0;
    last_sequence = 0;
    (void)new_store(f.w, 64, LOG_BYTES);
    f.alice = person_make(f.w, "alice@example.org", 1);
    f.bob = person_make(f.w, "bob@example.org", 2);
    f.at = resource_of(f.w, person_user(f.alice));
    return f;
}

static void finish(struct fixture *f)
{
    world_pass(f->w, 3 * 604800 * (uint64_t)1000);
    for (int i = 0; i < 20; i++) {
        (void)store_sweep(&f->w->turn, f->w->store);
    }
    (void)keep(f->w);
    world_is_empty(f->w);
    cr_assert_eq(kept_count, 0, "what the store has forgotten is not kept: %zu", kept_count);
    free(f->alice);
    free(f->bob);
    world_free(f->w);
}

static struct store_set *set_of(struct fixture *f, uint32_t kind)
{
    return store_set_find(f->w->store, resource_slice(&f->at), kind);
}

static uint32_t seen(struct fixture *f)
{
    uint32_t index = 0;
    uint32_t count = 0;
    struct overlay_stored s;
    while (store_walk(&f->w->turn, f->w->store, &index, &s)) {
        count++;
    }
    return count;
}

Test(store_restore, a_store_is_one_record_with_all_it_needs)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "one", T0, 60};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(keep(f.w), 1);
    cr_assert_eq(kept_count, 3, "certificate, set, value");
    struct wish two = {WORLD_KIND_SINGLE, 0, NULL, "two", T0 + 1, 60};
    cr_assert_eq(put_own(f.w, f.alice, &two).error, 0);
    cr_assert_eq(keep(f.w), 1);
    cr_assert_eq(kept_count, 3, "in its place");
    cr_assert_eq(put_own(f.w, f.alice, &two).error, 0);
    cr_assert_eq(keep(f.w), 0, "the same again changes nothing");
    two.time_ms = T0;
    two.text = "old";
    cr_assert_eq(put_own(f.w, f.alice, &two).error, CONTENT_ERROR_DATA_TOO_OLD);
    cr_assert_eq(keep(f.w), 0, "nor does what was refused");
    finish(&f);
}

Test(store_restore, nobody_sees_a_value_before_it_is_proved)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_DICTIONARY, 0, "k", "one", T0, 600};
    struct wish two = {WORLD_KIND_ARRAY, 3, NULL, "two", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &two).error, 0);
    restart(f.w);
    cr_assert_eq(store_restore_left(f.w->store), 2);
    cr_assert_eq(seen(&f), 0);
    cr_assert(set_of(&f, WORLD_KIND_ARRAY)->is_unproved);
    cr_assert_not(store_set_is_alive(&f.w->turn, f.w->store, set_of(&f, WORLD_KIND_ARRAY)));
    prove_all(f.w);
    cr_assert_eq(seen(&f), 2);
    cr_assert_eq(metric(f.w, METRIC_restored_proved), 2);
    cr_assert_eq(keep(f.w), 0, "proving writes nothing");
    finish(&f);
}

/* On demand first: whoever asks for it has it proved within its own budget. */
Test(store_restore, a_fetch_proves_what_it_asks_for)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "one", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(put_own(f.w, f.bob, &one).error, 0);
    restart(f.w);
    uint8_t body[64];
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, resource_slice(&f.at));
    size_t mark = wr_begin(&w, 2);
    stored_wr_specifier_single(&w, WORLD_KIND_SINGLE, 0);
    wr_end(&w, 2, mark);
    sign_begin_turn(f.w->sign, 1000);
    sign_begin_message(f.w->sign, true);
    cr_assert(store_restore_prove_asked(&f.w->turn, f.w->store, wr_slice(&w)));
    cr_assert_eq(seen(&f), 1, "alice's, not bob's");
    cr_assert_eq(store_restore_left(f.w->store), 1);
    finish(&f);
}

Test(store_restore, the_budget_of_signatures_holds)
{
    struct fixture f = start();
    for (uint32_t i = 0; i < 6; i++) { /* the index is not signed, so each needs its own time */
        struct wish one = {WORLD_KIND_ARRAY, i, NULL, "x", T0 + i, 600};
        cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    }
    /* A new sign: nothing is known of an earlier life. */
    const struct sign_limits signs = {64, 1536, 256, 8192};
    f.w->sign = sign_init(&f.w->turn, &f.w->arena, &signs, &f.w->params, &f.w->trust);
    restart(f.w);
    uint32_t turns = 0;
    while (store_restore_left(f.w->store) > 0) {
        uint32_t before = fake_verifications;
        sign_begin_turn(f.w->sign, 100);
        sign_begin_message(f.w->sign, true);
        (void)store_restore_step(&f.w->turn, f.w->store);
        cr_assert_leq(fake_verifications - before, 2, "61 us each, of 100");
        cr_assert_lt(turns++, 20);
    }
    cr_assert_gt(turns, 2);
    cr_assert_eq(seen(&f), 6);
    finish(&f);
}

Test(store_restore, generation_and_storage_time_still_hold)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "new", T0 + 10, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    one.time_ms++;
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    restart(f.w);
    cr_assert_eq(set_of(&f, WORLD_KIND_SINGLE)->generation, 2);
    struct wish old = {WORLD_KIND_SINGLE, 0, NULL, "old", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &old).error, CONTENT_ERROR_DATA_TOO_OLD,
                 "also against one that was not proved yet");
    cr_assert_eq(put_as(f.w, f.alice, f.alice, &f.at, &old, 0, 1).error,
                 CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW);
    struct wish next = {WORLD_KIND_SINGLE, 0, NULL, "next", T0 + 20, 600};
    cr_assert_eq(put_as(f.w, f.alice, f.alice, &f.at, &next, 0, 2).error, 0);
    cr_assert_eq(set_of(&f, WORLD_KIND_SINGLE)->generation, 3);
    finish(&f);
}

/* a removed value stays removed, and a counter without values is kept. */
Test(store_restore, tombstones_and_counters_are_kept)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "x", T0, 600};
    struct wish gone = {WORLD_KIND_SINGLE, 0, NULL, NULL, T0 + 1, 600};
    struct wish shortly = {WORLD_KIND_ARRAY, 0, NULL, "y", T0, 60};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &gone).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &shortly).error, 0);
    world_pass(f.w, 61 * 1000); /* the short one is over, its counter is not */
    restart(f.w);
    cr_assert_eq(metric(f.w, METRIC_restored_expired), 1);
    prove_all(f.w);
    cr_assert_eq(set_of(&f, WORLD_KIND_ARRAY)->generation, 1);
    struct overlay_stored s;
    uint32_t index = 0;
    cr_assert(store_walk(&f.w->turn, f.w->store, &index, &s));
    cr_assert_not(s.exists);
    cr_assert_eq(put_own(f.w, f.alice, &one).error, CONTENT_ERROR_DATA_TOO_OLD);
    finish(&f);
}

/* Every bit of every record, one after the other: nothing of it is believed, nothing breaks. */
Test(store_restore, what_was_tampered_with_is_refused_and_counted, .timeout = 60)
{
    struct fixture f = start();
    struct wish one = {WORLD_KIND_DICTIONARY, 0, "k", "one", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    (void)keep(f.w);
    static struct kept good[KEPT];
    size_t good_count = kept_count;
    memcpy(good, kept, sizeof(good));
    size_t arena_used = f.w->arena.used;
    uint32_t shown = 0;
    uint32_t tried = 0;
    for (size_t i = 0; i < good_count; i++) {
        for (size_t bit = 0; bit < 8 * (good[i].key_len + good[i].value_len); bit++) {
            kept_count = good_count;
            memcpy(kept, good, sizeof(good));
            size_t byte = bit / 8;
            uint8_t *at = byte < kept[i].key_len ? kept[i].key + byte
                                                 : kept[i].value + (byte - kept[i].key_len);
            *at ^= (uint8_t)(1u << bit % 8);
            f.w->arena.used = arena_used;
            size_t rest = min_size(f.w->arena.cap - arena_used, 2 << 20);
            poison_lift(f.w->arena.base + arena_used, rest); /* pools stood there */
            memset(f.w->arena.base + arena_used, 0, rest);
            restart(f.w);
            prove_all(f.w);
            shown += seen(&f);
            tried++;
        }
    }
    /* Unsigned are: when it ends, the counter, and the lifetime in front of the value. */
    cr_expect_lt(shown, 8 * (8 + 8 + 8 + 4) + 1, "%u of %u", shown, tried);
    cr_expect_gt(metric(f.w, METRIC_restored_refused), 100);
    cr_expect_gt(metric(f.w, METRIC_restored_malformed), 100);
    kept_count = 0;
    (void)new_store(f.w, 64, LOG_BYTES);
    finish(&f);
}

Test(store_restore, quotas_and_kinds_of_today_hold)
{
    struct fixture f = start();
    for (uint32_t i = 0; i < 6; i++) {
        struct wish one = {WORLD_KIND_ARRAY, i, NULL, "x", T0, 600};
        cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    }
    struct wish single = {WORLD_KIND_SINGLE, 0, NULL, "x", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &single).error, 0);
    (void)keep(f.w);
    f.w->config.kinds[1].max_count = 4;      /* a new document allows fewer */
    f.w->config.kinds[0].max_size_bytes = 0; /* and nothing here */
    restart(f.w);
    cr_assert_eq(metric(f.w, METRIC_restored), 5);
    prove_all(f.w);
    cr_assert_eq(seen(&f), 4);
    cr_assert_eq(metric(f.w, METRIC_restored_refused), 1, "the single one is too long now");
    f.w->config.kind_count = 1; /* the Kind is gone altogether */
    restart(f.w);
    cr_assert_eq(seen(&f), 0);
    finish(&f);
}

Test(store_restore, a_full_log_is_lost_and_a_rewrite_heals_it)
{
    struct fixture f = start();
    (void)new_store(f.w, 64, 900); /* a Store is about 700 bytes */
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "one", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_not(store_log_is_lost(f.w->store));
    cr_assert_eq(put_own(f.w, f.bob, &one).error, 0, "the store goes on");
    cr_assert(store_log_is_lost(f.w->store));
    cr_assert_eq(store_log_sequence(f.w->store), 2, "whoever waits for it waits for the rewrite");
    cr_assert_eq(keep(f.w), 1);
    keep_step(&(struct store_log_step){STORE_LOG_PUT, SLICE_LITERAL("stale"), SLICE_LITERAL("x")});
    store_log_rewrite_begin(f.w->store);
    cr_assert_not(store_log_is_lost(f.w->store));
    bool goes_on = true;
    while (goes_on) {
        (void)keep(f.w);
        goes_on = store_log_rewrite(&f.w->turn, f.w->store);
    }
    (void)keep(f.w);
    cr_assert_eq(kept_count, 6, "both, and nothing else");
    restart(f.w);
    prove_all(f.w);
    cr_assert_eq(seen(&f), 2);
    finish(&f);
}

Test(store_restore, without_a_keeper_nothing_is_told)
{
    struct fixture f = start();
    (void)new_store(f.w, 64, 0);
    struct wish one = {WORLD_KIND_SINGLE, 0, NULL, "one", T0, 600};
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(keep(f.w), 0);
    cr_assert_eq(store_log_sequence(f.w->store), 0);
    finish(&f);
}
