/* SPDX-License-Identifier: Apache-2.0 */
/* shard.h - the engine: one thread, one io_uring (or epoll), one struct turn.
 *
 * A group is all shards of the process.  shard_open binds every socket of every shard, in shard
 * order, before any is read: so the kernel's SO_REUSEPORT index of a phone socket is the shard's
 * number.  Then each shard runs on a thread of its own:
 *
 *     reap completions -> on_event for each -> on_timers -> on_flush -> carry out the outbox ->
 * wait
 *
 * Owner: the group belongs to the control thread, a shard to the thread inside shard_run.  The
 * handler is the one place where the engine calls up; it gets the turn and leaves its wishes in
 * turn->out. Limits: core/limits, group core/os. */
#pragma once
#include "core/limits.h"
#include "core/os/mailbox.h"
#include "core/turn.h"

enum shard_backend { SHARD_AUTO, SHARD_URING, SHARD_EPOLL };
enum { SHARD_PROBLEM_CAP = 200, SHARD_NO_CPU = -1 };

struct shard_listener {
    struct address address; /* family 0 = none; port 0 = any (shard_address tells) */
    bool is_reuseport;      /* shared with the other shards: the kernel spreads by hash */
};

struct shard_config {
    enum shard_backend backend; /* AUTO: io_uring, or epoll with one log line that says why */
    int cpu;                    /* pinned to it; SHARD_NO_CPU = not pinned */
    uint32_t busy_poll_us;      /* spins so long before it sleeps; 0 = never */
    bool is_busy_poll_adaptive; /* only while work mostly comes within that time */
    struct shard_listener listeners[IO_LISTENER_COUNT];
    struct limits limits;
    const struct crypto *crypto; /* goes into the turn */
    log_sink sink;               /* called on the shard's thread */
    void *sink_context;
    enum log_level log_level;
    uint64_t seed; /* of the turn's rng; 0 = from the kernel */
};

struct shard_handler {
    void (*on_event)(void *context, struct turn *turn, struct io_event *event);
    /* The wheel's owner takes its timers here. */
    void (*on_timers)(void *context, struct turn *turn);
    /* True: work is left, the next turn must not wait. */
    bool (*on_flush)(void *context, struct turn *turn);
};

struct shard;
struct shard_group;

/* Opens `count` shards.  On failure *out is NULL, nothing is left open, and `problem`
 * (SHARD_PROBLEM_CAP bytes) says what, where and why. */
enum err shard_open(const struct shard_config *configs, uint32_t count, struct shard_group **out,
                    char *problem) MUST_USE;
struct shard *shard_at(struct shard_group *group, uint32_t index);
/* The bound address (with the real port); family 0 when there is no such listener. */
struct address shard_address(const struct shard *shard, enum io_listener listener);
/* For setting up the node before shard_run, on whatever thread; later only inside the handler. */
struct turn *shard_turn(struct shard *shard);
/* As configured, but conns lowered to what the descriptors of the process allow. */
const struct limits *shard_limits(const struct shard *shard);
/* Any thread, with metric_read. */
const struct metrics *shard_metrics(const struct shard *shard);
/* "io_uring (multishot recv, deferred task run, msg_ring), kernel 6.1.0" - what is in use. */
const char *shard_backend_text(const struct shard *shard);

/* Runs on the calling thread until shard_stop.  The turn's outbox may hold operations already. */
void shard_run(struct shard *shard, const struct shard_handler *handler, void *context);
/* Lets every shard return from shard_run after its current turn; from any thread. */
void shard_stop(struct shard_group *group);
/* Closes everything, after all shard_run have returned. */
void shard_close(struct shard_group *group);

/* ---- the control thread's end of the mailbox (IO_SHARD_CONTROL); one thread only ---- */

/* Copies `bytes` into a buffer of the control thread and mails it.  ERR_LIMIT, ERR_NO_MEMORY,
 * ERR_TOO_LARGE. */
enum err shard_control_send(struct shard_group *group, uint32_t to, uint16_t mail, uint64_t tag,
                            struct slice bytes) MUST_USE;
/* The next mail as an IO_MAIL event; its bytes are valid until the next call.  False when none. */
bool shard_control_take(struct shard_group *group, struct io_event *event);
/* Readable when there may be mail: for poll(2). */
int shard_control_descriptor(const struct shard_group *group);
