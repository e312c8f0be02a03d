/* SPDX-License-Identifier: Apache-2.0 */
/* Writing messages.  One function puts bytes and checks the space; all others are made of it. */
#include "codec/sip_write.h"

/* A byte below 0x0e among the eight: CR, LF, and some that are harmless. */
static bool has_control(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return ((eight - ones * 0x0e) & ~eight & ones * 0x80) != 0;
}

/* How far there is nothing that could end a line. */
static size_t skip_plain(struct slice s)
{
    size_t i = 0;
    uint64_t eight = 0;
    for (; i + sizeof(eight) <= s.len; i += sizeof(eight)) {
        memcpy(&eight, s.data + i, sizeof(eight));
        if (has_control(eight)) {
            return i;
        }
    }
    if (i > 0 && i < s.len) { /* the last eight, some of them once more */
        memcpy(&eight, s.data + s.len - sizeof(eight), sizeof(eight));
        return has_control(eight) ? i : s.len;
    }
    return i;
}

bool sip_write_is_line(struct slice s)
{
    for (size_t i = skip_plain(s); i < s.len; i++) {
        if (s.data[i] == '\n') {
            return false; /* a good one was skipped with its CR */
        }
        if (s.data[i] == '\r') {
            if (s.len - i < 3 || s.data[i + 1] != '\n' ||
                (s.data[i + 2] != ' ' && s.data[i + 2] != '\t')) {
                return false;
            }
            i += 2;
        }
    }
    return true;
}

void sip_write_init(struct sip_writer *w, uint8_t *buffer, size_t cap)
{
    *w = (struct sip_writer){.data = buffer, .cap = cap, .error = ERR_OK};
}

static void fail(struct sip_writer *w, enum err e)
{
    if (w->error == ERR_OK) {
        w->error = e;
    }
}

void sip_write_slice(struct sip_writer *w, struct slice s)
{
    if (w->error != ERR_OK || s.len == 0) {
        return;
    }
    if (s.len > w->cap - w->len) {
        fail(w, ERR_TOO_LARGE);
        return;
    }
    memcpy(w->data + w->len, s.data, s.len);
    w->len += s.len;
}

void sip_write_u32(struct sip_writer *w, uint32_t number)
{
    uint8_t digits[10];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    sip_write_slice(w, slice_of(digits + at, sizeof(digits) - at));
}

static void write_line_text(struct sip_writer *w, struct slice s)
{
    if (!sip_write_is_line(s)) {
        fail(w, ERR_MALFORMED);
    }
    sip_write_slice(w, s);
}

static void write_crlf(struct sip_writer *w)
{
    sip_write_slice(w, SLICE_LITERAL("\r\n"));
}

void sip_write_request_line(struct sip_writer *w, struct slice method, struct slice uri)
{
    bool is_uri = uri.len > 0;
    for (size_t i = 0; i < uri.len; i++) {
        is_uri = is_uri && uri.data[i] > ' ';
    }
    if (!sip_lex_is_token(method) || !is_uri) {
        fail(w, ERR_MALFORMED);
    }
    sip_write_slice(w, method);
    sip_write_text(w, " ");
    sip_write_slice(w, uri);
    sip_write_text(w, " SIP/2.0\r\n");
}

void sip_write_status_line(struct sip_writer *w, unsigned status, struct slice reason)
{
    CHECK(status >= 100 && status <= 699);
    sip_write_text(w, "SIP/2.0 ");
    sip_write_u32(w, status);
    sip_write_text(w, " ");
    write_line_text(w, reason);
    write_crlf(w);
}

void sip_write_header_begin(struct sip_writer *w, enum sip_hdr_id id)
{
    CHECK(id != SIP_HDR_OTHER);
    sip_write_slice(w, sip_hdr_name(id));
    sip_write_text(w, ": ");
}

void sip_write_header_end(struct sip_writer *w)
{
    write_crlf(w);
}

void sip_write_header(struct sip_writer *w, enum sip_hdr_id id, struct slice value)
{
    sip_write_header_begin(w, id);
    write_line_text(w, value);
    write_crlf(w);
}

void sip_write_header_u32(struct sip_writer *w, enum sip_hdr_id id, uint32_t value)
{
    sip_write_header_begin(w, id);
    sip_write_u32(w, value);
    write_crlf(w);
}

void sip_write_header_named(struct sip_writer *w, struct slice name, struct slice value)
{
    if (!sip_lex_is_token(name)) {
        fail(w, ERR_MALFORMED);
    }
    sip_write_slice(w, name);
    sip_write_text(w, ": ");
    write_line_text(w, value);
    write_crlf(w);
}

void sip_write_quoted(struct sip_writer *w, struct slice text)
{
    sip_write_text(w, "\"");
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            sip_write_text(w, "\\");
        }
        c = c < ' ' || c == 0x7f ? ' ' : c;
        sip_write_slice(w, slice_of(&c, 1));
    }
    sip_write_text(w, "\"");
}

void sip_write_aor(struct sip_writer *w, struct slice scheme, struct slice aor)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = aor.len;
    while (at > 0 && aor.data[at - 1] != '@') {
        at--;
    }
    sip_write_slice(w, scheme);
    for (size_t i = 0; i + 1 < at; i++) {
        uint8_t c = aor.data[i];
        const char escape[] = {'%', digits[c >> 4], digits[c & 15]};
        bool is_plain = (sip_lex_class[c] & SIP_LEX_USER) != 0;
        sip_write_slice(w, is_plain ? slice_of(&c, 1) : slice_of(escape, sizeof(escape)));
    }
    sip_write_slice(w, slice_from(aor, at > 0 ? at - 1 : 0));
}

void sip_write_copy(struct sip_writer *w, const struct sip_msg *from, enum sip_hdr_id id)
{
    for (unsigned next = from->first[id]; next != 0; next = from->headers[next - 1].next) {
        sip_write_header(w, id, sip_msg_value(from, next - 1));
    }
}

void sip_write_body(struct sip_writer *w, struct slice type, struct slice body)
{
    CHECK(body.len <= UINT32_MAX);
    if (type.len > 0) {
        sip_write_header(w, SIP_HDR_CONTENT_TYPE, type);
    }
    sip_write_header_u32(w, SIP_HDR_CONTENT_LENGTH, (uint32_t)body.len);
    write_crlf(w);
    sip_write_slice(w, body);
}

enum err sip_write_finish(const struct sip_writer *w, struct slice *message)
{
    *message = w->error == ERR_OK ? slice_of(w->data, w->len) : SLICE_EMPTY;
    return w->error;
}

void sip_write_via(struct sip_writer *w, const struct sip_hdr_via *via, struct slice received,
                   uint16_t rport)
{
    struct slice rest = via->params;
    write_line_text(w, slice_sub(via->text, 0, via->text.len - rest.len));
    for (;;) {
        struct slice before = rest;
        struct sip_lex_param param;
        if (sip_lex_param(&rest, &param) != ERR_OK) {
            break;
        }
        if (rport != 0 && via->has_rport && param.name.data == via->rport_name.data) {
            sip_write_text(w, ";rport=");
            sip_write_u32(w, rport);
        } else if (received.len == 0 || !sip_lex_is_word(param.name, SLICE_LITERAL("received"))) {
            write_line_text(w, sip_lex_trim(slice_sub(before, 0, before.len - rest.len)));
        }
    }
    if (received.len > 0) {
        sip_write_text(w, ";received=");
        write_line_text(w, received);
    }
}

/* All Via headers; the topmost value is marked with where the request came from. */
static void write_vias(struct sip_writer *w, const struct sip_msg *request,
                       const struct sip_msg_core *core, const struct sip_write_reply *reply)
{
    bool is_marking = core->has_via && (reply->received.len > 0 || reply->rport != 0);
    unsigned next = request->first[SIP_HDR_VIA];
    for (; next != 0; next = request->headers[next - 1].next) {
        struct slice value = sip_msg_value(request, next - 1);
        if (!is_marking || core->via.text.data != value.data) {
            sip_write_header(w, SIP_HDR_VIA, value);
            continue;
        }
        sip_write_header_begin(w, SIP_HDR_VIA);
        sip_write_via(w, &core->via, reply->received, reply->rport);
        write_line_text(w, slice_from(value, core->via.text.len));
        write_crlf(w);
    }
}

/* The first header of `id`; a faulty request may lack it (RFC 4475 3.3.1). */
static void write_there(struct sip_writer *w, const struct sip_msg *request, enum sip_hdr_id id)
{
    if (sip_msg_has(request, id)) {
        sip_write_header(w, id, sip_msg_first(request, id));
    }
}

void sip_write_response(struct sip_writer *w, const struct sip_msg *request,
                        const struct sip_msg_core *core, const struct sip_write_reply *reply)
{
    struct slice reason = reply->reason.len > 0 ? reply->reason : sip_write_reason(reply->status);
    sip_write_status_line(w, reply->status, reason);
    write_vias(w, request, core, reply);
    if (reply->record_route) {
        sip_write_copy(w, request, SIP_HDR_RECORD_ROUTE);
    }
    write_there(w, request, SIP_HDR_FROM);
    if (sip_msg_has(request, SIP_HDR_TO)) {
        sip_write_header_begin(w, SIP_HDR_TO);
        write_line_text(w, sip_msg_first(request, SIP_HDR_TO));
        if (reply->to_tag.len > 0 && core->has_to && !core->to.has_tag) {
            sip_write_text(w, ";tag=");
            write_line_text(w, reply->to_tag);
        }
        write_crlf(w);
    }
    write_there(w, request, SIP_HDR_CALL_ID);
    write_there(w, request, SIP_HDR_CSEQ);
    if (reply->status == 100) {
        sip_write_copy(w, request, SIP_HDR_TIMESTAMP);
    }
}

void sip_write_hop_request(struct sip_writer *w, const struct sip_msg *invite,
                           enum sip_method method, struct slice to, struct slice reason)
{
    struct sip_msg_items vias = sip_msg_items(invite, SIP_HDR_VIA);
    struct slice via;
    struct sip_hdr_cseq cseq;
    if (method != SIP_METHOD_CANCEL && method != SIP_METHOD_ACK) {
        fail(w, ERR_STATE);
        return;
    }
    if (sip_msg_items_next(&vias, &via) != ERR_OK ||
        sip_hdr_cseq_decode(sip_msg_first(invite, SIP_HDR_CSEQ), &cseq) != ERR_OK) {
        fail(w, ERR_MALFORMED);
        return;
    }
    sip_write_request_line(w, sip_hdr_method_name(method), invite->request_uri);
    sip_write_header(w, SIP_HDR_VIA, via);
    if (sip_msg_has(invite, SIP_HDR_MAX_FORWARDS)) {
        sip_write_copy(w, invite, SIP_HDR_MAX_FORWARDS);
    } else {
        sip_write_header_u32(w, SIP_HDR_MAX_FORWARDS, 70);
    }
    sip_write_copy(w, invite, SIP_HDR_ROUTE);
    sip_write_header(w, SIP_HDR_FROM, sip_msg_first(invite, SIP_HDR_FROM));
    sip_write_header(w, SIP_HDR_TO, to.len > 0 ? to : sip_msg_first(invite, SIP_HDR_TO));
    sip_write_header(w, SIP_HDR_CALL_ID, sip_msg_first(invite, SIP_HDR_CALL_ID));
    sip_write_header_begin(w, SIP_HDR_CSEQ);
    sip_write_u32(w, cseq.number);
    sip_write_text(w, " ");
    sip_write_slice(w, sip_hdr_method_name(method));
    write_crlf(w);
    if (reason.len > 0) {
        sip_write_header(w, SIP_HDR_REASON, reason);
    }
    sip_write_body(w, SLICE_EMPTY, SLICE_EMPTY);
}

struct slice sip_write_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } phrases[] = {
#define SIP_REASON(status, text) {status, text},
#include "codec/sip_reason.def"
#undef SIP_REASON
    };
    for (size_t i = 0; i < ARRAY_COUNT(phrases); i++) {
        if (phrases[i].status == status) {
            return slice_text(phrases[i].text);
        }
    }
    return SLICE_LITERAL("Unknown");
}
