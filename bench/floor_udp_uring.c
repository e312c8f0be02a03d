/* SPDX-License-Identifier: Apache-2.0 */
/* floor_udp_uring.c - the engine on io_uring: one multishot recvmsg fills provided buffers, each
 * datagram leaves from its buffer over the connected socket of its hop, all submitted together. */
#include "bench/floor_udp.h"

#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFERS = 512, BUFFER_BYTES = 2048, QUEUE = 1024, GROUP = 1, RECEIVED = 0xffff };

struct engine {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *bytes;
    struct msghdr shape; /* what a received datagram brings besides its bytes: nothing */
    int fds[1 + FLOOR_UDP_HOPS_CAP]; /* registered: the listener, then the hops */
};

static uint8_t *buffer_at(const struct engine *e, unsigned index)
{
    return e->bytes + (size_t)index * BUFFER_BYTES;
}

static void give_buffer(struct engine *e, unsigned index, int offset)
{
    io_uring_buf_ring_add(e->buffers, buffer_at(e, index), BUFFER_BYTES, (unsigned short)index,
                          io_uring_buf_ring_mask(BUFFERS), offset);
}

/* A socket on the listener's own address, so that the hops see the port of the listener. */
static int connect_hop(const struct floor_udp_server *server, unsigned hop)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *to = (const void *)&server->hops[hop];
    floor_run_require(fd >= 0 && connect(fd, to, sizeof(server->hops[hop])) == 0,
                      "no socket for a hop");
    return fd;
}

static void arm(struct engine *e)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);
    floor_run_require(sqe != NULL, "the submission queue is full");
    io_uring_prep_recvmsg_multishot(sqe, 0, &e->shape, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, RECEIVED);
}

static void open_engine(struct engine *e, const struct floor_udp_server *server)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4 * QUEUE};
    struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
    size_t ring_bytes = BUFFERS * sizeof(struct io_uring_buf);
    floor_run_require(io_uring_queue_init_params(QUEUE, &e->ring, &params) == 0,
                      "io_uring is not to be had here");
    e->buffers = aligned_alloc(4096, (ring_bytes + 4095) / 4096 * 4096);
    e->bytes = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_BYTES);
    floor_run_require(e->buffers != NULL && e->bytes != NULL, "no memory");
    memset(e->bytes, 0, (size_t)BUFFERS * BUFFER_BYTES);
    reg.ring_addr = (uintptr_t)e->buffers;
    floor_run_require(io_uring_register_buf_ring(&e->ring, &reg, 0) == 0, "no provided buffers");
    io_uring_buf_ring_init(e->buffers);
    for (unsigned i = 0; i < BUFFERS; i++) {
        give_buffer(e, i, (int)i);
    }
    io_uring_buf_ring_advance(e->buffers, BUFFERS);
    e->fds[0] = server->fd;
    for (unsigned i = 0; i < server->hop_count; i++) {
        e->fds[1 + i] = connect_hop(server, i);
    }
    floor_run_require(io_uring_register_files(&e->ring, e->fds, 1 + server->hop_count) == 0,
                      "the sockets cannot be registered");
}

/* One received datagram: queues its way out.  False at the end. */
static bool forward(struct engine *e, const struct floor_udp_server *server, unsigned index,
                    int received)
{
    struct io_uring_recvmsg_out *out =
        io_uring_recvmsg_validate(buffer_at(e, index), received, &e->shape);
    floor_run_require(out != NULL, "a datagram that does not fit its buffer");
    struct floor_udp_head *head = io_uring_recvmsg_payload(out, &e->shape);
    if (head->hop == FLOOR_UDP_END) {
        return false;
    }
    head->mark = ~head->mark;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);
    floor_run_require(sqe != NULL, "the submission queue is full");
    io_uring_prep_send(sqe, (int)(1 + head->hop % server->hop_count), head,
                       io_uring_recvmsg_payload_length(out, received, &e->shape), 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, index);
    return true;
}

/* All completions that are there; false at the end. */
static bool reap(struct engine *e, struct floor_udp_server *server)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    unsigned sent = 0;
    bool is_on = true;
    bool is_armed = true;
    io_uring_for_each_cqe(&e->ring, head, cqe)
    {
        seen++;
        if (cqe->user_data != RECEIVED) {
            floor_run_require(cqe->res > 0, "a send failed");
            give_buffer(e, (unsigned)cqe->user_data, (int)sent);
            sent++;
            continue;
        }
        is_armed = is_armed && (cqe->flags & IORING_CQE_F_MORE) != 0;
        if ((cqe->flags & IORING_CQE_F_BUFFER) != 0 && is_on) {
            is_on = forward(e, server, cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
        }
    }
    io_uring_cq_advance(&e->ring, seen);
    io_uring_buf_ring_advance(e->buffers, (int)sent);
    if (!is_armed && is_on) { /* the buffers were used up */
        arm(e);
    }
    floor_udp_count(server, sent);
    return is_on;
}

void floor_udp_uring_run(struct floor_udp_server *server)
{
    struct engine e = {0};
    open_engine(&e, server);
    arm(&e);
    do {
        int ret = io_uring_submit_and_wait(&e.ring, 1);
        floor_run_require(ret >= 0, "io_uring_submit_and_wait failed");
    } while (reap(&e, server));
    io_uring_queue_exit(&e.ring);
    for (unsigned i = 0; i < server->hop_count; i++) {
        (void)close(e.fds[1 + i]);
    }
    free(e.bytes);
    free(e.buffers);
}
