/* SPDX-License-Identifier: Apache-2.0 */
/* transit_memory.c - what an idle link costs.  LINKS links are brought up and carry a few messages,
 * then time passes; then the far ends, which stand in the same process, go away.  What the heap has
 * more than before is the node's ends: BoringSSL's objects and what we take from it.  Pools of ours
 * are counted apart: a link's slot, and the buffers that it holds while it is idle. */
#include "bench/transit.h"
#include "bench/transit_node.h"
#include "core/os/host.h"
#include "link/link_table.h"
#include "node/node_impl.h"

#include <stdio.h>

enum { LINKS = 2000, TALKS = 3, IDLE_US = 3000000 };

int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len);

static size_t heap_bytes(void)
{
    uint64_t epoch = 1;
    size_t len = sizeof(epoch), bytes = 0;
    transit_require(mallctl("epoch", &epoch, &len, &epoch, len) == 0, "the allocator's epoch");
    len = sizeof(bytes);
    transit_require(mallctl("stats.allocated", &bytes, &len, NULL, 0) == 0, "the heap's size");
    return bytes;
}

/* Each link has carried something both ways, so that it has been given all that it may keep. */
static void talk(struct transit_world *w, const struct transit_load *load)
{
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t to = (i + 1) % w->count;
        w->ends[to].peer.expected = load;
        transit_peer_push(&w->ends[i].peer, load, &w->ends[to].peer.ident.node_id,
                          transit_load_per_record(load));
        transit_world_note(w, i);
        if (i % 16 == 15) {
            transit_world_turn(w);
        }
    }
    transit_world_settle(w);
}

void transit_memory_run(const struct transit_ca *ca, const struct transit_options *o)
{
    static struct transit_world w;
    static struct transit_load load;
    transit_load_make(&load, ca, 500);
    transit_world_open(&w, ca, 1); /* what is made once is made */
    transit_world_settle(&w);
    uint32_t small = w.buffers.in_use[0], large = w.buffers.in_use[1];
    transit_world_close(&w);
    size_t before = heap_bytes();
    transit_world_open(&w, ca, LINKS);
    for (uint32_t i = 0; i < TALKS; i++) {
        talk(&w, &load);
    }
    transit_world_pass(&w, IDLE_US);
    transit_world_settle(&w);
    uint64_t held = (w.buffers.in_use[0] - small) * (uint64_t)LIMITS_COST_msgbuf_small +
                    (w.buffers.in_use[1] - large) * (uint64_t)LIMITS_COST_msgbuf_large;
    transit_require(link_count_up(node_links(w.node.node)) == LINKS, "links that stay up");
    transit_world_drop_ends(&w);
    size_t after = heap_bytes();
    double heap = (double)(after - before) / LINKS;
    double slot = (double)(sizeof(struct link) + sizeof(struct node_conn) + LIMITS_COST_conns +
                           LIMITS_COST_ring_nodes);
    double buffers = (double)held / LINKS;
    printf(o->is_json
               ? "{\"work\": \"memory-idle-tls-link\", \"bytes\": %.0f, \"must\": 24576, "
                 "\"stretch\": 16384, \"heap\": %.0f, \"pools\": %.0f, \"buffers\": %.0f}\n"
               : "an idle TLS link: %.0f bytes (must 24576): heap %.0f, slots in our pools %.0f, "
                 "buffers held %.0f\n",
           heap + slot + buffers, heap, slot, buffers);
    fflush(stdout);
    transit_world_close(&w);
}
