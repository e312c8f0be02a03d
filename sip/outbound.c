/* SPDX-License-Identifier: Apache-2.0 */
/* outbound.c - see outbound.h. */
#include "sip/outbound.h"
#include "sip/hop.h"

size_t outbound_path(const struct sip_rx *rx, char *out)
{
    struct slice item;
    size_t len = 0;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_PATH);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        if (out != NULL && len > 0) {
            memcpy(out + len, ", ", 2);
        }
        len += len > 0 ? 2 : 0;
        if (out != NULL) {
            memcpy(out + len, item.data, item.len);
        }
        len += item.len;
    }
    return len;
}

bool outbound_is_asked(const struct sip_rx *rx, bool has_id)
{
    return has_id && sip_msg_has_option(rx->m, SIP_HDR_SUPPORTED, SLICE_LITERAL("outbound"));
}

bool outbound_is_broken(const struct sip_rx *rx)
{
    struct slice item, value, last = SLICE_EMPTY;
    struct sip_hdr_address address;
    struct sip_uri uri;
    unsigned hops = 0;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        hops++;
    }
    it = sip_msg_items(rx->m, SIP_HDR_PATH);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        last = item;
    }
    bool is_kept = last.len > 0 && sip_hdr_address_decode(last, &address) == ERR_OK &&
                   sip_uri_decode(address.uri, &uri) == ERR_OK &&
                   sip_uri_param(&uri, SLICE_LITERAL("ob"), &value);
    return hops > 1 && !is_kept;
}

void outbound_service_route(const struct sip *s, const struct sip_rx *rx, struct sip_writer *w)
{
    if (!s->settings.service_route) {
        return;
    }
    sip_write_header_begin(w, SIP_HDR_SERVICE_ROUTE);
    sip_write_text(w, "<sip:");
    sip_write_text(w, sip_state_host(s, &rx->from));
    sip_write_text(w, hop_transport(&rx->from, false));
    sip_write_text(w, ";lr>");
    sip_write_header_end(w);
}
