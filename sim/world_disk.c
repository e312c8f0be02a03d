/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world_disk.h"
#include "sim/world_impl.h"

enum {
    ENTRY_BYTES = 640, /* a record, its set's and its certificate's entry together: on average */
    ENTRIES_PER_VALUE = 3,
    PENDING_BYTES = 128 * 1024,
};

struct world_disks {
    struct disk *disks;
    struct rng rng;
    uint32_t lost_percent;
    uint32_t lost;
};

static struct disk_settings settings_of(const struct world_settings *s)
{
    return (struct disk_settings){.entries = ENTRIES_PER_VALUE * s->stored_values + 8,
                                  .bytes = 2 * ENTRY_BYTES * s->stored_values + PENDING_BYTES,
                                  .pending_bytes = PENDING_BYTES,
                                  .sync_us = s->disk_sync_us};
}

size_t world_disk_bytes(const struct world_settings *s)
{
    struct disk_settings one = settings_of(s);
    return s->has_disks ? sizeof(struct world_disks) +
                              s->nodes * (disk_bytes(&one) + sizeof(struct disk) + 64)
                        : 0;
}

struct world_disks *world_disk_init(struct arena *arena, const struct world_settings *s)
{
    if (!s->has_disks) {
        return NULL;
    }
    struct disk_settings one = settings_of(s);
    struct world_disks *d = ARENA_ARRAY(arena, struct world_disks, 1);
    rng_init(&d->rng, s->seed ^ 0xd15c10);
    d->lost_percent = s->disk_lost_percent;
    d->disks = ARENA_ARRAY(arena, struct disk, s->nodes);
    for (uint32_t i = 0; i < s->nodes; i++) {
        disk_init(&d->disks[i], arena, &one, (s->seed ^ 0xd15c) * 0x9e3779b97f4a7c15ULL + i);
    }
    return d;
}

void world_disk_settings(struct world_disks *d, uint32_t i, struct node_settings *out)
{
    if (d == NULL) {
        return;
    }
    out->persist = disk_ops();
    out->persist_context = &d->disks[i];
    out->overlay.log_bytes = WORLD_DISK_LOG_BYTES;
    out->overlay.storage_ack = OVERLAY_ACK_DISK;
}

void world_disk_restore(struct world_disks *d, uint32_t i, struct turn *t, struct node *n)
{
    uint32_t index = 0;
    struct slice key;
    struct slice value;
    if (d == NULL) {
        return;
    }
    while (disk_next(&d->disks[i], &index, &key, &value)) {
        persist_restore(t, n, key, value);
    }
    persist_restored(t, n);
}

bool world_disk_flush(struct world_disks *d, uint32_t i, uint64_t now_us, uint64_t *at_us)
{
    if (d == NULL || !disk_begins_sync(&d->disks[i])) {
        return false;
    }
    *at_us = now_us + d->disks[i].settings.sync_us;
    return true;
}

void world_disk_deliver(struct world_disks *d, uint32_t i, struct turn *t, struct node *n)
{
    struct persist_news news;
    disk_synced(&d->disks[i], &news);
    struct io_event event = {.kind = IO_MAIL,
                             .shard = IO_SHARD_CONTROL,
                             .mail = IO_MAIL_PERSIST,
                             .data = (uint8_t *)&news,
                             .data_len = sizeof(news)};
    node_on_event(t, n, &event);
}

void world_disk_crash(struct world_disks *d, uint32_t i, bool is_death)
{
    if (d != NULL) {
        bool is_lost = is_death && d->lost_percent > 0 && rng_below(&d->rng, 100) < d->lost_percent;
        d->lost += is_lost ? 1 : 0;
        disk_crash(&d->disks[i], !is_lost);
    }
}

uint32_t world_disk_lost(const struct world *w)
{
    return w->disks == NULL ? 0 : w->disks->lost;
}

struct disk *world_disk(struct world *w, uint32_t i)
{
    return w->disks == NULL ? NULL : &w->disks->disks[i];
}
