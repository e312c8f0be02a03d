/* SPDX-License-Identifier: Apache-2.0 */
/* mmsg.h - datagrams in batches, one system call for many: the datagram half of core/os/epoll.
 *
 * Sends are queued by socket and handed over when the shard is about to wait; what a full socket
 * does not take stays queued, in order, until it can be written to again.  Owner: one shard's
 * thread.  Limits: MMSG_RECEIVED datagrams or trains at a time, `slots` sends. */
#pragma once
#include "core/arena.h"
#include "core/os/driver_event.h"
#include "core/os/gso.h"

enum { MMSG_RECEIVED = 32, MMSG_SENT = 64, MMSG_SOCKETS = 16 };

struct mmsg_room {
    struct iovec part;
    struct sockaddr_storage from;
    struct gso_control control;
};

struct mmsg_in {
    struct mmsghdr *messages;
    struct mmsg_room *rooms;
    uint8_t *bytes;
    uint32_t cap;
    uint32_t count;
    uint32_t at;
};

struct mmsg_waiting {
    const struct msghdr *message;
    uint32_t next; /* slot + 1 */
};

struct mmsg_queue {
    uint32_t first; /* slot + 1, 0 = none */
    uint32_t last;
    bool is_blocked; /* until the socket can be written to */
};

struct mmsg_out {
    struct mmsg_waiting *waiting; /* by slot */
    uint32_t slots;
    struct mmsghdr *messages; /* of one call */
    struct mmsg_queue queues[MMSG_SOCKETS];
};

size_t mmsg_bytes(uint32_t received, uint32_t slots);
void mmsg_init(struct mmsg_in *in, struct mmsg_out *out, struct arena *arena, uint32_t received,
               uint32_t slots);

/* Reads what there is, MMSG_RECEIVED at most; false when there is nothing. */
bool mmsg_receive(struct mmsg_in *in, int fd);
/* The next of it; false when all were given. */
bool mmsg_next(struct mmsg_in *in, struct driver_event *out);
/* Less came than there was room for: the socket is empty. */
bool mmsg_is_short(const struct mmsg_in *in);
/* Forgets what was read and not yet given. */
void mmsg_drop(struct mmsg_in *in);

void mmsg_send(struct mmsg_out *out, uint32_t socket, uint32_t slot, const struct msghdr *message);
/* Hands over what the socket takes.  Writes up to `cap` finished slots and their results, returns
 * how many; call until it returns 0. */
struct mmsg_result {
    uint32_t slot;
    int result;
};
uint32_t mmsg_flush(struct mmsg_out *out, uint32_t socket, int fd,
                    struct mmsg_result results[MMSG_SENT]);
/* The next that waits, taken off its queue, for whoever gives up; false when there is none. */
bool mmsg_take(struct mmsg_out *out, uint32_t socket, uint32_t *slot);
