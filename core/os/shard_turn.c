/* SPDX-License-Identifier: Apache-2.0 */
/* shard_turn.c - one turn of a shard: the order of shard.h, as ordinary calls. */
#include "core/os/shard_turn.h"
#include "core/os/host.h"
#include "core/os/sock.h"
#include "core/trace.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    EVENTS_PER_TURN = 512,
    MAIL_PER_TURN = 512,
    SHORT_TURNS_CAP = 16, /* in a row, then comes one of full length */
    ACCEPT_RETRY_US = 100000,
    PEACE_US = 300000,   /* for queues to empty, at the end */
    FINISH_US = 1000000, /* for the kernel to let go */
    FINISH_STEP_US = 10000,
};

static void read_clocks(struct shard *s)
{
    s->turn.now_us = host_now_us();
    s->turn.wall_ms = host_wall_ms();
}

/* ---- start ---- */

static void use_epoll(struct shard *s)
{
    struct driver *d = &s->driver;
    d->is_uring = false;
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        if (s->fds[i] >= 0) {
            CHECK(fcntl(s->fds[i], F_SETFL, O_NONBLOCK) == 0);
        }
    }
    /* Without either of the two there is no engine. */
    CHECK(epoll_open(&d->epoll, &s->mem.arena, s->limits.conns, s->limits.datagram_buffers,
                     s->limits.datagrams_in_flight) == 0);
}

static void open_driver(struct shard *s)
{
    struct driver *d = &s->driver;
    int failed = 0;
    d->is_uring = s->wants_uring;
    if (d->is_uring) {
        failed = uring_open(&d->uring, &s->mem.arena, s->limits.receive_buffers,
                            s->limits.datagram_buffers, s->can_wake);
    }
    if (failed != 0) {
        log_write(&s->log, s->turn.now_us, LOG_WARNING, "io_uring_failed",
                  "reason=\"%s\" using=epoll", err_text(sock_err(-failed)));
    }
    if (!d->is_uring || failed != 0) {
        use_epoll(s);
    } else {
        mailbox_set_ring(s->mailbox, s->index, d->uring.ring.ring_fd);
    }
    if (mem_populate(&s->mem) != ERR_OK) { /* then they come one by one */
        log_write(&s->log, s->turn.now_us, LOG_WARNING, "pages_not_there", "reason=\"no memory\"");
    }
}

void shard_turn_start(struct shard *s)
{
    read_clocks(s);
    if (s->config.cpu >= 0 && host_pin((uint32_t)s->config.cpu) != ERR_OK) {
        log_write(&s->log, s->turn.now_us, LOG_WARNING, "not_pinned", "cpu=%d", s->config.cpu);
    }
    open_driver(s);
    driver_watch(&s->driver, mailbox_descriptor(s->mailbox, s->index));
    for (uint16_t i = 0; i < IO_LISTENER_COUNT; i++) {
        if (s->fds[i] < 0) {
            continue;
        }
        if (io_listener_is_datagram(i)) {
            udp_start(&s->udp, i, s->fds[i]);
        } else {
            driver_accept(&s->driver, i, s->fds[i]);
        }
    }
}

/* ---- events ---- */

/* An accepted connection, or the end of accepting: out of descriptors is no reason to stop for
 * good. */
static bool accept_event(struct shard *s, const struct driver_event *e, struct io_event *out)
{
    uint16_t listener = (uint16_t)e->index;
    CHECK(listener < IO_LISTENER_COUNT);
    bool is_soon = e->result >= 0 || e->result == -ECONNABORTED || e->result == -EINTR;
    if (e->result < 0 && e->result != -ECANCELED) {
        metric_add(&s->metrics, METRIC_accept_failed, 1);
    }
    if (e->is_last && is_soon) {
        driver_accept(&s->driver, listener, s->fds[listener]);
    } else if (e->is_last && e->result != -ECANCELED) {
        s->accept_retry_us[listener] = s->turn.now_us + ACCEPT_RETRY_US;
    }
    return e->result >= 0 && tcp_accepted(&s->tcp, listener, e->result, out);
}

static bool translate(struct shard *s, const struct driver_event *e, struct io_event *out)
{
    switch (e->kind) {
    case DRIVER_ACCEPT:
        return accept_event(s, e, out);
    case DRIVER_DATAGRAM:
    case DRIVER_SEND_DATAGRAM:
        udp_complete(&s->udp, e);
        return false; /* reap asks udp_next */
    case DRIVER_CONNECT:
    case DRIVER_RECEIVE:
    case DRIVER_SEND:
        return tcp_complete(&s->tcp, e, out);
    case DRIVER_WAKE:
    case DRIVER_NOTHING:
        return false;
    }
    UNREACHABLE("driver event");
}

static bool has_room(const struct shard *s)
{
    return s->outbox.taken <= s->outbox.cap / 2;
}

/* Operations are carried out after the turn, but of a connection that the handler has just closed
 * it must hear nothing more, so closing is looked for at once. */
static void deliver(struct shard *s, const struct shard_handler *handler, void *context,
                    struct io_event *event)
{
    uint32_t before = s->outbox.count;
    handler->on_event(context, &s->turn, event);
    for (uint32_t i = before; i < s->outbox.count; i++) {
        const struct io_op *op = &s->outbox.ops[i];
        if (op->kind == IO_OP_CLOSE || op->kind == IO_OP_ABORT) {
            tcp_mute(&s->tcp, op->conn);
        }
    }
}

/* The next thing to deliver, in `room` or elsewhere, NULL when there is nothing to say: the rest of
 * a train before the driver's next event, since the train's bytes are the driver's until then.  Few
 * buffers, used again while the caches have them, take in many datagrams in one turn.  False: the
 * driver has nothing more. */
static bool next_event(struct shard *s, struct io_event *room, struct io_event **out)
{
    struct driver_event e;
    *out = udp_next(&s->udp);
    if (*out != NULL) {
        return true;
    }
    if (!driver_next(&s->driver, &e)) {
        return driver_again(&s->driver);
    }
    *out = translate(s, &e, room) ? room : udp_next(&s->udp);
    return true;
}

/* While the handler has work for the ends of its turns, such as signatures, what passes through
 * piles up; all of it in one turn would leave together with the last.  So when the handler says so
 * a turn takes little, and what it has passed on leaves.  Together is cheaper, so it is not done
 * for ever: more may come in all the time than little turns can take. */
static uint64_t bytes_allowed(const struct shard *s)
{
    uint64_t cap = s->limits.turn_bytes_working;
    return s->turn.wants_short && cap != 0 && s->short_turns < SHORT_TURNS_CAP ? cap : UINT64_MAX;
}

static void reap(struct shard *s, const struct shard_handler *handler, void *context)
{
    struct io_event room;
    struct io_event *event = NULL;
    uint64_t allowed = bytes_allowed(s);
    uint64_t bytes = 0;
    s->is_last_turn_full = true;
    s->turn.is_short = false;
    for (uint32_t count = 0; count < EVENTS_PER_TURN && has_room(s) && bytes < allowed; count++) {
        if (!next_event(s, &room, &event)) {
            s->is_last_turn_full = false;
            s->turn.full_since_us = 0;
            s->short_turns = 0;
            return;
        }
        if (event != NULL) {
            s->has_worked = true;
            bytes += event->kind == IO_STREAM || event->kind == IO_DATAGRAM ? event->data_len : 0;
            deliver(s, handler, context, event);
        }
    }
    s->turn.is_short = bytes >= allowed;
    if (!s->turn.is_short && s->turn.full_since_us == 0) {
        s->turn.full_since_us = s->turn.now_us;
    }
    s->short_turns = s->turn.is_short ? s->short_turns + 1 : 0;
    metric_add(&s->metrics, METRIC_turns_short, s->turn.is_short ? 1 : 0);
}

static uint16_t member_to_shard(const struct shard *s, uint16_t member)
{
    return member == s->count ? (uint16_t)IO_SHARD_CONTROL : member;
}

static void take_mail(struct shard *s, const struct shard_handler *handler, void *context)
{
    struct mail mail;
    for (uint32_t count = 0; count < MAIL_PER_TURN && has_room(s); count++) {
        if (!mailbox_take(s->mailbox, s->index, &s->buffers, &mail)) {
            return;
        }
        struct io_event event = {.kind = IO_MAIL,
                                 .tag = mail.tag,
                                 .shard = member_to_shard(s, mail.from),
                                 .mail = mail.mail,
                                 .data = mail.buf == NULL ? NULL : msgbuf_data(mail.buf),
                                 .data_len = mail.buf == NULL ? 0 : mail.buf->len};
        metric_add(&s->metrics, METRIC_mail_in, 1);
        s->has_worked = true;
        deliver(s, handler, context, &event);
        if (mail.buf == NULL) {
            continue;
        }
        if (mail.from == s->index) {
            msgbuf_release(&s->buffers, mail.buf);
        } else {
            mailbox_give_back(s->mailbox, s->index, mail.from, mail.buf);
        }
    }
}

/* ---- operations ---- */

/* The receiver of a mail may write to its bytes, so they must be nobody else's. */
static struct msgbuf *own(struct shard *s, struct msgbuf *buf)
{
    if (buf->refs == 1) {
        return buf;
    }
    struct msgbuf *copy = msgbuf_acquire(&s->buffers, buf->len);
    if (copy != NULL) {
        CHECK(msgbuf_append(copy, msgbuf_slice(buf)) == ERR_OK);
    }
    msgbuf_release(&s->buffers, buf);
    return copy;
}

static void send_mail(struct shard *s, const struct io_op *op)
{
    uint32_t to = op->shard == IO_SHARD_CONTROL ? s->count : op->shard;
    struct msgbuf *buf = op->buf == NULL ? NULL : own(s, op->buf);
    struct mail mail = {.buf = buf, .tag = op->tag, .from = (uint16_t)s->index, .mail = op->mail};
    bool is_possible = (buf != NULL || op->buf == NULL) && to <= s->count;
    if (is_possible && mailbox_send(s->mailbox, to, &mail)) {
        metric_add(&s->metrics, METRIC_mail_out, 1);
        return;
    }
    metric_add(&s->metrics, METRIC_mail_dropped, 1);
    if (buf != NULL) {
        msgbuf_release(&s->buffers, buf);
    }
}

/* Brings a metric up to what is counted elsewhere. */
static void note(struct shard *s, enum metric which, uint64_t count, uint64_t *noted)
{
    metric_add(&s->metrics, which, count - *noted);
    *noted = count;
}

static void carry_out(struct shard *s)
{
    for (uint32_t i = 0; i < s->outbox.count; i++) {
        const struct io_op *op = &s->outbox.ops[i];
        switch (op->kind) {
        case IO_OP_CONNECT:
            tcp_connect(&s->tcp, op);
            break;
        case IO_OP_SEND:
            tcp_send(&s->tcp, op->conn, op->buf);
            break;
        case IO_OP_CLOSE:
            tcp_close(&s->tcp, op->conn);
            break;
        case IO_OP_ABORT:
            tcp_abort(&s->tcp, op->conn);
            break;
        case IO_OP_PROVED:
            tcp_proved(&s->tcp, op->conn);
            break;
        case IO_OP_DATAGRAM:
            udp_send(&s->udp, op->listener, &op->remote, op->buf);
            break;
        case IO_OP_MAIL:
            send_mail(s, op);
            break;
        }
    }
    note(s, METRIC_outbox_refused, s->outbox.refused, &s->outbox_refused);
    note(s, METRIC_msgbuf_refused, s->buffers.refused, &s->buffers_refused);
    note(s, METRIC_msgbuf_over_share, s->buffers.over_share, &s->buffers_over_share);
    note(s, METRIC_msgbuf_reserve_used, s->buffers.from_reserve, &s->buffers_reserve_used);
    io_outbox_clear(&s->outbox);
    tcp_flush(&s->tcp);
    udp_flush(&s->udp);
}

static void wake_others(struct shard *s)
{
    mailbox_flush(s->mailbox, s->index);
    for (uint32_t to = 0; to <= s->count; to++) {
        if (to != s->index && mailbox_must_wake(s->mailbox, s->index, to) &&
            !driver_wake(&s->driver, mailbox_ring(s->mailbox, to))) {
            mailbox_wake(s->mailbox, to);
        }
    }
}

/* ---- the turn ---- */

static void retry_accepts(struct shard *s)
{
    for (uint16_t i = 0; i < IO_LISTENER_COUNT; i++) {
        if (s->accept_retry_us[i] != 0 && s->accept_retry_us[i] <= s->turn.now_us) {
            s->accept_retry_us[i] = 0;
            driver_accept(&s->driver, i, s->fds[i]);
        }
    }
}

/* How long nothing will happen of itself. */
static uint64_t idle_us(const struct shard *s)
{
    if (s->is_last_turn_full || s->has_work || tcp_has_report(&s->tcp)) {
        return 0;
    }
    uint64_t next_us = min_u64(wheel_next_us(&s->wheel), wheel_next_us(&s->tcp.wheel));
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        next_us = s->accept_retry_us[i] != 0 ? min_u64(next_us, s->accept_retry_us[i]) : next_us;
    }
    uint64_t now_us = host_now_us();
    return next_us > now_us ? next_us - now_us : 0;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Looks for work without sleeping; true: there is some. */
static bool look(struct shard *s, uint64_t begin_us, uint64_t until_us)
{
    uint64_t now_us = begin_us;
    bool is_ready = false;
    if (now_us >= until_us) {
        return false;
    }
    driver_wait(&s->driver, 0);
    do {
        is_ready = driver_is_ready(&s->driver) || mailbox_has_mail(s->mailbox, s->index) ||
                   mailbox_is_stopped(s->mailbox);
        pause_cpu();
        now_us = host_now_us();
    } while (!is_ready && now_us < until_us);
    metric_add(&s->metrics, is_ready ? METRIC_busy_polls : METRIC_busy_polls_missed, 1);
    metric_add(&s->metrics, METRIC_busy_poll_us, now_us - begin_us);
    return is_ready;
}

/* True: there is work already. */
static bool spin(struct shard *s, uint64_t timeout_us)
{
    uint64_t begin_us = host_now_us();
    spin_idle(&s->spin, begin_us);
    uint64_t until_us = spin_until_us(&s->spin);
    if (until_us == 0) {
        metric_add(&s->metrics, METRIC_busy_polls_skipped, s->has_worked ? 1 : 0);
        return false;
    }
    return look(s, begin_us, min_u64(until_us, begin_us + timeout_us));
}

static void wait(struct shard *s)
{
    uint64_t timeout_us = idle_us(s);
    if (s->has_worked) {
        spin_work(&s->spin, s->turn.now_us);
    }
    if (s->spin.window_us > 0 && timeout_us > 0) {
        if (spin(s, timeout_us)) {
            return;
        }
        timeout_us = idle_us(s);
    }
    if (timeout_us > 0 && mailbox_may_sleep(s->mailbox, s->index)) {
        driver_wait(&s->driver, timeout_us);
        mailbox_awake(s->mailbox, s->index);
    } else {
        driver_wait(&s->driver, 0);
    }
}

void shard_turn_once(struct shard *s, const struct shard_handler *handler, void *context)
{
    read_clocks(s);
    s->has_worked = false;
    s->turns++;
    trace_where(s->index, s->turns);
    metric_add(&s->metrics, METRIC_turns, 1);
    reap(s, handler, context);
    take_mail(s, handler, context);
    retry_accepts(s);
    tcp_timers(&s->tcp);
    struct io_event event;
    while (tcp_report(&s->tcp, &event)) {
        deliver(s, handler, context, &event);
    }
    handler->on_timers(context, &s->turn);
    s->has_work = handler->on_flush(context, &s->turn);
    carry_out(s);
    wake_others(s);
    if (s->has_worked) {
        metric_note(&s->metrics, HISTOGRAM_turn_us, host_now_us() - s->turn.now_us);
    }
    wait(s);
}

/* ---- the end ---- */

static void settle(struct shard *s, uint64_t until_us)
{
    struct driver_event e;
    struct io_event event;
    while (host_now_us() < until_us) {
        if (tcp_is_empty(&s->tcp) && udp_is_empty(&s->udp)) {
            return;
        }
        driver_wait(&s->driver, FINISH_STEP_US);
        read_clocks(s);
        while (driver_next(&s->driver, &e)) {
            if (e.kind == DRIVER_ACCEPT && e.result >= 0) {
                close(e.result);
            } else if (e.kind != DRIVER_ACCEPT && e.kind != DRIVER_DATAGRAM) {
                (void)translate(s, &e, &event);
            }
        }
        tcp_timers(&s->tcp);
        bool is_more = true;
        while (is_more) {
            is_more = tcp_report(&s->tcp, &event);
        }
        tcp_flush(&s->tcp);
    }
}

void shard_turn_finish(struct shard *s)
{
    for (uint16_t i = 0; i < IO_LISTENER_COUNT; i++) {
        if (s->fds[i] >= 0) {
            driver_cancel_listener(&s->driver, i, s->fds[i]);
        }
    }
    tcp_close_all(&s->tcp);
    tcp_flush(&s->tcp);
    settle(s, host_now_us() + PEACE_US);
    tcp_abort_all(&s->tcp);
    settle(s, host_now_us() + FINISH_US);
    mailbox_set_ring(s->mailbox, s->index, -1);
    driver_close(&s->driver);
}
