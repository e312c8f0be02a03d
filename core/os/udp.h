/* SPDX-License-Identifier: Apache-2.0 */
/* udp.h - the datagram sockets of a shard.
 *
 * Owner: the shard's thread.  Limits: datagrams_in_flight sends under way; what is beyond is
 * dropped and counted, as a full wire would. */
#pragma once
#include "core/limits.h"
#include "core/os/driver.h"
#include "core/pool.h"
#include "core/turn.h"

struct udp_send {
    struct msgbuf *buf;
    struct msghdr message;
    struct iovec part;
    struct sockaddr_storage to;
};
STATIC_CHECK(sizeof(struct udp_send) <= LIMITS_COST_datagrams_in_flight);

struct udp {
    struct driver *driver;
    struct turn *turn;
    struct pool sends;
    int fds[IO_LISTENER_COUNT]; /* -1 = none */
    struct address locals[IO_LISTENER_COUNT];
};

size_t udp_bytes(const struct limits *l);
void udp_init(struct udp *u, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn);
/* Takes over a bound socket and reads from it. */
void udp_start(struct udp *u, uint16_t listener, int fd);
/* True: *out is to be delivered. */
bool udp_complete(struct udp *u, const struct driver_event *e, struct io_event *out);
/* Takes over the reference to `buf`. */
void udp_send(struct udp *u, uint16_t listener, const struct address *remote, struct msgbuf *buf);
