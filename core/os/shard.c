/* SPDX-License-Identifier: Apache-2.0 */
/* shard.c - opening and closing a group of shards, and the control thread's end; see shard.h. */
#include "core/os/host.h"
#include "core/os/shard_turn.h"
#include "core/os/sock.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    CONTROL_SMALL = 256,
    CONTROL_LARGE = 16,
    SHARD_DESCRIPTORS = 24,  /* ring, eventfd, listeners */
    OTHER_DESCRIPTORS = 128, /* admin, files, metrics: of the whole process */
    BURST_SHARE = 8,         /* 1/8 stays free for what was accepted and not yet looked at */
    CONNS_AT_LEAST = 16,
};

struct shard_group {
    struct mem mem;
    struct mailbox *mailbox;
    uint32_t count;
    struct shard *shards;
    struct msgbuf_pool control_buffers;
    struct mail control_mail; /* lent to the control thread */
};

static const char *const listener_names[IO_LISTENER_COUNT] = {
    [IO_LISTEN_OVERLAY] = "overlay",         [IO_LISTEN_OVERLAY_SIP] = "overlay-sip",
    [IO_LISTEN_OVERLAY_UDP] = "overlay-udp", [IO_LISTEN_SIP_UDP] = "sip-udp",
    [IO_LISTEN_SIP_TCP] = "sip-tcp",         [IO_LISTEN_SIP_TLS] = "sip-tls",
    [IO_LISTEN_SIP_WS] = "sip-ws",           [IO_LISTEN_SIP_WSS] = "sip-wss",
    [IO_LISTEN_SIP6_UDP] = "sip6-udp",       [IO_LISTEN_SIP6_TCP] = "sip6-tcp",
    [IO_LISTEN_SIP6_TLS] = "sip6-tls",       [IO_LISTEN_SIP6_WS] = "sip6-ws",
    [IO_LISTEN_SIP6_WSS] = "sip6-wss",
};

static size_t buffers_bytes(size_t small, size_t large)
{
    return small * (MSGBUF_HEADROOM + MSGBUF_SMALL_BYTES + sizeof(struct msgbuf)) +
           large * (MSGBUF_HEADROOM + MSGBUF_LARGE_BYTES + sizeof(struct msgbuf)) + 256;
}

/* All that open_shard and open_driver take; what epoll needs is there in case io_uring fails late.
 */
static size_t shard_bytes(const struct limits *l)
{
    return io_outbox_bytes(l->outbox) + buffers_bytes(l->msgbuf_small, l->msgbuf_large) +
           tcp_bytes(l) + udp_bytes(l) + uring_bytes(l->receive_buffers, l->datagram_buffers) +
           epoll_bytes(l->conns, l->datagram_buffers, l->datagrams_in_flight) + 4096;
}

/* Lowers conns to what the descriptors allow, and keeps the limits in order with each other. */
static void fit_limits(struct shard *s, uint64_t descriptors)
{
    struct limits *l = &s->limits;
    uint64_t usable = descriptors - descriptors / BURST_SHARE;
    uint64_t fixed = OTHER_DESCRIPTORS + (uint64_t)SHARD_DESCRIPTORS * s->count;
    uint64_t each = usable > fixed ? (usable - fixed) / s->count : 0;
    uint32_t most = (uint32_t)min_u64(max_u64(each, CONNS_AT_LEAST), UINT32_MAX / 8);
    if (l->conns > most) {
        log_write(&s->log, s->turn.now_us, LOG_WARNING, "conns_lowered",
                  "from=%u to=%u descriptors=%llu", l->conns, most,
                  (unsigned long long)descriptors);
        l->conns = most;
    }
    if (l->conns_reserved > l->conns / 2) {
        l->conns_reserved = l->conns / 2;
    }
    if (l->outbox < l->conns) {
        l->outbox = l->conns; /* io.h: closing must not fail */
    }
    if (l->outbox < 2) {
        l->outbox = 2;
    }
}

static enum err open_shard(struct shard *s, const struct shard_config *config, uint32_t index,
                           struct shard_group *group, uint64_t descriptors)
{
    s->index = index;
    s->count = group->count;
    s->config = *config;
    s->limits = config->limits;
    s->mailbox = group->mailbox;
    spin_init(&s->spin, config->busy_poll_us, config->is_busy_poll_adaptive);
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        s->fds[i] = -1;
    }
    uint64_t seed = config->seed;
    uint64_t table_seed = 0;
    if (seed == 0) {
        host_random(&seed, sizeof(seed));
    }
    host_random(&table_seed, sizeof(table_seed));
    rng_init(&s->rng, seed);
    s->turn = (struct turn){.now_us = host_now_us(),
                            .wall_ms = host_wall_ms(),
                            .rng = &s->rng,
                            .crypto = config->crypto,
                            .wheel = &s->wheel,
                            .buffers = &s->buffers,
                            .out = &s->outbox,
                            .metrics = &s->metrics,
                            .log = &s->log};
    log_init(&s->log, config->sink, config->sink_context, config->log_level, index);
    fit_limits(s, descriptors);
    enum err e = mem_open(&s->mem, shard_bytes(&s->limits));
    if (e != ERR_OK) {
        return e;
    }
    wheel_init(&s->wheel, s->turn.now_us);
    msgbuf_pool_init(&s->buffers, &s->mem.arena, s->limits.msgbuf_small, s->limits.msgbuf_large);
    msgbuf_pool_reserve(&s->buffers, s->limits.msgbuf_small_reserved,
                        s->limits.msgbuf_large_reserved);
    io_outbox_init(&s->outbox, &s->mem.arena, s->limits.outbox);
    tcp_init(&s->tcp, &s->mem.arena, &s->limits, &s->driver, &s->turn, table_seed);
    udp_init(&s->udp, &s->mem.arena, &s->limits, &s->driver, &s->turn, table_seed);
    return mem_populate(&s->mem); /* buffers and what carries them: no message waits for a page */
}

/* A node that is started again at once may find its ports taken by itself: io_uring lets the
 * sockets of a process that ended go a little later than the process.  At start, so waiting harms
 * nobody. */
static int open_listener(const struct shard *s, const struct shard_listener *l, bool is_datagram)
{
    enum { TRIES = 100, PAUSE_NS = 30 * 1000 * 1000 };
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int fd = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        fd = is_datagram ? sock_datagram(&l->address, l->is_reuseport, s->wants_uring)
                         : sock_listen(&l->address, l->is_reuseport, s->wants_uring);
        if (fd != -EADDRINUSE || l->address.port == 0) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    return fd;
}

static enum err bind_all(struct shard *s, char *problem)
{
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        const struct shard_listener *l = &s->config.listeners[i];
        if (l->address.family == 0) {
            continue;
        }
        int fd = open_listener(s, l, io_listener_is_datagram((uint16_t)i));
        if (fd < 0) {
            char text[ADDRESS_TEXT_CAP];
            snprintf(problem, SHARD_PROBLEM_CAP, "cannot listen on %s (%s, shard %u): %s",
                     address_text(&l->address, text), listener_names[i], s->index,
                     strerrordesc_np(-fd));
            return sock_err(-fd);
        }
        s->fds[i] = fd;
        s->addresses[i] = sock_local(fd);
    }
    return ERR_OK;
}

/* Decides for all shards which back end to use, and says it once. */
static enum err choose_backend(struct shard_group *g, const struct shard_config *configs,
                               char *problem)
{
    struct uring_features features = {0};
    char kernel[HOST_TEXT_CAP];
    host_kernel(kernel);
    bool is_asked = configs[0].backend != SHARD_EPOLL;
    int failed = is_asked ? uring_probe(&features) : 0;
    if (failed != 0 && configs[0].backend == SHARD_URING) {
        snprintf(problem, SHARD_PROBLEM_CAP, "io_uring is not to be had here (kernel %s): %s",
                 kernel, strerrordesc_np(-failed));
        return ERR_UNSUPPORTED;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct shard *s = &g->shards[i];
        s->wants_uring = is_asked && failed == 0;
        s->can_wake = features.can_wake;
        snprintf(s->backend_text, sizeof(s->backend_text), "%s%s%s, kernel %s",
                 s->wants_uring ? "io_uring (multishot recv" : "epoll",
                 s->wants_uring && features.is_deferred ? ", deferred task run" : "",
                 !s->wants_uring     ? ""
                 : features.can_wake ? ", msg_ring)"
                                     : ")",
                 kernel);
    }
    struct shard *first = &g->shards[0];
    if (failed != 0) {
        log_write(&first->log, first->turn.now_us, LOG_WARNING, "io_uring_refused",
                  "reason=\"%s\" using=epoll hint=\"container seccomp profile or "
                  "kernel.io_uring_disabled\"",
                  strerrordesc_np(-failed));
    }
    log_write(&first->log, first->turn.now_us, LOG_INFO, "engine", "backend=\"%s\" shards=%u",
              first->backend_text, g->count);
    return ERR_OK;
}

static enum err open_group(struct shard_group *g, const struct shard_config *configs, char *problem)
{
    uint64_t descriptors = host_raise_descriptors();
    for (uint32_t i = 0; i < g->count; i++) {
        enum err e = open_shard(&g->shards[i], &configs[i], i, g, descriptors);
        if (e != ERR_OK) {
            snprintf(problem, SHARD_PROBLEM_CAP, "no memory for shard %u: %s", i, err_text(e));
            return e;
        }
    }
    enum err e = choose_backend(g, configs, problem);
    for (uint32_t i = 0; e == ERR_OK && i < g->count; i++) {
        e = bind_all(&g->shards[i], problem);
    }
    return e;
}

enum err shard_open(const struct shard_config *configs, uint32_t count, struct shard_group **out,
                    char *problem)
{
    CHECK(count > 0);
    CHECK(count < IO_SHARD_CONTROL);
    *out = NULL;
    *problem = '\0';
    struct mem mem;
    size_t mailbox_cap = max_size(configs[0].limits.mailbox, 1);
    size_t bytes = sizeof(struct shard_group) + count * sizeof(struct shard) +
                   mailbox_bytes(count, (uint32_t)mailbox_cap) +
                   buffers_bytes(CONTROL_SMALL, CONTROL_LARGE) + 4096;
    if (mem_open(&mem, bytes) != ERR_OK) {
        snprintf(problem, SHARD_PROBLEM_CAP, "no memory for %zu bytes of mailboxes", bytes);
        return ERR_NO_MEMORY;
    }
    struct shard_group *g = ARENA_ARRAY(&mem.arena, struct shard_group, 1);
    g->count = count;
    g->shards = ARENA_ARRAY(&mem.arena, struct shard, count);
    for (uint32_t i = 0; i < count; i++) {
        memset(g->shards[i].fds, 0xff, sizeof(g->shards[i].fds)); /* -1: nothing to close yet */
    }
    g->mailbox = mailbox_open(&mem.arena, count, (uint32_t)mailbox_cap);
    msgbuf_pool_init(&g->control_buffers, &mem.arena, CONTROL_SMALL, CONTROL_LARGE);
    g->mem = mem;
    if (g->mailbox == NULL) {
        snprintf(problem, SHARD_PROBLEM_CAP, "no descriptors left for the mailbox");
        mem_close(&mem);
        return ERR_LIMIT;
    }
    enum err e = open_group(g, configs, problem);
    if (e != ERR_OK) {
        shard_close(g);
        return e;
    }
    *out = g;
    return ERR_OK;
}

struct shard *shard_at(struct shard_group *group, uint32_t index)
{
    CHECK(index < group->count);
    return &group->shards[index];
}

struct address shard_address(const struct shard *shard, enum io_listener listener)
{
    CHECK((unsigned)listener < IO_LISTENER_COUNT);
    return shard->addresses[listener];
}

struct turn *shard_turn(struct shard *shard)
{
    return &shard->turn;
}

const struct metrics *shard_metrics(const struct shard *shard)
{
    return &shard->metrics;
}

const struct limits *shard_limits(const struct shard *shard)
{
    return &shard->limits;
}

const char *shard_backend_text(const struct shard *shard)
{
    return shard->backend_text;
}

void shard_run(struct shard *shard, const struct shard_handler *handler, void *context)
{
    shard_turn_start(shard);
    while (!mailbox_is_stopped(shard->mailbox)) {
        shard_turn_once(shard, handler, context);
    }
    shard_turn_finish(shard);
}

void shard_stop(struct shard_group *group)
{
    mailbox_stop(group->mailbox);
}

void shard_close(struct shard_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct shard *s = &group->shards[i];
        for (size_t j = 0; j < IO_LISTENER_COUNT; j++) {
            if (s->fds[j] >= 0) {
                close(s->fds[j]);
                s->fds[j] = -1;
            }
        }
        mem_close(&s->mem);
    }
    mailbox_close(group->mailbox);
    struct mem mem = group->mem; /* the group stands in it */
    mem_close(&mem);
}

/* ---- the control thread ---- */

enum err shard_control_send(struct shard_group *group, uint32_t to, uint16_t mail, uint64_t tag,
                            struct slice bytes)
{
    CHECK(to < group->count);
    if (bytes.len > MSGBUF_LARGE_BYTES) {
        return ERR_TOO_LARGE;
    }
    struct msgbuf *buf = msgbuf_acquire(&group->control_buffers, bytes.len);
    if (buf == NULL) {
        return ERR_NO_MEMORY;
    }
    CHECK(msgbuf_append(buf, bytes) == ERR_OK);
    struct mail item = {.buf = buf, .tag = tag, .from = (uint16_t)group->count, .mail = mail};
    if (!mailbox_send(group->mailbox, to, &item)) {
        msgbuf_release(&group->control_buffers, buf);
        return ERR_LIMIT;
    }
    if (mailbox_must_wake(group->mailbox, group->count, to)) {
        mailbox_wake(group->mailbox, to);
    }
    return ERR_OK;
}

bool shard_control_take(struct shard_group *group, struct io_event *event)
{
    struct mail *lent = &group->control_mail;
    if (lent->buf != NULL) {
        mailbox_give_back(group->mailbox, group->count, lent->from, lent->buf);
        lent->buf = NULL;
        mailbox_flush(group->mailbox, group->count);
    }
    /* Emptied before the rings are looked at, so that a wake between the two is not lost. */
    uint64_t counter = 0;
    ssize_t got = read(shard_control_descriptor(group), &counter, sizeof(counter));
    (void)got;
    if (!mailbox_take(group->mailbox, group->count, &group->control_buffers, lent)) {
        lent->buf = NULL;
        return false;
    }
    *event = (struct io_event){.kind = IO_MAIL,
                               .tag = lent->tag,
                               .shard = lent->from,
                               .mail = lent->mail,
                               .data = lent->buf == NULL ? NULL : msgbuf_data(lent->buf),
                               .data_len = lent->buf == NULL ? 0 : lent->buf->len};
    return true;
}

int shard_control_descriptor(const struct shard_group *group)
{
    return mailbox_descriptor(group->mailbox, group->count);
}
