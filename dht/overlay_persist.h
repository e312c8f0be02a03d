/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_persist.h - what a peer stores, on its way to whoever keeps it over a restart, and back.
 *
 * Out:  records in the order of their numbers (dht/store_log says what stands in them).
 * Back: how far they are durable; and, before overlay_start, what was kept in an earlier life.
 *
 * With settings.log_bytes 0 nothing is told, and nothing is asked. */
#pragma once
#include "dht/overlay.h"

struct overlay_persist_record {
    uint64_t sequence;
    struct slice steps; /* store_log_next; borrowed until the next call */
};

/* The oldest record that was not taken. */
bool overlay_persist_next(struct overlay *o, struct overlay_persist_record *out);
/* Some were not told, for want of room: all has to be told once more. */
bool overlay_persist_is_lost(const struct overlay *o);
void overlay_persist_rewrite(struct overlay *o);
/* One set more; false: that was the last. */
bool overlay_persist_rewrite_step(struct turn *t, struct overlay *o);
/* Something of the caller's under the key of a single byte, which is not the store's. */
void overlay_persist_note(struct overlay *o, uint8_t key, struct slice value);

/* Everything up to `sequence` is durable.  is_promised: the rest will be, so that an answer may
 * wait for it; else answers leave without it (OVERLAY_ACK_DISK). */
void overlay_persist_durable(struct turn *t, struct overlay *o, uint64_t sequence,
                             bool is_promised);

/* In the order of the keys, then the end; all before overlay_start. */
void overlay_persist_restore(struct turn *t, struct overlay *o, struct slice key,
                             struct slice value);
void overlay_persist_restored(struct turn *t, struct overlay *o);
/* One more address to join through; what answers there has to prove who it is, as always.  False:
 * known, no room, or an address that no Attach may make us dial either (attach_policy.h). */
bool overlay_persist_bootstrap(struct overlay *o, const struct address *address);
/* Values of an earlier life that are not proved yet. */
uint32_t overlay_persist_unproved(const struct overlay *o);
