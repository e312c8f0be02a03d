/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up disk behind node/persist.h: group commit, crashes with and without it, torn records,
 * no room, a rewrite. */
#include "codec/rw.h"
#include "dht/store_log.h"
#include "sim/disk.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENTRIES = 64, BYTES = 64 * 1024, PENDING = 8192 };

static struct disk d;
static void *block;
static uint64_t sequence;

static void open_disk(uint64_t seed)
{
    const struct disk_settings s = {ENTRIES, BYTES, PENDING, 1000};
    struct arena arena;
    block = calloc(1, disk_bytes(&s));
    cr_assert(block != NULL);
    arena_init(&arena, block, disk_bytes(&s));
    disk_init(&d, &arena, &s, seed);
    sequence = 0;
}

static bool write_step(enum store_log_op op, const char *key, const char *value)
{
    uint8_t bytes[2048];
    struct wr w = wr_init(bytes, sizeof(bytes));
    wr_u8(&w, (uint8_t)op);
    wr_opaque16(&w, slice_text(key));
    if (op == STORE_LOG_PUT) {
        wr_opaque32(&w, slice_text(value));
    }
    cr_assert(wr_ok(&w));
    bool done = disk_ops()->write(&d, sequence + 1, wr_slice(&w));
    sequence += done ? 1 : 0;
    return done;
}

static bool put(const char *key, const char *value)
{
    return write_step(STORE_LOG_PUT, key, value);
}

static struct persist_news sync_now(void)
{
    struct persist_news news;
    disk_ops()->flush(&d);
    cr_assert(disk_begins_sync(&d));
    disk_synced(&d, &news);
    return news;
}

/* "a=1 b=2 " */
static const char *all(void)
{
    static char text[1024];
    uint32_t index = 0;
    size_t len = 0;
    struct slice key, value;
    text[0] = '\0';
    while (disk_next(&d, &index, &key, &value)) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s ", (int)key.len,
                                (const char *)key.data, (int)value.len, (const char *)value.data);
    }
    return text;
}

Test(disk, what_is_synced_survives_and_in_the_order_of_keys)
{
    open_disk(1);
    cr_assert(put("b", "2") && put("a", "1") && put("c", "3") && put("b", "two"));
    cr_assert_str_eq(all(), "", "nothing before a sync");
    cr_assert_eq(sync_now().durable, 4, "one sync, four records: the group");
    cr_assert_eq(d.syncs, 1);
    cr_assert_str_eq(all(), "a=1 b=two c=3 ");
    cr_assert(write_step(STORE_LOG_REMOVE, "a", NULL));
    cr_assert(write_step(STORE_LOG_REMOVE, "nothing", NULL));
    cr_assert(put("b1", "x"));
    cr_assert(write_step(STORE_LOG_REMOVE_ALL, "b", NULL));
    cr_assert_eq(sync_now().durable, 8);
    disk_crash(&d, true);
    cr_assert_str_eq(all(), "c=3 ");
    disk_crash(&d, false);
    cr_assert_str_eq(all(), "", "the disk went with its machine");
    free(block);
}

Test(disk, a_sync_covers_what_was_written_before_it_began)
{
    struct persist_news news;
    open_disk(1);
    cr_assert(put("a", "1"));
    disk_ops()->flush(&d);
    cr_assert(disk_begins_sync(&d));
    cr_assert_not(disk_begins_sync(&d), "one at a time");
    cr_assert(put("b", "2"));
    disk_ops()->flush(&d);
    disk_synced(&d, &news);
    cr_assert_eq(news.durable, 1);
    cr_assert_str_eq(all(), "a=1 ");
    cr_assert(disk_begins_sync(&d), "the next group");
    disk_synced(&d, &news);
    cr_assert_eq(news.durable, 2);
    free(block);
}

/* Whole records from the oldest on, never one without those before it. */
Test(disk, a_crash_leaves_a_beginning_of_what_was_pending)
{
    bool seen[5] = {false};
    uint64_t torn = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        open_disk(seed);
        cr_assert(put("0", "synced"));
        (void)sync_now();
        cr_assert(put("a", "1") && put("b", "2") && put("c", "3") && put("d", "4"));
        disk_crash(&d, true);
        static const char *const may[] = {"0=synced ", "0=synced a=1 ", "0=synced a=1 b=2 ",
                                          "0=synced a=1 b=2 c=3 ", "0=synced a=1 b=2 c=3 d=4 "};
        bool is_one = false;
        for (size_t i = 0; i < ARRAY_COUNT(may); i++) {
            bool is_this = strcmp(all(), may[i]) == 0;
            seen[i] |= is_this;
            is_one |= is_this;
        }
        cr_assert(is_one, "seed %lu: %s", (unsigned long)seed, all());
        torn += d.torn;
        free(block);
    }
    for (size_t i = 0; i < 4; i++) {
        cr_expect(seen[i], "%zu records", i);
    }
    cr_expect_gt(torn, 50, "records are torn too");
}

Test(disk, no_room_in_the_log_refuses_and_takes_nothing)
{
    open_disk(1);
    char value[1001];
    memset(value, 'x', 1000);
    value[1000] = '\0';
    uint32_t taken = 0;
    while (put("k", value)) {
        taken++;
    }
    cr_assert_eq(taken, PENDING / (1000 + 8 + 12));
    cr_assert_not(disk_ops()->has_room(&d));
    cr_assert_eq(sync_now().durable, taken);
    cr_assert(disk_ops()->has_room(&d));
    cr_assert(put("k", "y"));
    free(block);
}

Test(disk, a_full_disk_fails_until_everything_comes_again)
{
    open_disk(1);
    cr_assert(put("a", "1") && put("old", "x"));
    cr_assert_eq(sync_now().disk, PERSIST_DISK_WELL);
    disk_set_full(&d, true);
    cr_assert(put("b", "2"));
    struct persist_news news = sync_now();
    cr_assert_eq(news.disk, PERSIST_DISK_FAILED);
    cr_assert_eq(news.durable, 2);
    cr_assert_eq(news.failures, 1);
    disk_set_full(&d, false);
    cr_assert(put("c", "3"));
    news = sync_now();
    cr_assert_eq(news.disk, PERSIST_DISK_AGAIN, "but what comes in between is thrown away");
    cr_assert_eq(news.durable, 2);
    cr_assert_str_eq(all(), "a=1 old=x ");
    cr_assert(write_step(STORE_LOG_BEGIN, "", NULL));
    cr_assert(put("a", "1") && put("b", "2") && put("c", "3"));
    news = sync_now();
    cr_assert_eq(news.disk, PERSIST_DISK_WELL);
    cr_assert_str_eq(all(), "a=1 b=2 c=3 old=x ", "nothing goes before the end");
    cr_assert(write_step(STORE_LOG_END, "", NULL));
    news = sync_now();
    cr_assert_eq(news.durable, sequence);
    cr_assert_str_eq(all(), "a=1 b=2 c=3 ", "what was not told again is gone");
    free(block);
}
