/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - one RELOAD message that is for us, decoded and verified: what method handlers see.
 *
 * Made by overlay_work after the signature was checked (SG-1); answered with transact_answer or
 * transact_error, or later by way of transact_defer.
 * Owner: the overlay, on its stack; every slice is borrowed until the handler returns. */
#pragma once
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/secblock.h"
#include "core/handle.h"
#include "dht/ident.h"
#include "dht/sign.h"

struct message {
    uint64_t transaction_id;
    uint16_t code; /* enum content_code, or one that we do not know */
    uint16_t configuration_sequence;
    uint32_t max_response_length; /* 0 = no limit (TX-9) */
    uint8_t ttl;                  /* as it arrived */
    bool is_own;                  /* made by this peer itself, it has never been on a link */
    bool is_adjacent;             /* Via List empty: who made it is at the other end of `link` */
    bool to_resource;             /* addressed to a Resource-ID (in `resource`), else to a node */
    struct ring_id resource;
    const struct ident *to;      /* who of ours is addressed: the peer, or one of its accounts */
    handle link;                 /* where it came from; 0 when is_own */
    struct node_id previous_hop; /* at the other end of `link`; the peer itself when is_own */
    struct node_id signer;       /* proved Node-ID of who made it */
    const struct sign_certificate *certificate; /* the signer's: user name and so on */
    struct slice body;
    struct slice contents;     /* MessageContents: what the signature covers */
    struct slice certificates; /* bucket as received, walk with secblock_certificate_next */
    struct slice via_list;     /* as received */
    struct slice options;
};
