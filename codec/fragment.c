/* SPDX-License-Identifier: Apache-2.0 */
/* fragment.c - see fragment.h. */
#include "codec/fragment.h"

enum { OFFSET_FRAGMENT = 12 };

enum err fragment_plan(const struct fwd *h, size_t room, struct fragment_plan *out)
{
    size_t bytes = h->payload.len;
    *out = (struct fragment_plan){.pieces = 1, .piece_bytes = (uint32_t)bytes};
    if (room == 0 || h->header_bytes + bytes <= room) {
        return ERR_OK;
    }
    size_t taken = (size_t)h->header_bytes + FRAGMENT_VIA_ROOM;
    if (room < taken + FRAGMENT_PAYLOAD_MIN || fwd_offset(h) + bytes > FWD_FRAGMENT_OFFSET) {
        return ERR_TOO_LARGE;
    }
    size_t most = room - taken;
    size_t pieces = (bytes + most - 1) / most; /* at least 2, for bytes > most */
    if (bytes / pieces < FRAGMENT_PAYLOAD_MIN) {
        return ERR_TOO_LARGE; /* more pieces would be shorter still */
    }
    out->pieces = (uint32_t)pieces;
    out->piece_bytes = (uint32_t)(bytes / pieces);
    out->longer = (uint32_t)(bytes % pieces);
    return ERR_OK;
}

void fragment_wr(struct wr *w, const struct fwd *h, const struct fragment_plan *p, uint32_t index,
                 struct slice *payload)
{
    CHECK(index < p->pieces);
    uint32_t from = index * p->piece_bytes + (index < p->longer ? index : p->longer);
    uint32_t bytes = p->piece_bytes + (index < p->longer ? 1 : 0);
    uint32_t last = index + 1 == p->pieces ? h->fragment & FWD_FRAGMENT_LAST : 0;
    struct fwd piece = *h;
    piece.fragment = FWD_FRAGMENT_ALWAYS | last | (fwd_offset(h) + from);
    piece.length = h->header_bytes + bytes;
    fwd_wr(w, &piece);
    *payload = slice_sub(h->payload, from, bytes);
}

void fragment_put_whole(uint8_t *message, uint32_t length)
{
    struct wr w = wr_init(message + OFFSET_FRAGMENT, sizeof(uint32_t));
    wr_u32(&w, FWD_FRAGMENT_WHOLE);
    fwd_put_length(message, length);
}
