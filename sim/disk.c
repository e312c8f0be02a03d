/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include "core/base.h"
#include "dht/store_log.h"

enum { HEAD_BYTES = 4 + 8 }; /* of a pending record: length of its steps, number */

size_t disk_bytes(const struct disk_settings *s)
{
    return s->entries * sizeof(struct disk_entry) + value_heap_bytes(s->bytes) + s->pending_bytes +
           256;
}

void disk_init(struct disk *d, struct arena *arena, const struct disk_settings *s, uint64_t seed)
{
    *d = (struct disk){.settings = *s, .rewrite = 1};
    rng_init(&d->rng, seed);
    d->table = ARENA_ARRAY(arena, struct disk_entry, s->entries);
    value_heap_init(&d->heap, arena, s->bytes);
    d->pending = ARENA_ARRAY(arena, uint8_t, s->pending_bytes);
}

/* ---- the table ---- */

static struct slice key_of(const struct disk *d, const struct disk_entry *e)
{
    return slice_of(value_at(&d->heap, e->piece), e->key_len);
}

static struct slice value_of(const struct disk *d, const struct disk_entry *e)
{
    return slice_of(value_at(&d->heap, e->piece) + e->key_len, e->value_len);
}

static bool is_less(struct slice a, struct slice b)
{
    size_t both = min_size(a.len, b.len);
    int order = both == 0 ? 0 : memcmp(a.data, b.data, both);
    return order < 0 || (order == 0 && a.len < b.len);
}

static bool begins_with(struct slice key, struct slice prefix)
{
    return key.len >= prefix.len && slice_is_equal(slice_sub(key, 0, prefix.len), prefix);
}

/* The first entry that is not before `key`. */
static uint32_t find(const struct disk *d, struct slice key)
{
    uint32_t from = 0;
    uint32_t to = d->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (is_less(key_of(d, &d->table[middle]), key)) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static void take_out(struct disk *d, uint32_t at)
{
    struct disk_entry *e = &d->table[at];
    value_release(&d->heap, e->piece, (size_t)e->key_len + e->value_len);
    memmove(e, e + 1, (d->count - at - 1) * sizeof(*e));
    d->count--;
}

static bool put(struct disk *d, struct slice key, struct slice value)
{
    uint32_t at = find(d, key);
    if (at < d->count && slice_is_equal(key_of(d, &d->table[at]), key)) {
        take_out(d, at);
    }
    uint32_t piece =
        d->count == d->settings.entries ? VALUE_NONE : value_acquire(&d->heap, key.len + value.len);
    if (piece == VALUE_NONE) {
        return false;
    }
    uint8_t *bytes = value_at(&d->heap, piece);
    memcpy(bytes, key.data, key.len);
    if (value.len > 0) {
        memcpy(bytes + key.len, value.data, value.len);
    }
    memmove(d->table + at + 1, d->table + at, (d->count - at) * sizeof(d->table[0]));
    d->table[at] = (struct disk_entry){piece, (uint16_t)key.len, (uint32_t)value.len, d->rewrite};
    d->count++;
    return true;
}

static void remove_all(struct disk *d, struct slice prefix)
{
    uint32_t at = find(d, prefix);
    while (at < d->count && begins_with(key_of(d, &d->table[at]), prefix)) {
        take_out(d, at);
    }
}

static void end_rewrite(struct disk *d)
{
    for (uint32_t i = d->count; i > 0; i--) {
        if (d->table[i - 1].rewrite != d->rewrite) {
            take_out(d, i - 1);
        }
    }
}

/* One record; false: it does not fit. */
static bool apply(struct disk *d, struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step s;
    bool fits = true;
    while (fits && store_log_next(&r, &s)) {
        uint32_t at = 0;
        switch (s.op) {
        case STORE_LOG_PUT:
            fits = put(d, s.key, s.value);
            break;
        case STORE_LOG_REMOVE:
            at = find(d, s.key);
            if (at < d->count && slice_is_equal(key_of(d, &d->table[at]), s.key)) {
                take_out(d, at);
            }
            break;
        case STORE_LOG_REMOVE_ALL:
            remove_all(d, s.key);
            break;
        case STORE_LOG_BEGIN:
            d->rewrite++;
            d->is_discarding = false;
            break;
        case STORE_LOG_END:
            end_rewrite(d);
            break;
        }
    }
    CHECK(rd_ok(&r));
    d->records++;
    return fits;
}

/* ---- the log ---- */

static bool disk_write(void *context, uint64_t sequence, struct slice steps)
{
    struct disk *d = context;
    uint32_t len = (uint32_t)steps.len;
    if (d->settings.pending_bytes - d->pending_len < HEAD_BYTES + steps.len) {
        return false;
    }
    uint8_t *at = d->pending + d->pending_len;
    memcpy(at, &len, sizeof(len));
    memcpy(at + sizeof(len), &sequence, sizeof(sequence));
    memcpy(at + HEAD_BYTES, steps.data, steps.len);
    d->pending_len += HEAD_BYTES + len;
    return true;
}

static bool disk_has_room(void *context)
{
    const struct disk *d = context;
    return d->pending_len < d->settings.pending_bytes / 2;
}

static void disk_flush(void *context)
{
    struct disk *d = context;
    d->is_called = true;
}

const struct persist_ops *disk_ops(void)
{
    static const struct persist_ops ops = {disk_write, disk_has_room, disk_flush};
    return &ops;
}

/* The record at *at, which is moved behind it; false at `end`. */
static bool next_record(const struct disk *d, uint32_t end, uint32_t *at, uint64_t *sequence,
                        struct slice *steps)
{
    uint32_t len = 0;
    if (*at >= end) {
        return false;
    }
    memcpy(&len, d->pending + *at, sizeof(len));
    memcpy(sequence, d->pending + *at + sizeof(len), sizeof(*sequence));
    *steps = slice_of(d->pending + *at + HEAD_BYTES, len);
    *at += HEAD_BYTES + len;
    return true;
}

static bool begins_rewrite(struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step s;
    return store_log_next(&r, &s) && s.op == STORE_LOG_BEGIN;
}

static void drop_front(struct disk *d, uint32_t len)
{
    memmove(d->pending, d->pending + len, d->pending_len - len);
    d->pending_len -= len;
}

bool disk_begins_sync(struct disk *d)
{
    bool retries = d->is_failed && !d->is_full;
    if (d->is_syncing || (d->pending_len == 0 && !retries) || (!d->is_called && !retries)) {
        return false;
    }
    d->is_called = false;
    d->is_syncing = true;
    d->syncing_len = d->pending_len;
    return true;
}

static void fail(struct disk *d)
{
    d->is_failed = d->is_discarding = true;
    d->news.disk = PERSIST_DISK_FAILED;
    d->news.failures++;
}

void disk_synced(struct disk *d, struct persist_news *news)
{
    uint32_t at = 0;
    uint64_t sequence = 0;
    struct slice steps;
    bool is_any = false;
    CHECK(d->is_syncing);
    d->is_syncing = false;
    d->syncs++;
    while (next_record(d, d->syncing_len, &at, &sequence, &steps)) {
        if (d->is_discarding && !begins_rewrite(steps)) {
            continue;
        }
        if (d->is_full || !apply(d, steps)) {
            fail(d);
            continue;
        }
        d->news.durable = sequence;
        is_any = true;
    }
    drop_front(d, d->syncing_len);
    if (is_any && !d->is_discarding) {
        d->is_failed = false;
        d->news.disk = PERSIST_DISK_WELL;
    } else if (d->is_failed && !d->is_full) {
        d->news.disk = PERSIST_DISK_AGAIN;
    }
    d->is_called = d->is_called || d->pending_len > 0;
    *news = d->news;
}

void disk_crash(struct disk *d, bool keeps)
{
    uint32_t at = 0;
    uint64_t sequence = 0;
    struct slice steps;
    uint64_t survives = rng_below(&d->rng, (uint64_t)d->pending_len + 1);
    while (next_record(d, d->pending_len, &at, &sequence, &steps)) {
        bool is_whole = at <= survives;
        bool is_torn = !is_whole && at - steps.len - HEAD_BYTES < survives;
        d->torn += is_torn ? 1 : 0;
        d->lost += is_whole ? 0 : 1;
        if (is_whole && !d->is_discarding && !d->is_full && keeps) {
            (void)apply(d, steps);
        }
    }
    d->pending_len = d->syncing_len = 0;
    d->is_syncing = d->is_called = d->is_failed = d->is_discarding = false;
    d->news = (struct persist_news){0};
    while (!keeps && d->count > 0) {
        take_out(d, d->count - 1);
    }
}

void disk_set_full(struct disk *d, bool is_full)
{
    d->is_full = is_full;
}

bool disk_next(const struct disk *d, uint32_t *index, struct slice *key, struct slice *value)
{
    if (*index >= d->count) {
        return false;
    }
    const struct disk_entry *e = &d->table[(*index)++];
    *key = key_of(d, e);
    *value = value_of(d, e);
    return true;
}
