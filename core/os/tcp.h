/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.h - the connections of a shard: accepted and dialled, their send queues, their ends.
 *
 * Driver events and operations go in, io_events come out; nothing calls up.  A connection's slot
 * lives until the kernel has let go of everything that belongs to it and its end has been reported,
 * so no completion is ever stale and no handle is reused under somebody's feet. Owner: the shard's
 * thread. Limits: conns, of which conns_reserved are kept for dialling; accepted connections are
 * strangers (core/os/stranger) until they are proved; conn_queue_bytes a connection; what all
 * connections of one address keep waiting has the share of the buffers that core/msgbuf.h says. */
#pragma once
#include "core/limits.h"
#include "core/os/driver.h"
#include "core/os/stranger.h"
#include "core/turn.h"

enum conn_state {
    CONN_DIALLING,
    CONN_OPEN,
    CONN_DRAINING, /* closed by us: what is queued goes out, then the other side's end is awaited */
    CONN_DYING,    /* over: waits for the kernel to let go, then for its report to be read */
    CONN_STATE_COUNT
};

enum { TCP_GATHER = 16 }; /* buffers in one send */

struct conn {
    enum conn_state state;
    int fd;
    enum err error;    /* for the report */
    uint8_t in_flight; /* verbs whose last event is still to come */
    bool is_sending;
    bool is_dialled;
    bool is_reported; /* its user knows that it is over, and wants no more events */
    bool is_listed;   /* in the list of reports */
    bool is_dirty;    /* in the list of those with something to send */
    bool is_shut;     /* we have said that we are done */
    bool has_ended;   /* the other side has, while we were draining */
    uint16_t listener;
    struct stranger stranger; /* counted while accepted and not proved */
    uint64_t tag;             /* of the dialler */
    struct address local;
    struct address remote;
    struct msgbuf *queue_first;
    struct msgbuf *queue_last;
    uint32_t queue_bytes; /* not yet taken by the kernel */
    uint16_t account;     /* of the buffers in it, by the address at the other end */
    uint64_t waits_us;    /* since when it has not been empty */
    uint32_t first_sent;  /* of queue_first */
    struct conn *next_report;
    struct conn *next_dirty;
    struct wheel_timer deadline; /* of dialling and of draining */
    struct msghdr message;
    union {
        struct iovec gather[TCP_GATHER];
        struct sockaddr_storage to; /* while dialling */
    } kernel;                       /* what the kernel may look at while in_flight */
};
STATIC_CHECK(sizeof(struct conn) <= LIMITS_COST_conns);

struct tcp_failed_dial {
    uint64_t tag;
    enum err error;
};

struct tcp {
    struct driver *driver;
    const struct limits *limits;
    struct turn *turn;
    struct pool conns;
    uint32_t live; /* connections that are not dying */
    struct strangers strangers;
    struct wheel wheel; /* the engine's own; the turn's belongs to the node */
    uint64_t seed;
    uint64_t searched_us; /* for those who hoard, last */
    struct conn *first_report;
    struct conn *last_report;
    struct conn *first_dirty;
    struct tcp_failed_dial *failed; /* dials that got no connection; one for each operation */
    uint32_t failed_count;
    uint32_t failed_at;
};

size_t tcp_bytes(const struct limits *l);
void tcp_init(struct tcp *t, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn, uint64_t table_seed);

/* Takes over an accepted descriptor.  True: *out is to be delivered. */
bool tcp_accepted(struct tcp *t, uint16_t listener, int fd, struct io_event *out);
/* A driver event of a connection.  True: *out is to be delivered. */
bool tcp_complete(struct tcp *t, const struct driver_event *e, struct io_event *out);
/* Ends and failed dials that nobody was told of yet.  Call until false. */
bool tcp_report(struct tcp *t, struct io_event *out);
void tcp_timers(struct tcp *t);

void tcp_connect(struct tcp *t, const struct io_op *op);
void tcp_send(struct tcp *t, handle conn, struct msgbuf *buf);
void tcp_close(struct tcp *t, handle conn);
void tcp_abort(struct tcp *t, handle conn);
void tcp_proved(struct tcp *t, handle conn);
/* The user has just asked for its end: no more events of it, not even in this turn. */
void tcp_mute(struct tcp *t, handle conn);
/* Hands every queue that grew this turn to the kernel. */
void tcp_flush(struct tcp *t);

bool tcp_has_report(const struct tcp *t);

/* At the end: closes all in peace, then aborts the rest.  tcp_is_empty says when the kernel has let
 * go. */
void tcp_close_all(struct tcp *t);
void tcp_abort_all(struct tcp *t);
bool tcp_is_empty(const struct tcp *t);
