/* SPDX-License-Identifier: Apache-2.0 */
/* floor_tcp.c - what coalesced messages cost over TCP: an echo that reads and writes as much as one
 * TLS record holds, for connections that each have that much on their way.
 *
 *     floor_tcp [--bytes N] [--connections N] [--depth N] [--ms N]
 *
 * `depth` messages of a connection travel together (default: what fits into 16 KiB).  The server
 * waits with epoll, on one processor; the generator on another compares each byte that comes back.
 */
#include "bench/floor_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_CAP = 256, RECORD_BYTES = 16384, BUFFER_BYTES = 65536, WARM_UP_ROUNDS = 8 };

struct echo {
    int listener;
    unsigned connections;
    unsigned bytes;  /* of a message */
    unsigned rounds; /* bytes that travel together, as messages */
    struct floor_run_result result;
};

static void set_nodelay(int fd)
{
    int on = 1;
    floor_run_require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "no NODELAY");
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    floor_run_require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl failed");
}

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t sent = send(fd, bytes + done, len - done, MSG_NOSIGNAL);
        floor_run_require(sent > 0, "send failed");
        done += (size_t)sent;
    }
}

/* Echoes until the first connection is closed. */
static void *serve(void *context)
{
    struct echo *e = context;
    struct epoll_event events[CONNECTIONS_CAP];
    uint8_t *buffer = malloc(BUFFER_BYTES);
    uint64_t warm_up = (uint64_t)e->connections * e->rounds * e->bytes * WARM_UP_ROUNDS;
    uint64_t echoed = 0;
    uint64_t cpu = 0;
    uint64_t wall = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    floor_run_pin(FLOOR_RUN_SERVER_CPU);
    floor_run_require(buffer != NULL && epoll >= 0, "no memory");
    for (unsigned i = 0; i < e->connections; i++) {
        int fd = accept4(e->listener, NULL, NULL, SOCK_CLOEXEC);
        floor_run_require(fd >= 0, "accept failed");
        set_nodelay(fd);
        watch(epoll, fd);
    }
    uint64_t softirq = floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU);
    for (bool is_on = true; is_on;) {
        int count = epoll_wait(epoll, events, CONNECTIONS_CAP, -1);
        floor_run_require(count > 0, "epoll_wait failed");
        for (int i = 0; i < count && is_on; i++) {
            ssize_t got = recv(events[i].data.fd, buffer, BUFFER_BYTES, 0);
            floor_run_require(got >= 0, "recv failed");
            is_on = got > 0;
            send_all(events[i].data.fd, buffer, (size_t)got);
            echoed += (uint64_t)got;
        }
        if (wall == 0 && echoed >= warm_up) {
            wall = floor_run_wall_ns();
            cpu = floor_run_cpu_ns();
            echoed = 0;
        }
    }
    floor_run_require(wall != 0, "the run ended within its warm-up");
    e->result.cpu_ns = floor_run_cpu_ns() - cpu;
    e->result.cpu_ns += floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU) - softirq;
    e->result.wall_ns = floor_run_wall_ns() - wall;
    e->result.ops = echoed / e->bytes;
    free(buffer);
    (void)close(epoll);
    return NULL;
}

struct client {
    int fds[CONNECTIONS_CAP];
    size_t back[CONNECTIONS_CAP]; /* bytes of this round that have come back */
    uint8_t *out;
    uint8_t *in;
    size_t len; /* of a round */
    uint64_t rounds;
};

static unsigned client_of(const struct client *c, int fd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (c->fds[i] == fd) {
            return i;
        }
    }
    floor_run_require(false, "an event of a strange socket");
    return 0;
}

static void receive(struct client *c, unsigned i)
{
    ssize_t got = recv(c->fds[i], c->in, c->len - c->back[i], 0);
    floor_run_require(got > 0, "the server has closed");
    floor_run_require(memcmp(c->in, c->out + c->back[i], (size_t)got) == 0,
                      "what came back is not what was sent");
    c->back[i] += (size_t)got;
    if (c->back[i] == c->len) {
        c->back[i] = 0;
        c->rounds++;
        send_all(c->fds[i], c->out, c->len);
    }
}

static void generate(struct echo *e, struct client *c, const struct sockaddr_in *to, uint64_t ns)
{
    struct epoll_event events[CONNECTIONS_CAP];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    floor_run_require(epoll >= 0, "no epoll");
    for (unsigned i = 0; i < e->connections; i++) {
        c->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        floor_run_require(c->fds[i] >= 0 && connect(c->fds[i], (const void *)to, sizeof(*to)) == 0,
                          "connect failed");
        set_nodelay(c->fds[i]);
        watch(epoll, c->fds[i]);
        send_all(c->fds[i], c->out, c->len);
    }
    uint64_t rounds_min = (uint64_t)e->connections * WARM_UP_ROUNDS * 3;
    for (uint64_t start = floor_run_wall_ns();
         floor_run_wall_ns() - start < ns || c->rounds < rounds_min;) {
        int count = epoll_wait(epoll, events, CONNECTIONS_CAP, 1000);
        floor_run_require(count > 0, "the echo has stopped");
        for (int i = 0; i < count; i++) {
            receive(c, client_of(c, events[i].data.fd, e->connections));
        }
    }
    (void)shutdown(c->fds[0], SHUT_WR);
}

static void parse(struct echo *e, int argc, char **argv, uint64_t *ms)
{
    static const struct option options[] = {
        {"bytes", required_argument, NULL, 's'}, {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'}, {"ms", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},        {0},
    };
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        floor_run_require(c != '?', "wrong usage: see the head of bench/floor_tcp.c");
        if (c == 's') {
            e->bytes = (unsigned)floor_run_number(optarg, 1, RECORD_BYTES);
        } else if (c == 'c') {
            e->connections = (unsigned)floor_run_number(optarg, 1, CONNECTIONS_CAP);
        } else if (c == 'd') {
            e->rounds = (unsigned)floor_run_number(optarg, 1, 64);
        } else if (c == 'm') {
            *ms = floor_run_number(optarg, 10, 60000);
        }
    }
    if (e->rounds == 0) {
        e->rounds = RECORD_BYTES / e->bytes;
    }
    floor_run_require(e->rounds * e->bytes <= BUFFER_BYTES, "--depth is too large");
}

int main(int argc, char **argv)
{
    struct echo e = {.connections = 16, .bytes = 500};
    struct client c = {.len = 0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);
    uint64_t ms = 400;
    char work[64];
    pthread_t thread;
    parse(&e, argc, argv, &ms);
    e.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    floor_run_require(e.listener >= 0 && bind(e.listener, (void *)&to, sizeof(to)) == 0 &&
                          listen(e.listener, CONNECTIONS_CAP) == 0 &&
                          getsockname(e.listener, (void *)&to, &len) == 0,
                      "no listener");
    c.len = (size_t)e.rounds * e.bytes;
    c.out = malloc(c.len);
    c.in = malloc(c.len);
    floor_run_require(c.out != NULL && c.in != NULL, "no memory");
    for (size_t i = 0; i < c.len; i++) {
        c.out[i] = (uint8_t)(i * 31 + i / 251);
    }
    floor_run_require(pthread_create(&thread, NULL, serve, &e) == 0, "no thread");
    floor_run_pin(FLOOR_RUN_LOAD_CPU);
    generate(&e, &c, &to, ms * 1000000);
    floor_run_require(pthread_join(thread, NULL) == 0, "the server does not end");
    (void)snprintf(work, sizeof(work), "tcp_echo_%u", e.bytes);
    floor_run_print(work, &e.result);
    free(c.out);
    free(c.in);
    return 0;
}
