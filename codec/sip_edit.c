/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding.  Every edit is one range of the original that is left out, with a text in its place
 * (an insertion leaves out nothing).  The ranges are kept in order as they are added; emitting is
 * one walk that alternates between copying and writing. */
#include "codec/sip_edit.h"

enum place { IN_FRONT, BEHIND }; /* of the edits that start at the same byte */

static void fail(struct sip_edit *e, enum err error)
{
    if (e->error == ERR_OK) {
        e->error = error;
    }
}

void sip_edit_init(struct sip_edit *e, const struct sip_msg *msg)
{
    e->msg = msg;
    e->error = msg->body.data == NULL ? ERR_STATE : ERR_OK; /* was never read to its end */
    e->count = 0;
    e->scratch_len = 0;
}

static void add(struct sip_edit *e, struct sip_edit_range range, enum place place)
{
    if (!sip_write_is_line(range.text)) {
        fail(e, ERR_MALFORMED);
    }
    if (e->count == SIP_EDIT_CAP) {
        fail(e, ERR_LIMIT);
    }
    if (e->error != ERR_OK) {
        return;
    }
    unsigned at = e->count;
    while (at > 0 && (e->ranges[at - 1].from > range.from ||
                      (place == IN_FRONT && e->ranges[at - 1].from == range.from))) {
        e->ranges[at] = e->ranges[at - 1];
        at--;
    }
    e->ranges[at] = range;
    e->count++;
}

/* Offset of a slice that lies in the message. */
static uint16_t offset_of(const struct sip_edit *e, struct slice inside)
{
    CHECK(inside.data >= e->msg->bytes.data);
    CHECK(inside.data + inside.len <= e->msg->bytes.data + e->msg->bytes.len);
    return (uint16_t)(inside.data - e->msg->bytes.data);
}

static void put_text(struct sip_edit *e, uint16_t from, size_t len, struct slice text)
{
    struct sip_edit_range range = {
        .from = from,
        .to = (uint16_t)(from + len),
        .form = SIP_EDIT_TEXT,
        .text = text,
    };
    add(e, range, len == 0 ? IN_FRONT : BEHIND);
}

/* Behind the start line; behind the last header. */
static uint16_t headers_start(const struct sip_msg *m)
{
    const uint8_t *lf = memchr(m->bytes.data, '\n', m->bytes.len);
    CHECK(lf != NULL);
    return (uint16_t)(lf + 1 - m->bytes.data);
}

static uint16_t headers_end(const struct sip_msg *m)
{
    return (uint16_t)(m->body.data - m->bytes.data - 2);
}

/* Copies a text that must live until emit. */
static struct slice keep(struct sip_edit *e, struct slice prefix, struct slice text,
                         uint32_t number)
{
    struct sip_writer w;
    struct slice kept;
    sip_write_init(&w, e->scratch + e->scratch_len, (size_t)SIP_EDIT_SCRATCH_CAP - e->scratch_len);
    sip_write_slice(&w, prefix);
    if (text.len > 0) {
        sip_write_slice(&w, text);
    } else {
        sip_write_u32(&w, number);
    }
    enum err error = sip_write_finish(&w, &kept);
    if (error != ERR_OK) {
        fail(e, error);
    }
    e->scratch_len = (uint8_t)(e->scratch_len + kept.len);
    return kept;
}

void sip_edit_request_uri(struct sip_edit *e, struct slice uri)
{
    if (!e->msg->is_request || uri.len == 0 || memchr(uri.data, ' ', uri.len) != NULL) {
        fail(e, e->msg->is_request ? ERR_MALFORMED : ERR_STATE);
        return;
    }
    put_text(e, offset_of(e, e->msg->request_uri), e->msg->request_uri.len, uri);
}

void sip_edit_push(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    const struct sip_msg *m = e->msg;
    uint16_t at = headers_start(m);
    if (m->first[id] != 0) {
        at = m->headers[m->first[id] - 1].start;
    } else if (id != SIP_HDR_VIA) {
        for (unsigned next = m->first[SIP_HDR_VIA]; next != 0; next = m->headers[next - 1].next) {
            at = m->headers[next - 1].end;
        }
    }
    struct sip_edit_range range = {at, at, SIP_EDIT_HEADER, (uint8_t)id, value};
    add(e, range, IN_FRONT);
}

void sip_edit_append(struct sip_edit *e, enum sip_hdr_id id, struct slice value)
{
    uint16_t at = headers_end(e->msg);
    struct sip_edit_range range = {at, at, SIP_EDIT_HEADER, (uint8_t)id, value};
    add(e, range, BEHIND);
}

void sip_edit_append_named(struct sip_edit *e, struct slice line)
{
    uint16_t at = headers_end(e->msg);
    struct sip_edit_range range = {at, at, SIP_EDIT_LINE, 0, line};
    add(e, range, BEHIND);
}

void sip_edit_replace(struct sip_edit *e, unsigned index, struct slice value)
{
    CHECK(index < e->msg->header_count);
    const struct sip_msg_header *h = &e->msg->headers[index];
    put_text(e, h->value, h->value_len, value);
}

void sip_edit_remove(struct sip_edit *e, unsigned index)
{
    CHECK(index < e->msg->header_count);
    const struct sip_msg_header *h = &e->msg->headers[index];
    put_text(e, h->start, (size_t)(h->end - h->start), SLICE_EMPTY);
}

void sip_edit_remove_all(struct sip_edit *e, enum sip_hdr_id id)
{
    for (unsigned next = e->msg->first[id]; next != 0; next = e->msg->headers[next - 1].next) {
        sip_edit_remove(e, next - 1);
    }
}

void sip_edit_pop(struct sip_edit *e, enum sip_hdr_id id, unsigned count)
{
    unsigned next = e->msg->first[id];
    while (count > 0 && next != 0) {
        struct slice value = sip_msg_value(e->msg, next - 1);
        struct slice rest = value;
        struct slice item;
        while (count > 0 && rest.len > 0) {
            if (sip_lex_item(&rest, &item) != ERR_OK) {
                fail(e, ERR_MALFORMED);
                return;
            }
            count--;
        }
        if (rest.len == 0) {
            sip_edit_remove(e, next - 1);
        } else {
            struct slice kept = sip_lex_trim(rest);
            put_text(e, offset_of(e, value), (size_t)(kept.data - value.data), SLICE_EMPTY);
        }
        next = e->msg->headers[next - 1].next;
    }
    if (count > 0) {
        fail(e, ERR_NOT_FOUND);
    }
}

void sip_edit_item(struct sip_edit *e, struct slice item, struct slice value)
{
    put_text(e, offset_of(e, item), item.len, value);
}

void sip_edit_max_forwards(struct sip_edit *e, uint8_t value)
{
    struct slice text = keep(e, SLICE_EMPTY, SLICE_EMPTY, value);
    unsigned first = e->msg->first[SIP_HDR_MAX_FORWARDS];
    if (first != 0) {
        sip_edit_replace(e, first - 1, text);
    } else {
        sip_edit_push(e, SIP_HDR_MAX_FORWARDS, text);
    }
}

void sip_edit_received(struct sip_edit *e, const struct sip_hdr_via *via, struct slice received,
                       uint16_t rport)
{
    struct slice rest = via->params;
    struct sip_lex_param param;
    bool is_marked = received.len == 0;
    while (sip_lex_param(&rest, &param) == ERR_OK) {
        /* from the name to the next ';', less the white space there */
        size_t len = (size_t)(rest.data - param.name.data);
        struct slice text = sip_lex_trim(slice_of(param.name.data, len));
        if (rport != 0 && via->has_rport && param.name.data == via->rport_name.data) {
            sip_edit_item(e, text, keep(e, SLICE_LITERAL("rport="), SLICE_EMPTY, rport));
        } else if (received.len > 0 && sip_lex_is_word(param.name, SLICE_LITERAL("received"))) {
            sip_edit_item(e, text, keep(e, SLICE_LITERAL("received="), received, 0));
            is_marked = true;
        }
    }
    if (!is_marked) {
        uint16_t end = (uint16_t)(offset_of(e, via->text) + via->text.len);
        put_text(e, end, 0, keep(e, SLICE_LITERAL(";received="), received, 0));
    }
}

static void write_range(struct sip_writer *w, const struct sip_edit_range *range)
{
    switch ((enum sip_edit_form)range->form) {
    case SIP_EDIT_TEXT:
        sip_write_slice(w, range->text);
        break;
    case SIP_EDIT_HEADER:
        sip_write_header(w, (enum sip_hdr_id)range->id, range->text);
        break;
    case SIP_EDIT_LINE:
        sip_write_slice(w, range->text);
        sip_write_header_end(w);
        break;
    }
}

enum err sip_edit_emit(const struct sip_edit *e, uint8_t *out, size_t cap, size_t *out_len)
{
    const struct slice bytes = e->msg->bytes;
    if (e->error != ERR_OK) {
        return e->error;
    }
    struct sip_writer w;
    size_t done = 0;
    sip_write_init(&w, out, cap);
    for (unsigned i = 0; i < e->count; i++) {
        const struct sip_edit_range *range = &e->ranges[i];
        if (range->from < done) {
            return ERR_STATE;
        }
        sip_write_slice(&w, slice_sub(bytes, done, range->from - done));
        write_range(&w, range);
        done = range->to;
    }
    if (!sip_msg_has(e->msg, SIP_HDR_CONTENT_LENGTH)) {
        size_t end = headers_end(e->msg);
        sip_write_slice(&w, slice_sub(bytes, done, end - done));
        sip_write_header_u32(&w, SIP_HDR_CONTENT_LENGTH, (uint32_t)e->msg->body.len);
        done = end;
    }
    sip_write_slice(&w, slice_from(bytes, done));
    *out_len = w.len;
    return w.error;
}
