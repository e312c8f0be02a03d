/* SPDX-License-Identifier: Apache-2.0 */
/* show_sip.c - see show_sip.h. */
#include "codec/show_sip.h"
#include "codec/show_inside.h"
#include "codec/sip_parser.h"

static enum err finish(const struct show *s)
{
    return wr_ok(s->w) ? ERR_OK : ERR_TOO_LARGE;
}

/* ---- values that may be absent */

static void show_null_of(struct show *s, const char *name)
{
    show_key(s, name);
    show_text(s, "null");
}

static void show_string_of(struct show *s, const char *name, bool has, struct slice text)
{
    if (!has) {
        show_null_of(s, name);
        return;
    }
    show_key(s, name);
    show_string(s, text);
}

static void show_optional_of(struct show *s, const char *name, bool has, uint64_t v)
{
    if (!has) {
        show_null_of(s, name);
        return;
    }
    show_number_of(s, name, v);
}

/* ---- header fields; all of them were found good */

static void show_party(struct show *s, const char *name, const struct sip_hdr_address *in)
{
    show_key(s, name);
    show_text(s, "{");
    show_string_of(s, "uri", true, in->uri);
    show_string_of(s, "tag", in->has_tag, in->tag);
    show_text(s, "}");
}

static void show_transport(struct show *s, struct slice token)
{
    uint8_t *p = wr_claim(s->w, token.len + 2);
    if (p == NULL) {
        return;
    }
    *p++ = '"';
    for (size_t i = 0; i < token.len; i++) { /* a token needs no escapes */
        uint8_t c = token.data[i];
        *p++ = c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
    }
    *p = '"';
}

static void show_vias(struct show *s, const struct sip_msg *m)
{
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_VIA);
    struct sip_hdr_via via;
    struct slice item;
    show_key(s, "via");
    show_text(s, "[");
    while (sip_msg_items_next(&it, &item) == ERR_OK && sip_hdr_via_decode(item, &via) == ERR_OK) {
        show_comma(s);
        show_text(s, "{\"transport\":");
        show_transport(s, via.transport_text);
        show_string_of(s, "host", true, via.host);
        show_optional_of(s, "port", via.port != 0, via.port);
        show_string_of(s, "branch", via.has_branch, via.branch);
        show_text(s, "}");
    }
    show_text(s, "]");
}

static void show_addresses(struct show *s, const char *name, const struct sip_msg *m,
                           enum sip_hdr_id id)
{
    struct sip_msg_items it = sip_msg_items(m, id);
    struct sip_hdr_address address;
    struct slice item;
    show_key(s, name);
    show_text(s, "[");
    while (sip_msg_items_next(&it, &item) == ERR_OK &&
           sip_hdr_address_decode(item, &address) == ERR_OK) {
        show_comma(s);
        show_string(s, address.is_star ? SLICE_LITERAL("*") : address.uri);
    }
    show_text(s, "]");
}

static void show_numbers(struct show *s, const struct sip_msg *m, const struct sip_msg_core *core)
{
    uint32_t seconds = 0, length = 0;
    enum err e = sip_hdr_number_decode(sip_msg_first(m, SIP_HDR_EXPIRES), UINT32_MAX, &seconds);
    if (e == ERR_TOO_LARGE) {
        seconds = UINT32_MAX;
    }
    show_optional_of(s, "max_forwards", core->has_max_forwards, core->max_forwards);
    show_optional_of(s, "expires", e != ERR_MALFORMED, seconds);
    e = sip_hdr_number_decode(sip_msg_first(m, SIP_HDR_CONTENT_LENGTH), UINT32_MAX, &length);
    show_optional_of(s, "content_length", e == ERR_OK, length);
    show_number_of(s, "body_bytes", m->body.len);
}

static void show_fields(struct show *s, const struct sip_msg *m, const struct sip_msg_core *core)
{
    show_text(s, "{\"fields\":{\"kind\":");
    show_text(s, m->is_request ? "\"request\"" : "\"response\"");
    show_string_of(s, "method", m->is_request, m->method_text);
    show_string_of(s, "request_uri", m->is_request, m->request_uri);
    show_optional_of(s, "status", !m->is_request, m->status);
    show_string_of(s, "call_id", true, core->call_id);
    show_key(s, "cseq");
    show_text(s, "{");
    show_number_of(s, "number", core->cseq.number);
    show_string_of(s, "method", true, core->cseq.method_text);
    show_text(s, "}");
    show_party(s, "from", &core->from);
    show_party(s, "to", &core->to);
    show_vias(s, m);
    show_addresses(s, "contacts", m, SIP_HDR_CONTACT);
    show_addresses(s, "routes", m, SIP_HDR_ROUTE);
    show_addresses(s, "record_routes", m, SIP_HDR_RECORD_ROUTE);
    show_numbers(s, m, core);
    show_text(s, "}}");
}

/* ---- messages */

/* What on_message of sip/sip.c and is_sound of sip/proxy.c think of what the parser found, as far
 * as they need nothing but the message. */
static bool is_accepted(const struct sip_parser *p, enum sip_parse parsed,
                        struct sip_msg_core *core, struct sip_fault *fault)
{
    if (parsed != SIP_PARSE_OK) {
        *fault = p->fault;
        return false;
    }
    return sip_msg_check(&p->msg, core, fault) == ERR_OK &&
           sip_msg_check_extensions(&p->msg, fault) == ERR_OK;
}

/* As the parser tells them apart, which may not have come so far. */
static bool is_response(struct slice message)
{
    return slice_is_equal_nocase(slice_sub(message, 0, 4), SLICE_LITERAL("SIP/"));
}

static void show_refusal(struct show *s, const char *why, bool has_status, unsigned status,
                         size_t offset)
{
    show_text(s, "{\"reject\":");
    show_string(s, slice_of(why, strlen(why)));
    show_optional_of(s, "status", has_status, status);
    show_number_of(s, "offset", offset);
    show_text(s, "}");
}

enum err show_sip_message(struct slice in, struct wr *w)
{
    struct show s = {NULL, w, NULL};
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&p, false);
    enum sip_parse parsed = sip_parser_datagram(&p, in);
    if (parsed == SIP_PARSE_OK && p.event != SIP_EVENT_MESSAGE) {
        show_refusal(&s, "Keep-Alive, No Message", false, 0, 0);
    } else if (is_accepted(&p, parsed, &core, &fault)) {
        show_fields(&s, &p.msg, &core);
    } else { /* faults count from the message, in front of which CRLFs may stand */
        size_t before = p.msg.bytes.len == 0 ? 0 : (size_t)(p.msg.bytes.data - in.data);
        show_refusal(&s, fault.why, !is_response(p.msg.bytes), fault.status, before + fault.offset);
    }
    return finish(&s);
}

static void show_framed(struct show *s, const struct sip_parser *p, enum sip_parse parsed,
                        size_t offset)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    show_comma(s);
    show_text(s, "{");
    show_number_of(s, "offset", offset);
    show_number_of(s, "bytes", p->consumed);
    show_number_of(s, "body_bytes", p->msg.body.len);
    if (!is_accepted(p, parsed, &core, &fault)) {
        show_key(s, "reject");
        show_string(s, slice_of(fault.why, strlen(fault.why)));
    }
    show_text(s, "}");
}

enum err show_sip_stream(struct slice in, struct wr *w)
{
    struct show s = {NULL, w, NULL};
    struct sip_parser p;
    const char *after = "\"open\"";
    size_t done = 0;
    sip_parser_init(&p, true);
    show_text(&s, "{\"messages\":[");
    while (done < in.len && wr_ok(w)) {
        enum sip_parse parsed = sip_parser_feed(&p, slice_from(in, done));
        if (parsed == SIP_PARSE_MORE || p.consumed == 0) {
            after = parsed == SIP_PARSE_MORE ? "\"wait\"" : "\"close\"";
            break;
        }
        if (parsed == SIP_PARSE_BAD || p.event == SIP_EVENT_MESSAGE) {
            show_framed(&s, &p, parsed, done);
        }
        done += p.consumed;
    }
    show_text(&s, "]");
    show_number_of(&s, "rest_bytes", in.len - done);
    show_key(&s, "after");
    show_text(&s, after);
    show_text(&s, "}");
    return finish(&s);
}

/* ---- URIs */

static bool decode_uri(struct show *s, struct slice text, struct sip_uri *out, const char *bad,
                       const char *large)
{
    enum err e = sip_uri_decode(text, out);
    if (e != ERR_OK) {
        show_text(s, "{\"reject\":\"");
        show_text(s, e == ERR_TOO_LARGE ? large : bad);
        show_text(s, "\",\"offset\":0}");
    }
    return e == ERR_OK;
}

enum err show_sip_uri_pair(struct slice a, struct slice b, struct wr *w)
{
    struct show s = {NULL, w, NULL};
    struct sip_uri left, right;
    if (decode_uri(&s, a, &left, "a: not a URI (RFC 3261 25.1)", "a: too many parameters") &&
        decode_uri(&s, b, &right, "b: not a URI (RFC 3261 25.1)", "b: too many parameters")) {
        show_text(&s, "{");
        show_boolean_of(&s, "equal", sip_uri_is_equal(&left, &right));
        show_text(&s, "}");
    }
    return finish(&s);
}
