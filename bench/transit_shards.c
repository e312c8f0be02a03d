/* SPDX-License-Identifier: Apache-2.0 */
/* transit_shards.c - how many messages two shards forward in the CPU time in which one, alone,
 * forwards one: each with a node, links and a core of its own.  What they share (caches, memory,
 * the allocator, locks that spin) lowers it; locks that sleep show as sleeps.
 *
 * Beside it two processes that have nothing in common do the same work: what they lose against one
 * of them is the machine's (memory, the last cache, a core that is a neighbor's), and what our
 * shards lose more is ours.  All take turns in short slices of wall time, so that both of a pair
 * run as long as each other. */
#include "bench/slices.h"
#include "bench/transit.h"
#include "bench/transit_node.h"
#include "core/os/host.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHARDS = 2, LINKS = 8, SLICE_MS = 60, WARM_MS = 12, TURNS_EACH = 3, STEP_MESSAGES = 512 };

struct answer {
    double rate;    /* messages for a second of the node's CPU time */
    uint64_t slept; /* how often it gave up its core by itself: locks would show */
};

/* A shard in a thread, or in a process of its own: told by a pipe how many milliseconds to work,
 * and answers by another. */
struct worker {
    const struct transit_ca *ca;
    const struct transit_load *load;
    struct transit_world *world;
    pthread_t thread;
    pid_t process; /* 0: a thread */
    uint32_t cpu;
    int orders[2], answers[2];
};

static uint64_t wall_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static uint64_t work(const struct worker *w, uint64_t ms)
{
    uint64_t sent = 0;
    for (uint64_t until = wall_ms() + ms; wall_ms() < until;) {
        sent += transit_inside_drive(w->world, w->load, STEP_MESSAGES);
    }
    return sent;
}

static void take(int fd, void *bytes, size_t len)
{
    ssize_t got = 0;
    do {
        got = read(fd, bytes, len);
    } while (got < 0 && errno == EINTR);
    transit_require(got == (ssize_t)len, "whole orders and answers");
}

static void give(int fd, const void *bytes, size_t len)
{
    transit_require(write(fd, bytes, len) == (ssize_t)len, "a worker that listens");
}

/* Until it is told to work for no time. */
static void *serve(void *context)
{
    struct worker *w = context;
    struct answer answer = {0};
    uint64_t ms = 0;
    transit_require(host_pin(w->cpu) == ERR_OK, "a core for each shard");
    transit_world_open(w->world, w->ca, LINKS);
    give(w->answers[1], &answer, sizeof(answer));
    while (take(w->orders[0], &ms, sizeof(ms)), ms > 0) {
        struct rusage before, after;
        (void)work(w, WARM_MS);
        getrusage(RUSAGE_THREAD, &before);
        w->world->busy_ns = 0;
        uint64_t sent = work(w, ms);
        getrusage(RUSAGE_THREAD, &after);
        answer.rate = 1e9 * (double)sent / (double)w->world->busy_ns;
        answer.slept = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
        give(w->answers[1], &answer, sizeof(answer));
    }
    transit_inside_verify(w->world, transit_world_metric(w->world, METRIC_dht_forwarded));
    transit_world_close(w->world);
    return NULL;
}

static void wait_open(const struct worker *w)
{
    struct answer answer;
    take(w->answers[0], &answer, sizeof(answer));
}

static void start_process(struct worker *w)
{
    w->process = fork();
    transit_require(w->process >= 0, "a process");
    if (w->process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)serve(w);
        _exit(0);
    }
    wait_open(w);
}

static void start_thread(struct worker *w)
{
    transit_require(pthread_create(&w->thread, NULL, serve, w) == 0, "a thread");
    wait_open(w);
}

static void end(const struct worker *w)
{
    static const uint64_t no_time = 0;
    int status = 0;
    give(w->orders[1], &no_time, sizeof(no_time));
    if (w->process == 0) {
        pthread_join(w->thread, NULL);
    } else {
        transit_require(waitpid(w->process, &status, 0) == w->process && status == 0,
                        "a process that finds its messages as they must be");
    }
}

/* What workers do at once: messages for a second of CPU time, of all together. */
static double at_once(const struct worker *first, uint32_t count, uint64_t *slept)
{
    static const uint64_t ms = SLICE_MS;
    double rate = 0;
    for (uint32_t i = 0; i < count; i++) {
        give(first[i].orders[1], &ms, sizeof(ms));
    }
    for (uint32_t i = 0; i < count; i++) {
        struct answer answer;
        take(first[i].answers[0], &answer, sizeof(answer));
        rate += answer.rate;
        *slept += count > 1 ? answer.slept : 0;
    }
    return rate;
}

/* One pair: each alone, then both, or the other way round. */
struct pair {
    struct worker workers[SHARDS];
    struct slices one, two; /* messages a second */
    uint64_t slept;
};

static void slice_of_one(struct pair *p)
{
    double rate = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        rate += at_once(&p->workers[i], 1, &p->slept) / SHARDS;
    }
    slices_add(&p->one, rate);
}

static void slice_of_two(struct pair *p)
{
    slices_add(&p->two, at_once(p->workers, SHARDS, &p->slept));
}

static void open_pair(struct pair *p, const struct transit_ca *ca, const struct transit_load *load,
                      void (*start)(struct worker *w))
{
    static struct transit_world worlds[2 * SHARDS];
    static uint32_t taken;
    p->one.name = "one";
    p->two.name = "two";
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){.ca = ca, .load = load, .world = &worlds[taken++], .cpu = i};
        transit_require(pipe(w->orders) == 0 && pipe(w->answers) == 0, "pipes");
        start(w);
    }
}

static void print(const struct pair *p, const char *work, const char *text,
                  const struct transit_options *o)
{
    const struct slices *all[] = {&p->one, &p->two};
    struct slices_ratio r = slices_ratio(&p->two, &p->one);
    double one = slices_median(&p->one), two = slices_median(&p->two);
    if (o->is_json) {
        printf("{\"work\": \"%s\", \"ns_per_op\": %.1f, \"one\": %.0f, \"two\": %.0f, \"ratio\": "
               "%.4f, \"slept\": %llu",
               work, 1e9 / one, one, two, r.middle, (unsigned long long)p->slept);
        slices_print_json(all, ARRAY_COUNT(all));
        printf("}\n");
    } else {
        printf("%s: one alone %.0f ns, two against one %.3f (half of them %.3f..%.3f), gave up "
               "their core %llu times\n",
               text, 1e9 / one, r.middle, r.lower, r.upper, (unsigned long long)p->slept);
    }
    fflush(stdout);
}

void transit_shards_run(const struct transit_ca *ca, const struct transit_options *o)
{
    static struct pair apart, ours;
    static struct transit_load load;
    transit_require(host_cpu_count() >= SHARDS, "two cores");
    transit_load_make(&load, ca, TRANSIT_INSIDE_BYTES);
    open_pair(&apart, ca, &load, start_process); /* before there are threads */
    open_pair(&ours, ca, &load, start_thread);
    for (unsigned i = 0; i < o->repeats * TURNS_EACH; i++) {
        slice_of_one(&ours);
        slice_of_two(&ours);
        slice_of_two(&apart);
        slice_of_one(&apart);
        slice_of_one(&apart);
        slice_of_two(&apart);
        slice_of_two(&ours);
        slice_of_one(&ours);
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        end(&ours.workers[i]);
        end(&apart.workers[i]);
    }
    print(&ours, "transit-two-shards", "two shards", o);
    print(&apart, "transit-two-processes", "two processes that share nothing", o);
}
