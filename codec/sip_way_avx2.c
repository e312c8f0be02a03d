/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_avx2.c - the parser's inner parts with AVX2; see sip_way.h. */
#ifdef __x86_64__
#define SIP_WAY_IS_AVX2
#include "codec/sip_way_head.h"
#include "codec/sip_way_msg.h"

WAY HOT enum sip_way_lines sip_way_avx2_lines(struct sip_parser *p, struct slice bytes)
{
    return way_lines(p, bytes);
}

WAY HOT enum err sip_way_avx2_check(const struct sip_msg *m, struct sip_msg_core *core,
                                    struct sip_fault *fault)
{
    return way_check(m, core, fault);
}

WAY enum err sip_way_avx2_uri(struct slice s, size_t from, size_t end, struct sip_uri *out)
{
    way_clear(out, sizeof(*out));
    return way_uri(way_room(s), from, end, out);
}

WAY enum err sip_way_avx2_address(struct slice s, size_t from, size_t end,
                                  struct sip_hdr_address *out, struct sip_uri *uri)
{
    way_clear(out, sizeof(*out));
    if (uri != NULL) {
        way_clear(uri, sizeof(*uri));
    }
    return way_address(way_room(s), from, end, out, uri);
}

WAY enum err sip_way_avx2_via(struct slice s, size_t from, size_t end, struct sip_hdr_via *out)
{
    way_clear(out, sizeof(*out));
    return way_via(way_room(s), from, end, out);
}
#endif
