/* SPDX-License-Identifier: Apache-2.0 */
/* cmd/wire_line: what it tells is what jansson tells. */
#include "cmd/wire_line.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

/* In a block of exact size. */
static bool read_line(struct slice text, char **block, struct wire_line *l)
{
    *block = malloc(text.len + (text.len == 0));
    if (text.len > 0) {
        memcpy(*block, text.data, text.len);
    }
    return wire_line_read(slice_of(*block, text.len), l);
}

Test(wire_line, which_lines_it_takes)
{
    static const struct {
        const char *line;
        bool is_taken;
    } cases[] = {
        {"{\"type\":\"PingReq\",\"hex\":\"0000\"}", true},
        {" {\t\"hex\" : \"\" , \"type\":\"x\" } \r", true},
        {"{\"type\":\"SipUriPair\",\"a\":\"sip:a\",\"b\":\"sip:b\"}", true},
        {"{\"type\":\"x\"}", true},
        {"", false},
        {"{", false},
        {"{}", false},
        {"{\"type\":\"x\"", false},
        {"{\"type\":\"x\",}", false},
        {"{\"type\":\"x\"}}", false},
        {"{\"type\":\"x\"} x", false},
        {"{\"type\" \"x\"}", false},
        {"{\"type\":\"x}", false},
        {"{\"type\":x}", false},
        {"{type:\"x\"}", false},
        {"{\"type\":\"x\" \"hex\":\"\"}", false},
        {"{\"type\":\"x\",\"type\":\"y\"}", false},
        {"{\"type\":\"\",\"type\":\"y\"}", false},
        {"{\"type\":\"x\",\"other\":\"y\"}", false},
        {"{\"type\":\"x\",\"hex\":1}", false},
        {"{\"type\":\"\\u0078\"}", false},
        {"{\"type\":\"\\\"\"}", false},
        {"{\"type\":\"\xc3\xa4\"}", false},
        {"{\"type\":\"a\tb\"}", false},
        {"[\"type\"]", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct wire_line l;
        char *block = NULL;
        cr_expect_eq(read_line(slice_text(cases[i].line), &block, &l), cases[i].is_taken, "%s",
                     cases[i].line);
        free(block);
    }
}

static void expect_same(const json_t *o, const char *key, struct slice got)
{
    const json_t *v = json_object_get(o, key);
    cr_assert_eq(v == NULL, got.data == NULL, "%s", key);
    if (v != NULL) {
        struct slice want = slice_of(json_string_value(v), json_string_length(v));
        cr_assert(json_is_string(v) && slice_is_equal(got, want), "%s", key);
    }
}

/* Lines with a few bytes changed, in and out of the shape. */
Test(wire_line, agrees_with_jansson)
{
    static const char *const lines[] = {
        "{\"type\":\"SipMessage\", \"hex\":\"41420d0a\"}",
        "{ \"b\":\"sip:a\",\"a\":\"\",\"type\":\"SipUriPair\" }",
        "{\"a\":\"x\",\"b\":\"y\",\"hex\":\"00\",\"type\":\"b\"}",
    };
    static const char with[] = "\"\"\"\":,{}[]\\ \tabhext01\x01\x7f\xc3\xa4";
    uint32_t seed = 7;
    unsigned taken = 0;
    for (unsigned i = 0; i < 200000; i++) {
        char text[128];
        size_t len = strlen(lines[i % ARRAY_COUNT(lines)]);
        memcpy(text, lines[i % ARRAY_COUNT(lines)], len);
        for (unsigned k = 0; k < i % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % len] = with[(seed >> 20) % (sizeof(with) - 1)];
        }
        struct wire_line l;
        char *block = NULL;
        if (read_line(slice_of(text, len), &block, &l)) {
            json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
            cr_assert(json_is_object(o), "%.*s", (int)len, text);
            expect_same(o, "type", l.type);
            expect_same(o, "hex", l.hex);
            expect_same(o, "a", l.a);
            expect_same(o, "b", l.b);
            json_decref(o);
            taken++;
        }
        free(block);
    }
    cr_expect(taken > 50000 && taken < 150000, "%u", taken);
}
