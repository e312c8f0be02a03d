/* SPDX-License-Identifier: Apache-2.0 */
/* pidf.c - see pidf.h.  XML 1.0, the productions named behind a #. */
#include "codec/pidf.h"

/* A walk over a document whose end tags are still to come. */
struct walk {
    struct slice text;
    size_t at;
    unsigned depth;
    struct slice open[PIDF_DEPTH];
};

struct tag {
    struct slice name, attributes;
    size_t start; /* of its '<' */
    bool is_empty, is_end;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* #Name, other letters of Unicode included without judging them. */
static bool is_name(uint8_t c, bool is_first)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
    return is_letter || c >= 0x80 ||
           (!is_first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static bool starts(struct slice text, size_t at, struct slice with)
{
    return at + with.len <= text.len && memcmp(text.data + at, with.data, with.len) == 0;
}

/* Behind the next `end`, or 0. */
static size_t behind(struct slice text, size_t at, struct slice end)
{
    for (; at + end.len <= text.len; at++) {
        if (memcmp(text.data + at, end.data, end.len) == 0) {
            return at + end.len;
        }
    }
    return 0;
}

static size_t name_end(struct slice text, size_t at)
{
    size_t i = at;
    while (i < text.len && is_name(text.data[i], i == at)) {
        i++;
    }
    return i;
}

/* #Reference: the five that need no declaration, or a character's number.  Behind its ';', or 0. */
static size_t reference_end(struct slice text, size_t at)
{
    static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&apos;", "&quot;"};
    enum { DIGITS = 8 };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (starts(text, at, slice_text(known[i]))) {
            return at + slice_text(known[i]).len;
        }
    }
    if (!starts(text, at, SLICE_LITERAL("&#"))) {
        return 0;
    }
    size_t i = at + 2;
    bool is_hex = i < text.len && text.data[i] == 'x';
    i += is_hex ? 1 : 0;
    size_t first = i;
    while (i < text.len && i < first + DIGITS &&
           (sip_lex_class[text.data[i]] & (is_hex ? SIP_LEX_HEX : SIP_LEX_DIGIT)) != 0) {
        i++;
    }
    return i > first && i < text.len && text.data[i] == ';' ? i + 1 : 0;
}

/* The next name="value" of a tag; ERR_NOT_FOUND at the end. */
static enum err next_attribute(struct slice *rest, struct slice *name, struct slice *value)
{
    struct slice t = *rest;
    size_t i = 0;
    while (i < t.len && is_space(t.data[i])) {
        i++;
    }
    if (i == t.len) {
        return ERR_NOT_FOUND;
    }
    size_t end = name_end(t, i);
    *name = slice_between(t, i, end);
    bool is_apart = i > 0;
    i = end;
    while (i < t.len && is_space(t.data[i])) {
        i++;
    }
    if (!is_apart || name->len == 0 || i == t.len || t.data[i] != '=') {
        return ERR_MALFORMED;
    }
    i++;
    while (i < t.len && is_space(t.data[i])) {
        i++;
    }
    if (i == t.len || (t.data[i] != '"' && t.data[i] != '\'')) {
        return ERR_MALFORMED;
    }
    uint8_t quote = t.data[i++];
    size_t from = i;
    while (i < t.len && t.data[i] != quote) {
        size_t next = t.data[i] == '&' ? reference_end(t, i) : i + 1;
        if (next == 0 || t.data[i] == '<') {
            return ERR_MALFORMED;
        }
        i = next;
    }
    if (i >= t.len) {
        return ERR_MALFORMED;
    }
    *value = slice_between(t, from, i);
    *rest = slice_from(t, i + 1);
    return ERR_OK;
}

static enum err check_attributes(struct slice attributes)
{
    struct slice seen[PIDF_ATTRIBUTES], value, rest = attributes;
    unsigned count = 0;
    for (;;) {
        struct slice name;
        enum err e = next_attribute(&rest, &name, &value);
        if (e != ERR_OK) {
            return e == ERR_NOT_FOUND ? ERR_OK : e;
        }
        for (unsigned i = 0; i < count; i++) {
            if (slice_is_equal(seen[i], name)) {
                return ERR_MALFORMED;
            }
        }
        if (count == PIDF_ATTRIBUTES) {
            return ERR_TOO_LARGE;
        }
        seen[count++] = name;
    }
}

/* A tag at w->at, which stands on its '<'. */
static enum err read_tag(struct walk *w, struct tag *out)
{
    struct slice t = w->text;
    *out = (struct tag){.start = w->at};
    size_t i = w->at + 1;
    out->is_end = i < t.len && t.data[i] == '/';
    i += out->is_end ? 1 : 0;
    size_t end = name_end(t, i);
    out->name = slice_between(t, i, end);
    uint8_t quote = 0;
    for (i = end; i < t.len && (quote != 0 || t.data[i] != '>'); i++) {
        uint8_t c = t.data[i];
        quote = quote != 0 ? (c == quote ? 0 : quote) : c == '"' || c == '\'' ? c : 0;
    }
    if (out->name.len == 0 || i >= t.len) {
        return ERR_MALFORMED;
    }
    out->is_empty = !out->is_end && i > end && t.data[i - 1] == '/';
    out->attributes = slice_between(t, end, out->is_empty ? i - 1 : i);
    w->at = i + 1;
    if (out->is_end) {
        for (size_t k = 0; k < out->attributes.len; k++) {
            if (!is_space(out->attributes.data[k])) {
                return ERR_MALFORMED;
            }
        }
        return ERR_OK;
    }
    return check_attributes(out->attributes);
}

/* Past text, comments, instructions and CDATA, to the next tag. */
static enum err to_tag(struct walk *w)
{
    while (w->at < w->text.len) {
        uint8_t c = w->text.data[w->at];
        bool is_inside = w->depth > 0;
        size_t next = w->at + 1;
        if (c == '&') {
            next = is_inside ? reference_end(w->text, w->at) : 0;
        } else if (starts(w->text, w->at, SLICE_LITERAL("<!--"))) {
            next = behind(w->text, w->at + 4, SLICE_LITERAL("-->"));
        } else if (starts(w->text, w->at, SLICE_LITERAL("<![CDATA["))) {
            next = is_inside ? behind(w->text, w->at, SLICE_LITERAL("]]>")) : 0;
        } else if (starts(w->text, w->at, SLICE_LITERAL("<?"))) {
            next = behind(w->text, w->at, SLICE_LITERAL("?>"));
        } else if (c == '<') {
            return starts(w->text, w->at, SLICE_LITERAL("<!")) ? ERR_MALFORMED : ERR_OK;
        } else if (!is_inside && !is_space(c)) {
            next = 0;
        }
        if (next == 0) {
            return ERR_MALFORMED;
        }
        w->at = next;
    }
    return ERR_NOT_FOUND;
}

/* One tag further, the open ones kept in mind. */
static enum err step(struct walk *w, struct tag *tag)
{
    enum err e = to_tag(w);
    e = e == ERR_OK ? read_tag(w, tag) : e;
    if (e != ERR_OK) {
        return e;
    }
    if (tag->is_end) {
        if (w->depth == 0 || !slice_is_equal(w->open[w->depth - 1], tag->name)) {
            return ERR_MALFORMED;
        }
        w->depth--;
    } else if (!tag->is_empty) {
        if (w->depth == PIDF_DEPTH) {
            return ERR_TOO_LARGE;
        }
        w->open[w->depth++] = tag->name;
    }
    return ERR_OK;
}

/* UTF-8 without what XML forbids. */
static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.data[i++];
        unsigned more = c < 0x80   ? 0
                        : c < 0xc2 ? 9
                        : c < 0xe0 ? 1
                        : c < 0xf0 ? 2
                        : c < 0xf5 ? 3
                                   : 9;
        if (more == 9 || i + more > s.len || (c < 0x20 && !is_space(c)) || c == 0x7f) {
            return false;
        }
        if (more > 0) {
            uint8_t d = s.data[i];
            bool is_long = (c == 0xe0 && d < 0xa0) || (c == 0xf0 && d < 0x90);
            if (is_long || (c == 0xed && d > 0x9f) || (c == 0xf4 && d > 0x8f)) {
                return false;
            }
        }
        for (; more > 0; more--) {
            if ((s.data[i++] & 0xc0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

/* <?xml ... encoding="utf-8"?>, where it says anything. */
static bool is_utf8_named(struct slice document)
{
    if (!starts(document, 0, SLICE_LITERAL("<?xml"))) {
        return true;
    }
    size_t end = behind(document, 0, SLICE_LITERAL("?>"));
    struct slice name, value, rest = end == 0 ? SLICE_EMPTY : slice_between(document, 5, end - 2);
    while (next_attribute(&rest, &name, &value) == ERR_OK) {
        if (slice_is_equal(name, SLICE_LITERAL("encoding")) &&
            !slice_is_equal_nocase(value, SLICE_LITERAL("utf-8")) &&
            !slice_is_equal_nocase(value, SLICE_LITERAL("us-ascii"))) {
            return false;
        }
    }
    return true;
}

/* The name without its prefix. */
static struct slice local_of(struct slice name)
{
    size_t i = name.len;
    while (i > 0 && name.data[i - 1] != ':') {
        i--;
    }
    return slice_from(name, i);
}

enum err pidf_read(struct slice document, struct pidf *out)
{
    struct walk w = {.text = document};
    struct tag tag;
    *out = (struct pidf){0};
    if (!is_text(document) || !is_utf8_named(document)) {
        return ERR_MALFORMED;
    }
    enum err e = step(&w, &tag);
    if (e != ERR_OK || tag.is_end ||
        !slice_is_equal(local_of(tag.name), SLICE_LITERAL("presence"))) {
        return e == ERR_TOO_LARGE ? e : ERR_MALFORMED;
    }
    out->root = tag.attributes;
    size_t from = w.at, end = w.at;
    while (w.depth > 0) {
        e = step(&w, &tag);
        if (e != ERR_OK) {
            return e == ERR_TOO_LARGE ? e : ERR_MALFORMED;
        }
        end = tag.start;
    }
    out->inside = out->rest = slice_between(document, from, end);
    return to_tag(&w) == ERR_NOT_FOUND ? ERR_OK : ERR_MALFORMED; /* nothing behind the root */
}

bool pidf_next(struct pidf *p, struct slice *element)
{
    /* `inside` stands in a root that has been read: depth 1 lets text stand here. */
    struct walk w = {.text = p->rest, .depth = 1};
    struct tag tag;
    if (step(&w, &tag) != ERR_OK) {
        p->rest = SLICE_EMPTY;
        return false;
    }
    size_t start = tag.start;
    while (w.depth > 1) {
        if (step(&w, &tag) != ERR_OK) {
            return false;
        }
    }
    *element = slice_between(p->rest, start, w.at);
    p->rest = slice_from(p->rest, w.at);
    return true;
}

static bool has_attribute(struct slice attributes, struct slice wanted)
{
    struct slice name, value;
    while (next_attribute(&attributes, &name, &value) == ERR_OK) {
        if (slice_is_equal(name, wanted)) {
            return true;
        }
    }
    return false;
}

static void write_attribute(struct sip_writer *w, struct slice name, struct slice prefix,
                            struct slice value)
{
    bool has_quote = false; /* then the other one stood around it */
    for (size_t i = 0; i < value.len; i++) {
        has_quote = has_quote || value.data[i] == '"';
    }
    sip_write_text(w, " ");
    sip_write_slice(w, name);
    sip_write_text(w, has_quote ? "='" : "=\"");
    sip_write_slice(w, prefix);
    sip_write_slice(w, value);
    sip_write_text(w, has_quote ? "'" : "\"");
}

void pidf_write(struct sip_writer *w, const struct pidf *p, struct slice element,
                struct slice prefix)
{
    struct walk walk = {.text = element, .depth = 1};
    struct tag tag;
    struct slice name, value, rest;
    enum err e = step(&walk, &tag);
    CHECK(e == ERR_OK); /* pidf_next gave it */
    sip_write_text(w, "<");
    sip_write_slice(w, tag.name);
    rest = p->root;
    while (next_attribute(&rest, &name, &value) == ERR_OK) {
        bool is_space_name = slice_is_equal(name, SLICE_LITERAL("xmlns")) ||
                             starts(name, 0, SLICE_LITERAL("xmlns:"));
        if (is_space_name && !has_attribute(tag.attributes, name)) {
            write_attribute(w, name, SLICE_EMPTY, value);
        }
    }
    rest = tag.attributes;
    while (next_attribute(&rest, &name, &value) == ERR_OK) {
        bool is_id = slice_is_equal(name, SLICE_LITERAL("id"));
        write_attribute(w, name, is_id ? prefix : SLICE_EMPTY, value);
    }
    sip_write_text(w, tag.is_empty ? "/>" : ">");
    sip_write_slice(w, slice_from(element, walk.at));
}

void pidf_write_text(struct sip_writer *w, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '<':
            sip_write_text(w, "&lt;");
            break;
        case '>':
            sip_write_text(w, "&gt;");
            break;
        case '&':
            sip_write_text(w, "&amp;");
            break;
        case '"':
            sip_write_text(w, "&quot;");
            break;
        default:
            sip_write_slice(w, slice_sub(text, i, 1));
        }
    }
}
