/* SPDX-License-Identifier: Apache-2.0 */
/* store_log.h - what changes in the store, told as changes of a table of keys and values, for
 * whoever keeps it where a restart does not reach (node/persist.h).
 *
 * A *record* is what must become durable together: all of a StoreReq, with the generation counters
 * that it has moved and the certificates that it needs.  Records are numbered; whoever takes them
 * keeps their order.  Keys, in the order in which they have to be read back (dht/store_restore):
 *
 *   'c' sha256                      DER of a signer's certificate
 *   'n'                             the node's: its neighbors
 *   's' resource kind               data model, generation counter, until when it is kept
 *   'v' resource kind place         until when it lives, sha256 of the certificate, StoredData
 *
 * place: nothing, array index, or dictionary key.  Times are those of the wall, in ms, since the
 * other clock begins anew.
 *
 * Owner:  the store; records wait in `bytes` bytes until they are taken.
 * Limits: what does not fit is not told, and is_lost says so: then everything is told once more
 *         (store_log_rewrite). */
#pragma once
#include "codec/rw.h"
#include "core/turn.h"
#include "dht/overlay.h"

struct store;
struct store_set;
struct store_value;
struct store_certificate;

enum {
    STORE_LOG_KEY_CAP = 1 + OVERLAY_RESOURCE_BYTES + 4 + 255,
    STORE_LOG_RECORD_CAP = 64 * 1024, /* its number included */
    STORE_LOG_CERTIFICATE = 'c',
    STORE_LOG_NEIGHBORS = 'n',
    STORE_LOG_SET = 's',
    STORE_LOG_VALUE = 'v',
};

enum store_log_op {
    STORE_LOG_PUT = 1,
    STORE_LOG_REMOVE,
    STORE_LOG_REMOVE_ALL, /* every key that begins so */
    STORE_LOG_BEGIN,      /* everything is told once more from here on ... */
    STORE_LOG_END,        /* ... and that was all: what was not told since is gone */
};

struct store_log_step {
    enum store_log_op op;
    struct slice key;
    struct slice value;
};

/* Walks the steps of a record; false at its end (rd_ok tells whether that was one). */
bool store_log_next(struct rd *record, struct store_log_step *out);

struct store_log {
    uint8_t *bytes;
    uint32_t cap; /* 0: nobody wants to know */
    uint32_t from, to;
    uint64_t sequence; /* of the last record */
    struct wr w;       /* the record that is open */
    bool is_open;
    bool is_lost;
    uint32_t rewrite_at; /* the next set */
};

static inline size_t store_log_bytes(uint32_t cap)
{
    return cap;
}
void store_log_init(struct store_log *l, struct arena *arena, uint32_t cap);

/* For the store: between these two everything belongs to one record. */
void store_log_open(struct store *s);
void store_log_close(struct store *s);
/* Each is a record of its own unless one is open. */
void store_log_put_set(const struct turn *t, struct store *s, const struct store_set *set);
void store_log_put_value(const struct turn *t, struct store *s, const struct store_set *set,
                         const struct store_value *v);
void store_log_remove_value(struct store *s, const struct store_set *set,
                            const struct store_value *v);
void store_log_remove_set(struct store *s, const struct store_set *set);
void store_log_remove_certificate(struct store *s, const struct store_certificate *c);
void store_log_remove_key(struct store *s, struct slice key);
/* Something that is not the store's, under a key of its own. */
void store_log_note(struct store *s, struct slice key, struct slice value);

/* For the taker: the oldest record, borrowed until the next call. */
bool store_log_take(struct store *s, uint64_t *sequence, struct slice *record);
uint64_t store_log_sequence(const struct store *s);
bool store_log_is_lost(const struct store *s);
/* Tells everything once more, one set a step; false: that was the last. */
void store_log_rewrite_begin(struct store *s);
bool store_log_rewrite(const struct turn *t, struct store *s);
