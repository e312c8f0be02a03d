/* SPDX-License-Identifier: Apache-2.0 */
/* challenge.c - see challenge.h. */
#include "sip/challenge.h"

enum { CHALLENGES = 8 };

static unsigned add(struct sip_edit *edit, const struct sip_msg *from, enum sip_hdr_id id,
                    unsigned room)
{
    for (unsigned next = from->first[id]; next != 0 && room > 0;
         next = from->headers[next - 1].next) {
        sip_edit_append(edit, id, sip_msg_value(from, next - 1));
        room--;
    }
    return room;
}

struct msgbuf *challenge_merge(struct turn *t, struct sip *s, const struct sip_msg *m,
                               const struct msgbuf *best)
{
    struct sip_edit edit;
    size_t len = 0;
    enum sip_parse parsed = sip_parser_datagram(&s->again, msgbuf_slice(best));
    CHECK(parsed == SIP_PARSE_OK); /* relayed by us */
    sip_edit_init(&edit, m);
    sip_edit_pop(&edit, SIP_HDR_VIA, 1);
    unsigned room = add(&edit, &s->again.msg, SIP_HDR_WWW_AUTHENTICATE, CHALLENGES);
    (void)add(&edit, &s->again.msg, SIP_HDR_PROXY_AUTHENTICATE, room);
    if (sip_edit_emit(&edit, s->scratch, sizeof(s->scratch), &len) != ERR_OK ||
        !sip_state_is_readable(s, &edit, slice_of(s->scratch, len))) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        return NULL;
    }
    return sip_state_buffer(t, slice_of(s->scratch, len));
}
