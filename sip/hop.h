/* SPDX-License-Identifier: Apache-2.0 */
/* hop.h - the URIs by which the requests of a dialog find their way back: Record-Route and Route.
 *
 * Three forms, all node-scoped (usages B.5.6):
 *   for phones  <sip:TOKEN@ADDRESS:PORT;lr;s=SHARD>   TOKEN names a phone's flow, sealed with a key
 *                                                     of this node (RFC 5626 5.2); with the
 *                                                     transport where that is not UDP
 *   for peers   <sip:NODE-ID.DOMAIN;lr;s=SHARD>       reached over the SIP connection to that peer
 *   for both    <sip:TOKEN@ADDRESS:PORT;lr;s=SHARD;node=NODE-ID>
 *                                                     phones go by the address, peers by the name
 * Who forwards a request that may make a dialog records what stands for both its sides: between a
 * phone and a peer one entry, between two phones, or a phone and another domain, one for each, the
 * upstream one first.  So both parties' route sets end, behind the last of our entries, at the
 * other's flow.  The seal is over the flow alone: whom the next entry names, nobody need vouch for,
 * since any peer may be asked for, and judges by a seal of its own.  An entry that names a node is
 * that node's whatever its address, which may be another node's too, behind another NAT.
 *
 * A request for a sips URI gets sips here too (16.6 item 4).
 *
 * Owner: nobody.  RFC 3261 16.4, 16.6, 16.12. */
#pragma once
#include "sip/sip_state.h"

/* A token opens the way for so long: as long as a dialog may last here. */
enum { HOP_URI_CAP = 512, HOP_TOKEN_S = 24 * 3600 };

/* What the top Route entries of a request say. */
struct hop {
    unsigned ours;        /* how many of them are of this shard */
    bool has_token;       /* one of them at least was sealed by us ... */
    struct flow_ref flow; /* ... the last of these; of another domain over TLS, remote.ip is its
                             hash as in struct flow.domain */
    bool has_next;        /* more entries follow */
    bool is_peer;         /* the next one is a peer or sibling: */
    struct node_id node;
    struct sip_uri next; /* what has_next is about, where it can be read at all */
    bool has_uri;        /* ... which it could */
};

/* Writes the Record-Route value towards `side` and returns it. */
struct slice hop_record(struct turn *t, const struct sip *s, const struct flow_ref *side,
                        bool is_sips, char *out);
/* The same for `phone` and for peers at once. */
struct slice hop_record_both(struct turn *t, const struct sip *s, const struct flow_ref *phone,
                             bool is_sips, char *out);
void hop_read(struct turn *t, const struct sip *s, const struct sip_rx *rx, struct hop *out);
/* Is it an entry that this node, whichever shard of it, has written? */
bool hop_is_sealed(struct turn *t, const struct sip *s, const struct sip_uri *uri);
/* The shard that the topmost Route entry names, if it is one of ours for phones. */
bool hop_shard(const struct sip *s, const struct sip_rx *rx, uint16_t *shard);
/* The URI parameter that says what `side` came over; may be empty. */
const char *hop_transport(const struct flow_ref *side, bool is_sips);
/* A peer's name in URIs and Vias, <32 hex digits>.<our domain>: its Node-ID. */
bool hop_node(const struct sip *s, struct slice host, struct node_id *node);
/* Does a parameter maddr say that the request is for somebody else (RFC 3261 16.5)? */
bool hop_is_sent_elsewhere(const struct sip *s, const struct sip_uri *uri);
/* Host of a URI: our phone address, our domain, or ourselves as a peer? */
bool hop_is_us(const struct sip *s, const struct sip_uri *uri);
