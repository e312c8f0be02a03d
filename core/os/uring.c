/* SPDX-License-Identifier: Apache-2.0 */
/* uring.c - see uring.h. */
#include "core/os/uring.h"
#include "core/limits.h"
#include "core/os/gso.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

enum {
    SUBMISSIONS = 1024,
    COMPLETIONS = 8192,
    GROUP_STREAM = 1,
    GROUP_DATAGRAM = 2,
    NAME_BYTES = 32,     /* of a sockaddr_in6, and what follows stays aligned */
    BUFFERS_CAP = 32768, /* the kernel's */
    PAGE_BYTES = 4096,
    SUBMIT_TRIES = 10000,
    FIXED_FILES = 32, /* bits of uring.fixed */
};
/* Header, address, control message, a train.  No multiple of the page: else all buffers would
 * compete for the same few lines of the caches. */
enum {
    DATAGRAM_SLOT_BYTES = (sizeof(struct io_uring_recvmsg_out) + NAME_BYTES +
                           sizeof(struct gso_control) + GSO_TRAIN_BYTES + 63) /
                          64 * 64
};
STATIC_CHECK(DATAGRAM_SLOT_BYTES % PAGE_BYTES != 0);
STATIC_CHECK(NAME_BYTES >= sizeof(struct sockaddr_in6));
STATIC_CHECK(DATAGRAM_SLOT_BYTES + sizeof(struct io_uring_buf) <= LIMITS_COST_datagram_buffers);

static uint32_t power_below(uint32_t n)
{
    uint32_t power = 1;
    while (power * 2 <= n && power * 2 <= BUFFERS_CAP) {
        power *= 2;
    }
    return power;
}

/* Refusal of a flag means an older kernel: try with less.  SINGLE_ISSUER is not given up, since it
 * came with multishot receive (6.0). */
static int open_ring(struct io_uring *ring, unsigned entries, unsigned completions,
                     bool *is_deferred)
{
    struct io_uring_params p = {0};
    p.cq_entries = completions;
    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
              IORING_SETUP_CLAMP | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    *is_deferred = true;
    int failed = io_uring_queue_init_params(entries, ring, &p);
    if (failed == -EINVAL) {
        p = (struct io_uring_params){0};
        p.cq_entries = completions;
        p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                  IORING_SETUP_CLAMP;
        *is_deferred = false;
        failed = io_uring_queue_init_params(entries, ring, &p);
    }
    return failed;
}

static uint8_t *buffer_at(const struct uring_buffers *b, uint16_t id)
{
    CHECK(id < b->count);
    return b->bytes + (size_t)id * b->each;
}

static int open_buffers(struct io_uring *ring, struct uring_buffers *b)
{
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)b->ring, .ring_entries = b->count, .bgid = b->group};
    int failed = io_uring_register_buf_ring(ring, &reg, 0);
    if (failed != 0) {
        return failed;
    }
    io_uring_buf_ring_init(b->ring);
    int mask = io_uring_buf_ring_mask(b->count);
    for (uint32_t i = 0; i < b->count; i++) {
        io_uring_buf_ring_add(b->ring, buffer_at(b, (uint16_t)i), b->each, (uint16_t)i, mask,
                              (int)i);
    }
    io_uring_buf_ring_advance(b->ring, (int)b->count);
    return 0;
}

static void take_buffers(struct uring_buffers *b, struct arena *arena, uint16_t group,
                         uint32_t count, uint32_t each)
{
    b->group = group;
    b->count = power_below(count);
    b->each = each;
    b->ring = arena_take(arena, b->count, sizeof(struct io_uring_buf), PAGE_BYTES);
    b->bytes = arena_take(arena, b->count, each, PAGE_BYTES);
}

size_t uring_bytes(uint32_t stream_buffers, uint32_t datagram_buffers)
{
    size_t each = sizeof(struct io_uring_buf);
    return (size_t)power_below(stream_buffers) * (DRIVER_STREAM_BYTES + each) +
           (size_t)power_below(datagram_buffers) * (DATAGRAM_SLOT_BYTES + each) + 4 * PAGE_BYTES;
}

/* Sends a message from a second ring to ours: kernels before 6.3 refuse it where task runs are
 * deferred, and then the eventfd has to do. */
static bool can_be_woken(struct io_uring *ours)
{
    struct io_uring other;
    if (io_uring_queue_init(4, &other, 0) != 0) {
        return false;
    }
    bool is_good = false;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&other);
    struct io_uring_cqe *cqe = NULL;
    io_uring_prep_msg_ring(sqe, ours->ring_fd, 0, driver_tag(DRIVER_NOTHING, 0), 0);
    if (io_uring_submit(&other) == 1 && io_uring_wait_cqe(&other, &cqe) == 0) {
        is_good = cqe->res == 0;
        io_uring_cqe_seen(&other, cqe);
    }
    io_uring_queue_exit(&other);
    return is_good;
}

int uring_probe(struct uring_features *out)
{
    static _Alignas(PAGE_BYTES) uint8_t block[3 * PAGE_BYTES]; /* start-up: one thread */
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    struct io_uring ring;
    *out = (struct uring_features){0};
    int failed = open_ring(&ring, 4, 8, &out->is_deferred);
    if (failed != 0) {
        return failed;
    }
    struct uring_buffers b = {0};
    take_buffers(&b, &arena, GROUP_STREAM, 1, 64);
    failed = open_buffers(&ring, &b);
    out->can_wake = failed == 0 && can_be_woken(&ring);
    io_uring_queue_exit(&ring);
    return failed;
}

/* OP_SEND with an address came with OP_SENDMSG_ZC (6.1); before, it is refused. */
static bool can_address(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool is_good = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC) != 0;
    io_uring_free_probe(probe);
    return is_good;
}

int uring_open(struct uring *u, struct arena *arena, uint32_t stream_buffers,
               uint32_t datagram_buffers, bool can_wake)
{
    *u = (struct uring){.can_wake = can_wake};
    take_buffers(&u->stream, arena, GROUP_STREAM, stream_buffers, DRIVER_STREAM_BYTES);
    take_buffers(&u->datagram, arena, GROUP_DATAGRAM, datagram_buffers, DATAGRAM_SLOT_BYTES);
    u->datagram_form.msg_namelen = NAME_BYTES;
    u->datagram_form.msg_controllen = sizeof(struct gso_control);
    int failed = open_ring(&u->ring, SUBMISSIONS, COMPLETIONS, &u->is_deferred);
    if (failed != 0) {
        return failed;
    }
    failed = open_buffers(&u->ring, &u->stream);
    if (failed == 0) {
        failed = open_buffers(&u->ring, &u->datagram);
    }
    if (failed != 0) {
        io_uring_queue_exit(&u->ring);
        return failed;
    }
    /* So the kernel need not look it up for each call; without, it does. */
    int ignored = io_uring_register_ring_fd(&u->ring);
    (void)ignored;
    u->can_address = can_address(&u->ring);
    u->can_register = io_uring_register_files_sparse(&u->ring, FIXED_FILES) == 0;
    return 0;
}

void uring_close(struct uring *u)
{
    io_uring_queue_exit(&u->ring);
}

/* A submission entry; a full queue is handed to the kernel first. */
static struct io_uring_sqe *entry(struct uring *u, uint64_t tag)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    for (uint32_t tries = 0; sqe == NULL && tries < SUBMIT_TRIES; tries++) {
        if (io_uring_submit(&u->ring) <= 0) {
            sched_yield(); /* the kernel is short of memory: it frees some as it completes */
        }
        sqe = io_uring_get_sqe(&u->ring);
    }
    CHECK(sqe != NULL);
    sqe->user_data = tag; /* the prep functions leave it alone */
    return sqe;
}

void uring_accept(struct uring *u, uint32_t listener, int fd)
{
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_ACCEPT, listener));
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
}

void uring_datagrams(struct uring *u, uint32_t listener, int fd)
{
    uint32_t bit = listener < FIXED_FILES ? (uint32_t)1 << listener : 0;
    if (u->can_register && bit != 0 && (u->fixed & bit) == 0 &&
        io_uring_register_files_update(&u->ring, listener, &fd, 1) == 1) {
        u->fixed |= bit; /* the kernel need not look it up for each datagram that leaves */
    }
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_DATAGRAM, listener));
    io_uring_prep_recvmsg_multishot(sqe, fd, &u->datagram_form, MSG_TRUNC);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP_DATAGRAM;
}

void uring_connect(struct uring *u, uint32_t conn, int fd, const struct sockaddr_storage *to,
                   socklen_t len)
{
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_CONNECT, conn));
    io_uring_prep_connect(sqe, fd, (const struct sockaddr *)to, len);
}

void uring_receive(struct uring *u, uint32_t conn, int fd)
{
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_RECEIVE, conn));
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP_STREAM;
}

void uring_send(struct uring *u, uint64_t tag, int fd, const struct msghdr *message)
{
    io_uring_prep_sendmsg(entry(u, tag), fd, message, MSG_NOSIGNAL);
}

void uring_send_datagram(struct uring *u, uint64_t tag, uint32_t listener, int fd,
                         const struct msghdr *message)
{
    struct io_uring_sqe *sqe = entry(u, tag);
    bool is_fixed = listener < FIXED_FILES && (u->fixed >> listener & 1) != 0;
    int file = is_fixed ? (int)listener : fd;
    if (u->can_address && message->msg_controllen == 0 && message->msg_iovlen == 1) {
        /* one by one: no message header to be copied and looked at */
        io_uring_prep_send(sqe, file, message->msg_iov->iov_base, message->msg_iov->iov_len,
                           MSG_NOSIGNAL);
        io_uring_prep_send_set_addr(sqe, message->msg_name, (uint16_t)message->msg_namelen);
    } else {
        io_uring_prep_sendmsg(sqe, file, message, MSG_NOSIGNAL);
    }
    sqe->flags |= is_fixed ? IOSQE_FIXED_FILE : 0;
}

void uring_cancel(struct uring *u, int fd)
{
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_NOTHING, 0));
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
}

void uring_watch(struct uring *u, int descriptor)
{
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_WAKE, (uint32_t)descriptor));
    io_uring_prep_poll_multishot(sqe, descriptor, POLLIN);
}

bool uring_wake(struct uring *u, int ring)
{
    if (!u->can_wake) {
        return false;
    }
    struct io_uring_sqe *sqe = entry(u, driver_tag(DRIVER_NOTHING, 1));
    io_uring_prep_msg_ring(sqe, ring, 0, driver_tag(DRIVER_WAKE, UINT32_MAX), 0);
    return true;
}

/* Gives the buffer of the last event back to the kernel. */
static void recycle(struct uring *u)
{
    const struct uring_buffers *b = u->lent_of;
    if (b == NULL) {
        return;
    }
    io_uring_buf_ring_add(b->ring, buffer_at(b, u->lent), b->each, u->lent,
                          io_uring_buf_ring_mask(b->count), 0);
    io_uring_buf_ring_advance(b->ring, 1);
    u->lent_of = NULL;
}

void uring_wait(struct uring *u, uint64_t timeout_us)
{
    if (timeout_us == 0) {
        io_uring_submit_and_get_events(&u->ring);
        return;
    }
    uint64_t capped = min_u64(timeout_us, DRIVER_WAIT_CAP_US);
    struct __kernel_timespec timeout = {.tv_sec = (int64_t)(capped / 1000000),
                                        .tv_nsec = (long long)(capped % 1000000 * 1000)};
    struct io_uring_cqe *cqe = NULL;
    /* -ETIME, -EINTR: nothing there, the caller looks at its clock. */
    int ignored = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &timeout, NULL);
    (void)ignored;
}

/* Reads memory that is shared with the kernel; calls it only when it has work to run for us. */
bool uring_is_ready(struct uring *u)
{
    if (io_uring_cq_ready(&u->ring) == 0 &&
        (IO_URING_READ_ONCE(*u->ring.sq.kflags) & IORING_SQ_TASKRUN) != 0) {
        io_uring_get_events(&u->ring);
    }
    return io_uring_cq_ready(&u->ring) > 0;
}

bool uring_again(struct uring *u)
{
    bool is_starved = u->is_starved;
    u->is_starved = false;
    if (is_starved) {
        uring_wait(u, 0);
    }
    return is_starved;
}

static const struct sockaddr_storage nobody;

/* Picks a received datagram apart; false when the kernel's layout does not fit. */
static bool read_datagram(struct uring *u, uint8_t *buffer, struct driver_event *out)
{
    struct io_uring_recvmsg_out *o =
        io_uring_recvmsg_validate(buffer, out->result, &u->datagram_form);
    if (o == NULL) {
        return false;
    }
    unsigned len = io_uring_recvmsg_payload_length(o, out->result, &u->datagram_form);
    out->data = io_uring_recvmsg_payload(o, &u->datagram_form);
    /* It stays where the kernel has put it: there is room for the longest (datagram_form). */
    out->from = o->namelen >= sizeof(struct sockaddr_in) ? io_uring_recvmsg_name(o) : &nobody;
    out->result = (int)len;
    out->segment =
        gso_read(io_uring_recvmsg_cmsg_firsthdr(o, &u->datagram_form), o->controllen, len);
    out->is_truncated = (o->flags & MSG_TRUNC) != 0 || len > GSO_TRAIN_BYTES;
    return true;
}

HOT bool uring_next(struct uring *u, struct driver_event *out)
{
    recycle(u);
    struct io_uring_cqe *cqe = NULL;
    if (io_uring_peek_cqe(&u->ring, &cqe) != 0 || cqe == NULL) {
        return false;
    }
    /* What is asked about below stays in registers: `out` is written in parts. */
    enum driver_kind kind = (enum driver_kind)(cqe->user_data >> 32);
    uint32_t index = (uint32_t)cqe->user_data;
    int result = cqe->res;
    bool is_last = (cqe->flags & IORING_CQE_F_MORE) == 0;
    *out =
        (struct driver_event){.kind = kind, .index = index, .result = result, .is_last = is_last};
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        u->lent = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        u->lent_of = kind == DRIVER_DATAGRAM ? &u->datagram : &u->stream;
        out->data = buffer_at(u->lent_of, u->lent);
    }
    io_uring_cqe_seen(&u->ring, cqe);
    if (kind == DRIVER_SEND_DATAGRAM) {
        return true;
    }
    if (kind == DRIVER_DATAGRAM) {
        if (result >= 0 && (out->data == NULL || !read_datagram(u, out->data, out))) {
            out->result = -EIO;
        }
        u->is_starved = u->is_starved || result == -ENOBUFS;
    } else if (kind == DRIVER_WAKE && index != UINT32_MAX && is_last) {
        uring_watch(u, (int)index);
    } else if (kind == DRIVER_NOTHING && index == 1 && result < 0) {
        u->can_wake = false; /* from now on the eventfd; no sleep is longer than a second anyway */
    }
    return true;
}
