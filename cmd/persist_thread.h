/* SPDX-License-Identifier: Apache-2.0 */
/* persist_thread.h - the keeper of records behind node/persist.h: a thread that may wait for the
 * disk, so that neither a shard nor the control thread has to.
 *
 *   shard --ring--> this thread --LMDB, one sync a batch--> disk
 *         <--mail-- control thread <--news--
 *
 * While a sync is under way the next batch gathers in the rings: that is the group commit.  When
 * the disk fails, what came since the last commit is thrown away and the shards are told so; after
 * a pause that doubles up to RETRY_MAX_S a probe finds out whether it is well again, and then each
 * shard tells everything once more.
 *
 * Owner:   the control thread; `persist_ops` alone are called by shards.
 * Threads: one, from persist_thread_start to persist_thread_close.
 * Limits:  a ring of limits.persist_ring_bytes for each shard; a full one refuses. */
#pragma once
#include "cmd/persist_lmdb.h"
#include "core/metric.h"
#include "node/persist.h"

struct persist_thread;

struct persist_thread_settings {
    const char *dir;
    uint64_t map_bytes;
    uint32_t shards;
    uint32_t ring_bytes;
};

enum err persist_thread_open(const struct persist_thread_settings *s, struct persist_thread **out,
                             char *why) MUST_USE;
/* The seam of shard `i`, whose peer is `id`. */
const struct persist_ops *persist_thread_ops(void);
void *persist_thread_context(struct persist_thread *p, uint32_t i, const struct node_id *id);
/* What was kept for it; before persist_thread_start. */
enum err persist_thread_load(struct persist_thread *p, uint32_t i, persist_lmdb_each *each,
                             void *context, char *why) MUST_USE;
enum err persist_thread_start(struct persist_thread *p, char *why) MUST_USE;
/* What is in the rings is written and synced, then the thread ends. */
void persist_thread_close(struct persist_thread *p);

/* Becomes readable when there are news. */
int persist_thread_descriptor(const struct persist_thread *p);
/* The next shard with news; false when there are none left. */
bool persist_thread_news(struct persist_thread *p, uint32_t *shard, struct persist_news *news);
/* They could not be delivered: they are news again. */
void persist_thread_again(struct persist_thread *p, uint32_t shard);

struct persist_thread_status {
    bool is_well;
    uint64_t commits, records, failures;
    uint64_t commit_us_max; /* the longest so far */
    uint64_t lost_records;  /* thrown away because the disk failed; told again later */
    struct persist_lmdb_counts db;
    char problem[128]; /* "" where it is well */
};
void persist_thread_status(struct persist_thread *p, struct persist_thread_status *out);
