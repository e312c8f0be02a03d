/* SPDX-License-Identifier: Apache-2.0 */
/* Header names and values: RFC 3261 20, 3581, 5118, 7616, 6665. */
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

Test(sip_hdr, every_name_is_found_in_any_case_and_nothing_else)
{
    for (enum sip_hdr_id id = SIP_HDR_OTHER + 1; id < SIP_HDR_COUNT; id++) {
        struct slice name = sip_hdr_name(id);
        char text[64];
        cr_assert(name.len > 1 && name.len < sizeof(text));
        memcpy(text, name.data, name.len);
        cr_expect_eq(sip_hdr_find(name), id, "%.*s", (int)name.len, text);
        for (size_t i = 0; i < name.len; i++) {
            text[i] = (char)(i % 2 == 0 ? slice_lower((uint8_t)text[i]) : (text[i] & ~0x20));
            if (name.data[i] == '-') {
                text[i] = '-';
            }
        }
        cr_expect_eq(sip_hdr_find(slice_of(text, name.len)), id);
        /* one letter changed is another name: a hash alone would not notice the second */
        text[1] = '_';
        cr_expect_eq(sip_hdr_find(slice_of(text, name.len)), SIP_HDR_OTHER);
        if (name.len > 2) { /* else what remains is a compact form */
            cr_expect_eq(sip_hdr_find(slice_sub(name, 0, name.len - 1)), SIP_HDR_OTHER);
        }
    }
    /* compact forms of 7.3.3 and later registrations */
    static const struct {
        const char *letter;
        enum sip_hdr_id id;
    } compact[] = {
        {"v", SIP_HDR_VIA},
        {"V", SIP_HDR_VIA},
        {"f", SIP_HDR_FROM},
        {"t", SIP_HDR_TO},
        {"i", SIP_HDR_CALL_ID},
        {"m", SIP_HDR_CONTACT},
        {"l", SIP_HDR_CONTENT_LENGTH},
        {"c", SIP_HDR_CONTENT_TYPE},
        {"k", SIP_HDR_SUPPORTED},
        {"s", SIP_HDR_SUBJECT},
        {"e", SIP_HDR_CONTENT_ENCODING},
        {"o", SIP_HDR_EVENT},
        {"u", SIP_HDR_ALLOW_EVENTS},
        {"r", SIP_HDR_REFER_TO},
        {"x", SIP_HDR_SESSION_EXPIRES},
        {"z", SIP_HDR_OTHER},
        {"-", SIP_HDR_OTHER},
    };
    for (size_t i = 0; i < ARRAY_COUNT(compact); i++) {
        cr_expect_eq(sip_hdr_find(slice_text(compact[i].letter)), compact[i].id);
    }
    cr_expect_eq(sip_hdr_find(SLICE_EMPTY), SIP_HDR_OTHER);
    cr_expect_eq(sip_hdr_find(SLICE_LITERAL("khd")), SIP_HDR_OTHER);
    cr_expect_eq(sip_hdr_find(SLICE_LITERAL("C%6Fntact")), SIP_HDR_OTHER);
    cr_expect_eq(sip_hdr_shape(SIP_HDR_VIA), SIP_HDR_SHAPE_LIST);
    cr_expect_eq(sip_hdr_shape(SIP_HDR_OTHER), SIP_HDR_SHAPE_PLAIN);
    cr_expect_eq(sip_hdr_shape(SIP_HDR_TO), SIP_HDR_SHAPE_ONE);
}

Test(sip_hdr, methods_and_transports)
{
    for (enum sip_method m = SIP_METHOD_OTHER + 1; m < SIP_METHOD_COUNT; m++) {
        cr_expect_eq(sip_hdr_method(sip_hdr_method_name(m)), m);
    }
    cr_expect_eq(sip_hdr_method(SLICE_LITERAL("invite")), SIP_METHOD_OTHER); /* 7.1: case matters */
    cr_expect_eq(sip_hdr_method(SLICE_LITERAL("INVITED")), SIP_METHOD_OTHER);
    cr_expect_eq(sip_hdr_method(SLICE_EMPTY), SIP_METHOD_OTHER);
    cr_expect_eq(sip_hdr_transport(SLICE_LITERAL("tLs")), SIP_TRANSPORT_TLS);
    cr_expect_eq(sip_hdr_transport(SLICE_LITERAL("UNKNOWN")), SIP_TRANSPORT_OTHER);
    cr_expect(fixture_is(sip_hdr_transport_name(SIP_TRANSPORT_WSS), "WSS"));
}

Test(sip_hdr, via_with_everything)
{
    struct sip_hdr_via v;
    struct slice text = fixture_copy(SLICE_LITERAL(
        "SIP/2.0/UDP "
        "192.0.2.2:5070;rport=99;branch=z9hG4bKabc;received=192.0.2.9;maddr=a.b;ttl=16"));
    cr_assert_eq(sip_hdr_via_decode(text, &v), ERR_OK);
    cr_expect_eq(v.transport, SIP_TRANSPORT_UDP);
    cr_expect(fixture_is(v.host, "192.0.2.2"));
    cr_expect(fixture_is(v.sent_by, "192.0.2.2:5070"));
    cr_expect_eq(v.port, 5070);
    cr_expect(v.has_rport && v.rport == 99);
    cr_expect(v.has_branch && v.has_magic && fixture_is(v.branch, "z9hG4bKabc"));
    cr_expect(fixture_is(v.received, "192.0.2.9"));
    cr_expect(fixture_is(v.maddr, "a.b"));
    cr_expect_eq(v.ttl, 16);
    fixture_free(text);
    /* RFC 4475 3.1.1.1: white space at every joint */
    cr_assert_eq(
        sip_hdr_via_decode(SLICE_LITERAL("SIP  / 2.0  / TCP     spindle.example.com   ;\r\n"
                                         "  branch  =   z9hG4bK9ikj8"),
                           &v),
        ERR_OK);
    cr_expect(fixture_is(v.host, "spindle.example.com"));
    cr_expect(fixture_is(v.branch, "z9hG4bK9ikj8"));
    /* RFC 3581 3; 4475 3.2.1: a cookie without an identifier is none; 5118 4.5: both forms */
    cr_assert_eq(sip_hdr_via_decode(SLICE_LITERAL("SIP/2.0/WSS [::1]:1;rport;branch=z9hG4bK"), &v),
                 ERR_OK);
    cr_expect(v.has_rport && v.rport == 0 && v.has_branch && !v.has_magic);
    cr_assert_eq(sip_hdr_via_decode(SLICE_LITERAL("SIP/2.0/UDP a;received=[::1];branch=1"), &v),
                 ERR_OK);
    cr_expect(fixture_is(v.received, "[::1]") && !v.has_magic);
    cr_assert_eq(sip_hdr_via_decode(SLICE_LITERAL("SIP/2.0/UDP a;received=::1"), &v), ERR_OK);
    cr_expect(fixture_is(v.received, "::1") && !v.has_branch);
}

Test(sip_hdr, via_faults)
{
    static const char *const bad[] = {
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/ a",
        "SIP/2.0 a",
        "SIP/2.0/UDP;branch=1",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP a:b",
        "SIP/2.0/UDP a:",
        "SIP/2.0/UDP a:0",
        "SIP/2.0/UDP a:65536",
        "SIP/2.0/UDP a:5070x",
        "SIP/2.0/UDP :1",
        "SIP/2.0/UDP a;",
        "SIP/2.0/UDP a;;",
        "SIP/2.0/UDP a;branch",
        "SIP/2.0/UDP a;branch=",
        "SIP/2.0/UDP a;branch=\"\"",
        "SIP/2.0/UDP a;rport=x",
        "SIP/2.0/UDP a;rport=70000",
        "SIP/2.0/UDP a;ttl=256",
        "SIP/2.0/UDP a@b",
        "SIP/2.0/UDP 2001:db8::1",
    };
    struct sip_hdr_via v;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct slice text = fixture_copy(slice_text(bad[i]));
        cr_expect_eq(sip_hdr_via_decode(text, &v), ERR_MALFORMED, "%s", bad[i]);
        fixture_free(text);
    }
    cr_expect_eq(sip_hdr_via_decode(SLICE_LITERAL("SIP/2.0/UDP a : 5070 ;rport"), &v), ERR_OK);
    cr_expect_eq(v.port, 5070);
    cr_expect(fixture_is(v.sent_by, "a : 5070"));
    cr_expect_eq(sip_hdr_via_decode(SLICE_LITERAL("SIP/7.0/UDP c.example.com;branch=z9hG4bKk"), &v),
                 ERR_UNSUPPORTED);
    cr_expect(fixture_is(v.host, "c.example.com") && v.has_magic);
    cr_expect_eq(sip_hdr_via_decode(SLICE_LITERAL("HTTP/2.0/UDP c"), &v), ERR_UNSUPPORTED);
}

Test(sip_hdr, addresses)
{
    static const struct {
        const char *text;
        const char *display;
        const char *uri;
        const char *tag;
        const char *params;
    } cases[] = {
        {"<sip:a@b>;tag=1", "", "sip:a@b", "1", ";tag=1"},
        {"sip:a@b;tag=1", "", "sip:a@b", "1", ";tag=1"},
        {"\"A, \\\"B\\\"\" <sip:a@b;x=1?h=i,j>", "\"A, \\\"B\\\"\"", "sip:a@b;x=1?h=i,j", "", ""},
        {"T. desk-phone\r\n <sip:a@b> ; TAG = x", "T. desk-phone", "sip:a@b", "x", " ; TAG = x"},
        {"caller<sip:a@b>;tag=323", "caller", "sip:a@b", "323", ";tag=323"}, /* 4475 3.1.1.6 */
        {"<tel:+1>", "", "tel:+1", "", ""},
        {"isbn:2983792873", "", "isbn:2983792873", "", ""},
        {"sip:a@b ;tag=1", "", "sip:a@b", "1", " ;tag=1"},
    };
    struct sip_hdr_address a;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct slice text = fixture_copy(slice_text(cases[i].text));
        cr_assert_eq(sip_hdr_address_decode(text, &a), ERR_OK, "%s", cases[i].text);
        cr_expect(fixture_is(a.display, cases[i].display), "%s", cases[i].text);
        cr_expect(fixture_is(a.uri, cases[i].uri), "%s", cases[i].text);
        cr_expect(fixture_is(a.tag, cases[i].tag), "%s", cases[i].text);
        cr_expect(fixture_is(a.params, cases[i].params), "%s", cases[i].text);
        cr_expect_eq(a.has_tag, cases[i].tag[0] != 0);
        fixture_free(text);
    }
    cr_expect_eq(sip_hdr_address_decode(SLICE_LITERAL("*"), &a), ERR_OK);
    cr_expect(a.is_star);
}

Test(sip_hdr, address_faults)
{
    static const char *const bad[] = {
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "< sip:a@b >", /* 4475 3.1.2.14 */
        "<sip:a b@c>",
        "\"open <sip:a@b>", /* 3.1.2.6 */
        "\"a\" sip:a@b",
        "\"a\"",
        "Bell, Alexander <sip:a@b>", /* 3.1.2.15 */
        "sip:a@b?Route=x",           /* 3.1.2.13 */
        "sip:a,b@c",
        "<sip:a@b>;;;;", /* 3.1.2.1 */
        "<sip:a@b>;tag=",
        "<sip:a@b> x",
        "<sip:a@b>, <sip:c@d>",
        "<<sip:a@b>>",
        "*;expires=0",
    };
    struct sip_hdr_address a;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct slice text = fixture_copy(slice_text(bad[i]));
        struct sip_uri uri;
        enum err e = sip_hdr_address_decode(text, &a);
        if (e == ERR_OK) {
            e = sip_uri_decode(a.uri, &uri);
        }
        cr_expect_eq(e, ERR_MALFORMED, "%s", bad[i]);
        fixture_free(text);
    }
}

Test(sip_hdr, contact_expires_and_q)
{
    static const struct {
        const char *text;
        bool has_expires;
        uint32_t expires_s;
        bool has_q;
        uint16_t q_milli;
    } cases[] = {
        {"<sip:a@b>", false, 0, false, 1000},
        {"<sip:a@b>;expires=60;q=0.7", true, 60, true, 700},
        {"<sip:a@b>;EXPIRES=0;Q=1.000", true, 0, true, 1000},
        {"<sip:a@b>;expires=280297596632815", true, UINT32_MAX, false, 1000}, /* 4475 3.1.2.4 */
        {"<sip:a@b>;expires=\"60\";q=0.125", true, 60, true, 125},
        {"<sip:a@b>;expires=soon;q=high", false, 0, false, 1000},
        {"<sip:a@b>;q=1.001", false, 0, false, 1000},
        {"<sip:a@b>;q=0.1234", false, 0, false, 1000},
        {"<sip:a@b>;q=0", false, 0, true, 0},
        {"<sip:a@b>;q=.5", false, 0, false, 1000},
    };
    struct sip_hdr_address a;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_assert_eq(sip_hdr_address_decode(slice_text(cases[i].text), &a), ERR_OK);
        cr_expect_eq(a.has_expires, cases[i].has_expires, "%s", cases[i].text);
        cr_expect_eq(a.has_q, cases[i].has_q, "%s", cases[i].text);
        if (cases[i].has_expires) {
            cr_expect_eq(a.expires_s, cases[i].expires_s, "%s", cases[i].text);
        }
        if (cases[i].has_q) {
            cr_expect_eq(a.q_milli, cases[i].q_milli, "%s", cases[i].text);
        } else {
            cr_expect_eq(a.q_milli, 1000, "%s", cases[i].text);
        }
    }
}

Test(sip_hdr, cseq_and_numbers)
{
    struct sip_hdr_cseq c;
    uint8_t hops = 0;
    uint32_t number = 0;
    cr_assert_eq(sip_hdr_cseq_decode(SLICE_LITERAL("0009\r\n  INVITE"), &c), ERR_OK);
    cr_expect(c.number == 9 && c.method == SIP_METHOD_INVITE);
    cr_assert_eq(sip_hdr_cseq_decode(SLICE_LITERAL("2147483647 NEWMETHOD"), &c), ERR_OK);
    cr_expect(c.method == SIP_METHOD_OTHER && fixture_is(c.method_text, "NEWMETHOD"));
    static const char *const bad[] = {
        "",      "1",  "INVITE", "1INVITE",           "-1 A",
        "1 A B", "1 ", "1 A,",   "2147483648 INVITE", "99999999999999999999 INVITE"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_expect_neq(sip_hdr_cseq_decode(slice_text(bad[i]), &c), ERR_OK, "%s", bad[i]);
    }
    cr_expect_eq(sip_hdr_max_forwards_decode(SLICE_LITERAL("255"), &hops), ERR_OK);
    cr_expect_eq(hops, 255);
    cr_expect_eq(sip_hdr_max_forwards_decode(SLICE_LITERAL("300"), &hops), ERR_TOO_LARGE);
    cr_expect_eq(sip_hdr_number_decode(SLICE_LITERAL(" 17 "), 20, &number), ERR_OK);
    cr_expect_eq(number, 17);
    cr_expect_eq(
        sip_hdr_call_id_check(SLICE_LITERAL("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")),
        ERR_OK);
    cr_expect_eq(sip_hdr_call_id_check(SLICE_LITERAL("a b")), ERR_MALFORMED);
    cr_expect_eq(sip_hdr_call_id_check(SLICE_EMPTY), ERR_MALFORMED);
}

/* RFC 7616 3.9.1 and RFC 3261 20.44 */
Test(sip_hdr, digest)
{
    struct sip_hdr_digest d;
    struct slice text = fixture_copy(SLICE_LITERAL(
        "DIGEST username=\"Mu\\\"fasa\",\r\n realm=\"http-auth@example.org\",\r\n uri=\"sip:a@b\", "
        "algorithm=SHA-256, nonce=7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v==, nc = 00000001,"
        "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"753927fa\","
        "opaque=\"\", unknown=1, userhash=TRUE"));
    cr_assert_eq(sip_hdr_digest_decode(text, &d), ERR_OK);
    cr_expect(d.is_digest && d.has_escapes && d.has_qop && d.is_userhash && !d.is_stale);
    cr_expect(fixture_is(d.username, "Mu\\\"fasa"));
    cr_expect(fixture_is(d.realm, "http-auth@example.org"));
    cr_expect(fixture_is(d.uri, "sip:a@b"));
    cr_expect(fixture_is(d.algorithm, "SHA-256"));
    cr_expect(fixture_is(d.nonce, "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v=="));
    cr_expect(fixture_is(d.nc, "00000001"));
    cr_expect(fixture_is(d.qop, "auth"));
    cr_expect(fixture_is(d.response, "753927fa"));
    cr_expect_eq(d.opaque.len, 0);
    fixture_free(text);
    cr_assert_eq(sip_hdr_digest_decode(SLICE_LITERAL("Digest realm=\"a\", qop=\"auth,auth-int\", "
                                                     "nonce=\"n\", stale=true"),
                                       &d),
                 ERR_OK);
    cr_expect(d.is_stale && fixture_is(d.qop, "auth,auth-int"));
    /* 4475 3.3.7 */
    cr_assert_eq(sip_hdr_digest_decode(SLICE_LITERAL("NoOneKnowsThisScheme opaque-data=here"), &d),
                 ERR_OK);
    cr_expect(!d.is_digest && fixture_is(d.scheme, "NoOneKnowsThisScheme"));
    static const char *const bad[] = {
        "",
        "Digest",
        "Digest ",
        "Digest realm",
        "Digest realm=",
        "Digest realm=\"a",
        "Digest realm=\"a\",",
        "Digest realm=\"a\",,nonce=\"b\"",
        "Digest realm=\"a\" nonce=\"b\"",
        "Digest realm=\"a\", realm=\"b\"",
        "Digest =\"a\"",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        text = fixture_copy(slice_text(bad[i]));
        cr_expect_eq(sip_hdr_digest_decode(text, &d), ERR_MALFORMED, "%s", bad[i]);
        fixture_free(text);
    }
}

Test(sip_hdr, event)
{
    struct sip_hdr_event e;
    cr_assert_eq(sip_hdr_event_decode(SLICE_LITERAL("presence.winfo ;x=1; ID=42"), &e), ERR_OK);
    cr_expect(fixture_is(e.package, "presence.winfo") && fixture_is(e.id, "42"));
    cr_expect_eq(sip_hdr_event_decode(SLICE_LITERAL(";id=1"), &e), ERR_MALFORMED);
    cr_expect_eq(sip_hdr_event_decode(SLICE_LITERAL("a b"), &e), ERR_MALFORMED);
}
