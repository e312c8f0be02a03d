/* SPDX-License-Identifier: Apache-2.0 */
/* msgs.h - message bodies and what stands in them, from the list in msgs.def, which makes of a line
 *
 *     struct msgs_X { fields };
 *     void msgs_X_rd(struct rd *r, const struct rl_params *p, struct msgs_X *out);
 *     void msgs_X_wr(struct wr *w, const struct rl_params *p, const struct msgs_X *in);
 *     enum err msgs_X_decode(struct slice in, const struct rl_params *p, struct msgs_X *out);
 *     bool msgs_X_next(struct rd *list, const struct rl_params *p, struct msgs_X *out);
 *
 * rd and wr are for a structure inside another, decode for one that fills `in` exactly
 * (ERR_MALFORMED otherwise), next walks a list (false at the end or at a fault, see rd_ok).  Lists
 * that do not depend on a Kind have been walked through when a decoder returns.  Empty bodies
 * (LeaveAns, UpdateAns, ConfigUpdateAns) need no struct: body.len == 0.
 *
 * Owner: slices are borrowed from the body. */
#pragma once
#include "codec/candidate.h"
#include "codec/fwd.h"
#include "codec/stored.h"

/* ProbeInformation (6.4.2.5.2) */
enum { MSGS_PROBE_RESPONSIBLE_SET = 1, MSGS_PROBE_NUM_RESOURCES = 2, MSGS_PROBE_UPTIME = 3 };
/* ChordUpdate (10.7): no list; predecessors and successors; fingers too */
enum { MSGS_CHORD_PEER_READY = 1, MSGS_CHORD_NEIGHBORS = 2, MSGS_CHORD_FULL = 3 };
/* ChordLeaveData (10.9): the sender is the receiver's successor and tells its own, or the like */
enum { MSGS_CHORD_FROM_SUCCESSOR = 1, MSGS_CHORD_FROM_PREDECESSOR = 2 };
/* ConfigUpdateReq (6.5.4.1) */
enum { MSGS_CONFIG = 1, MSGS_KIND = 2 };
/* SipRegistration (RFC 7904 3.1): look up this AOR instead; attach to the end of this list */
enum { MSGS_SIP_URI = 1, MSGS_SIP_ROUTE = 2 };
/* ResourceNameExtension (RFC 8076 5.1) */
enum { MSGS_RESOURCE_NAME_PATTERN = 1 };
/* Message extensions (RFC 7363 9.1, 7851 9.5) and the forwarding option of RFC 7263 */
enum { MSGS_EXTENSION_DIAGNOSTIC_PING = 2, MSGS_EXTENSION_SELF_TUNING = 3 };
enum { MSGS_OPTION_ROUTING_MODE = 2, MSGS_ROUTING_DRR = 1, MSGS_ROUTING_RPR = 2 };

#define MSGS_TYPE_u8 uint8_t
#define MSGS_TYPE_type8 uint8_t
#define MSGS_TYPE_u16 uint16_t
#define MSGS_TYPE_u32 uint32_t
#define MSGS_TYPE_u64 uint64_t
#define MSGS_TYPE_boolean bool
#define MSGS_TYPE_node struct node_id
#define MSGS_TYPE_resource struct slice
#define MSGS_TYPE_destination struct fwd_destination
#define MSGS_TYPE_address struct candidate_address
#define MSGS_TYPE_opaque8 struct slice
#define MSGS_TYPE_opaque16 struct slice
#define MSGS_TYPE_opaque24 struct slice
#define MSGS_TYPE_opaque32 struct slice
#define MSGS_TYPE_rest struct slice
#define MSGS_TYPE_store_block struct stored_block
#define MSGS_TYPE_fetch_block struct stored_block
#define MSGS_TYPE_stat_block struct stored_block
#define MSGS_TYPE_response struct stored_response
#define MSGS_TYPE_specifier struct stored_specifier
/* lists */
#define MSGS_TYPE_types8 struct slice        /* one byte each, none 0 */
#define MSGS_TYPE_kinds8 struct slice        /* msgs_kind_next */
#define MSGS_TYPE_nodes16 struct slice       /* msgs_node_count, msgs_node_at */
#define MSGS_TYPE_destinations8 struct slice /* fwd_next */
#define MSGS_TYPE_destinations16 struct slice
#define MSGS_TYPE_kind_blocks24 struct slice  /* msgs_kind_block_next */
#define MSGS_TYPE_store_blocks32 struct slice /* stored_block_next */
#define MSGS_TYPE_fetch_blocks32 struct slice
#define MSGS_TYPE_stat_blocks32 struct slice
#define MSGS_TYPE_responses16 struct slice      /* stored_response_next */
#define MSGS_TYPE_specifiers16 struct slice     /* stored_specifier_next */
#define MSGS_TYPE_ice_extensions16 struct slice /* msgs_ice_extension_next, and so on */
#define MSGS_TYPE_candidates16 struct slice
#define MSGS_TYPE_probes16 struct slice
#define MSGS_TYPE_finds16 struct slice
#define MSGS_TYPE_diagnostic_extensions struct slice
#define MSGS_TYPE_diagnostic_infos struct slice
#define MSGS_TYPE_instances struct slice
#define MSGS_TYPE_message_counts struct slice

#define FIELD(kind, name) MSGS_TYPE_##kind name;
#define WHEN(condition, kind, name) MSGS_TYPE_##kind name;
#define NESTED(message, name) struct msgs_##message name;
#define NEED(condition, why)
#define OPEN(bits)
#define CLOSE(bits)
#define MSG(name, rfc, fields)                                                                     \
    struct msgs_##name {                                                                           \
        fields                                                                                     \
    };                                                                                             \
    void msgs_##name##_rd(struct rd *r, const struct rl_params *p, struct msgs_##name *out);       \
    void msgs_##name##_wr(struct wr *w, const struct rl_params *p, const struct msgs_##name *in);  \
    static inline MUST_USE enum err msgs_##name##_decode(                                          \
        struct slice in, const struct rl_params *p, struct msgs_##name *out)                       \
    {                                                                                              \
        struct rd r = rd_init(in);                                                                 \
        msgs_##name##_rd(&r, p, out);                                                              \
        return rd_finish(&r);                                                                      \
    }                                                                                              \
    static inline bool msgs_##name##_next(struct rd *list, const struct rl_params *p,              \
                                          struct msgs_##name *out)                                 \
    {                                                                                              \
        if (rd_left(list) == 0) {                                                                  \
            return false;                                                                          \
        }                                                                                          \
        msgs_##name##_rd(list, p, out);                                                            \
        return rd_ok(list);                                                                        \
    }
#include "codec/msgs.def"
#undef FIELD
#undef WHEN
#undef NESTED
#undef NEED
#undef OPEN
#undef CLOSE

/* NodeId lists without a length in front, as in ChordUpdate and StoreKindResponse. */
static inline size_t msgs_node_count(struct slice nodes, const struct rl_params *p)
{
    return nodes.len / p->node_id_length;
}
/* `index` must be below the count: CHECK. */
struct node_id msgs_node_at(struct slice nodes, const struct rl_params *p, size_t index);

bool msgs_kind_next(struct rd *kinds, uint32_t *kind);
bool msgs_kind_block_next(struct rd *kinds, struct slice *xml);

/* The usual candidate of a No-ICE overlay (6.5.1.5): a host candidate, no extensions. */
void msgs_wr_host_candidate(struct wr *w, const struct address *address, enum candidate_link link,
                            uint32_t priority);

/* Ends in a NUL and has no other (RFC 7851 5.3, SOFTWARE_VERSION). */
bool msgs_is_c_string(struct slice text);
