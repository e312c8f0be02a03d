/* SPDX-License-Identifier: Apache-2.0 */
/* keep_alive.c - see keep_alive.h. */
#include "sip/keep_alive.h"
#include "codec/stun_wr.h"

enum { ANSWER_CAP = 256 };

static void write_answer(struct wr *w, const struct stun *m, const struct address *remote)
{
    bool is_unknown = m->unknown_count > 0; /* 6.3.1: what must be understood, and is not */
    size_t start = stun_wr_begin(w, is_unknown ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS,
                                 STUN_METHOD_BINDING, m->transaction);
    if (is_unknown) {
        stun_wr_error(w, start, STUN_ERROR_UNKNOWN_ATTRIBUTE,
                      slice_text(stun_error_text(STUN_ERROR_UNKNOWN_ATTRIBUTE)));
        stun_wr_types(w, start, m->unknown, m->unknown_count);
    } else {
        stun_wr_address(w, start, STUN_ATTR_XOR_MAPPED_ADDRESS, remote);
    }
    if (stun_has(m, STUN_HAS_FINGERPRINT)) {
        stun_wr_fingerprint(w, start);
    }
}

void keep_alive_on_stun(struct turn *t, struct sip *s, const struct flow_ref *from,
                        struct slice datagram)
{
    struct stun m;
    uint8_t out[ANSWER_CAP];
    bool is_asked = stun_is_message(datagram) && stun_decode(datagram, &m) == ERR_OK &&
                    m.class == STUN_CLASS_REQUEST && m.method == STUN_METHOD_BINDING;
    if (!is_asked) {
        metric_add(t->metrics, METRIC_sip_stun_dropped, 1); /* answers and indications, too */
        return;
    }
    struct wr w = wr_init(out, sizeof(out));
    write_answer(&w, &m, &from->remote);
    CHECK(wr_ok(&w)); /* ANSWER_CAP has room for STUN_UNKNOWN_CAP types */
    metric_add(t->metrics, METRIC_sip_stun_answered, 1);
    struct msgbuf *buf = sip_state_buffer(t, wr_slice(&w));
    if (buf != NULL) {
        enum err e = flow_send(t, s, from, buf); /* counted; the phone will ask again */
        (void)e;
        msgbuf_release(t->buffers, buf);
    }
}
