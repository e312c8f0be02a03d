/* SPDX-License-Identifier: Apache-2.0 */
/* SIP as JSON: the fields, the torture messages with their verdicts, how streams are framed, URIs.
 * Every answer is read back by jansson, which refuses what is not JSON. */
#include "codec/show_inside.h"
#include "codec/show_sip.h"
#include "tests/unit/codec/sip_fixture.h"
#include "tests/unit/codec/sip_verdicts.h"
#include <criterion/criterion.h>
#include <jansson.h>

static char answer[1 << 20];
static size_t answer_len;

static json_t *take(const struct wr *w)
{
    answer_len = wr_len(w);
    answer[answer_len] = '\0';
    json_error_t error;
    json_t *o = json_loadb(answer, answer_len, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json_is_object(o), "%s: %s", error.text, answer);
    cr_assert_null(memchr(answer, '\n', answer_len));
    return o;
}

static json_t *message_of(struct slice bytes)
{
    struct wr w = wr_init(answer, sizeof(answer) - 1);
    cr_assert_eq(show_sip_message(bytes, &w), ERR_OK);
    return take(&w);
}

static json_t *stream_of(struct slice bytes)
{
    struct wr w = wr_init(answer, sizeof(answer) - 1);
    cr_assert_eq(show_sip_stream(bytes, &w), ERR_OK);
    return take(&w);
}

/* The answer to `text` as it is written. */
static const char *message_text(const char *text)
{
    struct slice bytes = fixture_copy(slice_text(text));
    json_decref(message_of(bytes));
    fixture_free(bytes);
    return answer;
}

static const char *stream_text(const char *text, size_t len)
{
    struct slice bytes = fixture_copy(slice_of(text, len));
    json_decref(stream_of(bytes));
    fixture_free(bytes);
    return answer;
}

Test(show_sip, shows_a_request)
{
    cr_expect_str_eq(
        message_text(
            "INVITE sip:bob@b.example;lr SIP/2.0\r\n"
            "Via: SIP/2.0/udp pc33.a.example;branch=z9hG4bK776asdhds;received=192.0.2.1\r\n"
            "v: SIP / 2.0 / tls [2001:db8::9]:5061 , SIP/2.0/x-y z;rport\r\n"
            "Max-Forwards: 70\r\nExpires: 3600\r\n"
            "To: Bob <sip:bob@b.example?a=b>\r\nf: sip:alice@a.example;tag=1928301774\r\n"
            "i: a84b4c76e66710@pc33.a.example\r\nCSeq: 314159 INVITE\r\n"
            "m: \"A, <B>\" <sip:alice@pc33:5070;transport=tcp>;q=0.1, tel:+1\r\n"
            "Contact: <sips:c@d>\r\nRoute: <sip:p1;lr>, <sip:p2;lr>\r\n"
            "Record-Route: <sip:p3;lr>\r\nContent-Length: 4\r\n\r\nv=0\nand more"),
        "{\"fields\":{\"kind\":\"request\",\"method\":\"INVITE\",\"request_uri\":\"sip:bob@b."
        "example;"
        "lr\",\"status\":null,\"call_id\":\"a84b4c76e66710@pc33.a.example\","
        "\"cseq\":{\"number\":314159,\"method\":\"INVITE\"},"
        "\"from\":{\"uri\":\"sip:alice@a.example\",\"tag\":\"1928301774\"},"
        "\"to\":{\"uri\":\"sip:bob@b.example?a=b\",\"tag\":null},"
        "\"via\":[{\"transport\":\"UDP\",\"host\":\"pc33.a.example\",\"port\":null,"
        "\"branch\":\"z9hG4bK776asdhds\"},"
        "{\"transport\":\"TLS\",\"host\":\"[2001:db8::9]\",\"port\":5061,\"branch\":null},"
        "{\"transport\":\"X-Y\",\"host\":\"z\",\"port\":null,\"branch\":null}],"
        "\"contacts\":[\"sip:alice@pc33:5070;transport=tcp\",\"tel:+1\",\"sips:c@d\"],"
        "\"routes\":[\"sip:p1;lr\",\"sip:p2;lr\"],\"record_routes\":[\"sip:p3;lr\"],"
        "\"max_forwards\":70,\"expires\":3600,\"content_length\":4,\"body_bytes\":4}}");
}

Test(show_sip, shows_a_response)
{
    cr_expect_str_eq(
        message_text(
            "\r\n\r\nSIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a\r\nFrom: <sip:a@b>\r\n"
            "To: <sip:c@d>;tag=x\r\nCall-ID: 1\r\nCSeq: 2 REGISTER\r\nExpires: soon\r\n\r\n"
            "body"),
        "{\"fields\":{\"kind\":\"response\",\"method\":null,\"request_uri\":null,\"status\":200,"
        "\"call_id\":\"1\",\"cseq\":{\"number\":2,\"method\":\"REGISTER\"},"
        "\"from\":{\"uri\":\"sip:a@b\",\"tag\":null},\"to\":{\"uri\":\"sip:c@d\",\"tag\":\"x\"},"
        "\"via\":[{\"transport\":\"TCP\",\"host\":\"a\",\"port\":null,\"branch\":null}],"
        "\"contacts\":[],\"routes\":[],\"record_routes\":[],\"max_forwards\":null,\"expires\":null,"
        "\"content_length\":null,\"body_bytes\":4}}");
}

#define HEAD "OPTIONS sip:a@b SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/UDP c;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:c@d>;tag=1\r\n"
#define TO "To: <sip:a@b>\r\n"
#define IDS "Call-ID: x\r\nCSeq: 1 OPTIONS\r\n"
#define REST VIA FROM TO IDS

Test(show_sip, values_at_their_edges)
{
    cr_expect(strstr(message_text(HEAD REST "Contact: *\r\n\r\n"), "\"contacts\":[\"*\"]") != NULL);
    cr_expect(strstr(message_text(HEAD REST "Max-Forwards: 0\r\n\r\n"), "\"max_forwards\":0,") !=
              NULL);
    cr_expect(strstr(message_text(HEAD REST "Expires: 4294967295\r\n\r\n"),
                     "\"expires\":4294967295,") != NULL);
    cr_expect(strstr(message_text(HEAD REST "Expires: 99999999999\r\n\r\n"),
                     "\"expires\":4294967295,") != NULL);
    cr_expect(strstr(message_text(HEAD REST "Expires: 0\r\nl: 0\r\n\r\n"),
                     "\"expires\":0,\"content_length\":0,\"body_bytes\":0}") != NULL);
}

/* What a peer can put into a tag goes out as UTF-8 or escaped. */
Test(show_sip, texts_are_json)
{
    static const struct {
        const char *tag;
        const char *want;
    } cases[] = {
        {"\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e\"",
         "\"tag\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e\""},
        {"\"\\\x01\\\"\"", "\"tag\":\"\\u005c\\u0001\\u005c\\u0022\""},
        {"\"\x7f\xff\x80\"", "\"tag\":\"\\u007f\\u00ff\\u0080\""},
        {"\"\xc3\"", "\"tag\":\"\\u00c3\""},                       /* cut short */
        {"\"\xc3z\"", "\"tag\":\"\\u00c3z\""},                     /* and followed by something */
        {"\"\xc0\xaf\"", "\"tag\":\"\\u00c0\\u00af\""},            /* overlong */
        {"\"\xe0\x9f\xbf\"", "\"tag\":\"\\u00e0\\u009f\\u00bf\""}, /* overlong */
        {"\"\xed\xa0\x80\"", "\"tag\":\"\\u00ed\\u00a0\\u0080\""}, /* a surrogate */
        {"\"\xf4\x90\x80\x80\"", "\"tag\":\"\\u00f4\\u0090\\u0080\\u0080\""}, /* above U+10FFFF */
        {"\"\xf0\x8f\xbf\xbf\"", "\"tag\":\"\\u00f0\\u008f\\u00bf\\u00bf\""}, /* overlong */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), HEAD VIA "From: <sip:c@d>;tag=%s\r\n" TO IDS "\r\n",
                       cases[i].tag);
        cr_expect(strstr(message_text(text), cases[i].want) != NULL, "case %zu: %s", i, answer);
    }
}

Test(show_sip, says_what_is_wrong_and_where)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {HEAD VIA FROM TO IDS "Max-Forwards: 256\r\n\r\n",
         "{\"reject\":\"Bad Max-Forwards\",\"status\":400,\"offset\":142}"},
        {"\r\n" HEAD VIA FROM TO IDS "Max-Forwards: 256\r\n\r\n", /* counts from the datagram */
         "{\"reject\":\"Bad Max-Forwards\",\"status\":400,\"offset\":144}"},
        {"OPTIONS sip:a SIP/3.0\r\n" REST "\r\n",
         "{\"reject\":\"Version Not Supported\",\"status\":505,\"offset\":14}"},
        {"OPTIONS x:a SIP/2.0\r\n" REST "\r\n",
         "{\"reject\":\"Unsupported URI Scheme\",\"status\":416,\"offset\":8}"},
        {HEAD REST "Proxy-Require: a\r\n\r\n",
         "{\"reject\":\"Bad Extension\",\"status\":420,\"offset\":143}"},
        {HEAD REST "Content-Length: 5\r\n\r\nfour",
         "{\"reject\":\"Body Cut Short\",\"status\":400,\"offset\":149}"},
        {HEAD REST, "{\"reject\":\"Head Cut Short\",\"status\":400,\"offset\":0}"},
        {"SIP/2.0 200 OK\r\n" VIA FROM TO "\r\n", /* no answer to an answer */
         "{\"reject\":\"Missing Call-ID\",\"status\":null,\"offset\":0}"},
        {"SIP/2.0 700 x\r\n" REST "\r\n",
         "{\"reject\":\"Bad Status-Code\",\"status\":null,\"offset\":7}"},
        {"sip/2", "{\"reject\":\"Head Cut Short\",\"status\":null,\"offset\":0}"},
        {"\x16\x03\x01", "{\"reject\":\"Not SIP\",\"status\":400,\"offset\":0}"},
        {"", "{\"reject\":\"Head Cut Short\",\"status\":400,\"offset\":0}"},
        {"\r\n\r\n", "{\"reject\":\"Keep-Alive, No Message\",\"status\":null,\"offset\":0}"},
        {"\r\n\r", "{\"reject\":\"Head Cut Short\",\"status\":400,\"offset\":2}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_expect_str_eq(message_text(cases[i].text), cases[i].want, "case %zu: %s", i, answer);
    }
}

/* Good ones have fields; bad ones the status that the RFC names, but responses, which get none. */
static void judge(const char *folder, const struct verdict *v)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/%s.dat", folder, v->file);
    struct slice bytes = fixture_file(path);
    cr_assert(bytes.len > 0, "%s", path);
    json_t *o = message_of(bytes);
    unsigned want = v->status != 0 ? v->status : v->extensions;
    const json_t *status = json_object_get(o, "status");
    if (want == 0) {
        const json_t *fields = json_object_get(o, "fields");
        cr_expect(json_is_object(fields) && json_object_size(o) == 1, "%s: %s", path, answer);
        cr_expect_eq(json_object_size(fields), 16, "%s: %s", path, answer);
    } else {
        cr_expect(json_is_string(json_object_get(o, "reject")), "%s: %s", path, answer);
        cr_expect_leq(json_integer_value(json_object_get(o, "offset")), (json_int_t)bytes.len);
        if (memcmp(bytes.data, "SIP/", 4) == 0) {
            cr_expect(json_is_null(status), "%s: %s", path, answer);
        } else {
            cr_expect_eq(json_integer_value(status), want, "%s: %s", path, answer);
        }
    }
    json_decref(o);
    fixture_free(bytes);
}

Test(show_sip, torture_messages_have_their_verdict)
{
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc4475); i++) {
        judge("rfc4475", &verdicts_rfc4475[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc5118); i++) {
        judge("rfc5118", &verdicts_rfc5118[i]);
    }
}

/* RFC 4475 3.1.1.1 */
Test(show_sip, short_tortuous_invite)
{
    struct slice bytes = fixture_file("rfc4475/wsinv.dat");
    json_decref(message_of(bytes));
    fixture_free(bytes);
    cr_expect_str_eq(
        answer,
        "{\"fields\":{\"kind\":\"request\",\"method\":\"INVITE\","
        "\"request_uri\":\"sip:vivekg@chair-dnrc.example.com;unknownparam\",\"status\":null,"
        "\"call_id\":\"wsinv.ndaksdj@192.0.2.1\",\"cseq\":{\"number\":9,\"method\":\"INVITE\"},"
        "\"from\":{\"uri\":\"sip:jdrosen@example.com\",\"tag\":\"98asjd8\"},"
        "\"to\":{\"uri\":\"sip:vivekg@chair-dnrc.example.com\",\"tag\":\"1918181833n\"},"
        "\"via\":[{\"transport\":\"UDP\",\"host\":\"192.0.2.2\",\"port\":null,"
        "\"branch\":\"390skdjuw\"},"
        "{\"transport\":\"TCP\",\"host\":\"spindle.example.com\",\"port\":null,"
        "\"branch\":\"z9hG4bK9ikj8\"},"
        "{\"transport\":\"UDP\",\"host\":\"192.168.255.111\",\"port\":null,"
        "\"branch\":\"z9hG4bK30239\"}],"
        "\"contacts\":[\"sip:jdrosen@example.com\"],\"routes\":[\"sip:services.example.com;lr;"
        "unknownwith=value;unknown-no-value\"],\"record_routes\":[],\"max_forwards\":68,"
        "\"expires\":null,\"content_length\":150,\"body_bytes\":150}}");
}

/* ---- streams */

#define GOOD HEAD REST "Content-Length: 2\r\n\r\nhi"
#define SHORT "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP c\r\nl: 0\r\n\r\n"

static void expect_stream(const char *text, const char *want)
{
    cr_expect_str_eq(stream_text(text, strlen(text)), want);
}

Test(show_sip, streams)
{
    cr_assert_eq(sizeof(GOOD) - 1, 151);
    expect_stream("", "{\"messages\":[],\"rest_bytes\":0,\"after\":\"open\"}");
    expect_stream("\r\n\r\n\r\n", "{\"messages\":[],\"rest_bytes\":0,\"after\":\"open\"}");
    expect_stream("\r", "{\"messages\":[],\"rest_bytes\":1,\"after\":\"wait\"}");
    expect_stream(GOOD GOOD, "{\"messages\":[{\"offset\":0,\"bytes\":151,\"body_bytes\":2},"
                             "{\"offset\":151,\"bytes\":151,\"body_bytes\":2}],"
                             "\"rest_bytes\":0,\"after\":\"open\"}");
    expect_stream("\r\n\r\n" GOOD "\r\n" GOOD "\r\nOPT",
                  "{\"messages\":[{\"offset\":4,\"bytes\":151,\"body_bytes\":2},"
                  "{\"offset\":157,\"bytes\":151,\"body_bytes\":2}],"
                  "\"rest_bytes\":3,\"after\":\"wait\"}");
    /* framed but refused: by the parser, then by the first judgement */
    expect_stream("A sip:a SIP/2.0\r\nno colon\r\nl: 1\r\n\r\nx" SHORT GOOD,
                  "{\"messages\":[{\"offset\":0,\"bytes\":36,\"body_bytes\":1,"
                  "\"reject\":\"Bad Header Name\"},"
                  "{\"offset\":36,\"bytes\":44,\"body_bytes\":0,\"reject\":\"Missing From\"},"
                  "{\"offset\":80,\"bytes\":151,\"body_bytes\":2}],"
                  "\"rest_bytes\":0,\"after\":\"open\"}");
}

/* Where framing is lost, nothing behind it counts. */
Test(show_sip, streams_that_must_be_closed)
{
    static const char *const bad[] = {
        HEAD REST "\r\n",                            /* 20.14: Content-Length is needed */
        HEAD REST "Content-Length: -1\r\n\r\n",      /* no number */
        HEAD REST "Content-Length: \r\n\r\n",        /* nothing */
        HEAD REST "l: 1\r\nl: 2\r\n\r\nab",          /* two minds */
        HEAD REST "l: 99999999999999999999\r\n\r\n", /* beyond any number */
        HEAD REST "l: 70000\r\n\r\n",                /* beyond what is accepted */
        "\n" GOOD,
        "\x16\x03\x01\x02\x03",
        "A sip:a SIP/2.0\nl: 0\n\n",
        "A sip:a SIP/2.0\r\nX: a\rb\r\nl: 0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char text[1024], want[256];
        int len = snprintf(text, sizeof(text), "%s%s%s", GOOD, bad[i], GOOD);
        (void)snprintf(want, sizeof(want),
                       "{\"messages\":[{\"offset\":0,\"bytes\":151,\"body_bytes\":2}],"
                       "\"rest_bytes\":%d,\"after\":\"close\"}",
                       len - 151);
        cr_expect_str_eq(stream_text(text, (size_t)len), want, "case %zu: %s", i, answer);
    }
}

/* However much has arrived: whole messages, then "wait"; "open" at the seams alone. */
Test(show_sip, every_cut_of_a_stream)
{
    static const char text[] = GOOD "\r\n" GOOD;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct slice bytes = fixture_copy(slice_of(text, len));
        json_t *o = stream_of(bytes);
        size_t count = json_array_size(json_object_get(o, "messages"));
        size_t taken = len < 151 ? 0 : len < 153 ? 151 : len < 304 ? 153 : 304;
        bool is_open = len == 0 || len == taken;
        cr_expect_eq(count, taken / 151, "%zu: %s", len, answer);
        cr_expect_eq(json_integer_value(json_object_get(o, "rest_bytes")),
                     (json_int_t)(len - taken), "%zu: %s", len, answer);
        cr_expect_str_eq(json_string_value(json_object_get(o, "after")), is_open ? "open" : "wait");
        json_decref(o);
        fixture_free(bytes);
    }
}

/* ---- URIs; the pairs of RFC 3261 19.1.4 stand in test_sip_uri.c and test_wire_sip.c */

static const char *pair_text(const char *a, const char *b)
{
    struct wr w = wr_init(answer, sizeof(answer) - 1);
    struct slice left = fixture_copy(slice_text(a)), right = fixture_copy(slice_text(b));
    cr_assert_eq(show_sip_uri_pair(left, right, &w), ERR_OK);
    json_decref(take(&w));
    fixture_free(left);
    fixture_free(right);
    return answer;
}

Test(show_sip, uri_pairs)
{
    cr_expect_str_eq(pair_text("sip:%61@B", "sip:a@b"), "{\"equal\":true}");
    cr_expect_str_eq(pair_text("sip:a@b", "sips:a@b"), "{\"equal\":false}");
    cr_expect_str_eq(pair_text("sip:", "x"),
                     "{\"reject\":\"a: not a URI (RFC 3261 25.1)\",\"offset\":0}");
    cr_expect_str_eq(pair_text("sip:a", ""),
                     "{\"reject\":\"b: not a URI (RFC 3261 25.1)\",\"offset\":0}");
    char many[128] = "sip:a";
    for (size_t i = 0; i <= SIP_URI_PARAMS_CAP; i++) {
        memcpy(many + 5 + 2 * i, ";p", 3);
    }
    cr_expect_str_eq(pair_text("sip:a", many),
                     "{\"reject\":\"b: too many parameters\",\"offset\":0}");
}

/* ---- whatever comes in */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t next(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* One JSON object each way; good for a datagram with its length is good for a stream. */
static void exercise(struct slice bytes)
{
    struct slice block = fixture_copy(bytes);
    json_t *o = message_of(block);
    cr_assert(json_object_get(o, "fields") != NULL || json_object_get(o, "reject") != NULL);
    json_decref(o);
    o = stream_of(block);
    size_t rest = (size_t)json_integer_value(json_object_get(o, "rest_bytes"));
    cr_assert_leq(rest, bytes.len);
    cr_assert_eq(rest == 0, strcmp(json_string_value(json_object_get(o, "after")), "open") == 0);
    json_decref(o);
    size_t half = bytes.len / 2;
    struct wr w = wr_init(answer, sizeof(answer) - 1);
    cr_assert_eq(show_sip_uri_pair(slice_sub(block, 0, half), slice_from(block, half), &w), ERR_OK);
    json_decref(take(&w));
    fixture_free(block);
}

Test(show_sip, random_and_mangled_bytes_give_one_object)
{
    static const uint8_t with[] = {0, ' ', '\r', '\n', '"', '<', ';', ',', '\\', 0x80, 0xc3, 0xff};
    static const char *const files[] = {"rfc4475/wsinv.dat", "rfc4475/intmeth.dat",
                                        "rfc4475/regaut01.dat", "rfc5118/ipv4-mapped-ipv6.dat"};
    uint8_t bytes[256];
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = next(sizeof(bytes));
        for (size_t at = 0; at < len; at++) {
            bytes[at] = (uint8_t)next(256);
        }
        exercise(slice_of(bytes, len));
    }
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct slice file = fixture_file(files[i]);
        uint8_t *data = (uint8_t *)(uintptr_t)file.data;
        for (unsigned round = 0; round < 3000; round++) {
            size_t at[3], count = 1 + next(3);
            uint8_t was[3];
            for (size_t k = 0; k < count; k++) {
                at[k] = next((uint32_t)file.len);
                was[k] = data[at[k]];
                data[at[k]] = with[next(sizeof(with))];
            }
            exercise(slice_sub(file, 0, round % 4 == 0 ? next((uint32_t)file.len) : file.len));
            for (size_t k = count; k-- > 0;) {
                data[at[k]] = was[k];
            }
        }
        fixture_free(file);
    }
}

/* A writer that is too small says so, and nothing is written behind its end. */
Test(show_sip, every_writer_that_is_too_small)
{
    struct slice file = fixture_file("rfc4475/intmeth.dat");
    json_decref(message_of(file));
    size_t whole = answer_len;
    for (size_t cap = 0; cap <= whole; cap++) {
        uint8_t *block = malloc(cap == 0 ? 1 : cap);
        struct wr w = wr_init(block, cap);
        cr_assert_eq(show_sip_message(file, &w), cap < whole ? ERR_TOO_LARGE : ERR_OK);
        w = wr_init(block, cap);
        enum err e = show_sip_stream(file, &w);
        cr_assert(e == ERR_OK || e == ERR_TOO_LARGE);
        w = wr_init(block, cap);
        e = show_sip_uri_pair(SLICE_LITERAL("sip:a"), SLICE_LITERAL("sip:a"), &w);
        cr_assert_eq(e, cap < 14 ? ERR_TOO_LARGE : ERR_OK);
        free(block);
    }
    fixture_free(file);
}
