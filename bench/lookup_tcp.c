/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_tcp.c - see lookup_tcp.h. */
#include "bench/lookup_tcp.h"

#include "bench/bench.h"
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/fwd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS = 50,
    PIPELINE = 32,
    REQUESTS = 16 * 1024, /* made beforehand; asked for in turn */
    CHECK_EVERY = 16,     /* answers that are looked into byte by byte; of the others the header */
    BUFFER_BYTES = 256 * 1024,
    RECORDS_CAP = 64,
    TRANSACTION_AT = 20,
    WARM_MS = 200,
};

struct asking {
    int fd;
    uint32_t open;  /* answers that have not come */
    uint64_t first; /* transaction id of the batch */
    uint32_t seen;  /* answers of the batch that have come */
    uint32_t last;  /* sequence number of the last one */
    uint32_t sequence;
    size_t len;
    uint8_t bytes[BUFFER_BYTES];
    uint32_t numbers[PIPELINE];
};

struct run {
    struct lookup_world *w;
    uint32_t records;
    uint32_t ms;
    int listener;
    struct sockaddr_in address;
    atomic_bool is_timed;
    atomic_bool is_over;
    uint64_t server_ns; /* while it was timed */
    uint64_t answers;   /* while it was timed */
    const char *wrong;
    struct lookup_request *requests;
    struct asking *asking;
};

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set); /* on one processor alone: as it is */
}

static void set_options(int fd)
{
    int one = 1;
    int large = 1 << 20;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
}

/* ---- the server ---- */

static void write_all(int fd, struct msgbuf **out, uint32_t count)
{
    struct iovec parts[RECORDS_CAP];
    size_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){msgbuf_data(out[i]), out[i]->len};
        left += out[i]->len;
    }
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = count};
    if (left > 0) { /* blocking, and who asks reads before it asks again */
        ssize_t sent = sendmsg(fd, &h, MSG_NOSIGNAL);
        bench_require(sent == (ssize_t)left, "an answer that was not written");
    }
}

static void serve_one(struct run *r, int fd, handle link)
{
    static uint8_t bytes[BUFFER_BYTES];
    struct msgbuf *out[RECORDS_CAP];
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
    if (len <= 0) {
        return;
    }
    uint32_t count = lookup_world_turn(r->w, link, bytes, (size_t)len, out, RECORDS_CAP);
    write_all(fd, out, count);
    lookup_world_sent(r->w, link, out, count);
}

static void *serve(void *context)
{
    struct run *r = context;
    int fds[CONNECTIONS];
    handle links[CONNECTIONS];
    int poll = epoll_create1(0);
    pin(0);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        fds[i] = accept(r->listener, NULL, NULL);
        bench_require(fds[i] >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &e) == 0, "accept");
        set_options(fds[i]);
        links[i] = lookup_world_accept(r->w, i);
    }
    uint64_t from = 0;
    while (!atomic_load(&r->is_over)) {
        struct epoll_event events[CONNECTIONS];
        int count = epoll_wait(poll, events, CONNECTIONS, 20);
        if (from == 0 && atomic_load(&r->is_timed)) {
            from = lookup_world_cpu_ns();
        }
        for (int i = 0; i < count; i++) {
            uint32_t at = events[i].data.u32;
            serve_one(r, fds[at], links[at]);
        }
    }
    r->server_ns = lookup_world_cpu_ns() - from;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        (void)close(fds[i]);
    }
    (void)close(poll);
    return NULL;
}

/* ---- who asks ---- */

static void ask(struct run *r, struct asking *a, bool is_first)
{
    static uint64_t next;
    uint8_t bytes[PIPELINE * (FRAME_DATA_HEADER + LOOKUP_MESSAGE_CAP)];
    size_t len = 0;
    if (!is_first) {
        frame_put_ack(bytes, a->last, UINT32_MAX);
        len += FRAME_ACK_BYTES;
    }
    a->first = UINT64_C(1) << 40 | next;
    for (uint32_t i = 0; i < PIPELINE; i++) {
        struct lookup_request *q = &r->requests[next % REQUESTS];
        uint64_t id = __builtin_bswap64(UINT64_C(1) << 40 | next++);
        frame_put_data_header(bytes + len, a->sequence++, q->len);
        memcpy(bytes + len + FRAME_DATA_HEADER, q->bytes, q->len);
        memcpy(bytes + len + FRAME_DATA_HEADER + TRANSACTION_AT, &id, sizeof(id));
        len += FRAME_DATA_HEADER + q->len;
        a->numbers[i] = q->number;
    }
    a->open = PIPELINE;
    a->seen = 0;
    ssize_t sent = send(a->fd, bytes, len, MSG_NOSIGNAL);
    bench_require(sent == (ssize_t)len, "a request that was not written");
}

static void look(struct run *r, struct asking *a, const struct frame *f)
{
    struct fwd h;
    if (f->type != FRAME_DATA || fwd_decode(f->message, &r->w->params, &h) != ERR_OK) {
        return; /* an ACK */
    }
    a->last = f->sequence;
    uint64_t number = h.transaction_id - a->first;
    if (number >= PIPELINE) {
        return; /* what the peer has to say of itself */
    }
    const char *wrong = NULL;
    if (number % CHECK_EVERY == 0) {
        wrong = lookup_check_fetch(&r->w->params, f->message, h.transaction_id, a->numbers[number]);
    } else if (h.payload.len < 2 || rd_at16(h.payload.data) != CONTENT_FETCH_ANS) {
        wrong = "an answer that is no FetchAns";
    }
    r->wrong = r->wrong == NULL ? wrong : r->wrong;
    a->open--;
    r->answers += atomic_load_explicit(&r->is_timed, memory_order_relaxed) ? 1 : 0;
}

static void hear(struct run *r, struct asking *a)
{
    ssize_t len = recv(a->fd, a->bytes + a->len, sizeof(a->bytes) - a->len, 0);
    bench_require(len > 0, "a connection that is over");
    a->len += (size_t)len;
    struct slice rest = slice_of(a->bytes, a->len);
    struct frame f;
    size_t consumed = 0;
    while (rest.len > 0 && frame_scan(rest, 5000, &f, &consumed) == ERR_OK) {
        look(r, a, &f);
        rest = slice_from(rest, consumed);
    }
    if (rest.len > 0) {
        memmove(a->bytes, rest.data, rest.len);
    }
    a->len = rest.len;
    if (a->open == 0) {
        ask(r, a, false);
    }
}

static uint64_t wall_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void ask_all(struct run *r)
{
    int poll = epoll_create1(0);
    pin(1);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct asking *a = &r->asking[i];
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        a->fd = socket(AF_INET, SOCK_STREAM, 0);
        bench_require(a->fd >= 0 &&
                          connect(a->fd, (const struct sockaddr *)(const void *)&r->address,
                                  sizeof(r->address)) == 0 &&
                          epoll_ctl(poll, EPOLL_CTL_ADD, a->fd, &e) == 0,
                      "connect");
        set_options(a->fd);
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        ask(r, &r->asking[i], true);
    }
    uint64_t begun = wall_ms();
    while (r->wrong == NULL && wall_ms() - begun < WARM_MS + r->ms) {
        struct epoll_event events[CONNECTIONS];
        int count = epoll_wait(poll, events, CONNECTIONS, 1000);
        r->wrong = count == 0 ? "no answer within a second" : r->wrong;
        for (int i = 0; i < count; i++) {
            hear(r, &r->asking[events[i].data.u32]);
        }
        if (wall_ms() - begun >= WARM_MS) {
            atomic_store(&r->is_timed, true);
        }
    }
    atomic_store(&r->is_over, true);
    (void)close(poll);
}

static void prepare(struct run *r)
{
    struct rng rng;
    rng_init(&rng, 21);
    r->requests = calloc(REQUESTS, sizeof(*r->requests));
    r->asking = calloc(CONNECTIONS, sizeof(*r->asking));
    bench_require(r->requests != NULL && r->asking != NULL, "no memory");
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct lookup_request *q = &r->requests[i];
        const struct lookup_person *client = lookup_world_client(r->w, i);
        struct lookup_route route = {
            .params = &r->w->params, .sender = client, .via = &client->ident.node_id};
        q->number = (uint32_t)rng_below(&rng, r->records);
        q->len = lookup_fetch_req(&route, q->number, q->bytes);
    }
    socklen_t len = sizeof(r->address);
    r->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->listener = socket(AF_INET, SOCK_STREAM, 0);
    bench_require(r->listener >= 0 &&
                      bind(r->listener, (const struct sockaddr *)(const void *)&r->address, len) ==
                          0 &&
                      listen(r->listener, CONNECTIONS) == 0 &&
                      getsockname(r->listener, (struct sockaddr *)(void *)&r->address, &len) == 0,
                  "listen");
}

double lookup_tcp_run(struct lookup_world *w, uint32_t records, uint32_t ms)
{
    static struct run r;
    pthread_t server;
    cpu_set_t before;
    r = (struct run){.w = w, .records = records, .ms = ms};
    prepare(&r);
    (void)sched_getaffinity(0, sizeof(before), &before);
    bench_require(pthread_create(&server, NULL, serve, &r) == 0, "a thread");
    ask_all(&r);
    (void)pthread_join(server, NULL);
    (void)sched_setaffinity(0, sizeof(before), &before);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        (void)close(r.asking[i].fd);
    }
    (void)close(r.listener);
    free(r.requests);
    free(r.asking);
    if (r.wrong != NULL || r.answers == 0) {
        (void)fprintf(stderr, "lookup: over TCP: %s\n", r.wrong == NULL ? "no answer" : r.wrong);
        return 0;
    }
    return (double)r.server_ns / (double)r.answers;
}
