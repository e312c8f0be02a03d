/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding by copied ranges: RFC 3261 16.6, 16.7, 18.2.1; RFC 3581 4. */
#include "codec/sip_edit.h"
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

static uint8_t out[4096];

static void expect_emit(const struct sip_edit *e, const char *want)
{
    size_t len = 0;
    cr_assert_eq(sip_edit_emit(e, out, sizeof(out), &len), ERR_OK);
    cr_expect(fixture_is(slice_of(out, len), want), "got:\n%.*s", (int)len, (const char *)out);
    /* in a block of the exact size it fits, in none that is smaller */
    size_t got = 0;
    struct slice block = fixture_copy(slice_of(out, len));
    cr_expect_eq(sip_edit_emit(e, (uint8_t *)(uintptr_t)block.data, len, &got), ERR_OK);
    fixture_free(block);
    for (size_t cap = 0; cap < len; cap += 7) {
        block = fixture_copy(slice_of(out, cap));
        cr_expect_eq(sip_edit_emit(e, (uint8_t *)(uintptr_t)block.data, cap, &got), ERR_TOO_LARGE);
        fixture_free(block);
    }
}

#define ODD "X-Odd :  kept \t as\r\n it is \r\n"

Test(sip_edit, nothing_edited_is_a_copy)
{
    static const char *const files[] = {"rfc4475/intmeth.dat", "rfc4475/mpart01.dat",
                                        "rfc4475/unreason.dat", "rfc4475/escnull.dat"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct sip_parser p;
        struct sip_edit e;
        size_t len = 0;
        struct slice bytes = fixture_file(files[i]);
        sip_parser_init(&p, false);
        cr_assert_eq(sip_parser_datagram(&p, bytes), SIP_PARSE_OK, "%s", files[i]);
        sip_edit_init(&e, &p.msg);
        cr_assert_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_OK);
        cr_expect(slice_is_equal(slice_of(out, len), bytes), "%s", files[i]);
        fixture_free(bytes);
    }
}

/* 16.6: what a proxy does to a request. */
Test(sip_edit, forwards_a_request)
{
    struct sip_parser p;
    struct sip_edit e;
    struct sip_hdr_via via;
    struct slice bytes = fixture_parse(
        &p, "INVITE sip:bob@b SIP/2.0\r\n" ODD
            "Via: SIP/2.0/UDP 10.0.0.1;rport ; branch=z9hG4bK1, SIP/2.0/TCP z\r\n"
            "Route: <sip:me;lr>, <sip:also-me;lr> , <sip:next;lr>\r\nMax-Forwards:   070 \r\n"
            "Record-Route: <sip:prev;lr>\r\nTo: x\r\n\r\nbody");
    struct slice top = sip_msg_first(&p.msg, SIP_HDR_VIA);
    cr_assert_eq(sip_lex_item(&top, &via.text), ERR_OK);
    cr_assert_eq(sip_hdr_via_decode(via.text, &via), ERR_OK);
    sip_edit_init(&e, &p.msg);
    sip_edit_request_uri(&e, SLICE_LITERAL("sip:bob@192.0.2.9:5099;ob"));
    sip_edit_max_forwards(&e, 69);
    sip_edit_pop(&e, SIP_HDR_ROUTE, 2);
    sip_edit_received(&e, &via, SLICE_LITERAL("192.0.2.77"), 5555);
    sip_edit_push(&e, SIP_HDR_RECORD_ROUTE, SLICE_LITERAL("<sip:in;lr>"));
    sip_edit_push(&e, SIP_HDR_RECORD_ROUTE, SLICE_LITERAL("<sip:out;lr>"));
    sip_edit_push(&e, SIP_HDR_VIA, SLICE_LITERAL("SIP/2.0/UDP me;branch=z9hG4bK2"));
    sip_edit_append(&e, SIP_HDR_REASON, SLICE_LITERAL("Q.850"));
    sip_edit_append_named(&e, SLICE_LITERAL("X-Last: 1"));
    expect_emit(&e, "INVITE sip:bob@192.0.2.9:5099;ob SIP/2.0\r\n" ODD
                    "Via: SIP/2.0/UDP me;branch=z9hG4bK2\r\n"
                    "Via: SIP/2.0/UDP 10.0.0.1;rport=5555 ; branch=z9hG4bK1;received=192.0.2.77, "
                    "SIP/2.0/TCP z\r\n"
                    "Route: <sip:next;lr>\r\nMax-Forwards:   69 \r\n"
                    "Record-Route: <sip:out;lr>\r\nRecord-Route: <sip:in;lr>\r\n"
                    "Record-Route: <sip:prev;lr>\r\nTo: x\r\n"
                    "Reason: Q.850\r\nX-Last: 1\r\nContent-Length: 4\r\n\r\nbody");
    fixture_free(bytes);
}

/* 16.7 step 3: our Via comes off a response, wherever it stands. */
Test(sip_edit, forwards_a_response)
{
    static const char *const cases[][2] = {
        {"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP me\r\nVia: SIP/2.0/UDP you\r\nl: 0\r\n\r\n",
         "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP you\r\nl: 0\r\n\r\n"},
        {"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP me ,\r\n SIP/2.0/UDP you\r\nl: 0\r\n\r\n",
         "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP you\r\nl: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        struct sip_edit e;
        struct slice bytes = fixture_parse(&p, cases[i][0]);
        sip_edit_init(&e, &p.msg);
        sip_edit_pop(&e, SIP_HDR_VIA, 1);
        expect_emit(&e, cases[i][1]);
        fixture_free(bytes);
    }
}

Test(sip_edit, replaces_and_removes)
{
    struct sip_parser p;
    struct sip_edit e;
    struct sip_msg_items it;
    struct slice item;
    struct slice bytes = fixture_parse(
        &p, "A sip:a SIP/2.0\r\nRoute: <sip:1>\r\nSubject:\r\nRoute: <sip:2>,<sip:3>\r\n"
            "Contact: <sip:old>, <sip:older>\r\nl: 0\r\n\r\n");
    sip_edit_init(&e, &p.msg);
    sip_edit_remove_all(&e, SIP_HDR_ROUTE);
    sip_edit_push(&e, SIP_HDR_ROUTE, SLICE_LITERAL("<sip:new>"));
    sip_edit_replace(&e, 1, SLICE_LITERAL("hello"));
    it = sip_msg_items(&p.msg, SIP_HDR_CONTACT);
    cr_assert_eq(sip_msg_items_next(&it, &item), ERR_OK);
    cr_assert_eq(sip_msg_items_next(&it, &item), ERR_OK);
    sip_edit_item(&e, item, SLICE_LITERAL("<sip:newer>"));
    expect_emit(&e, "A sip:a SIP/2.0\r\nRoute: <sip:new>\r\nSubject:hello\r\n"
                    "Contact: <sip:old>, <sip:newer>\r\nl: 0\r\n\r\n");
    /* pops across lines; Max-Forwards is added where there is none */
    sip_edit_init(&e, &p.msg);
    sip_edit_pop(&e, SIP_HDR_ROUTE, 2);
    sip_edit_max_forwards(&e, 7);
    sip_edit_remove(&e, 3);
    expect_emit(&e,
                "A sip:a SIP/2.0\r\nMax-Forwards: 7\r\nSubject:\r\nRoute: <sip:3>\r\nl: 0\r\n\r\n");
    fixture_free(bytes);
}

Test(sip_edit, errors_stick)
{
    struct sip_parser p;
    struct sip_edit e;
    size_t len = 0;
    struct slice bytes = fixture_parse(&p, "A sip:a SIP/2.0\r\nRoute: <sip:1>\r\nl: 0\r\n\r\n");
    sip_edit_init(&e, &p.msg);
    sip_edit_pop(&e, SIP_HDR_ROUTE, 2);
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_NOT_FOUND);
    sip_edit_init(&e, &p.msg);
    sip_edit_remove(&e, 0);
    sip_edit_replace(&e, 0, SLICE_LITERAL("x"));
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_STATE);
    sip_edit_init(&e, &p.msg);
    sip_edit_append(&e, SIP_HDR_REASON, SLICE_LITERAL("x\r\nEvil: 1"));
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_MALFORMED);
    sip_edit_init(&e, &p.msg);
    sip_edit_request_uri(&e, SLICE_LITERAL("sip:a b"));
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_MALFORMED);
    sip_edit_init(&e, &p.msg);
    for (unsigned i = 0; i <= SIP_EDIT_CAP; i++) {
        sip_edit_append(&e, SIP_HDR_REASON, SLICE_LITERAL("x"));
    }
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_LIMIT);
    fixture_free(bytes);
    bytes = fixture_parse(&p, "SIP/2.0 200 OK\r\nl: 0\r\n\r\n");
    sip_edit_init(&e, &p.msg);
    sip_edit_request_uri(&e, SLICE_LITERAL("sip:a"));
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_STATE);
    fixture_free(bytes);
    /* a message that was never read to its end cannot be forwarded */
    sip_parser_init(&p, false);
    cr_expect_eq(sip_parser_datagram(&p, SLICE_LITERAL("A sip:a SIP/2.0\r\nl: 5\r\n")),
                 SIP_PARSE_BAD);
    sip_edit_init(&e, &p.msg);
    cr_expect_eq(sip_edit_emit(&e, out, sizeof(out), &len), ERR_STATE);
}
