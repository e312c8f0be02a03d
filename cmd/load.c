/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - the loop: begin what is due, let drivers send it, wait for the next one or an answer.
 *
 * It waits in the kernel, so its own processor time says how near it is to its limit.  A wait is at
 * least QUANTUM_NS: at high rates operations are begun in batches, and what that costs them counts
 * in their latency.
 *
 * Whoever sleeps on the same machine is woken by the node, in the system call that sends: work that
 * a node whose packets leave by a card has not.  With is_awake it looks again and again instead,
 * and the time of looks that found nothing is taken off its own. */
#include "cmd/load.h"
#include "cmd/load_cpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    QUANTUM_NS = 30000,
    REST_NS = 10 * 1000 * 1000,
    BEGIN_BATCH = 512,
    EVENTS = 256,
    LATE_NS = 5 * 1000 * 1000,
    LATE_PER_MILLION = 990000,
    BUSY_PERCENT = 90,
    SLICE_MS_CAP = 60000,
};
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

const char *load_kind_name(enum load_kind kind)
{
    static const char *const names[LOAD_KINDS] = {"forward",  "fetch",   "store",
                                                  "register", "options", "invite"};
    CHECK(kind < LOAD_KINDS);
    return names[kind];
}

const char *load_transport_name(enum load_transport transport)
{
    static const char *const names[LOAD_TRANSPORTS] = {"udp", "tcp", "tls", "dtls"};
    CHECK(transport < LOAD_TRANSPORTS);
    return names[transport];
}

enum err load_open(struct load *l, const struct load_settings *s)
{
    memset(l, 0, sizeof(*l));
    l->s = s;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        return ERR_IO;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* a hint: without it we are 50 us late */
    rng_init(&l->rng, s->seed);
    l->now_ns = load_cpu_now_ns();
    return load_ops_open(&l->ops, (uint32_t)s->outstanding);
}

void load_close(struct load *l)
{
    load_ops_close(&l->ops);
    if (l->epoll >= 0) {
        close(l->epoll);
    }
    l->epoll = -1;
}

void load_add(struct load *l, const struct load_driver *driver, uint32_t kinds)
{
    CHECK(l->driver_count < LOAD_DRIVERS_CAP);
    l->drivers[l->driver_count++] = *driver;
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        if ((kinds & 1u << k) != 0) {
            l->driver_of[k] = l->driver_count;
        }
    }
}

enum err load_watch(struct load *l, struct load_io *io, bool for_writing)
{
    struct epoll_event event = {.events = EPOLLIN | (for_writing ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = io};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, io->fd, &event) == 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, io->fd, &event) == 0) {
        return ERR_OK;
    }
    return ERR_IO;
}

void load_unwatch(struct load *l, struct load_io *io)
{
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, io->fd, NULL);
}

static void wait_ready(struct load *l, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t sleep_ns = l->s->is_awake ? 0 : wait_ns;
    struct timespec span = {.tv_sec = (time_t)(sleep_ns / NS_PER_S),
                            .tv_nsec = (long)(sleep_ns % NS_PER_S)};
    uint64_t before_ns = l->now_ns;
    int count = epoll_pwait2(l->epoll, events, EVENTS, &span, NULL);
    l->now_ns = load_cpu_now_ns();
    l->wakeups++;
    if (l->s->is_awake && count == 0) {
        l->spun_ns += l->now_ns - before_ns;
    }
    for (int i = 0; i < count; i++) {
        struct load_io *io = events[i].data.ptr;
        io->on_ready(io);
    }
}

void load_step(struct load *l, uint64_t wait_ns)
{
    for (uint32_t i = 0; i < l->driver_count; i++) {
        l->drivers[i].turn(l->drivers[i].state);
    }
    wait_ready(l, wait_ns);
}

/* ---- sending ---- */

static enum load_kind choose(struct load *l)
{
    uint64_t total = 0;
    for (uint32_t k = 0; k < LOAD_KINDS; k++) {
        total += l->s->mix[k];
    }
    uint64_t at = l->s->mix[0] == total ? 0 : rng_below(&l->rng, total);
    enum load_kind kind = LOAD_FORWARD;
    while (at >= l->s->mix[kind]) {
        at -= l->s->mix[kind];
        kind++;
    }
    return kind;
}

static bool begin_one(struct load *l, uint64_t intended_ns)
{
    enum load_kind kind = choose(l);
    const struct load_driver *d = &l->drivers[l->driver_of[kind] - 1];
    return d->begin(d->state, kind, intended_ns);
}

/* What is due by now, at most a batch; true: more is due. */
static bool begin_due(struct load *l)
{
    uint64_t until_ns = min_u64(l->now_ns, l->until_ns - 1);
    for (uint32_t i = 0; i < BEGIN_BATCH; i++) {
        uint64_t intended_ns = load_schedule_next(&l->schedule);
        if (intended_ns > until_ns) {
            return false;
        }
        if (!begin_one(l, intended_ns)) {
            l->blocked_turns++;
            return false;
        }
        load_schedule_take(&l->schedule);
        l->due++;
        load_histogram_add(&l->behind, l->now_ns - intended_ns);
    }
    return true;
}

/* Closed loop: until the drivers say that enough is outstanding; true: they have not yet. */
static bool begin_most(struct load *l)
{
    for (uint32_t i = 0; i < BEGIN_BATCH; i++) {
        if (!begin_one(l, l->now_ns)) {
            l->blocked_turns++;
            return false;
        }
        l->due++;
    }
    return true;
}

static uint64_t wait_of(const struct load *l, bool has_more)
{
    if (has_more) {
        return 0;
    }
    if (l->s->is_max) {
        return REST_NS;
    }
    uint64_t next_ns = load_schedule_next(&l->schedule);
    uint64_t wait_ns = next_ns > l->now_ns ? next_ns - l->now_ns : 0;
    return min_u64(max_u64(wait_ns, QUANTUM_NS), REST_NS);
}

static void expire(struct load *l)
{
    uint64_t timeout_ns = l->s->timeout_ms * NS_PER_MS;
    if (l->now_ns > timeout_ns) {
        load_ops_expire(&l->ops, l->now_ns - timeout_ns);
    }
}

static void show_progress(struct load *l, uint64_t *shown_s)
{
    uint64_t second = (l->now_ns - l->begin_ns) / NS_PER_S;
    if (!l->s->has_progress || second <= *shown_s) {
        return;
    }
    *shown_s = second;
    static struct load_ops_tally sum; /* too large for a frame */
    load_ops_sum(&l->ops, &sum);
    (void)fprintf(stderr, "\rload: %llu of %llu s, %llu begun, %llu done, %llu errors ",
                  (unsigned long long)second, (unsigned long long)l->s->seconds,
                  (unsigned long long)sum.begun, (unsigned long long)sum.done,
                  (unsigned long long)sum.failed);
}

/* From now on. */
static void send_for(struct load *l, uint64_t span_ns)
{
    uint64_t shown_s = 0;
    l->now_ns = l->begin_ns = load_cpu_now_ns();
    l->until_ns = l->begin_ns + span_ns;
    if (!l->s->is_max) {
        load_schedule_init(&l->schedule, l->s->arrivals, l->s->rate, l->begin_ns, l->s->seed);
    }
    while (*l->s->stop == 0 && l->now_ns < l->until_ns) {
        bool has_more = l->s->is_max ? begin_most(l) : begin_due(l);
        load_step(l, wait_of(l, has_more));
        expire(l);
        show_progress(l, &shown_s);
    }
    l->sending_ns = l->now_ns - l->begin_ns;
    if (!l->s->is_max && *l->s->stop == 0) { /* what was due and never begun */
        while (load_schedule_next(&l->schedule) < l->until_ns) {
            load_schedule_take(&l->schedule);
            l->unsent++;
        }
        l->due += l->unsent;
    }
}

/* Answers may still come; then what is missing is lost. */
static void drain(struct load *l)
{
    uint64_t until_ns = l->now_ns + l->s->timeout_ms * NS_PER_MS + NS_PER_MS;
    while (*l->s->stop == 0 && l->ops.outstanding > 0 && l->now_ns < until_ns) {
        load_step(l, REST_NS);
        expire(l);
    }
}

/* One slice for each line of standard input, which is its length in milliseconds; says what was
 * done in it when nothing of it is under way any more, so that whoever asked can let another
 * generator have the next one.  As long as all slices together took is how long it has sent. */
static void send_in_turn(struct load *l)
{
    static struct load_ops_tally before, after; /* too large for a frame */
    char line[32];
    uint64_t sending_ns = 0;
    uint64_t begin_ns = load_cpu_now_ns();
    load_ops_sum(&l->ops, &before);
    printf("{\"ready\": true}\n");
    while (fflush(stdout) == 0 && *l->s->stop == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t ms = min_u64(strtoull(line, NULL, 10), SLICE_MS_CAP);
        send_for(l, ms * NS_PER_MS);
        sending_ns += l->sending_ns;
        drain(l);
        load_ops_sum(&l->ops, &after);
        printf("{\"done\": %llu, \"failed\": %llu}\n",
               (unsigned long long)(after.done - before.done),
               (unsigned long long)(after.failed - before.failed));
        before = after;
    }
    l->sending_ns = sending_ns;
    l->begin_ns = begin_ns;
}

/* ---- who was the bottleneck ---- */

static void add_limit(struct load *l, const char *what, double value, const char *unit)
{
    CHECK(l->limit_count < LOAD_LIMITS_CAP);
    int decimals = value == (double)(uint64_t)value ? 0 : 1;
    (void)snprintf(l->limits[l->limit_count++], LOAD_LIMIT_TEXT_CAP, "%s %.*f %s", what, decimals,
                   value, unit);
}

static void judge(struct load *l)
{
    double sending_ns = (double)max_u64(l->sending_ns, 1);
    double ran = 100 * (double)l->own_ran_ns / sending_ns;
    double waited = 100 * (double)l->own_waited_ns / sending_ns;
    if (ran + waited >= BUSY_PERCENT) {
        bool is_own = ran >= BUSY_PERCENT || ran >= waited;
        add_limit(l, is_own ? "cpu: the generator's core was busy:" : "cpu: others had its core:",
                  is_own ? ran + waited : waited, "% of the time");
    }
    uint64_t late_ns = load_histogram_quantile(&l->behind, LATE_PER_MILLION);
    if (!l->s->is_max && l->blocked_turns == 0 && late_ns > LATE_NS) {
        add_limit(l, "schedule: begun late, p99", (double)late_ns / 1e6, "ms");
    }
    if (!l->s->is_max && l->blocked_turns > 0) {
        add_limit(l, "queues: full, so that operations were begun late, in",
                  (double)l->blocked_turns, "turns");
    }
}

/* What the nodes under load have used of processors so far. */
static bool read_server(const struct load *l, uint64_t *ns)
{
    uint64_t other_ns = 0;
    bool is_known = l->s->server_pid != 0 && load_cpu_of(l->s->server_pid, ns) == ERR_OK &&
                    (l->s->callee_pid == 0 || load_cpu_of(l->s->callee_pid, &other_ns) == ERR_OK);
    *ns += other_ns;
    return is_known;
}

/* Tables are touched for the first time, connections are made, records are fetched: once, and not
 * by each operation. */
static void warm_up(struct load *l)
{
    if (l->s->warm_s == 0) {
        return;
    }
    send_for(l, l->s->warm_s * NS_PER_S);
    drain(l);
    load_ops_expire(&l->ops, UINT64_MAX);
    load_ops_reset(&l->ops);
    l->due = l->unsent = l->blocked_turns = l->wakeups = l->spun_ns = 0;
    memset(&l->behind, 0, sizeof(l->behind));
}

void load_run(struct load *l)
{
    warm_up(l);
    uint64_t ran_ns = 0;
    uint64_t waited_ns = 0;
    uint64_t server_ns = 0;
    bool has_server = read_server(l, &server_ns);
    load_cpu_own(&ran_ns, &waited_ns);
    if (l->s->is_in_turn) {
        send_in_turn(l);
    } else {
        send_for(l, l->s->seconds * NS_PER_S);
    }
    load_cpu_own(&l->own_ran_ns, &l->own_waited_ns);
    l->own_ran_ns -= min_u64(l->own_ran_ns, ran_ns + l->spun_ns);
    l->own_waited_ns -= waited_ns;
    drain(l);
    l->end_ns = l->now_ns;
    l->is_interrupted = *l->s->stop != 0;
    l->has_server_ns = has_server && read_server(l, &l->server_ns) && l->server_ns >= server_ns;
    l->server_ns -= l->has_server_ns ? server_ns : 0;
    if (l->s->has_progress) {
        (void)fprintf(stderr, "\r\x1b[K");
    }
    judge(l);
}
