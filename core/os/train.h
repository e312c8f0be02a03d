/* SPDX-License-Identifier: Apache-2.0 */
/* train.h - datagrams on their way out, gathered within a turn into trains (core/os/gso.h).
 *
 * Datagrams of one turn to one remote, equal in size but for a shorter last one, leave with one
 * call that points at each message buffer; nothing is copied and nothing waits for the next turn.
 * The order towards a remote is kept.  A train that the kernel or the device refuses goes out again
 * as single datagrams, and its socket makes no such trains for a while.  Owner: the shard's thread.
 * Limits: datagrams_in_flight sends, of which trains_in_flight carry more than one datagram;
 * datagrams_per_train.  Beyond the first, datagrams are dropped and counted, beyond the second they
 * leave one by one. */
#pragma once
#include "core/limits.h"
#include "core/os/driver.h"
#include "core/os/gso.h"
#include "core/pool.h"
#include "core/turn.h"
#include <netinet/in.h>

enum { TRAIN_TABLE = 256, TRAIN_PROBES = 4 };

/* The second datagram and on; a datagram alone does without. */
struct train_rest {
    struct iovec parts[GSO_SEGMENTS];
    struct msgbuf *bufs[GSO_SEGMENTS];
};
STATIC_CHECK(sizeof(struct train_rest) + 16 <= LIMITS_COST_trains_in_flight);

struct train {
    struct msghdr message;
    struct iovec part;  /* of a datagram alone */
    struct msgbuf *buf; /* the same */
    struct train_rest *rest;
    struct train *next; /* gathered in this turn */
    struct gso_control control;
    struct sockaddr_in6 to; /* or sockaddr_in */
    struct address remote;
    uint32_t bytes;
    uint16_t segment; /* size of each but the last */
    uint16_t count;
    uint16_t listener;
    uint16_t slot; /* of the table */
    bool has_last; /* a shorter one ended it */
};
STATIC_CHECK(sizeof(struct train) + 16 <= LIMITS_COST_datagrams_in_flight);

/* How one socket sends. */
struct train_line {
    int fd;                /* -1 = none */
    uint8_t family;        /* of the socket */
    bool is_known;         /* UDP_SEGMENT can be asked for */
    bool is_told;          /* the log knows that it was refused */
    uint32_t segment_most; /* longest datagram that goes by train */
    uint64_t refused_until_us;
};

struct trains {
    struct driver *driver;
    struct turn *turn;
    const struct limits *limits;
    struct pool heads;
    struct pool rests;
    struct train *first; /* gathered in this turn, oldest first */
    struct train *last;
    struct train *table[TRAIN_TABLE]; /* the one that may grow, by remote */
    uint64_t seed;                    /* of the table */
    struct train_line lines[IO_LISTENER_COUNT];
};

size_t train_bytes(const struct limits *l);
void train_init(struct trains *t, struct arena *arena, const struct limits *l,
                struct driver *driver, struct turn *turn, uint64_t seed);
/* Datagrams of `listener` leave through this bound socket. */
void train_open(struct trains *t, uint16_t listener, int fd, uint8_t family);
/* Takes over the reference to `buf`; it leaves with train_flush. */
void train_add(struct trains *t, uint16_t listener, const struct address *remote,
               struct msgbuf *buf);
/* Hands everything gathered to the driver. */
void train_flush(struct trains *t);
/* The driver's DRIVER_SEND_DATAGRAM. */
void train_complete(struct trains *t, const struct driver_event *e);
