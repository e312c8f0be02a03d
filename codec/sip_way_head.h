/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_head.h - start line and headers of a message; see codec/sip_parser.c, sip_way_scan.h.
 *
 * The only inner loop looks for the next control character, a vector at a time; a CR ends the
 * line, anything else is a fault.  A line is complete once the byte behind its CRLF shows that it
 * does not go on (folding). */
#pragma once
#include "codec/sip_way_lex.h"

/* What is kept in registers while lines are read, p->scan, line and colon among it. */
struct way_walk {
    struct slice s;
    size_t len; /* of what has arrived */
    size_t end; /* of what has arrived and may belong to the head */
    size_t scan;
    size_t line;
    size_t colon;
};

enum way_line { WAY_LINE_FOUND, WAY_LINE_MORE, WAY_LINE_LOST };

/* A control character at `i`, not the CR of a CRLF: true when the line can go on behind it. */
WAY_COLD bool way_odd_control(struct sip_parser *p, const struct way_walk *w, size_t i)
{
    uint8_t c = w->s.data[i];
    if (c == '\r' || c == '\n') {
        sip_way_note(p, 400, i, "Bare CR Or LF");
        return false;
    }
    if (c != '\t' && (i == w->line || w->s.data[i - 1] != '\\')) {
        sip_way_note(p, 400, i, "Control Character");
    }
    return true;
}

/* Looks for the CRLF of the line (or of its next fold) from w->scan on. */
WAY_INLINE enum way_line way_line_end(struct sip_parser *p, struct way_walk *w, size_t *eol)
{
    size_t limit = min_size(SIP_MSG_HEAD_CAP, w->line + SIP_MSG_LINE_CAP);
    size_t end = min_size(w->end, limit);
    size_t i = w->scan;
    for (;;) {
        i = way_find_control(w->s, i, end, &w->colon);
        if (UNLIKELY(i + 1 >= end && (i == end || w->s.data[i] == '\r'))) {
            w->scan = i;
            if (w->end < limit) {
                return WAY_LINE_MORE;
            }
            sip_way_note(p, 513, w->line, "Header Too Large");
            return WAY_LINE_LOST;
        }
        if (LIKELY(w->s.data[i] == '\r' && w->s.data[i + 1] == '\n')) {
            *eol = i;
            return WAY_LINE_FOUND;
        }
        if (!way_odd_control(p, w, i)) {
            return WAY_LINE_LOST;
        }
        i++;
    }
}

/* "SIP/2.0", any case: 0; another version: 505; anything else: 400. */
WAY_INLINE uint16_t way_version(struct slice s)
{
    if (LIKELY(s.len == 7 && memcmp(s.data, "SIP/", 4) == 0 &&
               memcmp(s.data + 3, "/2.0", 4) == 0)) {
        return 0;
    }
    return sip_parser_judge_version(s);
}

/* SIP-Version SP 3DIGIT SP Reason; the last SP may lack when the reason is empty. */
WAY_INLINE void way_status_line(struct sip_parser *p, struct slice s, size_t end)
{
    size_t space = way_find(s, ' ', 0, end);
    uint16_t version = way_version(slice_of(s.data, space));
    if (version != 0) {
        sip_way_note(p, version, 0, version == 505 ? "Version Not Supported" : "Bad Status-Line");
        return;
    }
    uint32_t status = 0;
    size_t code = min_size(space + 1, end);
    if (end - code < 3 || (end - code > 3 && s.data[code + 3] != ' ') ||
        sip_lex_u32(slice_of(s.data + code, 3), 699, &status) != ERR_OK || status < 100) {
        sip_way_note(p, 400, space, "Bad Status-Code");
        return;
    }
    p->msg.status = (uint16_t)status;
    p->part = (uint16_t)min_size(space + 5, end);
    p->part_len = (uint16_t)(end - p->part);
}

/* Method SP Request-URI SP SIP-Version, one SP each (RFC 3261 7.1). */
WAY_INLINE void way_request_line(struct sip_parser *p, struct slice s, size_t end)
{
    size_t method = way_find(s, ' ', 0, end);
    size_t uri = min_size(method + 1, end);
    size_t uri_end = way_find(s, ' ', uri, end);
    size_t version_at = min_size(uri_end + 1, end);
    uint16_t version = way_version(slice_between(s, version_at, end));
    enum sip_method id = sip_hdr_method(slice_of(s.data, method));
    p->msg.is_request = true;
    if (uri_end == uri || version == 400 ||
        (id == SIP_METHOD_OTHER && !sip_lex_is_token(slice_of(s.data, method)))) {
        sip_way_note(p, 400, 0, "Bad Request-Line");
        return;
    }
    if (version != 0) {
        sip_way_note(p, version, uri_end + 1, "Version Not Supported");
    }
    p->msg.method = id;
    p->method_len = (uint16_t)method;
    p->part = (uint16_t)uri;
    p->part_len = (uint16_t)(uri_end - uri);
}

/* [0, end) of `s` */
WAY_INLINE void way_start_line(struct sip_parser *p, struct slice s, size_t end)
{
    if (end >= 4 && s.data[3] == '/' && way_is_word(s.data, "sip", 3)) {
        way_status_line(p, s, end);
    } else {
        way_request_line(p, s, end);
    }
}

/* Content-Length frames, so it is read at once.  False: no telling where the message ends, unless
 * it is a datagram. */
WAY_INLINE bool way_length(struct sip_parser *p, struct slice s, size_t from, size_t end)
{
    uint64_t length = 0;
    size_t i = from;
    if (!way_digits(s, &i, end, INT32_MAX, &length) || i < end || length > INT32_MAX) {
        sip_way_note(p, 400, from, "Bad Content-Length");
        return false;
    }
    if (p->has_length && length != p->body_len) {
        sip_way_note(p, 400, from, "Conflicting Content-Length");
        return false;
    }
    p->has_length = true;
    p->body_len = (uint32_t)length;
    return true;
}

/* Another header of an id. */
WAY_COLD void way_repeat(struct sip_parser *p, uint8_t id, uint8_t number)
{
    struct sip_msg *m = &p->msg;
    if (!m->has_repeats) {
        m->has_repeats = true;
        memset(p->last, 0, sizeof(p->last));
    }
    uint8_t last = p->last[id] == 0 ? m->first[id] : p->last[id];
    m->headers[last - 1].next = number;
    p->last[id] = number;
}

/* Puts a header field down at the end of the index. */
WAY_INLINE void way_add(struct sip_parser *p, struct sip_msg_header h)
{
    struct sip_msg *m = &p->msg;
    unsigned index = m->header_count;
    struct sip_msg_header *to = &m->headers[index];
    to->id = h.id;
    to->next = 0;
    to->start = h.start;
    to->name_len = h.name_len;
    to->value = h.value;
    to->value_len = h.value_len;
    to->end = h.end;
    m->header_count = (uint16_t)(index + 1);
    if (LIKELY(m->first[h.id] == 0)) {
        m->first[h.id] = (uint8_t)(index + 1);
    } else {
        way_repeat(p, h.id, (uint8_t)(index + 1));
    }
}

/* field-name HCOLON field-value in [w->line, eol).  False: framing is lost. */
WAY_COLD bool way_read_header(struct sip_parser *p, const struct way_walk *w, size_t eol)
{
    struct slice s = w->s;
    size_t start = w->line;
    size_t name_end = w->colon;
    while (name_end > start && (s.data[name_end - 1] == ' ' || s.data[name_end - 1] == '\t')) {
        name_end--;
    }
    if (UNLIKELY(name_end <= start || w->colon >= eol)) {
        sip_way_note(p, 400, start, "Bad Header Name");
        return true;
    }
    enum sip_hdr_id id = sip_hdr_find(slice_between(s, start, name_end));
    if (id == SIP_HDR_OTHER && way_span(s, WAY_TOKEN, start, name_end) < name_end) {
        sip_way_note(p, 400, start, "Bad Header Name");
        return true;
    }
    size_t value = way_skip_space(s, w->colon + 1, eol);
    size_t value_end = eol;
    while (value_end > value && sip_lex_is_space(s.data[value_end - 1])) {
        value_end--;
    }
    if (UNLIKELY(p->msg.header_count == SIP_MSG_HEADERS_CAP)) {
        sip_way_note(p, 513, start, "Too Many Headers");
    } else {
        way_add(p, (struct sip_msg_header){
                       .id = (uint8_t)id,
                       .start = (uint16_t)start,
                       .name_len = (uint16_t)(name_end - start),
                       .value = (uint16_t)value,
                       .value_len = (uint16_t)(value_end - value),
                       .end = (uint16_t)(eol + 2),
                   });
    }
    return id != SIP_HDR_CONTENT_LENGTH || way_length(p, s, value, value_end) || !p->is_stream;
}

#ifdef SIP_WAY_IS_WIDE
/* The first control character from `at` on; 0 when it is too far or too near the end. */
WAY_INLINE size_t way_next_control(const struct way_walk *w, way_vec last, size_t at)
{
    for (unsigned i = 0; i < 2048 / WAY_BYTES && w->end - at >= WAY_BYTES; i++) {
        uint32_t controls = way_controls(way_load(w->s.data + at), last);
        if (LIKELY(controls != 0)) {
            return at + (size_t)__builtin_ctz(controls);
        }
        at += WAY_BYTES;
    }
    return 0;
}

/* Where the header field ends whose first line has its control character at `eol`; 0 as above, or
 * when it holds any but CRLF. */
WAY_INLINE size_t way_field_end(const struct way_walk *w, way_vec last, size_t eol)
{
    for (unsigned folds = 0; folds < 3; folds++) {
        const uint8_t *end = w->s.data + eol;
        if (UNLIKELY(eol == 0 || w->end - eol < 4 || way_two(end) != way_two("\r\n"))) {
            return 0;
        }
        if (LIKELY(end[2] != ' ' && end[2] != '\t')) {
            return eol;
        }
        eol = way_next_control(w, last, eol + 2);
    }
    return 0;
}

/* The header field whose name are the first `len` letters of `x`, which stands at `at`; COUNT when
 * that is no name. */
WAY_INLINE enum sip_hdr_id way_name(const uint8_t *at, way_vec x, unsigned len)
{
    const uint32_t all = (1u << len) - 1;
    enum sip_hdr_id id = sip_hdr_guess(at, len);
    way_vec name = way_load((const uint8_t *)sip_hdr_names[id].text);
    uint32_t same = way_mask(WAY_OP(cmpeq_epi8, name, x));
    if (LIKELY((~same & all) == 0 && sip_hdr_names[id].len == len)) {
        return id;
    }
    if ((way_strangers(x, WAY_TOKEN) & all) != 0) {
        return SIP_HDR_COUNT;
    }
    return sip_hdr_find(slice_of(at, len));
}

/* A header field at w->line with nothing unheard-of about it.  False: nothing was done, a closer
 * look is needed. */
WAY_INLINE bool way_usual_header(struct sip_parser *p, struct way_walk *w, way_vec last,
                                 bool *is_lost)
{
    const uint8_t *data = w->s.data;
    size_t start = w->line;
    if (UNLIKELY(w->end - start < WAY_BYTES || p->msg.header_count == SIP_MSG_HEADERS_CAP)) {
        return false;
    }
    way_vec x = way_load(data + start);
    uint32_t colons = way_equal(x, ':');
    uint32_t controls = way_controls(x, last);
    uint32_t before = colons & (0 - colons); /* the first one */
    if (UNLIKELY(before < 2 || (controls & (before - 1)) != 0)) {
        return false; /* none, or one without a name, or behind the line */
    }
    size_t eol = LIKELY(controls == 0) ? way_next_control(w, last, start + WAY_BYTES)
                                       : start + (size_t)__builtin_ctz(controls);
    eol = way_field_end(w, last, eol);
    if (UNLIKELY(eol == 0)) {
        return false;
    }
    size_t colon = start + (size_t)__builtin_ctz(before);
    size_t name_end = colon;
    while (UNLIKELY(data[name_end - 1] == ' ') && name_end - 1 > start) {
        name_end--;
    }
    enum sip_hdr_id id = way_name(data + start, x, (unsigned)(name_end - start));
    if (UNLIKELY(id == SIP_HDR_COUNT)) {
        return false;
    }
    size_t value = colon + 1;
    value += data[value] == ' ';
    size_t value_end = eol;
    if (UNLIKELY(data[value] <= ' ' || data[eol - 1] <= ' ')) {
        value = way_skip_space(w->s, value, eol);
        while (value_end > value && sip_lex_is_space(data[value_end - 1])) {
            value_end--;
        }
    }
    way_add(p, (struct sip_msg_header){
                   .id = (uint8_t)id,
                   .start = (uint16_t)start,
                   .name_len = (uint16_t)(name_end - start),
                   .value = (uint16_t)value,
                   .value_len = (uint16_t)(value_end - value),
                   .end = (uint16_t)(eol + 2),
               });
    w->line = eol + 2;
    *is_lost = UNLIKELY(id == SIP_HDR_CONTENT_LENGTH) && !way_length(p, w->s, value, value_end) &&
               p->is_stream;
    return true;
}
#endif

/* The lines up to the empty one. */
WAY_INLINE enum sip_way_lines way_read_lines(struct sip_parser *p, struct way_walk *w)
{
#ifdef SIP_WAY_IS_WIDE
    const way_vec last_control = way_hold(0x1f);
#endif
    for (;;) {
#ifdef SIP_WAY_IS_WIDE
        if (p->state == SIP_WAY_HEADERS && w->scan == w->line) {
            bool is_lost = false;
            while (way_usual_header(p, w, last_control, &is_lost)) {
                if (UNLIKELY(is_lost)) {
                    return SIP_WAY_LINES_LOST;
                }
            }
            w->scan = w->line;
            w->colon = 0;
        }
#endif
        size_t eol = 0;
        enum way_line found = way_line_end(p, w, &eol);
        if (UNLIKELY(found != WAY_LINE_FOUND)) {
            return found == WAY_LINE_MORE ? SIP_WAY_LINES_MORE : SIP_WAY_LINES_LOST;
        }
        if (UNLIKELY(p->state == SIP_WAY_START)) {
            way_start_line(p, w->s, eol);
            p->state = SIP_WAY_HEADERS;
        } else if (eol == w->line) {
            p->head_end = (uint32_t)eol + 2;
            p->state = SIP_WAY_BODY;
            return SIP_WAY_LINES_ALL;
        } else if (UNLIKELY(eol + 2 == w->len)) {
            w->scan = eol; /* a fold may follow */
            return SIP_WAY_LINES_MORE;
        } else if (UNLIKELY(w->s.data[eol + 2] == ' ' || w->s.data[eol + 2] == '\t')) {
            w->scan = eol + 2;
            continue;
        } else if (!way_read_header(p, w, eol)) {
            return SIP_WAY_LINES_LOST;
        }
        w->scan = w->line = eol + 2;
        w->colon = 0;
    }
}

WAY_INLINE enum sip_way_lines way_lines(struct sip_parser *p, struct slice bytes)
{
    struct way_walk w = {
        .s = way_room(bytes),
        .len = bytes.len,
        .end = min_size(bytes.len, SIP_MSG_HEAD_CAP),
        .scan = p->scan,
        .line = p->line,
        .colon = p->colon,
    };
    enum sip_way_lines result = way_read_lines(p, &w);
    p->scan = (uint32_t)w.scan;
    p->line = (uint32_t)w.line;
    p->colon = (uint32_t)w.colon;
    return result;
}
