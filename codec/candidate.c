/* SPDX-License-Identifier: Apache-2.0 */
/* candidate.c - see candidate.h. */
#include "codec/candidate.h"

enum { BYTES_IPV4 = 4, BYTES_IPV6 = 16 };

void candidate_rd_address(struct rd *r, struct candidate_address *out)
{
    const uint8_t *start = r->at;
    memset(out, 0, sizeof(*out));
    out->type = rd_u8(r);
    struct rd value = rd_sub(r, rd_u8(r));
    if (out->type == CANDIDATE_IPV4 || out->type == CANDIDATE_IPV6) {
        size_t ip_bytes = out->type == CANDIDATE_IPV4 ? BYTES_IPV4 : BYTES_IPV6;
        const uint8_t *ip = rd_take(&value, ip_bytes);
        out->address.port = rd_u16(&value);
        if (ip != NULL) {
            out->address.family = out->type == CANDIDATE_IPV4 ? 4 : 6;
            memcpy(out->address.ip, ip, ip_bytes);
        }
    } else {
        out->unknown = rd_rest(&value);
    }
    rd_close(r, &value);
    if (rd_ok(r) && out->type == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

void candidate_wr_address(struct wr *w, const struct candidate_address *in)
{
    wr_u8(w, in->type);
    size_t mark = wr_begin(w, 1);
    if (in->type == CANDIDATE_IPV4 || in->type == CANDIDATE_IPV6) {
        wr_bytes(w, slice_of(in->address.ip, in->type == CANDIDATE_IPV4 ? BYTES_IPV4 : BYTES_IPV6));
        wr_u16(w, in->address.port);
    } else {
        wr_bytes(w, in->unknown);
    }
    wr_end(w, 1, mark);
}

struct candidate_address candidate_address_of(const struct address *in)
{
    CHECK(in->family == 4 || in->family == 6);
    return (struct candidate_address){.type = in->family == 4 ? CANDIDATE_IPV4 : CANDIDATE_IPV6,
                                      .address = *in};
}
