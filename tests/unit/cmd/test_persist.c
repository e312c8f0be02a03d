/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper of records on a real file system: transactions, the thread's rings and groups, a map
 * that is full, files that are broken, two nodes on one folder. */
#include "cmd/files.h"
#include "cmd/persist_thread.h"
#include "codec/rw.h"
#include "core/os/host.h"
#include "dht/store_log.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAP_BYTES = 1 << 20, RECORD_CAP = 40 * 1024 };

static char folder[] = "/tmp/chordial-persist.XXXXXX";
static char data[FILES_PATH_CAP];
static char file[FILES_PATH_CAP];
static char why[SAY_WHY_CAP];
static const struct node_id a = {.bytes = {1}};
static const struct node_id b = {.bytes = {2}};

static void make_folder(void)
{
    cr_assert(mkdtemp(folder) != NULL);
    cr_assert_eq(files_join(folder, "data", data), ERR_OK);
    cr_assert_eq(files_join(data, "store.mdb", file), ERR_OK);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    cr_assert_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* One step as a record. */
static struct slice record(enum store_log_op op, const char *key, struct slice value)
{
    static uint8_t bytes[RECORD_CAP];
    struct wr w = wr_init(bytes, sizeof(bytes));
    wr_u8(&w, (uint8_t)op);
    wr_opaque16(&w, slice_text(key));
    if (op == STORE_LOG_PUT) {
        wr_opaque32(&w, value);
    }
    cr_assert(wr_ok(&w));
    return wr_slice(&w);
}

static struct slice put_of(const char *key, const char *value)
{
    return record(STORE_LOG_PUT, key, slice_text(value));
}

static char seen[2048];

static void see(void *context, struct slice key, struct slice value)
{
    size_t len = strlen(seen);
    (void)context;
    snprintf(seen + len, sizeof(seen) - len, "%.*s=%.*s ", (int)key.len, (const char *)key.data,
             (int)(value.len < 16 ? value.len : 16), (const char *)value.data);
}

static const char *all_of(struct persist_lmdb *db, const struct node_id *peer)
{
    seen[0] = '\0';
    cr_assert_eq(persist_lmdb_load(db, peer, see, NULL), ERR_OK);
    return seen;
}

static struct persist_lmdb *open_db(uint64_t map_bytes)
{
    struct persist_lmdb *db = NULL;
    cr_assert_eq(persist_lmdb_open(data, map_bytes, &db, why), ERR_OK, "%s", why);
    return db;
}

TestSuite(persist, .init = make_folder, .fini = remove_folder, .timeout = 60);

Test(persist, peers_keep_their_records_apart_and_over_a_restart)
{
    struct persist_lmdb *db = open_db(MAP_BYTES);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "of a")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("k", "of b")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("j", "too")), ERR_OK);
    cr_assert_str_eq(all_of(db, &b), "", "not before the commit");
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("lost", "x")), ERR_OK);
    persist_lmdb_close(db); /* without a commit */
    db = open_db(MAP_BYTES);
    cr_assert_str_eq(all_of(db, &a), "k=of a ");
    cr_assert_str_eq(all_of(db, &b), "j=too k=of b ");
    cr_assert_eq(persist_lmdb_apply(db, &b, record(STORE_LOG_REMOVE, "j", SLICE_EMPTY)), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, record(STORE_LOG_REMOVE, "?", SLICE_EMPTY)), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("vab1", "1")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("vab2", "2")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("vb", "3")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, record(STORE_LOG_REMOVE_ALL, "va", SLICE_EMPTY)),
                 ERR_OK);
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    cr_assert_str_eq(all_of(db, &b), "k=of b vb=3 ");
    persist_lmdb_close(db);
}

Test(persist, a_rewrite_leaves_what_it_has_told)
{
    struct persist_lmdb *db = open_db(MAP_BYTES);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("stale", "x")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "1")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &b, put_of("stale", "of b")), ERR_OK);
    for (int life = 0; life < 2; life++) { /* the number of the rewrite outlives us too */
        cr_assert_eq(persist_lmdb_apply(db, &a, record(STORE_LOG_BEGIN, "", SLICE_EMPTY)), ERR_OK);
        cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "2")), ERR_OK);
        cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
        cr_assert_eq(persist_lmdb_apply(db, &a, record(STORE_LOG_END, "", SLICE_EMPTY)), ERR_OK);
        cr_assert_eq(persist_lmdb_apply(db, &a, put_of("later", "3")), ERR_OK);
        cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
        cr_assert_str_eq(all_of(db, &a), "k=2 later=3 ");
        cr_assert_str_eq(all_of(db, &b), "stale=of b ");
        persist_lmdb_close(db);
        db = open_db(MAP_BYTES);
        cr_assert_str_eq(all_of(db, &a), "k=2 later=3 ");
    }
    persist_lmdb_close(db);
}

Test(persist, a_full_map_is_an_error_and_nothing_of_the_batch_is_there)
{
    static uint8_t big[20000];
    struct persist_lmdb *db = open_db(MAP_BYTES);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "1")), ERR_OK);
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "2")), ERR_OK);
    enum err e = ERR_OK;
    for (int i = 0; i < 100 && e == ERR_OK; i++) {
        char key[16];
        snprintf(key, sizeof(key), "v%d", i);
        e = persist_lmdb_apply(db, &a, record(STORE_LOG_PUT, key, slice_of(big, sizeof(big))));
    }
    cr_assert_eq(e, ERR_LIMIT);
    cr_assert(strstr(persist_lmdb_problem(db), "MAP_FULL") != NULL, "%s", persist_lmdb_problem(db));
    cr_assert_str_eq(all_of(db, &a), "k=1 ");
    cr_assert_eq(persist_lmdb_probe(db), ERR_OK, "small things still fit");
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "3")), ERR_OK);
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    cr_assert_str_eq(all_of(db, &a), "k=3 ");
    persist_lmdb_close(db);
}

static void harm(off_t from, size_t len, bool is_cut)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    if (is_cut) {
        cr_assert_eq(ftruncate(fd, from), 0);
    }
    for (size_t i = 0; i < len && !is_cut; i++) {
        uint8_t byte = (uint8_t)(i * 37 + 11);
        cr_assert_eq(pwrite(fd, &byte, 1, from + (off_t)i), 1);
    }
    close(fd);
}

static void fill_map(uint32_t records, uint64_t map_bytes)
{
    struct persist_lmdb *db = open_db(map_bytes);
    char key[16];
    static uint8_t value[700];
    for (uint32_t i = 0; i < records; i++) {
        snprintf(key, sizeof(key), "v%06u", i);
        cr_assert_eq(
            persist_lmdb_apply(db, &a, record(STORE_LOG_PUT, key, slice_of(value, sizeof(value)))),
            ERR_OK);
    }
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    persist_lmdb_close(db);
}

static void fill(uint32_t records)
{
    fill_map(records, 8 * MAP_BYTES);
}

static uint32_t loaded;
static void count_one(void *context, struct slice key, struct slice value)
{
    (void)context, (void)key, (void)value;
    loaded++;
}

/* Whatever is done to the file: it opens, and what comes out is whole. */
Test(persist, a_broken_file_is_set_aside_and_a_new_one_begun)
{
    static const struct {
        off_t from;
        size_t len;
        bool is_cut;
        bool is_aside;
    } rows[] = {
        {0, 8192, false, true},      /* both meta pages */
        {100, 0, true, true},        /* cut in the first page */
        {16384, 0, true, true},      /* cut behind a few */
        {8192, 65536, false, false}, /* pages: set aside, or records that are left out */
        {0, 0, true, false},         /* empty: a new one */
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct persist_lmdb_counts counts;
        struct persist_lmdb *db = NULL;
        fill(400);
        harm(rows[i].from, rows[i].len, rows[i].is_cut);
        cr_assert_eq(persist_lmdb_open(data, 8 * MAP_BYTES, &db, why), ERR_OK, "row %zu: %s", i,
                     why);
        loaded = 0;
        cr_assert_eq(persist_lmdb_load(db, &a, count_one, NULL), ERR_OK, "row %zu", i);
        persist_lmdb_counts(db, &counts);
        cr_assert(!rows[i].is_aside || counts.set_aside == 1, "row %zu", i);
        cr_assert(counts.set_aside == 0 || loaded == 0, "row %zu: %u of a broken file", i, loaded);
        cr_assert_lt(loaded, 400, "row %zu: nothing was harmed", i);
        cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "1")), ERR_OK, "row %zu", i);
        cr_assert_eq(persist_lmdb_commit(db), ERR_OK, "row %zu", i);
        persist_lmdb_close(db);
        remove_folder();
        cr_assert_eq(mkdir(folder, 0700), 0);
    }
}

/* Pages that nobody reads, and whoever writes believes: here the root of the list of free pages, in
 * both meta pages.  Such a file would end the node, or its disk, at each start again. */
Test(persist, what_only_a_writer_looks_at_harms_nobody)
{
    enum { FREE_ROOT = 16 + 24 + 40, META_BYTES = 4096 }; /* headers, and of MDB_db all but root */
    fill(400);
    fill(400); /* now pages of before are free */
    harm(FREE_ROOT, 3, false);
    harm(META_BYTES + FREE_ROOT, 3, false);
    struct persist_lmdb *db = open_db(8 * MAP_BYTES);
    loaded = 0;
    cr_assert_eq(persist_lmdb_load(db, &a, count_one, NULL), ERR_OK);
    cr_assert_eq(loaded, 400);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "1")), ERR_OK);
        cr_assert_eq(persist_lmdb_commit(db), ERR_OK, "%s", persist_lmdb_problem(db));
    }
    persist_lmdb_close(db);
    db = open_db(8 * MAP_BYTES);
    loaded = 0;
    cr_assert_eq(persist_lmdb_load(db, &a, count_one, NULL), ERR_OK);
    cr_assert_eq(loaded, 401);
    persist_lmdb_close(db);
}

/* Killed when so much of the new file is there; false: it was done before. */
static bool kill_start(uint64_t map_bytes, off_t at_bytes)
{
    char fresh[sizeof(file) + 8];
    struct stat st;
    struct persist_lmdb *db = NULL;
    int status = 0;
    snprintf(fresh, sizeof(fresh), "%s.new", file);
    pid_t node = fork();
    if (node == 0) {
        _exit(persist_lmdb_open(data, map_bytes, &db, why) == ERR_OK ? 0 : 1);
    }
    cr_assert_gt(node, 0);
    pid_t ended = 0;
    while (ended == 0 && (stat(fresh, &st) != 0 || st.st_size < at_bytes)) {
        (void)usleep(100);
        ended = waitpid(node, &status, WNOHANG);
    }
    if (ended != 0) {
        return false;
    }
    cr_assert_eq(kill(node, SIGKILL), 0);
    cr_assert_eq(waitpid(node, &status, 0), node);
    return WIFSIGNALED(status);
}

/* The old file has its name until the new one is on the disk, and whoever writes that ends with the
 * node: the next one finds no lock, and all records. */
Test(persist, a_start_that_is_killed_while_it_writes_anew_costs_nothing)
{
    enum { RECORDS = 20000, TIMES = 12, RECORD_BYTES = 700 };
    uint32_t killed = 0;
    fill_map(RECORDS, 64 * MAP_BYTES);
    for (uint32_t i = 0; i < TIMES; i++) {
        struct persist_lmdb_counts counts;
        off_t at_bytes = i == 0 ? 0 : (off_t)RECORDS * RECORD_BYTES * i / TIMES;
        killed += kill_start(64 * MAP_BYTES, at_bytes) ? 1 : 0;
        struct persist_lmdb *db = open_db(64 * MAP_BYTES);
        loaded = 0;
        cr_assert_eq(persist_lmdb_load(db, &a, count_one, NULL), ERR_OK);
        persist_lmdb_counts(db, &counts);
        cr_assert_eq(loaded, RECORDS, "killed at %ld bytes: %u records", (long)at_bytes, loaded);
        cr_assert_eq(counts.broken + counts.set_aside, 0);
        persist_lmdb_close(db);
    }
    cr_log_info("%u of %u killed in time", killed, TIMES);
    cr_assert_gt(killed, 0);
}

Test(persist, without_room_for_a_second_file_the_first_is_used)
{
    char in_the_way[sizeof(file) + 8];
    snprintf(in_the_way, sizeof(in_the_way), "%s.new", file);
    fill(40);
    cr_assert_eq(mkdir(in_the_way, 0700), 0); /* no file can be made there, as on a full disk */
    struct persist_lmdb *db = open_db(8 * MAP_BYTES);
    loaded = 0;
    cr_assert_eq(persist_lmdb_load(db, &a, count_one, NULL), ERR_OK);
    cr_assert_eq(loaded, 40);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k", "1")), ERR_OK);
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    persist_lmdb_close(db);
    cr_assert_eq(rmdir(in_the_way), 0);
}

Test(persist, one_changed_byte_costs_one_record)
{
    struct persist_lmdb *db = open_db(MAP_BYTES);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k1", "the first")), ERR_OK);
    cr_assert_eq(persist_lmdb_apply(db, &a, put_of("k2", "the second")), ERR_OK);
    cr_assert_eq(persist_lmdb_commit(db), ERR_OK);
    persist_lmdb_close(db);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    static uint8_t bytes[1 << 20];
    ssize_t len = read(fd, bytes, sizeof(bytes));
    uint32_t changed = 0;
    for (ssize_t i = 0; i + 10 < len; i++) {
        if (memcmp(bytes + i, "the second", 10) == 0) {
            cr_assert_eq(pwrite(fd, "T", 1, i), 1);
            changed++;
        }
    }
    close(fd);
    cr_assert_gt(changed, 0);
    db = open_db(MAP_BYTES);
    struct persist_lmdb_counts counts;
    cr_assert_str_eq(all_of(db, &a), "k1=the first ");
    persist_lmdb_counts(db, &counts);
    cr_assert_eq(counts.broken, 1);
    cr_assert_eq(counts.set_aside, 0);
    persist_lmdb_close(db);
}

Test(persist, two_nodes_do_not_share_a_folder)
{
    struct persist_lmdb *db = open_db(MAP_BYTES);
    struct persist_lmdb *other = NULL;
    cr_assert_eq(persist_lmdb_open(data, MAP_BYTES, &other, why), ERR_IO);
    cr_assert(strstr(why, "in use") != NULL, "%s", why);
    persist_lmdb_close(db);
}

/* ---- the thread ---- */

static struct persist_thread *open_thread(uint64_t map_bytes, void *lanes[2])
{
    const struct persist_thread_settings s = {data, map_bytes, 2, 0};
    struct persist_thread *p = NULL;
    cr_assert_eq(persist_thread_open(&s, &p, why), ERR_OK, "%s", why);
    lanes[0] = persist_thread_context(p, 0, &a);
    lanes[1] = persist_thread_context(p, 1, &b);
    return p;
}

/* Waits for news of shard 0 that `durable` is reached, or that the disk is as said. */
static struct persist_news wait_news(struct persist_thread *p, uint64_t durable,
                                     enum persist_disk disk)
{
    static struct persist_news latest[2];
    uint64_t until_us = host_now_us() + 30000000;
    while (host_now_us() < until_us) {
        struct pollfd fd = {.fd = persist_thread_descriptor(p), .events = POLLIN};
        uint32_t shard = 0;
        struct persist_news news;
        (void)poll(&fd, 1, 100);
        while (persist_thread_news(p, &shard, &news)) {
            latest[shard] = news;
        }
        if (latest[0].durable >= durable && latest[0].disk == disk) {
            return latest[0];
        }
    }
    cr_assert(false, "no such news: durable %lu", (unsigned long)latest[0].durable);
    return latest[0];
}

Test(persist, a_full_ring_refuses_and_what_was_taken_becomes_durable)
{
    static uint8_t value[8000];
    void *lanes[2];
    const struct persist_ops *ops = persist_thread_ops();
    struct persist_thread *p = open_thread(16 * MAP_BYTES, lanes);
    struct slice one = record(STORE_LOG_PUT, "k", slice_of(value, sizeof(value)));
    uint64_t sequence = 0;
    cr_assert(ops->has_room(lanes[0]));
    while (ops->write(lanes[0], sequence + 1, one)) { /* nobody reads yet */
        sequence++;
    }
    cr_assert_gt(sequence, 8);
    cr_assert_not(ops->has_room(lanes[0]));
    cr_assert(ops->write(lanes[1], 1, put_of("of b", "1")), "the other's ring is its own");
    cr_assert_eq(persist_thread_start(p, why), ERR_OK);
    ops->flush(lanes[0]);
    struct persist_news news = wait_news(p, sequence, PERSIST_DISK_WELL);
    cr_assert_eq(news.durable, sequence);
    cr_assert_eq(news.failures, 0);
    struct persist_thread_status status;
    persist_thread_status(p, &status);
    cr_assert_eq(status.records, sequence + 1);
    cr_assert_eq(status.commits, 1, "one sync for all: the group");
    cr_assert(ops->write(lanes[0], sequence + 1, put_of("last", "x")), "room again");
    persist_thread_close(p); /* writes what is left */
    struct persist_lmdb *db = open_db(16 * MAP_BYTES);
    cr_assert(strstr(all_of(db, &a), "last=x") != NULL);
    cr_assert_str_eq(all_of(db, &b), "of b=1 ");
    persist_lmdb_close(db);
}

Test(persist, a_failed_disk_takes_nothing_until_everything_comes_again)
{
    static uint8_t big[30000];
    void *lanes[2];
    const struct persist_ops *ops = persist_thread_ops();
    struct persist_thread *p = open_thread(MAP_BYTES / 2, lanes);
    cr_assert_eq(persist_thread_start(p, why), ERR_OK);
    cr_assert(ops->write(lanes[0], 1, put_of("k", "1")));
    ops->flush(lanes[0]);
    (void)wait_news(p, 1, PERSIST_DISK_WELL);
    char key[16];
    uint64_t sequence = 1;
    for (int i = 0; i < 40; i++) { /* more than the map takes */
        snprintf(key, sizeof(key), "v%d", i);
        struct slice one = record(STORE_LOG_PUT, key, slice_of(big, sizeof(big)));
        while (!ops->write(lanes[0], sequence + 1, one)) {
            ops->flush(lanes[0]);
            usleep(1000);
        }
        sequence++;
    }
    ops->flush(lanes[0]);
    struct persist_news news = wait_news(p, 1, PERSIST_DISK_FAILED);
    cr_assert_gt(news.failures, 0);
    cr_assert_lt(news.durable, sequence);
    struct persist_thread_status status;
    persist_thread_status(p, &status);
    cr_assert_not(status.is_well);
    cr_assert(strstr(status.problem, "MAP_FULL") != NULL, "%s", status.problem);
    (void)wait_news(p, 1, PERSIST_DISK_AGAIN);
    cr_assert(ops->write(lanes[0], sequence + 1, put_of("between", "x")));
    cr_assert(ops->write(lanes[0], sequence + 2, record(STORE_LOG_BEGIN, "", SLICE_EMPTY)));
    cr_assert(ops->write(lanes[0], sequence + 3, put_of("k", "2")));
    cr_assert(ops->write(lanes[0], sequence + 4, record(STORE_LOG_END, "", SLICE_EMPTY)));
    ops->flush(lanes[0]);
    (void)wait_news(p, sequence + 4, PERSIST_DISK_WELL);
    persist_thread_close(p);
    struct persist_lmdb *db = open_db(MAP_BYTES / 2);
    cr_assert_str_eq(all_of(db, &a), "k=2 ");
    persist_lmdb_close(db);
}
