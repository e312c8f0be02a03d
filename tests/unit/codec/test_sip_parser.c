/* SPDX-License-Identifier: Apache-2.0 */
/* Framing and indexing: RFC 3261 7, 18.3; RFC 5626 3.5.1; and that the cuts in a stream do not
 * matter. */
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

static const char *const good[] = {
    "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n"
    "To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 180 Ringing, please\r\nv: SIP/2.0/TCP c;branch=z9hG4bK1,\r\n SIP/2.0/UDP d\r\n"
    "f: <sip:c@d>;tag=1\r\nt: <sip:a@b>;tag=2\r\ni: x\r\nCSeq: 1\r\n\tINVITE\r\nl : 4\r\n\r\nbody",
    "\r\nMESSAGE sip:a@b SIP/2.0\r\nl: 2\r\nSubject:\r\nX: \"\\\x01\"\r\n\r\n\r\n",
};

/* All that a feed gives, as text: one line per event. */
struct transcript {
    char text[4096];
    size_t len;
};

static void say(struct transcript *t, const struct sip_parser *p, enum sip_parse result,
                size_t position)
{
    const struct sip_msg *m = &p->msg;
    int n = 0;
    if (result == SIP_PARSE_OK && p->event != SIP_EVENT_MESSAGE) {
        n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "@%zu event %d, %u\n", position,
                     p->event, p->consumed);
    } else {
        n = snprintf(
            t->text + t->len, sizeof(t->text) - t->len,
            "@%zu result %d consumed %u status %u fault %u %u %s method %d uri %.*s reason "
            "%.*s body %.*s headers",
            position, result, p->consumed, m->status, p->fault.status, p->fault.offset,
            p->fault.why == NULL ? "" : p->fault.why, m->method, (int)m->request_uri.len,
            (const char *)m->request_uri.data, (int)m->reason.len, (const char *)m->reason.data,
            (int)m->body.len, (const char *)m->body.data);
        t->len += (size_t)n;
        for (unsigned i = 0; i < m->header_count; i++) {
            const struct sip_msg_header *h = &m->headers[i];
            n = snprintf(t->text + t->len, sizeof(t->text) - t->len, " %u:%u:%u:%u:%u:%u:%u", h->id,
                         h->next, h->start, h->name_len, h->value, h->value_len, h->end);
            t->len += (size_t)n;
        }
        n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "\n");
    }
    t->len += (size_t)n;
    cr_assert(t->len < sizeof(t->text));
}

/* Feeds `bytes` in pieces of `first`, then `step` bytes, each time in a fresh exact block. */
static void feed(struct transcript *t, struct slice bytes, size_t first, size_t step)
{
    struct sip_parser p;
    size_t done = 0;
    size_t arrived = min_size(first, bytes.len);
    sip_parser_init(&p, true);
    t->len = 0;
    for (;;) {
        struct slice block = fixture_copy(slice_sub(bytes, done, arrived - done));
        enum sip_parse result = sip_parser_feed(&p, block);
        if (result != SIP_PARSE_MORE) {
            say(t, &p, result, done);
            done += p.consumed;
        }
        fixture_free(block);
        if (result == SIP_PARSE_BAD && p.consumed == 0) {
            break;
        }
        if (result == SIP_PARSE_MORE) {
            if (arrived == bytes.len) {
                break;
            }
            arrived = min_size(arrived + step, bytes.len);
        }
    }
    t->text[t->len] = 0;
}

static void expect_cuts_do_not_matter(struct slice bytes, const char *name)
{
    static struct transcript whole, cut;
    feed(&whole, bytes, bytes.len, 1);
    feed(&cut, bytes, 1, 1);
    cr_expect_str_eq(cut.text, whole.text, "%s byte by byte:\n%s%s", name, whole.text, cut.text);
    for (size_t at = 1; at < bytes.len; at++) {
        feed(&cut, bytes, at, bytes.len);
        cr_expect_str_eq(cut.text, whole.text, "%s cut at %zu:\n%s%s", name, at, whole.text,
                         cut.text);
    }
}

Test(sip_parser, cuts_in_a_stream_do_not_matter)
{
    static char joined[4096];
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        expect_cuts_do_not_matter(slice_text(good[i]), "good");
        len += (size_t)snprintf(joined + len, sizeof(joined) - len, "%s", good[i]);
    }
    len += (size_t)snprintf(joined + len, sizeof(joined) - len, "\r\n\r\n\r\n");
    expect_cuts_do_not_matter(slice_of(joined, len), "all in a row");
    static const char *const torture[] = {
        "rfc4475/wsinv.dat",    "rfc4475/intmeth.dat",   "rfc4475/dblreq.dat",
        "rfc4475/mcl01.dat",    "rfc4475/ncl.dat",       "rfc4475/clerr.dat",
        "rfc4475/badvers.dat",  "rfc4475/bigcode.dat",   "rfc4475/inv2543.dat",
        "rfc4475/lwsstart.dat", "rfc5118/ipv6-good.dat", "rfc4475/longreq.dat",
    };
    for (size_t i = 0; i < ARRAY_COUNT(torture); i++) {
        struct slice bytes = fixture_file(torture[i]);
        cr_assert(bytes.len > 0, "%s", torture[i]);
        expect_cuts_do_not_matter(bytes, torture[i]);
        fixture_free(bytes);
    }
}

Test(sip_parser, every_truncation_asks_for_more_or_refuses)
{
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct slice bytes = slice_text(good[i]);
        size_t skip = good[i][0] == '\r' ? 2 : 0;
        for (size_t len = skip; len < bytes.len; len++) {
            struct sip_parser p;
            struct slice block = fixture_copy(slice_sub(bytes, skip, len - skip));
            sip_parser_init(&p, true);
            cr_expect_eq(sip_parser_feed(&p, block), SIP_PARSE_MORE, "%zu of %zu", i, len);
            cr_expect_eq(sip_parser_datagram(&p, block), SIP_PARSE_BAD, "%zu of %zu", i, len);
            fixture_free(block);
        }
    }
}

Test(sip_parser, indexes_a_request)
{
    struct sip_parser p;
    struct slice bytes = fixture_parse(
        &p,
        "INVITE sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
        "X-Odd : 1\r\nm: <sip:a@b>\r\nvia:SIP/2.0/UDP b\r\nContact:\r\n  <sip:c@d>,\r\n <sip:e@f> "
        "\r\nContent-Length: 3\r\n\r\nabcdef");
    const struct sip_msg *m = &p.msg;
    cr_expect(m->is_request && m->method == SIP_METHOD_INVITE);
    cr_expect(fixture_is(m->request_uri, "sip:bob@biloxi.com"));
    cr_expect(fixture_is(m->method_text, "INVITE"));
    cr_expect_eq(m->header_count, 6);
    cr_expect(fixture_is(m->body, "abc")); /* 18.3: octets behind Content-Length are discarded */
    cr_expect_eq(m->bytes.len, bytes.len - 3);
    cr_expect(fixture_is(sip_msg_name(m, 1), "X-Odd"));
    cr_expect(fixture_is(sip_msg_value(m, 1), "1"));
    cr_expect(fixture_is(sip_msg_named(m, SLICE_LITERAL("x-odd")), "1"));
    cr_expect_null(sip_msg_named(m, SLICE_LITERAL("x-even")).data);
    cr_expect(fixture_is(sip_msg_first(m, SIP_HDR_VIA), "SIP/2.0/UDP a;branch=z9hG4bK1"));
    cr_expect_null(sip_msg_first(m, SIP_HDR_ROUTE).data);
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_CONTACT);
    struct slice item;
    static const char *const want[] = {"<sip:a@b>", "<sip:c@d>", "<sip:e@f>"};
    static const unsigned index[] = {2, 4, 4};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        cr_assert_eq(sip_msg_items_next(&it, &item), ERR_OK);
        cr_expect(fixture_is(item, want[i]));
        cr_expect_eq(it.index, index[i]);
    }
    cr_expect_eq(sip_msg_items_next(&it, &item), ERR_NOT_FOUND);
    fixture_free(bytes);
}

Test(sip_parser, start_lines)
{
    static const struct {
        const char *line;
        uint16_t fault; /* 0 = good */
        uint16_t status;
    } cases[] = {
        {"SIP/2.0 200 OK", 0, 200},
        {"sip/2.0 100 ", 0, 100},
        {"SIP/2.0 100", 0, 100},
        {"SIP/2.0 699 \xd0\x90", 0, 699},
        {"SIP/2.0 700 x", 400, 0},
        {"SIP/2.0 099 x", 400, 0},
        {"SIP/2.0 20 x", 400, 0},
        {"SIP/2.0 2000 x", 400, 0},
        {"SIP/2.0  200 x", 400, 0},
        {"SIP/2.0", 400, 0},
        {"SIP/3.0 200 OK", 505, 0},
        {"SIP/x 200 OK", 400, 0},
        {"OPTIONS sip:a SIP/2.0", 0, 0},
        {"OPTIONS sip:a sip/2.0", 0, 0},
        {"OPTIONS sip:a SIP/2.1", 505, 0},
        {"OPTIONS sip:a SIP/2", 400, 0},
        {"OPTIONS sip:a SIP/2.0.1", 400, 0},
        {"OPTIONS sip:a HTTP/1.1", 400, 0},
        {"OPTIONS sip:a", 400, 0},
        {"OPTIONS", 400, 0},
        {"OPTIONS ", 400, 0},
        {"OPTIONS  sip:a SIP/2.0", 400, 0},
        {"OPTIONS sip:a SIP/2.0 ", 400, 0},
        {"OPTIONS sip:a\tSIP/2.0", 400, 0},
        {"OP(IONS sip:a SIP/2.0", 400, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        char text[128];
        (void)snprintf(text, sizeof(text), "%s\r\nl: 0\r\n\r\n", cases[i].line);
        struct slice bytes = fixture_copy(slice_text(text));
        sip_parser_init(&p, true);
        enum sip_parse result = sip_parser_feed(&p, bytes);
        cr_expect_eq(result, cases[i].fault == 0 ? SIP_PARSE_OK : SIP_PARSE_BAD, "%s",
                     cases[i].line);
        cr_expect_eq(p.fault.status, cases[i].fault, "%s", cases[i].line);
        cr_expect_eq(p.msg.status, cases[i].status, "%s", cases[i].line);
        cr_expect_eq(p.consumed, bytes.len, "a bad start line leaves the framing alone: %s",
                     cases[i].line);
        fixture_free(bytes);
    }
}

Test(sip_parser, faults_say_whether_the_stream_goes_on)
{
    static const struct {
        const char *text;
        uint16_t status;
        bool is_framed;
    } cases[] = {
        {"A sip:a SIP/2.0\r\nno colon\r\nl: 0\r\n\r\n", 400, true},
        {"A sip:a SIP/2.0\r\n: x\r\nl: 0\r\n\r\n", 400, true},
        {"A sip:a SIP/2.0\r\n folded: x\r\nl: 0\r\n\r\n", 400, true},
        {"A sip:a SIP/2.0\r\nX: a\x01z\r\nl: 0\r\n\r\n", 400, true},
        {"A sip:a SIP/2.0\r\nl: 0\r\nl: 0\r\n\r\n", 0, true}, /* for sip_msg_check to refuse */
        {"A sip:a SIP/2.0\r\nl: 0\r\nl: 1\r\n\r\n", 400, false},
        {"A sip:a SIP/2.0\r\nl: -1\r\n\r\n", 400, false},
        {"A sip:a SIP/2.0\r\nl: five\r\n\r\n", 400, false},
        {"A sip:a SIP/2.0\r\nl:\r\n\r\n", 400, false},
        {"A sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n", 400, false},
        {"A sip:a SIP/2.0\r\nl: 65535\r\n\r\n", 513, false},
        {"A sip:a SIP/2.0\r\nX: 1\r\n\r\n", 400, false}, /* 20.14: mandatory on a stream */
        {"A sip:a SIP/2.0\nl: 0\n\n", 400, false},
        {"A sip:a SIP/2.0\r\nX: a\rb\r\nl: 0\r\n\r\n", 400, false},
        {"\x16\x03\x01\x02", 400, false}, /* a TLS ClientHello */
        {"\n\n", 400, false},
        {"\rX", 400, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        struct slice bytes = fixture_copy(slice_text(cases[i].text));
        sip_parser_init(&p, true);
        enum sip_parse result = sip_parser_feed(&p, bytes);
        cr_expect_eq(result, cases[i].status == 0 ? SIP_PARSE_OK : SIP_PARSE_BAD, "case %zu", i);
        cr_expect_eq(p.fault.status, cases[i].status, "case %zu", i);
        cr_expect_eq(p.consumed, cases[i].is_framed ? bytes.len : 0, "case %zu", i);
        if (!cases[i].is_framed) { /* and nothing revives it */
            cr_expect_eq(sip_parser_feed(&p, bytes), SIP_PARSE_BAD);
            cr_expect_eq(p.consumed, 0);
        }
        fixture_free(bytes);
    }
}

/* RFC 3261 18.3: a datagram ends where it ends.  Whatever its Content-Length says, what came is one
 * message: a request can be answered with 400. */
Test(sip_parser, datagrams_are_framed_whatever_their_length_says)
{
    static const struct {
        const char *more;
        const char *why;
        size_t body_len;
    } cases[] = {
        {"l: 5\r\nTo: x\r\n\r\nfour", "Body Cut Short", 4},
        {"l: 1\r\nTo: x\r\n\r\n", "Body Cut Short", 0},
        {"l: -1\r\nTo: x\r\n\r\nfour", "Bad Content-Length", 4},
        {"l:\r\nTo: x\r\n\r\nfour", "Bad Content-Length", 4},
        {"l: 2\r\nl: 3\r\nTo: x\r\n\r\nfour", "Conflicting Content-Length", 2},
        {"l: 9\r\nl: 3\r\nTo: x\r\n\r\nfour", "Conflicting Content-Length", 4},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        char text[128];
        (void)snprintf(text, sizeof(text), "\r\nA sip:a SIP/2.0\r\n%s", cases[i].more);
        struct slice bytes = fixture_copy(slice_text(text));
        sip_parser_init(&p, false);
        cr_expect_eq(sip_parser_datagram(&p, bytes), SIP_PARSE_BAD, "case %zu", i);
        cr_expect_eq(p.fault.status, 400);
        cr_expect_str_eq(p.fault.why, cases[i].why, "case %zu", i);
        cr_expect(fixture_is(sip_msg_first(&p.msg, SIP_HDR_TO), "x"), "case %zu", i);
        cr_expect_eq(p.msg.body.len, cases[i].body_len, "case %zu", i);
        cr_expect_eq(p.consumed, p.msg.bytes.len, "case %zu", i);
        fixture_free(bytes);
    }
}

/* RFC 5626 3.5.1: two CRLF ask for one. */
Test(sip_parser, keep_alive)
{
    struct sip_parser p;
    static const enum sip_parser_event want[] = {SIP_EVENT_CRLF, SIP_EVENT_PING, SIP_EVENT_CRLF};
    sip_parser_init(&p, true);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        cr_assert_eq(sip_parser_feed(&p, SLICE_LITERAL("\r\n")), SIP_PARSE_OK);
        cr_expect_eq(p.event, want[i]);
        cr_expect_eq(p.consumed, 2);
    }
    /* a message between parts them */
    cr_assert_eq(sip_parser_feed(&p, slice_text(good[0])), SIP_PARSE_OK);
    cr_expect_eq(p.event, SIP_EVENT_MESSAGE);
    cr_assert_eq(sip_parser_feed(&p, SLICE_LITERAL("\r\n")), SIP_PARSE_OK);
    cr_expect_eq(p.event, SIP_EVENT_CRLF);
    cr_assert_eq(sip_parser_datagram(&p, SLICE_LITERAL("\r\n\r\n")), SIP_PARSE_OK);
    cr_expect_eq(p.event, SIP_EVENT_PING);
    cr_assert_eq(sip_parser_datagram(&p, SLICE_LITERAL("\r\n")), SIP_PARSE_OK);
    cr_expect_eq(p.event, SIP_EVENT_CRLF);
    cr_expect_eq(sip_parser_datagram(&p, SLICE_LITERAL("\r\n\r")), SIP_PARSE_BAD);
    cr_expect_eq(sip_parser_datagram(&p, SLICE_EMPTY), SIP_PARSE_BAD);
    cr_expect_eq(sip_parser_datagram(&p, slice_text(good[2])), SIP_PARSE_OK);
    cr_expect_eq(p.event, SIP_EVENT_MESSAGE);
}

/* A stream of `count` headers "Xnn: <value_len x's>". */
static struct slice make_message(unsigned count, size_t value_len, const char *end)
{
    static uint8_t text[SIP_MSG_BYTES_CAP + 4096];
    size_t len = (size_t)snprintf((char *)text, 64, "A sip:a SIP/2.0\r\n");
    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf((char *)text + len, 16, "X%02u: ", i);
        memset(text + len, 'x', value_len);
        len += value_len;
        memcpy(text + len, "\r\n", 2);
        len += 2;
    }
    memcpy(text + len, end, strlen(end));
    return slice_of(text, len + strlen(end));
}

Test(sip_parser, limits)
{
    static const struct {
        unsigned count;
        size_t value_len;
        const char *end;
        enum sip_parse want;
        bool is_framed;
    } cases[] = {
        {SIP_MSG_HEADERS_CAP - 1, 1, "l: 0\r\n\r\n", SIP_PARSE_OK, true},
        {SIP_MSG_HEADERS_CAP, 1, "l: 0\r\n\r\n", SIP_PARSE_BAD, true},
        {1, SIP_MSG_LINE_CAP - 7, "l: 0\r\n\r\n", SIP_PARSE_OK, true},
        {1, SIP_MSG_LINE_CAP - 6, "l: 0\r\n\r\n", SIP_PARSE_BAD, false},
        {1, SIP_MSG_LINE_CAP - 6, "", SIP_PARSE_BAD, false},
        {4, 4090, "l: 0\r\n\r\n", SIP_PARSE_BAD, false},
        {4, 4000, "l: 0\r\n\r\n", SIP_PARSE_OK, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser p;
        struct slice bytes =
            fixture_copy(make_message(cases[i].count, cases[i].value_len, cases[i].end));
        sip_parser_init(&p, true);
        cr_expect_eq(sip_parser_feed(&p, bytes), cases[i].want, "case %zu", i);
        if (cases[i].want == SIP_PARSE_BAD) {
            cr_expect_eq(p.fault.status, 513, "case %zu", i);
        }
        cr_expect_eq(p.consumed, cases[i].is_framed ? bytes.len : 0, "case %zu", i);
        /* where the cut is does not matter here either */
        sip_parser_init(&p, true);
        enum sip_parse result = SIP_PARSE_MORE;
        for (size_t len = 0; len < bytes.len && result == SIP_PARSE_MORE; len++) {
            result = sip_parser_feed(&p, slice_sub(bytes, 0, len + 1));
        }
        cr_expect_eq(result, cases[i].want, "case %zu", i);
        fixture_free(bytes);
    }
    /* the largest body that fits, and one byte more */
    struct sip_parser p;
    struct slice bytes = make_message(0, 0, "l: 65490\r\n\r\n");
    size_t head = bytes.len;
    cr_assert(head + 65490 <= SIP_MSG_BYTES_CAP);
    sip_parser_init(&p, true);
    cr_expect_eq(sip_parser_feed(&p, bytes), SIP_PARSE_MORE);
    cr_expect_eq(sip_parser_feed(&p, slice_of(bytes.data, head + 65490)), SIP_PARSE_OK);
    bytes = make_message(0, 0, "l: 65507\r\n\r\n");
    sip_parser_init(&p, true);
    cr_expect_eq(sip_parser_feed(&p, bytes), SIP_PARSE_BAD);
    cr_expect_eq(p.fault.status, 513);
}
