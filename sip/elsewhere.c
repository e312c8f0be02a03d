/* SPDX-License-Identifier: Apache-2.0 */
/* elsewhere.c - see elsewhere.h. */
#include "sip/elsewhere.h"
#include "sip/gruu.h"
#include "sip/location.h"

bool elsewhere_ask(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   uint32_t account)
{
    struct overlay_resource resource;
    struct registrar_account *a = &s->accounts[account];
    struct registrar_wait *wait =
        a->queries >= ELSEWHERE_ASKED ? NULL : pool_acquire(&s->registers);
    struct msgbuf *request = wait == NULL ? NULL : sip_state_buffer(t, rx->m->bytes);
    overlay_resource_of(t, slice_text(s->settings.accounts[account].user), &resource);
    if (request == NULL || overlay_fetch(t, s->overlay, &resource, OVERLAY_KIND_SIP_REGISTRATION,
                                         pool_handle(&s->registers, wait)) != ERR_OK) {
        if (request != NULL) {
            msgbuf_release(t->buffers, request);
        }
        if (wait != NULL) {
            pool_release(&s->registers, wait);
        }
        return false;
    }
    *wait = (struct registrar_wait){
        .tx = tx_handle(s, tx), .request = request, .from = rx->from, .account = account};
    a->queries++;
    return true;
}

bool elsewhere_on_fetched(struct turn *t, struct sip *s, const struct overlay_event *event)
{
    struct sip_rx room;
    struct registrar_wait *wait = pool_get(&s->registers, event->tag);
    if (wait == NULL) {
        return false;
    }
    struct registrar_wait w = *wait;
    pool_release(&s->registers, wait);
    CHECK(s->accounts[w.account].queries > 0);
    s->accounts[w.account].queries--;
    const struct sip_rx *rx = sip_state_reread(s, w.request, &w.from, &room);
    registrar_answer_query(t, s, rx, tx_get(s, w.tx), w.account, event);
    msgbuf_release(t->buffers, w.request);
    return true;
}

static void write_end(struct sip_writer *w, const struct overlay_value *v)
{
    sip_write_text(w, ">;expires=");
    sip_write_u32(w, v->lifetime_s);
    sip_write_header_end(w);
}

static bool write_one(const struct sip *s, uint32_t account, const struct overlay_value *v,
                      struct sip_writer *w)
{
    struct msgs_sip_registration value;
    struct node_id peer, credential;
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    const struct sip_account *who = &s->settings.accounts[account];
    if (slice_is_equal(v->key, ids_node_slice(&who->ident->node_id, &s->params)) ||
        msgs_sip_registration_decode(v->value, &s->params, &value) != ERR_OK) {
        return false;
    }
    if (value.type == MSGS_SIP_URI) {
        if (location_forward_aor(s, value.uri, aor, &len) != ERR_OK) {
            return false;
        }
        sip_write_header_begin(w, SIP_HDR_CONTACT);
        sip_write_text(w, "<");
        sip_write_aor(w, SLICE_LITERAL("sip:"), slice_of(aor, len));
        write_end(w, v);
        return true;
    }
    if (value.type != MSGS_SIP_ROUTE ||
        slice_is_equal(value.contact_prefs, REGISTRAR_MAILBOX_PREFS) ||
        !location_last_node(s, value.destination_list, &peer) ||
        v->key.len != s->params.node_id_length) {
        return false;
    }
    credential = (struct node_id){0};
    memcpy(credential.bytes, v->key.data, v->key.len);
    sip_write_header_begin(w, SIP_HDR_CONTACT);
    sip_write_text(w, "<");
    gruu_write_account(s, slice_text(who->user), &peer, &credential, w);
    write_end(w, v);
    return true;
}

void elsewhere_write(const struct sip *s, uint32_t account, const struct overlay_event *event,
                     size_t room, struct sip_writer *w)
{
    unsigned count = 0;
    for (size_t i = 0; i < event->value_count && count < ELSEWHERE_LISTED; i++) {
        const struct sip_writer before = *w;
        bool is_written = write_one(s, account, &event->values[i], w);
        if (is_written && (w->error != ERR_OK || w->cap - w->len < room)) {
            *w = before; /* AORs may be long: 32 of them are more than a message holds */
            is_written = false;
        }
        count += is_written ? 1 : 0;
    }
}
