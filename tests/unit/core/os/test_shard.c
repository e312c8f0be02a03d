/* SPDX-License-Identifier: Apache-2.0 */
/* test_shard.c - the engine on real loopback sockets, each test on both back ends: echo, big data
 * in parts, the ways to close, dialling, caps on strangers, and no descriptor or buffer left over.
 */
#include "core/os/host.h"
#include "core/os/shard.h"
#include "core/os/sock.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TRACKED = 64, BIG_BYTES = 3000000, CHUNK = 16000, WINDOW = 200000 };

/* What one shard's handler saw; the test reads it after the thread was joined, or the atomics. */
struct seen {
    struct shard *shard;
    pthread_t thread;
    _Atomic uint32_t accepted;
    _Atomic uint32_t closed;
    _Atomic uint32_t connected;
    _Atomic uint32_t dial_failed;
    _Atomic uint32_t last_error;
    _Atomic uint64_t sent;
    _Atomic uint64_t dialled_bytes;
    _Atomic uint32_t small_in_use;
    _Atomic uint32_t asked;
    uint32_t pieces;
    uint64_t source_at; /* of the big transfer */
    uint64_t source_acked;
    struct address dial; /* at the first turn, family 0 = not */
    bool is_dialled;
    _Atomic bool is_working; /* it says so at the end of each turn */
    uint64_t turn_bytes;     /* that came in */
    uint64_t longest_short;  /* most of a turn that was ended early */
    uint64_t longest_full;
};

static void put(struct turn *t, handle conn, const uint8_t *data, size_t len)
{
    struct msgbuf *b = msgbuf_acquire(t->buffers, len);
    cr_assert_not_null(b);
    cr_assert_eq(msgbuf_append(b, slice_of(data, len)), ERR_OK);
    cr_assert_eq(io_send(t->out, t->buffers, conn, b), ERR_OK);
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 11));
}

/* Keeps at most WINDOW bytes under way, as a well-behaved user does. */
static void pump(struct seen *s, struct turn *t, handle conn)
{
    static _Thread_local uint8_t chunk[CHUNK];
    while (s->source_at < BIG_BYTES && s->source_at - s->source_acked < WINDOW) {
        size_t len = min_size(CHUNK, BIG_BYTES - s->source_at);
        for (size_t i = 0; i < len; i++) {
            chunk[i] = pattern(s->source_at + i);
        }
        put(t, conn, chunk, len);
        s->source_at += len;
    }
    if (s->source_at == BIG_BYTES) {
        io_close(t->out, conn);
    }
}

/* The first byte of a message says what to do; anything else is echoed. */
static void on_stream(struct seen *s, struct turn *t, const struct io_event *e)
{
    static _Thread_local uint8_t big[18000];
    switch (e->data[0]) {
    case 'B':
        pump(s, t, e->conn);
        break;
    case 'C': /* much, then close: all of it must arrive */
        for (size_t i = 0; i < 20; i++) {
            put(t, e->conn, big, sizeof(big));
        }
        io_close(t->out, e->conn);
        put(t, e->conn, big, 10); /* too late: dropped, released */
        break;
    case 'A':
        io_abort(t->out, e->conn);
        break;
    case 'O': /* more than the queue takes */
        for (size_t i = 0; i < 40; i++) {
            put(t, e->conn, big, sizeof(big));
        }
        break;
    case 'L': /* more than the kernel takes of who does not read */
        for (size_t i = 0; i < 500; i++) {
            put(t, e->conn, big, sizeof(big));
        }
        s->asked++;
        break;
    case 'T': /* and many small pieces behind it */
        for (size_t i = 0; i < 200; i++) {
            put(t, e->conn, (const uint8_t *)"0123456789", 10);
        }
        s->asked++;
        break;
    case 'M': /* as 'L', as long as there are buffers */
        for (struct msgbuf *m = NULL; (m = msgbuf_acquire(t->buffers, sizeof(big))) != NULL;) {
            if (t->buffers->in_use[1] + 8 > t->buffers->cap[1]) {
                msgbuf_release(t->buffers, m);
                break;
            }
            cr_assert_eq(msgbuf_append(m, slice_of(big, sizeof(big))), ERR_OK);
            cr_assert_eq(io_send(t->out, t->buffers, e->conn, m), ERR_OK);
            if (++s->pieces % 40 == 0) {
                break;
            }
        }
        break;
    case 'Q':
        s->small_in_use = t->buffers->in_use[0];
        s->asked++;
        break;
    case 'P':
        io_proved(t->out, e->conn);
        put(t, e->conn, e->data, 1);
        break;
    default:
        put(t, e->conn, e->data, e->data_len);
        break;
    }
}

static void on_event(void *context, struct turn *t, struct io_event *e)
{
    struct seen *s = context;
    switch (e->kind) {
    case IO_ACCEPTED:
        cr_assert_eq(e->remote.family, 4);
        cr_assert_eq(e->local.port, shard_address(s->shard, (enum io_listener)e->listener).port);
        s->accepted++;
        break;
    case IO_CONNECTED:
        s->last_error = (uint32_t)e->error;
        cr_assert_eq(e->tag, 77);
        if (e->error == ERR_OK) {
            s->connected++;
            put(t, e->conn, (const uint8_t *)"hello", 5);
        } else {
            s->dial_failed++;
            cr_assert_eq(e->conn, 0);
        }
        break;
    case IO_STREAM:
        s->turn_bytes += e->data_len;
        cr_assert(handle_index(e->conn) < shard_limits(s->shard)->conns);
        if (s->is_dialled && s->connected > 0 && e->listener == IO_LISTENER_COUNT) {
            s->dialled_bytes += e->data_len;
        } else {
            on_stream(s, t, e);
        }
        break;
    case IO_SENT:
        s->sent += e->data_len;
        s->source_acked += e->data_len;
        if (s->source_at > 0 && s->source_at < BIG_BYTES) {
            pump(s, t, e->conn);
        }
        break;
    case IO_CLOSED:
        s->last_error = (uint32_t)e->error;
        s->closed++;
        break;
    case IO_DATAGRAM: {
        struct msgbuf *b = msgbuf_acquire(t->buffers, e->data_len);
        cr_assert_not_null(b);
        cr_assert_eq(msgbuf_append(b, slice_of(e->data, e->data_len)), ERR_OK);
        cr_assert_eq(io_datagram(t->out, t->buffers, e->listener, &e->remote, b), ERR_OK);
        break;
    }
    case IO_MAIL:
        break;
    }
}

static void on_timers(void *context, struct turn *t)
{
    struct seen *s = context;
    if (s->dial.family != 0 && !s->is_dialled) {
        s->is_dialled = true;
        cr_assert_eq(io_connect(t->out, &s->dial, 77), ERR_OK);
    }
}

static bool on_flush(void *context, struct turn *t)
{
    struct seen *s = context;
    uint64_t *longest = t->is_short ? &s->longest_short : &s->longest_full;
    *longest = max_u64(*longest, s->turn_bytes);
    s->turn_bytes = 0;
    t->wants_short = s->is_working;
    return s->is_working;
}

static const struct shard_handler handler = {on_event, on_timers, on_flush};

static void *run(void *context)
{
    struct seen *s = context;
    shard_run(s->shard, &handler, s);
    return NULL;
}

static void sink(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    if (level <= LOG_WARNING) {
        fprintf(stderr, "%.*s\n", (int)len, line);
    }
}

static struct shard_config make_config(enum shard_backend backend)
{
    struct shard_config c = {
        .backend = backend, .cpu = SHARD_NO_CPU, .sink = sink, .log_level = LOG_WARNING};
    limits_default(&c.limits);
    c.limits.conns = 256;
    c.limits.conns_reserved = 16;
    c.limits.msgbuf_small = 512;
    c.limits.msgbuf_large = 256;
    c.limits.outbox = 1024;
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        c.listeners[i].address = (struct address){.family = 4, .ip = {127, 0, 0, 1}};
    }
    return c;
}

static void start(struct shard_group *g, struct seen *s, uint32_t index)
{
    s->shard = shard_at(g, index);
    cr_assert_eq(pthread_create(&s->thread, NULL, run, s), 0);
}

/* Joins the threads and looks for what was left over. */
static void stop(struct shard_group *g, struct seen *s, uint32_t count)
{
    shard_stop(g);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(pthread_join(s[i].thread, NULL), 0);
        const struct msgbuf_pool *p = shard_turn(s[i].shard)->buffers;
        cr_assert_eq(p->in_use[0] + p->in_use[1], 0, "buffers are left over");
        cr_assert_eq(metric_read(shard_metrics(s[i].shard), METRIC_conns), 0);
    }
    shard_close(g);
}

static struct shard_group *open_or_fail(const struct shard_config *c, uint32_t count)
{
    struct shard_group *g = NULL;
    char problem[SHARD_PROBLEM_CAP];
    cr_assert_eq(shard_open(c, count, &g, problem), ERR_OK, "%s", problem);
    return g;
}

static int dial(const struct address *to, int type)
{
    int fd = socket(AF_INET, type, 0);
    cr_assert(fd >= 0);
    struct sockaddr_storage at;
    socklen_t len = sock_from_address(to, &at);
    cr_assert_eq(connect(fd, (struct sockaddr *)&at, len), 0);
    struct timeval patience = {.tv_sec = 5};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The probe ring, going away, may interrupt a call of the thread that opened it. */
static ssize_t receive(int fd, void *out, size_t cap)
{
    ssize_t got = -1;
    do {
        got = recv(fd, out, cap, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

static void expect(int fd, const char *text)
{
    char got[256] = "";
    size_t len = 0;
    while (len < strlen(text)) {
        ssize_t n = receive(fd, got + len, sizeof(got) - 1 - len);
        cr_assert(n > 0, "recv: %zd, errno %d", n, errno);
        len += (size_t)n;
    }
    cr_assert_str_eq(got, text);
}

static void wait_for(_Atomic uint32_t *counter, uint32_t wanted)
{
    for (size_t i = 0; i < 4000 && *counter < wanted; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cr_assert_eq(*counter, wanted);
}

static const enum shard_backend backends[] = {SHARD_URING, SHARD_EPOLL};

Test(shard, echo_over_tcp_and_udp)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        uint32_t before = host_descriptors_open();
        struct shard_config c[2] = {make_config(backends[b]), make_config(backends[b])};
        struct shard_group *g = open_or_fail(c, 2);
        struct seen s[2] = {0};
        start(g, &s[0], 0);
        start(g, &s[1], 1);
        int fds[40];
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            struct address at = shard_address(s[i % 2].shard, IO_LISTEN_OVERLAY);
            fds[i] = dial(&at, SOCK_STREAM);
        }
        char text[32];
        for (size_t round = 0; round < 5; round++) {
            for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
                snprintf(text, sizeof(text), "x%zu/%zu", i, round);
                say(fds[i], text);
            }
            for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
                snprintf(text, sizeof(text), "x%zu/%zu", i, round);
                expect(fds[i], text);
            }
        }
        struct address udp = shard_address(s[1].shard, IO_LISTEN_SIP_UDP);
        int phone = dial(&udp, SOCK_DGRAM);
        for (size_t i = 0; i < 2000; i++) {
            snprintf(text, sizeof(text), "datagram %zu", i);
            say(phone, text);
            expect(phone, text);
        }
        static char longest[9000];
        memset(longest, 'u', sizeof(longest));
        cr_assert_eq(send(phone, longest, 8001, 0), 8001); /* dropped and counted */
        cr_assert_eq(send(phone, longest, 8000, 0), 8000);
        cr_assert_eq(receive(phone, longest, sizeof(longest)), 8000);
        cr_assert_eq(metric_read(shard_metrics(s[1].shard), METRIC_datagrams_truncated), 1);
        cr_assert_eq(send(phone, "", 0, 0), 0);
        cr_assert_eq(receive(phone, longest, sizeof(longest)), 0);
        close(phone);
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            close(fds[i]);
        }
        wait_for(&s[0].closed, 20);
        wait_for(&s[1].closed, 20);
        cr_assert_eq(s[0].last_error, ERR_CLOSED);
        stop(g, s, 2);
        cr_assert_eq(host_descriptors_open(), before, "descriptors are left over");
    }
}

static uint64_t read_to_end(int fd, bool is_pattern, size_t slowness)
{
    static uint8_t bytes[30000];
    uint64_t total = 0;
    ssize_t got = 0;
    while ((got = receive(fd, bytes, sizeof(bytes))) > 0) {
        for (size_t i = 0; is_pattern && i < (size_t)got; i++) {
            cr_assert_eq(bytes[i], pattern(total + i), "at %zu", (size_t)total + i);
        }
        total += (uint64_t)got;
        nanosleep(&(struct timespec){.tv_nsec = (long)slowness}, NULL);
    }
    cr_assert_eq(got, 0, "errno %d", errno);
    return total;
}

Test(shard, big_data_and_ways_to_close)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        uint32_t before = host_descriptors_open();
        struct shard_config c = make_config(backends[b]);
        c.limits.conn_queue_bytes = 500000;
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_SIP_TCP);

        int fd = dial(&at, SOCK_STREAM);
        int small = 65536;
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        say(fd, "B");
        cr_assert_eq(read_to_end(fd, true, 2000), BIG_BYTES);
        close(fd);

        fd = dial(&at, SOCK_STREAM); /* closed by the other side, but only after everything */
        say(fd, "C");
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        cr_assert_eq(read_to_end(fd, false, 0), 20 * 18000);
        close(fd);

        fd = dial(&at, SOCK_STREAM);
        say(fd, "C");
        cr_assert_eq(shutdown(fd, SHUT_WR), 0); /* half closed: what was queued still comes */
        uint64_t got = read_to_end(fd, false, 0);
        cr_assert(got == 20 * 18000 || got == 0);
        close(fd);

        fd = dial(&at, SOCK_STREAM);
        say(fd, "A");
        char byte;
        cr_assert_eq(receive(fd, &byte, 1), -1);
        cr_assert_eq(errno, ECONNRESET);
        close(fd);

        uint32_t closed = s.closed;
        fd = dial(&at, SOCK_STREAM); /* a reader too slow for its queue */
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        say(fd, "O");
        wait_for(&s.closed, closed + 1);
        cr_assert_eq(s.last_error, ERR_LIMIT);
        cr_assert_eq(metric_read(shard_metrics(s.shard), METRIC_conns_overflowed), 1);
        close(fd);

        fd = dial(&at, SOCK_STREAM); /* one that never reads is cut when the shard ends */
        say(fd, "C");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        stop(g, &s, 1);
        close(fd);
        cr_assert_eq(host_descriptors_open(), before);
    }
}

/* Who does not read what is sent to him in small pieces holds bytes, not a buffer for each. */
Test(shard, small_pieces_share_a_buffer)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        struct shard_config c = make_config(backends[b]);
        c.limits.conn_queue_bytes = 16 << 20;
        c.limits.msgbuf_large = 2048; /* one address may have less than half of them wait */
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_SIP_TCP);
        int fd = dial(&at, SOCK_STREAM), other = dial(&at, SOCK_STREAM);
        int small = 65536;
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        uint32_t asked = 0;
        say(fd, "L");
        wait_for(&s.asked, ++asked); /* each by itself */
        for (uint32_t i = 1; i <= 10; i++) {
            uint32_t most = 2 * i + 3;
            say(fd, "T");
            wait_for(&s.asked, ++asked);
            s.small_in_use = UINT32_MAX;
            for (uint32_t tries = 0; tries < 20 && s.small_in_use > most; tries++) {
                say(other, "Q"); /* it may still come in the turn that has made the pieces */
                wait_for(&s.asked, ++asked);
            }
            cr_assert_leq(s.small_in_use, most, "%u in use", s.small_in_use);
        }
        cr_assert_geq(s.small_in_use, 1, "the kernel has taken all of it");
        size_t left = 500 * 18000 + 10 * 200 * 10, at_byte = 0;
        static char got[65536];
        while (left > 0) {
            ssize_t n = receive(fd, got, sizeof(got));
            cr_assert(n > 0 && (size_t)n <= left);
            for (ssize_t i = 0; i < n; i++, at_byte++) {
                char wanted =
                    at_byte < 500 * 18000 ? 0 : (char)('0' + (at_byte - 500 * 18000) % 10);
                cr_assert_eq(got[i], wanted);
            }
            left -= (size_t)n;
        }
        close(fd);
        close(other);
        wait_for(&s.closed, 2);
        stop(g, &s, 1);
    }
}

static int dial_from(const struct address *to, const char *from)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct address a;
    struct sockaddr_storage at;
    cr_assert_eq(address_parse(slice_text(from), 0, &a), ERR_OK);
    socklen_t len = sock_from_address(&a, &at);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    len = sock_from_address(to, &at);
    cr_assert_eq(connect(fd, (struct sockaddr *)&at, len), 0);
    struct timeval patience = {.tv_sec = 5};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

/* An attacker with many connections has less waiting on each than one may have, and reads nothing:
 * he is let go of before the buffers are, and whoever comes from elsewhere is served. */
Test(shard, hoarders_of_buffers)
{
    enum { HOARDERS = 32 };
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        struct shard_config c = make_config(backends[b]);
        c.limits.conn_queue_bytes = 16 << 20;
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_SIP_TCP);
        int fds[HOARDERS], other = dial(&at, SOCK_STREAM);
        for (size_t i = 0; i < HOARDERS; i++) {
            fds[i] = dial_from(&at, "127.0.0.2:0");
        }
        uint32_t asked = 0;
        s.small_in_use = UINT32_MAX;
        for (uint32_t tries = 0; tries < 4000 && s.closed == 0; tries++) {
            (void)send(fds[tries % HOARDERS], "M", 1, MSG_NOSIGNAL);
            say(other, "Q");
            wait_for(&s.asked, ++asked);
            nanosleep(&(struct timespec){.tv_nsec = tries < 20 * HOARDERS ? 0 : 5000000}, NULL);
        }
        cr_assert_gt(s.closed, 0, "%u small buffers in use", s.small_in_use);
        cr_assert_eq(s.last_error, ERR_LIMIT);
        say(other, "hello");
        expect(other, "hello");
        for (size_t i = 0; i < HOARDERS; i++) {
            close(fds[i]);
        }
        close(other);
        wait_for(&s.closed, HOARDERS + 1);
        stop(g, &s, 1);
    }
}

Test(shard, dials)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        uint32_t before = host_descriptors_open();
        struct shard_config c[3];
        for (size_t i = 0; i < 3; i++) {
            c[i] = make_config(backends[b]);
        }
        struct shard_group *g = open_or_fail(c, 3);
        struct seen s[3] = {0};
        s[0].dial = shard_address(shard_at(g, 1), IO_LISTEN_OVERLAY);
        s[2].dial = (struct address){.family = 4, .port = 1, .ip = {127, 0, 0, 1}};
        for (uint32_t i = 0; i < 3; i++) {
            start(g, &s[i], i);
        }
        wait_for(&s[0].connected, 1);
        wait_for(&s[1].accepted, 1);
        wait_for(&s[2].dial_failed, 1);
        cr_assert_eq(s[2].last_error, ERR_REFUSED);
        for (size_t i = 0; i < 2000 && s[0].sent < 5; i++) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        stop(g, s, 3);
        cr_assert_eq(s[0].sent, 5);
        cr_assert_eq(host_descriptors_open(), before);
    }
}

static void wait_for_metric(const struct shard *s, enum metric which, uint64_t wanted)
{
    for (size_t i = 0; i < 4000 && metric_read(shard_metrics(s), which) < wanted; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cr_assert_eq(metric_read(shard_metrics(s), which), wanted, "%s", metric_name(which));
}

/* Design section 7: excess strangers are closed at once, counted by reason; proved ones do not
 * count. */
Test(shard, caps_on_strangers)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        uint32_t before = host_descriptors_open();
        struct shard_config c = make_config(backends[b]);
        c.limits.accepted_per_host = 8;
        c.limits.accepted_per_listener = 10;
        c.limits.conns = 24;
        c.limits.conns_reserved = 4;
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_OVERLAY);
        int fds[32];
        size_t count = 0;
        for (size_t round = 0; round < 3; round++) {
            static const uint32_t accepted[] = {8, 16, 20};
            static const uint32_t refused[] = {4, 4, 4};
            static const uint32_t full[] = {0, 0, 4};
            for (size_t i = 0; i < (round == 0 ? 12u : 8u); i++) {
                fds[count++] = dial(&at, SOCK_STREAM);
            }
            wait_for(&s.accepted, accepted[round]);
            wait_for_metric(s.shard, METRIC_conns_refused_host, refused[round]);
            wait_for_metric(s.shard, METRIC_conns_refused_full, full[round]);
            for (size_t i = 0; i < count; i++) {
                char byte = 'P';
                bool is_in =
                    send(fds[i], &byte, 1, MSG_NOSIGNAL) == 1 && receive(fds[i], &byte, 1) == 1;
                fds[i] = is_in ? fds[i] : (close(fds[i]), -1);
            }
            size_t held = 0;
            for (size_t i = 0; i < count; i++) {
                if (fds[i] >= 0) {
                    fds[held++] = fds[i];
                }
            }
            count = held;
            cr_assert_eq(count, accepted[round]);
        }
        for (size_t i = 0; i < count; i++) {
            close(fds[i]);
        }
        wait_for(&s.closed, 20);
        stop(g, &s, 1);
        cr_assert_eq(host_descriptors_open(), before);
    }
}

/* Idle attackers, then somebody who means it, from the same address: the oldest idler goes. */
Test(shard, idlers_make_room)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        uint32_t before = host_descriptors_open();
        struct shard_config c = make_config(backends[b]);
        c.limits.accepted_per_host = 6;
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_OVERLAY);
        int idle[10];
        for (size_t i = 0; i < ARRAY_COUNT(idle); i++) {
            idle[i] = dial(&at, SOCK_STREAM);
        }
        wait_for_metric(s.shard, METRIC_conns_refused_host, 4);
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 50000000}, NULL);
        int fds[8];
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            fds[i] = dial(&at, SOCK_STREAM);
            say(fds[i], "P");
            expect(fds[i], "P");
        }
        /* The first stands in the place of an idler till it has proved itself. */
        cr_assert_eq(metric_read(shard_metrics(s.shard), METRIC_conns_evicted), 1);
        wait_for(&s.closed, 1);
        cr_assert_eq(s.last_error, ERR_LIMIT);
        for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
            close(fds[i]);
        }
        for (size_t i = 0; i < ARRAY_COUNT(idle); i++) {
            close(idle[i]);
        }
        wait_for(&s.closed, 14);
        stop(g, &s, 1);
        cr_assert_eq(host_descriptors_open(), before);
    }
}

Test(shard, says_why_it_cannot_open)
{
    uint32_t before = host_descriptors_open();
    struct shard_config c[2] = {make_config(SHARD_AUTO), make_config(SHARD_AUTO)};
    struct shard_group *g = open_or_fail(c, 2);
    struct address taken = shard_address(shard_at(g, 1), IO_LISTEN_OVERLAY);
    cr_assert_neq(taken.port, 0);
    c[1].listeners[IO_LISTEN_OVERLAY].address = taken;
    struct shard_group *second = NULL;
    char problem[SHARD_PROBLEM_CAP];
    cr_assert_eq(shard_open(c, 2, &second, problem), ERR_EXISTS);
    cr_assert_null(second);
    cr_assert(strstr(problem, "overlay, shard 1): Address already in use") != NULL, "%s", problem);
    shard_close(g);
    cr_assert_eq(host_descriptors_open(), before);
}

/* Out of descriptors: nothing stops for good. */
Test(shard, goes_on_after_emfile)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        struct shard_config c = make_config(backends[b]);
        struct shard_group *g = open_or_fail(&c, 1);
        struct seen s = {0};
        start(g, &s, 0);
        struct address at = shard_address(s.shard, IO_LISTEN_OVERLAY);
        int first = dial(&at, SOCK_STREAM);
        say(first, "x1");
        expect(first, "x1");
        int second = socket(AF_INET, SOCK_STREAM, 0);
        struct rlimit old;
        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        struct rlimit none = {(rlim_t)second + 1, old.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        int used = 0;
        while (used >= 0) {
            used = dup(first);
        }
        struct sockaddr_storage to;
        socklen_t len = sock_from_address(&at, &to);
        cr_assert_eq(connect(second, (struct sockaddr *)&to, len), 0);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        say(first, "x2"); /* the others go on */
        expect(first, "x2");
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        /* io_uring goes by the limit of the time when the accept was begun. */
        cr_assert(backends[b] == SHARD_URING ||
                  metric_read(shard_metrics(s.shard), METRIC_accept_failed) > 0);
        say(second, "x3");
        expect(second, "x3");
        close(first);
        close(second);
        stop(g, &s, 1);
    }
}

/* What `fds` send at once comes back. */
static void echo_much(const int *fds, size_t count)
{
    static uint8_t bytes[32768];
    bytes[0] = 'x';
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(send(fds[i], bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t len = 0; len < sizeof(bytes);) {
            ssize_t n = receive(fds[i], bytes, sizeof(bytes) - len);
            cr_assert(n > 0, "recv: %zd, errno %d", n, errno);
            len += (size_t)n;
        }
    }
}

/* A train of datagrams, which a short turn may leave in the middle, comes back whole. */
static void echo_train(int fd)
{
    enum { EACH = 500, COUNT = 40 };
    static uint8_t bytes[EACH * COUNT];
    int each = EACH;
    cr_assert_eq(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof(each)), 0);
    for (size_t i = 0; i < COUNT; i++) {
        memset(bytes + i * EACH, (int)i, EACH);
    }
    cr_assert_eq(send(fd, bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t got[EACH + 1];
        cr_assert_eq(receive(fd, got, sizeof(got)), EACH, "datagram %zu", i);
        cr_assert_arr_eq(got, bytes + i * EACH, EACH, "datagram %zu", i);
    }
}

/* Turns are short when the handler says so, though not for ever; otherwise, or where the limit is
 * off, they take what there is. */
Test(shard, turns_are_short_while_work_waits)
{
    enum { CONNS = 16, ROUNDS = 20 };
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        for (uint32_t way = 0; way < 3; way++) { /* idle, working, working without the limit */
            struct shard_config c = make_config(backends[b]);
            c.limits.turn_bytes_working = way == 2 ? 0 : c.limits.turn_bytes_working;
            struct shard_group *g = open_or_fail(&c, 1);
            struct seen s = {.is_working = way != 0};
            start(g, &s, 0);
            struct address at = shard_address(s.shard, IO_LISTEN_OVERLAY);
            int fds[CONNS];
            for (size_t i = 0; i < CONNS; i++) {
                fds[i] = dial(&at, SOCK_STREAM);
            }
            for (uint32_t i = 0; i < ROUNDS; i++) {
                echo_much(fds, CONNS);
            }
            at = shard_address(s.shard, IO_LISTEN_SIP_UDP);
            int train = dial(&at, SOCK_DGRAM);
            echo_train(train);
            close(train);
            uint64_t turns = metric_read(shard_metrics(s.shard), METRIC_turns_short);
            for (size_t i = 0; i < CONNS; i++) {
                close(fds[i]);
            }
            s.is_working = false;
            stop(g, &s, 1);
            if (way == 1) {
                cr_expect_geq(turns, CONNS, "%lu", (unsigned long)turns);
                cr_expect_geq(s.longest_short, c.limits.turn_bytes_working);
                cr_expect_lt(s.longest_short, c.limits.turn_bytes_working + CHUNK + 384);
            } else {
                cr_expect_eq(turns, 0);
                cr_expect_eq(s.longest_short, 0);
            }
        }
    }
}

static void rest_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Off unless asked for; on, it spins for a while after work, finds more work without sleeping, and
 * then does sleep. */
Test(shard, busy_poll)
{
    enum { SPIN_US = 30000 };
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        for (uint32_t spin_us = 0; spin_us <= SPIN_US; spin_us += SPIN_US) {
            struct shard_config c = make_config(backends[b]);
            cr_assert_eq(c.busy_poll_us, 0);
            c.busy_poll_us = spin_us;
            struct shard_group *g = open_or_fail(&c, 1);
            struct seen s = {0};
            start(g, &s, 0);
            const struct metrics *m = shard_metrics(s.shard);
            rest_ms(50);
            cr_assert_eq(metric_read(m, METRIC_busy_poll_us), 0, "nothing has come in yet");
            struct address at = shard_address(s.shard, IO_LISTEN_SIP_UDP);
            int fd = dial(&at, SOCK_DGRAM);
            for (size_t i = 0; i < 50; i++) {
                say(fd, "x");
                expect(fd, "x");
            }
            rest_ms(200);
            uint64_t spun_us = metric_read(m, METRIC_busy_poll_us);
            /* A spin is cut short when others have the processor: it is given some more. */
            for (size_t i = 0; i < 40 && spin_us > 0 && spun_us < SPIN_US / 2; i++) {
                say(fd, "x");
                expect(fd, "x");
                rest_ms(60);
                spun_us = metric_read(m, METRIC_busy_poll_us);
            }
            uint64_t turns = metric_read(m, METRIC_turns);
            if (spin_us == 0) {
                cr_assert_eq(spun_us, 0);
                cr_assert_eq(metric_read(m, METRIC_busy_polls), 0);
            } else {
                cr_assert(spun_us >= SPIN_US / 2, "spun for %llu us", (unsigned long long)spun_us);
                cr_assert(metric_read(m, METRIC_busy_polls) > 0);
            }
            rest_ms(100);
            cr_assert_eq(metric_read(m, METRIC_busy_poll_us), spun_us, "it does not sleep");
            cr_assert(metric_read(m, METRIC_turns) <= turns + 2);
            close(fd);
            stop(g, &s, 1);
        }
    }
}

/* Adaptive: with much time between its works it never spins, with little it begins to.  The window
 * is so long, and the rests so much longer, that no other load makes one look like the other. */
Test(shard, adaptive_busy_poll)
{
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        for (int is_dense = 0; is_dense < 2; is_dense++) {
            struct shard_config c = make_config(backends[b]);
            c.busy_poll_us = is_dense ? 1000000 : 1000;
            c.is_busy_poll_adaptive = true;
            struct shard_group *g = open_or_fail(&c, 1);
            struct seen s = {0};
            start(g, &s, 0);
            const struct metrics *m = shard_metrics(s.shard);
            struct address at = shard_address(s.shard, IO_LISTEN_SIP_UDP);
            int fd = dial(&at, SOCK_DGRAM);
            for (size_t i = 0; i < 20 || (is_dense && metric_read(m, METRIC_busy_polls) == 0);
                 i++) {
                say(fd, "x");
                expect(fd, "x");
                if (!is_dense) {
                    rest_ms(10);
                }
            }
            if (!is_dense) {
                cr_expect_eq(metric_read(m, METRIC_busy_poll_us), 0);
                cr_expect(metric_read(m, METRIC_busy_polls_skipped) >= 20);
            }
            close(fd);
            stop(g, &s, 1);
        }
    }
}
