/* SPDX-License-Identifier: Apache-2.0 */
/* stress_mailbox.c - mail between three shards and the control thread, on both back ends; under
 * ThreadSanitizer it proves that buffers change hands properly.  Own main. */
#include "core/os/host.h"
#include "core/os/shard.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

enum { SHARDS = 3, BALLS = 20, HOPS = 3000 };

struct player {
    struct shard *shard;
    pthread_t thread;
    uint32_t index;
    uint64_t seen;
    bool is_started;
};

static void throw_ball(struct turn *t, uint32_t to, uint64_t left, const uint8_t *data, size_t len)
{
    struct msgbuf *b = msgbuf_acquire(t->buffers, len);
    CHECK(b != NULL);
    CHECK(msgbuf_append(b, slice_of(data, len)) == ERR_OK);
    CHECK(io_mail(t->out, t->buffers, (uint16_t)to, IO_MAIL_LINK, left, b) == ERR_OK);
}

/* Each ball is counted in its bytes by every shard and thrown on; the last hop tells control. */
static void on_event(void *context, struct turn *t, struct io_event *e)
{
    struct player *p = context;
    CHECK(e->kind == IO_MAIL);
    if (e->mail == IO_MAIL_CONTROL) {
        CHECK(e->shard == IO_SHARD_CONTROL);
        throw_ball(t, IO_SHARD_CONTROL, e->tag, e->data, e->data_len);
        return;
    }
    p->seen++;
    for (size_t i = 0; i < e->data_len; i++) {
        e->data[i]++;
    }
    if (e->tag == 0) {
        throw_ball(t, IO_SHARD_CONTROL, 0, e->data, e->data_len);
    } else {
        uint32_t to = (p->index + 1 + (uint32_t)(e->tag % 2)) % SHARDS;
        throw_ball(t, e->tag % 7 == 0 ? p->index : to, e->tag - 1, e->data, e->data_len);
    }
}

static void on_timers(void *context, struct turn *t)
{
    struct player *p = context;
    static const uint8_t zeros[300];
    for (uint32_t i = 0; !p->is_started && i < BALLS; i++) {
        throw_ball(t, (p->index + 1) % SHARDS, HOPS, zeros, sizeof(zeros));
    }
    p->is_started = true;
}

static bool on_flush(void *context, struct turn *t)
{
    (void)context;
    (void)t;
    return false;
}

static void *run(void *context)
{
    static const struct shard_handler handler = {on_event, on_timers, on_flush};
    struct player *p = context;
    shard_run(p->shard, &handler, p);
    return NULL;
}

static void sink(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)len, line);
}

static void play(enum shard_backend backend)
{
    struct shard_config c[SHARDS];
    struct player p[SHARDS] = {0};
    for (uint32_t i = 0; i < SHARDS; i++) {
        c[i] = (struct shard_config){
            .backend = backend, .cpu = SHARD_NO_CPU, .sink = sink, .log_level = LOG_INFO};
        limits_default(&c[i].limits);
        c[i].limits.conns = 16;
        c[i].limits.msgbuf_small = 512;
        c[i].limits.msgbuf_large = 8;
    }
    struct shard_group *g = NULL;
    char problem[SHARD_PROBLEM_CAP];
    CHECK(shard_open(c, SHARDS, &g, problem) == ERR_OK);
    uint64_t begun_us = host_now_us();
    for (uint32_t i = 0; i < SHARDS; i++) {
        p[i] = (struct player){.shard = shard_at(g, i), .index = i};
        CHECK(pthread_create(&p[i].thread, NULL, run, &p[i]) == 0);
    }
    uint32_t home = 0;
    uint32_t answers = 0;
    uint32_t asked = 0;
    while (home < BALLS * SHARDS || answers < asked) {
        struct pollfd ready = {.fd = shard_control_descriptor(g), .events = POLLIN};
        struct io_event e;
        while (shard_control_take(g, &e)) {
            if (e.tag == 0) {
                CHECK(e.data_len == 300);
                CHECK(e.data[299] == (uint8_t)(HOPS + 1));
                home++;
            } else {
                CHECK(slice_is_equal(slice_of(e.data, e.data_len), SLICE_LITERAL("status")));
                answers++;
            }
        }
        if (asked < 100) {
            asked++;
            CHECK(shard_control_send(g, asked % SHARDS, IO_MAIL_CONTROL, asked,
                                     SLICE_LITERAL("status")) == ERR_OK);
        }
        poll(&ready, 1, 5);
    }
    uint64_t took_us = host_now_us() - begun_us;
    struct pollfd none = {.fd = -1};
    poll(&none, 1, 100); /* the last buffers go home */
    for (uint32_t i = 0; i < SHARDS; i++) {
        CHECK(shard_control_send(g, i, IO_MAIL_CONTROL, 1, SLICE_LITERAL("status")) == ERR_OK);
    }
    for (answers = 0; answers < SHARDS;) {
        struct io_event e;
        answers += shard_control_take(g, &e);
    }
    shard_stop(g);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        CHECK(pthread_join(p[i].thread, NULL) == 0);
        seen += p[i].seen;
        CHECK(metric_read(shard_metrics(p[i].shard), METRIC_mail_dropped) == 0);
        /* Only what was mailed to control last may still be away. */
        CHECK(shard_turn(p[i].shard)->buffers->in_use[0] <= 1);
    }
    CHECK(seen == (uint64_t)BALLS * SHARDS * (HOPS + 1));
    printf("%s: %llu mails, %.0f ns each\n", shard_backend_text(shard_at(g, 0)),
           (unsigned long long)seen, (double)took_us * 1000.0 / (double)seen);
    shard_close(g);
}

int main(void)
{
    play(SHARD_EPOLL);
    play(SHARD_AUTO);
    printf("2 passed, 0 failed\n");
    return 0;
}
