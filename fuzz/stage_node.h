/* SPDX-License-Identifier: Apache-2.0 */
/* stage_node.h - a whole node on the stage: small limits, a configuration with each kind of data
 * model, two phone accounts. */
#pragma once
#include "fuzz/stage.h"
#include "node/node.h"

enum { STAGE_MESSAGE_BYTES = 5000 };

static inline void stage_node_limits(struct limits *l)
{
    limits_default(l);
    l->conns = STAGE_CONNS;
    l->links = 10;
    l->links_handshaking = 6;
    l->link_queue_bytes = 65536;
    l->link_retained_bytes = 8192;
    l->sip_peers = 4;
    l->ring_nodes = 24;
    l->requests = 24;
    l->answers_deferred = 4;
    l->answers_cached = 8;
    l->verify_queue = 16;
    l->verify_queue_large = 4;
    l->verify_per_turn = 4;
    l->judged_per_turn = 2;
    l->via_lists = 4;
    l->via_lists_per_source = 2;
    l->reassemblies = 4;
    l->reassemblies_per_source = 3;
    l->reassembly_bytes = 8192;
    l->reassembly_bytes_per_source = 6144;
    l->certificates = 8;
    l->values_verified = 32;
    l->attaches = 6;
    l->stored_sets = l->stored_values = l->stored_certificates = 12;
    l->stored_bytes = 12 * 1024;
    l->stored_per_signer = 6;
    l->replica_requests = l->replica_acks = l->storage_requests = 8;
    l->sip_transactions = 24;
    l->sip_proxies = l->sip_branches = 12;
    l->sip_proxies_per_account = 6;
    l->sip_lookups = l->sip_registers = l->sip_dials = 4;
    l->sip_bindings = 8;
    l->sip_bindings_per_account = 3;
    l->sip_flows = 8;
    l->sip_events = 32;
}

static inline void stage_node_config(struct overlay_config *c)
{
    static const struct overlay_kind kinds[] = {
        {OVERLAY_KIND_SIP_REGISTRATION, OVERLAY_DICTIONARY, OVERLAY_USER_NODE_MATCH, 8, 512, 0,
         NULL},
        {OVERLAY_KIND_CERTIFICATE_BY_NODE, OVERLAY_ARRAY, OVERLAY_NODE_MATCH, 4, 2048, 0, NULL},
        {OVERLAY_KIND_CERTIFICATE_BY_USER, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 8, 2048, 0, NULL},
        {0x77, OVERLAY_SINGLE, OVERLAY_NODE_MULTIPLE, 1, 64, 3, NULL},
    };
    *c = (struct overlay_config){.sequence = 1,
                                 .node_id_length = 16,
                                 .initial_ttl = 100,
                                 .max_message_bytes = STAGE_MESSAGE_BYTES,
                                 .reliability_timer_ms = 3000,
                                 .chord_update_interval_s = 600,
                                 .chord_ping_interval_s = 3600,
                                 .chord_reactive = true,
                                 .no_ice = true,
                                 .replica_min_hosts = 2,
                                 .kind_count = ARRAY_COUNT(kinds)};
    memcpy(c->name, "a.example", sizeof("a.example"));
    memcpy(c->kinds, kinds, sizeof(kinds));
}
