/* SPDX-License-Identifier: Apache-2.0 */
#include "node/overlay_span.h"

enum tag_kind { TAG_OPEN, TAG_EMPTY, TAG_CLOSE, TAG_OTHER, TAG_DECLARATION, TAG_CUT };

struct tag {
    enum tag_kind kind;
    size_t at, end; /* `end` is behind the '>' */
    size_t attributes;
    struct slice name;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_at(struct slice xml, size_t at, const char *text)
{
    return slice_is_equal(slice_sub(xml, at, strlen(text)), slice_text(text));
}

/* Behind the next `terminator`; behind the end of the text when there is none. */
static size_t skip_to(struct slice xml, size_t from, const char *terminator)
{
    struct slice rest = slice_from(xml, from);
    const uint8_t *hit =
        rest.len == 0 ? NULL : memmem(rest.data, rest.len, terminator, strlen(terminator));
    return hit == NULL ? xml.len + 1 : (size_t)(hit - xml.data) + strlen(terminator);
}

/* Finds the '>' that closes a tag; one inside a quoted value does not count. */
static void find_tag_end(struct slice xml, struct tag *tag)
{
    uint8_t quote = 0;
    tag->end = xml.len + 1;
    for (size_t i = tag->at; i < xml.len; i++) {
        uint8_t c = xml.data[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
            tag->attributes++;
        } else if (c == '>') {
            tag->end = i + 1;
            return;
        }
    }
}

/* What begins with the '<' at `at`. */
static struct tag read_tag(struct slice xml, size_t at)
{
    static const char *const skipped[][2] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};
    struct tag tag = {.kind = TAG_OTHER, .at = at};
    for (size_t i = 0; i < ARRAY_COUNT(skipped); i++) {
        if (is_at(xml, at, skipped[i][0])) {
            tag.end = skip_to(xml, at + strlen(skipped[i][0]), skipped[i][1]);
            tag.kind = tag.end > xml.len ? TAG_CUT : TAG_OTHER;
            return tag;
        }
    }
    if (is_at(xml, at, "<!")) {
        tag.kind = TAG_DECLARATION;
        return tag;
    }
    bool is_close = is_at(xml, at, "</");
    size_t begin = at + (is_close ? 2 : 1);
    size_t stop = begin;
    find_tag_end(xml, &tag);
    if (tag.end > xml.len) {
        tag.kind = TAG_CUT;
        return tag;
    }
    while (stop < tag.end && !is_space(xml.data[stop]) && xml.data[stop] != '>' &&
           xml.data[stop] != '/') {
        stop++;
    }
    tag.name = slice_of(xml.data + begin, stop - begin);
    tag.kind = is_close ? TAG_CLOSE : xml.data[tag.end - 2] == '/' ? TAG_EMPTY : TAG_OPEN;
    return tag;
}

/* The next tag at or behind *at, which moves behind it. */
static bool next_tag(struct slice xml, size_t *at, struct tag *out)
{
    while (*at < xml.len) {
        const uint8_t *hit = memchr(xml.data + *at, '<', xml.len - *at);
        if (hit == NULL) {
            break;
        }
        *out = read_tag(xml, (size_t)(hit - xml.data));
        *at = out->kind == TAG_CUT || out->kind == TAG_DECLARATION ? xml.len : out->end;
        if (out->kind != TAG_OTHER) {
            return true;
        }
    }
    return false;
}

static size_t line_of(struct slice xml, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at && i < xml.len; i++) {
        line += xml.data[i] == '\n' ? 1 : 0;
    }
    return line;
}

/* The file MUST use UTF-8 (11.1), and the scanner reads ASCII: a document that names another
 * encoding would be other characters to the parser than to us. */
static bool is_utf8_named(struct slice xml)
{
    size_t at = is_at(xml, 0, "\xef\xbb\xbf") ? 3 : 0;
    if (!is_at(xml, at, "<?xml") || at + 5 >= xml.len || !is_space(xml.data[at + 5])) {
        return true;
    }
    size_t end = skip_to(xml, at, "?>");
    size_t name = skip_to(slice_sub(xml, 0, end), at, "encoding");
    if (name > end) {
        return true;
    }
    while (name < end && name < xml.len && (is_space(xml.data[name]) || xml.data[name] == '=')) {
        name++;
    }
    struct slice value = slice_sub(xml, name, 7);
    return value.len == 7 && (value.data[0] == '"' || value.data[0] == '\'') &&
           value.data[6] == value.data[0] &&
           slice_is_equal_nocase(slice_sub(value, 1, 5), SLICE_LITERAL("UTF-8"));
}

static const char *fault_of(const struct tag *tag, size_t depth, size_t elements)
{
    if (tag->kind == TAG_DECLARATION) {
        return "a DOCTYPE or another declaration; none is accepted";
    }
    if (tag->kind == TAG_CUT) {
        return "not well-formed XML: a tag, comment or CDATA section does not end";
    }
    if (tag->attributes > OVERLAY_SPAN_ATTRIBUTES_CAP) {
        return "an element has more than 64 attributes";
    }
    if (depth > OVERLAY_SPAN_DEPTH_CAP) {
        return "elements are nested more than 32 deep";
    }
    return elements > OVERLAY_SPAN_ELEMENTS_CAP ? "more than 8192 elements" : NULL;
}

bool overlay_span_check(struct slice xml, size_t *elements, size_t *line, const char **why)
{
    size_t depth = 0;
    size_t at = 0;
    struct tag tag;
    *elements = 0;
    *line = 1;
    *why = "the document is empty";
    if (xml.len == 0) {
        return false;
    }
    const uint8_t *nul = memchr(xml.data, 0, xml.len);
    if (nul != NULL || !is_utf8_named(xml)) {
        *line = nul != NULL ? line_of(xml, (size_t)(nul - xml.data)) : 1;
        *why = "the document is not UTF-8";
        return false;
    }
    while (next_tag(xml, &at, &tag)) {
        bool opens = tag.kind == TAG_OPEN || tag.kind == TAG_EMPTY;
        *elements += opens ? 1 : 0;
        *why = fault_of(&tag, depth + (opens ? 1 : 0), *elements);
        if (*why != NULL) {
            *line = line_of(xml, tag.at);
            return false;
        }
        depth += tag.kind == TAG_OPEN ? 1 : 0;
        depth -= tag.kind == TAG_CLOSE && depth > 0 ? 1 : 0;
    }
    *why = "";
    return true;
}

bool overlay_span_find(struct slice xml, size_t number, struct overlay_span *out)
{
    size_t seen = 0;
    size_t depth = 0;
    size_t at = 0;
    bool is_inside = false;
    struct tag tag;
    while (next_tag(xml, &at, &tag)) {
        if (tag.kind == TAG_CUT || tag.kind == TAG_DECLARATION) {
            return false;
        }
        bool opens = tag.kind == TAG_OPEN || tag.kind == TAG_EMPTY;
        if (!is_inside && opens && seen++ == number) {
            is_inside = true;
            *out = (struct overlay_span){tag.name, slice_of(xml.data + tag.at, tag.end - tag.at),
                                         tag.end - tag.at};
            depth = 0;
        }
        if (!is_inside) {
            continue;
        }
        depth += tag.kind == TAG_OPEN ? 1 : 0;
        depth -= tag.kind == TAG_CLOSE && depth > 0 ? 1 : 0;
        if (depth == 0) {
            out->bytes.len = (size_t)(xml.data + tag.end - out->bytes.data);
            return true;
        }
    }
    return false;
}
