/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the index that the parser made.  The first judgement of a message, for which everything
 * that an element has to look at anyway is decoded once, stands in sip_way_msg.h. */
#include "codec/sip_way.h"

struct slice sip_msg_named(const struct sip_msg *m, struct slice name)
{
    for (unsigned i = 0; i < m->header_count; i++) {
        if (slice_is_equal_nocase(sip_msg_name(m, i), name)) {
            return sip_msg_value(m, i);
        }
    }
    return SLICE_EMPTY;
}

struct sip_msg_items sip_msg_items(const struct sip_msg *m, enum sip_hdr_id id)
{
    return (struct sip_msg_items){
        .msg = m,
        .next = m->first[id],
        .is_list = sip_hdr_shape(id) == SIP_HDR_SHAPE_LIST,
    };
}

enum err sip_msg_items_next(struct sip_msg_items *it, struct slice *item)
{
    if (it->rest.data == NULL) {
        /* the next occurrence; one without a value (an empty Supported) has no items */
        do {
            if (it->next == 0) {
                return ERR_NOT_FOUND;
            }
            it->index = (uint8_t)(it->next - 1);
            it->next = it->msg->headers[it->index].next;
            it->rest = sip_msg_value(it->msg, it->index);
        } while (it->rest.len == 0);
    }
    if (it->is_list) {
        return sip_lex_item(&it->rest, item);
    }
    *item = it->rest;
    it->rest = SLICE_EMPTY;
    return ERR_OK;
}

bool sip_msg_has_option(const struct sip_msg *m, enum sip_hdr_id id, struct slice lower_tag)
{
    struct sip_msg_items it = sip_msg_items(m, id);
    struct slice item;
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        if (sip_lex_is_word(item, lower_tag)) {
            return true;
        }
    }
    return false;
}

enum err sip_msg_check(const struct sip_msg *m, struct sip_msg_core *core, struct sip_fault *fault)
{
    return SIP_WAY_CALL(sip_way_best(), check, m, core, fault);
}

enum err sip_msg_check_extensions(const struct sip_msg *m, struct sip_fault *fault)
{
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_PROXY_REQUIRE);
    struct slice item;
    *fault = (struct sip_fault){0};
    if (!m->is_request || m->method == SIP_METHOD_ACK || m->method == SIP_METHOD_CANCEL ||
        sip_msg_items_next(&it, &item) == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    *fault = (struct sip_fault){420, m->headers[it.index].value, "Bad Extension"};
    return ERR_UNSUPPORTED;
}
