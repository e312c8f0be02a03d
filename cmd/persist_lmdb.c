/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/persist_lmdb.h"
#include "cmd/files.h"
#include "cmd/say.h"
#include "core/hash.h"
#include "dht/store_log.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PEER_BYTES = IDS_RING_BYTES,
    HEADER_BYTES = 8 + 4, /* checksum, number of the rewrite */
    KEY_CAP = PEER_BYTES + STORE_LOG_KEY_CAP,
    VALUE_CAP = STORE_LOG_RECORD_CAP + HEADER_BYTES,
    PEERS_CAP = 64,
    FILE_MODE = 0600,
    PROBLEM_CAP = 120,
    CHILD_OK = 0,
    CHILD_BROKEN = 3,
    CHILD_NO_COPY = 4,
    COPY_BATCH = 4096,
    CHILD_PATIENCE_S = 60,
    LOCK_PATIENCE_MS = 2000,
    LOCK_STEP_MS = 10,
};
static const char REWRITE_KEY[] = "e"; /* none of dht/store_log's */
static const char PROBE_KEY[] = "chordial probe";

struct peer {
    struct node_id id;
    uint32_t rewrite;
};

struct persist_lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;
    char dir[FILES_PATH_CAP];
    char path[FILES_PATH_CAP];
    uint64_t map_bytes;
    uint64_t broken;
    uint64_t set_aside;
    uint64_t probes;
    int lock;
    uint32_t peer_count;
    struct peer peers[PEERS_CAP];
    struct peer peers_before[PEERS_CAP]; /* this transaction */
    char problem[PROBLEM_CAP];
    uint8_t value[VALUE_CAP];
};

/* ---- small pieces ---- */

static enum err fault(struct persist_lmdb *db, const char *what, int rc)
{
    (void)snprintf(db->problem, sizeof(db->problem), "%s: %s", what, mdb_strerror(rc));
    return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EFBIG || rc == EDQUOT ? ERR_LIMIT : ERR_IO;
}

static MDB_val val(struct slice s)
{
    return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.data};
}

static struct slice slice_val(const MDB_val *v)
{
    return slice_of(v->mv_data, v->mv_size);
}

static struct slice join(const struct node_id *peer, struct slice key, uint8_t out[KEY_CAP])
{
    CHECK(key.len <= STORE_LOG_KEY_CAP);
    memcpy(out, peer->bytes, PEER_BYTES);
    memcpy(out + PEER_BYTES, key.data, key.len);
    return slice_of(out, PEER_BYTES + key.len);
}

static uint64_t checksum(struct slice key, struct slice rest)
{
    return hash_64(rest, hash_64(key, 0));
}

/* What stands behind the header; false: it is not what was written. */
static bool open_value(struct slice key, struct slice raw, uint32_t *rewrite, struct slice *value)
{
    uint64_t sum = 0;
    if (raw.len < HEADER_BYTES) {
        return false;
    }
    memcpy(&sum, raw.data, sizeof(sum));
    memcpy(rewrite, raw.data + sizeof(sum), sizeof(*rewrite));
    *value = slice_from(raw, HEADER_BYTES);
    return sum == checksum(key, slice_from(raw, sizeof(sum)));
}

/* A new name is there after a power failure only when its folder was synced. */
static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* ---- opening ---- */

static int open_env(const char *path, uint64_t map_bytes, unsigned flags, MDB_env **out)
{
    int rc = mdb_env_create(out);
    if (rc == 0) {
        rc = mdb_env_set_mapsize(*out, map_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_open(*out, path, MDB_NOSUBDIR | MDB_NOTLS | flags, FILE_MODE);
    }
    if (rc != 0 && *out != NULL) {
        mdb_env_close(*out);
        *out = NULL;
    }
    return rc;
}

struct copy {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned left; /* of this transaction */
};

static int copy_one(struct copy *c, MDB_val *key, MDB_val *value)
{
    int rc = 0;
    if (c->txn == NULL) {
        rc = mdb_txn_begin(c->env, NULL, 0, &c->txn);
        rc = rc == 0 ? mdb_dbi_open(c->txn, NULL, 0, &c->dbi) : rc;
        c->left = COPY_BATCH;
    }
    rc = rc == 0 ? mdb_put(c->txn, c->dbi, key, value, MDB_APPEND) : rc;
    if (rc == MDB_KEYEXIST) { /* a page that stands twice: what is behind it may still be good */
        rc = mdb_put(c->txn, c->dbi, key, value, 0);
    }
    if (rc == MDB_BAD_VALSIZE) {
        return 0; /* none of our keys: it could not be read back either */
    }
    if (rc == 0 && --c->left == 0) {
        rc = mdb_txn_commit(c->txn);
        c->txn = NULL;
    }
    return rc;
}

static int end_copy(struct copy *c)
{
    int rc = c->txn == NULL ? 0 : mdb_txn_commit(c->txn);
    rc = rc == 0 ? mdb_env_sync(c->env, 1) : rc;
    mdb_env_close(c->env);
    return rc;
}

/* Reads all of it, and writes it anew.  LMDB believes its pages: one that nobody reads, as of the
 * list of free ones, ends whoever writes, at each start again.  A file that was written from
 * records has none that is broken.  Whatever ends this child says that the file is not to be used.
 */
static int read_all(const char *path, const char *fresh, uint64_t map_bytes)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_dbi dbi = 0;
    MDB_val key, value;
    struct copy copy = {0};
    volatile uint64_t sum = 0;
    if (open_env(path, map_bytes, MDB_RDONLY | MDB_NOLOCK, &env) != 0 ||
        mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || mdb_dbi_open(txn, NULL, 0, &dbi) != 0 ||
        mdb_cursor_open(txn, dbi, &cursor) != 0) {
        return CHILD_BROKEN;
    }
    int copied = open_env(fresh, map_bytes, MDB_NOLOCK | MDB_NOSYNC, &copy.env);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        sum += hash_64(slice_val(&value), hash_64(slice_val(&key), 0));
        copied = copied == 0 ? copy_one(&copy, &key, &value) : copied;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    (void)sum;
    if (rc != MDB_NOTFOUND) {
        return CHILD_BROKEN;
    }
    copied = copied == 0 ? end_copy(&copy) : copied;
    return copied == 0 ? CHILD_OK : CHILD_NO_COPY;
}

/* CHILD_OK: `fresh` has it all, on the disk. */
static int judge(const char *path, const char *fresh, uint64_t map_bytes)
{
    int status = 0;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        /* Who would write on when this node is dead holds its lock, and keeps the next one out. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pid_t now = getppid(); /* < 0 where a seccomp profile forbids to ask */
        if (now >= 0 && now != parent) {
            _exit(CHILD_NO_COPY); /* nobody is there to hear it */
        }
        alarm(CHILD_PATIENCE_S + (unsigned)(map_bytes >> 24)); /* broken pages may go in circles */
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nothing, STDERR_FILENO); /* a sanitizer need not tell of it */
        _exit(read_all(path, fresh, map_bytes));
    }
    if (child < 0) {
        return CHILD_NO_COPY; /* no process to be had: what mdb_env_open says will have to do */
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_BROKEN;
}

static enum err set_aside(struct persist_lmdb *db, char *why)
{
    char to[FILES_PATH_CAP + 40];
    char lock[FILES_PATH_CAP + 8];
    (void)snprintf(to, sizeof(to), "%s.corrupt-%lld", db->path, (long long)time(NULL));
    (void)snprintf(lock, sizeof(lock), "%s-lock", db->path);
    if (rename(db->path, to) != 0) {
        return say_why(why, ERR_IO, "cannot set a broken file aside: %s: %s", db->path,
                       say_errno());
    }
    (void)unlink(lock);
    sync_folder(db->dir);
    db->set_aside = 1;
    say_line(
        "ERROR: data-dir: %s cannot be read and is set aside as %s: this node starts EMPTY; its "
        "records come back from the other peers",
        db->path, to);
    return ERR_OK;
}

static int open_dbi(struct persist_lmdb *db)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &db->dbi);
        int committed = mdb_txn_commit(txn);
        rc = rc != 0 ? rc : committed;
    }
    return rc;
}

static int reopen(struct persist_lmdb *db)
{
    if (db->env != NULL) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    int rc = open_env(db->path, db->map_bytes, 0, &db->env);
    return rc == 0 ? open_dbi(db) : rc;
}

/* A file gets its name when its pages are on the disk: so one that is there is whole. */
static int name_fresh(const struct persist_lmdb *db, const char *fresh)
{
    char lock[FILES_PATH_CAP + 16];
    if (rename(fresh, db->path) != 0) {
        return errno;
    }
    (void)snprintf(lock, sizeof(lock), "%s-lock", db->path);
    (void)unlink(lock); /* it speaks of the file that was there before */
    sync_folder(db->dir);
    return 0;
}

static int create(const struct persist_lmdb *db, const char *fresh)
{
    MDB_env *env = NULL;
    int rc = open_env(fresh, db->map_bytes, MDB_NOLOCK, &env);
    if (rc == 0) {
        rc = mdb_env_sync(env, 1);
        mdb_env_close(env);
    }
    return rc == 0 ? name_fresh(db, fresh) : rc;
}

/* What an earlier process has left. */
static enum err take_over(struct persist_lmdb *db, const char *fresh, char *why)
{
    enum err e = ERR_OK;
    int rc = 0;
    switch (judge(db->path, fresh, db->map_bytes)) {
    case CHILD_OK:
        rc = name_fresh(db, fresh);
        break;
    case CHILD_NO_COPY: /* a full disk stops nobody, and its records have been read */
        say_line("WARNING: data-dir: %s cannot be written anew and is used as it is", db->path);
        break;
    default:
        e = set_aside(db, why);
        break;
    }
    (void)unlink(fresh);
    return rc == 0 ? e
                   : say_why(why, ERR_IO, "cannot open the database: %s: %s", db->path,
                             strerrordesc_np(rc));
}

/* A node that was killed has perhaps left a child, whose death takes as long as its last write. */
static enum err take_lock(struct persist_lmdb *db, char *why)
{
    enum err e = files_lock(db->dir, false, &db->lock);
    for (unsigned ms = 0; e == ERR_EXISTS && ms < LOCK_PATIENCE_MS; ms += LOCK_STEP_MS) {
        (void)usleep(LOCK_STEP_MS * 1000);
        e = files_lock(db->dir, false, &db->lock);
    }
    if (e == ERR_TOO_LARGE) {
        return say_why(why, ERR_CONFIG, "path too long: data-dir: %s", db->dir);
    }
    if (e == ERR_EXISTS) {
        return say_why(why, ERR_IO,
                       "data-dir is in use: %s/lock: another node runs on it; give each its own",
                       db->dir);
    }
    return e == ERR_OK
               ? e
               : say_why(why, ERR_IO, "cannot use data-dir: %s/lock: %s", db->dir, say_errno());
}

static enum err open_all(struct persist_lmdb *db, char *why)
{
    if (files_folder(db->dir) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot make data-dir: %s: %s", db->dir, say_errno());
    }
    if (files_join(db->dir, "store.mdb", db->path) != ERR_OK) {
        return say_why(why, ERR_CONFIG, "path too long: data-dir: %s", db->dir);
    }
    char fresh[FILES_PATH_CAP + 8];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", db->path);
    enum err e = take_lock(db, why);
    if (e == ERR_OK) {
        (void)unlink(fresh); /* of a process that ended before it had a name */
    }
    if (e == ERR_OK && access(db->path, F_OK) == 0) {
        e = take_over(db, fresh, why);
    }
    if (e != ERR_OK) {
        return e;
    }
    int rc = access(db->path, F_OK) == 0 ? 0 : create(db, fresh);
    rc = rc == 0 ? reopen(db) : rc;
    if (rc != 0) {
        return say_why(why, ERR_IO, "cannot open the database: %s: %s", db->path, mdb_strerror(rc));
    }
    return ERR_OK;
}

enum err persist_lmdb_open(const char *dir, uint64_t map_bytes, struct persist_lmdb **out,
                           char *why)
{
    struct persist_lmdb *db = calloc(1, sizeof(*db));
    *out = NULL;
    if (db == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: data-dir: free some");
    }
    db->lock = -1;
    db->map_bytes = map_bytes;
    (void)snprintf(db->dir, sizeof(db->dir), "%s", dir);
    enum err e = open_all(db, why);
    if (e != ERR_OK) {
        persist_lmdb_close(db);
        return e;
    }
    *out = db;
    return ERR_OK;
}

void persist_lmdb_close(struct persist_lmdb *db)
{
    if (db == NULL) {
        return;
    }
    if (db->txn != NULL) {
        mdb_txn_abort(db->txn);
    }
    if (db->env != NULL) {
        mdb_env_close(db->env);
    }
    if (db->lock >= 0) {
        close(db->lock);
    }
    free(db);
}

/* ---- reading ---- */

static struct peer *peer_of(struct persist_lmdb *db, const struct node_id *id)
{
    for (uint32_t i = 0; i < db->peer_count; i++) {
        if (ids_node_is_equal(&db->peers[i].id, id)) {
            return &db->peers[i];
        }
    }
    CHECK(db->peer_count < PEERS_CAP);
    db->peers[db->peer_count] = (struct peer){.id = *id, .rewrite = 1};
    return &db->peers[db->peer_count++];
}

static bool is_prefix(struct slice prefix, struct slice key)
{
    return key.len >= prefix.len && slice_is_equal(prefix, slice_sub(key, 0, prefix.len));
}

static void load_one(struct persist_lmdb *db, struct peer *p, MDB_val *k, MDB_val *v,
                     persist_lmdb_each *each, void *context)
{
    struct slice key = slice_val(k);
    struct slice value;
    uint32_t rewrite = 0;
    if (!open_value(key, slice_val(v), &rewrite, &value)) {
        db->broken++;
        return;
    }
    key = slice_from(key, PEER_BYTES);
    if (slice_is_equal(key, slice_text(REWRITE_KEY))) {
        p->rewrite = rewrite;
        return;
    }
    each(context, key, value);
}

enum err persist_lmdb_load(struct persist_lmdb *db, const struct node_id *peer,
                           persist_lmdb_each *each, void *context)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    struct peer *p = peer_of(db, peer);
    struct slice prefix = slice_of(peer->bytes, PEER_BYTES);
    MDB_val key = val(prefix);
    MDB_val value;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_cursor_open(txn, db->dbi, &cursor);
    }
    rc = rc == 0 ? mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE) : rc;
    while (rc == 0 && is_prefix(prefix, slice_val(&key))) {
        load_one(db, p, &key, &value, each, context);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? ERR_OK : fault(db, "reading", rc);
}

/* ---- writing ---- */

static int put(struct persist_lmdb *db, struct slice key, uint32_t rewrite, struct slice value)
{
    if (value.len > VALUE_CAP - HEADER_BYTES) {
        return MDB_BAD_VALSIZE;
    }
    uint64_t sum = 0;
    size_t len = HEADER_BYTES + value.len;
    memcpy(db->value + sizeof(sum), &rewrite, sizeof(rewrite));
    if (value.len > 0) {
        memcpy(db->value + HEADER_BYTES, value.data, value.len);
    }
    sum = checksum(key, slice_of(db->value + sizeof(sum), len - sizeof(sum)));
    memcpy(db->value, &sum, sizeof(sum));
    MDB_val k = val(key);
    MDB_val v = val(slice_of(db->value, len));
    return mdb_put(db->txn, db->dbi, &k, &v, 0);
}

/* Deletes what begins with `prefix`; with `except` not 0, what was told in that rewrite stays. */
static int remove_all(struct persist_lmdb *db, struct slice prefix, uint32_t except)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = val(prefix);
    MDB_val raw;
    int rc = mdb_cursor_open(db->txn, db->dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &raw, MDB_SET_RANGE);
    while (rc == 0 && is_prefix(prefix, slice_val(&key))) {
        struct slice value;
        uint32_t rewrite = 0;
        bool is_good = open_value(slice_val(&key), slice_val(&raw), &rewrite, &value);
        if (!is_good || except == 0 || rewrite != except) {
            rc = mdb_cursor_del(cursor, 0);
        }
        rc = rc == 0 ? mdb_cursor_get(cursor, &key, &raw, MDB_NEXT) : rc;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int step(struct persist_lmdb *db, struct peer *p, const struct store_log_step *s)
{
    uint8_t bytes[KEY_CAP];
    struct slice key = join(&p->id, s->key, bytes);
    MDB_val k = val(key);
    int rc = 0;
    switch (s->op) {
    case STORE_LOG_PUT:
        return put(db, key, p->rewrite, s->value);
    case STORE_LOG_REMOVE:
        rc = mdb_del(db->txn, db->dbi, &k, NULL);
        return rc == MDB_NOTFOUND ? 0 : rc;
    case STORE_LOG_REMOVE_ALL:
        return remove_all(db, key, 0);
    case STORE_LOG_BEGIN:
        p->rewrite++;
        return put(db, join(&p->id, slice_text(REWRITE_KEY), bytes), p->rewrite, SLICE_EMPTY);
    case STORE_LOG_END:
        return remove_all(db, slice_of(p->id.bytes, PEER_BYTES), p->rewrite);
    }
    return MDB_BAD_VALSIZE;
}

static int begin(struct persist_lmdb *db)
{
    if (db->txn != NULL) {
        return 0;
    }
    int rc = db->env == NULL ? MDB_PANIC : mdb_txn_begin(db->env, NULL, 0, &db->txn);
    if (rc == MDB_PANIC) { /* LMDB wants to be opened anew after some errors */
        rc = reopen(db);
        rc = rc == 0 ? mdb_txn_begin(db->env, NULL, 0, &db->txn) : rc;
    }
    memcpy(db->peers_before, db->peers, sizeof(db->peers));
    return rc;
}

static enum err give_up(struct persist_lmdb *db, const char *what, int rc)
{
    if (db->txn != NULL) {
        mdb_txn_abort(db->txn);
        db->txn = NULL;
    }
    memcpy(db->peers, db->peers_before, sizeof(db->peers));
    return fault(db, what, rc);
}

enum err persist_lmdb_apply(struct persist_lmdb *db, const struct node_id *peer, struct slice steps)
{
    struct rd r = rd_init(steps);
    struct store_log_step s;
    struct peer *p = peer_of(db, peer);
    int rc = begin(db);
    while (rc == 0 && store_log_next(&r, &s)) {
        rc = step(db, p, &s);
    }
    CHECK(rd_ok(&r)); /* of our own process */
    return rc == 0 ? ERR_OK : give_up(db, "writing", rc);
}

enum err persist_lmdb_commit(struct persist_lmdb *db)
{
    if (db->txn == NULL) {
        return ERR_OK;
    }
    int rc = mdb_txn_commit(db->txn);
    db->txn = NULL; /* gone, whatever was said */
    return rc == 0 ? ERR_OK : give_up(db, "syncing", rc);
}

enum err persist_lmdb_probe(struct persist_lmdb *db)
{
    int rc = begin(db);
    db->probes++;
    if (rc == 0) {
        rc = put(db, slice_text(PROBE_KEY), 0, slice_of(&db->probes, sizeof(db->probes)));
    }
    return rc == 0 ? persist_lmdb_commit(db) : give_up(db, "writing", rc);
}

const char *persist_lmdb_problem(const struct persist_lmdb *db)
{
    return db->problem;
}

void persist_lmdb_counts(struct persist_lmdb *db, struct persist_lmdb_counts *out)
{
    MDB_stat stat = {0};
    MDB_envinfo info = {0};
    *out = (struct persist_lmdb_counts){
        .map_bytes = db->map_bytes, .broken = db->broken, .set_aside = db->set_aside};
    if (db->env != NULL && mdb_env_info(db->env, &info) == 0 && mdb_env_stat(db->env, &stat) == 0) {
        out->bytes = (info.me_last_pgno + 1) * stat.ms_psize;
        out->records = stat.ms_entries;
    }
}
