/* SPDX-License-Identifier: Apache-2.0 */
/* transit_live.c - the whole way through the kernel: the engine (core/os) and the node on a thread
 * of their own on core 0, generator and sink in a thread on the last core, TLS over loopback TCP
 * between them.  The generator keeps WINDOW_BYTES of messages under way, so nothing may be lost;
 * the figure is CPU time of the shard's thread, whoever else may have the core meanwhile. */
#include "bench/transit.h"
#include "bench/transit_node.h"
#include "core/os/host.h"
#include "core/os/shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_BYTES = 200 * 1024, BURST = 4, RECEIVE_BYTES = 256 * 1024, WAIT_MS = 10000 };

struct shard_thread {
    struct shard *shard;
    struct transit_live *live;
};

struct transit_live {
    struct transit_load *load;
    struct shard_group *group;
    struct transit_node own;
    struct shard_thread thread;
    pthread_t id;
    struct node *node;
    struct transit_peer generator, sink;
    int generator_fd, sink_fd;
    clockid_t shard_clock;
    uint64_t first, last; /* of a slice: until `last` are sent; measured is from `first` on */
    uint64_t measured;
    uint64_t cpu_ns[2], wall_ns[2], receives[2];
    uint64_t events; /* receives of the node */
};

/* ---- the node's thread ---- */

static void on_event(void *context, struct turn *t, struct io_event *event)
{
    struct transit_live *l = context;
    l->events += event->kind == IO_STREAM;
    node_on_event(t, l->node, event);
}

static void on_timers(void *context, struct turn *t)
{
    struct transit_live *l = context;
    node_on_timers(t, l->node);
}

static bool on_flush(void *context, struct turn *t)
{
    struct transit_live *l = context;
    return node_on_flush(t, l->node);
}

static void *run_shard(void *context)
{
    static const struct shard_handler handler = {on_event, on_timers, on_flush};
    struct shard_thread *s = context;
    shard_run(s->shard, &handler, s->live);
    return NULL;
}

/* ---- far ends ---- */

static int dial(const struct address *to)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    memcpy(&at.sin_addr, to->ip, sizeof(at.sin_addr));
    transit_require(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0,
                    "a connection to the node");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void send_sealed(struct transit_peer *p, int fd)
{
    static uint8_t sealed[RECEIVE_BYTES];
    size_t len = 0;
    while ((len = transit_peer_pull(p, sealed, sizeof(sealed))) > 0) {
        for (size_t at = 0; at < len;) {
            ssize_t put = send(fd, sealed + at, len - at, MSG_NOSIGNAL);
            transit_require(put > 0, "a node that takes bytes");
            at += (size_t)put;
        }
    }
}

/* True: something came. */
static bool receive(struct transit_peer *p, int fd, int flags)
{
    static uint8_t bytes[RECEIVE_BYTES];
    ssize_t got = recv(fd, bytes, sizeof(bytes), flags);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    transit_require(got > 0, "a node that keeps the connection");
    transit_peer_feed(p, slice_of(bytes, (size_t)got));
    return true;
}

static void shake(struct transit_peer *p, int fd)
{
    send_sealed(p, fd);
    while (!p->is_up) {
        (void)receive(p, fd, 0);
        send_sealed(p, fd);
    }
}

/* As many records as the window has room for; false: none. */
static bool generate(struct transit_live *l)
{
    uint32_t per_record = transit_load_per_record(l->load);
    uint64_t window = WINDOW_BYTES / l->load->len;
    uint64_t under_way = l->generator.sent - l->sink.received;
    uint64_t before = l->generator.sent;
    for (uint32_t i = 0;
         i < BURST && l->generator.sent < l->last && under_way + per_record <= window; i++) {
        transit_peer_push(&l->generator, l->load, &l->sink.ident.node_id, per_record);
        under_way += per_record;
    }
    transit_peer_acknowledge(&l->generator);
    send_sealed(&l->generator, l->generator_fd);
    return l->generator.sent != before;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void note(struct transit_live *l, size_t which)
{
    l->cpu_ns[which] = clock_ns(l->shard_clock);
    l->wall_ns[which] = clock_ns(CLOCK_MONOTONIC);
    l->receives[which] = l->events; /* another thread's: about right is enough */
    l->measured = l->sink.received - l->measured;
}

static bool drain(struct transit_live *l)
{
    bool is_any = receive(&l->sink, l->sink_fd, MSG_DONTWAIT);
    if (is_any) {
        transit_peer_acknowledge(&l->sink);
        send_sealed(&l->sink, l->sink_fd);
    }
    while (receive(&l->generator, l->generator_fd, MSG_DONTWAIT)) {
        is_any = true;
    }
    return is_any;
}

/* Both far ends take turns and seldom sleep, as those of the floor do: to wake them would be the
 * node's work, and is none where a network card sends. */
static void *run_far_ends(void *context)
{
    struct transit_live *l = context;
    bool is_begun = false;
    transit_require(host_pin(host_cpu_count() - 1) == ERR_OK, "a cpu for the far ends");
    while (l->sink.received < l->last) {
        bool has_worked = generate(l);
        has_worked = drain(l) || has_worked;
        if (!has_worked) {
            struct pollfd p[] = {{.fd = l->generator_fd, .events = POLLIN},
                                 {.fd = l->sink_fd, .events = POLLIN}};
            transit_require(poll(p, ARRAY_COUNT(p), WAIT_MS) > 0, "messages that are not lost");
        }
        if (!is_begun && l->sink.received >= l->first) {
            is_begun = true;
            note(l, 0);
        }
    }
    note(l, 1);
    return NULL;
}

/* ---- all together ---- */

static void measure(struct transit_live *l, uint64_t messages)
{
    pthread_t far_ends;
    uint32_t per_record = transit_load_per_record(l->load);
    l->measured = 0;
    l->first = l->sink.received + messages / TRANSIT_WARM_SHARE;
    l->last = (l->first + messages) / per_record * per_record;
    transit_require(pthread_create(&far_ends, NULL, run_far_ends, l) == 0, "a thread");
    pthread_join(far_ends, NULL);
    if (l->sink.wrong != 0 || l->sink.received != l->generator.sent) {
        fprintf(stderr, "transit: sent %llu, received %llu, wrong %llu\n",
                (unsigned long long)l->generator.sent, (unsigned long long)l->sink.received,
                (unsigned long long)l->sink.wrong);
    }
    transit_require(l->sink.wrong == 0 && l->sink.received == l->generator.sent &&
                        l->sink.sum == transit_load_sum(0, l->generator.sent),
                    "a sink that gets all messages, each as it must be");
}

static void connect_far_ends(struct transit_live *l, const struct transit_ca *ca)
{
    struct address at = shard_address(l->thread.shard, IO_LISTEN_OVERLAY);
    transit_peer_open(&l->generator, ca, 1);
    transit_peer_open(&l->sink, ca, 2);
    l->sink.expected = l->load;
    l->generator_fd = dial(&at);
    l->sink_fd = dial(&at);
    shake(&l->generator, l->generator_fd);
    shake(&l->sink, l->sink_fd);
    usleep(20000); /* the node's end of the handshake */
}

struct transit_live *transit_live_open(const struct transit_ca *ca, size_t message_len)
{
    char problem[SHARD_PROBLEM_CAP];
    struct transit_live *l = calloc(1, sizeof(*l));
    struct shard_config config = {
        .cpu = 0, .crypto = crypto_boring(), .sink = transit_node_drop_log, .log_level = LOG_ERROR};
    transit_require(l != NULL && (l->load = malloc(sizeof(*l->load))) != NULL, "memory");
    transit_load_make(l->load, ca, message_len);
    transit_node_limits(&config.limits, 16);
    config.listeners[IO_LISTEN_OVERLAY].address =
        (struct address){.family = 4, .ip = {127, 0, 0, 1}};
    transit_require(shard_open(&config, 1, &l->group, problem) == ERR_OK, problem);
    l->thread = (struct shard_thread){.shard = shard_at(l->group, 0), .live = l};
    transit_node_open(&l->own, shard_turn(l->thread.shard), ca, shard_limits(l->thread.shard));
    l->node = l->own.node;
    transit_require(pthread_create(&l->id, NULL, run_shard, &l->thread) == 0 &&
                        pthread_getcpuclockid(l->id, &l->shard_clock) == 0,
                    "a thread");
    connect_far_ends(l, ca);
    return l;
}

void transit_live_run(struct transit_live *l, uint64_t messages, struct transit_live_result *out)
{
    measure(l, messages);
    uint64_t cpu_ns = l->cpu_ns[1] - l->cpu_ns[0];
    out->messages = l->measured;
    out->ns = (double)cpu_ns / (double)out->messages;
    out->cpu_share = (double)cpu_ns / (double)(l->wall_ns[1] - l->wall_ns[0]);
    out->bytes_per_receive =
        (double)out->messages * (double)l->load->len / (double)(l->receives[1] - l->receives[0]);
}

void transit_live_close(struct transit_live *l)
{
    shard_stop(l->group);
    pthread_join(l->id, NULL);
    close(l->generator_fd);
    close(l->sink_fd);
    transit_peer_close(&l->generator);
    transit_peer_close(&l->sink);
    shard_close(l->group); /* node and its TLS stay: the process ends soon */
    free(l->load);
    free(l);
}
