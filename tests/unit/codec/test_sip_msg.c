/* SPDX-License-Identifier: Apache-2.0 */
/* The first judgement of a message: RFC 3261 8.2 and 16.3, the torture messages of RFC 4475 and RFC
 * 5118 with the verdict that the RFC gives each of them. */
#include "tests/unit/codec/sip_fixture.h"
#include "tests/unit/codec/sip_verdicts.h"
#include <criterion/criterion.h>

static void judge(const char *folder, const struct verdict *v)
{
    char path[64];
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    (void)snprintf(path, sizeof(path), "%s/%s.dat", folder, v->file);
    struct slice bytes = fixture_file(path);
    cr_assert(bytes.len > 0, "%s", path);
    sip_parser_init(&p, false);
    cr_expect_eq(sip_parser_datagram(&p, bytes), v->parse, "%s: %s", path,
                 p.fault.why == NULL ? "" : p.fault.why);
    cr_expect_eq(sip_msg_check(&p.msg, &core, &fault), v->check, "%s: %s", path,
                 fault.why == NULL ? "" : fault.why);
    const struct sip_fault *first = p.fault.why != NULL ? &p.fault : &fault;
    cr_expect_eq(first->status, v->status, "%s: %u %s", path, first->status,
                 first->why == NULL ? "" : first->why);
    cr_expect(first->offset <= bytes.len, "%s", path);
    if (v->check == ERR_OK) {
        struct sip_fault more;
        cr_expect_eq(sip_msg_check_extensions(&p.msg, &more),
                     v->extensions == 0 ? ERR_OK : ERR_UNSUPPORTED, "%s", path);
        cr_expect_eq(more.status, v->extensions, "%s", path);
    }
    cr_expect_eq(sip_msg_is_answerable(&p.msg, &core), v->is_answerable, "%s", path);
    fixture_free(bytes);
}

Test(sip_msg, rfc4475_verdicts)
{
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc4475); i++) {
        judge("rfc4475", &verdicts_rfc4475[i]);
    }
}

Test(sip_msg, rfc5118_verdicts)
{
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc5118); i++) {
        judge("rfc5118", &verdicts_rfc5118[i]);
    }
}

/* RFC 4475 3.1.1.1 says in words what a parser must find. */
Test(sip_msg, reads_the_short_tortuous_invite)
{
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    struct slice bytes = fixture_file("rfc4475/wsinv.dat");
    sip_parser_init(&p, false);
    cr_assert_eq(sip_parser_datagram(&p, bytes), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(&p.msg, &core, &fault), ERR_OK);
    cr_expect(fixture_is(core.uri.user, "vivekg"));
    cr_expect(fixture_is(core.to.uri, "sip:vivekg@chair-dnrc.example.com"));
    cr_expect(fixture_is(core.to.tag, "1918181833n"));
    cr_expect(fixture_is(core.from.display, "\"J Rosenberg \\\\\\\"\""));
    cr_expect(fixture_is(core.from.tag, "98asjd8"));
    cr_expect(core.has_max_forwards && core.max_forwards == 68);
    cr_expect(fixture_is(core.call_id, "wsinv.ndaksdj@192.0.2.1"));
    cr_expect(core.cseq.number == 9 && core.cseq.method == SIP_METHOD_INVITE);
    cr_expect(fixture_is(core.via.host, "192.0.2.2") && fixture_is(core.via.branch, "390skdjuw"));
    cr_expect(!core.via.has_magic);
    cr_expect_eq(p.msg.body.len, 150);
    cr_expect_eq(sip_msg_first(&p.msg, SIP_HDR_SUBJECT).len, 0);
    cr_expect(sip_msg_has(&p.msg, SIP_HDR_SUBJECT));
    cr_expect(fixture_is(sip_msg_named(&p.msg, SLICE_LITERAL("NewFangledHeader")),
                         "newfangled value\r\n continued newfangled value"));
    struct sip_msg_items it = sip_msg_items(&p.msg, SIP_HDR_VIA);
    struct slice item;
    struct sip_hdr_via via;
    static const char *const branches[] = {"390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"};
    for (size_t i = 0; i < ARRAY_COUNT(branches); i++) {
        cr_assert_eq(sip_msg_items_next(&it, &item), ERR_OK);
        cr_assert_eq(sip_hdr_via_decode(item, &via), ERR_OK);
        cr_expect(fixture_is(via.branch, branches[i]));
    }
    cr_expect_eq(sip_msg_items_next(&it, &item), ERR_NOT_FOUND);
    struct sip_hdr_address contact;
    cr_assert_eq(sip_hdr_address_decode(sip_msg_first(&p.msg, SIP_HDR_CONTACT), &contact), ERR_OK);
    cr_expect(contact.has_q && contact.q_milli == 330);
    fixture_free(bytes);
}

#define HEAD "OPTIONS sip:a@b SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/UDP c;branch=z9hG4bK1\r\n"
#define FROM "From: <sip:c@d>;tag=1\r\n"
#define TO "To: <sip:a@b>\r\n"
#define IDS "Call-ID: x\r\nCSeq: 1 OPTIONS\r\n"

Test(sip_msg, names_what_is_wrong)
{
    static const struct {
        const char *text;
        const char *why; /* NULL: nothing */
    } cases[] = {
        {HEAD VIA FROM TO IDS, NULL},
        {HEAD VIA FROM TO IDS "Max-Forwards: 70\r\nSupported:\r\nk: path\r\n", NULL},
        {HEAD VIA FROM TO IDS "Expires: never\r\nDate: today\r\nSubject: a\r\ns: b\r\n", NULL},
        {HEAD VIA FROM TO IDS "Contact: *\r\n", NULL},
        {HEAD FROM TO IDS, "Missing Via"},
        {HEAD "Via:\r\n" FROM TO IDS, "Missing Via"},
        {HEAD VIA TO IDS, "Missing From"},
        {HEAD VIA FROM IDS, "Missing To"},
        {HEAD VIA FROM "To: *\r\n" IDS, "Bad To"},
        {HEAD VIA FROM "To: sip:\r\n" IDS, "Bad To"},
        {HEAD VIA FROM TO "CSeq: 1 OPTIONS\r\n", "Missing Call-ID"},
        {HEAD VIA FROM TO "Call-ID: a b\r\nCSeq: 1 OPTIONS\r\n", "Bad Call-ID"},
        {HEAD VIA FROM TO "Call-ID: x\r\n", "Missing CSeq"},
        {HEAD VIA FROM TO "Call-ID: x\r\nCSeq: 1 options\r\n", "CSeq Method Differs"},
        {HEAD VIA FROM TO IDS "Via: x\r\n", "Bad Via"},
        {HEAD VIA FROM TO IDS "Via: SIP/2.0/UDP c,\r\n", "Bad Via"},
        {HEAD VIA FROM TO IDS "Max-Forwards: 256\r\n", "Bad Max-Forwards"},
        {HEAD VIA FROM TO IDS "Contact: *, <sip:a@b>\r\n", "Bad Contact"},
        {HEAD VIA FROM TO IDS "Contact: *\r\nContact: <sip:a@b>\r\n", "Bad Contact"},
        {HEAD VIA FROM TO IDS "Contact:\r\n", "Bad Contact"},
        {HEAD VIA FROM TO IDS "Route: *\r\n", "Bad Route"},
        {HEAD VIA FROM TO IDS "Route: <sip:a@b>, <sip:>\r\n", "Bad Route"},
        {HEAD VIA FROM TO IDS "Record-Route: <sip:a@b:0>\r\n", "Bad Record-Route"},
        {HEAD VIA FROM TO IDS "Path: x\r\n", "Bad Path"},
        {HEAD VIA FROM TO IDS "t: <sip:a@b>\r\n", "Header Comes Twice"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[512];
        struct sip_parser p;
        struct sip_msg_core core;
        struct sip_fault fault;
        (void)snprintf(text, sizeof(text), "%s\r\n", cases[i].text);
        struct slice bytes = fixture_parse(&p, text);
        enum err e = sip_msg_check(&p.msg, &core, &fault);
        cr_expect_eq(e, cases[i].why == NULL ? ERR_OK : ERR_MALFORMED, "case %zu", i);
        cr_expect_str_eq(fault.why == NULL ? "" : fault.why,
                         cases[i].why == NULL ? "" : cases[i].why, "case %zu: %s", i, fault.why);
        fixture_free(bytes);
    }
}

Test(sip_msg, options)
{
    struct sip_parser p;
    struct slice bytes =
        fixture_parse(&p, HEAD "Supported: a, Path ,\r\n GRUU\r\nk:\r\nk: x\r\n\r\n");
    cr_expect(sip_msg_has_option(&p.msg, SIP_HDR_SUPPORTED, SLICE_LITERAL("path")));
    cr_expect(sip_msg_has_option(&p.msg, SIP_HDR_SUPPORTED, SLICE_LITERAL("gruu")));
    cr_expect(sip_msg_has_option(&p.msg, SIP_HDR_SUPPORTED, SLICE_LITERAL("x")));
    cr_expect(!sip_msg_has_option(&p.msg, SIP_HDR_SUPPORTED, SLICE_LITERAL("pat")));
    cr_expect(!sip_msg_has_option(&p.msg, SIP_HDR_REQUIRE, SLICE_LITERAL("a")));
    fixture_free(bytes);
}

/* RFC 3261 16.3 step 5, 8.2.2.3 */
Test(sip_msg, what_is_asked_of_proxies)
{
    static const struct {
        const char *text;
        uint16_t status;
    } cases[] = {
        {HEAD "Proxy-Require: a, b\r\n\r\n", 420},
        {HEAD "Proxy-Require:\r\nProxy-Require: a\r\n\r\n", 420},
        {HEAD "Proxy-Require: ,\r\n\r\n", 420},
        {HEAD "Proxy-Require:\r\n\r\n", 0}, /* asks for nothing */
        {HEAD "Require: a\r\n\r\n", 0},
        {"ACK sip:a SIP/2.0\r\nProxy-Require: a\r\n\r\n", 0},
        {"CANCEL sip:a SIP/2.0\r\nProxy-Require: a\r\n\r\n", 0},
        {"SIP/2.0 200 OK\r\nProxy-Require: a\r\n\r\n", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        struct sip_fault fault;
        struct slice bytes = fixture_parse(&p, cases[i].text);
        enum err e = sip_msg_check_extensions(&p.msg, &fault);
        cr_expect_eq(e, cases[i].status == 0 ? ERR_OK : ERR_UNSUPPORTED, "case %zu", i);
        cr_expect_eq(fault.status, cases[i].status, "case %zu", i);
        fixture_free(bytes);
    }
}

/* Every truncation and every single flipped byte of every torture message goes through parser,
 * judgement and all decoders in a block of exact size. */
static void exercise(struct slice bytes)
{
    struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    struct slice block = fixture_copy(bytes);
    sip_parser_init(&p, false);
    enum sip_parse result = sip_parser_datagram(&p, block);
    cr_assert_neq(result, SIP_PARSE_MORE);
    enum err e = sip_msg_check(&p.msg, &core, &fault);
    cr_assert_eq(e == ERR_OK, fault.why == NULL);
    for (unsigned i = 0; i < p.msg.header_count; i++) {
        struct sip_hdr_digest digest;
        struct sip_hdr_event event;
        struct sip_hdr_address address;
        struct slice value = sip_msg_value(&p.msg, i);
        (void)!sip_hdr_digest_decode(value, &digest);
        (void)!sip_hdr_event_decode(value, &event);
        (void)!sip_hdr_address_decode(value, &address);
    }
    fixture_free(block);
}

Test(sip_msg, mangled_torture_messages_never_crash)
{
    static const char *const files[] = {"rfc4475/wsinv.dat",    "rfc4475/intmeth.dat",
                                        "rfc4475/esc01.dat",    "rfc4475/regaut01.dat",
                                        "rfc4475/cparam01.dat", "rfc5118/ipv4-mapped-ipv6.dat"};
    static const uint8_t with[] = {0, ' ', '\r', '\n', '"', '<', '>', ';', ',', '%', '\\', 0xff};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct slice bytes = fixture_file(files[i]);
        for (size_t len = 0; len < bytes.len; len++) {
            exercise(slice_sub(bytes, 0, len));
        }
        uint8_t *data = (uint8_t *)(uintptr_t)bytes.data;
        for (size_t at = 0; at < bytes.len; at++) {
            uint8_t was = data[at];
            for (size_t w = 0; w < ARRAY_COUNT(with); w++) {
                data[at] = with[w];
                exercise(bytes);
            }
            data[at] = was;
        }
        fixture_free(bytes);
    }
}
