/* SPDX-License-Identifier: Apache-2.0 */
/* via-parm: see sip_way_hdr.h. */
#include "codec/sip_way.h"

enum err sip_hdr_via_read(struct slice s, size_t from, size_t end, struct sip_hdr_via *out)
{
    return SIP_WAY_CALL(sip_way_best(), via, s, from, end, out);
}

enum err sip_hdr_via_decode(struct slice item, struct sip_hdr_via *out)
{
    item = sip_lex_trim(item);
    if (item.len == 0) {
        *out = (struct sip_hdr_via){0};
        return ERR_MALFORMED;
    }
    return sip_hdr_via_read(item, 0, item.len, out);
}

enum err sip_hdr_via_within(struct slice whole, struct slice item, struct sip_hdr_via *out)
{
    item = sip_lex_trim(item);
    size_t from = (size_t)((uintptr_t)item.data - (uintptr_t)whole.data);
    bool is_inside = item.len > 0 && from <= whole.len && item.len <= whole.len - from;
    return is_inside ? sip_hdr_via_read(whole, from, from + item.len, out)
                     : sip_hdr_via_decode(item, out);
}
