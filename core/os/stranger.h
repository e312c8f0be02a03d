/* SPDX-License-Identifier: Apache-2.0 */
/* stranger.h - accepted connections that have not proved who they are, oldest first.
 *
 * Idle attackers must not keep others out: when a cap is reached, the oldest stranger under that
 * cap goes, if it has had its time to prove itself; else the newcomer is refused.  A handshake
 * takes milliseconds, so whoever means it gets in, also from the attacker's own address. Owner: the
 * shard's thread.  Limits: accepted_per_listener, accepted_per_host (0 = none); an IPv6 host is its
 * /64. */
#pragma once
#include "core/io.h"
#include "core/limits.h"
#include "core/pool.h"
#include "core/table.h"

/* A link in two lists: of its host and of its listener. */
struct stranger {
    struct stranger *older[2];
    struct stranger *newer[2];
    uint64_t since_us;
    uint32_t host; /* index */
    uint16_t listener;
    bool is_counted;
};

struct stranger_list {
    struct stranger *oldest;
    struct stranger *newest;
    uint32_t count;
};

struct stranger_host {
    struct address key; /* port 0 */
    struct stranger_list list;
};

struct strangers {
    const struct limits *limits;
    struct pool hosts;
    struct table index;
    struct stranger_list listeners[IO_LISTENER_COUNT];
};

enum stranger_verdict {
    STRANGER_WELCOME,
    STRANGER_HOST,     /* too many of this address */
    STRANGER_LISTENER, /* too many on this listener */
};

size_t stranger_bytes(const struct limits *l);
void stranger_init(struct strangers *s, struct arena *arena, const struct limits *l,
                   uint64_t table_seed);
/* Which cap stands against one more.  Unless welcome, *evict is the stranger whose going makes
 * room, or NULL when all are too young. */
enum stranger_verdict stranger_judge(const struct strangers *s, uint16_t listener,
                                     const struct address *remote, uint64_t now_us,
                                     struct stranger **evict);
/* The oldest of all that has had its time, or NULL. */
struct stranger *stranger_oldest(const struct strangers *s, uint64_t now_us);
void stranger_add(struct strangers *s, struct stranger *who, uint16_t listener,
                  const struct address *remote, uint64_t now_us);
/* Proved or gone; nothing happens when it was not counted. */
void stranger_remove(struct strangers *s, struct stranger *who);
