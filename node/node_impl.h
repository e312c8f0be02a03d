/* SPDX-License-Identifier: Apache-2.0 */
/* node_impl.h - the inside of struct node, shared by node.c, path.c and answer.c only. */
#pragma once
#include "core/pool.h"
#include "link/pace.h"
#include "link/stream_tls.h"
#include "node/answer.h"
#include "node/home.h"
#include "node/outward.h"
#include "node/persist.h"
#include "node/wrapped.h"

/* Who a connection belongs to; the record stands at the index of its handle. */
enum node_owner {
    NODE_OWNER_NONE,
    NODE_OWNER_LINK,
    NODE_OWNER_PEER,
    NODE_OWNER_PHONE,  /* TCP */
    NODE_OWNER_WRAPPED /* the same within TLS or WebSocket */
};

struct node_conn {
    handle conn;
    handle user; /* of link, node_peer, SIP flow or wrapped */
    enum node_owner owner;
    uint32_t place; /* node/home: where it has begun, of a link; 0: nobody cares */
};

/* A TLS connection that carries SIP to or from another peer (AppAttach, RFC 7904 5.1). */
struct node_peer {
    struct stream_tls *tls; /* NULL while a dial is not connected */
    uint32_t queued_bytes;  /* given to the connection, not yet taken by the kernel */
    struct msgbuf *gather;  /* what this turn has for it: one record */
    struct node_peer *next; /* that has gathered something */
    handle conn;
    handle flow; /* of sip/, once authenticated */
    bool is_dialled;
    bool is_up;            /* authenticated */
    uint64_t since_us;     /* accepted, dialled */
    struct node_id expect; /* dialled: who must answer */
    struct address candidates[OVERLAY_CANDIDATES_CAP];
    size_t candidate_count;
    size_t candidate_next;
    struct wheel_timer deadline;
};

/* A document of another node on its way to whoever judges it. */
struct node_document {
    uint8_t *bytes; /* room for max-message-size */
    size_t len;
    struct node_id from;
    uint64_t tag;  /* of the overlay's event; 0 = there is none */
    bool is_given; /* node_next_document was there */
};

enum node_phase { NODE_RUNNING, NODE_DRAINING, NODE_LEAVING, NODE_STOPPED };

struct node {
    struct node_settings settings;
    struct link_table *links;
    struct overlay *overlay;
    struct sip *sip; /* NULL: storage-only peer */
    struct stream_tls_table *streams;
    uint8_t *plain;              /* TLS_READ_BYTES that a peer has sent */
    struct node_peer *gathering; /* the last that began to */
    struct node_conn *conns;
    uint32_t conn_cap;
    uint32_t conn_used; /* records from here on were never written */
    struct pool peers;
    uint32_t peers_strange; /* of those accepted, and not authenticated yet */
    struct pace pace;       /* of these */
    struct wrapped_all wrapped;
    struct pool outward;
    enum node_phase phase;
    struct wheel_timer drain;
    struct persist persist;
    struct home home;
    struct node_document document;
    struct answer *answers; /* ANSWER_CAP of them */
    uint32_t answers_open;  /* one bit each: waits for its event */
    uint32_t answers_due;   /* ... finished and not yet taken */
};

/* path.c */
void path_on_event(struct turn *t, struct node *n, const struct io_event *event);
void path_on_deadline(struct turn *t, struct node *n, struct wheel_timer *timer);
/* What was gathered for other peers leaves, a record for each. */
void path_flush(struct turn *t, struct node *n);
/* Lets everything that waits in one layer for another go there, until nothing moves. */
void path_pump(struct turn *t, struct node *n);
/* Whose a connection is, from now on. */
void path_record(struct node *n, handle conn, enum node_owner owner, handle user);
void path_forget(struct node *n, handle conn);

/* node.c */
void node_impl_on_document(struct turn *t, struct node *n, const struct overlay_event *event);

/* answer.c: true when the event was an answer's. */
bool answer_on_overlay(struct node *n, const struct overlay_event *event);
