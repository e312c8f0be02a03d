/* SPDX-License-Identifier: Apache-2.0 */
/* Finding messages.  One machine for streams and datagrams:
 *
 *     IDLE --CRLF--> event            START --line--> HEADERS --empty line--> BODY --> message
 *       \--other byte--> START          any state --framing lost--> LOST
 *
 * The lines are read by sip_way_head.h.  A fault that leaves the framing intact is noted in
 * `pending` and the
 * message read to its end, so that a stream survives it and a request can be answered. */
#include "codec/sip_parser.h"
#include "codec/sip_way.h"

/* Starts on the next message; what belongs to the connection stays. */
static void reset(struct sip_parser *p)
{
    memset(p->msg.first, 0, sizeof(p->msg.first));
    p->msg.is_request = p->msg.has_repeats = false;
    p->msg.method = SIP_METHOD_OTHER;
    p->msg.status = 0;
    p->msg.header_count = 0;
    p->msg.body = SLICE_EMPTY;
    p->msg.method_text = SLICE_EMPTY;
    p->msg.request_uri = SLICE_EMPTY;
    p->msg.reason = SLICE_EMPTY;
    p->fault = p->pending = (struct sip_fault){0};
    p->event = SIP_EVENT_MESSAGE;
    p->consumed = p->scan = p->line = p->colon = p->head_end = p->body_len = 0;
    p->has_length = false;
    p->method_len = p->part = p->part_len = 0;
    p->state = SIP_WAY_IDLE;
}

void sip_parser_init(struct sip_parser *p, bool is_stream)
{
    p->is_stream = is_stream;
    p->is_after_crlf = false;
    p->msg.bytes = SLICE_EMPTY;
    reset(p);
}

uint16_t sip_parser_judge_version(struct slice s)
{
    static const struct slice ours = SLICE_LITERAL("SIP/2.0");
    if (slice_is_equal(s, ours) || slice_is_equal_nocase(s, ours)) {
        return 0;
    }
    if (s.len < 7 || !slice_is_equal_nocase(slice_sub(s, 0, 4), SLICE_LITERAL("SIP/"))) {
        return 400;
    }
    unsigned dots = 0;
    for (size_t i = 4; i < s.len; i++) {
        bool is_inner = i > 4 && i + 1 < s.len;
        if (s.data[i] == '.' && is_inner) {
            dots++;
        } else if ((sip_lex_class[s.data[i]] & SIP_LEX_DIGIT) == 0) {
            return 400;
        }
    }
    return dots == 1 ? 505 : 400;
}

/* The slices of the result, now that it is known where the bytes stand. */
static void set_slices(struct sip_parser *p, struct slice bytes)
{
    struct sip_msg *m = &p->msg;
    if (bytes.len == 0) {
        bytes = SLICE_LITERAL(""); /* offsets may be added to it */
    }
    m->bytes = bytes;
    m->method_text = slice_of(bytes.data, p->method_len);
    struct slice part = slice_of(bytes.data + p->part, p->part_len);
    if (m->is_request) {
        m->request_uri = part;
    } else {
        m->reason = part;
    }
}

static enum sip_parse lose(struct sip_parser *p, struct slice bytes)
{
    set_slices(p, bytes);
    p->fault = p->pending;
    p->consumed = 0;
    p->state = SIP_WAY_LOST;
    return SIP_PARSE_BAD;
}

/* The message is whole: [0, head_end + body_len). */
static enum sip_parse finish(struct sip_parser *p, struct slice bytes)
{
    set_slices(p, slice_sub(bytes, 0, (size_t)p->head_end + p->body_len));
    p->msg.body = slice_of(bytes.data + p->head_end, p->body_len);
    p->consumed = p->head_end + p->body_len;
    p->fault = p->pending;
    p->state = SIP_WAY_IDLE;
    return p->fault.why == NULL ? SIP_PARSE_OK : SIP_PARSE_BAD;
}

static enum sip_parse read_body(struct sip_parser *p, struct slice bytes)
{
    if (!p->has_length) {
        if (p->is_stream) {
            sip_way_note(p, 400, 0, "Content-Length Missing");
            return lose(p, bytes);
        }
        p->body_len = (uint32_t)min_size(bytes.len - p->head_end, UINT32_MAX);
    }
    if (p->body_len > SIP_MSG_BYTES_CAP - p->head_end) {
        sip_way_note(p, 513, p->head_end, "Message Too Large");
        return lose(p, bytes);
    }
    if (bytes.len - p->head_end < p->body_len) {
        return SIP_PARSE_MORE;
    }
    return finish(p, bytes);
}

HOT static enum sip_parse read_head(struct sip_parser *p, struct slice bytes)
{
    enum sip_way_lines found = SIP_WAY_CALL(sip_way_best(), lines, p, bytes);
    if (found == SIP_WAY_LINES_LOST) {
        return lose(p, bytes);
    }
    return found == SIP_WAY_LINES_MORE ? SIP_PARSE_MORE : SIP_PARSE_OK;
}

/* Between messages: CRLFs are events, a token starts a message. */
static enum sip_parse read_idle(struct sip_parser *p, struct slice bytes)
{
    reset(p);
    if (bytes.len == 0) {
        return SIP_PARSE_MORE;
    }
    if (bytes.data[0] == '\r') {
        if (bytes.len == 1) {
            return SIP_PARSE_MORE;
        }
        if (bytes.data[1] == '\n') {
            p->event = p->is_after_crlf ? SIP_EVENT_PING : SIP_EVENT_CRLF;
            p->is_after_crlf = !p->is_after_crlf;
            p->consumed = 2;
            return SIP_PARSE_OK;
        }
    }
    if ((sip_lex_class[bytes.data[0]] & SIP_LEX_TOKEN) == 0) {
        sip_way_note(p, 400, 0, "Not SIP");
        return lose(p, bytes);
    }
    p->is_after_crlf = false;
    p->state = SIP_WAY_START;
    return read_head(p, bytes);
}

enum sip_parse sip_parser_feed(struct sip_parser *p, struct slice bytes)
{
    enum sip_parse result = SIP_PARSE_BAD;
    switch ((enum sip_way_state)p->state) {
    case SIP_WAY_IDLE:
        result = read_idle(p, bytes);
        break;
    case SIP_WAY_START:
    case SIP_WAY_HEADERS:
        result = read_head(p, bytes);
        break;
    case SIP_WAY_BODY:
        result = SIP_PARSE_OK;
        break;
    case SIP_WAY_LOST:
        break;
    }
    return result == SIP_PARSE_OK && p->state == SIP_WAY_BODY ? read_body(p, bytes) : result;
}

enum sip_parse sip_parser_datagram(struct sip_parser *p, struct slice bytes)
{
    p->is_stream = false;
    p->is_after_crlf = false;
    p->state = SIP_WAY_IDLE;
    size_t pings = 0;
    while (bytes.len - pings >= 2 && memcmp(bytes.data + pings, "\r\n", 2) == 0) {
        pings += 2;
    }
    if (pings > 0 && pings == bytes.len) {
        reset(p);
        p->event = pings >= 4 ? SIP_EVENT_PING : SIP_EVENT_CRLF;
        p->consumed = (uint32_t)min_size(pings, UINT32_MAX);
        return SIP_PARSE_OK;
    }
    enum sip_parse result = sip_parser_feed(p, slice_from(bytes, pings));
    if (result != SIP_PARSE_MORE) {
        return result;
    }
    bytes = slice_from(bytes, pings);
    if (p->state ==
        SIP_WAY_BODY) { /* 18.3: SHOULD be answered with 400, for which the head is enough */
        sip_way_note(p, 400, p->head_end, "Body Cut Short");
        p->body_len = (uint32_t)(bytes.len - p->head_end);
        return finish(p, bytes);
    }
    sip_way_note(p, 400, p->head_end, "Head Cut Short");
    return lose(p, bytes);
}
