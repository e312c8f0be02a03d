/* SPDX-License-Identifier: Apache-2.0 */
/* kind_sip.c - see kind_sip.h. */
#include "codec/kind_sip.h"

static bool is_list_good(struct slice list, const struct rl_params *p)
{
    struct rd r = rd_init(list);
    struct fwd_destination d;
    size_t count = 0;
    while (fwd_next(&r, p, &d)) {
        count++;
    }
    return rd_ok(&r) && count > 0;
}

enum err kind_sip_decode(struct slice value, const struct rl_params *p, struct kind_sip *out)
{
    struct rd r = rd_init(value);
    memset(out, 0, sizeof(*out));
    out->type = rd_u8(&r);
    struct slice data = rd_opaque16(&r);
    if (!rd_is_done(&r) || out->type == 0) {
        return ERR_MALFORMED;
    }
    struct rd inner = rd_init(data);
    switch (out->type) {
    case KIND_SIP_URI:
        out->uri = rd_opaque16(&inner);
        break;
    case KIND_SIP_ROUTE:
        out->contact_prefs = rd_opaque16(&inner);
        out->destination_list = rd_opaque16(&inner);
        if (!is_list_good(out->destination_list, p)) {
            return ERR_MALFORMED;
        }
        break;
    default:
        out->unknown = rd_rest(&inner);
        break;
    }
    return rd_is_done(&inner) ? ERR_OK : ERR_MALFORMED;
}

void kind_sip_wr(struct wr *w, const struct kind_sip *in)
{
    wr_u8(w, in->type);
    size_t mark = wr_begin(w, 2);
    switch (in->type) {
    case KIND_SIP_URI:
        wr_opaque16(w, in->uri);
        break;
    case KIND_SIP_ROUTE:
        wr_opaque16(w, in->contact_prefs);
        wr_opaque16(w, in->destination_list);
        break;
    default:
        wr_bytes(w, in->unknown);
        break;
    }
    wr_end(w, 2, mark);
}
