/* SPDX-License-Identifier: Apache-2.0 */
/* candidate.c - see candidate.h. */
#include "codec/candidate.h"

enum { TYPE_IPV4 = 1, TYPE_IPV6 = 2, BYTES_IPV4 = 4, BYTES_IPV6 = 16 };

/* A foundation only tells candidates apart for ICE; without ICE any one will do (6.5.1.5). */
static const char candidate_foundation[] = "1";

void candidate_rd_address(struct rd *r, struct candidate_address *out)
{
    memset(out, 0, sizeof(*out));
    out->type = rd_u8(r);
    struct slice value = rd_opaque8(r);
    if (out->type == 0) {
        rd_reject(r, REJECT_ZERO_TYPE);
    }
    if (out->type != TYPE_IPV4 && out->type != TYPE_IPV6) {
        out->unknown = value;
        return;
    }
    size_t ip_bytes = out->type == TYPE_IPV4 ? BYTES_IPV4 : BYTES_IPV6;
    struct rd inner = rd_init(value);
    struct slice ip = rd_bytes(&inner, ip_bytes);
    uint16_t port = rd_u16(&inner);
    rd_close(r, &inner);
    if (!rd_ok(r)) {
        return;
    }
    out->address.family = out->type == TYPE_IPV4 ? 4 : 6;
    out->address.port = port;
    memcpy(out->address.ip, ip.data, ip.len);
}

void candidate_wr_plain_address(struct wr *w, const struct address *in)
{
    CHECK(in->family == 4 || in->family == 6);
    size_t ip_bytes = in->family == 4 ? BYTES_IPV4 : BYTES_IPV6;
    wr_u8(w, in->family == 4 ? TYPE_IPV4 : TYPE_IPV6);
    size_t mark = wr_begin(w, 1);
    wr_bytes(w, slice_of(in->ip, ip_bytes));
    wr_u16(w, in->port);
    wr_end(w, 1, mark);
}

void candidate_wr_address(struct wr *w, const struct candidate_address *in)
{
    if (in->type == TYPE_IPV4 || in->type == TYPE_IPV6) {
        candidate_wr_plain_address(w, &in->address);
        return;
    }
    wr_u8(w, in->type);
    wr_opaque8(w, in->unknown);
}

bool candidate_extension_next(struct rd *r, struct candidate_extension *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    out->name = rd_opaque16(r);
    out->value = rd_opaque16(r);
    return rd_ok(r);
}

bool candidate_next(struct rd *r, struct candidate *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    candidate_rd_address(r, &out->address);
    out->overlay_link = rd_u8(r);
    out->foundation = rd_opaque8(r);
    out->priority = rd_u32(r);
    out->type = rd_u8(r);
    if (out->type == CANDIDATE_SRFLX || out->type == CANDIDATE_RELAY) {
        candidate_rd_address(r, &out->related);
    } else if (out->type != CANDIDATE_HOST) {
        rd_reject(r, REJECT_UNKNOWN_TYPE);
    }
    out->extensions = rd_opaque16(r);
    struct rd list = rd_init(out->extensions);
    struct candidate_extension e;
    while (candidate_extension_next(&list, &e)) {}
    rd_close(r, &list);
    if (out->overlay_link == 0) {
        rd_reject(r, REJECT_ZERO_TYPE);
    }
    return rd_ok(r);
}

enum err candidate_check(struct slice list, uint32_t *count)
{
    struct rd r = rd_init(list);
    struct candidate c;
    uint32_t found = 0;
    while (candidate_next(&r, &c)) {
        found++;
    }
    if (count != NULL) {
        *count = found;
    }
    return rd_ok(&r) ? ERR_OK : ERR_MALFORMED;
}

void candidate_wr(struct wr *w, const struct candidate *in)
{
    candidate_wr_address(w, &in->address);
    wr_u8(w, in->overlay_link);
    wr_opaque8(w, in->foundation);
    wr_u32(w, in->priority);
    wr_u8(w, in->type);
    if (in->type != CANDIDATE_HOST) {
        candidate_wr_address(w, &in->related);
    }
    wr_opaque16(w, in->extensions);
}

void candidate_wr_host(struct wr *w, const struct address *address, enum candidate_link link,
                       uint32_t priority)
{
    struct candidate c = {
        .address = {.type = address->family == 4 ? TYPE_IPV4 : TYPE_IPV6, .address = *address},
        .overlay_link = (uint8_t)link,
        .type = CANDIDATE_HOST,
        .priority = priority,
        .foundation = SLICE_LITERAL(candidate_foundation),
    };
    candidate_wr(w, &c);
}

void candidate_wr_extension(struct wr *w, const struct candidate_extension *in)
{
    wr_opaque16(w, in->name);
    wr_opaque16(w, in->value);
}
