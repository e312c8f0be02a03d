/* SPDX-License-Identifier: Apache-2.0 */
/* floor_udp.c - the generator for the engines of floor_udp.h: on another processor, closed loop
 * with a window that neither loses nor lets the engine run dry, and it counts at the sinks.
 *
 *     floor_udp --engine mmsg|uring|train [--batch N] [--bytes N] [--hops N] [--train N] [--ms N]
 *
 * Each datagram that arrives is looked at: its length, the inverted mark, that it came to the hop
 * it was for.  Lost ones are counted, and more than one in a thousand are no measurement. */
#include "bench/floor_udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 64, WINDOW = 1024, SOCKET_BYTES = 4 << 20, PATIENCE_NS = 300000000, NAP_US = 30 };
enum { CHUNK_BYTES = 65536, ARRIVED_MIN = 3 * FLOOR_UDP_WARM_UP };

struct load {
    struct floor_udp_server server;
    struct sockaddr_in server_address;
    const char *engine;
    int fd;
    int sinks[FLOOR_UDP_HOPS_CAP];
    unsigned bytes;
    unsigned train; /* 1: each datagram by itself */
    uint64_t offered;
    uint64_t arrived;
    uint64_t lost;
    uint8_t *out;   /* one burst */
    uint8_t *chunk; /* BURST pieces of CHUNK_BYTES, or less */
};

void floor_udp_count(struct floor_udp_server *server, unsigned sent)
{
    struct floor_run_result *r = &server->result;
    server->sent += sent;
    if (r->wall_ns == 0 && server->sent >= FLOOR_UDP_WARM_UP) {
        r->wall_ns = floor_run_wall_ns();
        r->cpu_ns = floor_run_cpu_ns();
    } else if (r->wall_ns != 0) {
        r->ops += sent;
    }
}

static void *serve(void *context)
{
    struct floor_udp_server *server = context;
    struct floor_run_result *r = &server->result;
    floor_run_pin(FLOOR_RUN_SERVER_CPU);
    uint64_t softirq = floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU);
    server->run(server);
    floor_run_require(r->ops > 0, "the run ended within its warm-up");
    r->cpu_ns = floor_run_cpu_ns() - r->cpu_ns;
    r->cpu_ns += floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU) - softirq;
    r->wall_ns = floor_run_wall_ns() - r->wall_ns;
    return NULL;
}

/* A socket on a port of its own on loopback. */
static int open_socket(struct sockaddr_in *address)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int bytes = SOCKET_BYTES;
    socklen_t len = sizeof(*address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    floor_run_require(fd >= 0 && bind(fd, (void *)&any, sizeof(any)) == 0 &&
                          getsockname(fd, (void *)address, &len) == 0,
                      "no socket");
    /* privileged: more than rmem_max; else as much as one gets */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    return fd;
}

static void fill_burst(struct load *l)
{
    for (unsigned i = 0; i < BURST; i++) {
        struct floor_udp_head head = {.sequence = (uint32_t)(l->offered + i),
                                      .train = (uint16_t)l->train};
        head.mark = head.sequence * 0x9e3779b97f4a7c15u;
        /* a train goes to one hop, the next train to the next */
        head.hop = (uint16_t)((l->offered + i) / l->train % l->server.hop_count);
        memcpy(l->out + (size_t)i * l->bytes, &head, sizeof(head));
    }
}

static void offer_burst(struct load *l)
{
    struct mmsghdr messages[BURST];
    struct iovec iov[BURST];
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.header = {.cmsg_level = SOL_UDP,
                            .cmsg_type = UDP_SEGMENT,
                            .cmsg_len = CMSG_LEN(sizeof(uint16_t))}};
    uint16_t segment = (uint16_t)l->bytes;
    unsigned count = BURST / l->train;
    memcpy(CMSG_DATA(&control.header), &segment, sizeof(segment));
    fill_burst(l);
    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < count; i++) {
        size_t len = (size_t)l->bytes * l->train;
        iov[i] = (struct iovec){l->out + i * len, len};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        if (l->train > 1) {
            messages[i].msg_hdr.msg_control = control.bytes;
            messages[i].msg_hdr.msg_controllen = sizeof(control.bytes);
        }
    }
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(l->fd, messages + done, count - done, 0);
        floor_run_require(sent > 0, "the generator cannot send");
        done += (unsigned)sent;
    }
    l->offered += BURST;
}

/* One datagram at a sink. */
static void check_arrival(struct load *l, const uint8_t *bytes, size_t len, unsigned sink)
{
    struct floor_udp_head head;
    memcpy(&head, bytes, sizeof(head));
    floor_run_require(len == l->bytes && head.hop == sink &&
                          head.mark == ~(head.sequence * 0x9e3779b97f4a7c15u),
                      "a datagram arrived that is not what was sent, changed as it should be");
    l->arrived++;
}

/* Whatever waits at one sink, which may be trains. */
static unsigned drain_sink(struct load *l, unsigned sink)
{
    struct mmsghdr messages[BURST];
    struct iovec iov[BURST];
    uint64_t before = l->arrived;
    unsigned count = l->train > 1 ? 8 : BURST;
    size_t cap = l->train > 1 ? CHUNK_BYTES : FLOOR_UDP_BYTES_CAP;
    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < count; i++) {
        iov[i] = (struct iovec){l->chunk + i * cap, cap};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(l->sinks[sink], messages, count, MSG_DONTWAIT, NULL);
    floor_run_require(got >= 0 || errno == EAGAIN, "a sink cannot receive");
    for (int i = 0; i < got; i++) {
        for (size_t at = 0; at < messages[i].msg_len; at += l->bytes) {
            size_t len = min_size(l->bytes, messages[i].msg_len - at);
            check_arrival(l, l->chunk + (size_t)i * cap + at, len, sink);
        }
    }
    return (unsigned)(l->arrived - before);
}

/* Keeps half a window to a window on its way until the time is over and enough has arrived. */
static void generate(struct load *l, uint64_t duration_ns)
{
    uint64_t start = floor_run_wall_ns();
    uint64_t heard = start;
    for (uint64_t now = start; now - start < duration_ns || l->arrived < ARRIVED_MIN;
         now = floor_run_wall_ns()) {
        floor_run_require(now - start < duration_ns + PATIENCE_NS * 100ull,
                          "it does not get through");
        while (l->offered - l->arrived - l->lost <= WINDOW - BURST) {
            offer_burst(l);
        }
        unsigned arrived = 0;
        for (unsigned i = 0; i < l->server.hop_count; i++) {
            arrived += drain_sink(l, i);
        }
        heard = arrived > 0 ? now : heard;
        if (now - heard > PATIENCE_NS) {
            l->lost = l->offered - l->arrived;
            heard = now;
        }
        if (arrived < BURST) {
            (void)usleep(NAP_US);
        }
    }
}

static void open_all(struct load *l, unsigned hops)
{
    struct sockaddr_in own;
    int on = 1;
    l->server.fd = open_socket(&l->server_address);
    l->fd = open_socket(&own);
    floor_run_require(connect(l->fd, (void *)&l->server_address, sizeof(own)) == 0, "no server");
    l->server.hop_count = hops;
    for (unsigned i = 0; i < hops; i++) {
        l->sinks[i] = open_socket(&l->server.hops[i]);
        floor_run_require(l->train == 1 ||
                              setsockopt(l->sinks[i], SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0,
                          "no UDP_GRO");
    }
    l->out = calloc(BURST, l->bytes);
    l->chunk = calloc(BURST, CHUNK_BYTES);
    floor_run_require(l->out != NULL && l->chunk != NULL, "no memory");
}

static void parse(struct load *l, int argc, char **argv, unsigned *hops, uint64_t *ms)
{
    static const struct option options[] = {
        {"engine", required_argument, NULL, 'e'}, {"batch", required_argument, NULL, 'b'},
        {"bytes", required_argument, NULL, 's'},  {"hops", required_argument, NULL, 'h'},
        {"train", required_argument, NULL, 't'},  {"ms", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},         {0},
    };
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        floor_run_require(c != '?', "wrong usage: see the head of bench/floor_udp.c");
        if (c == 'e') {
            l->engine = optarg;
        } else if (c == 'b') {
            l->server.batch = (unsigned)floor_run_number(optarg, 1, BURST);
        } else if (c == 's') {
            l->bytes = (unsigned)floor_run_number(optarg, sizeof(struct floor_udp_head),
                                                  FLOOR_UDP_BYTES_CAP);
        } else if (c == 'h') {
            *hops = (unsigned)floor_run_number(optarg, 1, FLOOR_UDP_HOPS_CAP);
        } else if (c == 't') {
            l->train = (unsigned)floor_run_number(optarg, 1, 32);
        } else if (c == 'm') {
            *ms = floor_run_number(optarg, 10, 60000);
        }
    }
    floor_run_require(BURST % l->train == 0, "--train is a power of two up to 32");
}

int main(int argc, char **argv)
{
    struct load l = {.engine = "mmsg", .bytes = 500, .train = 1, .server = {.batch = 32}};
    unsigned hops = FLOOR_UDP_HOPS_CAP;
    uint64_t ms = 400;
    char work[64];
    pthread_t thread;
    parse(&l, argc, argv, &hops, &ms);
    bool is_train = strcmp(l.engine, "train") == 0;
    l.server.run = is_train                         ? floor_udp_train_run
                   : strcmp(l.engine, "uring") == 0 ? floor_udp_uring_run
                   : strcmp(l.engine, "mmsg") == 0  ? floor_udp_mmsg_run
                                                    : NULL;
    floor_run_require(l.server.run != NULL, "--engine is mmsg, uring or train");
    open_all(&l, hops);
    floor_run_require(pthread_create(&thread, NULL, serve, &l.server) == 0, "no thread");
    floor_run_pin(FLOOR_RUN_LOAD_CPU);
    generate(&l, ms * 1000000);
    struct floor_udp_head end = {.hop = FLOOR_UDP_END};
    memcpy(l.out, &end, sizeof(end));
    floor_run_require(send(l.fd, l.out, l.bytes, 0) > 0, "the end cannot be sent");
    floor_run_require(pthread_join(thread, NULL) == 0, "the engine does not end");
    floor_run_require(l.lost <= l.offered / 1000, "more than one in a thousand was lost");
    floor_run_require(l.arrived + l.lost + WINDOW >= l.server.sent && l.arrived <= l.server.sent,
                      "what was sent is not what arrived");
    l.server.result.lost = l.lost;
    (void)snprintf(work, sizeof(work), "udp_%s_%u", l.engine, l.bytes);
    floor_run_print(work, &l.server.result);
    free(l.out);
    free(l.chunk);
    return 0;
}
