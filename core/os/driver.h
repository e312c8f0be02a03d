/* SPDX-License-Identifier: Apache-2.0 */
/* driver.h - the verbs that tcp and udp need from the kernel, filled by uring and by epoll.
 *
 * Verbs start something; what becomes of it is a driver_event later, with the index that was given.
 * At most one receive, one send and one connect are under way for an index, and each ends with
 * exactly one event whose is_last is set; until then descriptor, msghdr and buffers must stay.
 * Owner: one shard's thread. */
#pragma once
#include "core/os/epoll.h"
#include "core/os/uring.h"

struct driver {
    bool is_uring;
    struct uring uring;
    struct epoll epoll;
};

void driver_accept(struct driver *d, uint32_t listener, int fd);
void driver_datagrams(struct driver *d, uint32_t listener, int fd);
void driver_connect(struct driver *d, uint32_t conn, int fd, const struct sockaddr_storage *to,
                    socklen_t len);
void driver_receive(struct driver *d, uint32_t conn, int fd);
void driver_send(struct driver *d, uint32_t conn, int fd, const struct msghdr *message);
/* The same for a datagram, or a train of them; `slot` is the sender's.  Those of one listener leave
 * in order; they leave with the next driver_wait. */
void driver_send_datagram(struct driver *d, uint32_t listener, uint32_t slot, int fd,
                          const struct msghdr *message);
/* Makes what is under way on the descriptor of a connection end soon. */
void driver_cancel(struct driver *d, uint32_t conn, int fd);
/* Stops listening: the accept or datagram receive ends. */
void driver_cancel_listener(struct driver *d, uint32_t listener, int fd);
/* Reports DRIVER_WAKE whenever the eventfd is written to. */
void driver_watch(struct driver *d, int descriptor);
/* Wakes the shard that owns the ring; false when this driver cannot. */
bool driver_wake(struct driver *d, int ring);
/* Hands over what was started and waits for an event, until `timeout_us` is over. */
void driver_wait(struct driver *d, uint64_t timeout_us);
/* The next event, valid until the next call; false when there is none left. */
bool driver_next(struct driver *d, struct driver_event *out);
/* There is an event, as far as can be told without sleeping. */
bool driver_is_ready(struct driver *d);
/* After driver_next has returned false: true when datagrams are waiting that there was no buffer
 * for before; they are asked for. */
bool driver_again(struct driver *d);
void driver_close(struct driver *d);
