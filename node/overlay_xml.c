/* SPDX-License-Identifier: Apache-2.0 */
#include "node/overlay_xml.h"
#include "codec/base64.h"
#include <libxml/parser.h>
#include <libxml/xmlmemory.h>
#include <stdio.h>

/* ---- documents ---- */

xmlDoc *overlay_xml_open(struct slice xml, char *why, size_t cap)
{
    size_t line = 0;
    size_t elements = 0;
    const char *fault = NULL;
    xmlParserCtxt *parser = NULL;
    if (!overlay_span_check(xml, &elements, &line, &fault)) {
        snprintf(why, cap, "line %zu: %s", line, fault);
        return NULL;
    }
    parser = xmlNewParserCtxt();
    if (parser == NULL) {
        snprintf(why, cap, "no memory to read the document");
        return NULL;
    }
    xmlDoc *doc = xmlCtxtReadMemory(parser, (const char *)xml.data, (int)xml.len, NULL, "UTF-8",
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    /* libxml2 goes on where a prefix has no declaration; what it means is then anybody's guess. */
    if (doc == NULL || parser->nsWellFormed == 0) {
        const char *said = parser->lastError.message;
        snprintf(why, cap, "line %d: not well-formed XML: %.80s", parser->lastError.line,
                 said != NULL ? said : "");
        xmlFreeDoc(doc);
        doc = NULL;
    }
    xmlFreeParserCtxt(parser);
    if (doc != NULL && overlay_xml_count(doc) != elements) {
        snprintf(why, cap, "tags and elements differ"); /* one of two readers is wrong: no risk */
        xmlFreeDoc(doc);
        doc = NULL;
    }
    return doc;
}

const xmlNode *overlay_xml_next(const xmlNode *e, const xmlNode *top)
{
    const xmlNode *n = e;
    do {
        if (n->type == XML_ELEMENT_NODE && n->children != NULL) {
            n = n->children;
            continue;
        }
        while (n != top && n->next == NULL) {
            n = n->parent;
        }
        n = n == top ? NULL : n->next;
    } while (n != NULL && n->type != XML_ELEMENT_NODE);
    return n;
}

size_t overlay_xml_count(const xmlDoc *doc)
{
    size_t count = 0;
    const xmlNode *root = xmlDocGetRootElement(doc);
    for (const xmlNode *e = root; e != NULL; e = overlay_xml_next(e, root)) {
        count++;
    }
    return count;
}

bool overlay_xml_span(struct slice xml, const xmlNode *wanted, struct overlay_span *out)
{
    char name[128];
    size_t number = 0;
    const xmlNode *root = xmlDocGetRootElement(wanted->doc);
    const xmlNode *e = root;
    while (e != NULL && e != wanted) {
        e = overlay_xml_next(e, root);
        number++;
    }
    bool has_prefix = wanted->ns != NULL && wanted->ns->prefix != NULL;
    int len =
        snprintf(name, sizeof(name), "%s%s%s", has_prefix ? (const char *)wanted->ns->prefix : "",
                 has_prefix ? ":" : "", (const char *)wanted->name);
    return e != NULL && len > 0 && (size_t)len < sizeof(name) &&
           overlay_span_find(xml, number, out) && slice_is_equal(out->name, slice_text(name));
}

/* ---- elements ---- */

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

bool overlay_xml_copy(const xmlNode *e, bool trimmed, struct arena *arena, struct slice *out)
{
    xmlChar *content = xmlNodeGetContent(e);
    struct slice s = content == NULL ? SLICE_EMPTY : slice_text((const char *)content);
    s = trimmed ? trim(s) : s;
    bool fits = s.len <= arena->cap - arena->used;
    if (fits && s.len > 0) {
        uint8_t *copy = ARENA_ARRAY(arena, uint8_t, s.len);
        memcpy(copy, s.data, s.len);
        *out = slice_of(copy, s.len);
    } else {
        *out = SLICE_EMPTY;
    }
    if (content != NULL) {
        xmlFree(content);
    }
    return fits;
}

bool overlay_xml_has_attribute(const xmlNode *e, const char *name)
{
    return xmlHasNsProp(e, (const xmlChar *)name, NULL) != NULL;
}

bool overlay_xml_attribute(const xmlNode *e, const char *name, char *out, size_t cap)
{
    return copy_trimmed(xmlGetNoNsProp(e, (const xmlChar *)name), out, cap);
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
        int value = base64_digit(c);
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

static bool take_char(struct slice *s, char c)
{
    if (s->len == 0 || s->data[0] != (uint8_t)c) {
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

/* Times are UTC (11.1): Z, or an offset of zero. */
static bool is_utc(struct slice s)
{
    return slice_is_equal(s, SLICE_LITERAL("Z")) || slice_is_equal(s, SLICE_LITERAL("+00:00")) ||
           slice_is_equal(s, SLICE_LITERAL("-00:00"));
}

static int64_t days_in(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

bool overlay_xml_time(struct slice s, uint64_t *out_ms)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    bool ok = take_digits(&s, 4, 1970, 9999, &year) && take_char(&s, '-') &&
              take_digits(&s, 2, 1, 12, &month) && take_char(&s, '-') &&
              take_digits(&s, 2, 1, 31, &day) && take_char(&s, 'T') &&
              take_digits(&s, 2, 0, 23, &hour) && take_char(&s, ':') &&
              take_digits(&s, 2, 0, 59, &minute) && take_char(&s, ':') &&
              take_digits(&s, 2, 0, 60, &second);
    size_t fraction = 0;
    if (ok && take_char(&s, '.')) {
        for (; s.len > 0 && s.data[0] >= '0' && s.data[0] <= '9'; fraction++) {
            s = slice_from(s, 1);
        }
        ok = fraction > 0;
    }
    if (!ok || !is_utc(s) || day > days_in(year, month)) {
        return false;
    }
    int64_t at_s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *out_ms = (uint64_t)at_s * 1000;
    return true;
}
