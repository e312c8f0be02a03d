/* SPDX-License-Identifier: Apache-2.0 */
/* udp.h - the datagram sockets of a shard.
 *
 * What arrives as a train (core/os/gso.h) is delivered datagram by datagram; what leaves is
 * core/os/train's.  Owner: the shard's thread. */
#pragma once
#include "core/os/train.h"

struct udp {
    struct driver *driver;
    struct turn *turn;
    struct trains trains;
    int fds[IO_LISTENER_COUNT]; /* -1 = none */
    struct address locals[IO_LISTENER_COUNT];
    /* The train that is being delivered; `datagram` is what its next event is made from. */
    struct io_event datagram;
    uint8_t *rest;
    uint32_t rest_len;
    uint32_t segment;
    bool has_more;
};

size_t udp_bytes(const struct limits *l);
void udp_init(struct udp *u, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn, uint64_t seed);
/* Takes over a bound socket and reads from it. */
void udp_start(struct udp *u, uint16_t listener, int fd);
/* A driver event, which udp_next must be asked about before the driver is asked for the next. */
void udp_complete(struct udp *u, const struct driver_event *e);
/* The next datagram to be delivered, valid until the next call; NULL when there is none left of the
 * last driver event. */
struct io_event *udp_next(struct udp *u);
/* Takes over the reference to `buf`; it leaves with udp_flush. */
void udp_send(struct udp *u, uint16_t listener, const struct address *remote, struct msgbuf *buf);
void udp_flush(struct udp *u);
/* Nothing is on its way out. */
bool udp_is_empty(const struct udp *u);
