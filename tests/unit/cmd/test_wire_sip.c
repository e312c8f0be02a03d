/* SPDX-License-Identifier: Apache-2.0 */
/* `decode --batch` for SIP: lines in, lines out. */
#include "cmd/wire.h"
#include "tests/unit/codec/sip_uri_pairs.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct wire *wire;
static struct batch_out out;

static void setup(void)
{
    wire = wire_new();
    cr_assert_not_null(wire);
}

static void teardown(void)
{
    wire_free(wire);
    free(out.text);
}

/* The answer to one line; valid until the next. */
static const char *ask(const char *line)
{
    out.len = out.begin = 0;
    wire_decode(wire, slice_text(line), &out);
    cr_assert(!out.is_full && out.len > 0);
    batch_bytes(&out, "", 1);
    return out.text;
}

/* {"type": type, "hex": bytes} */
static const char *ask_hex(const char *type, struct slice bytes)
{
    size_t cap = 2 * bytes.len + 128;
    char *line = malloc(cap);
    size_t len = (size_t)snprintf(line, cap, "{\"type\":\"%s\",\"hex\":\"", type);
    for (size_t i = 0; i < bytes.len; i++) {
        len += (size_t)snprintf(line + len, cap - len, "%02x", bytes.data[i]);
    }
    (void)snprintf(line + len, cap - len, "\"}");
    const char *answer = ask(line);
    free(line);
    return answer;
}

#define OPTIONS                                                                                    \
    "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n"   \
    "To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"

Test(wire_sip, messages_and_streams, .init = setup, .fini = teardown)
{
    cr_expect_str_eq(
        ask_hex("SipMessage", SLICE_LITERAL(OPTIONS)),
        "{\"fields\":{\"kind\":\"request\",\"method\":\"OPTIONS\",\"request_uri\":\"sip:a@b\","
        "\"status\":null,\"call_id\":\"x\",\"cseq\":{\"number\":1,\"method\":\"OPTIONS\"},"
        "\"from\":{\"uri\":\"sip:c@d\",\"tag\":\"1\"},\"to\":{\"uri\":\"sip:a@b\",\"tag\":null},"
        "\"via\":[{\"transport\":\"UDP\",\"host\":\"c\",\"port\":null,\"branch\":\"z9hG4bK1\"}],"
        "\"contacts\":[],\"routes\":[],\"record_routes\":[],\"max_forwards\":null,"
        "\"expires\":null,\"content_length\":0,\"body_bytes\":0}}");
    cr_expect_str_eq(ask_hex("SipMessage", SLICE_LITERAL("OPTIONS")),
                     "{\"reject\":\"Head Cut Short\",\"status\":400,\"offset\":0}");
    cr_expect_str_eq(ask_hex("SipStream", SLICE_LITERAL(OPTIONS "\r\n" OPTIONS "O")),
                     "{\"messages\":[{\"offset\":0,\"bytes\":149,\"body_bytes\":0},"
                     "{\"offset\":151,\"bytes\":149,\"body_bytes\":0}],"
                     "\"rest_bytes\":1,\"after\":\"wait\"}");
    cr_expect_str_eq(ask_hex("SipStream", SLICE_EMPTY),
                     "{\"messages\":[],\"rest_bytes\":0,\"after\":\"open\"}");
}

Test(wire_sip, lines_that_are_no_question, .init = setup, .fini = teardown)
{
    static const struct {
        const char *line;
        const char *want;
    } cases[] = {
        {"{\"type\":\"SipMessage\"}",
         "{\"reject\":\"hex: wants bytes as hex digits\",\"offset\":0}"},
        {"{\"type\":\"SipStream\",\"hex\":\"0\"}",
         "{\"reject\":\"hex: wants an even number of hex digits\",\"offset\":0}"},
        {"{\"type\":\"SipUriPair\",\"a\":\"sip:a\"}",
         "{\"reject\":\"a and b: want URIs as text\",\"offset\":0}"},
        {"{\"type\":\"SipUriPair\",\"a\":\"sip:a\",\"b\":1}",
         "{\"reject\":\"a and b: want URIs as text\",\"offset\":0}"},
        {"{\"type\":\"SipUriPair\",\"a\":\"\\u00e4\",\"b\":\"sip:a\"}",
         "{\"reject\":\"a: not a URI (RFC 3261 25.1)\",\"offset\":0}"},
        {"{\"type\":\"sipmessage\",\"hex\":\"\"}",
         "{\"reject\":\"type: no structure of this name\",\"offset\":0}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_expect_str_eq(ask(cases[i].line), cases[i].want, "%s", cases[i].line);
    }
}

Test(wire_sip, uri_pairs, .init = setup, .fini = teardown)
{
    for (size_t i = 0; i < 2 * ARRAY_COUNT(sip_uri_pairs); i++) {
        const char *a = sip_uri_pairs[i / 2].a, *b = sip_uri_pairs[i / 2].b;
        char line[512];
        (void)snprintf(line, sizeof(line), "{\"type\":\"SipUriPair\",\"a\":\"%s\",\"b\":\"%s\"}",
                       i % 2 == 0 ? a : b, i % 2 == 0 ? b : a);
        cr_expect_str_eq(ask(line),
                         sip_uri_pairs[i / 2].is_equal ? "{\"equal\":true}" : "{\"equal\":false}",
                         "%s", line);
    }
}

/* The line read by hand and the one that jansson reads: one answer. */
Test(wire_sip, both_ways_to_read_a_line, .init = setup, .fini = teardown)
{
    static const char *const bodies[] = {
        "\"type\":\"SipMessage\",\"hex\":\"0d0a\"",
        "\"type\":\"SipMessage\",\"hex\":\"0\"",
        "\"type\":\"SipStream\"",
        "\"hex\":\"00\"",
        "\"type\":\"SipUriPair\",\"a\":\"sip:a\",\"b\":\"sip:A\"",
        "\"type\":\"SipUriPair\",\"a\":\"sip:a\"",
        "\"type\":\"PingReq\",\"hex\":\"000161\"",
        "\"type\":\"PingReq\",\"hex\":\"0002\"",
        "\"type\":\"Nothing\",\"hex\":\"0002\"",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        char line[128], first[512];
        (void)snprintf(line, sizeof(line), "{%s}", bodies[i]);
        (void)snprintf(first, sizeof(first), "%s", ask(line));
        (void)snprintf(line, sizeof(line), "{%s,\"line\":1}", bodies[i]);
        cr_expect_str_eq(ask(line), first, "%s", line);
    }
}

/* An answer larger than its first buffer; and bytes of all kinds: always one object, no newline. */
Test(wire_sip, one_object_whatever_the_bytes, .init = setup, .fini = teardown)
{
    enum { MANY = 4000 };
    static const char *const types[] = {"SipMessage", "SipStream"};
    static const char small[] = "A a:a SIP/2.0\r\nl: 0\r\n\r\n";
    static char bytes[MANY * (sizeof(small) - 1)];
    uint32_t seed = 1;
    for (size_t i = 0; i < MANY; i++) {
        memcpy(bytes + i * (sizeof(small) - 1), small, sizeof(small) - 1);
    }
    json_t *o = json_loads(ask_hex("SipStream", slice_of(bytes, sizeof(bytes))), 0, NULL);
    cr_expect_eq(json_array_size(json_object_get(o, "messages")), MANY);
    json_decref(o);
    for (size_t i = 0; i < 4000; i++) {
        uint8_t text[sizeof(OPTIONS)];
        memcpy(text, OPTIONS, sizeof(text));
        for (unsigned k = 0; k < 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % sizeof(text)] = (uint8_t)(seed >> 24);
        }
        const char *answer = ask_hex(types[i % 2], slice_of(text, sizeof(text)));
        cr_assert_null(strchr(answer, '\n'));
        o = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(json_is_object(o), "%s", answer);
        json_decref(o);
    }
}
