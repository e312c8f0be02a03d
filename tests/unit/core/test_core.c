/* SPDX-License-Identifier: Apache-2.0 */
/* test_core.c - the small pieces: arena, err, rng, bucket, metric, limits, trace, spsc in one
 * thread. */
#include "core/arena.h"
#include "core/bucket.h"
#include "core/err.h"
#include "core/limits.h"
#include "core/metric.h"
#include "core/rng.h"
#include "core/spsc.h"
#include "core/trace.h"
#include <criterion/criterion.h>
#include <signal.h>

/* Texts are compared eight bytes at a time: each byte in each place, against one by one. */
Test(slice, each_byte_counts)
{
    enum { LONGEST = 35 };
    uint8_t a[LONGEST], b[LONGEST], lower[LONGEST + 1];
    for (size_t len = 0; len <= LONGEST; len++) {
        memset(a, 'k', sizeof(a));
        memset(b, 'k', sizeof(b));
        struct slice x = slice_of(a, len), y = slice_of(b, len);
        cr_assert(slice_is_equal(x, y));
        cr_assert(slice_is_equal_nocase(x, y));
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                a[at] = (uint8_t)byte;
                b[at] = slice_lower((uint8_t)byte);
                memset(lower, 0xee, sizeof(lower));
                slice_lower_to(x, lower);
                cr_assert_eq(slice_is_equal(x, y), a[at] == b[at], "%u at %zu of %zu", byte, at,
                             len);
                cr_assert(slice_is_equal_nocase(x, y), "%u at %zu of %zu", byte, at, len);
                cr_assert_eq(memcmp(lower, b, len), 0, "%u at %zu of %zu", byte, at, len);
                cr_assert_eq(lower[len], 0xee);
                b[at] ^= 1;
                cr_assert_not(slice_is_equal_nocase(x, y), "%u at %zu of %zu", byte, at, len);
                cr_assert_not(slice_is_equal(x, y), "%u at %zu of %zu", byte, at, len);
            }
            a[at] = b[at] = 'k';
        }
    }
    cr_assert(slice_is_equal(SLICE_EMPTY, SLICE_LITERAL("")));
    cr_assert_not(slice_is_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
}

Test(arena, aligns_and_zeroes)
{
    static uint8_t block[512];
    memset(block, 0xff, sizeof(block));
    struct arena a;
    arena_init(&a, block + 1, sizeof(block) - 1);
    uint8_t *one = arena_take(&a, 3, 1, 1);
    cr_assert_eq(one, block + 1);
    uint64_t *two = ARENA_ARRAY(&a, uint64_t, 4);
    cr_assert_eq((uintptr_t)two % 8, 0);
    cr_assert_eq(two[0] | two[3], 0);
    uint8_t *line = arena_take(&a, 1, 64, 64);
    cr_assert_eq((uintptr_t)line % 64, 0);
    cr_assert_not_null(arena_take(&a, 0, 8, 8));
}

Test(arena, too_small, .signal = SIGABRT)
{
    static uint8_t block[64];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    arena_take(&a, 65, 1, 1);
}

Test(arena, overflow, .signal = SIGABRT)
{
    static uint8_t block[64];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    arena_take(&a, SIZE_MAX / 2, 4, 1);
}

Test(arena, split_keeps_raw_blocks_apart)
{
    enum { PAGES = 4 };
    static _Alignas(ARENA_PAGE_BYTES) uint8_t block[(PAGES + 1) * ARENA_PAGE_BYTES];
    uint8_t *end = block + 64 + PAGES * ARENA_PAGE_BYTES;
    memset(block, 0xaa, sizeof(block));
    struct arena a;
    arena_init(&a, block + 64, PAGES * ARENA_PAGE_BYTES);
    a.is_split = true;
    uint8_t *used = arena_take(&a, 100, 1, 1);
    cr_assert_eq(used, block + 64, "what is zeroed stands in front");
    uint8_t *small = arena_take_raw(&a, 3, 8, 8);
    cr_assert_eq(small + 24, end, "what is not, at the end");
    uint8_t *table = arena_take_raw(&a, 1, ARENA_PAGE_BYTES, 16);
    cr_assert_eq((uintptr_t)table % ARENA_PAGE_BYTES, 0, "a large one on pages of its own");
    cr_assert_leq(table + ARENA_PAGE_BYTES, small);
    uint8_t *more = arena_take(&a, 8, 8, 8);
    cr_assert_geq(more, used + 100, "nothing in between");
    cr_assert_leq(more, used + 108);
    cr_assert_eq((size_t)(table - (block + 64)), a.cap, "all between is left");
    uint8_t *rest = arena_take(&a, a.cap - a.used, 1, 1);
    cr_assert_leq(rest, table);
    cr_assert_eq(a.used, a.cap);
}

Test(arena, too_small_for_what_stands_at_the_end, .signal = SIGABRT)
{
    static uint8_t block[128];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    a.is_split = true;
    arena_take(&a, 65, 1, 1);
    arena_take_raw(&a, 64, 1, 1);
}

Test(err, texts_and_names)
{
    cr_assert_str_eq(err_text(ERR_OK), "ok");
    cr_assert_str_eq(err_name(ERR_BAD_SIGNATURE), "bad_signature");
    cr_assert_str_eq(err_name(ERR_TTL), "ttl");
    cr_assert_str_eq(err_name((enum err)9999), "unknown");
    for (unsigned e = 0; e < ERR_COUNT; e++) {
        cr_assert(strlen(err_text((enum err)e)) > 0);
        cr_assert(strlen(err_name((enum err)e)) > 0);
    }
}

Test(rng, repeats_and_bounds)
{
    struct rng a;
    struct rng b;
    rng_init(&a, 42);
    rng_init(&b, 42);
    uint32_t seen[10] = {0};
    for (size_t i = 0; i < 10000; i++) {
        cr_assert_eq(rng_next(&a), rng_next(&b));
        uint64_t n = rng_below(&a, 10);
        cr_assert(n < 10);
        seen[n]++;
        rng_below(&b, 10);
        uint64_t jittered = rng_jitter(&a, 1000, 20);
        cr_assert(jittered >= 800 && jittered <= 1200);
        rng_jitter(&b, 1000, 20);
    }
    for (size_t i = 0; i < 10; i++) {
        cr_assert(seen[i] > 850 && seen[i] < 1150, "%zu came %u times", i, seen[i]);
    }
    cr_assert_eq(rng_below(&a, 0), 0);
    cr_assert_eq(rng_below(&a, 1), 0);
    uint8_t bytes[11] = {0};
    rng_fill(&a, bytes, 10);
    cr_assert_eq(bytes[10], 0);
    rng_init(&a, 0);
    cr_assert_neq(rng_next(&a), rng_next(&a));
}

Test(bucket, never_gives_more_than_rate_and_burst)
{
    struct bucket b;
    bucket_init(&b, 2500, 5, 1000); /* 2.5 a second */
    struct rng rng;
    rng_init(&rng, 9);
    uint64_t now_us = 1000;
    uint64_t given = 0;
    for (size_t i = 0; i < 100000; i++) {
        given += bucket_take(&b, 1, now_us);
        uint64_t elapsed = now_us - 1000;
        cr_assert(given * 1000 <= 5000 + elapsed * 2500 / 1000000);
        now_us += rng_below(&rng, 2000);
    }
    uint64_t earned = (now_us - 1000) * 25 / 10000000 + 5;
    cr_assert(given + 2 >= earned, "too strict");
    cr_assert(bucket_take(&b, 5, now_us + (UINT64_C(1) << 62)), "a long rest fills it");
    bucket_init(&b, 0, 1, 0);
    cr_assert(bucket_take(&b, 1, 0));
    cr_assert_not(bucket_take(&b, 1, UINT64_MAX), "no rate, no refill");
    bucket_init(&b, 1000, 3, 500);
    cr_assert(bucket_has(&b, 3, 0));
    cr_assert_not(bucket_has(&b, 4, 0));
    cr_assert_not(bucket_take(&b, 4, 0), "nothing is taken when it is not enough");
    cr_assert(bucket_take(&b, 3, 0), "a clock before the start is no refill");
}

Test(metric, names)
{
    static struct metrics m;
    metric_add(&m, METRIC_turns, 2);
    metric_add(&m, METRIC_turns, 3);
    cr_assert_eq(metric_read(&m, METRIC_turns), 5);
    metric_set(&m, METRIC_turns, 1);
    cr_assert_eq(metric_read(&m, METRIC_turns), 1);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const char *kind = metric_kind((enum metric)i);
        cr_assert(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0);
        cr_assert(strlen(metric_help((enum metric)i)) > 0);
        for (unsigned j = 0; j < i; j++) {
            cr_assert_str_neq(metric_name((enum metric)i), metric_name((enum metric)j));
        }
    }
}

Test(limits, ranges)
{
    struct limits l;
    limits_default(&l);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) { /* what stands there by itself may be said, too */
        struct limits_range r = limits_range((enum limit)i);
        cr_assert_leq(r.least, limits_get(&l, (enum limit)i), "%s", limits_name((enum limit)i));
        cr_assert_geq(r.most, limits_get(&l, (enum limit)i), "%s", limits_name((enum limit)i));
    }
    cr_assert_eq(limits_range(LIMIT_certificates).least, 4);
    cr_assert_eq(limits_range(LIMIT_outbox).most, LIMITS_OBJECTS_MOST);
    cr_assert_eq(limits_range(LIMIT_accepted_per_host).least, 0);
    cr_assert_eq(limits_range(LIMIT_stored_bytes).most, UINT32_MAX);
}

Test(limits, set_and_budget)
{
    struct limits l;
    limits_default(&l);
    cr_assert_eq(l.conns, 4096);
    cr_assert_eq(limits_set(&l, SLICE_LITERAL("conns"), 10), ERR_OK);
    cr_assert_eq(limits_get(&l, LIMIT_conns), 10);
    cr_assert_eq(limits_set(&l, SLICE_LITERAL("conn"), 10), ERR_NOT_FOUND);
    cr_assert_eq(limits_set(&l, SLICE_LITERAL("conns"), UINT64_C(1) << 32), ERR_TOO_LARGE);
    struct limits_line lines[LIMIT_COUNT];
    size_t count = 0;
    uint64_t sum = limits_budget(&l, lines, LIMIT_COUNT, &count);
    cr_assert(count > 0 && count <= LIMIT_COUNT);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(lines[i].bytes, lines[i].count * lines[i].each);
        sum -= lines[i].bytes;
    }
    cr_assert_eq(sum, 0);
    size_t again = 0;
    cr_assert(limits_budget(&l, NULL, 0, &again) > 0);
    cr_assert_eq(again, count);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        cr_assert(strlen(limits_help((enum limit)i)) > 0);
        cr_assert_eq(limits_set(&l, slice_text(limits_name((enum limit)i)), 77), ERR_OK);
        cr_assert_eq(limits_get(&l, (enum limit)i), 77);
    }
}

Test(trace, keeps_the_last)
{
    cr_assert_null(trace_back(0));
    cr_assert_eq(trace_shard(), TRACE_NO_SHARD);
    for (uint64_t i = 0; i < TRACE_EVENTS + 36; i++) {
        trace_note(i, TRACE_link_state, i, 2 * i);
    }
    cr_assert_eq(trace_back(0)->a, TRACE_EVENTS + 35);
    cr_assert_eq(trace_back(TRACE_EVENTS - 1)->a, 36);
    cr_assert_eq(trace_back(0)->name, TRACE_link_state);
    cr_assert_null(trace_back(TRACE_EVENTS));
    trace_where(3, 17);
    cr_assert_eq(trace_shard(), 3);
    cr_assert_eq(trace_turn(), 17);
}

Test(trace, finds_its_names_and_no_other)
{
    for (unsigned i = 0; i < TRACE_NAME_COUNT; i++) {
        enum trace_name found = TRACE_NAME_COUNT;
        cr_assert(trace_name_find(slice_text(trace_name_text((enum trace_name)i)), &found));
        cr_assert_eq(found, i);
    }
    static const char *const others[] = {"", "link", "link_states", "LINK_STATE", "before"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        enum trace_name found = TRACE_NAME_COUNT;
        cr_assert(!trace_name_find(slice_text(others[i]), &found), "%s", others[i]);
        cr_assert_eq(found, TRACE_NAME_COUNT);
    }
}

Test(check, says_what_it_knows, .signal = SIGABRT)
{
    trace_where(3, 17);
    trace_note(5, TRACE_ring_changed, 1, 2);
    CHECK(1 + 1 == 3);
}

Test(spsc, fills_and_empties_in_order)
{
    static uint8_t block[4096];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct spsc q;
    spsc_init(&q, &a, 5, sizeof(uint64_t));
    uint64_t put = 0;
    uint64_t got = 0;
    uint64_t item = 0;
    for (size_t round = 0; round < 1000; round++) {
        for (size_t i = 0; i < round % 11; i++) {
            bool is_taken = spsc_push(&q, &put);
            cr_assert_eq(is_taken, put - got < 8);
            put += is_taken;
        }
        for (size_t i = 0; i < round % 7; i++) {
            bool is_there = spsc_pop(&q, &item);
            cr_assert_eq(is_there, put != got);
            cr_assert(!is_there || item == got);
            got += is_there;
        }
    }
}
