/* SPDX-License-Identifier: Apache-2.0 */
/* mmsg.c - see mmsg.h. */
#include "core/os/mmsg.h"
#include <errno.h>
#include <string.h>

size_t mmsg_bytes(uint32_t received, uint32_t slots)
{
    size_t cap = min_size(received, MMSG_RECEIVED);
    return cap * (sizeof(struct mmsghdr) + sizeof(struct mmsg_room) + GSO_TRAIN_BYTES) +
           (size_t)slots * sizeof(struct mmsg_waiting) + MMSG_SENT * sizeof(struct mmsghdr) + 256;
}

void mmsg_init(struct mmsg_in *in, struct mmsg_out *out, struct arena *arena, uint32_t received,
               uint32_t slots)
{
    *in = (struct mmsg_in){.cap = (uint32_t)max_size(min_size(received, MMSG_RECEIVED), 1)};
    in->messages = ARENA_ARRAY(arena, struct mmsghdr, in->cap);
    in->rooms = ARENA_ARRAY(arena, struct mmsg_room, in->cap);
    in->bytes = ARENA_ARRAY(arena, uint8_t, (size_t)in->cap * GSO_TRAIN_BYTES);
    *out = (struct mmsg_out){.slots = slots};
    out->waiting = ARENA_ARRAY(arena, struct mmsg_waiting, slots);
    out->messages = ARENA_ARRAY(arena, struct mmsghdr, MMSG_SENT);
}

/* ---- receiving ---- */

bool mmsg_receive(struct mmsg_in *in, int fd)
{
    for (uint32_t i = 0; i < in->cap; i++) {
        struct mmsg_room *room = &in->rooms[i];
        room->part = (struct iovec){.iov_base = in->bytes + (size_t)i * GSO_TRAIN_BYTES,
                                    .iov_len = GSO_TRAIN_BYTES};
        in->messages[i].msg_hdr = (struct msghdr){.msg_name = &room->from,
                                                  .msg_namelen = sizeof(room->from),
                                                  .msg_iov = &room->part,
                                                  .msg_iovlen = 1,
                                                  .msg_control = room->control.bytes,
                                                  .msg_controllen = sizeof(room->control.bytes)};
    }
    int got = recvmmsg(fd, in->messages, in->cap, MSG_DONTWAIT, NULL);
    in->at = 0;
    in->count = got > 0 ? (uint32_t)got : 0; /* an error is about some earlier datagram */
    return got > 0;
}

bool mmsg_next(struct mmsg_in *in, struct driver_event *out)
{
    if (in->at >= in->count) {
        return false;
    }
    struct mmsg_room *room = &in->rooms[in->at];
    const struct mmsghdr *m = &in->messages[in->at];
    in->at++;
    out->result = (int)m->msg_len;
    out->is_truncated = (m->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    out->data = room->part.iov_base;
    out->segment = gso_read(room->control.bytes, m->msg_hdr.msg_controllen, m->msg_len);
    out->from = &room->from;
    return true;
}

bool mmsg_is_short(const struct mmsg_in *in)
{
    return in->count < in->cap;
}

void mmsg_drop(struct mmsg_in *in)
{
    in->at = in->count;
}

/* ---- sending ---- */

void mmsg_send(struct mmsg_out *out, uint32_t socket, uint32_t slot, const struct msghdr *message)
{
    CHECK(socket < MMSG_SOCKETS);
    CHECK(slot < out->slots);
    struct mmsg_queue *q = &out->queues[socket];
    out->waiting[slot] = (struct mmsg_waiting){.message = message};
    if (q->first == 0) {
        q->first = slot + 1;
    } else {
        out->waiting[q->last - 1].next = slot + 1;
    }
    q->last = slot + 1;
}

bool mmsg_take(struct mmsg_out *out, uint32_t socket, uint32_t *slot)
{
    struct mmsg_queue *q = &out->queues[socket];
    if (q->first == 0) {
        return false;
    }
    *slot = q->first - 1;
    q->first = out->waiting[*slot].next;
    q->last = q->first == 0 ? 0 : q->last;
    return true;
}

uint32_t mmsg_flush(struct mmsg_out *out, uint32_t socket, int fd,
                    struct mmsg_result results[MMSG_SENT])
{
    struct mmsg_queue *q = &out->queues[socket];
    unsigned count = 0;
    for (uint32_t at = q->first; at != 0 && count < MMSG_SENT; at = out->waiting[at - 1].next) {
        out->messages[count++] = (struct mmsghdr){.msg_hdr = *out->waiting[at - 1].message};
    }
    if (count == 0 || q->is_blocked) {
        return 0;
    }
    int taken = sendmmsg(fd, out->messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = taken < 0 ? errno : 0;
    if (error == EAGAIN) {
        q->is_blocked = true;
        return 0;
    }
    /* A failed call is about the first; those behind it are tried with the next call. */
    uint32_t done = taken > 0 ? (uint32_t)taken : 1;
    for (uint32_t i = 0; i < done; i++) {
        bool is_there = mmsg_take(out, socket, &results[i].slot);
        CHECK(is_there);
        results[i].result = taken > 0 ? (int)out->messages[i].msg_len : -error;
    }
    return done;
}
