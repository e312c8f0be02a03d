/* SPDX-License-Identifier: Apache-2.0 */
/* world_disk.h - the disks of a world: each node has one over all its lives, when
 * world_settings.has_disks says so.  For sim/world.c, and for whoever harms disks. */
#pragma once
#include "sim/disk.h"
#include "sim/world.h"

enum { WORLD_DISK_LOG_BYTES = 64 * 1024 };

struct world_disks;

size_t world_disk_bytes(const struct world_settings *s);
/* NULL where the world has none. */
struct world_disks *world_disk_init(struct arena *arena, const struct world_settings *s);

/* For sim/world.c: a node is about to be made, has been made, has had its turn, is dead; a sync of
 * its has ended. */
void world_disk_settings(struct world_disks *d, uint32_t i, struct node_settings *out);
void world_disk_restore(struct world_disks *d, uint32_t i, struct turn *t, struct node *n);
/* True when a sync has begun that ends at *at_us. */
bool world_disk_flush(struct world_disks *d, uint32_t i, uint64_t now_us, uint64_t *at_us);
void world_disk_deliver(struct world_disks *d, uint32_t i, struct turn *t, struct node *n);
/* is_death: it has not left in good order; then the disk may be gone with it
 * (world_settings.disk_lost_percent). */
void world_disk_crash(struct world_disks *d, uint32_t i, bool is_death);
/* Disks that went with their machines. */
uint32_t world_disk_lost(const struct world *w);

/* The disk of node i, NULL where there are none: disk_set_full, or disk_crash(.., false) while the
 * node is dead. */
struct disk *world_disk(struct world *w, uint32_t i);
