/* SPDX-License-Identifier: Apache-2.0 */
/* design.md gives a simulated node 160 KiB.  Buffers, outbox and connections belong to the world.
 */
#include "sim/world_impl.h"

void world_limits(const struct world_settings *s, struct limits *l)
{
    limits_default(l);
    bool is_tight = s->nodes >= WORLD_TIGHT_NODES;
    l->conns = NET_CONNS_PER_NODE;
    l->links = 160;
    l->links_handshaking = 64;
    bool has_datagrams = s->config.links != OVERLAY_LINKS_TRUNK;
    l->links_datagram = has_datagrams ? 160 : 0;
    l->links_announced = has_datagrams ? 64 : 0;
    l->links_parked = has_datagrams ? 16 : 0;
    l->link_datagram_bytes = s->datagram_bytes;
    l->link_queue_bytes = 65536;
    l->link_retained_bytes = 16384;
    l->sip_peers = 4;
    l->ring_nodes = 192;
    l->requests = is_tight ? 40 : 160;
    l->answers_deferred = s->has_disks ? 128 : is_tight ? 4 : 16;
    l->answers_cached = is_tight ? 16 : 32;
    l->verify_queue = is_tight ? 32 : 64;
    l->reassemblies = has_datagrams ? 32 : 2;
    l->reassemblies_per_source = 0;
    l->reassembly_bytes = has_datagrams ? 65536 : is_tight ? 2048 : 8192;
    l->reassembly_bytes_per_source = 0;
    l->via_lists = is_tight ? 2 : 16;
    l->via_lists_per_source = 0;
    l->certificates = is_tight ? 16 : 48;
    l->certificate_bytes = world_crypto_certificate_bytes(s);
    l->values_verified = is_tight ? 16 : 64;
    l->attaches = is_tight ? 8 : 64;
    l->stored_sets = s->stored_values;
    l->stored_values = s->stored_values;
    l->stored_bytes = s->stored_values * (240 + world_crypto_certificate_bytes(s));
    l->stored_certificates = s->stored_values;
    l->replica_requests = is_tight ? 16 : 64;
    l->replica_acks = s->has_disks ? 128 : is_tight ? 8 : 32; /* each waits for a sync */
    l->storage_requests = is_tight ? 8 : 32;
    world_phones_limits(s, l);
}
