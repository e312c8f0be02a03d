/* SPDX-License-Identifier: Apache-2.0 */
/* floor_udp_mmsg.c - the engines that batch system calls (recvmmsg, sendmmsg), one datagram each or
 * in trains (UDP GRO and GSO), which also spare the walks through the kernel's stack. */
#include "bench/floor_udp.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH_CAP = 64, TRAIN_BYTES = 65536, TRAIN_CAP = 64, TRAIN_SENT_BYTES_CAP = 65000 };

/* ---- one by one ---- */

struct datagrams {
    struct mmsghdr in[BATCH_CAP];
    struct mmsghdr out[BATCH_CAP];
    struct iovec in_iov[BATCH_CAP];
    struct iovec out_iov[BATCH_CAP];
    uint8_t bytes[BATCH_CAP][2048];
};

static void send_all(int fd, struct mmsghdr *messages, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(fd, messages + done, count - done, 0);
        floor_run_require(sent > 0, "sendmmsg failed");
        done += (unsigned)sent;
    }
}

void floor_udp_mmsg_run(struct floor_udp_server *server)
{
    struct datagrams *d = calloc(1, sizeof(*d));
    floor_run_require(d != NULL && server->batch <= BATCH_CAP, "no memory, or too large a batch");
    for (unsigned i = 0; i < BATCH_CAP; i++) {
        d->in_iov[i] = (struct iovec){d->bytes[i], sizeof(d->bytes[i])};
        d->out_iov[i].iov_base = d->bytes[i];
        d->in[i].msg_hdr = (struct msghdr){.msg_iov = &d->in_iov[i], .msg_iovlen = 1};
        d->out[i].msg_hdr = (struct msghdr){
            .msg_iov = &d->out_iov[i], .msg_iovlen = 1, .msg_namelen = sizeof(struct sockaddr_in)};
    }
    for (bool is_on = true; is_on;) {
        int got = recvmmsg(server->fd, d->in, server->batch, MSG_WAITFORONE, NULL);
        floor_run_require(got > 0, "recvmmsg failed");
        unsigned count = 0;
        for (int i = 0; i < got && is_on; i++) {
            struct floor_udp_head *head = (void *)d->bytes[i];
            is_on = head->hop != FLOOR_UDP_END;
            if (is_on) {
                head->mark = ~head->mark;
                d->out_iov[i].iov_len = d->in[i].msg_len;
                d->out[i].msg_hdr.msg_name = &server->hops[head->hop % server->hop_count];
                count++;
            }
        }
        send_all(server->fd, d->out, count);
        floor_udp_count(server, count);
    }
    free(d);
}

/* ---- trains ---- */

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

/* What leaves for one hop: segments of what came in, in place. */
struct departure {
    struct iovec iov[TRAIN_CAP];
    union control control;
    unsigned count;
    size_t bytes;
    size_t segment;
};

struct trains {
    struct mmsghdr in[BATCH_CAP];
    struct iovec in_iov[BATCH_CAP];
    union control in_control[BATCH_CAP];
    struct mmsghdr out[FLOOR_UDP_HOPS_CAP];
    struct departure hops[FLOOR_UDP_HOPS_CAP];
    unsigned leaving[FLOOR_UDP_HOPS_CAP]; /* hops that have something */
    unsigned leaving_count;
    uint8_t bytes[BATCH_CAP][TRAIN_BYTES];
};

static size_t segment_bytes(struct msghdr *message, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int bytes;
            memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
            return bytes > 0 ? (size_t)bytes : len;
        }
    }
    return len;
}

/* Sends one train to each hop that has one. */
static void flush(struct floor_udp_server *server, struct trains *t)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < t->leaving_count; i++) {
        struct departure *d = &t->hops[t->leaving[i]];
        struct cmsghdr *c = &d->control.header;
        uint16_t segment = (uint16_t)d->segment;
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(segment));
        memcpy(CMSG_DATA(c), &segment, sizeof(segment));
        t->out[i].msg_hdr = (struct msghdr){.msg_name = &server->hops[t->leaving[i]],
                                            .msg_namelen = sizeof(struct sockaddr_in),
                                            .msg_iov = d->iov,
                                            .msg_iovlen = d->count,
                                            .msg_control = d->control.bytes,
                                            .msg_controllen = CMSG_SPACE(sizeof(segment))};
        sent += d->count;
    }
    send_all(server->fd, t->out, t->leaving_count);
    for (unsigned i = 0; i < t->leaving_count; i++) {
        t->hops[t->leaving[i]].count = 0;
        t->hops[t->leaving[i]].bytes = 0;
    }
    t->leaving_count = 0;
    floor_udp_count(server, sent);
}

/* One segment on its way; false at the end. */
static bool forward_segment(struct floor_udp_server *server, struct trains *t, uint8_t *bytes,
                            size_t len)
{
    struct floor_udp_head *head = (void *)bytes;
    if (head->hop == FLOOR_UDP_END) {
        return false;
    }
    unsigned hop = head->hop % server->hop_count;
    struct departure *d = &t->hops[hop];
    head->mark = ~head->mark;
    if (d->count > 0 &&
        (d->count == TRAIN_CAP || d->bytes + len > TRAIN_SENT_BYTES_CAP || d->segment != len)) {
        flush(server, t);
    }
    if (d->count == 0) {
        t->leaving[t->leaving_count++] = hop;
        d->segment = len;
    }
    d->iov[d->count++] = (struct iovec){bytes, len};
    d->bytes += len;
    return true;
}

void floor_udp_train_run(struct floor_udp_server *server)
{
    struct trains *t = calloc(1, sizeof(*t));
    int on = 1;
    floor_run_require(t != NULL && server->batch <= BATCH_CAP, "no memory, or too large a batch");
    floor_run_require(setsockopt(server->fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0, "no UDP_GRO");
    for (bool is_on = true; is_on;) {
        for (unsigned i = 0; i < server->batch; i++) {
            t->in_iov[i] = (struct iovec){t->bytes[i], sizeof(t->bytes[i])};
            t->in[i].msg_hdr = (struct msghdr){.msg_iov = &t->in_iov[i],
                                               .msg_iovlen = 1,
                                               .msg_control = t->in_control[i].bytes,
                                               .msg_controllen = sizeof(t->in_control[i].bytes)};
        }
        int got = recvmmsg(server->fd, t->in, server->batch, MSG_WAITFORONE, NULL);
        floor_run_require(got > 0, "recvmmsg failed");
        for (int i = 0; i < got && is_on; i++) {
            size_t len = t->in[i].msg_len;
            size_t step = segment_bytes(&t->in[i].msg_hdr, len);
            for (size_t at = 0; at < len && is_on; at += step) {
                is_on = forward_segment(server, t, t->bytes[i] + at, min_size(step, len - at));
            }
        }
        flush(server, t);
    }
    free(t);
}
