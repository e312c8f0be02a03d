/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: RFC 3261 7, 8.2.6, 9.1, 17.1.1.3; RFC 3581 4. */
#include "codec/sip_write.h"
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

static uint8_t buffer[2048];

static struct sip_writer begin(void)
{
    struct sip_writer w;
    sip_write_init(&w, buffer, sizeof(buffer));
    return w;
}

static void expect_text(const struct sip_writer *w, const char *want)
{
    struct slice got;
    cr_assert_eq(sip_write_finish(w, &got), ERR_OK);
    cr_expect(fixture_is(got, want), "got:\n%.*s", (int)got.len, (const char *)got.data);
}

#define REQUEST                                                                                    \
    "INVITE sip:bob@b SIP/2.0\r\n"                                                                 \
    "v: SIP/2.0/UDP 10.0.0.1:5070 ;rport ;branch=z9hG4bK1;received=6.6.6.6, SIP/2.0/TCP up\r\n"    \
    "Via: SIP/2.0/UDP first\r\nRecord-Route: <sip:p;lr>\r\nRoute: <sip:q;lr>\r\n"                  \
    "From: <sip:a@a>;tag=1\r\nTo: \"Bob\"\r\n <sip:bob@b>\r\nCall-ID: id@x\r\nCSeq: 7 INVITE\r\n"  \
    "Timestamp: 54\r\nContent-Length: 2\r\n\r\nhi"

Test(sip_write, a_message_from_nothing_parses)
{
    struct sip_writer w = begin();
    sip_write_request_line(&w, SLICE_LITERAL("OPTIONS"), SLICE_LITERAL("sip:a@b"));
    sip_write_header(&w, SIP_HDR_VIA, SLICE_LITERAL("SIP/2.0/UDP c;branch=z9hG4bK1"));
    sip_write_header_begin(&w, SIP_HDR_FROM);
    sip_write_quoted(&w, SLICE_LITERAL("a \"b\" \\ \r\nX"));
    sip_write_text(&w, " <sip:c@d>;tag=1");
    sip_write_header_end(&w);
    sip_write_header(&w, SIP_HDR_TO, SLICE_LITERAL("<sip:a@b>"));
    sip_write_header(&w, SIP_HDR_CALL_ID, SLICE_LITERAL("x"));
    sip_write_header(&w, SIP_HDR_CSEQ, SLICE_LITERAL("1 OPTIONS"));
    sip_write_header_u32(&w, SIP_HDR_EXPIRES, UINT32_MAX);
    sip_write_header_named(&w, SLICE_LITERAL("X-New"), SLICE_LITERAL("1\r\n 2"));
    sip_write_body(&w, SLICE_LITERAL("text/plain"), SLICE_LITERAL("hello"));
    expect_text(&w,
                "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\n"
                "From: \"a \\\"b\\\" \\\\   X\" <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n"
                "CSeq: 1 OPTIONS\r\nExpires: 4294967295\r\nX-New: 1\r\n 2\r\n"
                "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&p, true);
    cr_assert_eq(sip_parser_feed(&p, slice_of(buffer, w.len)), SIP_PARSE_OK);
    cr_expect_eq(sip_msg_check(&p.msg, &core, &fault), ERR_OK);
}

Test(sip_write, refuses_injection_and_overflow)
{
    static const char *const bad[] = {"a\r\nX: 1", "a\n b", "a\r b", "a\r\n", "a\r", "\r\n\r\n x"};
    struct slice got;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct sip_writer w = begin();
        sip_write_header(&w, SIP_HDR_SUBJECT, slice_text(bad[i]));
        sip_write_text(&w, "more");
        cr_expect_eq(sip_write_finish(&w, &got), ERR_MALFORMED, "case %zu", i);
        cr_expect_eq(got.len, 0);
        cr_expect(!sip_write_is_line(slice_text(bad[i])));
    }
    struct sip_writer w = begin();
    sip_write_request_line(&w, SLICE_LITERAL("OPTIONS"), SLICE_LITERAL("sip:a@b SIP/2.0\r\nX: y"));
    cr_expect_eq(sip_write_finish(&w, &got), ERR_MALFORMED);
    w = begin();
    sip_write_header_named(&w, SLICE_LITERAL("X: y"), SLICE_LITERAL("1"));
    cr_expect_eq(sip_write_finish(&w, &got), ERR_MALFORMED);
    for (size_t cap = 0; cap < 18; cap++) {
        struct slice block = fixture_copy(slice_of(buffer, cap));
        sip_write_init(&w, (uint8_t *)(uintptr_t)block.data, cap);
        sip_write_header_u32(&w, SIP_HDR_EXPIRES, 1234567);
        cr_expect_eq(sip_write_finish(&w, &got), ERR_TOO_LARGE, "%zu", cap);
        fixture_free(block);
    }
}

Test(sip_write, response_with_received_and_rport)
{
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    struct slice bytes = fixture_parse(&p, REQUEST);
    cr_assert_eq(sip_msg_check(&p.msg, &core, &fault), ERR_OK);
    struct sip_write_reply reply = {
        .status = 180,
        .to_tag = SLICE_LITERAL("t9"),
        .received = SLICE_LITERAL("192.0.2.1"),
        .rport = 4444,
        .record_route = true,
    };
    struct sip_writer w = begin();
    sip_write_response(&w, &p.msg, &core, &reply);
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    expect_text(&w,
                "SIP/2.0 180 Ringing\r\n"
                "Via: SIP/2.0/UDP 10.0.0.1:5070 ;rport=4444;branch=z9hG4bK1"
                ";received=192.0.2.1, SIP/2.0/TCP up\r\n"
                "Via: SIP/2.0/UDP first\r\nRecord-Route: <sip:p;lr>\r\nFrom: <sip:a@a>;tag=1\r\n"
                "To: \"Bob\"\r\n <sip:bob@b>;tag=t9\r\nCall-ID: id@x\r\nCSeq: 7 INVITE\r\n"
                "Content-Length: 0\r\n\r\n");
    /* 8.2.6.1: a 100 takes the Timestamp and may do without a tag */
    w = begin();
    reply = (struct sip_write_reply){.status = 100, .reason = SLICE_LITERAL("Wait")};
    sip_write_response(&w, &p.msg, &core, &reply);
    expect_text(&w, "SIP/2.0 100 Wait\r\n"
                    "Via: SIP/2.0/UDP 10.0.0.1:5070 ;rport ;branch=z9hG4bK1;received=6.6.6.6, "
                    "SIP/2.0/TCP up\r\n"
                    "Via: SIP/2.0/UDP first\r\nFrom: <sip:a@a>;tag=1\r\n"
                    "To: \"Bob\"\r\n <sip:bob@b>\r\nCall-ID: id@x\r\nCSeq: 7 INVITE\r\n"
                    "Timestamp: 54\r\n");
    fixture_free(bytes);
    /* an empty Via in front is nobody's CHECK */
    bytes =
        fixture_parse(&p, "OPTIONS sip:a SIP/2.0\r\nVia:\r\nVia: SIP/2.0/UDP a\r\nl: 0\r\n\r\n");
    (void)!sip_msg_check(&p.msg, &core, &fault);
    w = begin();
    reply = (struct sip_write_reply){.status = 400, .received = SLICE_LITERAL("192.0.2.1")};
    sip_write_response(&w, &p.msg, &core, &reply);
    struct slice got;
    cr_expect_eq(sip_write_finish(&w, &got), ERR_OK);
    fixture_free(bytes);
}

/* RFC 3581 4: rport is filled in only where it was asked for. */
Test(sip_write, via_marks)
{
    static const char *const cases[][2] = {
        {"SIP/2.0/UDP a", "SIP/2.0/UDP a;received=1.2.3.4"},
        {"SIP/2.0/UDP a;branch=x", "SIP/2.0/UDP a;branch=x;received=1.2.3.4"},
        {"SIP/2.0/UDP a;rport;branch=x", "SIP/2.0/UDP a;rport=9;branch=x;received=1.2.3.4"},
        {"SIP/2.0/UDP a;rport=1;received=b;rport=2",
         "SIP/2.0/UDP a;rport=9;rport=2;received=1.2.3.4"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_hdr_via via;
        struct sip_writer w = begin();
        cr_assert_eq(sip_hdr_via_decode(slice_text(cases[i][0]), &via), ERR_OK);
        sip_write_via(&w, &via, SLICE_LITERAL("1.2.3.4"), 9);
        expect_text(&w, cases[i][1]);
    }
}

Test(sip_write, cancel_and_ack_of_an_invite)
{
    struct sip_parser p;
    struct slice bytes = fixture_parse(&p, REQUEST);
    struct sip_writer w = begin();
    sip_write_hop_request(&w, &p.msg, SIP_METHOD_CANCEL, SLICE_EMPTY, SLICE_EMPTY);
    expect_text(&w, "CANCEL sip:bob@b SIP/2.0\r\n"
                    "Via: SIP/2.0/UDP 10.0.0.1:5070 ;rport ;branch=z9hG4bK1;received=6.6.6.6\r\n"
                    "Max-Forwards: 70\r\nRoute: <sip:q;lr>\r\nFrom: <sip:a@a>;tag=1\r\n"
                    "To: \"Bob\"\r\n <sip:bob@b>\r\nCall-ID: id@x\r\nCSeq: 7 CANCEL\r\n"
                    "Content-Length: 0\r\n\r\n");
    w = begin();
    sip_write_hop_request(&w, &p.msg, SIP_METHOD_ACK, SLICE_LITERAL("<sip:bob@b>;tag=9"),
                          SLICE_EMPTY);
    struct slice got;
    cr_assert_eq(sip_write_finish(&w, &got), ERR_OK);
    struct sip_parser q;
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&q, true);
    cr_assert_eq(sip_parser_feed(&q, got), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(&q.msg, &core, &fault), ERR_OK);
    cr_expect_eq(q.msg.method, SIP_METHOD_ACK);
    cr_expect(core.cseq.number == 7 && core.cseq.method == SIP_METHOD_ACK);
    cr_expect(fixture_is(core.to.tag, "9"));
    w = begin();
    sip_write_hop_request(&w, &p.msg, SIP_METHOD_BYE, SLICE_EMPTY, SLICE_EMPTY);
    cr_expect_eq(sip_write_finish(&w, &got), ERR_STATE);
    fixture_free(bytes);
    cr_expect(fixture_is(sip_write_reason(480), "Temporarily Unavailable"));
    cr_expect(fixture_is(sip_write_reason(499), "Unknown"));
}
