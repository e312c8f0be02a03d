/* SPDX-License-Identifier: Apache-2.0 */
/* contacts.c - see contacts.h. */
#include "sip/contacts.h"
#include "sip/forward.h"
#include "sip/gruu.h"
#include "sip/prefs.h"

/* Of the flows of one device only one is used (RFC 5626 5.3.1, 8): the last one registered that is
 * not known to be gone. */
static bool is_spare_flow(const struct turn *t, const struct sip *s, uint32_t account,
                          const struct registrar_binding *b)
{
    handle at = 0;
    const struct registrar_binding *other = NULL;
    while (b->is_outbound && (other = registrar_next(t, s, account, &at)) != NULL) {
        bool is_gone = other->flow.kind != SIP_UDP && other->flow.shard == s->settings.shard &&
                       pool_get(&s->flows, other->flow.flow) == NULL;
        if (other != b && other->is_outbound && !is_gone && other->at_us > b->at_us &&
            memcmp(other->gruu, b->gruu, sizeof(b->gruu)) == 0) {
            return true;
        }
    }
    return false;
}

unsigned contacts_choose(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                         const struct registrar_binding *chosen[CONTACTS_CAP])
{
    uint32_t value[CONTACTS_CAP];
    unsigned count = 0, implicit = 0;
    if (forward_now(t, s, account) != NULL) {
        return 0; /* who asks here has an older record, and looks once more */
    }
    for (unsigned pass = 0; pass < 2 && count == 0 && pass <= implicit; pass++) {
        handle at = 0;
        const struct registrar_binding *b = NULL;
        while (count < CONTACTS_CAP && (b = registrar_next(t, s, account, &at)) != NULL) {
            uint16_t rank = 0;
            unsigned i = count;
            enum prefs_verdict v = prefs_judge(rx->m, registrar_params(b), &rank);
            implicit += v == PREFS_DROP_IMPLICIT ? 1 : 0;
            if (v == PREFS_DROP || (v == PREFS_DROP_IMPLICIT && pass == 0) ||
                is_spare_flow(t, s, account, b)) {
                continue;
            }
            uint32_t own = (uint32_t)b->q_milli << 16 | rank;
            for (; i > 0 && value[i - 1] < own; i--) {
                value[i] = value[i - 1];
                chosen[i] = chosen[i - 1];
            }
            value[i] = own;
            chosen[i] = b;
            count++;
        }
    }
    return count;
}

struct flow_ref contacts_flow_now(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                  const struct flow_ref *flow, struct slice *contact)
{
    char aor[SIP_STATE_AOR_CAP];
    struct gruu gruu;
    size_t len = 0;
    handle at = 0;
    gruu_read(s, &rx->core.uri, &gruu);
    if (gruu.kind != GRUU_NONE && ids_node_is_equal(&gruu.node, &s->settings.self)) {
        uint32_t whose = REGISTRAR_NONE;
        const struct registrar_binding *device = gruu_find(t, s, &rx->core.uri, &gruu, &whose);
        if (device !=
            NULL) { /* RFC 5627 5.4.1: the device knows its contact, not always its GRUU */
            *contact = registrar_uri(device);
            return device->flow;
        }
    }
    const struct registrar_binding *b = NULL;
    if (sip_state_aor(s, &rx->core.to_uri, false, aor, &len) != ERR_OK) {
        return *flow;
    }
    uint32_t account = registrar_find(s, slice_of(aor, len));
    while (account != REGISTRAR_NONE && (b = registrar_next(t, s, account, &at)) != NULL) {
        struct sip_uri uri;
        bool is_same = slice_is_equal(registrar_uri(b), rx->m->request_uri); /* mostly */
        if (!b->is_forward && (is_same || (registrar_uri_decode(b, &uri) == ERR_OK &&
                                           sip_uri_is_equal(&uri, &rx->core.uri)))) {
            return b->flow;
        }
    }
    return *flow;
}
