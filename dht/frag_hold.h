/* SPDX-License-Identifier: Apache-2.0 */
/* frag_hold.h - the bytes of one message that is being put together (RFC 6940 6.7).
 *
 * Kept by byte range, not by fragment: another hop, or the same one when it sends again, may have
 * cut elsewhere (FR-7).  Bytes stand in blocks that are taken from a pool as they come, so that a
 * fragment far from the beginning costs no more than any other.
 *
 * Limits: FRAG_HOLD_BYTES of message.  Ranges that touch are one; each has been begun by a fragment
 *         of FRAGMENT_PAYLOAD_MIN bytes or by the last one, hence FRAG_HOLD_SPANS. */
#pragma once
#include "codec/fragment.h"
#include "core/msgbuf.h"
#include "core/pool.h"

enum {
    FRAG_HOLD_BYTES = MSGBUF_LARGE_BYTES, /* header and payload; a larger one could not be given */
    FRAG_HOLD_BLOCK = 512,
    FRAG_HOLD_BLOCKS = FRAG_HOLD_BYTES / FRAG_HOLD_BLOCK,
    FRAG_HOLD_SPANS = FRAG_HOLD_BYTES / (FRAGMENT_PAYLOAD_MIN + 1) + 2,
};

struct frag_hold_span {
    uint16_t from, to; /* of the payload; `to` is the first byte behind */
};

struct frag_hold {
    uint32_t end;          /* of the payload; 0: the last fragment has not come */
    uint32_t header_bytes; /* 0: the first fragment has not come */
    uint32_t via_bytes;    /* of it: the Via List */
    uint16_t block_count;
    uint16_t span_count;
    struct frag_hold_span spans[FRAG_HOLD_SPANS]; /* in order, with gaps between them */
    uint8_t *header[FRAG_HOLD_BLOCKS];
    uint8_t *payload[FRAG_HOLD_BLOCKS];
};

/* A fragment.  At least FRAGMENT_PAYLOAD_MIN bytes of payload unless it is the last, at least one
 * in any case; header and the payload's end within FRAG_HOLD_BYTES. */
struct frag_hold_piece {
    struct slice header;
    struct slice payload;
    uint32_t via_bytes; /* of the header */
    uint32_t from;
    bool is_last;
};

enum frag_hold_verdict {
    FRAG_HOLD_NEW,
    FRAG_HOLD_REPEATED, /* every byte is here already */
    FRAG_HOLD_DIFFERS,  /* bytes that are here already, with other values */
    FRAG_HOLD_ENDS,     /* another end than was told before, or bytes behind the end */
};
enum frag_hold_verdict frag_hold_judge(const struct frag_hold *hold,
                                       const struct frag_hold_piece *p);

/* Blocks that frag_hold_put would take. */
uint32_t frag_hold_need(const struct frag_hold *hold, const struct frag_hold_piece *p);
/* Copies a piece that was judged NEW.  False when the pool is empty: what is held then is not to be
 * used, only cleared. */
bool frag_hold_put(struct frag_hold *hold, struct pool *blocks, const struct frag_hold_piece *p);
void frag_hold_clear(struct frag_hold *hold, struct pool *blocks);

bool frag_hold_is_complete(const struct frag_hold *hold);
/* The two have come by different ways: do they make one message together?  They must not contradict
 * each other. */
bool frag_hold_is_joint(const struct frag_hold *a, const struct frag_hold *b);

/* Copies the header (of the fragment with offset 0: FR-9), and every byte of payload to its place
 * behind `payload`. */
void frag_hold_copy_header(const struct frag_hold *hold, uint8_t *header);
void frag_hold_copy_payload(const struct frag_hold *hold, uint8_t *payload);
