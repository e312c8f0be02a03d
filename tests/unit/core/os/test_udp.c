/* SPDX-License-Identifier: Apache-2.0 */
/* test_udp.c - datagrams and trains of them over real loopback sockets, on both back ends: whole,
 * in order, of mixed sizes, towards several remotes; refused trains; errors; odd control messages.
 */
#include "core/os/mem.h"
#include "core/os/sock.h"
#include "core/os/udp.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

enum {
    SMALL = 1024,
    LARGE = 128,
    LISTENER = IO_LISTEN_OVERLAY_UDP,
    PATIENCE_US = 2000000,
    STEP_US = 20000,
    CONTROL_CAP = 256,
};

/* A shard's datagram half, without the shard. */
struct bed {
    struct mem mem;
    struct limits limits;
    struct driver driver;
    struct udp udp;
    struct msgbuf_pool buffers;
    struct metrics metrics;
    struct log log;
    struct turn turn;
    uint32_t logged;
    int fd;
    struct address at;
};

static void sink(void *context, enum log_level level, const char *line, size_t len)
{
    struct bed *b = context;
    (void)level;
    (void)line;
    (void)len;
    b->logged++;
}

static void open_bed(struct bed *b, bool is_uring, const struct limits *l)
{
    memset(b, 0, sizeof(*b));
    b->limits = *l;
    cr_assert_eq(mem_open(&b->mem, 256u << 20), ERR_OK);
    b->turn = (struct turn){
        .now_us = 1000000, .buffers = &b->buffers, .metrics = &b->metrics, .log = &b->log};
    log_init(&b->log, sink, b, LOG_WARNING, 0);
    msgbuf_pool_init(&b->buffers, &b->mem.arena, SMALL, LARGE);
    udp_init(&b->udp, &b->mem.arena, &b->limits, &b->driver, &b->turn, 7);
    b->driver.is_uring = is_uring;
    int failed = is_uring ? uring_open(&b->driver.uring, &b->mem.arena, l->receive_buffers,
                                       l->datagram_buffers, false)
                          : epoll_open(&b->driver.epoll, &b->mem.arena, 16, l->datagram_buffers,
                                       l->datagrams_in_flight);
    cr_assert_eq(failed, 0);
    struct address any = {.family = 4, .ip = {127, 0, 0, 1}};
    b->fd = sock_datagram(&any, false, is_uring);
    cr_assert(b->fd >= 0);
    b->at = sock_local(b->fd);
    udp_start(&b->udp, LISTENER, b->fd);
}

static uint64_t metric_of(const struct bed *b, enum metric which)
{
    return metric_read(&b->metrics, which);
}

static bool take(struct bed *b, struct io_event *out)
{
    const struct io_event *event = udp_next(&b->udp);
    if (event != NULL) {
        *out = *event;
    }
    return event != NULL;
}

/* Takes one datagram, or handles what else comes; false when nothing came in `timeout_us`. */
static bool next(struct bed *b, uint64_t timeout_us, struct io_event *out)
{
    struct driver_event e;
    for (uint64_t waited = 0;; waited += STEP_US) {
        if (take(b, out)) {
            return true;
        }
        bool is_idle = true;
        while (driver_next(&b->driver, &e)) {
            is_idle = false;
            udp_complete(&b->udp, &e);
            if (take(b, out)) {
                return true;
            }
        }
        if (is_idle && waited >= timeout_us) {
            return false;
        }
        driver_wait(&b->driver, min_u64(timeout_us, STEP_US));
    }
}

static void put(struct bed *b, const struct address *to, uint8_t first, size_t len)
{
    uint8_t bytes[MSGBUF_LARGE_BYTES];
    memset(bytes, first, sizeof(bytes));
    struct msgbuf *buf = msgbuf_acquire(&b->buffers, len);
    cr_assert_not_null(buf);
    cr_assert_eq(msgbuf_append(buf, slice_of(bytes, len)), ERR_OK);
    udp_send(&b->udp, LISTENER, to, buf);
}

/* Lets the sends finish; nothing may be left. */
static void settle(struct bed *b)
{
    struct io_event ignored;
    udp_flush(&b->udp);
    for (size_t i = 0; i < 100 && !udp_is_empty(&b->udp); i++) {
        bool is_datagram = next(b, STEP_US, &ignored);
        (void)is_datagram;
    }
    cr_assert(udp_is_empty(&b->udp));
    cr_assert_eq(b->buffers.in_use[0] + b->buffers.in_use[1], 0, "buffers are left over");
    cr_assert_eq(b->udp.trains.rests.in_use, 0);
}

static void close_bed(struct bed *b)
{
    settle(b);
    driver_cancel_listener(&b->driver, LISTENER, b->fd);
    struct driver_event e;
    driver_wait(&b->driver, STEP_US);
    while (driver_next(&b->driver, &e)) {}
    driver_close(&b->driver);
    close(b->fd);
    mem_close(&b->mem);
}

static int open_client(struct address *at)
{
    struct address any = {.family = 4, .ip = {127, 0, 0, 1}};
    int fd = sock_datagram(&any, false, true);
    cr_assert(fd >= 0);
    struct timeval patience = {.tv_usec = PATIENCE_US / 2 % 1000000, .tv_sec = 1};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    *at = sock_local(fd);
    return fd;
}

/* The next datagram is `len` bytes that are all `first`. */
static void expect(int fd, uint8_t first, size_t len)
{
    uint8_t got[MSGBUF_LARGE_BYTES];
    ssize_t n = recv(fd, got, sizeof(got), 0);
    cr_assert_eq(n, (ssize_t)len, "%zd bytes in place of %zu, errno %d", n, len, errno);
    for (size_t i = 0; i < len; i++) {
        cr_assert_eq(got[i], first, "datagram %u has %u", first, got[i]);
    }
}

static void expect_none(int fd)
{
    uint8_t byte;
    cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    cr_assert_eq(errno, EAGAIN);
}

static struct limits default_limits(void)
{
    struct limits l;
    limits_default(&l);
    l.datagram_buffers = 32;
    l.receive_buffers = 8;
    return l;
}

struct shape {
    const char *what;
    uint16_t trains;
    uint16_t lens[12]; /* 0 ends */
    uint16_t times;    /* the whole list */
};

static const struct shape shapes[] = {
    {"one alone", 0, {500}, 1},
    {"two", 1, {500, 500}, 1},
    {"the last shorter", 1, {500, 500, 500, 20}, 1},
    {"a shorter one ends it", 2, {500, 500, 20, 500, 500}, 1},
    {"a longer one begins another", 2, {100, 100, 500, 500}, 1},
    {"all different", 0, {100, 200, 300, 400}, 1},
    {"falling: pairs", 2, {400, 300, 200, 100}, 1},
    {"64", 1, {500}, 64},
    {"65: one train and one alone", 1, {500}, 65},
    {"150", 3, {500}, 150},
    {"64 KiB are reached first",
     2,
     {8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000},
     1},
    {"mixed, many", 32, {700, 700, 700, 90, 1300, 1300}, 16},
};

/* The length of the i-th datagram of a shape, 0 behind its last. */
static size_t shape_len(const struct shape *shape, size_t i)
{
    size_t each = 0;
    while (each < ARRAY_COUNT(shape->lens) && shape->lens[each] != 0) {
        each++;
    }
    return i < each * shape->times ? shape->lens[i % each] : 0;
}

static uint8_t mark(size_t i, size_t remote)
{
    return (uint8_t)(i ^ remote << 6);
}

static void run_shape(struct bed *b, const struct shape *shape, size_t remotes)
{
    int fds[3];
    struct address at[3];
    uint64_t before = metric_of(b, METRIC_datagram_trains_out);
    for (size_t r = 0; r < remotes; r++) {
        fds[r] = open_client(&at[r]);
    }
    for (size_t i = 0; shape_len(shape, i) > 0; i++) {
        for (size_t r = 0; r < remotes; r++) {
            put(b, &at[r], mark(i, r), shape_len(shape, i));
        }
    }
    settle(b);
    for (size_t i = 0; shape_len(shape, i) > 0; i++) {
        for (size_t r = 0; r < remotes; r++) {
            expect(fds[r], mark(i, r), shape_len(shape, i));
        }
    }
    uint64_t trains = metric_of(b, METRIC_datagram_trains_out) - before;
    cr_assert_eq(trains, shape->trains * remotes, "%s, %zu remotes: %llu trains", shape->what,
                 remotes, (unsigned long long)trains);
    for (size_t r = 0; r < remotes; r++) {
        expect_none(fds[r]);
        close(fds[r]);
    }
}

/* Every shape, to one remote and interleaved to three: order, sizes, bytes, number of trains. */
Test(udp, trains_leave_whole_and_in_order)
{
    for (size_t back = 0; back < 2; back++) {
        struct limits l = default_limits();
        struct bed b;
        open_bed(&b, back == 0, &l);
        for (size_t s = 0; s < ARRAY_COUNT(shapes); s++) {
            run_shape(&b, &shapes[s], 1);
            run_shape(&b, &shapes[s], 3);
        }
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_refused), 0);
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out_failed), 0);
        close_bed(&b);
    }
}

/* More remotes than the table has slots: all arrive, each in order. */
Test(udp, more_remotes_than_slots)
{
    enum { REMOTES = TRAIN_TABLE + 50, EACH = 3 };
    static int fds[REMOTES];
    static struct address at[REMOTES];
    for (size_t back = 0; back < 2; back++) {
        struct limits l = default_limits();
        struct bed b;
        open_bed(&b, back == 0, &l);
        for (size_t r = 0; r < REMOTES; r++) {
            fds[r] = open_client(&at[r]);
        }
        for (size_t i = 0; i < EACH; i++) {
            for (size_t r = 0; r < REMOTES; r++) {
                put(&b, &at[r], (uint8_t)i, 300);
            }
        }
        settle(&b);
        for (size_t r = 0; r < REMOTES; r++) {
            for (size_t i = 0; i < EACH; i++) {
                expect(fds[r], (uint8_t)i, 300);
            }
            expect_none(fds[r]);
            close(fds[r]);
        }
        cr_assert(metric_of(&b, METRIC_datagram_trains_out) >= TRAIN_TABLE / 2);
        close_bed(&b);
    }
}

/* Nothing waits for company: what is alone is out when the turn's wait returns. */
Test(udp, one_alone_leaves_in_its_turn)
{
    /* epoll, io_uring; and without what a kernel may refuse */
    enum { EPOLL, URING, NO_ADDRESS, NOT_REGISTERED, WAYS };
    for (size_t way = 0; way < WAYS; way++) {
        struct limits l = default_limits();
        struct bed b;
        open_bed(&b, way != EPOLL, &l);
        if (way == NO_ADDRESS) {
            b.driver.uring.can_address = false;
        } else if (way == NOT_REGISTERED) {
            b.driver.uring.fixed = 0;
        }
        struct address at;
        int fd = open_client(&at);
        for (uint8_t i = 0; i < 20; i++) {
            put(&b, &at, i, 500);
            udp_flush(&b.udp);
            driver_wait(&b.driver, 0);
            uint8_t got[600];
            cr_assert_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 500);
            cr_assert_eq(got[0], i);
        }
        close(fd);
        close_bed(&b);
    }
}

static void send_train(int fd, const struct address *to, const uint8_t *bytes, size_t len,
                       uint16_t segment)
{
    struct sockaddr_storage name;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr m = {.msg_name = &name,
                       .msg_namelen = sock_from_address(to, &name),
                       .msg_iov = &part,
                       .msg_iovlen = 1};
    struct gso_control control = {0};
    gso_write(&m, &control, segment);
    cr_assert_eq(sendmsg(fd, &m, 0), (ssize_t)len);
}

/* What comes as a train is delivered one by one, writable, and a train does not outlast its
 * buffer: the driver's next event comes after its last datagram. */
Test(udp, trains_arrive_one_by_one)
{
    static const struct {
        uint16_t len;
        uint16_t segment;
    } trains[] = {{500, 500}, {1000, 500}, {32000, 500},  {1001, 500},   {999, 500},  {64000, 1000},
                  {64, 1},    {1, 1000},   {63000, 1400}, {16000, 8000}, {8001, 8000}};
    static uint8_t bytes[65536];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    for (size_t back = 0; back < 2; back++) {
        struct limits l = default_limits();
        struct bed b;
        open_bed(&b, back == 0, &l);
        struct address at;
        int fd = open_client(&at);
        uint64_t in = 0;
        uint64_t in_trains = 0;
        for (size_t round = 0; round < 3; round++) {
            for (size_t i = 0; i < ARRAY_COUNT(trains); i++) {
                send_train(fd, &b.at, bytes, trains[i].len, trains[i].segment);
                in_trains += trains[i].len > trains[i].segment;
            }
            for (size_t i = 0; i < ARRAY_COUNT(trains); i++) {
                for (size_t done = 0; done < trains[i].len; done += trains[i].segment, in++) {
                    struct io_event e;
                    cr_assert(next(&b, PATIENCE_US, &e));
                    cr_assert_eq(e.kind, IO_DATAGRAM);
                    cr_assert_eq(e.listener, LISTENER);
                    cr_assert(address_is_equal(&e.remote, &at));
                    cr_assert(address_is_equal(&e.local, &b.at));
                    cr_assert_eq(e.data_len, min_size(trains[i].segment, trains[i].len - done));
                    cr_assert_eq(memcmp(e.data, bytes + done, e.data_len), 0);
                    memset(e.data, 0xee, e.data_len);
                }
            }
        }
        cr_assert_eq(metric_of(&b, METRIC_datagrams_in), in);
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_in), in_trains);
        send_train(fd, &b.at, bytes, 16002, 8001); /* each too long: dropped, counted apart */
        struct io_event none;
        cr_assert_not(next(&b, STEP_US, &none));
        cr_assert_eq(metric_of(&b, METRIC_datagrams_truncated), 2);
        cr_assert_eq(metric_of(&b, METRIC_datagrams_in), in + 2);
        close(fd);
        close_bed(&b);
    }
}

/* A socket without checksums is one of the ways in which a kernel refuses a train. */
Test(udp, refused_trains_go_one_by_one)
{
    for (size_t back = 0; back < 2; back++) {
        struct limits l = default_limits();
        struct bed b;
        open_bed(&b, back == 0, &l);
        int on = 1;
        cr_assert_eq(setsockopt(b.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
        struct address at;
        int fd = open_client(&at);
        for (size_t round = 0; round < 3; round++) {
            for (uint8_t i = 0; i < 10; i++) {
                put(&b, &at, i, 500);
            }
            settle(&b);
            for (uint8_t i = 0; i < 10; i++) {
                expect(fd, i, 500);
            }
            b.turn.now_us += 1000000;
        }
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_refused), 1, "it tries again at once");
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out), 30);
        b.turn.now_us += 10000000; /* in good time it does */
        put(&b, &at, 1, 1300);
        put(&b, &at, 2, 1300);
        settle(&b);
        expect(fd, 1, 1300);
        expect(fd, 2, 1300);
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_refused), 2);
        put(&b, &at, 3, 1250); /* long ones were refused: that may be their size */
        put(&b, &at, 4, 1250);
        settle(&b);
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_refused), 3);
        on = 0;
        cr_assert_eq(setsockopt(b.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
        b.turn.now_us += 10000000;
        put(&b, &at, 5, 1250);
        put(&b, &at, 6, 1250);
        settle(&b);
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_out), 1);
        cr_assert_eq(b.logged, 1, "said once");
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out_failed), 0);
        close(fd);
        close_bed(&b);
    }
}

/* One train, one wait that fails, of each kind: nothing is lost but what is counted. */
Test(udp, limits_and_errors)
{
    for (size_t back = 0; back < 2; back++) {
        struct address at;
        int fd = open_client(&at);
        struct limits l = default_limits();
        struct bed b;

        l.datagrams_per_train = 1;
        open_bed(&b, back == 0, &l);
        for (uint8_t i = 0; i < 10; i++) {
            put(&b, &at, i, 100);
        }
        settle(&b);
        for (uint8_t i = 0; i < 10; i++) {
            expect(fd, i, 100);
        }
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_out), 0);
        close_bed(&b);

        l = default_limits();
        l.datagrams_per_train = 4;
        l.trains_in_flight = 2;
        open_bed(&b, back == 0, &l);
        for (uint8_t i = 0; i < 20; i++) {
            put(&b, &at, i, 100);
        }
        settle(&b);
        for (uint8_t i = 0; i < 20; i++) {
            expect(fd, i, 100);
        }
        cr_assert_eq(metric_of(&b, METRIC_datagram_trains_out), 2);
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out), 20);
        close_bed(&b);

        l = default_limits();
        l.datagrams_in_flight = 3;
        open_bed(&b, back == 0, &l);
        for (uint8_t i = 0; i < 10; i++) {
            put(&b, &at, i, (size_t)i + 100); /* none fits to the one before */
        }
        settle(&b);
        for (uint8_t i = 0; i < 3; i++) {
            expect(fd, i, (size_t)i + 100);
        }
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out_dropped), 7);

        struct address nobody = {.family = 4, .port = 9, .ip = {255, 255, 255, 255}};
        put(&b, &nobody, 1, 100); /* EACCES: no broadcast */
        put(&b, &nobody, 2, 100);
        put(&b, &at, 3, 200);
        settle(&b);
        expect(fd, 3, 200); /* the others go */
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out_failed), 2);
        struct address six = {.family = 6, .port = 9};
        put(&b, &six, 1, 100); /* the socket is of the other family */
        cr_assert_eq(metric_of(&b, METRIC_datagrams_out_dropped), 8);
        expect_none(fd);
        close_bed(&b);
        close(fd);
    }
}

/* The datagram half of epoll on a socket that takes a few only: what does not fit waits its turn.
 */
Test(udp, epoll_waits_for_a_full_socket)
{
    enum { COUNT = 300 };
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
    struct mem mem;
    cr_assert_eq(mem_open(&mem, 64u << 20), ERR_OK);
    struct driver d = {.is_uring = false};
    cr_assert_eq(epoll_open(&d.epoll, &mem.arena, 16, 32, COUNT), 0);
    driver_datagrams(&d, LISTENER, fds[0]);
    static uint32_t numbers[COUNT];
    static struct iovec parts[COUNT];
    static struct msghdr messages[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        parts[i] = (struct iovec){.iov_base = &numbers[i], .iov_len = sizeof(numbers[i])};
        messages[i] = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        driver_send_datagram(&d, LISTENER, i, fds[0], &messages[i]);
    }
    uint32_t sent = 0;
    uint32_t got = 0;
    bool was_full = false;
    for (size_t turns = 0; turns < 1000 && (sent < COUNT || got < COUNT); turns++) {
        struct driver_event e;
        driver_wait(&d, 1000);
        while (driver_next(&d, &e)) {
            cr_assert_eq(e.kind, DRIVER_SEND_DATAGRAM);
            cr_assert_eq(e.index, sent++);
            cr_assert_eq(e.result, (int)sizeof(uint32_t));
        }
        was_full = was_full || d.epoll.datagrams_out.queues[LISTENER].is_blocked;
        uint32_t number = 0;
        for (size_t i = 0; i < 5 && recv(fds[1], &number, sizeof(number), 0) > 0; i++) {
            cr_assert_eq(number, got++);
        }
    }
    cr_assert(was_full, "the socket was never full: nothing was shown");
    cr_assert_eq(sent, COUNT);
    cr_assert_eq(got, COUNT);
    /* Given up while they wait: each still ends, once. */
    for (uint32_t i = 0; i < COUNT; i++) {
        driver_send_datagram(&d, LISTENER, i, fds[0], &messages[i]);
    }
    driver_wait(&d, 0);
    driver_cancel_listener(&d, LISTENER, fds[0]);
    uint32_t ended = 0;
    struct driver_event e;
    while (driver_next(&d, &e)) {
        ended++;
        cr_assert(e.result == (int)sizeof(uint32_t) || e.result == -ECANCELED);
    }
    cr_assert_eq(ended, COUNT);
    driver_close(&d);
    close(fds[0]);
    close(fds[1]);
    mem_close(&mem);
}

/* ---- control messages ---- */

static size_t add_control(uint8_t *out, int level, int type, const void *data, size_t len,
                          size_t claimed)
{
    struct cmsghdr c = {.cmsg_len = claimed, .cmsg_level = level, .cmsg_type = type};
    memcpy(out, &c, sizeof(c));
    memcpy(out + CMSG_LEN(0), data, len);
    return CMSG_SPACE(len);
}

Test(udp, odd_control_messages)
{
    uint8_t control[CONTROL_CAP] = {0};
    int size = 500;
    cr_assert_eq(gso_read(control, 0, 1000), 1000); /* none */
    size_t len = add_control(control, IPPROTO_UDP, 104, &size, sizeof(size), CMSG_LEN(4));
    cr_assert_eq(gso_read(control, len, 1000), 500);
    cr_assert_eq(gso_read(control, CMSG_LEN(4), 1000), 500); /* without the padding */
    cr_assert_eq(gso_read(control, len, 500), 500);
    cr_assert_eq(gso_read(control, len, 10), 10); /* larger than what came */
    cr_assert_eq(gso_read(control, len, 0), 0);
    cr_assert_eq(gso_read(control, CMSG_LEN(4) - 1, 1000), 1000); /* cut off */
    cr_assert_eq(gso_read(control, CMSG_LEN(0), 1000), 1000);
    cr_assert_eq(gso_read(control, 1, 1000), 1000);
    static const int sizes[] = {0, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        len = add_control(control, IPPROTO_UDP, 104, &sizes[i], sizeof(size), CMSG_LEN(4));
        cr_assert_eq(gso_read(control, len, 1000), 1000, "%d", sizes[i]);
    }
    static const size_t claims[] = {0,           1,        CMSG_LEN(0) - 1, CMSG_LEN(0),
                                    CMSG_LEN(3), SIZE_MAX, SIZE_MAX - 7,    CONTROL_CAP + 1};
    for (size_t i = 0; i < ARRAY_COUNT(claims); i++) {
        len = add_control(control, IPPROTO_UDP, 104, &size, sizeof(size), claims[i]);
        cr_assert_eq(gso_read(control, len, 1000), 1000, "claim %zu", claims[i]);
    }
    /* Others before it are passed by. */
    len = add_control(control, IPPROTO_IP, IP_TTL, &size, sizeof(size), CMSG_LEN(4));
    len += add_control(control + len, IPPROTO_UDP, 103, &size, sizeof(size), CMSG_LEN(4));
    len += add_control(control + len, SOL_SOCKET, 104, &size, 1, CMSG_LEN(1));
    cr_assert_eq(gso_read(control, len, 1000), 1000);
    len += add_control(control + len, IPPROTO_UDP, 104, &size, sizeof(size), CMSG_LEN(4));
    cr_assert_eq(gso_read(control, len, 1000), 500);
}

/* An ICMP message that anybody can forge would make the kernel refuse trains. */
Test(udp, no_path_mtu_is_believed)
{
    static const struct address at[] = {{.family = 4, .ip = {127, 0, 0, 1}},
                                        {.family = 6, .ip = {[15] = 1}}};
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        int fd = sock_datagram(&at[i], false, false), rule = -1;
        socklen_t len = sizeof(rule);
        if (fd < 0 && at[i].family == 6) {
            continue; /* a host without IPv6 */
        }
        cr_assert(fd >= 0);
        cr_assert_eq(getsockopt(fd, i == 0 ? IPPROTO_IP : IPPROTO_IPV6,
                                i == 0 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &rule, &len),
                     0);
        cr_assert_eq(rule, i == 0 ? IP_PMTUDISC_OMIT : IPV6_PMTUDISC_OMIT);
        close(fd);
    }
}
