/* SPDX-License-Identifier: Apache-2.0 */
/* turn.h - everything that protocol code may use of the world during one turn.
 *
 * A turn is: reap completions, handle the whole batch, expire timers, flush.  Time stands still
 * within a turn.  There is no other way to time, randomness or output. */
#pragma once
#include "core/crypto.h"
#include "core/io.h"
#include "core/log.h"
#include "core/metric.h"
#include "core/rng.h"
#include "core/wheel.h"

/* The kind byte of timer tags and handles; the node dispatches timers on it. */
enum handle_of {
    HANDLE_NONE,
    HANDLE_CONN,        /* io: connections */
    HANDLE_PATH,        /* node/path: its record of a connection */
    HANDLE_LINK,        /* link */
    HANDLE_TRANSACT,    /* dht/transact */
    HANDLE_CHORD,       /* dht/chord and its procedures */
    HANDLE_STORE,       /* dht/store and replicate */
    HANDLE_ATTACH,      /* dht/attach */
    HANDLE_FRAG,        /* dht/frag */
    HANDLE_OVERLAY,     /* dht/overlay's own */
    HANDLE_SIP_TX,      /* sip/tx */
    HANDLE_SIP_PROXY,   /* sip/proxy and fork */
    HANDLE_SIP_FLOW,    /* sip/flow */
    HANDLE_SIP_REG,     /* sip/registrar */
    HANDLE_SIP_LOC,     /* sip/location */
    HANDLE_SIP_EVENT,   /* sip/subscribe, publish and offline */
    HANDLE_SIP_FOREIGN, /* sip/foreign */
    HANDLE_OUTWARD,     /* node/outward */
    HANDLE_NODE,        /* node's own */
};

struct buggify; /* core/buggify.h */

struct turn {
    uint64_t now_us;  /* monotonic; only differences mean anything */
    uint64_t wall_ms; /* since 1970 UTC: certificates and storage_time only */
    bool is_short;    /* it was ended before all that had come in was taken: more may be there */
    bool wants_short; /* set by who runs in it: what comes in shall not wait for much else */
    /* Since then no turn has taken all that had come in; 0: the last one has. */
    uint64_t full_since_us;
    struct rng *rng;
    const struct crypto *crypto;
    struct wheel *wheel;
    struct msgbuf_pool *buffers;
    struct io_outbox *out;
    struct metrics *metrics;
    struct log *log;
    struct buggify *buggify; /* NULL: nothing goes wrong on purpose */
};
