/* SPDX-License-Identifier: Apache-2.0 */
/* The words of SIP, RFC 3261 25.1. */
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

Test(sip_lex, numbers_refuse_overflow_and_signs)
{
    static const struct {
        const char *text;
        uint32_t max;
        enum err want;
        uint32_t value;
    } cases[] = {
        {"0", 255, ERR_OK, 0},
        {"0068", 255, ERR_OK, 68},
        {"255", 255, ERR_OK, 255},
        {"256", 255, ERR_TOO_LARGE, 0},
        {"4294967295", UINT32_MAX, ERR_OK, UINT32_MAX},
        {"4294967296", UINT32_MAX, ERR_TOO_LARGE, 0},
        {"36893488147419103232", UINT32_MAX, ERR_TOO_LARGE, 0},
        {"100000000000000000000000000000000000000000000", UINT32_MAX, ERR_TOO_LARGE, 0},
        {"", 9, ERR_MALFORMED, 0},
        {"-1", 9, ERR_MALFORMED, 0},
        {"+1", 9, ERR_MALFORMED, 0},
        {"1 ", 9, ERR_MALFORMED, 0},
        {"five", 9, ERR_MALFORMED, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint32_t value = 0;
        struct slice text = fixture_copy(slice_text(cases[i].text));
        cr_expect_eq(sip_lex_u32(text, cases[i].max, &value), cases[i].want, "%s", cases[i].text);
        cr_expect_eq(value, cases[i].value, "%s", cases[i].text);
        fixture_free(text);
    }
}

/* The items of a list, joined with '|'; "!" at the end where the list is malformed. */
static void join_items(const char *text, char *out)
{
    struct slice copy = fixture_copy(slice_text(text));
    struct slice rest = copy;
    struct slice item;
    enum err e;
    size_t n = 0;
    while ((e = sip_lex_item(&rest, &item)) == ERR_OK) {
        if (n > 0) {
            out[n++] = '|';
        }
        memcpy(out + n, item.data, item.len);
        n += item.len;
    }
    if (e == ERR_MALFORMED) {
        out[n++] = '!';
    }
    out[n] = 0;
    fixture_free(copy);
}

Test(sip_lex, lists_split_outside_of_quotes_and_brackets)
{
    static const char *const cases[][2] = {
        {"a", "a"},
        {" a , b,c ", "a|b|c"},
        {"a,\r\n b", "a|b"},
        {"\"x, y\" <sip:a@b>, <sip:c,d@e>;q=1", "\"x, y\" <sip:a@b>|<sip:c,d@e>;q=1"},
        {"\"a\\\",b\", c", "\"a\\\",b\"|c"},
        {"a,,b", "a!"},
        {"a,", "a!"},
        {",a", "!"},
        {"", "!"},
        {"\"open, a", "\"open, a"}, /* left to the decoder of the item */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char got[128];
        join_items(cases[i][0], got);
        cr_expect_str_eq(got, cases[i][1]);
    }
}

/* Parameters as "name=value|name|...", quoted values in quotes, "!" when malformed. */
static void join_params(const char *text, char *out)
{
    struct slice copy = fixture_copy(slice_text(text));
    struct slice rest = copy;
    struct sip_lex_param p;
    enum err e;
    int n = 0;
    out[0] = 0;
    while ((e = sip_lex_param(&rest, &p)) == ERR_OK) {
        n += snprintf(out + n, 128 - (size_t)n, "%s%.*s%s%s%.*s%s", n > 0 ? "|" : "",
                      (int)p.name.len, (const char *)p.name.data, p.has_value ? "=" : "",
                      p.is_quoted ? "\"" : "", (int)p.value.len,
                      p.value.len > 0 ? (const char *)p.value.data : "", p.is_quoted ? "\"" : "");
    }
    if (e == ERR_MALFORMED) {
        (void)snprintf(out + n, 128 - (size_t)n, "!");
    }
    fixture_free(copy);
}

Test(sip_lex, parameters_with_white_space_and_quotes)
{
    static const char *const cases[][2] = {
        {"", ""},
        {" ", ""},
        {";a", "a"},
        {" ; a = b\r\n ;c", "a=b|c"},
        {";a=\"x;y\\\"\";b=1", "a=\"x;y\\\"\"|b=1"},
        {";received=[2001:db8::9:255];x=2001:db8::1", "received=[2001:db8::9:255]|x=2001:db8::1"},
        {";gr=YWJj==;ob", "gr=YWJj==|ob"},
        {";", "!"},
        {";;a", "!"},
        {";a=", "!"},
        {";a=;b", "!"},
        {";a b", "!"},
        {"a", "!"},
        {";a=\"open", "!"},
        {";a=\"b\"c", "!"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char got[128];
        join_params(cases[i][0], got);
        cr_expect_str_eq(got, cases[i][1], "%s gives %s", cases[i][0], got);
    }
    struct sip_lex_param p;
    cr_expect(sip_lex_param_find(SLICE_LITERAL(";A=1;lR;a=2"), SLICE_LITERAL("lr"), &p));
    cr_expect(!p.has_value);
    cr_expect(sip_lex_param_find(SLICE_LITERAL(";A=1;lR;a=2"), SLICE_LITERAL("a"), &p));
    cr_expect(fixture_is(p.value, "1"));
    cr_expect(!sip_lex_param_find(SLICE_LITERAL(";A=1"), SLICE_LITERAL("b"), &p));
}

Test(sip_lex, escapes)
{
    uint8_t out[8];
    size_t len = 0;
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("%61l%69ce"), out, sizeof(out), &len), ERR_OK);
    cr_expect(slice_is_equal(slice_of(out, len), SLICE_LITERAL("alice")));
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("a%00b"), out, sizeof(out), &len), ERR_OK);
    cr_expect_eq(len, 3);
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("%4"), out, sizeof(out), &len), ERR_MALFORMED);
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("%"), out, sizeof(out), &len), ERR_MALFORMED);
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("%zz"), out, sizeof(out), &len), ERR_MALFORMED);
    cr_expect_eq(sip_lex_unescape(SLICE_LITERAL("123456789"), out, sizeof(out), &len),
                 ERR_TOO_LARGE);
    cr_expect_eq(sip_lex_unquote(SLICE_LITERAL("a\\\"b\\\\"), out, sizeof(out), &len), ERR_OK);
    cr_expect(slice_is_equal(slice_of(out, len), SLICE_LITERAL("a\"b\\")));
    cr_expect_eq(sip_lex_unquote(SLICE_LITERAL("a\\"), out, sizeof(out), &len), ERR_MALFORMED);
    cr_expect_eq(sip_lex_unquote(SLICE_LITERAL("123456789"), out, sizeof(out), &len),
                 ERR_TOO_LARGE);
    cr_expect_eq(sip_lex_quoted(SLICE_LITERAL("\"a\\\" b\"c"), &len), ERR_OK);
    cr_expect_eq(len, 7);
    cr_expect_eq(sip_lex_quoted(SLICE_LITERAL("\"a\\"), &len), ERR_MALFORMED);
    cr_expect_eq(sip_lex_quoted(SLICE_LITERAL("a"), &len), ERR_MALFORMED);
}

Test(sip_lex, tokens_and_trimming)
{
    cr_expect(sip_lex_is_token(SLICE_LITERAL("!interesting-Method0123456789_*+`.%indeed'~")));
    cr_expect(!sip_lex_is_token(SLICE_EMPTY));
    cr_expect(!sip_lex_is_token(SLICE_LITERAL("a b")));
    cr_expect(!sip_lex_is_token(SLICE_LITERAL("a\x80")));
    cr_expect(sip_lex_is_all(SLICE_EMPTY, SIP_LEX_DIGIT));
    cr_expect(sip_lex_is_word(SLICE_LITERAL("TaG"), SLICE_LITERAL("tag")));
    cr_expect(fixture_is(sip_lex_trim(SLICE_LITERAL("\r\n a b\t")), "a b"));
    cr_expect_eq(sip_lex_trim(SLICE_LITERAL(" \t ")).len, 0);
}

/* 25.1 hostname, IPv4address, IPv6reference; RFC 5118 4. */
Test(sip_lex, hosts)
{
    static const struct {
        const char *text;
        enum sip_lex_host want;
    } cases[] = {
        {"example.com", SIP_LEX_HOST_NAME},
        {"example.com.", SIP_LEX_HOST_NAME},
        {"a-b.c1", SIP_LEX_HOST_NAME},
        {"3f2a1bc", SIP_LEX_HOST_NAME},
        {"my_host", SIP_LEX_HOST_NAME},
        {"192.0.2.1", SIP_LEX_HOST_IPV4},
        {"[2001:db8::10]", SIP_LEX_HOST_IPV6},
        {"[::]", SIP_LEX_HOST_IPV6},
        {"[::1]", SIP_LEX_HOST_IPV6},
        {"[1::]", SIP_LEX_HOST_IPV6},
        {"[1:2:3:4:5:6:7:8]", SIP_LEX_HOST_IPV6},
        {"[::ffff:192.0.2.10]", SIP_LEX_HOST_IPV6},
        {"[2001:db8:::192.0.2.1]", SIP_LEX_HOST_IPV6},
        {"[1:2:3:4:5:6:1.2.3.4]", SIP_LEX_HOST_IPV6},
        {"", SIP_LEX_HOST_BAD},
        {".", SIP_LEX_HOST_BAD},
        {"a..b", SIP_LEX_HOST_BAD},
        {".a", SIP_LEX_HOST_BAD},
        {"-a", SIP_LEX_HOST_BAD},
        {"a-.b", SIP_LEX_HOST_BAD},
        {"a%62c", SIP_LEX_HOST_BAD}, /* 19.1.2: no escapes in hosts */
        {"2001", SIP_LEX_HOST_BAD},
        {"256.0.0.1", SIP_LEX_HOST_BAD},
        {"1.2.3", SIP_LEX_HOST_BAD},
        {"1.2.3.4.5", SIP_LEX_HOST_BAD},
        {"[]", SIP_LEX_HOST_BAD},
        {"[", SIP_LEX_HOST_BAD},
        {"[1]", SIP_LEX_HOST_BAD},
        {"[1:2:3:4:5:6:7:8:9]", SIP_LEX_HOST_BAD},
        {"[1::2::3]", SIP_LEX_HOST_BAD},
        {"[12345::]", SIP_LEX_HOST_BAD},
        {"[:1]", SIP_LEX_HOST_BAD},
        {"[1:]", SIP_LEX_HOST_BAD},
        {"[::1.2.3]", SIP_LEX_HOST_BAD},
        {"[::g]", SIP_LEX_HOST_BAD},
        {"[::1", SIP_LEX_HOST_BAD},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct slice text = fixture_copy(slice_text(cases[i].text));
        cr_expect_eq(sip_lex_host(text), cases[i].want, "%s", cases[i].text);
        fixture_free(text);
    }
}
