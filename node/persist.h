/* SPDX-License-Identifier: Apache-2.0 */
/* persist.h - the seam between a node and whoever keeps its records where a restart does not reach:
 * cmd/persist_thread with LMDB, or sim/disk with a made-up one.
 *
 * Down: numbered records (dht/store_log), handed over at the end of each step, in order.
 * Up:   news: how far they are durable, and how the disk is.
 *
 * The node never waits.  While records cannot be handed over, or the disk has failed, the node is
 * *behind*: records are dropped, the promise of OVERLAY_ACK_DISK is off (metric persist_degraded, a
 * log line); when the disk is well again everything is told once more, a piece at a time, and the
 * promise holds again once that is durable.  A disk that is late by more than
 * limits.persist_patience_ms is not promised either, until it has caught up.
 *
 * Neighbors that we have dialled are noted now and then; at the next start they are addresses to
 * join through, behind those of the configuration, and no more than that. */
#pragma once
#include "core/handle.h"
#include "core/slice.h"
#include "core/turn.h"

enum persist_disk {
    PERSIST_DISK_WELL,
    PERSIST_DISK_FAILED, /* what was handed over and is not durable is lost */
    PERSIST_DISK_AGAIN,  /* ... and now it may work again: everything once more, please */
};

/* The bytes of an IO_MAIL_PERSIST of the control thread. */
struct persist_news {
    uint64_t durable; /* every record up to this number */
    enum persist_disk disk;
    uint32_t failures; /* so far: two in a row must not look like one */
};

struct persist_ops {
    /* False: no room, nothing was taken.  Never blocks. */
    bool (*write)(void *context, uint64_t sequence, struct slice steps);
    /* More than half of the room is free. */
    bool (*has_room)(void *context);
    /* Something was written in this turn. */
    void (*flush)(void *context);
};

enum persist_phase { PERSIST_FOLLOWS, PERSIST_BEHIND, PERSIST_REWRITES };

/* Part of struct node. */
struct persist {
    const struct persist_ops *ops; /* NULL: nobody keeps anything */
    void *context;
    enum persist_phase phase;
    struct persist_news news;
    struct wheel_timer timer;
    uint64_t written;        /* the last number that was handed over */
    uint64_t promised;       /* the promise holds from here on: the end of the last rewrite */
    uint64_t waits_for;      /* a number under way, 0 = none ... */
    uint64_t waits_since_us; /* ... since then */
    uint64_t next_note_us;   /* neighbors */
    bool is_late;
    bool has_written; /* in this turn */
    bool is_promised; /* as told to the overlay */
};

struct node;

void persist_init(struct turn *t, struct node *n);
void persist_start(struct turn *t, struct node *n);
/* Hands over what is there; called often. */
void persist_pump(struct turn *t, struct node *n);
/* The end of a turn. */
void persist_flush(struct turn *t, struct node *n);
void persist_on_timer(struct turn *t, struct node *n);
void persist_on_news(struct turn *t, struct node *n, const struct persist_news *news);

/* What was kept in an earlier life: in the order of the keys, then the end, before node_start. */
void persist_restore(struct turn *t, struct node *n, struct slice key, struct slice value);
void persist_restored(struct turn *t, struct node *n);

struct persist_status {
    bool is_kept;     /* there is somebody who keeps records */
    bool is_promised; /* what is acknowledged survives */
    bool is_behind;
    uint64_t written, durable;
    uint32_t unproved; /* values of an earlier life */
};
void persist_status(const struct node *n, struct persist_status *out);
