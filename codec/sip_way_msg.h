/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_msg.h - the first judgement of a message (sip_msg_check); see sip_way_scan.h. */
#pragma once
#include "codec/sip_way_hdr.h"

struct way_check {
    const struct sip_msg *msg;
    struct slice s; /* its bytes */
    struct sip_msg_core *core;
    struct sip_fault *fault;
};

WAY_INLINE void way_fault(struct way_check *c, uint16_t status, size_t offset, const char *why)
{
    if (c->fault->why == NULL) {
        *c->fault = (struct sip_fault){status, (uint32_t)offset, why};
    }
}

/* A header that is there. */
WAY_INLINE const struct sip_msg_header *way_header(const struct sip_msg *m, enum sip_hdr_id id)
{
    return &m->headers[m->first[id] - 1];
}

WAY_INLINE size_t way_offset(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] == 0 ? 0 : way_header(m, id)->value;
}

/* sip_msg_items of a list header, as offsets. */
struct way_list {
    size_t from; /* the item */
    size_t to;
    size_t at; /* what is left of the value */
    size_t end;
    uint8_t index; /* of the header that the item came from */
    uint8_t next;  /* index + 1 of the next occurrence */
    bool is_open;  /* another item of this value must follow */
};

/* Where the item at `i` ends, in a value with commas: quotes and <> protect them. */
WAY_COLD size_t way_item_end(struct slice s, size_t i, size_t end)
{
    bool in_brackets = false;
    while ((i = way_find_any(s, WAY_LIST, i, end)) < end) {
        uint8_t c = s.data[i];
        if (c == ',' && !in_brackets) {
            return i;
        }
        if (c == '"' && !in_brackets) {
            size_t stop = way_quoted(s, i, end);
            if (stop == 0) {
                return end;
            }
            i = stop;
            continue;
        }
        in_brackets = c == '<' || (in_brackets && c != '>');
        i++;
    }
    return end;
}

WAY_INLINE enum err way_next(const struct way_check *c, struct way_list *l)
{
    const struct sip_msg *m = c->msg;
    while (!l->is_open) { /* one without a value (an empty Supported) has no items */
        if (l->next == 0) {
            return ERR_NOT_FOUND;
        }
        const struct sip_msg_header *h = &m->headers[l->next - 1];
        l->index = (uint8_t)(l->next - 1);
        l->next = h->next;
        l->at = h->value;
        l->end = (size_t)h->value + h->value_len;
        l->is_open = h->value_len > 0;
    }
    size_t comma = way_find(c->s, ',', l->at, l->end);
    if (UNLIKELY(comma < l->end)) {
        comma = way_item_end(c->s, l->at, l->end);
    }
    struct slice item = slice_between(c->s, l->at, comma);
    l->is_open = comma < l->end;
    if (UNLIKELY(l->is_open || l->at > m->headers[l->index].value)) {
        item = sip_lex_trim(item);
    }
    l->from = (size_t)(item.data - m->bytes.data);
    l->to = l->from + item.len;
    l->at = comma + 1;
    return item.len == 0 ? ERR_MALFORMED : ERR_OK;
}

WAY_INLINE void way_check_request_uri(struct way_check *c)
{
    const struct sip_msg *m = c->msg;
    size_t offset = (size_t)(m->request_uri.data - c->s.data);
    if (way_uri(c->s, offset, offset + m->request_uri.len, &c->core->uri) != ERR_OK) {
        way_fault(c, 400, offset, "Bad Request-URI");
    } else if (c->core->uri.has_headers) {
        way_fault(c, 400, offset, "Headers In Request-URI");
    }
}

/* The second Via and those behind it: well-formed, no more is asked of them. */
WAY_COLD enum err way_other_vias(const struct way_check *c, struct way_list *l)
{
    struct sip_hdr_via other;
    enum err e;
    while ((e = way_next(c, l)) == ERR_OK) {
        way_clear(&other, sizeof(other));
        e = way_via(c->s, l->from, l->to, &other);
        if (e != ERR_OK) {
            break;
        }
    }
    return e;
}

WAY_INLINE void way_check_vias(struct way_check *c)
{
    const struct sip_msg *m = c->msg;
    struct sip_msg_core *core = c->core;
    struct way_list l = {.next = m->first[SIP_HDR_VIA]};
    enum err e = way_next(c, &l);
    if (e == ERR_NOT_FOUND) {
        way_fault(c, 400, way_offset(m, SIP_HDR_VIA), "Missing Via");
        return;
    }
    if (e == ERR_OK) {
        e = way_via(c->s, l.from, l.to, &core->via);
        /* of another version: still known where an answer would go */
        core->has_via = e == ERR_OK || e == ERR_UNSUPPORTED;
    }
    if (e == ERR_OK && (l.is_open || l.next != 0)) {
        e = way_other_vias(c, &l);
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        way_fault(c, 400, m->headers[l.index].value, "Bad Via");
    }
}

WAY_INLINE bool way_check_party(struct way_check *c, enum sip_hdr_id id,
                                struct sip_hdr_address *out, struct sip_uri *uri)
{
    const struct sip_msg *m = c->msg;
    if (m->first[id] == 0) {
        way_fault(c, 400, 0, id == SIP_HDR_FROM ? "Missing From" : "Missing To");
        return false;
    }
    size_t at = way_header(m, id)->value;
    size_t end = at + way_header(m, id)->value_len;
    if (way_address(c->s, at, end, out, uri) != ERR_OK || out->is_star) {
        way_fault(c, 400, at, id == SIP_HDR_FROM ? "Bad From" : "Bad To");
        return false;
    }
    return true;
}

/* 1*DIGIT LWS Method */
WAY_INLINE bool way_cseq(const struct way_check *c, size_t at, size_t end, struct sip_hdr_cseq *out)
{
    uint64_t number = 0;
    const struct sip_msg *m = c->msg;
    struct slice s = c->s;
    if (!way_digits(s, &at, end, INT32_MAX, &number) || number > INT32_MAX || at == end ||
        !sip_lex_is_space(s.data[at])) {
        return false;
    }
    at = way_skip_space(s, at, end);
    out->number = (uint32_t)number;
    out->method_text = slice_between(s, at, end);
    if (m->is_request && out->method_text.len > 0 &&
        slice_is_equal(out->method_text, m->method_text)) {
        out->method = m->method;
        return true;
    }
    out->method = sip_hdr_method(out->method_text);
    return at < end && way_span(s, WAY_TOKEN, at, end) == end;
}

WAY_INLINE void way_check_ids(struct way_check *c)
{
    const struct sip_msg *m = c->msg;
    struct sip_msg_core *core = c->core;
    if (m->first[SIP_HDR_CALL_ID] == 0) {
        way_fault(c, 400, 0, "Missing Call-ID");
    } else {
        size_t at = way_header(m, SIP_HDR_CALL_ID)->value;
        size_t end = at + way_header(m, SIP_HDR_CALL_ID)->value_len;
        core->call_id = slice_between(c->s, at, end);
        core->has_call_id = at < end && way_span(c->s, WAY_VISIBLE, at, end) == end;
        if (!core->has_call_id) {
            way_fault(c, 400, at, "Bad Call-ID");
        }
    }
    if (m->first[SIP_HDR_CSEQ] == 0) {
        way_fault(c, 400, 0, "Missing CSeq");
        return;
    }
    size_t at = way_header(m, SIP_HDR_CSEQ)->value;
    size_t end = at + way_header(m, SIP_HDR_CSEQ)->value_len;
    core->has_cseq = way_cseq(c, at, end, &core->cseq);
    if (!core->has_cseq) {
        way_fault(c, 400, at, "Bad CSeq");
    } else if (m->is_request && !slice_is_equal(core->cseq.method_text, m->method_text)) {
        /* of an unknown method nobody knows what else may differ (RFC 4475 3.1.2.18) */
        way_fault(c, m->method == SIP_METHOD_OTHER ? 501 : 400, at, "CSeq Method Differs");
    }
}

WAY_INLINE void way_check_max_forwards(struct way_check *c)
{
    const struct sip_msg *m = c->msg;
    c->core->max_forwards = 70;
    if (m->first[SIP_HDR_MAX_FORWARDS] == 0) {
        return;
    }
    size_t at = way_header(m, SIP_HDR_MAX_FORWARDS)->value, i = at;
    size_t end = at + way_header(m, SIP_HDR_MAX_FORWARDS)->value_len;
    uint64_t number = 0;
    bool is_good = way_digits(c->s, &i, end, UINT8_MAX, &number) && i == end;
    c->core->has_max_forwards = is_good && number <= UINT8_MAX;
    if (c->core->has_max_forwards) {
        c->core->max_forwards = (uint8_t)number;
    } else {
        way_fault(c, 400, at, "Bad Max-Forwards");
    }
}

/* Every value of Contact, Route, ...: a name-addr with a good URI; the star for Contact alone. */
WAY static inline void way_check_addresses(struct way_check *c, enum sip_hdr_id id, const char *why)
{
    const struct sip_msg *m = c->msg;
    struct way_list l = {.next = m->first[id]};
    struct {
        struct sip_hdr_address address;
        struct sip_uri uri;
    } value;
    unsigned count = 0;
    bool is_star = false;
    enum err e;
    while ((e = way_next(c, &l)) == ERR_OK) {
        count++;
        way_clear(&value, sizeof(value));
        e = way_address(c->s, l.from, l.to, &value.address, &value.uri);
        if (e == ERR_OK && value.address.is_star) {
            is_star = true;
            e = id == SIP_HDR_CONTACT ? ERR_OK : ERR_MALFORMED;
        }
        if (e != ERR_OK) {
            break;
        }
    }
    if (e != ERR_NOT_FOUND || (is_star && count > 1) || count == 0) {
        way_fault(c, 400, m->headers[l.index].value, why);
    }
}

/* RFC 3261 7.3.1: these would contradict themselves (the others can only bore us). */
WAY_COLD void way_check_single(struct way_check *c)
{
    static const uint8_t once[] = {
        SIP_HDR_FROM,         SIP_HDR_TO,           SIP_HDR_CALL_ID,
        SIP_HDR_CSEQ,         SIP_HDR_MAX_FORWARDS, SIP_HDR_CONTENT_LENGTH,
        SIP_HDR_CONTENT_TYPE, SIP_HDR_EXPIRES,      SIP_HDR_EVENT,
    };
    const struct sip_msg *m = c->msg;
    for (size_t i = 0; i < ARRAY_COUNT(once); i++) {
        uint8_t first = m->first[once[i]];
        uint8_t second = first == 0 ? 0 : m->headers[first - 1].next;
        if (second != 0) {
            way_fault(c, 400, m->headers[second - 1].start, "Header Comes Twice");
        }
    }
}

/* sip_msg_check */
WAY static inline enum err way_check(const struct sip_msg *m, struct sip_msg_core *core,
                                     struct sip_fault *fault)
{
    static const struct {
        enum sip_hdr_id id;
        const char *why;
    } lists[] = {
        {SIP_HDR_CONTACT, "Bad Contact"},
        {SIP_HDR_ROUTE, "Bad Route"},
        {SIP_HDR_RECORD_ROUTE, "Bad Record-Route"},
        {SIP_HDR_PATH, "Bad Path"},
    };
    struct way_check c = {m, way_room(m->bytes), core, fault};
    way_clear(core, sizeof(*core));
    *fault = (struct sip_fault){0};
    if (m->is_request) {
        way_check_request_uri(&c);
    }
    way_check_vias(&c);
    core->has_from = way_check_party(&c, SIP_HDR_FROM, &core->from, &core->from_uri);
    core->has_to = way_check_party(&c, SIP_HDR_TO, &core->to, &core->to_uri);
    way_check_ids(&c);
    way_check_max_forwards(&c);
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (m->first[lists[i].id] != 0) {
            way_check_addresses(&c, lists[i].id, lists[i].why);
        }
    }
    if (m->has_repeats) {
        way_check_single(&c);
    }
    if (fault->why != NULL) {
        return ERR_MALFORMED;
    }
    if (m->is_request && core->uri.scheme == SIP_URI_OTHER) {
        way_fault(&c, 416, (size_t)(m->request_uri.data - m->bytes.data), "Unsupported URI Scheme");
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}
