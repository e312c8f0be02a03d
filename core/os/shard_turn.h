/* SPDX-License-Identifier: Apache-2.0 */
/* shard_turn.h - what a shard consists of: shared by shard.c (opening, closing, the control thread)
 * and shard_turn.c (the turn).  Nobody else includes it. */
#pragma once
#include "core/os/mem.h"
#include "core/os/shard.h"
#include "core/os/spin.h"
#include "core/os/tcp.h"
#include "core/os/udp.h"

enum { SHARD_TEXT_CAP = 160 };

struct shard {
    uint32_t index;
    uint32_t count;
    struct shard_config config;
    struct limits limits; /* the configuration's, fitted to the descriptors there are */
    struct mem mem;
    struct mailbox *mailbox;
    bool wants_uring;
    bool can_wake;          /* by MSG_RING */
    bool is_last_turn_full; /* more events than one turn takes */
    uint32_t short_turns;   /* in a row */
    bool has_work;          /* the handler has more to do */
    bool has_worked;        /* something has come in this turn */
    struct spin spin;
    int fds[IO_LISTENER_COUNT];
    struct address addresses[IO_LISTENER_COUNT];
    uint64_t accept_retry_us[IO_LISTENER_COUNT]; /* 0 = accepting */
    uint64_t turns;
    uint64_t outbox_refused; /* as far as it is in the metric */
    uint64_t buffers_refused;
    uint64_t buffers_over_share;
    uint64_t buffers_reserve_used;
    char backend_text[SHARD_TEXT_CAP];
    struct driver driver;
    struct tcp tcp;
    struct udp udp;
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox outbox;
    struct metrics metrics;
    struct log log;
};

/* Opens the driver and starts reading, on the shard's thread. */
void shard_turn_start(struct shard *s);
void shard_turn_once(struct shard *s, const struct shard_handler *handler, void *context);
/* Sends what is queued for a moment, then aborts, until the kernel has let go of everything. */
void shard_turn_finish(struct shard *s);
