/* SPDX-License-Identifier: Apache-2.0 */
/* persist_lmdb.h - the records of all peers of this node in one LMDB file, DIR/store.mdb.
 *
 * A key is the Node-ID of the peer and the key of dht/store_log; a value has a checksum in front
 * and the number of the rewrite that it was told in, so that what a rewrite did not tell again can
 * be told from what it did.  A transaction takes many records and is synced once, when it commits;
 * a record is in it as a whole or not at all.
 *
 * A file that cannot be read is set aside (store.mdb.corrupt-TIME), and a new one begun: that is
 * found out by a child process that reads all of it, since reading a broken map may end a process.
 * A record whose checksum is wrong is skipped and counted.
 *
 * Owner: one thread at a time.  Two nodes never share a folder: DIR/lock is held. */
#pragma once
#include "codec/ids.h"
#include "core/err.h"
#include "core/slice.h"

struct persist_lmdb_counts {
    uint64_t bytes;     /* of the file that are in use */
    uint64_t map_bytes; /* at most */
    uint64_t records;   /* keys */
    uint64_t broken;    /* records whose checksum was wrong */
    uint64_t set_aside; /* 1: a broken file was set aside */
};

struct persist_lmdb;

/* Makes the folder where there is none.  `why` as usual; a file that was set aside is said aloud.
 */
enum err persist_lmdb_open(const char *dir, uint64_t map_bytes, struct persist_lmdb **out,
                           char *why) MUST_USE;
void persist_lmdb_close(struct persist_lmdb *db);

/* All that is kept for `peer`, in the order of the keys. */
typedef void persist_lmdb_each(void *context, struct slice key, struct slice value);
enum err persist_lmdb_load(struct persist_lmdb *db, const struct node_id *peer,
                           persist_lmdb_each *each, void *context) MUST_USE;

/* A transaction is begun by the first record.  Any error: nothing of it is there, and the next one
 * may begin.  ERR_LIMIT: the file may not grow; ERR_IO: see persist_lmdb_problem. */
enum err persist_lmdb_apply(struct persist_lmdb *db, const struct node_id *peer,
                            struct slice steps) MUST_USE;
enum err persist_lmdb_commit(struct persist_lmdb *db) MUST_USE;
/* Writes and syncs something of no meaning: is the disk well again? */
enum err persist_lmdb_probe(struct persist_lmdb *db) MUST_USE;
const char *persist_lmdb_problem(const struct persist_lmdb *db);
void persist_lmdb_counts(struct persist_lmdb *db, struct persist_lmdb_counts *out);
