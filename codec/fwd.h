/* SPDX-License-Identifier: Apache-2.0 */
/* fwd.h - the forwarding header: all that a peer reads of a message in transit (RFC 6940 6.3.2).
 *
 * fwd_decode checks the whole header once (catalogue RX-2..RX-5) and gives the three lists as
 * slices; iterators walk them without arrays.  fwd_rewrite makes the header of the next hop in
 * place: the bytes behind the lists never move.
 *
 * Owner:  slices are borrowed from the message.
 * Limits: FWD_ENTRIES_MAX entries in each list. */
#pragma once
#include "codec/ids.h"

enum {
    FWD_FIXED_BYTES = 38,
    FWD_VERSION = 0x0a, /* 1.0 */
    FWD_ENTRIES_MAX = 160,
    FWD_NODE_BYTES_MAX = 2 + IDS_NODE_MAX,
    FWD_OPAQUE_MAX = 254,         /* bytes in an opaque id: its length byte counts too */
    FWD_SEQUENCE_UPDATE = 0xffff, /* configuration_sequence of a ConfigUpdate (CU-3) */
};

#define FWD_TOKEN 0xd2454c4fu           /* "RELO" with the top bit set */
#define FWD_FRAGMENT_ALWAYS 0x80000000u /* of `fragment`: always 1 */
#define FWD_FRAGMENT_LAST 0x40000000u   /* last or only one */
#define FWD_FRAGMENT_OFFSET 0x00ffffffu
#define FWD_FRAGMENT_WHOLE (FWD_FRAGMENT_ALWAYS | FWD_FRAGMENT_LAST)

enum fwd_destination_type {
    FWD_DESTINATION_NODE = 1,
    FWD_DESTINATION_RESOURCE = 2,
    FWD_DESTINATION_OPAQUE = 3, /* the compact 16-bit form too */
    /* 4..127 of the future: carried along */
};

/* One entry of a Via or Destination List (6.3.2.2). */
struct fwd_destination {
    uint8_t type;
    bool is_compact;   /* opaque in the 2-byte form; `id` is those two bytes */
    struct slice id;   /* Node-ID, Resource-ID, opaque id, or the value of an unknown type */
    struct slice wire; /* the whole entry as it stands in the list */
};

enum fwd_option_type { FWD_OPTION_ROUTE_MODE = 2 }; /* RFC 7263, 7264; base RFC has none */
enum {
    FWD_OPTION_FORWARD_CRITICAL = 0x01,
    FWD_OPTION_DESTINATION_CRITICAL = 0x02,
    FWD_OPTION_RESPONSE_COPY = 0x04,
    FWD_OPTION_FLAGS = 0x07,
};

struct fwd_option {
    uint8_t type;
    uint8_t flags;
    struct slice value;
    struct slice wire;
};

struct fwd {
    uint32_t overlay;
    uint16_t configuration_sequence;
    uint8_t version;
    uint8_t ttl;
    uint32_t fragment;
    uint32_t length; /* of this message or fragment, header included */
    uint64_t transaction_id;
    uint32_t max_response_length; /* 0 = no limit */
    struct slice via_list;
    struct slice destination_list;
    struct slice options;
    /* found by decoding */
    struct fwd_destination first; /* of the Destination List */
    uint32_t header_bytes;
    uint16_t via_count;
    uint16_t destination_count;
    uint8_t option_flags; /* flags of all options together */
    struct slice payload; /* behind the header: MessageContents and SecurityBlock, or a fragment */
};

/* Reads and checks a header (or a message with one in front) and leaves `r` at the payload.  Why it
 * refuses: TOKEN, VERSION, FRAGMENT_BIT; SHORT where header or a list ends early; VIA_RESOURCE,
 * RESOURCE_NOT_LAST, EMPTY_LIST, TOO_MANY; and what fwd_rd_destination and fwd_rd_option refuse.
 * After a fault `out` is all zeros.
 * Left to the caller: ttl against initial-ttl, sizes against max-message-size. */
void fwd_rd(struct rd *r, const struct rl_params *p, struct fwd *out);

/* The same for a received message that is all that is left in `r`: of this overlay (OVERLAY), of
 * the length that it says (MESSAGE_LENGTH). */
HOT void fwd_rd_message(struct rd *r, const struct rl_params *p, struct fwd *out);

/* fwd_rd_message, in words of the protocol:
 * ERR_MALFORMED: drop (0x14 where an answer is due); ERR_UNSUPPORTED: other version, drop silently;
 * ERR_WRONG_OVERLAY: drop silently; ERR_LIMIT: too many list entries. */
HOT enum err fwd_decode(struct slice message, const struct rl_params *p, struct fwd *out) MUST_USE;

/* fwd_rd in the same words, for printers and captures: `message` may be a header alone. */
enum err fwd_decode_header(struct slice message, const struct rl_params *p,
                           struct fwd *out) MUST_USE;

static inline bool fwd_is_whole(const struct fwd *h)
{
    return (h->fragment & (FWD_FRAGMENT_LAST | FWD_FRAGMENT_OFFSET)) == FWD_FRAGMENT_LAST;
}

static inline bool fwd_is_last(const struct fwd *h)
{
    return (h->fragment & FWD_FRAGMENT_LAST) != 0;
}

static inline uint32_t fwd_offset(const struct fwd *h)
{
    return h->fragment & FWD_FRAGMENT_OFFSET;
}

/* Reads one Destination.  Malformed are: type 0, a Node-ID of another length, inner and outer
 * lengths that disagree.  Types 4..127 are taken as they are. */
void fwd_rd_destination(struct rd *r, const struct rl_params *p, struct fwd_destination *out);

/* Walks a list:  struct rd r = rd_init(h.via_list);  while (fwd_next(&r, p, &d)) ...
 * False at the end and at the first fault; rd_ok tells which. */
HOT bool fwd_next(struct rd *r, const struct rl_params *p, struct fwd_destination *out);

/* The entry's Node-ID; ERR_MALFORMED when it is not a node entry. */
enum err fwd_destination_node(const struct fwd_destination *d, const struct rl_params *p,
                              struct node_id *out) MUST_USE;

/* Compares what entries mean: compact 8001 equals opaque 03 03 02 8001. */
bool fwd_destination_is_equal(const struct fwd_destination *a, const struct fwd_destination *b);

/* TL-4: does the list name somebody twice?  For requests only. */
bool fwd_has_duplicate(struct slice list, const struct rl_params *p);

/* Reads one option.  Type 0 is malformed. */
void fwd_rd_option(struct rd *r, struct fwd_option *out);
/* Walks the options, like fwd_next. */
bool fwd_option_next(struct rd *r, struct fwd_option *out);

/* List entries of our own making.  A compact id has its top bit set: CHECK. */
void fwd_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id);
void fwd_wr_resource(struct wr *w, struct slice resource);
void fwd_wr_opaque(struct wr *w, struct slice opaque);
void fwd_wr_compact(struct wr *w, uint16_t compact);
/* Any decoded entry; one with `is_compact` in its short form. */
void fwd_wr_destination(struct wr *w, const struct fwd_destination *d);
void fwd_wr_option(struct wr *w, uint8_t type, uint8_t flags, struct slice value);

/* The entries of `list` from the last to the first: a Via List turned into the Destination List of
 * the answer (VL-3, VL-4).  `list` must be well-formed, else the writer fails. */
void fwd_wr_reversed(struct wr *w, const struct rl_params *p, struct slice list);

/* The options of a request that its answer must carry, flags cleared (FW-14). */
void fwd_wr_response_options(struct wr *w, struct slice options);

/* A fresh header from the fields and the three list slices of `h`; version, token and the always-1
 * bit of `fragment` are put in.  `length` is written as it stands: fwd_put_length corrects it when
 * the message is complete. */
void fwd_wr(struct wr *w, const struct fwd *h);

/* The header of an answer, written where it leaves from: its Destination List is `first` (NULL:
 * nobody) and then the Via List of the request from the last entry to the first (VL-3); of the
 * request's options those follow that must (fwd_wr_response_options). */
struct fwd_return {
    uint32_t overlay;
    uint32_t length; /* of the message; where it is not known yet: fwd_put_length */
    uint16_t configuration_sequence;
    uint8_t ttl;
    uint64_t transaction_id;
    const struct node_id *first;
    struct slice via_list;
    struct slice options;
};
HOT void fwd_wr_return(struct wr *w, const struct rl_params *p, const struct fwd_return *in);

/* Sets the length field of a message that begins at `message`. */
void fwd_put_length(uint8_t *message, uint32_t length);
/* The same for max_response_length; 0: no limit. */
void fwd_put_max_response_length(uint8_t *message, uint32_t length);

/* What the next hop's header has other than the received one. */
struct fwd_rewrite {
    uint16_t strip_bytes; /* off the front of the Destination List: first.wire.len, or 0 */
    uint16_t
        via_drop_bytes; /* whole entries off the end of the Via List; `via_append` covers them */
    bool keep_ttl;      /* it has not been on its way yet */
    struct slice via_append;          /* encoded entries behind the Via List; may be empty */
    struct slice destination_prepend; /* encoded entries in front of what is left; may be empty */
};

/* Rewrites the header of a message that is to be passed on: ttl - 1, lists, lengths (FW-13).  The
 * message of `h->length` bytes begins at `message`, with `headroom` writable bytes before it; `h`
 * is its decoded header and is over afterwards, as are slices into it.  The slices in `how` must
 * not point into the header that is rewritten.  Payload and options stay where they are.
 * ERR_TTL: ttl is 0.  ERR_TOO_LARGE: no headroom, or a list beyond 65535 bytes.  ERR_MALFORMED: the
 * Destination List would become empty.  In these cases nothing has changed. */
HOT enum err fwd_rewrite(uint8_t *message, size_t headroom, const struct fwd *h,
                         const struct fwd_rewrite *how, uint8_t **new_message,
                         size_t *new_len) MUST_USE;
