/* SPDX-License-Identifier: Apache-2.0 */
/* strict.c - see strict.h. */
#include "sip/strict.h"

/* The URI that an entry of Route names. */
static enum err read_entry(const struct sip_rx *rx, struct slice item, struct slice *text,
                           struct sip_uri *uri)
{
    struct sip_hdr_address address;
    enum err e = sip_hdr_address_within(rx->m->bytes, item, &address, uri);
    *text = address.uri;
    return e == ERR_OK && address.is_star ? ERR_MALFORMED : e;
}

/* All entries of Route but the last, which goes into *last, behind the Request-URI. */
static enum err write_routes(const struct sip_rx *rx, struct slice *last, struct sip_writer *w)
{
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_ROUTE);
    enum err e = sip_msg_items_next(&it, last);
    sip_write_text(w, "<");
    sip_write_slice(w, rx->m->request_uri);
    sip_write_text(w, ">");
    while (e == ERR_OK && (e = sip_msg_items_next(&it, &item)) == ERR_OK) {
        sip_write_text(w, ", ");
        sip_write_slice(w, *last);
        *last = item;
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

struct msgbuf *strict_undo(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    uint8_t bytes[STRICT_ROUTES_CAP];
    struct slice last, routes, target;
    struct sip_uri uri;
    struct sip_writer w;
    struct sip_edit edit;
    size_t len = 0;
    if (!sip_msg_has(rx->m, SIP_HDR_ROUTE) || !hop_is_sealed(t, s, &rx->core.uri)) {
        return NULL;
    }
    sip_write_init(&w, bytes, sizeof(bytes));
    if (write_routes(rx, &last, &w) != ERR_OK || sip_write_finish(&w, &routes) != ERR_OK ||
        read_entry(rx, last, &target, &uri) != ERR_OK) {
        return NULL;
    }
    sip_edit_init(&edit, rx->m);
    sip_edit_request_uri(&edit, target);
    sip_edit_remove_all(&edit, SIP_HDR_ROUTE);
    sip_edit_append(&edit, SIP_HDR_ROUTE, routes);
    if (sip_edit_emit(&edit, s->scratch, sizeof(s->scratch), &len) != ERR_OK) {
        return NULL;
    }
    metric_add(t->metrics, METRIC_sip_strict_routes, 1);
    return sip_state_buffer(t, slice_of(s->scratch, len));
}

bool strict_next(const struct sip_rx *rx, unsigned ours, struct slice target, struct sip_edit *edit,
                 char last[STRICT_TARGET_CAP])
{
    struct slice item, text, loose, rest;
    struct sip_uri uri;
    struct sip_writer w;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_ROUTE);
    enum err e = sip_msg_items_next(&it, &item);
    for (unsigned i = 0; i < ours && e == ERR_OK; i++) {
        e = sip_msg_items_next(&it, &item);
    }
    if (e != ERR_OK || read_entry(rx, item, &text, &uri) != ERR_OK ||
        sip_uri_param(&uri, SLICE_LITERAL("lr"), &loose)) {
        return false;
    }
    sip_write_init(&w, (uint8_t *)last, STRICT_TARGET_CAP);
    sip_write_text(&w, "<");
    sip_write_slice(&w, target);
    sip_write_text(&w, ">");
    if (sip_write_finish(&w, &rest) != ERR_OK) {
        return false;
    }
    sip_edit_request_uri(edit, text);
    sip_edit_pop(edit, SIP_HDR_ROUTE, ours + 1);
    sip_edit_append(edit, SIP_HDR_ROUTE, rest);
    return true;
}
