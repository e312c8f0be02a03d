/* SPDX-License-Identifier: Apache-2.0 */
/* winfo.c - see winfo.h.  Who may watch is a list of the operator's, so no watcher is ever pending:
 * all are active, by their own subscription (RFC 3857 4.7.1), or gone. */
#include "sip/winfo.h"
#include "codec/pidf.h"
#include "sip/presence.h"
#include "sip/registrar.h"

#define US_PER_S UINT64_C(1000000)

static void write_watcher(const struct turn *t, const struct subscription *x, struct sip_writer *w)
{
    enum { ID_BYTES = 8 };
    char id[2 * ID_BYTES + 1];
    struct sip_hdr_address from;
    uint64_t left_us = x->expires_us > t->now_us ? x->expires_us - t->now_us : 0;
    if (sip_hdr_address_decode(subscribe_text(x, SUBSCRIBE_REMOTE), &from) != ERR_OK) {
        return; /* it was one when it came */
    }
    sip_write_text(w, "<watcher id=\"w");
    sip_write_text(w, ids_hex(slice_of(x->key, ID_BYTES), id));
    sip_write_text(w, "\" status=\"active\" event=\"subscribe\" expiration=\"");
    sip_write_u32(w, (uint32_t)(left_us / US_PER_S));
    sip_write_text(w, "\">");
    pidf_write_text(w, from.uri);
    sip_write_text(w, "</watcher>");
}

enum err winfo_write(struct turn *t, const struct sip *s, uint32_t account, uint32_t version,
                     uint8_t *out, size_t cap, struct slice *document)
{
    struct sip_writer w;
    const struct subscription *x = NULL;
    sip_write_init(&w, out, cap);
    sip_write_text(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
                       "<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"");
    sip_write_u32(&w, version);
    sip_write_text(&w, "\" state=\"full\"><watcher-list resource=\"");
    presence_write_uri(&w, slice_text(s->settings.accounts[account].user));
    sip_write_text(&w, "\" package=\"presence\">");
    for (handle h = s->accounts[account].subscriptions;
         (x = pool_get(&s->subscriptions, h)) != NULL; h = x->next) {
        if (x->event == SUBSCRIBE_PRESENCE && !x->is_ending) {
            write_watcher(t, x, &w);
        }
    }
    sip_write_text(&w, "</watcher-list></watcherinfo>\r\n");
    return sip_write_finish(&w, document);
}
