/* SPDX-License-Identifier: Apache-2.0 */
/* test_pidf.c - presence documents: well-formed or refused, and put together anew. */
#include "codec/pidf.h"
#include <criterion/criterion.h>

#define ROOT "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:a@b\">"
#define TUPLE "<tuple id=\"t1\"><status><basic>open</basic></status></tuple>"

Test(pidf, good_and_bad)
{
    static const struct {
        const char *text;
        enum err e;
    } cases[] = {
        {ROOT TUPLE "</presence>", ERR_OK},
        {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n" ROOT TUPLE "</presence>\n", ERR_OK},
        {"<?xml version='1.0' encoding='utf-8'?><!-- c --><p:presence xmlns:p='x' />", ERR_OK},
        {ROOT "text &amp; &#x20AC; <![CDATA[ <no> ]]> <?pi?><note>\xc3\xa4</note></presence>",
         ERR_OK},
        {"<presence></presence  >", ERR_OK},
        {"", ERR_MALFORMED},
        {"hello", ERR_MALFORMED},
        {"<tuple/>", ERR_MALFORMED},
        {ROOT TUPLE, ERR_MALFORMED},
        {ROOT TUPLE "</presence>x", ERR_MALFORMED},
        {ROOT "</presence><presence/>", ERR_MALFORMED},
        {ROOT "<tuple></status></presence>", ERR_MALFORMED},
        {ROOT "</presence x=\"1\">", ERR_MALFORMED},
        {"<!DOCTYPE presence [<!ENTITY a \"b\">]>" ROOT "&a;</presence>", ERR_MALFORMED},
        {ROOT "&a;</presence>", ERR_MALFORMED},
        {ROOT "&#;</presence>", ERR_MALFORMED},
        {ROOT "&#x41</presence>", ERR_MALFORMED},
        {ROOT "<a b=\"1\" b=\"2\"/></presence>", ERR_MALFORMED},
        {ROOT "<a b=\"1\"c=\"2\"/></presence>", ERR_MALFORMED},
        {ROOT "<a b=1/></presence>", ERR_MALFORMED},
        {ROOT "<a b=\"<\"/></presence>", ERR_MALFORMED},
        {ROOT "<a b/></presence>", ERR_MALFORMED},
        {ROOT "<1/></presence>", ERR_MALFORMED},
        {ROOT "<a", ERR_MALFORMED},
        {ROOT "<!-- </presence>", ERR_MALFORMED},
        {"<?xml version=\"1.0\" encoding=\"UTF-16\"?><presence/>", ERR_MALFORMED},
        {ROOT "\xc0\xaf</presence>", ERR_MALFORMED},
        {ROOT "\xed\xa0\x80</presence>", ERR_MALFORMED},
        {ROOT "\x01</presence>", ERR_MALFORMED},
        {ROOT "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pidf p;
        cr_expect_eq(pidf_read(slice_text(cases[i].text), &p), cases[i].e, "case %zu", i);
    }
    /* cut anywhere it is bad, and nothing is read behind its end (asan) */
    const char *whole = ROOT TUPLE "</presence>";
    for (size_t len = 0; len < strlen(whole); len++) {
        char *copy = malloc(len + 1);
        struct pidf p;
        memcpy(copy, whole, len);
        copy = realloc(copy, len == 0 ? 1 : len);
        cr_expect_eq(pidf_read(slice_of(copy, len), &p), ERR_MALFORMED, "%zu", len);
        free(copy);
    }
}

/* An element takes the name spaces of its root along, and another id where that is needed. */
Test(pidf, elements_move)
{
    struct pidf p;
    struct slice element, text;
    struct sip_writer w;
    char out[1024];
    const char *in =
        "<p:presence xmlns:p=\"u:pidf\" xmlns:dm='u:\"dm' entity=\"pres:a@b\"> "
        "<p:tuple id=\"t1\"><a/></p:tuple><!-- c --><dm:person xmlns:dm=\"own\" id='x'/>"
        "</p:presence>";
    const char *wanted = "<p:tuple xmlns:p=\"u:pidf\" xmlns:dm='u:\"dm' id=\"n-t1\"><a/></p:tuple>"
                         "<dm:person xmlns:p=\"u:pidf\" xmlns:dm=\"own\" id=\"n-x\"/>";
    cr_assert_eq(pidf_read(slice_text(in), &p), ERR_OK);
    sip_write_init(&w, (uint8_t *)out, sizeof(out));
    while (pidf_next(&p, &element)) {
        pidf_write(&w, &p, element, SLICE_LITERAL("n-"));
    }
    cr_assert_eq(sip_write_finish(&w, &text), ERR_OK);
    cr_assert(slice_is_equal(text, slice_text(wanted)), "%.*s", (int)text.len,
              (const char *)text.data);
    sip_write_init(&w, (uint8_t *)out, sizeof(out));
    pidf_write_text(&w, SLICE_LITERAL("<a href=\"x&y\">"));
    cr_assert_eq(sip_write_finish(&w, &text), ERR_OK);
    cr_assert(slice_is_equal(text, SLICE_LITERAL("&lt;a href=&quot;x&amp;y&quot;&gt;")));
}
