/* SPDX-License-Identifier: Apache-2.0 */
/* uring.h - the verbs of core/os/driver.h on io_uring.
 *
 * Needs Linux 6.0 (single issuer, multishot receive, provided buffer rings); deferred task run and
 * MSG_RING where the kernel has them.  Everything started in a turn goes to the kernel with one
 * call. Owner: the thread that called uring_open (SINGLE_ISSUER). */
#pragma once
#include "core/arena.h"
#include "core/os/driver_event.h"
#include <liburing.h>

/* Buffers that the kernel picks from when bytes arrive. */
struct uring_buffers {
    struct io_uring_buf_ring *ring;
    uint8_t *bytes;
    uint32_t count; /* a power of two */
    uint32_t each;
    uint16_t group;
};

struct uring {
    struct io_uring ring;
    struct uring_buffers stream;
    struct uring_buffers datagram;
    struct msghdr datagram_form;         /* what a received datagram is laid out by */
    const struct uring_buffers *lent_of; /* the buffer of the last event, NULL = none */
    uint16_t lent;
    bool is_starved;   /* a receive of datagrams has ended for want of buffers */
    bool is_deferred;  /* DEFER_TASKRUN */
    bool can_wake;     /* MSG_RING */
    bool can_address;  /* OP_SEND takes an address */
    bool can_register; /* sockets */
    uint32_t fixed;    /* bit of a listener: its socket is registered under that number */
};

struct uring_features {
    bool is_deferred;
    bool can_wake;
};
/* What the kernel answered: 0, or -errno of the first thing it refused. */
int uring_probe(struct uring_features *out);
/* 0 or -errno; `stream_buffers` and `datagram_buffers` are rounded down to powers of two. */
int uring_open(struct uring *u, struct arena *arena, uint32_t stream_buffers,
               uint32_t datagram_buffers, bool can_wake);
size_t uring_bytes(uint32_t stream_buffers, uint32_t datagram_buffers);
void uring_close(struct uring *u);

void uring_accept(struct uring *u, uint32_t listener, int fd);
void uring_datagrams(struct uring *u, uint32_t listener, int fd);
void uring_connect(struct uring *u, uint32_t conn, int fd, const struct sockaddr_storage *to,
                   socklen_t len);
void uring_receive(struct uring *u, uint32_t conn, int fd);
void uring_send(struct uring *u, uint64_t tag, int fd, const struct msghdr *message);
/* The same for a datagram or a train of the listener's socket. */
void uring_send_datagram(struct uring *u, uint64_t tag, uint32_t listener, int fd,
                         const struct msghdr *message);
void uring_cancel(struct uring *u, int fd);
void uring_watch(struct uring *u, int descriptor);
bool uring_wake(struct uring *u, int ring);
void uring_wait(struct uring *u, uint64_t timeout_us);
bool uring_next(struct uring *u, struct driver_event *out);
bool uring_again(struct uring *u);
bool uring_is_ready(struct uring *u);
