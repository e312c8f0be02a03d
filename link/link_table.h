/* SPDX-License-Identifier: Apache-2.0 */
/* link_table.h - the links of one peer and the lists they stand in; for files of link/ only.
 *
 * link.c is the door (link.h), trunk.c a TLS link, dtls.c a DTLS link, local.c a sibling link.  A
 * link lives from link_table_add to link_table_remove, which link_next calls once its LINK_DOWN has
 * been taken. */
#pragma once
#include "core/pool.h"
#include "core/table.h"
#include "core/tags.h"
#include "link/announced.h"
#include "link/frame_io.h"
#include "link/link.h"
#include "link/pace.h"

enum {
    LINK_TABLE_SIBLINGS = 64,
    /* The largest message that fits a buffer with its frame header and an ACK. */
    LINK_TABLE_MESSAGE_CAP = MSGBUF_LARGE_BYTES - FRAME_DATA_HEADER - FRAME_ACK_BYTES,
    /* A stranger makes room for the next one when it has said nothing for so long, or is in its
     * handshake for so long. */
    LINK_TABLE_PATIENCE_IDLE_US = 250000,
    LINK_TABLE_PATIENCE_US = 2000000,
    LINK_TABLE_DRAINING_PER_NODE = 4,
};

/* Member of a list with a head of the same type; next == NULL: in no list. */
struct link_node {
    struct link_node *next;
    struct link_node *prev;
};

/*  DIALLING -> HANDSHAKE -> UP <-> SUSPECT -> DRAINING -> DOWN;  every state may end in DOWN.
 *  Accepted, datagram and sibling links begin in HANDSHAKE.  HANDSHAKE -> DRAINING loses a glare at
 * once, DRAINING -> UP steps in for the link that was kept and died. */
enum link_state {
    LINK_STATE_DIALLING,
    LINK_STATE_HANDSHAKE,
    LINK_STATE_UP,
    LINK_STATE_SUSPECT,
    LINK_STATE_DRAINING, /* lost the glare (AT-18): nothing new is sent, what comes is delivered */
    LINK_STATE_DOWN,     /* only its last events are waiting */
    LINK_STATE_COUNT
};

/* What each record touches stands in front, in a few cache lines that follow each other, the
 * flights behind it and what is seldom needed last: of many links hardly one is in the caches when
 * it speaks. */
struct link {
    enum link_state state;
    bool is_local;
    bool is_dialled;
    bool has_expect;
    bool has_input; /* TLS may have plaintext for us */
    bool is_stuck;  /* TLS has bytes that found no buffer */
    bool gather_has_data;
    bool was_up;       /* LINK_UP was due */
    bool told_up;      /* ... and taken */
    bool told_suspect; /* the last of LINK_SUSPECT, LINK_RESTORED was the first */
    bool owes_down;    /* LINK_DOWN is due although it is still draining */
    bool told_down;
    bool owes_quiet;  /* LINK_QUIET is due */
    bool gives_back;  /* LINK_UNACKED before LINK_DOWN */
    uint16_t shard;   /* local */
    uint16_t account; /* of its user, in the pool of buffers; 0 before it is authenticated */
    handle conn;      /* of a trunk */
    struct tls *tls;
    struct dtls *dtls;      /* of a datagram link, else NULL */
    struct link_node ready; /* in link_table.ready */
    struct link_node dirty; /* in link_table.dirty */
    struct msgbuf *gather;  /* frames of this turn, plaintext */
    uint32_t gather_first;  /* sequence of the first */
    uint32_t outstanding;   /* bytes the kernel has not taken */
    struct msgbuf *partial; /* the beginning of a frame */
    uint32_t partial_need;  /* bytes until it is worth looking again */
    uint16_t user_len;      /* of `user` */
    struct node_id node_id;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    struct wheel_timer timer;
    struct frame_io frames; /* its flights at its end */
    /* cold */
    struct link *next_draining;   /* of the same node, older */
    struct link_node handshaking; /* in link_table.handshaking */
    enum err error;               /* of LINK_DOWN */
    uint64_t tag;
    uint64_t opened_us;
    uint64_t up_since_us;
    uint64_t down_at_us;     /* SUSPECT, DRAINING: patience ends */
    uint64_t drain_bytes_in; /* DRAINING: bytes_in when the timer was armed */
    uint64_t not_after_ms;
    struct address remote;
    struct address listens; /* what the other side says of itself; port 0: nothing yet */
    char user[CRYPTO_USER_CAP + 1];
};

struct link_table {
    struct link_settings settings;
    struct pool pool;
    struct pool datagram_pool; /* struct dtls of the links that have one */
    struct tags by_node;       /* Node-ID -> pool index of the link that is up */
    struct tags draining;      /* Node-ID -> pool index of the newest of its links in DRAINING */
    struct frame_io_flights flights;
    struct table by_address; /* remote address -> pool index of the newest datagram link */
    struct announced announced;
    struct pace pace;
    struct link_node ready;       /* links with events, in order */
    struct link_node dirty;       /* links with something to flush */
    struct link_node handshaking; /* accepted, not yet authenticated, oldest first */
    uint32_t handshaking_count;   /* of that list */
    uint32_t dialling_count;      /* dialled, not yet authenticated */
    uint32_t up_count;
    uint32_t message_cap;
    struct link *siblings[LINK_TABLE_SIBLINGS];
    /* What link_next is reading: `chunk` holds plaintext of `reading`. */
    struct link *reading;
    size_t chunk_at;
    size_t chunk_len;
    uint8_t *chunk;       /* TLS_READ_BYTES, LINK_HEADROOM before them */
    struct msgbuf *spent; /* held the message handed out last */
    struct tls *lender;   /* has been lent bytes that it may not have read yet */
    struct link *mail_from;
    struct link *claimed; /* by link_claim, for link_commit; may be over otherwise */
    uint8_t *mail;
    size_t mail_len;
    char user[CRYPTO_USER_CAP + 1]; /* of the event handed out last */
};

/* A fresh link in state `first`, NULL when the pool is empty. */
struct link *link_table_add(struct link_table *lt, enum link_state first);
/* Gives everything back; the link is over. */
void link_table_remove(struct turn *t, struct link_table *lt, struct link *l);
/* The one way to change the state: checks the edge and keeps counts, lists and by_node right. */
void link_table_enter(struct turn *t, struct link_table *lt, struct link *l, enum link_state next);
handle link_table_handle(const struct link_table *lt, const struct link *l);
struct link *link_table_get(const struct link_table *lt, handle h);
/* Nobody reads received bytes that are not his any more: what was lent is read or copied. */
void link_table_settle_loan(struct link_table *lt);
/* The link that is up to a node. */
struct link *link_table_find(const struct link_table *lt, const struct node_id *id);
/* The newest of a node's links in DRAINING; next_draining leads to the others. */
struct link *link_table_draining(const struct link_table *lt, const struct node_id *id);
void link_table_note_ready(struct link_table *lt, struct link *l);
void link_table_note_dirty(struct link_table *lt, struct link *l);

/* May a connection from `remote` be accepted?  Makes room by closing the oldest stranger where that
 * is the rule.  False: refused and counted. */
bool link_table_admit(struct turn *t, struct link_table *lt, const struct address *remote);
/* `l` has just proved to be `l->node_id`: sorts it in and settles the glare (AT-18).  Afterwards it
 * is UP, or DRAINING when another link to the node is kept. */
void link_table_settle(struct turn *t, struct link_table *lt, struct link *l);
/* Begins the time after which the loser of a glare is closed: by the side that dialled it, or by
 * the other when nothing comes any more. */
void link_table_arm_drain(struct turn *t, struct link_table *lt, struct link *l);
/* An accepted link that is in HANDSHAKE: it is counted, and may have to make room. */
void link_table_note_stranger(struct link_table *lt, struct link *l);
/* The link to `id` has failed: a draining one takes its place, if there is one. */
void link_table_promote(struct turn *t, struct link_table *lt, const struct node_id *id);
/* Legal edges, for tests: bit `to` of the result. */
unsigned link_table_edges(enum link_state from);
