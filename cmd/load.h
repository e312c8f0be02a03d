/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - one run of the load generator: begins operations when they are due, waits for sockets,
 * ends by itself, and notices when it was itself the bottleneck.
 *
 * What an operation is, drivers know (load_phone.c, load_forward.c, load_record.c): they are given
 * intended times and tell load_ops how each one ended.
 *
 * Owner:  cmd_load.c; one thread.
 * Limits: settings.seconds + settings.timeout_ms in time, settings.outstanding operations at once,
 * LOAD_IO_CAP sockets. */
#pragma once
#include "cmd/load_ops.h"
#include "cmd/load_schedule.h"

enum { LOAD_DRIVERS_CAP = 4, LOAD_IO_CAP = 4096, LOAD_LIMITS_CAP = 3, LOAD_LIMIT_TEXT_CAP = 160 };

/* What phones speak over: the first three; what links are made of: LOAD_TLS or LOAD_DTLS. */
enum load_transport { LOAD_UDP, LOAD_TCP, LOAD_TLS, LOAD_DTLS, LOAD_TRANSPORTS };

struct load_settings {
    bool is_max; /* closed loop: as many as are answered */
    uint64_t rate;
    uint64_t connections;
    uint64_t seconds;
    uint64_t warm_s; /* of the same before, which does not count */
    uint64_t outstanding;
    uint64_t timeout_ms;
    uint64_t size_bytes; /* of a forwarded message */
    uint64_t seed;
    enum load_schedule_kind arrivals;
    enum load_transport transport; /* of phones */
    enum load_transport links;
    uint32_t mix[LOAD_KINDS]; /* weights */
    uint32_t server_pid;      /* 0: not told */
    uint32_t callee_pid;      /* a second one to be charged; 0: none */
    const volatile int *stop; /* not 0: end now */
    bool has_progress;
    bool is_awake;   /* looks for answers without sleeping */
    bool is_in_turn; /* sends while it is told to by standard input, in slices */
};

/* A socket that is being waited for. */
struct load_io {
    void (*on_ready)(struct load_io *io);
    int fd;
};

struct load;
struct load_driver {
    void *state;
    /* Begins one operation; false: there is no room for it now, ask again after a turn. */
    bool (*begin)(void *state, enum load_kind kind, uint64_t intended_ns);
    /* Once a turn: sends what was begun. */
    void (*turn)(void *state);
};

struct load {
    const struct load_settings *s;
    struct load_ops ops;
    struct load_driver drivers[LOAD_DRIVERS_CAP];
    uint32_t driver_count;
    uint32_t driver_of[LOAD_KINDS]; /* index + 1 */
    uint64_t now_ns;
    int epoll;
    struct rng rng;
    struct load_schedule schedule;
    /* results */
    uint64_t begin_ns, end_ns; /* of sending, and of the last answer waited for */
    uint64_t until_ns;         /* begins nothing from then on */
    uint64_t sending_ns;
    uint64_t due;    /* operations that the schedule asked for */
    uint64_t unsent; /* of those, never begun */
    uint64_t blocked_turns;
    uint64_t wakeups;
    uint64_t own_ran_ns, own_waited_ns; /* while sending; what was spun away is in neither */
    uint64_t spun_ns;
    uint64_t server_ns;
    bool has_server_ns;
    bool is_interrupted;
    struct load_histogram behind; /* how late operations were begun by our own fault */
    char limits[LOAD_LIMITS_CAP][LOAD_LIMIT_TEXT_CAP];
    uint32_t limit_count; /* 0: the generator kept up */
};

enum err load_open(struct load *l, const struct load_settings *s) MUST_USE;
void load_close(struct load *l);
/* `kinds`: a bit for each kind that the driver takes. */
void load_add(struct load *l, const struct load_driver *driver, uint32_t kinds);
enum err load_watch(struct load *l, struct load_io *io, bool for_writing) MUST_USE;
void load_unwatch(struct load *l, struct load_io *io);
/* Waits once, at most `wait_ns`, lets sockets speak, and tells drivers that a turn is over: for
 * preparations before the run. */
void load_step(struct load *l, uint64_t wait_ns);
void load_run(struct load *l);
/* "forward" ... "invite". */
const char *load_kind_name(enum load_kind kind);
/* "udp", "tcp", "tls", "dtls". */
const char *load_transport_name(enum load_transport transport);
