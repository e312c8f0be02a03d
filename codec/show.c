/* SPDX-License-Identifier: Apache-2.0 */
/* show.c - see show.h: finding the type, and JSON itself. */
#include "codec/show_inside.h"

enum { KEY_BYTES = 3, DIGITS_CAP = 20 };

const struct show_kind show_registered_kinds[] = {
    {0x1, STORED_DICTIONARY},  /* SIP-REGISTRATION */
    {0x2, STORED_SINGLE},      /* TURN-SERVICE */
    {0x3, STORED_ARRAY},       /* CERTIFICATE_BY_NODE */
    {0x4, STORED_ARRAY},       /* ACCESS-CONTROL-LIST */
    {0x10, STORED_ARRAY},      /* CERTIFICATE_BY_USER */
    {0x104, STORED_DICTIONARY} /* REDIR */
};
const size_t show_registered_kind_count = ARRAY_COUNT(show_registered_kinds);

void show_text(struct show *s, const char *text)
{
    wr_bytes(s->w, slice_of(text, strlen(text)));
}

void show_comma(struct show *s)
{
    if (wr_ok(s->w) && wr_len(s->w) > 0) {
        uint8_t before = s->w->at[-1];
        if (before != '{' && before != '[' && before != ':') {
            wr_u8(s->w, ',');
        }
    }
}

void show_key(struct show *s, const char *name)
{
    size_t len = strlen(name);
    show_comma(s);
    uint8_t *p = wr_claim(s->w, len + KEY_BYTES);
    if (p != NULL) {
        p[0] = '"';
        memcpy(p + 1, name, len);
        p[len + 1] = '"';
        p[len + 2] = ':';
    }
}

void show_number(struct show *s, uint64_t v)
{
    uint8_t digits[DIGITS_CAP];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    wr_bytes(s->w, slice_of(digits + at, sizeof(digits) - at));
}

void show_bytes(struct show *s, struct slice bytes)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t *p = wr_claim(s->w, 2 * bytes.len + 2);
    if (p == NULL) {
        return;
    }
    *p++ = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        *p++ = (uint8_t)hex[bytes.data[i] >> 4];
        *p++ = (uint8_t)hex[bytes.data[i] & 15];
    }
    *p = '"';
}

/* Length of the UTF-8 sequence of more than one byte at the start of `s`; 0 when it is none, is cut
 * short, longer than it need be, a surrogate or above U+10FFFF (RFC 3629 3 and 4). */
static size_t utf8_len(struct slice s)
{
    uint8_t first = s.data[0];
    size_t len = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (len == 0 || s.len < len) {
        return 0;
    }
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < len; i++) {
        if (s.data[i] < low || s.data[i] > high) {
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void show_string(struct show *s, struct slice text)
{
    static const char hex[] = "0123456789abcdef";
    wr_u8(s->w, '"');
    while (text.len > 0) {
        size_t run = 0;
        while (run < text.len && is_plain(text.data[run])) {
            run++;
        }
        if (run == 0) {
            run = utf8_len(text);
        }
        if (run == 0) {
            uint8_t c = text.data[0];
            show_text(s, "\\u00");
            wr_u8(s->w, (uint8_t)hex[c >> 4]);
            wr_u8(s->w, (uint8_t)hex[c & 15]);
            run = 1;
        } else {
            wr_bytes(s->w, slice_of(text.data, run));
        }
        text = slice_from(text, run);
    }
    wr_u8(s->w, '"');
}

void show_hex_number(struct show *s, uint64_t v, unsigned digits)
{
    static const char hex[] = "0123456789abcdef";
    show_text(s, "\"0x");
    for (unsigned i = digits; i-- > 0;) {
        wr_u8(s->w, (uint8_t)hex[v >> (4 * i) & 15]);
    }
    show_text(s, "\"");
}

/* ---- finding a type ---- */

static const struct show_entry *entry_at(size_t index)
{
    if (index < show_core_count) {
        return &show_core_table[index];
    }
    index -= show_core_count;
    if (index < show_body_count) {
        return &show_body_table[index];
    }
    return index == show_body_count ? &show_stun_entry : NULL;
}

const char *show_type(size_t index)
{
    const struct show_entry *e = entry_at(index);
    return e == NULL ? NULL : e->type;
}

const struct show_entry *show_find(struct slice type)
{
    const struct show_entry *e = NULL;
    for (size_t i = 0; (e = entry_at(i)) != NULL; i++) {
        if (slice_is_equal(type, slice_of(e->type, strlen(e->type)))) {
            return e;
        }
    }
    return NULL;
}

bool show_has(struct slice type)
{
    return show_find(type) != NULL;
}

/* ---- one structure ---- */

static enum err finish(struct show *s, struct slice in, struct show_fault *fault)
{
    enum err e = rd_finish(s->r);
    if (e != ERR_OK) {
        size_t offset = in.len == 0 ? 0 : (size_t)(s->r->at - in.data);
        *fault = (struct show_fault){s->r->why, offset};
        return e;
    }
    return wr_ok(s->w) ? ERR_OK : ERR_TOO_LARGE;
}

static void as_json(struct show *s, const struct show_entry *e)
{
    show_text(s, "{\"fields\":");
    e->show(s);
    show_text(s, "}");
}

static void as_bytes(struct show *s, const struct show_entry *e)
{
    e->again(s);
}

static enum err one(const struct show_context *context, struct slice type, struct slice in,
                    struct wr *w, struct show_fault *fault,
                    void (*as)(struct show *s, const struct show_entry *e))
{
    const struct show_entry *e = show_find(type);
    if (e == NULL) {
        return ERR_NOT_FOUND;
    }
    struct rd r = rd_init(in);
    struct show s = {context, w, &r};
    as(&s, e);
    return finish(&s, in, fault);
}

enum err show_json(const struct show_context *context, struct slice type, struct slice in,
                   struct wr *w, struct show_fault *fault)
{
    return one(context, type, in, w, fault, as_json);
}

enum err show_again(const struct show_context *context, struct slice type, struct slice in,
                    struct wr *w, struct show_fault *fault)
{
    return one(context, type, in, w, fault, as_bytes);
}
