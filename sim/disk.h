/* SPDX-License-Identifier: Apache-2.0 */
/* disk.h - a made-up disk behind node/persist.h: a log that is synced in groups.
 *
 * What was written is *pending* until a sync ends; then it is in a table that survives.  A sync
 * takes settings.sync_us; what is written meanwhile waits for the next one.  A crash keeps the
 * table and, of what was pending, any number of whole records from the oldest on: the record behind
 * them is torn, its checksum says so, and it is dropped with all that follow.  Or the disk goes
 * with its machine (keeps = false).
 *
 * Owner:  sim/world, one for each node, over all its lives.  Integers and one seed.
 * Limits: `entries` and `bytes` of the table, `pending_bytes`; a table that is full fails as a full
 *         disk does. */
#pragma once
#include "core/rng.h"
#include "dht/value.h"
#include "node/persist.h"

struct disk_settings {
    uint32_t entries;
    uint32_t bytes;
    uint32_t pending_bytes;
    uint64_t sync_us;
};

struct disk_entry {
    uint32_t piece; /* key, then value */
    uint16_t key_len;
    uint32_t value_len;
    uint32_t rewrite; /* told in this one */
};

struct disk {
    struct disk_settings settings;
    struct rng rng;
    struct disk_entry *table; /* ascending by key */
    uint32_t count;
    struct value_heap heap;
    uint8_t *pending;
    uint32_t pending_len;
    uint32_t syncing_len; /* of them, what the sync under way covers */
    uint32_t rewrite;
    bool is_syncing;
    bool is_called;     /* flush */
    bool is_full;       /* from outside: nothing can be written */
    bool is_failed;     /* told so; everything has to come again */
    bool is_discarding; /* until it does */
    struct persist_news news;
    uint64_t syncs, records, lost, torn; /* lost and torn: by crashes */
};

size_t disk_bytes(const struct disk_settings *s);
void disk_init(struct disk *d, struct arena *arena, const struct disk_settings *s, uint64_t seed);

/* The seam; the context is the disk. */
const struct persist_ops *disk_ops(void);
/* True when a sync begins now: call disk_synced after settings.sync_us. */
bool disk_begins_sync(struct disk *d);
/* The sync has ended: what is to be told to the node. */
void disk_synced(struct disk *d, struct persist_news *news);
/* The node's process is dead, or the power has failed. */
void disk_crash(struct disk *d, bool keeps);
/* Nothing more fits, or there is room again. */
void disk_set_full(struct disk *d, bool is_full);

/* All that survives, in the order of the keys: start with *index = 0. */
bool disk_next(const struct disk *d, uint32_t *index, struct slice *key, struct slice *value);
