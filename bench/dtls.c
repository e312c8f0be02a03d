/* SPDX-License-Identifier: Apache-2.0 */
/* dtls.c - what a message in transit costs over datagram links (DTLS-UDP-SR-NO-ICE): from one to
 * another through a real node on the real engine, over loopback UDP.
 *
 *   build/release/bench/dtls [--json] [--quick] [--epoll] [--floor] [--repeats N] [--messages N]
 *       [--bytes N] [--buffers N] [WORK ...]
 *
 * Works: burst (one generator; BURST messages to each of 8 sinks in turn, so trains come and go)
 * and single (64 generators, 64 sinks, one message under way between each two, so each message and
 * each ACK is a datagram by itself).  The node's shard has a thread of its own on core 0; all far
 * ends are on the last core.  The figure is CPU time of the shard's thread for one message, median
 * of the repeats, whoever else may have the core meanwhile.  With --floor each repeat comes right
 * beside its floor (dtls_floor.h), and they take turns, there and back, two repeats to a turn
 * (slices.h): what a system call costs here differs by a half from one second to the next.  Every
 * message must come, once and with the right bytes, or the exit code is 1. */
#include "bench/dtls_floor.h"
#include "bench/dtls_peer.h"
#include "bench/transit_node.h"
#include "core/os/host.h"
#include "core/os/shard.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PEERS_CAP = 128, REPEATS_CAP = 99, NAP_NS = 30000 };
#define WAIT_NS 2000000000u

struct shape {
    const char *name;
    uint32_t generators, sinks;
    uint32_t burst;                    /* messages in a train */
    uint32_t window;                   /* of one sink: under way to it */
    uint64_t messages, quick_messages; /* of a repeat */
    /* The node does nothing for so long at the first event of a turn, so that its next turn finds
     * as many datagrams as those of a busy node do. */
    long gather_ns;
};

static const struct shape shapes[] = {
    {.name = "burst",
     .generators = 1,
     .sinks = 8,
     .burst = 16,
     .window = 32,
     .messages = 200000,
     .quick_messages = 60000},
    {.name = "single",
     .generators = 64,
     .sinks = 64,
     .burst = 1,
     .window = 1,
     .messages = 12000,
     .quick_messages = 12000,
     .gather_ns = 300000},
};

static struct {
    bool is_json, is_quick, has_floor;
    const char *program;
    enum shard_backend backend;
    unsigned repeats;
    uint64_t messages; /* 0: as the shape has it */
    size_t bytes;
    uint32_t buffers; /* that datagrams come into; 0: the default */
} options = {.repeats = 6, .bytes = 500};

struct bench {
    const struct shape *shape;
    const struct transit_ca *ca;
    struct transit_load load;
    struct shard_group *group;
    struct shard *shard;
    struct transit_node node;
    pthread_t thread;
    clockid_t clock; /* CPU time of that thread */
    bool is_announced;
    uint64_t gathered_us;              /* the turn that has */
    _Atomic uint64_t gathering_ns;     /* CPU time of that, which is no part of the figure */
    struct dtls_peer peers[PEERS_CAP]; /* generators, then sinks */
};

struct result {
    double ns, cpu_share, per_turn;
};

/* ---- the node's thread ---- */

static uint64_t read_clock_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void on_event(void *context, struct turn *t, struct io_event *event)
{
    struct bench *b = context;
    if (b->shape->gather_ns > 0 && b->gathered_us != t->now_us) {
        uint64_t begin = read_clock_ns(CLOCK_MONOTONIC),
                 cpu = read_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        b->gathered_us = t->now_us;
        while (read_clock_ns(CLOCK_MONOTONIC) - begin < (uint64_t)b->shape->gather_ns) {}
        atomic_fetch_add(&b->gathering_ns, read_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
    }
    node_on_event(t, b->node.node, event);
}

static uint32_t peer_count(const struct bench *b)
{
    return b->shape->generators + b->shape->sinks;
}

/* What an Attach would have told it. */
static void on_timers(void *context, struct turn *t)
{
    struct bench *b = context;
    if (!b->is_announced) {
        for (uint32_t i = 0; i < peer_count(b); i++) {
            link_announce(t, node_links(b->node.node), &b->peers[i].end.ident.node_id,
                          &b->peers[i].local, 1);
        }
        b->is_announced = true;
    }
    node_on_timers(t, b->node.node);
}

static bool on_flush(void *context, struct turn *t)
{
    struct bench *b = context;
    return node_on_flush(t, b->node.node);
}

static void *run_shard(void *context)
{
    static const struct shard_handler handler = {on_event, on_timers, on_flush};
    struct bench *b = context;
    shard_run(b->shard, &handler, b);
    return NULL;
}

static void open_node(struct bench *b)
{
    char problem[SHARD_PROBLEM_CAP];
    struct shard_config config = {.backend = options.backend,
                                  .cpu = 0,
                                  .crypto = crypto_boring(),
                                  .sink = transit_node_drop_log,
                                  .log_level = LOG_ERROR};
    transit_node_limits(&config.limits, PEERS_CAP);
    if (options.buffers != 0) {
        config.limits.datagram_buffers = options.buffers;
    }
    config.listeners[IO_LISTEN_OVERLAY_UDP].address =
        (struct address){.family = 4, .ip = {127, 0, 0, 1}};
    transit_require(shard_open(&config, 1, &b->group, problem) == ERR_OK, problem);
    b->shard = shard_at(b->group, 0);
    transit_node_open(&b->node, shard_turn(b->shard), b->ca, shard_limits(b->shard));
}

static void open_all(struct bench *b)
{
    open_node(b);
    struct address at = shard_address(b->shard, IO_LISTEN_OVERLAY_UDP);
    for (uint32_t i = 0; i < peer_count(b); i++) {
        dtls_peer_open(&b->peers[i], b->ca, i + 1, &at);
        b->peers[i].end.expected = &b->load;
    }
    transit_require(pthread_create(&b->thread, NULL, run_shard, b) == 0 &&
                        pthread_getcpuclockid(b->thread, &b->clock) == 0,
                    "a thread");
    for (uint32_t i = 0; i < peer_count(b); i++) {
        dtls_peer_shake(&b->peers[i]);
    }
}

static void close_all(struct bench *b)
{
    shard_stop(b->group);
    pthread_join(b->thread, NULL);
    for (uint32_t i = 0; i < peer_count(b); i++) {
        dtls_peer_close(&b->peers[i]);
    }
    shard_close(b->group); /* node and its TLS stay: the process ends soon */
}

/* ---- load ---- */

/* Gives each sink what its window has room for. */
static void generate(struct bench *b, uint64_t *left)
{
    const struct shape *s = b->shape;
    for (uint32_t i = 0; i < s->sinks; i++) {
        struct dtls_peer *sink = &b->peers[s->generators + i];
        struct dtls_peer *from = &b->peers[i % s->generators];
        while (*left >= s->burst && sink->sent_to - sink->end.received + s->burst <= s->window) {
            dtls_peer_send(from, &b->load, sink, s->burst);
            *left -= s->burst;
        }
    }
}

static uint64_t received(const struct bench *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->shape->sinks; i++) {
        sum += b->peers[b->shape->generators + i].end.received;
    }
    return sum;
}

static uint64_t metric(const struct bench *b, enum metric which)
{
    return metric_read(shard_metrics(b->shard), which);
}

static void fail(const struct bench *b)
{
    static const struct {
        const char *name;
        enum metric which;
    } told[] = {
        {"queue full", METRIC_link_queue_full},         {"no buffer", METRIC_link_send_failed},
        {"datagrams lost", METRIC_link_datagrams_lost}, {"repeats", METRIC_sr_repeats},
        {"resent late", METRIC_sr_resent_late},         {"resent gap", METRIC_sr_resent_gap},
        {"messages in", METRIC_link_messages_in},       {"messages out", METRIC_link_messages_out}};
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        fprintf(stderr, "dtls: %s %llu\n", told[i].name,
                (unsigned long long)metric(b, told[i].which));
    }
    fprintf(stderr, "dtls: received %llu\n", (unsigned long long)received(b));
    transit_require(false, "messages that are not lost");
}

static void acknowledge(struct bench *b)
{
    for (uint32_t i = 0; i < peer_count(b); i++) {
        dtls_peer_acknowledge(&b->peers[i]);
    }
}

/* Until `count` more messages have come.  Nobody sleeps in a socket: the node would pay for waking
 * him with each datagram, and the sinks of floor_udp do not let it either. */
static void run(struct bench *b, uint64_t count)
{
    uint64_t left = count - count % b->shape->burst;
    uint64_t until = received(b) + left;
    uint64_t heard = read_clock_ns(CLOCK_MONOTONIC);
    while (received(b) < until) {
        uint64_t before = received(b);
        generate(b, &left);
        for (uint32_t i = 0; i < peer_count(b); i++) {
            dtls_peer_receive(&b->peers[i]);
        }
        acknowledge(b);
        if (received(b) != before) {
            heard = read_clock_ns(CLOCK_MONOTONIC);
            continue;
        }
        if (read_clock_ns(CLOCK_MONOTONIC) - heard > WAIT_NS) {
            fail(b);
        }
        struct timespec nap = {.tv_nsec = NAP_NS};
        nanosleep(&nap, NULL);
    }
}

static void check(const struct bench *b)
{
    uint64_t sent = 0, sent_sum = 0, got = 0, got_sum = 0, wrong = 0;
    for (uint32_t i = 0; i < peer_count(b); i++) {
        const struct dtls_peer *p = &b->peers[i];
        sent += p->sent_to;
        sent_sum += p->sent_to_sum;
        got += p->end.received;
        got_sum += p->end.sum;
        wrong += p->end.wrong;
    }
    if (wrong != 0 || got != sent || got_sum != sent_sum) {
        fprintf(stderr, "dtls: sent %llu, received %llu, wrong %llu\n", (unsigned long long)sent,
                (unsigned long long)got, (unsigned long long)wrong);
    }
    transit_require(wrong == 0 && got == sent && got_sum == sent_sum,
                    "sinks that get each message once, as it must be");
}

static void measure(struct bench *b, struct result *out)
{
    const struct shape *s = b->shape;
    uint64_t messages = options.messages != 0 ? options.messages
                        : options.is_quick    ? s->quick_messages
                                              : s->messages;
    run(b, messages / 5);
    uint64_t cpu = read_clock_ns(b->clock) - atomic_load(&b->gathering_ns);
    uint64_t wall = read_clock_ns(CLOCK_MONOTONIC);
    uint64_t turns = metric(b, METRIC_turns);
    uint64_t before = received(b);
    run(b, messages);
    cpu = read_clock_ns(b->clock) - atomic_load(&b->gathering_ns) - cpu;
    wall = read_clock_ns(CLOCK_MONOTONIC) - wall;
    turns = metric(b, METRIC_turns) - turns;
    double count = (double)(received(b) - before);
    check(b);
    out->ns = (double)cpu / count;
    out->cpu_share = (double)cpu / (double)wall;
    out->per_turn = count / (double)max_u64(1, turns);
}

/* ---- the program ---- */

static void print(const struct bench *b, const struct result *results,
                  const struct dtls_floor *floor)
{
    static struct slices ns, share, per_turn; /* too large for a frame */
    ns.count = share.count = per_turn.count = 0;
    ns.name = "ns_per_op";
    for (unsigned i = 0; i < options.repeats; i++) {
        slices_add(&ns, results[i].ns);
        slices_add(&share, results[i].cpu_share);
        slices_add(&per_turn, results[i].per_turn);
    }
    const char *format =
        options.is_json
            ? "{\"work\": \"forward-dtls-%s\", \"bytes\": %zu, \"ns_per_op\": %.1f, "
              "\"cpu_share\": %.2f, \"messages_per_turn\": %.1f, \"resent\": %llu"
            : "forward over DTLS, %s, %zu bytes: %.0f ns, core %.2f busy, %.1f messages a turn, "
              "%llu resent";
    unsigned long long resent = metric(b, METRIC_sr_resent_late) + metric(b, METRIC_sr_resent_gap);
    printf(format, b->shape->name, options.bytes, slices_median(&ns), slices_median(&share),
           slices_median(&per_turn), resent);
    if (options.has_floor) {
        struct slices best = dtls_floor_best(floor);
        struct slices_ratio r = slices_ratio(&ns, &best);
        best.name = "floor_ns";
        printf(options.is_json ? ", \"floor_ns\": %.1f, \"ratio\": %.4f"
                               : "; floor %.0f ns, ratio %.3f",
               slices_median(&best), r.middle);
        if (options.is_json) {
            slices_print_json((const struct slices *const[]){&ns, &best}, 2);
        } else {
            printf(" (half of them %.3f..%.3f)", r.lower, r.upper);
        }
    }
    printf(options.is_json ? "}\n" : "\n");
    fflush(stdout);
}

static void work(const struct transit_ca *ca, const struct shape *shape)
{
    static struct dtls_floor floor; /* too large for a frame */
    struct result results[REPEATS_CAP];
    struct bench *b = calloc(1, sizeof(*b));
    transit_require(b != NULL, "memory");
    b->shape = shape;
    b->ca = ca;
    memset(&floor, 0, sizeof(floor));
    transit_load_make(&b->load, ca, options.bytes);
    open_all(b);
    for (unsigned i = 0; i < options.repeats; i++) {
        if (options.has_floor && i % 2 == 0) {
            dtls_floor_slice(&floor, options.program);
        }
        measure(b, &results[i]);
        if (options.has_floor && i % 2 == 1) {
            dtls_floor_slice(&floor, options.program);
        }
    }
    print(b, results, &floor);
    close_all(b);
    free(b);
}

int main(int argc, char **argv)
{
    static struct transit_ca ca;
    int at = 1;
    options.program = argv[0];
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--json") == 0) {
            options.is_json = true;
        } else if (strcmp(argv[at], "--quick") == 0) {
            options.is_quick = true;
        } else if (strcmp(argv[at], "--floor") == 0) {
            options.has_floor = true;
        } else if (strcmp(argv[at], "--epoll") == 0) {
            options.backend = SHARD_EPOLL;
        } else if (strcmp(argv[at], "--repeats") == 0 && at + 1 < argc) {
            options.repeats = (unsigned)strtoul(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--messages") == 0 && at + 1 < argc) {
            options.messages = strtoull(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--bytes") == 0 && at + 1 < argc) {
            options.bytes = strtoull(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--buffers") == 0 && at + 1 < argc) {
            options.buffers = (uint32_t)strtoul(argv[++at], NULL, 10);
        } else {
            fprintf(stderr, "usage: dtls [--json] [--quick] [--epoll] [--floor] [--repeats N] "
                            "[--messages N] [--bytes N] [--buffers N] [WORK ...]\n");
            return 2;
        }
    }
    transit_require(options.repeats > 0 && options.repeats <= REPEATS_CAP, "1 to 99 repeats");
    transit_require(!options.has_floor || options.repeats % 2 == 0, "an even number of repeats");
    transit_require(host_pin(host_cpu_count() - 1) == ERR_OK, "a cpu for the far ends");
    transit_ca_open(&ca);
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        bool is_named = at == argc;
        for (int k = at; k < argc; k++) {
            is_named = is_named || strcmp(argv[k], shapes[i].name) == 0;
        }
        if (is_named) {
            work(&ca, &shapes[i]);
        }
    }
    return 0;
}
