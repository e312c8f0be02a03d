/* SPDX-License-Identifier: Apache-2.0 */
/* world_phones.h - what a world has for phones: accounts at its nodes, and the way between a phone
 * and its node.  What phones say is sim/phones' matter.
 *
 * Phone k has the account "p<k>@<overlay>" and a credential at each of its `homes`: the processes
 * k, k + 1 ... of the first `nodes`.  It has the address 11.a.b.c with k in the last three bytes,
 * and stands near its nodes: a datagram takes delay_us, whatever the overlay's network does. */
#pragma once
#include "sim/queue.h"
#include "sim/world.h"

enum { WORLD_PHONES_HOMES = 4, WORLD_PHONES_CAP = 100000 };

struct world_phones;
struct limits;

/* A datagram for a phone; empty: its time has come (world_phones_wake). */
typedef void world_phones_sink(void *context, uint32_t phone, struct slice datagram);

void world_phones_listen(struct world *w, world_phones_sink *sink, void *context);
void world_phones_wake(struct world *w, uint32_t phone, uint64_t at_us);
/* To the process whose first node is `node`; lost where that is dead. */
void world_phones_send(struct world *w, uint32_t phone, uint32_t node, struct slice datagram);
/* The first node of the process of its k-th home. */
uint32_t world_phones_home(const struct world *w, uint32_t phone, uint32_t k);
struct address world_phones_address(uint32_t phone);
/* Is a record's dictionary key (a Node-ID) a phone's?  Those are not counted as records. */
bool world_phones_is_key(struct slice key);

/* For sim/world.c and sim/net.c alone. */
size_t world_phones_bytes(const struct world_settings *s);
struct world_phones *world_phones_init(struct arena *arena, struct world *w); /* NULL: none */
void world_phones_limits(const struct world_settings *s, struct limits *l);
void world_phones_settings(struct world *w, uint32_t i, struct node_settings *out);
/* As much as a node's share takes; for asking how large it is. */
void world_phones_room(const struct world_settings *s, const struct limits *l,
                       struct node_settings *out);
/* Node i sends a datagram from its port for phones; takes over the buffer. */
void world_phones_take(struct world *w, uint32_t i, const struct io_op *op);
void world_phones_deliver(struct world *w, const struct queue_event *e);
