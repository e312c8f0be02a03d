/* SPDX-License-Identifier: Apache-2.0 */
/* design.md gives a simulated node 160 KiB.  Buffers, outbox and connections belong to the world.
 */
#include "sim/world_impl.h"

void world_limits(struct limits *l)
{
    limits_default(l);
    l->conns = NET_CONNS_PER_NODE;
    l->links = 128;
    l->links_handshaking = 64;
    l->link_queue_bytes = 65536;
    l->link_retained_bytes = 16384;
    l->sip_peers = 4;
    l->ring_nodes = 160;
    l->requests = 64;
    l->answers_deferred = 16;
    l->answers_cached = 32;
    l->verify_queue = 64;
    l->certificates = 48;
    l->attaches = 48;
}
