/* SPDX-License-Identifier: Apache-2.0 */
/* Finding messages.  One machine for streams and datagrams:
 *
 *     IDLE --CRLF--> event            START --line--> HEADERS --empty line--> BODY --> message
 *       \--other byte--> START          any state --framing lost--> LOST
 *
 * The only inner loop looks for the next control character, 64 bytes at a time; a CR ends the
 * line, anything else is a fault.  A line is complete once the byte behind its CRLF shows that it
 * does not go on (folding).  A fault that leaves the framing intact is noted in `pending` and the
 * message read to its end, so that a stream survives it and a request can be answered. */
#include "codec/sip_parser.h"
#include "codec/sip_scan.h"

enum state { IDLE, START, HEADERS, BODY, LOST };
enum line { LINE_FOUND, LINE_MORE, LINE_LOST };

/* Starts on the next message; what belongs to the connection stays. */
static void reset(struct sip_parser *p)
{
    memset(p->msg.first, 0, sizeof(p->msg.first));
    memset(p->last, 0, sizeof(p->last));
    p->msg.is_request = false;
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
    p->state = IDLE;
}

void sip_parser_init(struct sip_parser *p, bool is_stream)
{
    p->is_stream = is_stream;
    p->is_after_crlf = false;
    p->msg.bytes = SLICE_EMPTY;
    reset(p);
}

/* The first fault counts. */
static void note(struct sip_parser *p, uint16_t status, size_t offset, const char *why)
{
    if (p->pending.why == NULL) {
        p->pending = (struct sip_fault){status, (uint32_t)offset, why};
    }
}

/* What is kept in registers while lines are read, p->scan, line and colon among it. */
struct walk {
    const uint8_t *data;
    size_t end;   /* of what has arrived and may belong to the head */
    size_t block; /* offset of the block that was scanned last; SIZE_MAX = none yet */
    struct sip_scan_lines found;
    size_t scan;
    size_t line;
    size_t colon;
};

/* Offset of the next control character from `i` on, w->end when there is none.  Notes the first
 * colon of the line on the way. */
HOT static inline size_t find_control(struct walk *w, size_t i)
{
    while (i < w->end) {
        size_t block = i & ~(size_t)(SIP_SCAN_BLOCK - 1);
        if (block != w->block) {
            w->block = block;
            w->found = sip_scan_lines(w->data + block, w->end - block);
        }
        size_t shift = i - block;
        uint64_t colons = w->found.colons >> shift;
        uint64_t controls = w->found.controls >> shift;
        if (w->colon == 0 && colons != 0) {
            w->colon = i + (size_t)__builtin_ctzll(colons);
        }
        if (controls != 0) {
            return i + (size_t)__builtin_ctzll(controls);
        }
        i = block + SIP_SCAN_BLOCK;
    }
    return w->end;
}

/* Looks for the CRLF of the line (or of its next fold) from w->scan on. */
HOT static inline enum line find_line_end(struct sip_parser *p, struct walk *w, size_t *eol)
{
    size_t limit = min_size(SIP_MSG_HEAD_CAP, w->line + SIP_MSG_LINE_CAP);
    size_t end = min_size(w->end, limit);
    size_t i = w->scan;
    for (;;) {
        i = find_control(w, i);
        if (UNLIKELY(i >= end || (i + 1 == end && w->data[i] == '\r'))) {
            w->scan = min_size(i, end);
            if (w->end < limit) {
                return LINE_MORE;
            }
            note(p, 513, w->line, "Header Too Large");
            return LINE_LOST;
        }
        uint8_t c = w->data[i];
        if (LIKELY(c == '\r' && w->data[i + 1] == '\n')) {
            *eol = i;
            return LINE_FOUND;
        }
        if (c == '\r' || c == '\n') {
            note(p, 400, i, "Bare CR Or LF");
            return LINE_LOST;
        }
        if (c != '\t' && (i == w->line || w->data[i - 1] != '\\')) {
            note(p, 400, i, "Control Character");
        }
        i++;
    }
}

/* "SIP/2.0", any case: 0; another version: 505; anything else: 400. */
static uint16_t judge_version(struct slice s)
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

static size_t find_space(struct slice s, size_t i)
{
    const uint8_t *space = i >= s.len ? NULL : memchr(s.data + i, ' ', s.len - i);
    return space == NULL ? s.len : (size_t)(space - s.data);
}

/* SIP-Version SP 3DIGIT SP Reason; the last SP may lack when the reason is empty. */
static void read_status_line(struct sip_parser *p, struct slice line)
{
    size_t version_len = find_space(line, 0);
    uint16_t version = judge_version(slice_sub(line, 0, version_len));
    if (version != 0) {
        note(p, version, 0, version == 505 ? "Version Not Supported" : "Bad Status-Line");
        return;
    }
    uint32_t status = 0;
    struct slice rest = slice_from(line, version_len + 1);
    if (rest.len < 3 || (rest.len > 3 && rest.data[3] != ' ') ||
        sip_lex_u32(slice_sub(rest, 0, 3), 699, &status) != ERR_OK || status < 100) {
        note(p, 400, version_len, "Bad Status-Code");
        return;
    }
    p->msg.status = (uint16_t)status;
    p->part = (uint16_t)min_size(version_len + 5, line.len);
    p->part_len = (uint16_t)(line.len - p->part);
}

/* Method SP Request-URI SP SIP-Version, one SP each (RFC 3261 7.1). */
static void read_request_line(struct sip_parser *p, struct slice line)
{
    size_t method_len = find_space(line, 0);
    size_t uri = min_size(method_len + 1, line.len);
    size_t uri_end = find_space(line, uri);
    struct slice method = slice_sub(line, 0, method_len);
    uint16_t version = judge_version(slice_from(line, uri_end + 1));
    p->msg.is_request = true;
    if (!sip_lex_is_token(method) || uri_end == uri || version == 400) {
        note(p, 400, 0, "Bad Request-Line");
        return;
    }
    if (version != 0) {
        note(p, version, uri_end + 1, "Version Not Supported");
    }
    p->msg.method = sip_hdr_method(method);
    p->method_len = (uint16_t)method_len;
    p->part = (uint16_t)uri;
    p->part_len = (uint16_t)(uri_end - uri);
}

static void read_start_line(struct sip_parser *p, struct slice line)
{
    if (line.len >= 4 && slice_is_equal_nocase(slice_sub(line, 0, 4), SLICE_LITERAL("SIP/"))) {
        read_status_line(p, line);
    } else {
        read_request_line(p, line);
    }
}

/* Content-Length frames, so it is read at once.  False: no telling where the message ends, unless
 * it is a datagram. */
static bool read_length(struct sip_parser *p, struct slice value, size_t offset)
{
    uint32_t length = 0;
    if (sip_hdr_number_decode(value, INT32_MAX, &length) != ERR_OK) {
        note(p, 400, offset, "Bad Content-Length");
        return false;
    }
    if (p->has_length && length != p->body_len) {
        note(p, 400, offset, "Conflicting Content-Length");
        return false;
    }
    p->has_length = true;
    p->body_len = length;
    return true;
}

static void add_header(struct sip_parser *p, const struct sip_msg_header *h)
{
    struct sip_msg *m = &p->msg;
    unsigned index = m->header_count;
    if (index == SIP_MSG_HEADERS_CAP) {
        note(p, 513, h->start, "Too Many Headers");
        return;
    }
    m->headers[index] = *h;
    m->header_count = (uint16_t)(index + 1);
    unsigned last = p->last[h->id];
    *(last == 0 ? &m->first[h->id] : &m->headers[last - 1].next) = (uint8_t)(index + 1);
    p->last[h->id] = (uint8_t)(index + 1);
}

/* field-name HCOLON field-value in [w->line, eol).  False: framing is lost. */
HOT static inline bool read_header(struct sip_parser *p, const struct walk *w, size_t eol)
{
    const uint8_t *data = w->data;
    size_t start = w->line;
    size_t name_end = w->colon;
    while (name_end > start && (data[name_end - 1] == ' ' || data[name_end - 1] == '\t')) {
        name_end--;
    }
    if (UNLIKELY(name_end <= start || w->colon >= eol)) {
        note(p, 400, start, "Bad Header Name");
        return true;
    }
    struct slice name = slice_of(data + start, name_end - start);
    enum sip_hdr_id id = sip_hdr_find(name);
    if (UNLIKELY(id == SIP_HDR_OTHER && !sip_lex_is_token(name))) {
        note(p, 400, start, "Bad Header Name");
        return true;
    }
    size_t value = w->colon + 1;
    value += data[value] == ' '; /* the usual one; at `eol` stands a CR */
    while (value < eol && sip_lex_is_space(data[value])) {
        value++;
    }
    size_t value_end = eol;
    while (value_end > value && sip_lex_is_space(data[value_end - 1])) {
        value_end--;
    }
    add_header(p, &(struct sip_msg_header){
                      .id = (uint8_t)id,
                      .start = (uint16_t)start,
                      .name_len = (uint16_t)name.len,
                      .value = (uint16_t)value,
                      .value_len = (uint16_t)(value_end - value),
                      .end = (uint16_t)(eol + 2),
                  });
    return id != SIP_HDR_CONTENT_LENGTH ||
           read_length(p, slice_of(data + value, value_end - value), value) || !p->is_stream;
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
    p->state = LOST;
    return SIP_PARSE_BAD;
}

/* The message is whole: [0, head_end + body_len). */
static enum sip_parse finish(struct sip_parser *p, struct slice bytes)
{
    set_slices(p, slice_sub(bytes, 0, (size_t)p->head_end + p->body_len));
    p->msg.body = slice_of(bytes.data + p->head_end, p->body_len);
    p->consumed = p->head_end + p->body_len;
    p->fault = p->pending;
    p->state = IDLE;
    return p->fault.why == NULL ? SIP_PARSE_OK : SIP_PARSE_BAD;
}

static enum sip_parse read_body(struct sip_parser *p, struct slice bytes)
{
    if (!p->has_length) {
        if (p->is_stream) {
            note(p, 400, 0, "Content-Length Missing");
            return lose(p, bytes);
        }
        p->body_len = (uint32_t)min_size(bytes.len - p->head_end, UINT32_MAX);
    }
    if (p->body_len > SIP_MSG_BYTES_CAP - p->head_end) {
        note(p, 513, p->head_end, "Message Too Large");
        return lose(p, bytes);
    }
    if (bytes.len - p->head_end < p->body_len) {
        return SIP_PARSE_MORE;
    }
    return finish(p, bytes);
}

/* The lines up to the empty one; FOUND: the head is whole. */
HOT static inline enum line read_lines(struct sip_parser *p, struct walk *w, size_t len)
{
    for (;;) {
        size_t eol = 0;
        enum line found = find_line_end(p, w, &eol);
        if (found != LINE_FOUND) {
            return found;
        }
        if (p->state == START) {
            read_start_line(p, slice_of(w->data, eol));
            p->state = HEADERS;
        } else if (eol == w->line) {
            p->head_end = (uint32_t)eol + 2;
            p->state = BODY;
            return LINE_FOUND;
        } else if (eol + 2 == len) {
            w->scan = eol; /* a fold may follow */
            return LINE_MORE;
        } else if (w->data[eol + 2] == ' ' || w->data[eol + 2] == '\t') {
            w->scan = eol + 2;
            continue;
        } else if (!read_header(p, w, eol)) {
            return LINE_LOST;
        }
        w->scan = w->line = eol + 2;
        w->colon = 0;
    }
}

HOT static enum sip_parse read_head(struct sip_parser *p, struct slice bytes)
{
    struct walk w = {
        .data = bytes.data,
        .end = min_size(bytes.len, SIP_MSG_HEAD_CAP),
        .block = SIZE_MAX,
        .scan = p->scan,
        .line = p->line,
        .colon = p->colon,
    };
    enum line found = read_lines(p, &w, bytes.len);
    p->scan = (uint32_t)w.scan;
    p->line = (uint32_t)w.line;
    p->colon = (uint32_t)w.colon;
    if (found == LINE_LOST) {
        return lose(p, bytes);
    }
    return found == LINE_MORE ? SIP_PARSE_MORE : SIP_PARSE_OK;
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
        note(p, 400, 0, "Not SIP");
        return lose(p, bytes);
    }
    p->is_after_crlf = false;
    p->state = START;
    return read_head(p, bytes);
}

enum sip_parse sip_parser_feed(struct sip_parser *p, struct slice bytes)
{
    enum sip_parse result = SIP_PARSE_BAD;
    switch ((enum state)p->state) {
    case IDLE:
        result = read_idle(p, bytes);
        break;
    case START:
    case HEADERS:
        result = read_head(p, bytes);
        break;
    case BODY:
        result = SIP_PARSE_OK;
        break;
    case LOST:
        break;
    }
    return result == SIP_PARSE_OK && p->state == BODY ? read_body(p, bytes) : result;
}

enum sip_parse sip_parser_datagram(struct sip_parser *p, struct slice bytes)
{
    p->is_stream = false;
    p->is_after_crlf = false;
    p->state = IDLE;
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
    if (p->state == BODY) { /* 18.3: SHOULD be answered with 400, for which the head is enough */
        note(p, 400, p->head_end, "Body Cut Short");
        p->body_len = (uint32_t)(bytes.len - p->head_end);
        return finish(p, bytes);
    }
    note(p, 400, p->head_end, "Head Cut Short");
    return lose(p, bytes);
}
