/* SPDX-License-Identifier: Apache-2.0 */
/* epoll.h - the verbs of core/os/driver.h on epoll, for hosts that forbid io_uring.
 *
 * Level-triggered; a descriptor that stays readable is left after a few reads, so that nobody
 * starves. Sends are tried at once and wait for EPOLLOUT only when the kernel's buffer is full;
 * datagrams go in batches (core/os/mmsg).
 * Owner: one shard's thread.  Limits: one record a connection, from the arena. */
#pragma once
#include "core/arena.h"
#include "core/os/mmsg.h"
#include <sys/epoll.h>

enum { EPOLL_BATCH = 256, EPOLL_LISTENERS = MMSG_SOCKETS };

struct epoll_conn {
    const struct msghdr *sending; /* waits for EPOLLOUT */
    int fd;                       /* + 1; 0 = not in the epoll set */
    bool is_receiving;
    bool is_connecting;
};

struct epoll_result {
    enum driver_kind kind;
    uint32_t index;
    int result;
};

struct epoll {
    int fd;
    uint32_t conn_cap;
    struct epoll_conn *conns;
    int listeners[EPOLL_LISTENERS]; /* + 1 */
    struct epoll_result *results;   /* a ring of what is finished already */
    uint32_t result_mask;
    uint32_t result_head;
    uint32_t result_tail;
    struct epoll_event ready[EPOLL_BATCH];
    uint32_t ready_count;
    uint32_t ready_at;
    uint32_t reads; /* of the descriptor at ready_at */
    uint8_t *buffer;
    struct mmsg_in datagrams_in; /* of the listener at ready_at */
    struct mmsg_out datagrams_out;
};

/* What an arena must have.  `received`: datagrams read at a time; `datagrams`: the most sends of
 * datagrams under way. */
size_t epoll_bytes(uint32_t conns, uint32_t received, uint32_t datagrams);
/* 0 or -errno. */
int epoll_open(struct epoll *e, struct arena *arena, uint32_t conns, uint32_t received,
               uint32_t datagrams);
void epoll_close(struct epoll *e);

void epoll_accept(struct epoll *e, uint32_t listener, int fd);
void epoll_datagrams(struct epoll *e, uint32_t listener, int fd);
void epoll_connect(struct epoll *e, uint32_t conn, int fd, const struct sockaddr_storage *to,
                   socklen_t len);
void epoll_receive(struct epoll *e, uint32_t conn, int fd);
void epoll_send(struct epoll *e, uint32_t conn, int fd, const struct msghdr *message);
void epoll_send_datagram(struct epoll *e, uint32_t listener, uint32_t slot,
                         const struct msghdr *message);
void epoll_cancel(struct epoll *e, uint32_t conn);
void epoll_cancel_listener(struct epoll *e, uint32_t listener);
void epoll_watch(struct epoll *e, int descriptor);
void epoll_sleep(struct epoll *e, uint64_t timeout_us);
bool epoll_is_ready(struct epoll *e);
bool epoll_next(struct epoll *e, struct driver_event *out);
