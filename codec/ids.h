/* SPDX-License-Identifier: Apache-2.0 */
/* ids.h - the names of things in an overlay: Node-IDs, Resource-IDs, ring positions, reload URIs.
 *
 * A Node-ID has 16 to 20 bytes; how many is a parameter of the overlay (RFC 6940 11.1), so
 * decoders take a struct rl_params.  In memory it is always 20 bytes with zeros behind, so that it
 * can be compared and hashed as bytes.  A Resource-ID is a slice (0 to 255 bytes); with
 * CHORD-RELOAD it has exactly 16 and both are points of one ring of 2^128, struct ring_id.
 *
 * Owner: plain values.  RFC 6940 6.3.1, 10.1, 14.15. */
#pragma once
#include "codec/rw.h"
#include "core/err.h"

enum {
    IDS_NODE_MIN = 16,
    IDS_NODE_MAX = 20,
    IDS_RING_BYTES = 16,
    IDS_NODE_TEXT_CAP = 2 * IDS_NODE_MAX + 1,
    IDS_URI_CAP = 512, /* bytes of the Destination List in a reload URI */
};

/* What a decoder must know of the overlay.  A peer has one, from its configuration document. */
struct rl_params {
    uint32_t overlay;       /* low 32 bits of SHA-1(overlay name) */
    uint8_t node_id_length; /* 16..20 */
};

struct node_id {
    uint8_t bytes[IDS_NODE_MAX]; /* zeros behind the first node_id_length */
};

/* A point on the Chord ring; hi and lo are host order, so that arithmetic is arithmetic. */
struct ring_id {
    uint64_t hi;
    uint64_t lo;
};

static inline bool ids_node_is_equal(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* All zeros: "invalid", never sent (6.3.1). */
bool ids_node_is_invalid(const struct node_id *id);

/* All ones: any node that sees it (6.3.1). */
bool ids_node_is_wildcard(const struct node_id *id, const struct rl_params *p);

struct node_id ids_node_wildcard(const struct rl_params *p);

/* The bytes that go on the wire, borrowed from `id`. */
static inline struct slice ids_node_slice(const struct node_id *id, const struct rl_params *p)
{
    return slice_of(id->bytes, p->node_id_length);
}

/* ERR_MALFORMED unless `bytes` has exactly node_id_length bytes. */
enum err ids_node_of(struct slice bytes, const struct rl_params *p, struct node_id *out) MUST_USE;

/* NodeId as a field of a structure. */
void ids_rd_node(struct rd *r, const struct rl_params *p, struct node_id *out);
void ids_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id);

/* Lower-case hex of the node_id_length bytes and a NUL into `out` (IDS_NODE_TEXT_CAP bytes);
 * returns out. */
const char *ids_node_text(const struct node_id *id, const struct rl_params *p, char *out);

/* 2 * bytes.len lower-case hex digits and a NUL; `out` has room for them. */
const char *ids_hex(struct slice bytes, char *out);

/* Decodes an even number of hex digits of either case.  ERR_MALFORMED, or ERR_TOO_LARGE when they
 * make more than `cap` bytes. */
enum err ids_unhex(struct slice text, uint8_t *out, size_t cap, size_t *out_len) MUST_USE;

/* The first 16 bytes as a ring position (10.1; A-15: overlays of other Node-ID lengths are refused
 * with CHORD-RELOAD). */
struct ring_id ids_ring_of_node(const struct node_id *id);
/* ERR_MALFORMED unless the Resource-ID has 16 bytes. */
enum err ids_ring_of_resource(struct slice resource, struct ring_id *out) MUST_USE;
struct node_id ids_node_of_ring(struct ring_id id);
void ids_ring_bytes(struct ring_id id, uint8_t out[IDS_RING_BYTES]);

static inline bool ids_ring_is_equal(struct ring_id a, struct ring_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static inline bool ids_ring_is_less(struct ring_id a, struct ring_id b)
{
    return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

/* a - b modulo 2^128: how far it is clockwise from b to a. */
static inline struct ring_id ids_ring_minus(struct ring_id a, struct ring_id b)
{
    return (struct ring_id){a.hi - b.hi - (a.lo < b.lo ? 1 : 0), a.lo - b.lo};
}

static inline struct ring_id ids_ring_plus(struct ring_id a, struct ring_id b)
{
    uint64_t lo = a.lo + b.lo;
    return (struct ring_id){a.hi + b.hi + (lo < a.lo ? 1 : 0), lo};
}

/* True when `x` lies in the clockwise interval (from, to]; the whole ring when from == to. */
bool ids_ring_is_between(struct ring_id x, struct ring_id from, struct ring_id to);

/* reload://DESTINATIONS@OVERLAY-NAME/[SPECIFIER] (14.15). */
struct ids_uri {
    uint8_t destinations[IDS_URI_CAP]; /* concatenated Destinations, no outer length */
    size_t destinations_len;
    struct slice overlay_name; /* borrowed from the text */
    struct slice specifier;    /* hex digits of a StoredDataSpecifier, borrowed; may be empty */
};

/* ERR_MALFORMED, or ERR_TOO_LARGE for a list of more than IDS_URI_CAP bytes.  The scheme is
 * compared without regard to case; the destinations are *not* looked into (codec/fwd does that). */
enum err ids_uri_parse(struct slice text, struct ids_uri *out) MUST_USE;

/* The form that certificates carry: exactly one node Destination, no specifier (11.3).
 * `overlay_name` is borrowed from the text.  ERR_MALFORMED otherwise. */
enum err ids_uri_node(struct slice text, const struct rl_params *p, struct node_id *id,
                      struct slice *overlay_name) MUST_USE;

/* Writes reload://0110<hex>@name/ without a NUL. */
void ids_uri_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id,
                     struct slice overlay_name);
