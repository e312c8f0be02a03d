/* SPDX-License-Identifier: Apache-2.0 */
/* epoll.c - see epoll.h. */
#include "core/os/epoll.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READS_PER_WAKE = 16, BATCHES_PER_WAKE = 4 };

static uint32_t result_slots(uint32_t conns, uint32_t datagrams)
{
    uint32_t wanted = 3 * conns + datagrams + EPOLL_LISTENERS; /* receive, send, connect */
    uint32_t slots = 64;
    while (slots < wanted) {
        slots *= 2;
    }
    return slots;
}

size_t epoll_bytes(uint32_t conns, uint32_t received, uint32_t datagrams)
{
    return (size_t)conns * sizeof(struct epoll_conn) +
           (size_t)result_slots(conns, datagrams) * sizeof(struct epoll_result) +
           mmsg_bytes(received, datagrams) + DRIVER_STREAM_BYTES + 64;
}

int epoll_open(struct epoll *e, struct arena *arena, uint32_t conns, uint32_t received,
               uint32_t datagrams)
{
    CHECK(conns <= UINT32_MAX / 8);
    CHECK(datagrams <= UINT32_MAX / 8);
    *e = (struct epoll){.conn_cap = conns};
    e->conns = ARENA_ARRAY(arena, struct epoll_conn, conns);
    e->result_mask = result_slots(conns, datagrams) - 1;
    e->results = ARENA_ARRAY(arena, struct epoll_result, (size_t)e->result_mask + 1);
    e->buffer = ARENA_ARRAY(arena, uint8_t, DRIVER_STREAM_BYTES);
    mmsg_init(&e->datagrams_in, &e->datagrams_out, arena, received, datagrams);
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    return e->fd >= 0 ? 0 : -errno;
}

void epoll_close(struct epoll *e)
{
    close(e->fd);
    e->fd = -1;
}

/* Remembers a result for epoll_next. */
static void finish(struct epoll *e, enum driver_kind kind, uint32_t index, int result)
{
    CHECK(e->result_tail - e->result_head <= e->result_mask);
    e->results[e->result_tail++ & e->result_mask] = (struct epoll_result){kind, index, result};
}

static struct epoll_conn *conn_at(struct epoll *e, uint32_t conn)
{
    CHECK(conn < e->conn_cap);
    return &e->conns[conn];
}

static int control(struct epoll *e, int op, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event wanted = {.events = events, .data = {.u64 = tag}};
    return epoll_ctl(e->fd, op, fd, &wanted) == 0 ? 0 : -errno;
}

/* Tells the kernel what this connection waits for now. */
static int update(struct epoll *e, uint32_t conn, int fd)
{
    struct epoll_conn *c = conn_at(e, conn);
    bool wants_out = c->sending != NULL || c->is_connecting;
    uint32_t events =
        (c->is_receiving ? (uint32_t)EPOLLIN : 0u) | (wants_out ? (uint32_t)EPOLLOUT : 0u);
    int op = c->fd == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (c->fd == 0 && events == 0) {
        return 0;
    }
    int failed = control(e, op, fd, events, driver_tag(DRIVER_RECEIVE, conn));
    if (failed == 0) {
        c->fd = op == EPOLL_CTL_DEL ? 0 : fd + 1;
    }
    return failed;
}

void epoll_accept(struct epoll *e, uint32_t listener, int fd)
{
    CHECK(listener < EPOLL_LISTENERS);
    e->listeners[listener] = fd + 1;
    int failed = control(e, EPOLL_CTL_ADD, fd, EPOLLIN, driver_tag(DRIVER_ACCEPT, listener));
    if (failed != 0) {
        e->listeners[listener] = 0;
        finish(e, DRIVER_ACCEPT, listener, failed);
    }
}

void epoll_datagrams(struct epoll *e, uint32_t listener, int fd)
{
    CHECK(listener < EPOLL_LISTENERS);
    e->listeners[listener] = fd + 1;
    int failed = control(e, EPOLL_CTL_ADD, fd, EPOLLIN, driver_tag(DRIVER_DATAGRAM, listener));
    if (failed != 0) {
        e->listeners[listener] = 0;
        finish(e, DRIVER_DATAGRAM, listener, failed);
    }
}

void epoll_cancel_listener(struct epoll *e, uint32_t listener)
{
    CHECK(listener < EPOLL_LISTENERS);
    uint32_t slot = 0;
    while (mmsg_take(&e->datagrams_out, listener, &slot)) {
        finish(e, DRIVER_SEND_DATAGRAM, slot, -ECANCELED);
    }
    if (e->listeners[listener] != 0) {
        int ignored = control(e, EPOLL_CTL_DEL, e->listeners[listener] - 1, 0, 0);
        (void)ignored;
        e->listeners[listener] = 0;
    }
}

void epoll_connect(struct epoll *e, uint32_t conn, int fd, const struct sockaddr_storage *to,
                   socklen_t len)
{
    int failed = connect(fd, (const struct sockaddr *)to, len) == 0 ? 0 : -errno;
    if (failed == -EINPROGRESS) {
        conn_at(e, conn)->is_connecting = true;
        failed = update(e, conn, fd);
        if (failed == 0) {
            return;
        }
        conn_at(e, conn)->is_connecting = false;
    }
    finish(e, DRIVER_CONNECT, conn, failed);
}

void epoll_receive(struct epoll *e, uint32_t conn, int fd)
{
    conn_at(e, conn)->is_receiving = true;
    int failed = update(e, conn, fd);
    if (failed != 0) {
        conn_at(e, conn)->is_receiving = false;
        finish(e, DRIVER_RECEIVE, conn, failed);
    }
}

static int try_send(int fd, const struct msghdr *message)
{
    ssize_t sent = sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent >= 0 ? (int)sent : -errno;
}

void epoll_send(struct epoll *e, uint32_t conn, int fd, const struct msghdr *message)
{
    int result = try_send(fd, message);
    if (result == -EAGAIN) {
        conn_at(e, conn)->sending = message;
        result = update(e, conn, fd);
        if (result == 0) {
            return;
        }
        conn_at(e, conn)->sending = NULL;
    }
    finish(e, DRIVER_SEND, conn, result);
}

void epoll_send_datagram(struct epoll *e, uint32_t listener, uint32_t slot,
                         const struct msghdr *message)
{
    mmsg_send(&e->datagrams_out, listener, slot, message);
}

/* Hands over what was queued for one socket; what is left then waits for EPOLLOUT. */
static void flush_datagrams(struct epoll *e, uint32_t listener)
{
    struct mmsg_queue *q = &e->datagrams_out.queues[listener];
    struct mmsg_result results[MMSG_SENT];
    uint32_t count = 0;
    if (q->first == 0 || q->is_blocked) {
        return;
    }
    int fd = e->listeners[listener] - 1;
    while ((count = mmsg_flush(&e->datagrams_out, listener, fd, results)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            finish(e, DRIVER_SEND_DATAGRAM, results[i].slot, results[i].result);
        }
    }
    if (q->is_blocked && control(e, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT,
                                 driver_tag(DRIVER_DATAGRAM, listener)) != 0) {
        epoll_cancel_listener(e, listener); /* no descriptor to wait for */
    }
}

static void unblock_datagrams(struct epoll *e, uint32_t listener)
{
    struct mmsg_queue *q = &e->datagrams_out.queues[listener];
    int fd = e->listeners[listener] - 1;
    if (q->is_blocked && fd >= 0) {
        q->is_blocked = false;
        int ignored = control(e, EPOLL_CTL_MOD, fd, EPOLLIN, driver_tag(DRIVER_DATAGRAM, listener));
        (void)ignored;
        flush_datagrams(e, listener);
    }
}

void epoll_cancel(struct epoll *e, uint32_t conn)
{
    struct epoll_conn *c = conn_at(e, conn);
    if (c->is_connecting) {
        finish(e, DRIVER_CONNECT, conn, -ECANCELED);
    }
    if (c->sending != NULL) {
        finish(e, DRIVER_SEND, conn, -ECANCELED);
    }
    if (c->is_receiving) {
        finish(e, DRIVER_RECEIVE, conn, -ECANCELED);
    }
    int fd = c->fd - 1;
    c->is_connecting = false;
    c->sending = NULL;
    c->is_receiving = false;
    if (fd >= 0) {
        int ignored = update(e, conn, fd);
        (void)ignored;
        c->fd = 0;
    }
}

void epoll_watch(struct epoll *e, int descriptor)
{
    /* Edge-triggered: every write wakes once, and nobody has to read the counter. */
    CHECK(control(e, EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLET, driver_tag(DRIVER_WAKE, 0)) ==
          0);
}

void epoll_sleep(struct epoll *e, uint64_t timeout_us)
{
    for (uint32_t i = 0; i < EPOLL_LISTENERS; i++) {
        flush_datagrams(e, i);
    }
    bool has_results = e->result_head != e->result_tail;
    uint64_t capped = has_results ? 0 : min_u64(timeout_us, DRIVER_WAIT_CAP_US);
    if (e->ready_at < e->ready_count) {
        return; /* the last batch is not used up */
    }
    struct timespec timeout = {.tv_sec = (time_t)(capped / 1000000),
                               .tv_nsec = (long)(capped % 1000000 * 1000)};
    int count = epoll_pwait2(e->fd, e->ready, EPOLL_BATCH, &timeout, NULL);
    if (count < 0 && errno == ENOSYS) {
        count = epoll_wait(e->fd, e->ready, EPOLL_BATCH, (int)((capped + 999) / 1000));
    }
    e->ready_at = 0;
    e->ready_count = count > 0 ? (uint32_t)count : 0;
    e->reads = 0;
}

bool epoll_is_ready(struct epoll *e)
{
    epoll_sleep(e, 0);
    return e->result_head != e->result_tail || e->ready_at < e->ready_count;
}

/* A connection or listener has more to read than is good for the others: next time. */
static void leave(struct epoll *e)
{
    e->ready_at++;
    e->reads = 0;
}

static bool next_accept(struct epoll *e, uint32_t listener, struct driver_event *out)
{
    int fd = e->listeners[listener] - 1;
    int result = fd < 0 ? -EAGAIN : accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int error = result < 0 ? (fd < 0 ? EAGAIN : errno) : 0;
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED) {
        leave(e);
        return false;
    }
    if (error != 0) {
        leave(e); /* no descriptors: stop until driver_accept is called again */
        epoll_cancel_listener(e, listener);
    }
    *out = (struct driver_event){.kind = DRIVER_ACCEPT,
                                 .index = listener,
                                 .result = error != 0 ? -error : result,
                                 .is_last = error != 0};
    return true;
}

static bool next_datagram(struct epoll *e, uint32_t listener, uint32_t events,
                          struct driver_event *out)
{
    struct mmsg_in *in = &e->datagrams_in;
    *out = (struct driver_event){.kind = DRIVER_DATAGRAM, .index = listener};
    int fd = e->listeners[listener] - 1;
    if (fd < 0) {
        mmsg_drop(in);
    }
    if (mmsg_next(in, out)) {
        return true;
    }
    if (e->reads == 0 && (events & EPOLLOUT) != 0) {
        unblock_datagrams(e, listener);
    }
    bool is_over = e->reads == BATCHES_PER_WAKE || (e->reads > 0 && mmsg_is_short(in));
    e->reads++;
    if (fd < 0 || is_over || !mmsg_receive(in, fd)) {
        leave(e);
        return false;
    }
    return mmsg_next(in, out);
}

/* -ENOTCONN while the handshake is still under way, 0, or what went wrong. */
static int connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return -errno;
    }
    if (error != 0) {
        return -error;
    }
    struct sockaddr_storage peer;
    len = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 ? 0 : -errno;
}

/* The writing half of a connection that epoll says is ready. */
static bool next_out(struct epoll *e, uint32_t conn, struct driver_event *out)
{
    struct epoll_conn *c = conn_at(e, conn);
    int result = 0;
    *out = (struct driver_event){.index = conn, .is_last = true};
    if (c->is_connecting) {
        result = connect_result(c->fd - 1);
        if (result == -ENOTCONN) {
            return false;
        }
        c->is_connecting = false;
        out->kind = DRIVER_CONNECT;
    } else if (c->sending != NULL) {
        result = try_send(c->fd - 1, c->sending);
        if (result == -EAGAIN) {
            return false;
        }
        c->sending = NULL;
        out->kind = DRIVER_SEND;
    } else {
        return false;
    }
    out->result = result;
    int failed = update(e, conn, c->fd - 1);
    out->result = failed != 0 && result >= 0 ? failed : result;
    return true;
}

static bool next_in(struct epoll *e, uint32_t conn, struct driver_event *out)
{
    struct epoll_conn *c = conn_at(e, conn);
    if (!c->is_receiving) {
        return false;
    }
    ssize_t got = recv(c->fd - 1, e->buffer, DRIVER_STREAM_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    int result = got >= 0 ? (int)got : -errno;
    *out = (struct driver_event){.kind = DRIVER_RECEIVE,
                                 .index = conn,
                                 .result = result,
                                 .is_last = result <= 0,
                                 .data = e->buffer};
    if (result <= 0) {
        c->is_receiving = false;
        int ignored = update(e, conn, c->fd - 1);
        (void)ignored;
    }
    return true;
}

static bool next_conn(struct epoll *e, uint32_t conn, uint32_t events, struct driver_event *out)
{
    if (conn_at(e, conn)->fd == 0) {
        leave(e); /* cancelled since */
        return false;
    }
    bool can_write = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    if (can_write && e->reads <= 1 && next_out(e, conn, out)) {
        return true;
    }
    bool can_read = (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
    if (can_read && conn_at(e, conn)->fd != 0 && next_in(e, conn, out)) {
        return true;
    }
    leave(e);
    return false;
}

static bool next_ready(struct epoll *e, struct driver_event *out)
{
    const struct epoll_event *ready = &e->ready[e->ready_at];
    uint32_t index = (uint32_t)ready->data.u64;
    enum driver_kind kind = (enum driver_kind)(ready->data.u64 >> 32);
    if (kind == DRIVER_DATAGRAM) {
        return next_datagram(e, index, ready->events, out);
    }
    e->reads++;
    if (e->reads > READS_PER_WAKE) {
        leave(e);
        return false;
    }
    if (kind == DRIVER_ACCEPT) {
        return next_accept(e, index, out);
    }
    if (kind == DRIVER_RECEIVE) {
        return next_conn(e, index, ready->events, out);
    }
    leave(e);
    *out = (struct driver_event){.kind = DRIVER_WAKE};
    return true;
}

bool epoll_next(struct epoll *e, struct driver_event *out)
{
    if (e->result_head != e->result_tail) {
        const struct epoll_result *r = &e->results[e->result_head++ & e->result_mask];
        *out = (struct driver_event){
            .kind = r->kind, .index = r->index, .result = r->result, .is_last = true};
        return true;
    }
    while (e->ready_at < e->ready_count) {
        if (next_ready(e, out)) {
            return true;
        }
    }
    return false;
}
