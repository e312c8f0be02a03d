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

enum { ADMIN_NAME_CAP = 255, ADMIN_VALUE_CAP = 1024, ADMIN_ROWS_CAP = 16 * 1024 };

enum admin_verb {
    /* rows of each shard */
    ADMIN_STATUS,
    ADMIN_PEERS,
    ADMIN_RING,
    ADMIN_LINKS,
    ADMIN_STORED,
    ADMIN_BINDINGS,
    ADMIN_TRACE, /* the last events of each shard's thread */
    /* one operation, at one shard */
    ADMIN_FETCH,
    ADMIN_PING,
    ADMIN_STORE, /* `value` under `name`, signed by the peer itself and nobody else */
    ADMIN_STAT,
    ADMIN_FIND,
    ADMIN_ROUTE, /* one step: whom `at` would send it to */
    /* answered by the control thread */
    ADMIN_METRICS,
    ADMIN_HISTOGRAMS,
    ADMIN_HEALTH,
    ADMIN_SHUTDOWN,
    ADMIN_RELOAD, /* the overlay document and the certificate for phones, from their files */
    /* orders to a shard, unanswered */
    ADMIN_DRAIN,        /* new calls get 503 */
    ADMIN_STOP,         /* leave the overlay; `number` is how many us calls may take until then */
    ADMIN_SIBLING_LEFT, /* `number` is its shard */
    ADMIN_SET_CONFIG,   /* `change`, which stays as it is until ADMIN_CONFIG_TAKEN has come */
    ADMIN_SET_SIP_TLS,  /* `sip_tls`, which is the shard's from then on */
    ADMIN_JUDGED,       /* of the document that it has mailed: `number` is the error, 0 = none */
    /* news of a shard */
    ADMIN_READY,
    ADMIN_LOST,
    ADMIN_STOPPED,
    ADMIN_CONFIG_TAKEN,
    ADMIN_DOCUMENT, /* the rows are no rows: Node-ID of who has sent it, then the document */
};

struct tls_boring;

struct admin_request {
    enum admin_verb verb;
    uint32_t cursor;
    uint32_t kind;
    bool is_node; /* node_id, not the name */
    bool is_gone; /* store: a value that is not there any more */
    bool has_at;
    struct node_id at;   /* route: whom to ask, else the peer itself */
    uint32_t index;      /* store, in an array */
    uint32_t lifetime_s; /* store */
    uint64_t number;
    const struct overlay_change *change;
    struct tls_boring *sip_tls;
    struct node_id node_id;
    uint16_t name_len;
    char name[ADMIN_NAME_CAP + 1]; /* Resource Name */
    uint16_t value_len;
    uint8_t value[ADMIN_VALUE_CAP];
};

/* Followed by `len` bytes of rows, separated by commas. */
struct admin_answer {
    enum admin_verb verb;
    uint32_t next;
    uint32_t len;
};
STATIC_CHECK(sizeof(struct admin_answer) + ADMIN_ROWS_CAP <= MSGBUF_LARGE_BYTES);
