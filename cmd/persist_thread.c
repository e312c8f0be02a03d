/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of one size in a ring; a record is as many of them as it needs, the last one marked.  The
 * reader puts it together in the lane, so a batch may end in the middle of a record, and only whole
 * ones reach the database. */
#include "cmd/persist_thread.h"
#include "cmd/say.h"
#include "core/os/host.h"
#include "core/spsc.h"
#include "dht/store_log.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    CELL_BYTES = 508,
    RECORD_CAP = STORE_LOG_RECORD_CAP + 64,
    BATCH_BYTES = 4 * 1024 * 1024, /* at most so much in one transaction */
    RETRY_MIN_S = 1,
    RETRY_MAX_S = 60,
    END_S = 10,
};

struct cell {
    uint16_t len;
    uint16_t is_last;
    uint8_t bytes[CELL_BYTES];
};

struct lane {
    struct persist_thread *all;
    struct node_id peer;
    struct spsc ring;
    uint32_t cells;
    /* the writer's */
    uint64_t applied; /* the last one in the open transaction */
    uint64_t durable;
    uint32_t len;
    bool is_discarding; /* until everything is told again */
    uint8_t record[RECORD_CAP];
};

struct persist_thread {
    struct persist_lmdb *db;
    uint32_t shards;
    int wake; /* shards to the thread */
    int news; /* the thread to control */
    pthread_t thread;
    bool is_running;
    void *block;
    struct lane *lanes;
    uint64_t batch_bytes;
    bool is_failed;
    uint32_t retry_s;
    uint64_t retry_at_us;
    struct persist_thread_status own; /* as the thread knows it */
    pthread_mutex_t lock;             /* of what follows: the thread and control, never a shard */
    bool is_stopping;
    struct persist_news published[OVERLAY_SHARDS_CAP];
    bool is_fresh[OVERLAY_SHARDS_CAP];
    struct persist_thread_status status;
};

/* ---- the shard's side ---- */

static uint32_t cells_of(size_t len)
{
    return (uint32_t)((len + CELL_BYTES - 1) / CELL_BYTES);
}

static bool lane_write(void *context, uint64_t sequence, struct slice steps)
{
    struct lane *l = context;
    struct cell cell;
    size_t total = sizeof(sequence) + steps.len;
    if (spsc_room(&l->ring) < cells_of(total)) {
        return false;
    }
    memcpy(cell.bytes, &sequence, sizeof(sequence));
    size_t used = sizeof(sequence);
    size_t from = 0;
    while (from < steps.len || used > 0) {
        size_t part = min_size(CELL_BYTES - used, steps.len - from);
        if (part > 0) {
            memcpy(cell.bytes + used, steps.data + from, part);
        }
        from += part;
        cell.len = (uint16_t)(used + part);
        cell.is_last = from == steps.len;
        bool is_pushed = spsc_push(&l->ring, &cell);
        CHECK(is_pushed);
        used = 0;
    }
    return true;
}

static bool lane_has_room(void *context)
{
    struct lane *l = context;
    return spsc_room(&l->ring) > l->cells / 2;
}

static void ring_bell(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof(one));
    (void)written; /* full: it rings already */
}

static void lane_flush(void *context)
{
    const struct lane *l = context;
    ring_bell(l->all->wake);
}

const struct persist_ops *persist_thread_ops(void)
{
    static const struct persist_ops ops = {lane_write, lane_has_room, lane_flush};
    return &ops;
}

/* ---- the thread ---- */

static void publish(struct persist_thread *p, enum persist_disk disk)
{
    struct persist_lmdb_counts counts;
    persist_lmdb_counts(p->db, &counts);
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->shards; i++) {
        struct persist_news *n = &p->published[i];
        struct persist_news now = {p->lanes[i].durable, disk, (uint32_t)p->own.failures};
        p->is_fresh[i] |=
            n->disk != now.disk || n->durable != now.durable || n->failures != now.failures;
        *n = now;
    }
    p->status = p->own;
    p->status.is_well = disk == PERSIST_DISK_WELL;
    p->status.db = counts;
    if (!p->status.is_well) {
        (void)snprintf(p->status.problem, sizeof(p->status.problem), "%s",
                       persist_lmdb_problem(p->db));
    }
    pthread_mutex_unlock(&p->lock);
    ring_bell(p->news);
}

static void fail(struct persist_thread *p)
{
    p->own.failures++;
    if (!p->is_failed) {
        say_line("ALARM: records are not kept any more: %s: what is acknowledged now does not "
                 "survive a restart",
                 persist_lmdb_problem(p->db));
    }
    p->is_failed = true;
    p->batch_bytes = 0;
    p->retry_s = p->retry_s == 0 ? RETRY_MIN_S : p->retry_s * 2;
    p->retry_s = p->retry_s > RETRY_MAX_S ? RETRY_MAX_S : p->retry_s;
    p->retry_at_us = host_now_us() + (uint64_t)p->retry_s * 1000000;
    for (uint32_t i = 0; i < p->shards; i++) {
        p->lanes[i].is_discarding = true;
        p->lanes[i].applied = p->lanes[i].durable;
    }
    publish(p, PERSIST_DISK_FAILED);
}

static bool begins_rewrite(struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step s;
    return store_log_next(&r, &s) && s.op == STORE_LOG_BEGIN;
}

/* False: the disk has failed. */
static bool take_record(struct persist_thread *p, struct lane *l)
{
    uint64_t sequence = 0;
    CHECK(l->len >= sizeof(sequence));
    memcpy(&sequence, l->record, sizeof(sequence));
    struct slice steps = slice_of(l->record + sizeof(sequence), l->len - sizeof(sequence));
    l->len = 0;
    if (l->is_discarding && !begins_rewrite(steps)) {
        p->own.lost_records++;
        return true;
    }
    l->is_discarding = false;
    if (persist_lmdb_apply(p->db, &l->peer, steps) != ERR_OK) {
        return false;
    }
    p->own.records++;
    p->batch_bytes += steps.len;
    l->applied = sequence;
    return true;
}

/* Takes what is in the ring, as far as the batch has room. */
static bool drain(struct persist_thread *p, struct lane *l)
{
    struct cell cell;
    while (p->batch_bytes < BATCH_BYTES && spsc_pop(&l->ring, &cell)) {
        CHECK(l->len + cell.len <= RECORD_CAP);
        memcpy(l->record + l->len, cell.bytes, cell.len);
        l->len += cell.len;
        if (cell.is_last != 0 && !take_record(p, l)) {
            return false;
        }
    }
    return true;
}

/* One transaction.  True when there was something to do. */
static bool work(struct persist_thread *p)
{
    p->batch_bytes = 0;
    for (uint32_t i = 0; i < p->shards; i++) {
        if (!drain(p, &p->lanes[i])) {
            fail(p);
            return false;
        }
    }
    if (p->batch_bytes == 0) {
        return false;
    }
    uint64_t begun_us = host_now_us();
    if (persist_lmdb_commit(p->db) != ERR_OK) {
        fail(p);
        return false;
    }
    p->own.commits++;
    p->own.commit_us_max = max_u64(p->own.commit_us_max, host_now_us() - begun_us);
    for (uint32_t i = 0; i < p->shards; i++) {
        p->lanes[i].durable = p->lanes[i].applied;
    }
    if (p->is_failed) {
        say_line("the disk is well again: records are kept, everything is written once more");
    }
    p->is_failed = false;
    p->retry_s = 0;
    publish(p, PERSIST_DISK_WELL);
    return true;
}

static void try_again(struct persist_thread *p)
{
    if (!p->is_failed || host_now_us() < p->retry_at_us) {
        return;
    }
    if (persist_lmdb_probe(p->db) != ERR_OK) {
        fail(p);
        return;
    }
    p->retry_at_us = host_now_us() + (uint64_t)RETRY_MAX_S * 1000000; /* should nobody answer */
    publish(p, PERSIST_DISK_AGAIN);
}

static bool is_stopping(struct persist_thread *p)
{
    pthread_mutex_lock(&p->lock);
    bool stops = p->is_stopping;
    pthread_mutex_unlock(&p->lock);
    return stops;
}

static void *run(void *context)
{
    struct persist_thread *p = context;
    for (;;) {
        bool stops = is_stopping(p);
        while (work(p)) {}
        if (stops) {
            return NULL;
        }
        try_again(p);
        uint64_t bell = 0;
        struct pollfd fd = {.fd = p->wake, .events = POLLIN};
        (void)poll(&fd, 1, p->is_failed ? RETRY_MIN_S * 1000 : -1);
        ssize_t got = read(p->wake, &bell, sizeof(bell));
        (void)got;
    }
}

/* ---- control ---- */

static uint32_t ring_cells(const struct persist_thread_settings *s)
{
    uint32_t wanted = s->ring_bytes / (uint32_t)sizeof(struct cell);
    uint32_t cells = 1;
    while (cells * 2 <= wanted || cells < 2 * cells_of(RECORD_CAP)) {
        cells *= 2;
    }
    return cells;
}

static enum err open_lanes(struct persist_thread *p, const struct persist_thread_settings *s)
{
    struct arena arena;
    uint32_t cells = ring_cells(s);
    size_t bytes = s->shards * (sizeof(struct lane) + (size_t)cells * sizeof(struct cell) +
                                4 * (size_t)SPSC_LINE) +
                   4096;
    p->block = aligned_alloc(SPSC_LINE, (bytes + SPSC_LINE - 1) / SPSC_LINE * SPSC_LINE);
    if (p->block == NULL) {
        return ERR_NO_MEMORY;
    }
    memset(p->block, 0, bytes);
    arena_init(&arena, p->block, bytes);
    p->lanes = ARENA_ARRAY(&arena, struct lane, s->shards);
    for (uint32_t i = 0; i < s->shards; i++) {
        p->lanes[i].all = p;
        p->lanes[i].cells = cells;
        spsc_init(&p->lanes[i].ring, &arena, cells, sizeof(struct cell));
    }
    return ERR_OK;
}

enum err persist_thread_open(const struct persist_thread_settings *s, struct persist_thread **out,
                             char *why)
{
    struct persist_thread *p = calloc(1, sizeof(*p));
    *out = NULL;
    if (p == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: data-dir: free some");
    }
    CHECK(s->shards <= OVERLAY_SHARDS_CAP);
    p->shards = s->shards;
    pthread_mutex_init(&p->lock, NULL);
    p->status.is_well = true;
    p->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum err e = persist_lmdb_open(s->dir, s->map_bytes, &p->db, why);
    if (e == ERR_OK && (p->wake < 0 || p->news < 0)) {
        e = say_why(why, ERR_LIMIT, "no descriptors left: data-dir: %s", say_errno());
    }
    if (e == ERR_OK && open_lanes(p, s) != ERR_OK) {
        e = say_why(why, ERR_NO_MEMORY, "no memory: persist_ring_bytes: lower it");
    }
    if (e != ERR_OK) {
        persist_thread_close(p);
        return e;
    }
    persist_lmdb_counts(p->db, &p->status.db);
    *out = p;
    return ERR_OK;
}

void *persist_thread_context(struct persist_thread *p, uint32_t i, const struct node_id *id)
{
    CHECK(i < p->shards && !p->is_running);
    p->lanes[i].peer = *id;
    return &p->lanes[i];
}

enum err persist_thread_load(struct persist_thread *p, uint32_t i, persist_lmdb_each *each,
                             void *context, char *why)
{
    CHECK(i < p->shards && !p->is_running);
    enum err e = persist_lmdb_load(p->db, &p->lanes[i].peer, each, context);
    persist_lmdb_counts(p->db, &p->status.db);
    return e == ERR_OK ? e
                       : say_why(why, e, "cannot read data-dir: %s: move it away to start empty",
                                 persist_lmdb_problem(p->db));
}

enum err persist_thread_start(struct persist_thread *p, char *why)
{
    int failed = pthread_create(&p->thread, NULL, run, p);
    if (failed != 0) {
        return say_why(why, ERR_IO, "cannot start a thread: data-dir: %s", strerrordesc_np(failed));
    }
    p->is_running = true;
    pthread_setname_np(p->thread, "persist");
    return ERR_OK;
}

void persist_thread_close(struct persist_thread *p)
{
    if (p == NULL) {
        return;
    }
    if (p->is_running) {
        pthread_mutex_lock(&p->lock);
        p->is_stopping = true;
        pthread_mutex_unlock(&p->lock);
        ring_bell(p->wake);
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += END_S;
        if (pthread_timedjoin_np(p->thread, NULL, &until) != 0) {
            say_line("the disk hangs: ending without it");
            return; /* the thread goes with the process, and all that it uses */
        }
    }
    persist_lmdb_close(p->db);
    if (p->wake >= 0) {
        close(p->wake);
    }
    if (p->news >= 0) {
        close(p->news);
    }
    pthread_mutex_destroy(&p->lock);
    free(p->block);
    free(p);
}

int persist_thread_descriptor(const struct persist_thread *p)
{
    return p->news;
}

bool persist_thread_news(struct persist_thread *p, uint32_t *shard, struct persist_news *news)
{
    uint64_t bell = 0;
    ssize_t got = read(p->news, &bell, sizeof(bell));
    (void)got;
    bool is_any = false;
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->shards && !is_any; i++) {
        if (p->is_fresh[i]) {
            p->is_fresh[i] = false;
            *shard = i;
            *news = p->published[i];
            is_any = true;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return is_any;
}

void persist_thread_again(struct persist_thread *p, uint32_t shard)
{
    pthread_mutex_lock(&p->lock);
    p->is_fresh[shard] = true;
    pthread_mutex_unlock(&p->lock);
}

void persist_thread_status(struct persist_thread *p, struct persist_thread_status *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->status;
    pthread_mutex_unlock(&p->lock);
}
