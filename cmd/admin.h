/* SPDX-License-Identifier: Apache-2.0 */
/* admin.h - what the control thread and the shards mail each other (IO_MAIL_CONTROL), as plain
 * structs of one process.
 *
 * A question for people goes to one shard after the other.  A shard answers with JSON rows that fit
 * one buffer and a cursor where to go on; 0 = that was all.  The mail's tag names the question, so
 * that a late answer to a client that is gone is a normal miss. */
#pragma once
#include "codec/ids.h"
#include "core/limits.h"
#include "dht/overlay.h"

enum { ADMIN_NAME_CAP = 255, ADMIN_ROWS_CAP = 16 * 1024 };

enum admin_verb {
    /* rows of each shard */
    ADMIN_STATUS,
    ADMIN_PEERS,
    ADMIN_RING,
    ADMIN_LINKS,
    ADMIN_STORED,
    ADMIN_BINDINGS,
    /* one operation, at one shard */
    ADMIN_FETCH,
    ADMIN_PING,
    /* answered by the control thread */
    ADMIN_METRICS,
    ADMIN_SHUTDOWN,
    /* orders to a shard, unanswered */
    ADMIN_DRAIN,        /* new calls get 503 */
    ADMIN_STOP,         /* leave the overlay; `number` is how many us calls may take until then */
    ADMIN_SIBLING_LEFT, /* `number` is its shard */
    /* news of a shard */
    ADMIN_READY,
    ADMIN_LOST,
    ADMIN_STOPPED,
};

struct admin_request {
    enum admin_verb verb;
    uint32_t cursor;
    uint32_t kind; /* of a fetch */
    bool is_node;  /* ping node_id, not the name */
    uint64_t number;
    struct node_id node_id;
    uint16_t name_len;
    char name[ADMIN_NAME_CAP + 1]; /* Resource Name */
};

/* Followed by `len` bytes of rows, separated by commas. */
struct admin_answer {
    enum admin_verb verb;
    uint32_t next;
    uint32_t len;
};
STATIC_CHECK(sizeof(struct admin_answer) + ADMIN_ROWS_CAP <= MSGBUF_LARGE_BYTES);
