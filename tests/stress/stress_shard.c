/* SPDX-License-Identifier: Apache-2.0 */
/* stress_shard.c - two shards whose handlers do anything at random, and clients that do the same:
 * connect, send, half-close, reset, never read.  What must hold: no CHECK fails, events of a
 * connection come in order, and at the end no buffer, connection or descriptor is left.  Own main.
 */
#include "core/os/host.h"
#include "core/os/shard.h"
#include "core/os/sock.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 2, CLIENTS = 60, CONNS = 96, RUN_US = 1500000 };

struct actor {
    struct shard *shard;
    pthread_t thread;
    struct address targets[SHARDS + 1]; /* the last refuses */
    handle alive[CONNS];                /* by index: what the events said */
    uint64_t dials;
    uint64_t dialled;
    uint64_t events;
};

static void push(struct actor *a, struct turn *t, handle conn)
{
    static const uint8_t bytes[18000];
    (void)a;
    size_t len = rng_below(t->rng, 3) == 0 ? sizeof(bytes) : 1 + rng_below(t->rng, 2000);
    struct msgbuf *b = msgbuf_acquire(t->buffers, len);
    if (b == NULL) {
        return;
    }
    CHECK(msgbuf_append(b, slice_of(bytes, len)) == ERR_OK);
    if (rng_below(t->rng, 4) == 0 && io_send(t->out, t->buffers, conn, msgbuf_ref(b)) != ERR_OK) {
        CHECK(b->refs == 1);
    }
    if (io_send(t->out, t->buffers, conn, b) != ERR_OK) {
        return;
    }
}

static void forget(struct actor *a, handle conn)
{
    a->alive[handle_index(conn)] = 0;
}

static void act(struct actor *a, struct turn *t, handle conn)
{
    uint64_t what = rng_below(t->rng, 40);
    if (what < 20) {
        push(a, t, conn);
    } else if (what < 22) {
        io_close(t->out, conn);
        forget(a, conn);
    } else if (what < 24) {
        push(a, t, conn);
        io_abort(t->out, conn);
        forget(a, conn);
    } else if (what < 26) {
        io_proved(t->out, conn);
    } else if (what < 29 && a->dials < 4000) {
        const struct address *to = &a->targets[rng_below(t->rng, SHARDS + 1)];
        a->dials += io_connect(t->out, to, 5) == ERR_OK;
    }
}

static void on_event(void *context, struct turn *t, struct io_event *e)
{
    struct actor *a = context;
    a->events++;
    uint32_t index = handle_index(e->conn);
    CHECK(index < CONNS);
    switch (e->kind) {
    case IO_CONNECTED:
        CHECK(e->tag == 5);
        a->dialled++;
        if (e->error != ERR_OK) {
            CHECK(e->conn == 0);
            break;
        }
        CHECK(a->alive[index] == 0);
        a->alive[index] = e->conn;
        act(a, t, e->conn);
        break;
    case IO_ACCEPTED:
        CHECK(a->alive[index] == 0);
        a->alive[index] = e->conn;
        act(a, t, e->conn);
        break;
    case IO_STREAM:
        if (a->alive[index] == e->conn) {
            CHECK(e->data_len > 0);
            e->data[0]++;
            e->data[e->data_len - 1]++;
            act(a, t, e->conn);
        }
        break;
    case IO_SENT:
        CHECK(a->alive[index] == 0 || a->alive[index] == e->conn);
        break;
    case IO_CLOSED:
        CHECK(a->alive[index] == e->conn);
        forget(a, e->conn);
        break;
    case IO_DATAGRAM:
    case IO_MAIL:
        break;
    }
}

static void nothing(void *context, struct turn *t)
{
    (void)context;
    (void)t;
}

static bool no_work(void *context, struct turn *t)
{
    (void)context;
    (void)t;
    return false;
}

static void *run(void *context)
{
    static const struct shard_handler handler = {on_event, nothing, no_work};
    struct actor *a = context;
    shard_run(a->shard, &handler, a);
    return NULL;
}

static void client_step(struct rng *rng, int *fd, const struct address *to)
{
    static uint8_t bytes[40000];
    uint64_t what = rng_below(rng, 20);
    if (*fd < 0) {
        struct sockaddr_storage at;
        socklen_t len = sock_from_address(to, &at);
        *fd = sock_stream(4, &(struct address){0}, false);
        CHECK(*fd >= 0);
        int ignored = connect(*fd, (struct sockaddr *)&at, len);
        (void)ignored;
    } else if (what < 8) {
        ssize_t ignored = send(*fd, bytes, rng_below(rng, sizeof(bytes)), MSG_NOSIGNAL);
        (void)ignored;
    } else if (what < 14) {
        ssize_t ignored = recv(*fd, bytes, sizeof(bytes), 0);
        (void)ignored;
    } else if (what == 14) {
        shutdown(*fd, SHUT_WR);
    } else if (what < 18) {
        if (what == 15) {
            sock_reset_on_close(*fd);
        }
        close(*fd);
        *fd = -1;
    }
}

static void play(enum shard_backend backend, uint64_t seed)
{
    uint32_t before = host_descriptors_open();
    struct shard_config c[SHARDS];
    static struct actor actors[SHARDS];
    for (uint32_t i = 0; i < SHARDS; i++) {
        c[i] = (struct shard_config){.backend = backend, .cpu = SHARD_NO_CPU, .seed = seed + i};
        limits_default(&c[i].limits);
        c[i].limits.conns = CONNS;
        c[i].limits.conns_reserved = 40;
        c[i].limits.accepted_per_host = 20;
        c[i].limits.outbox = 200;
        c[i].limits.msgbuf_small = 300;
        c[i].limits.msgbuf_large = 100;
        c[i].limits.receive_buffers = 16;
        c[i].limits.conn_queue_bytes = 100000;
        c[i].listeners[IO_LISTEN_OVERLAY].address =
            (struct address){.family = 4, .ip = {127, 0, 0, 1}};
    }
    struct shard_group *g = NULL;
    char problem[SHARD_PROBLEM_CAP];
    CHECK(shard_open(c, SHARDS, &g, problem) == ERR_OK);
    struct address targets[SHARDS + 1] = {
        shard_address(shard_at(g, 0), IO_LISTEN_OVERLAY),
        shard_address(shard_at(g, 1), IO_LISTEN_OVERLAY),
        {.family = 4, .ip = {127, 0, 0, 1}, .port = 1},
    };
    for (uint32_t i = 0; i < SHARDS; i++) {
        actors[i] = (struct actor){.shard = shard_at(g, i)};
        memcpy(actors[i].targets, targets, sizeof(targets));
        CHECK(pthread_create(&actors[i].thread, NULL, run, &actors[i]) == 0);
    }
    struct rng rng;
    rng_init(&rng, seed);
    int clients[CLIENTS];
    memset(clients, 0xff, sizeof(clients));
    uint64_t until_us = host_now_us() + RUN_US;
    while (host_now_us() < until_us) {
        client_step(&rng, &clients[rng_below(&rng, CLIENTS)], &targets[rng_below(&rng, SHARDS)]);
    }
    shard_stop(g);
    uint64_t events = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        CHECK(pthread_join(actors[i].thread, NULL) == 0);
        const struct msgbuf_pool *p = shard_turn(actors[i].shard)->buffers;
        CHECK(p->in_use[0] == 0);
        CHECK(p->in_use[1] == 0);
        CHECK(metric_read(shard_metrics(actors[i].shard), METRIC_conns) == 0);
        CHECK(actors[i].dialled <= actors[i].dials);
        events += actors[i].events;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0) {
            close(clients[i]);
        }
    }
    printf("%s: %llu events, seed %llu\n", shard_backend_text(shard_at(g, 0)),
           (unsigned long long)events, (unsigned long long)seed);
    shard_close(g);
    CHECK(host_descriptors_open() == before);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    play(SHARD_EPOLL, seed);
    play(SHARD_AUTO, seed);
    printf("2 passed, 0 failed\n");
    return 0;
}
