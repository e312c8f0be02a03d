/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner at the end only has to find tags in a document that libxml2 has already accepted as
 * well-formed and free of a DTD; it still never reads outside of the bytes. */
#include "node/overlay_xml.h"
#include <libxml/xmlmemory.h>

bool overlay_xml_is(const xmlNode *node, const char *ns, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0 &&
           node->ns != NULL && node->ns->href != NULL &&
           strcmp((const char *)node->ns->href, ns) == 0;
}

xmlNode *overlay_xml_child(const xmlNode *parent, const char *ns, const char *name)
{
    for (xmlNode *e = parent->children; e != NULL; e = e->next) {
        if (overlay_xml_is(e, ns, name)) {
            return e;
        }
    }
    return NULL;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_space(s.data[0])) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && is_space(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

static bool copy_trimmed(xmlChar *text, char *out, size_t cap)
{
    struct slice s = text == NULL ? SLICE_EMPTY : trim(slice_text((const char *)text));
    bool fits = s.len > 0 && s.len < cap;
    if (fits) {
        memcpy(out, s.data, s.len);
        out[s.len] = '\0';
    }
    if (text != NULL) {
        xmlFree(text);
    }
    return fits;
}

bool overlay_xml_text(const xmlNode *e, char *out, size_t cap)
{
    return copy_trimmed(xmlNodeGetContent(e), out, cap);
}

bool overlay_xml_has_attribute(const xmlNode *e, const char *name)
{
    return xmlHasNsProp(e, (const xmlChar *)name, NULL) != NULL;
}

bool overlay_xml_attribute(const xmlNode *e, const char *name, char *out, size_t cap)
{
    return copy_trimmed(xmlGetNoNsProp(e, (const xmlChar *)name), out, cap);
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict but for white space, which may stand anywhere in XML text. */
static bool base64_decode(struct slice text, uint8_t *out, size_t *out_len)
{
    uint32_t bits = 0;
    size_t digits = 0;
    size_t pads = 0;
    *out_len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        int value = base64_value(c);
        if (is_space(c)) {
            continue;
        }
        if (c == '=') {
            pads++;
            continue;
        }
        if (value < 0 || pads > 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        digits++;
        if (digits % 4 != 1) {
            out[(*out_len)++] = (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4)));
        }
    }
    return digits > 0 && digits % 4 != 1 && (digits + pads) % 4 == 0 && pads < 3;
}

bool overlay_xml_base64(const xmlNode *e, struct arena *arena, struct slice *out)
{
    xmlChar *text = xmlNodeGetContent(e);
    struct slice s = text == NULL ? SLICE_EMPTY : slice_text((const char *)text);
    size_t len = 0;
    bool ok = false;
    if (s.len > 0 && s.len / 4 * 3 + 3 <= arena->cap - arena->used) {
        uint8_t *bytes = ARENA_ARRAY(arena, uint8_t, s.len / 4 * 3 + 3);
        ok = base64_decode(s, bytes, &len);
        *out = slice_of(bytes, ok ? len : 0);
    }
    if (text != NULL) {
        xmlFree(text);
    }
    return ok;
}

bool overlay_xml_number(struct slice text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(c - '0');
    }
    *out = value;
    return value <= max;
}

bool overlay_xml_boolean(struct slice text, bool *out)
{
    *out = slice_is_equal(text, SLICE_LITERAL("true")) || slice_is_equal(text, SLICE_LITERAL("1"));
    return *out || slice_is_equal(text, SLICE_LITERAL("false")) ||
           slice_is_equal(text, SLICE_LITERAL("0"));
}

static bool take_digits(struct slice *s, size_t count, int64_t min, int64_t max, int64_t *out)
{
    uint64_t value = 0;
    if (s->len < count || !overlay_xml_number(slice_sub(*s, 0, count), (uint64_t)max, &value)) {
        return false;
    }
    *out = (int64_t)value;
    *s = slice_from(*s, count);
    return *out >= min;
}

static bool take_char(struct slice *s, char upper)
{
    if (s->len == 0 || (s->data[0] & 0xdf) != ((uint8_t)upper & 0xdf)) {
        return false;
    }
    *s = slice_from(*s, 1);
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar; years start in March so that the leap day is
 * last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* The offset from UTC: Z, +hh:mm or -hh:mm. */
static bool take_offset(struct slice *s, int64_t *offset_s)
{
    int64_t hours = 0;
    int64_t minutes = 0;
    *offset_s = 0;
    if (take_char(s, 'Z')) {
        return true;
    }
    bool east = s->len > 0 && s->data[0] == '+';
    if (s->len != 6 || (!east && s->data[0] != '-') || s->data[3] != ':') {
        return false;
    }
    struct slice h = slice_sub(*s, 1, 2);
    struct slice m = slice_sub(*s, 4, 2);
    if (!take_digits(&h, 2, 0, 23, &hours) || !take_digits(&m, 2, 0, 59, &minutes)) {
        return false;
    }
    *offset_s = (hours * 3600 + minutes * 60) * (east ? 1 : -1);
    *s = SLICE_EMPTY;
    return true;
}

bool overlay_xml_time(struct slice s, uint64_t *out_ms)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t offset_s = 0;
    bool ok = take_digits(&s, 4, 1970, 9999, &year) && take_char(&s, '-') &&
              take_digits(&s, 2, 1, 12, &month) && take_char(&s, '-') &&
              take_digits(&s, 2, 1, 31, &day) && take_char(&s, 'T') &&
              take_digits(&s, 2, 0, 23, &hour) && take_char(&s, ':') &&
              take_digits(&s, 2, 0, 59, &minute) && take_char(&s, ':') &&
              take_digits(&s, 2, 0, 60, &second);
    if (ok && take_char(&s, '.')) {
        while (s.len > 0 && s.data[0] >= '0' && s.data[0] <= '9') {
            s = slice_from(s, 1);
        }
    }
    if (!ok || !take_offset(&s, &offset_s) || s.len != 0) {
        return false;
    }
    int64_t at_s =
        days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    *out_ms = at_s < 0 ? 0 : (uint64_t)at_s * 1000;
    return true;
}

/* One markup item that begins at `at` (a '<'): where it ends, and whether it is a start or end tag
 * of `name` whatever its prefix. */
enum markup { MARKUP_OTHER, MARKUP_START, MARKUP_EMPTY, MARKUP_END };

static size_t skip_to(struct slice xml, size_t from, const char *terminator)
{
    struct slice rest = slice_from(xml, from);
    const uint8_t *hit =
        rest.len == 0 ? NULL : memmem(rest.data, rest.len, terminator, strlen(terminator));
    return hit == NULL ? xml.len : (size_t)(hit - xml.data) + strlen(terminator);
}

/* The '>' that closes a tag; one inside a quoted attribute value does not count. */
static size_t tag_end(struct slice xml, size_t from)
{
    uint8_t quote = 0;
    for (size_t i = from; i < xml.len; i++) {
        uint8_t c = xml.data[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            return i + 1;
        }
    }
    return xml.len;
}

static bool is_prefix_at(struct slice xml, size_t at, const char *text)
{
    return slice_is_equal(slice_sub(xml, at, strlen(text)), slice_text(text));
}

static enum markup next_markup(struct slice xml, size_t at, const char *name, size_t *end)
{
    static const char *const skipped[][2] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};
    for (size_t i = 0; i < ARRAY_COUNT(skipped); i++) {
        if (is_prefix_at(xml, at, skipped[i][0])) {
            *end = skip_to(xml, at + strlen(skipped[i][0]), skipped[i][1]);
            return MARKUP_OTHER;
        }
    }
    bool closing = is_prefix_at(xml, at, "</");
    size_t begin = at + (closing ? 2 : 1);
    size_t stop = begin;
    *end = tag_end(xml, at);
    while (stop < xml.len && !is_space(xml.data[stop]) && xml.data[stop] != '>' &&
           xml.data[stop] != '/') {
        if (xml.data[stop++] == ':') {
            begin = stop;
        }
    }
    if (!slice_is_equal(slice_of(xml.data + begin, stop - begin), slice_text(name))) {
        return MARKUP_OTHER;
    }
    if (closing) {
        return MARKUP_END;
    }
    return *end >= 2 && xml.data[*end - 2] == '/' ? MARKUP_EMPTY : MARKUP_START;
}

bool overlay_xml_span(struct slice xml, const char *name, size_t position, struct slice *out)
{
    size_t seen = 0;
    size_t start = SIZE_MAX;
    for (size_t at = 0; at < xml.len;) {
        size_t end = 0;
        if (xml.data[at] != '<') {
            at++;
            continue;
        }
        enum markup found = next_markup(xml, at, name, &end);
        if (found == MARKUP_START) {
            start = at;
        }
        if ((found == MARKUP_END && start != SIZE_MAX) || found == MARKUP_EMPTY) {
            size_t from = found == MARKUP_EMPTY ? at : start;
            if (seen++ == position) {
                *out = slice_of(xml.data + from, end - from);
                return true;
            }
            start = SIZE_MAX;
        }
        at = end;
    }
    return false;
}
