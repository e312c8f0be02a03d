/* SPDX-License-Identifier: Apache-2.0 */
/* chord_table.h - whom we know: connected nodes with their state, and the ring as seen from here.
 *
 * One sorted array of connected nodes.  Neighbor Table, Routing Table and finger table of RFC 6940
 * 10.3-10.7 are views of it, so they cannot contradict each other: a neighbor whose link dies is
 * gone from all of them and the next one has moved up before the same turn ends.  A node counts as
 * a peer (may be routed through, is a neighbor) once it has sent an Update and while
 * its link is not suspect.
 *
 * Owner:   one for each overlay; plain data, no clock, no output.
 * Limits:  `nodes` connected nodes.
 * RFC:     6940 10.1 (responsibility), 10.3 (next hop), 10.7 (Neighbor Table). */
#pragma once
#include "codec/ids.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/handle.h"

enum {
    CHORD_TABLE_MEMOS = 512,   /* places remembered; a power of two */
    CHORD_TABLE_NEIGHBORS = 8, /* kept on each side where there are so many (design.md 1) */
    CHORD_TABLE_FINGERS = 128,
};

/* What state a connected node is in. */
enum chord_table_state {
    CHORD_TABLE_ATTACHED, /* client, or joining: reached by Node-ID only */
    CHORD_TABLE_PEER,     /* has sent an Update: in the ring */
};

struct chord_table_node {
    struct node_id id;
    struct ring_id at;
    handle link;
    uint64_t host;   /* equal numbers: certificates with one user name, one machine */
    bool is_suspect; /* link does not acknowledge: not routed through */
    bool is_local;   /* sibling in this process */
    enum chord_table_state state;
    uint64_t up_since_us;
    uint64_t asked_us;   /* when we last asked it for an Update */
    uint64_t updated_us; /* when its latest Update came */
    bool names_us;       /* its latest Update has us among its neighbors */
    bool update_due;     /* an Update to it could not be sent yet */
};

struct chord_table {
    struct ring_id self;
    struct node_id self_id;
    uint64_t self_host;
    bool is_member;                 /* we are in the ring; else responsible for nothing */
    struct chord_table_node *nodes; /* sorted by `at` */
    uint32_t count;
    uint32_t cap;
    /* Derived by each change: indices into nodes, nearest first. */
    uint32_t successors[CHORD_TABLE_NEIGHBORS];
    uint32_t predecessors[CHORD_TABLE_NEIGHBORS];
    uint32_t successor_count;
    uint32_t predecessor_count;
    struct ring_id span; /* from the first point that would be ours to ourselves (CH-2) */
    uint64_t version;    /* +1 whenever the neighbors changed */
    uint64_t generation; /* +1 whenever anything changed */
    /* Where a place on the ring has stood in the array, perhaps another than the one asked for: a
     * look at the array tells.  Who chooses destinations so that they push each other out makes us
     * search, as we would without. */
    uint32_t *memos;
};

size_t chord_table_bytes(uint32_t nodes);
void chord_table_init(struct chord_table *ct, struct arena *arena, uint32_t nodes,
                      const struct node_id *self, uint64_t self_host);

/* Views: for dht/store, dht/replicate and status. */

static inline const struct chord_table_node *chord_table_successor(const struct chord_table *ct,
                                                                   uint32_t index)
{
    return index < ct->successor_count ? &ct->nodes[ct->successors[index]] : NULL;
}
static inline const struct chord_table_node *chord_table_predecessor(const struct chord_table *ct,
                                                                     uint32_t index)
{
    return index < ct->predecessor_count ? &ct->nodes[ct->predecessors[index]] : NULL;
}
const struct chord_table_node *chord_table_find(const struct chord_table *ct,
                                                const struct node_id *id);
/* In the ring and pred < k <= own; the whole ring without a predecessor (CH-2). */
static inline bool chord_table_is_responsible(const struct chord_table *ct, struct ring_id k)
{
    return ct->is_member && !ids_ring_is_less(ct->span, ids_ring_minus(ct->self, k));
}
/* (*from, own] is ours: our predecessor, or ourselves when alone. */
struct ring_id chord_table_range_from(const struct chord_table *ct);
/* Hosts among ourselves and the neighbors, each counted once. */
uint32_t chord_table_hosts(const struct chord_table *ct);

/* Changes, by dht/chord.  Each says whether the neighbors changed. */
enum err chord_table_add(struct chord_table *ct, const struct chord_table_node *node) MUST_USE;
bool chord_table_remove(struct chord_table *ct, const struct node_id *id);
bool chord_table_set_state(struct chord_table *ct, const struct node_id *id,
                           enum chord_table_state state);
bool chord_table_set_suspect(struct chord_table *ct, const struct node_id *id, bool is_suspect);
/* Another link to a node that is known already: link/ has decided which is kept (AT-18). */
void chord_table_set_link(struct chord_table *ct, const struct node_id *id, handle link);
void chord_table_note_asked(struct chord_table *ct, const struct node_id *id, uint64_t now_us);
void chord_table_set_names_us(struct chord_table *ct, const struct node_id *id, bool names_us);
void chord_table_note_updated(struct chord_table *ct, const struct node_id *id, uint64_t now_us);
void chord_table_set_update_due(struct chord_table *ct, const struct node_id *id, bool is_due);
/* Would `at` be among the neighbors, were it a peer? */
bool chord_table_is_wanted(const struct chord_table *ct, struct ring_id at);
/* FW-7: the peer to send towards k, NULL when there is none; `avoid` (may be 0) is a link not to be
 * taken: where the message came from, or one that has just failed. */
const struct chord_table_node *chord_table_next_hop(const struct chord_table *ct, struct ring_id k,
                                                    handle avoid);
/* The n-th best peer to send towards k (0: that of chord_table_next_hop), NULL when there are not
 * so many. */
const struct chord_table_node *chord_table_nth_hop(const struct chord_table *ct, struct ring_id k,
                                                   uint32_t n);
/* Where k lies behind us: the first of our predecessors at or after k, who is responsible as far as
 * we know, or knows better, where k is farther away than they; NULL when k lies ahead of us or we
 * are the first ourselves. */
const struct chord_table_node *chord_table_owner_behind(const struct chord_table *ct,
                                                        struct ring_id k);
/* The range of finger i, 1 to 128: [own + 2^(128-i), own + 2^(129-i) - 1] (CH-4). */
void chord_table_finger_range(struct ring_id own, uint32_t i, struct ring_id *first,
                              struct ring_id *last);
/* The first peer in the clockwise interval [first, last], NULL when there is none: a finger is good
 * while there is one (CH-4), and the first is the one to keep. */
const struct chord_table_node *chord_table_first_between(const struct chord_table *ct,
                                                         struct ring_id first, struct ring_id last);
uint32_t chord_table_peers(const struct chord_table *ct);
/* Peers of the whole ring, ourselves among them: counted where the neighbors behind meet those
 * ahead, else guessed from how close they stand. */
uint64_t chord_table_guess_peers(const struct chord_table *ct);
