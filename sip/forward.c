/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - see forward.h. */
#include "sip/forward.h"

bool forward_is_one(const struct sip *s, const struct sip_uri *contact, const struct sip_uri *owner)
{
    char to[SIP_STATE_AOR_CAP], own[SIP_STATE_AOR_CAP];
    size_t to_len = 0, own_len = 0;
    return sip_state_aor(s, contact, false, to, &to_len) == ERR_OK &&
           to_len <= SIP_ACCOUNT_USER_CAP &&
           sip_state_aor(s, owner, true, own, &own_len) == ERR_OK &&
           !slice_is_equal(slice_of(to, to_len), slice_of(own, own_len));
}

const struct registrar_binding *forward_now(const struct turn *t, const struct sip *s,
                                            uint32_t account)
{
    handle at = 0;
    const struct registrar_binding *b = NULL;
    while ((b = registrar_next(t, s, account, &at)) != NULL && !b->is_forward) {}
    return b;
}

bool forward_wanted(const struct sip *s, uint32_t account, const struct asked *asked,
                    char aor[SIP_STATE_AOR_CAP], size_t *len)
{
    for (unsigned i = 0; asked != NULL && i < asked->count; i++) {
        const struct asked_contact *c = &asked->list[i];
        if (c->is_forward && c->expires_s > 0) {
            return sip_state_aor(s, &c->uri, false, aor, len) == ERR_OK;
        }
    }
    const struct registrar_binding *b = NULL;
    for (handle h = s->accounts[account].first; (b = pool_get(&s->bindings, h)) != NULL;
         h = b->next) {
        if (b->is_forward && (asked == NULL || !asked_has(asked, b))) {
            return sip_state_aor_text(s, registrar_uri(b), false, aor, len) == ERR_OK;
        }
    }
    return false;
}
