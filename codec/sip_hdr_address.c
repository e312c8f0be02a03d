/* SPDX-License-Identifier: Apache-2.0 */
/* name-addr / addr-spec with header parameters: see sip_way_hdr.h. */
#include "codec/sip_way.h"

enum err sip_hdr_address_read(struct slice s, size_t from, size_t end, struct sip_hdr_address *out,
                              struct sip_uri *uri)
{
    return SIP_WAY_CALL(sip_way_best(), address, s, from, end, out, uri);
}

enum err sip_hdr_address_decode(struct slice item, struct sip_hdr_address *out)
{
    item = sip_lex_trim(item);
    if (item.len == 0) {
        *out = (struct sip_hdr_address){.q_milli = 1000};
        return ERR_MALFORMED;
    }
    return sip_hdr_address_read(item, 0, item.len, out, NULL);
}

enum err sip_hdr_address_within(struct slice whole, struct slice item, struct sip_hdr_address *out,
                                struct sip_uri *uri)
{
    item = sip_lex_trim(item);
    size_t from = (size_t)((uintptr_t)item.data - (uintptr_t)whole.data);
    if (item.len == 0) {
        *uri = (struct sip_uri){.scheme = SIP_URI_OTHER};
        return sip_hdr_address_decode(item, out);
    }
    bool is_inside = from <= whole.len && item.len <= whole.len - from;
    return is_inside ? sip_hdr_address_read(whole, from, from + item.len, out, uri)
                     : sip_hdr_address_read(item, 0, item.len, out, uri);
}
