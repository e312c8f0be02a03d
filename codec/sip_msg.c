/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the index that the parser made, and the first judgement of a message: everything that an
 * element has to look at anyway is decoded once, into struct sip_msg_core. */
#include "codec/sip_msg.h"

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

/* The first fault counts. */
static void note(struct sip_fault *fault, uint16_t status, size_t offset, const char *why)
{
    if (fault->why == NULL) {
        *fault = (struct sip_fault){status, (uint32_t)offset, why};
    }
}

static size_t offset_of(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] == 0 ? 0 : m->headers[m->first[id] - 1].value;
}

/* What sip_msg_check hands down. */
struct check {
    const struct sip_msg *msg;
    struct sip_fault *fault;
};

/* A part of the message as an offset into its text. */
static size_t offset_in(const struct sip_msg *m, struct slice part)
{
    return (size_t)(part.data - m->bytes.data);
}

static void check_request_uri(struct check *c, struct sip_msg_core *core)
{
    const struct sip_msg *m = c->msg;
    struct sip_fault *fault = c->fault;
    size_t offset = offset_in(m, m->request_uri);
    if (sip_uri_read(m->bytes, offset, offset + m->request_uri.len, &core->uri) != ERR_OK) {
        note(fault, 400, offset, "Bad Request-URI");
    } else if (core->uri.has_headers) {
        note(fault, 400, offset, "Headers In Request-URI");
    }
}

static void check_vias(struct check *c, struct sip_msg_core *core)
{
    const struct sip_msg *m = c->msg;
    struct sip_fault *fault = c->fault;
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_VIA);
    struct sip_hdr_via other;
    struct slice item;
    enum err e;
    bool is_top = true;
    while ((e = sip_msg_items_next(&it, &item)) == ERR_OK) {
        size_t at = offset_in(m, item);
        e = sip_hdr_via_read(m->bytes, at, at + item.len, is_top ? &core->via : &other);
        if (is_top) {
            /* of another version: still known where an answer would go */
            core->has_via = e == ERR_OK || e == ERR_UNSUPPORTED;
        }
        if (e != ERR_OK) {
            break;
        }
        is_top = false;
    }
    if (e != ERR_NOT_FOUND) {
        note(fault, 400, m->headers[it.index].value, "Bad Via");
    } else if (is_top) {
        note(fault, 400, offset_of(m, SIP_HDR_VIA), "Missing Via");
    }
}

static bool check_party(struct check *c, enum sip_hdr_id id, struct sip_hdr_address *out)
{
    const struct sip_msg *m = c->msg;
    struct sip_fault *fault = c->fault;
    struct sip_uri uri;
    if (!sip_msg_has(m, id)) {
        note(fault, 400, 0, id == SIP_HDR_FROM ? "Missing From" : "Missing To");
        return false;
    }
    size_t at = m->headers[m->first[id] - 1].value;
    size_t end = at + m->headers[m->first[id] - 1].value_len;
    if (sip_hdr_address_read(m->bytes, at, end, out, &uri) != ERR_OK || out->is_star) {
        note(fault, 400, offset_of(m, id), id == SIP_HDR_FROM ? "Bad From" : "Bad To");
        return false;
    }
    return true;
}

static void check_ids(const struct sip_msg *m, struct sip_msg_core *core, struct sip_fault *fault)
{
    core->call_id = sip_msg_first(m, SIP_HDR_CALL_ID);
    core->has_call_id = sip_hdr_call_id_check(core->call_id) == ERR_OK;
    if (!core->has_call_id) {
        note(fault, 400, offset_of(m, SIP_HDR_CALL_ID),
             sip_msg_has(m, SIP_HDR_CALL_ID) ? "Bad Call-ID" : "Missing Call-ID");
    }
    if (!sip_msg_has(m, SIP_HDR_CSEQ)) {
        note(fault, 400, 0, "Missing CSeq");
        return;
    }
    core->has_cseq = sip_hdr_cseq_decode(sip_msg_first(m, SIP_HDR_CSEQ), &core->cseq) == ERR_OK;
    if (!core->has_cseq) {
        note(fault, 400, offset_of(m, SIP_HDR_CSEQ), "Bad CSeq");
    } else if (m->is_request && !slice_is_equal(core->cseq.method_text, m->method_text)) {
        note(fault, 400, offset_of(m, SIP_HDR_CSEQ), "CSeq Method Differs");
    }
}

static void check_max_forwards(const struct sip_msg *m, struct sip_msg_core *core,
                               struct sip_fault *fault)
{
    core->max_forwards = 70;
    if (sip_msg_has(m, SIP_HDR_MAX_FORWARDS)) {
        core->has_max_forwards = sip_hdr_max_forwards_decode(sip_msg_first(m, SIP_HDR_MAX_FORWARDS),
                                                             &core->max_forwards) == ERR_OK;
        if (!core->has_max_forwards) {
            note(fault, 400, offset_of(m, SIP_HDR_MAX_FORWARDS), "Bad Max-Forwards");
        }
    }
}

/* Every value of Contact, Route, ...: a name-addr with a good URI; the star for Contact alone. */
static void check_addresses(struct check *c, enum sip_hdr_id id, const char *why)
{
    const struct sip_msg *m = c->msg;
    if (m->first[id] == 0) {
        return;
    }
    struct sip_msg_items it = sip_msg_items(m, id);
    struct sip_hdr_address address;
    struct sip_uri uri;
    struct slice item;
    unsigned count = 0;
    bool is_star = false;
    enum err e;
    while ((e = sip_msg_items_next(&it, &item)) == ERR_OK) {
        count++;
        size_t at = offset_in(m, item);
        e = sip_hdr_address_read(m->bytes, at, at + item.len, &address, &uri);
        if (e == ERR_OK && address.is_star) {
            is_star = true;
            e = id == SIP_HDR_CONTACT ? ERR_OK : ERR_MALFORMED;
        }
        if (e != ERR_OK) {
            break;
        }
    }
    if (e != ERR_NOT_FOUND || (is_star && count > 1) || count == 0) {
        note(c->fault, 400, m->headers[it.index].value, why);
    }
}

/* RFC 3261 7.3.1: these would contradict themselves (the others can only bore us). */
static void check_single(const struct sip_msg *m, struct sip_fault *fault)
{
    static const uint8_t once[] = {
        SIP_HDR_FROM,         SIP_HDR_TO,           SIP_HDR_CALL_ID,
        SIP_HDR_CSEQ,         SIP_HDR_MAX_FORWARDS, SIP_HDR_CONTENT_LENGTH,
        SIP_HDR_CONTENT_TYPE, SIP_HDR_EXPIRES,      SIP_HDR_EVENT,
    };
    for (size_t i = 0; i < ARRAY_COUNT(once); i++) {
        uint8_t first = m->first[once[i]];
        uint8_t second = first == 0 ? 0 : m->headers[first - 1].next;
        if (second != 0) {
            note(fault, 400, m->headers[second - 1].start, "Header Comes Twice");
        }
    }
}

enum err sip_msg_check(const struct sip_msg *m, struct sip_msg_core *core, struct sip_fault *fault)
{
    *core = (struct sip_msg_core){0};
    *fault = (struct sip_fault){0};
    struct check c = {.msg = m, .fault = fault};
    if (m->is_request) {
        check_request_uri(&c, core);
    }
    check_vias(&c, core);
    core->has_from = check_party(&c, SIP_HDR_FROM, &core->from);
    core->has_to = check_party(&c, SIP_HDR_TO, &core->to);
    check_ids(m, core, fault);
    check_max_forwards(m, core, fault);
    check_addresses(&c, SIP_HDR_CONTACT, "Bad Contact");
    check_addresses(&c, SIP_HDR_ROUTE, "Bad Route");
    check_addresses(&c, SIP_HDR_RECORD_ROUTE, "Bad Record-Route");
    check_addresses(&c, SIP_HDR_PATH, "Bad Path");
    check_single(m, fault);
    if (fault->why != NULL) {
        return ERR_MALFORMED;
    }
    if (m->is_request && core->uri.scheme == SIP_URI_OTHER) {
        note(fault, 416, (size_t)(m->request_uri.data - m->bytes.data), "Unsupported URI Scheme");
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
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
    note(fault, 420, m->headers[it.index].value, "Bad Extension");
    return ERR_UNSUPPORTED;
}
