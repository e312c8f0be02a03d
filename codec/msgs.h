/* SPDX-License-Identifier: Apache-2.0 */
/* msgs.h - message bodies.  Most come from the list in msgs.def, which makes of each line
 *
 *     struct msgs_X { fields };
 *     enum err msgs_X_decode(struct slice body, const struct rl_params *p, struct msgs_X *out);
 *     void msgs_X_wr(struct wr *w, const struct rl_params *p, const struct msgs_X *in);
 *
 * Decoders take a body that the structure fills exactly (ERR_MALFORMED otherwise), and lists that
 * do not depend on a Kind have been walked through when they return.  Those with arms stand below.
 * Empty bodies (LeaveAns, UpdateAns, ConfigUpdateAns) need no struct: body.len == 0.
 *
 * Owner: slices are borrowed from the body. */
#pragma once
#include "codec/candidate.h"
#include "codec/fwd.h"
#include "codec/stored.h"

#define MSGS_TYPE_u8 uint8_t
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
#define MSGS_TYPE_types8 struct slice       /* one byte each, none 0 */
#define MSGS_TYPE_kinds8 struct slice       /* msgs_kind_next */
#define MSGS_TYPE_candidates16 struct slice /* candidate_next */
#define MSGS_TYPE_probes16 struct slice     /* msgs_probe_next */
#define MSGS_TYPE_blocks32 struct slice     /* stored_block_next */
#define MSGS_TYPE_responses16 struct slice  /* stored_response_next */
#define MSGS_TYPE_specifiers16 struct slice /* stored_specifier_next */
#define MSGS_TYPE_finds16 struct slice      /* msgs_find_next */

#define FIELD(kind, name) MSGS_TYPE_##kind name;
#define MSG(name, fields)                                                                          \
    struct msgs_##name {                                                                           \
        fields                                                                                     \
    };                                                                                             \
    enum err msgs_##name##_decode(struct slice body, const struct rl_params *p,                    \
                                  struct msgs_##name *out) MUST_USE;                               \
    void msgs_##name##_wr(struct wr *w, const struct rl_params *p, const struct msgs_##name *in);
#include "codec/msgs.def"
#undef MSG
#undef FIELD

/* NodeId lists without a length in front, as in ChordUpdate and StoreKindResponse. */
static inline size_t msgs_node_count(struct slice nodes, const struct rl_params *p)
{
    return nodes.len / p->node_id_length;
}
/* `index` must be below the count: CHECK. */
struct node_id msgs_node_at(struct slice nodes, const struct rl_params *p, size_t index);

bool msgs_kind_next(struct rd *kinds, uint32_t *kind);

/* ChordUpdate, the body of UpdateReq (10.7) */
enum msgs_chord_update_type {
    MSGS_CHORD_PEER_READY = 1, /* no list */
    MSGS_CHORD_NEIGHBORS = 2,  /* predecessors, successors */
    MSGS_CHORD_FULL = 3,       /* fingers too */
};

struct msgs_chord_update {
    uint32_t uptime_s;
    uint8_t type;              /* enum msgs_chord_update_type, no other passes the decoder */
    struct slice predecessors; /* Node-IDs without lengths */
    struct slice successors;
    struct slice fingers;
};

enum err msgs_chord_update_decode(struct slice body, const struct rl_params *p,
                                  struct msgs_chord_update *out) MUST_USE;
void msgs_chord_update_wr(struct wr *w, const struct msgs_chord_update *in);

/* ChordLeaveData, the overlay_specific_data of LeaveReq (10.9) */
enum msgs_chord_leave_type {
    MSGS_CHORD_FROM_SUCCESSOR = 1, /* peers = the sender's successors */
    MSGS_CHORD_FROM_PREDECESSOR = 2,
};

struct msgs_chord_leave {
    uint8_t type;
    struct slice peers; /* Node-IDs without lengths */
};

enum err msgs_chord_leave_decode(struct slice data, const struct rl_params *p,
                                 struct msgs_chord_leave *out) MUST_USE;
void msgs_chord_leave_wr(struct wr *w, const struct msgs_chord_leave *in);

/* ProbeInformation (6.4.2.5.2) */
enum msgs_probe_type {
    MSGS_PROBE_RESPONSIBLE_SET = 1, /* parts per 10^9 */
    MSGS_PROBE_NUM_RESOURCES = 2,
    MSGS_PROBE_UPTIME = 3, /* seconds */
};

struct msgs_probe {
    uint8_t type;
    uint32_t number;      /* types 1 to 3 */
    struct slice unknown; /* other types */
};

bool msgs_probe_next(struct rd *probes, struct msgs_probe *out);
void msgs_probe_wr(struct wr *w, const struct msgs_probe *in);

/* FindKindData (7.4.4.2) */
struct msgs_find {
    uint32_t kind;
    struct slice closest; /* Resource-ID */
};

bool msgs_find_next(struct rd *results, struct msgs_find *out);
void msgs_find_wr(struct wr *w, const struct msgs_find *in);

/* ConfigUpdateReq (6.5.4.1) */
enum msgs_config_update_type { MSGS_CONFIG = 1, MSGS_KIND = 2 };

struct msgs_config_update {
    uint8_t type;
    struct slice data; /* CONFIG: the document; KIND: a list for msgs_kind_block_next; else raw */
};

enum err msgs_config_update_decode(struct slice body, struct msgs_config_update *out) MUST_USE;
void msgs_config_update_wr(struct wr *w, const struct msgs_config_update *in);
bool msgs_kind_block_next(struct rd *kinds, struct slice *xml);
