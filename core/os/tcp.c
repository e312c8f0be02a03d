/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.c - see tcp.h. */
#include "core/os/tcp.h"
#include "core/hash.h"
#include "core/os/sock.h"
#include <errno.h>
#include <unistd.h>

enum {
    DIAL_US = 8000000,   /* as TCP_USER_TIMEOUT */
    DRAIN_US = 5000000,  /* io.h: IO_OP_CLOSE */
    LINGER_US = 1000000, /* for the other side's end, once all is sent */
    HOARD_US = 500000,   /* to take what waits, while one's address has more than its share */
    V6_HOST_BYTES = 8,
};

size_t tcp_bytes(const struct limits *l)
{
    size_t conn = sizeof(struct conn) + 2 * sizeof(uint32_t) + 16;
    return (size_t)l->conns * conn + (size_t)l->outbox * sizeof(struct tcp_failed_dial) +
           stranger_bytes(l) + 1024;
}

void tcp_init(struct tcp *t, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn, uint64_t table_seed)
{
    memset(t, 0, sizeof(*t));
    t->driver = driver;
    t->limits = l;
    t->turn = turn;
    pool_init(&t->conns, arena, "conns", HANDLE_CONN, l->conns, sizeof(struct conn));
    stranger_init(&t->strangers, arena, l, table_seed);
    t->failed = ARENA_ARRAY(arena, struct tcp_failed_dial, l->outbox);
    t->seed = table_seed;
    wheel_init(&t->wheel, turn->now_us);
}

static uint32_t index_of(const struct tcp *t, const struct conn *c)
{
    return handle_index(pool_handle(&t->conns, c));
}

/* ---- the end of a connection ---- */

static void list_report(struct tcp *t, struct conn *c)
{
    CHECK(!c->is_listed);
    c->is_listed = true;
    c->next_report = NULL;
    if (t->last_report == NULL) {
        t->first_report = c;
    } else {
        t->last_report->next_report = c;
    }
    t->last_report = c;
}

static void drop_queue(struct tcp *t, struct conn *c)
{
    while (c->queue_first != NULL) {
        struct msgbuf *b = c->queue_first;
        c->queue_first = b->next;
        b->next = NULL;
        msgbuf_release(t->turn->buffers, b);
    }
    c->queue_last = NULL;
    c->queue_bytes = 0;
}

/* Gives the slot back once nobody needs it any more: kernel, list of reports, list of the dirty. */
static void retire(struct tcp *t, struct conn *c)
{
    if (c->state != CONN_DYING || c->in_flight > 0) {
        return;
    }
    if (c->fd >= 0) {
        drop_queue(t, c);
        close(c->fd);
        c->fd = -1;
    }
    if (!c->is_listed && !c->is_dirty) {
        CHECK(c->is_reported);
        pool_release(&t->conns, c);
        metric_set(t->turn->metrics, METRIC_conns, t->conns.in_use);
    }
}

/* The connection is over; `error` is for its user, who is told unless it was he who closed it.  The
 * slot stays until tcp_report has seen it, so callers may go on looking at it. */
static void kill_conn(struct tcp *t, struct conn *c, enum err error)
{
    if (c->state == CONN_DYING) {
        return;
    }
    wheel_cancel(&t->wheel, &c->deadline);
    stranger_remove(&t->strangers, &c->stranger);
    c->state = CONN_DYING;
    CHECK(t->live > 0);
    t->live--;
    c->error = error;
    if (c->in_flight > 0) {
        driver_cancel(t->driver, index_of(t, c), c->fd);
    }
    list_report(t, c);
}

/* Takes the next conn off the list of reports. */
static struct conn *unlist(struct tcp *t)
{
    struct conn *c = t->first_report;
    if (c != NULL) {
        t->first_report = c->next_report;
        t->last_report = t->first_report == NULL ? NULL : t->last_report;
        c->next_report = NULL;
        c->is_listed = false;
    }
    return c;
}

bool tcp_report(struct tcp *t, struct io_event *out)
{
    if (t->failed_at < t->failed_count) {
        const struct tcp_failed_dial *f = &t->failed[t->failed_at++];
        *out = (struct io_event){.kind = IO_CONNECTED, .error = f->error, .tag = f->tag};
        return true;
    }
    t->failed_at = 0;
    t->failed_count = 0;
    struct conn *c = NULL;
    while ((c = unlist(t)) != NULL) {
        bool is_news = !c->is_reported;
        c->is_reported = true;
        if (is_news) {
            *out = (struct io_event){.kind = c->is_dialled ? IO_CONNECTED : IO_CLOSED,
                                     .error = c->error,
                                     .conn = c->is_dialled ? 0 : pool_handle(&t->conns, c),
                                     .tag = c->tag,
                                     .listener = c->listener,
                                     .local = c->local,
                                     .remote = c->remote};
        }
        retire(t, c);
        if (is_news) {
            return true;
        }
    }
    return false;
}

/* ---- sending ---- */

static void mark_dirty(struct tcp *t, struct conn *c)
{
    if (!c->is_dirty) {
        c->is_dirty = true;
        c->next_dirty = t->first_dirty;
        t->first_dirty = c;
    }
}

/* One send for as much of the queue as fits into the gather list; one at a time. */
static void start_send(struct tcp *t, struct conn *c)
{
    size_t count = 0;
    uint32_t skip = c->first_sent;
    for (struct msgbuf *b = c->queue_first; b != NULL && count < TCP_GATHER; b = b->next) {
        c->kernel.gather[count++] =
            (struct iovec){.iov_base = msgbuf_data(b) + skip, .iov_len = b->len - skip};
        skip = 0;
    }
    c->message = (struct msghdr){.msg_iov = c->kernel.gather, .msg_iovlen = count};
    c->is_sending = true;
    c->in_flight++;
    driver_send(t->driver, index_of(t, c), c->fd, &c->message);
}

/* Draining and nothing left: say that we are done and wait a moment for the other side, since
 * closing at once could reset the connection under bytes that are still on their way. */
static void shut(struct tcp *t, struct conn *c)
{
    if (c->is_shut) {
        return;
    }
    c->is_shut = true;
    if (c->has_ended || shutdown(c->fd, SHUT_WR) != 0) {
        kill_conn(t, c, ERR_CLOSED);
        return;
    }
    uint64_t until_us = min_u64(c->deadline.due_us, t->turn->now_us + LINGER_US);
    wheel_arm(&t->wheel, &c->deadline, until_us);
}

static void advance(struct tcp *t, struct conn *c)
{
    bool can_send = c->state == CONN_OPEN || c->state == CONN_DRAINING;
    if (!can_send || c->is_sending) {
        return;
    }
    if (c->queue_first != NULL) {
        start_send(t, c);
    } else if (c->state == CONN_DRAINING) {
        shut(t, c);
    }
}

static void overflow(struct tcp *t, struct conn *c)
{
    metric_add(t->turn->metrics, METRIC_conns_overflowed, 1);
    sock_reset_on_close(c->fd);
    kill_conn(t, c, ERR_LIMIT);
}

/* Whoever has many connections and reads from none of them could have all buffers wait for him,
 * each connection within conn_queue_bytes.  What waits counts to his address. */
static bool is_hoarding(const struct tcp *t, const struct conn *c)
{
    const struct msgbuf_pool *pool = t->turn->buffers;
    return c->queue_first != NULL && c->queue_first->account == c->account &&
           t->turn->now_us - c->waits_us >= HOARD_US &&
           !msgbuf_has_share(pool, c->account, c->queue_first->is_large != 0);
}

/* Those who are silent, too, once in a while when buffers are few. */
static void search_hoarders(struct tcp *t)
{
    const struct msgbuf_pool *pool = t->turn->buffers;
    uint32_t index = 0;
    struct conn *c = NULL;
    bool is_scarce = pool->in_use[0] > pool->cap[0] / 4 || pool->in_use[1] > pool->cap[1] / 4;
    if (!is_scarce || t->turn->now_us - t->searched_us < HOARD_US) {
        return;
    }
    t->searched_us = t->turn->now_us;
    while ((c = pool_next(&t->conns, &index)) != NULL) {
        if (c->state != CONN_DYING && is_hoarding(t, c)) {
            overflow(t, c);
        }
    }
}

void tcp_flush(struct tcp *t)
{
    search_hoarders(t);
    struct conn *c = t->first_dirty;
    t->first_dirty = NULL;
    while (c != NULL) {
        struct conn *next = c->next_dirty;
        c->is_dirty = false;
        advance(t, c);
        retire(t, c);
        c = next;
    }
}

/* The kernel took `bytes` from the front of the queue. */
static void consume(struct tcp *t, struct conn *c, uint32_t bytes)
{
    CHECK(bytes <= c->queue_bytes);
    c->queue_bytes -= bytes;
    c->first_sent += bytes;
    while (c->queue_first != NULL && c->first_sent >= c->queue_first->len) {
        struct msgbuf *b = c->queue_first;
        c->first_sent -= b->len;
        c->queue_first = b->next;
        b->next = NULL;
        msgbuf_release(t->turn->buffers, b);
    }
    if (c->queue_first == NULL) {
        CHECK(c->queue_bytes == 0);
        c->queue_last = NULL;
        c->first_sent = 0;
    }
}

static struct conn *find(struct tcp *t, handle conn)
{
    return pool_get(&t->conns, conn);
}

/* Small pieces that the other side does not take share a buffer, else they would hold as many as
 * there are.  The kernel may be reading the one that waits, in front of where this goes. */
static bool join_last(const struct conn *c, const struct msgbuf *buf)
{
    struct msgbuf *last = c->queue_last;
    return last != NULL && last->refs == 1 && msgbuf_append(last, msgbuf_slice(buf)) == ERR_OK;
}

void tcp_send(struct tcp *t, handle conn, struct msgbuf *buf)
{
    struct conn *c = find(t, conn);
    if (c == NULL || c->state != CONN_OPEN || buf->len == 0) {
        msgbuf_release(t->turn->buffers, buf);
        return;
    }
    if ((uint64_t)c->queue_bytes + buf->len > t->limits->conn_queue_bytes) {
        /* Bytes cannot be left out of a stream: a reader too slow for its queue loses it. */
        msgbuf_release(t->turn->buffers, buf);
        overflow(t, c);
        return;
    }
    if (join_last(c, buf)) {
        c->queue_bytes += buf->len;
        msgbuf_release(t->turn->buffers, buf);
        mark_dirty(t, c);
        return;
    }
    if (buf->refs > 1) {
        struct msgbuf *copy = msgbuf_acquire(t->turn->buffers, buf->len);
        enum err e = copy == NULL ? ERR_NO_MEMORY : msgbuf_append(copy, msgbuf_slice(buf));
        msgbuf_release(t->turn->buffers, buf);
        if (e != ERR_OK) {
            metric_add(t->turn->metrics, METRIC_msgbuf_exhausted, 1);
            kill_conn(t, c, ERR_NO_MEMORY);
            return;
        }
        buf = copy;
    }
    if (buf->account == 0) { /* those of a link count to its peer */
        msgbuf_charge(t->turn->buffers, buf, c->account);
    }
    buf->next = NULL;
    if (c->queue_last == NULL) {
        c->queue_first = buf;
        c->waits_us = t->turn->now_us;
    } else {
        c->queue_last->next = buf;
    }
    c->queue_last = buf;
    c->queue_bytes += buf->len;
    mark_dirty(t, c);
}

/* ---- beginning ---- */

static uint16_t account_of(const struct tcp *t, const struct address *remote)
{
    size_t len = remote->family == 6 ? V6_HOST_BYTES : sizeof(remote->ip);
    return msgbuf_account(hash_64(slice_of(remote->ip, len), t->seed));
}

static struct conn *make(struct tcp *t, int fd, const struct address *remote)
{
    struct conn *c = pool_acquire(&t->conns);
    if (c == NULL) {
        return NULL;
    }
    c->fd = fd;
    c->remote = *remote;
    c->account = account_of(t, remote);
    t->live++;
    c->deadline.tag = pool_handle(&t->conns, c);
    metric_set(t->turn->metrics, METRIC_conns, t->conns.in_use);
    return c;
}

static void start_receive(struct tcp *t, struct conn *c)
{
    c->in_flight++;
    driver_receive(t->driver, index_of(t, c), c->fd);
}

static enum metric metric_of(enum stranger_verdict verdict)
{
    switch (verdict) {
    case STRANGER_WELCOME:
        return METRIC_COUNT;
    case STRANGER_HOST:
        return METRIC_conns_refused_host;
    case STRANGER_LISTENER:
        return METRIC_conns_refused_listener;
    }
    UNREACHABLE("verdict");
}

/* Makes room for one more stranger; returns the reason to refuse it, or METRIC_COUNT for none. */
static enum metric make_room(struct tcp *t, uint16_t listener, const struct address *remote)
{
    uint32_t reserved = (uint32_t)min_u64(t->limits->conns_reserved, t->conns.cap);
    struct stranger *evict = NULL;
    enum metric reason =
        metric_of(stranger_judge(&t->strangers, listener, remote, t->turn->now_us, &evict));
    if (reason == METRIC_COUNT && t->live >= t->conns.cap - reserved) {
        reason = METRIC_conns_refused_full;
        evict = stranger_oldest(&t->strangers, t->turn->now_us);
    }
    if (t->conns.in_use >= t->conns.cap) {
        return METRIC_conns_refused_full; /* the slots of the dying are not free yet */
    }
    if (evict != NULL) {
        struct conn *c = CONTAINER_OF(evict, struct conn, stranger);
        metric_add(t->turn->metrics, METRIC_conns_evicted, 1);
        sock_reset_on_close(c->fd);
        kill_conn(t, c, ERR_LIMIT);
        return METRIC_COUNT;
    }
    return reason;
}

bool tcp_accepted(struct tcp *t, uint16_t listener, int fd, struct io_event *out)
{
    CHECK(listener < IO_LISTENER_COUNT);
    struct address remote = sock_remote(fd);
    if (remote.family == 0) {
        close(fd); /* gone before we looked */
        metric_add(t->turn->metrics, METRIC_conns_refused_gone, 1);
        return false;
    }
    enum metric refused = make_room(t, listener, &remote);
    if (refused != METRIC_COUNT) {
        metric_add(t->turn->metrics, refused, 1);
        sock_reset_on_close(fd);
        close(fd);
        return false;
    }
    struct conn *c = make(t, fd, &remote);
    CHECK(c != NULL); /* make_room looked */
    sock_tune(fd);
    c->state = CONN_OPEN;
    c->listener = listener;
    c->local = sock_local(fd);
    stranger_add(&t->strangers, &c->stranger, listener, &remote, t->turn->now_us);
    start_receive(t, c);
    metric_add(t->turn->metrics, METRIC_conns_accepted, 1);
    *out = (struct io_event){.kind = IO_ACCEPTED,
                             .conn = pool_handle(&t->conns, c),
                             .listener = listener,
                             .local = c->local,
                             .remote = c->remote};
    return true;
}

static void fail_dial(struct tcp *t, uint64_t tag, enum err error)
{
    metric_add(t->turn->metrics, METRIC_dials_failed, 1);
    CHECK(t->failed_count < t->limits->outbox); /* one an operation, read every turn */
    t->failed[t->failed_count++] = (struct tcp_failed_dial){tag, error};
}

void tcp_connect(struct tcp *t, const struct io_op *op)
{
    if (op->remote.family == 0 || op->remote.port == 0) {
        fail_dial(t, op->tag, ERR_UNREACHABLE_PEER);
        return;
    }
    if (t->conns.in_use >= t->conns.cap) {
        fail_dial(t, op->tag, ERR_LIMIT);
        return;
    }
    int fd = sock_stream(op->remote.family, &op->local, t->driver->is_uring);
    if (fd < 0) {
        fail_dial(t, op->tag, sock_err(-fd));
        return;
    }
    struct conn *c = make(t, fd, &op->remote);
    CHECK(c != NULL);
    sock_tune(fd);
    c->state = CONN_DIALLING;
    c->is_dialled = true;
    c->listener = IO_LISTENER_COUNT;
    c->tag = op->tag;
    wheel_arm(&t->wheel, &c->deadline, t->turn->now_us + DIAL_US);
    socklen_t len = sock_from_address(&op->remote, &c->kernel.to);
    c->in_flight++;
    driver_connect(t->driver, index_of(t, c), fd, &c->kernel.to, len);
}

/* ---- completions ---- */

static bool complete_connect(struct tcp *t, struct conn *c, int result, struct io_event *out)
{
    if (c->state != CONN_DIALLING) {
        return false;
    }
    if (result < 0) {
        metric_add(t->turn->metrics, METRIC_dials_failed, 1);
        kill_conn(t, c, sock_err(-result));
        return false;
    }
    wheel_cancel(&t->wheel, &c->deadline);
    c->state = CONN_OPEN;
    c->is_dialled = false; /* from now on its end is an IO_CLOSED */
    c->local = sock_local(c->fd);
    start_receive(t, c);
    metric_add(t->turn->metrics, METRIC_conns_dialled, 1);
    *out = (struct io_event){.kind = IO_CONNECTED,
                             .conn = pool_handle(&t->conns, c),
                             .tag = c->tag,
                             .local = c->local,
                             .remote = c->remote};
    return true;
}

static bool complete_receive(struct tcp *t, struct conn *c, const struct driver_event *e,
                             struct io_event *out)
{
    bool is_out_of_buffers = e->result == -ENOBUFS;
    if (c->state == CONN_DYING) {
        return false;
    }
    if (e->result == 0 && c->state == CONN_DRAINING && c->queue_first != NULL) {
        c->has_ended = true; /* it still gets what is queued */
        return false;
    }
    if (e->result <= 0 && !is_out_of_buffers && e->result != -EINTR) {
        kill_conn(t, c, e->result == 0 ? ERR_CLOSED : sock_err(-e->result));
        return false;
    }
    if (e->is_last) {
        start_receive(t, c);
    }
    if (is_out_of_buffers) {
        metric_add(t->turn->metrics, METRIC_receive_buffers_exhausted, 1);
    }
    if (e->result <= 0 || c->state != CONN_OPEN || c->is_reported) {
        return false; /* draining: what still comes is read and forgotten */
    }
    *out = (struct io_event){.kind = IO_STREAM,
                             .conn = pool_handle(&t->conns, c),
                             .listener = c->listener,
                             .data = e->data,
                             .data_len = (size_t)e->result};
    return true;
}

static bool complete_send(struct tcp *t, struct conn *c, int result, struct io_event *out)
{
    c->is_sending = false;
    if (c->state == CONN_DYING) {
        return false;
    }
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
        kill_conn(t, c, sock_err(-result));
        return false;
    }
    uint32_t bytes = result > 0 ? (uint32_t)result : 0;
    consume(t, c, bytes);
    advance(t, c);
    if (bytes == 0 || c->state != CONN_OPEN || c->is_reported) {
        return false;
    }
    *out = (struct io_event){.kind = IO_SENT, .conn = pool_handle(&t->conns, c), .data_len = bytes};
    return true;
}

bool tcp_complete(struct tcp *t, const struct driver_event *e, struct io_event *out)
{
    CHECK(e->index < t->conns.cap);
    struct conn *c =
        (struct conn *)(void *)(t->conns.objects + (size_t)e->index * t->conns.object_size);
    if (e->is_last) {
        CHECK(c->in_flight > 0);
        c->in_flight--;
    }
    bool is_wanted = false;
    if (e->kind == DRIVER_CONNECT) {
        is_wanted = complete_connect(t, c, e->result, out);
    } else if (e->kind == DRIVER_SEND) {
        is_wanted = complete_send(t, c, e->result, out);
    } else {
        CHECK(e->kind == DRIVER_RECEIVE);
        is_wanted = complete_receive(t, c, e, out);
    }
    if (!is_wanted) {
        retire(t, c);
    }
    return is_wanted;
}

void tcp_timers(struct tcp *t)
{
    struct wheel_timer *timer = NULL;
    while ((timer = wheel_take(&t->wheel, t->turn->now_us)) != NULL) {
        struct conn *c = CONTAINER_OF(timer, struct conn, deadline);
        bool is_dial = c->state == CONN_DIALLING;
        if (is_dial) {
            metric_add(t->turn->metrics, METRIC_dials_failed, 1);
        } else if (!c->is_shut) {
            metric_add(t->turn->metrics, METRIC_conns_cut, 1);
            sock_reset_on_close(c->fd);
        }
        kill_conn(t, c, ERR_TIMEOUT);
    }
}

/* ---- closing ---- */

void tcp_close(struct tcp *t, handle conn)
{
    struct conn *c = find(t, conn);
    if (c == NULL || c->state == CONN_DIALLING) {
        return;
    }
    c->is_reported = true; /* its user knows */
    if (c->state != CONN_OPEN) {
        return;
    }
    stranger_remove(&t->strangers, &c->stranger);
    c->state = CONN_DRAINING;
    wheel_arm(&t->wheel, &c->deadline, t->turn->now_us + DRAIN_US);
    mark_dirty(t, c);
}

static void abort_conn(struct tcp *t, struct conn *c)
{
    c->is_reported = true;
    if (c->state == CONN_DYING) {
        return;
    }
    if (!c->is_shut) {
        sock_reset_on_close(c->fd);
    }
    kill_conn(t, c, ERR_CLOSED);
}

void tcp_abort(struct tcp *t, handle conn)
{
    struct conn *c = find(t, conn);
    if (c != NULL && c->state != CONN_DIALLING) {
        abort_conn(t, c);
    }
}

void tcp_proved(struct tcp *t, handle conn)
{
    struct conn *c = find(t, conn);
    if (c != NULL) {
        stranger_remove(&t->strangers, &c->stranger);
    }
}

void tcp_mute(struct tcp *t, handle conn)
{
    struct conn *c = find(t, conn);
    if (c != NULL && c->state != CONN_DIALLING) {
        c->is_reported = true;
    }
}

void tcp_close_all(struct tcp *t)
{
    uint32_t index = 0;
    const struct conn *c = NULL;
    while ((c = pool_next(&t->conns, &index)) != NULL) {
        tcp_close(t, pool_handle(&t->conns, c));
    }
}

bool tcp_has_report(const struct tcp *t)
{
    return t->first_report != NULL || t->failed_at < t->failed_count;
}

void tcp_abort_all(struct tcp *t)
{
    uint32_t index = 0;
    struct conn *c = NULL;
    while ((c = pool_next(&t->conns, &index)) != NULL) {
        abort_conn(t, c);
    }
}

bool tcp_is_empty(const struct tcp *t)
{
    return t->conns.in_use == 0;
}
