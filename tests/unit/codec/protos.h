/* SPDX-License-Identifier: Apache-2.0 */
/* protos.h - malformed SIP messages in the manner of the PROTOS c07-sip test suite (Oulu 2002): a
 * good message in which one field is spoiled, for each field and each way of spoiling.
 *
 * The fields are those of that suite's groups (method, Request-URI, version, parts of Via, From, To
 * and Contact, Call-ID, CSeq, Max-Forwards, Expires, lengths, types, the lines of SDP) and those of
 * a registrar and of responses; the ways are its kinds: empty, overflow lengths, format strings,
 * integers at the edges, repeated separators, bad UTF-8, bad IPv4 and IPv6 addresses, bad URIs,
 * quotes, tags.  Each value replaces the field, and stands behind it.  Nothing is random: case N is
 * always the same.  Written anew from the published description of the groups. */
#pragma once
#include "core/err.h"
#include "core/slice.h"
#include <stdio.h>

enum { PROTOS_CASE_CAP = 65000 };

/* A piece of a message: a field that may be spoiled, or (field NULL) what always stands there.
 * \1 is the domain, \2 the number of the case, \3 the length of the body; \4 begins the body. */
struct protos_part {
    const char *field;
    const char *text;
};

static const struct protos_part protos_invite[] = {
    {"method", "INVITE"},
    {"request-line-sp", " "},
    {"request-uri", "sip:bob@\1"},
    {NULL, " "},
    {"version", "SIP/2.0"},
    {"request-line-crlf", "\r\n"},
    {"via-name", "Via"},
    {"via-colon", ": "},
    {"via-version", "SIP/2.0"},
    {"via-transport", "/UDP"},
    {NULL, " "},
    {"via-host", "10.9.8.7"},
    {"via-hostcolon", ":"},
    {"via-port", "5060"},
    {"via-semicolon", ";"},
    {NULL, "branch="},
    {"via-branch", "z9hG4bKi\2"},
    {"via-params", ";rport"},
    {NULL, "\r\nMax-Forwards: "},
    {"max-forwards", "70"},
    {"from-name", "\r\nFrom"},
    {NULL, ": "},
    {"from-displayname", "\"Alice\" "},
    {"from-left", "<"},
    {"from-uri", "sip:alice@\1"},
    {"from-right", ">"},
    {NULL, ";tag="},
    {"from-tag", "f\2"},
    {NULL, "\r\nTo: "},
    {"to-displayname", "Bob "},
    {"to-left", "<"},
    {"to-uri", "sip:bob@\1"},
    {"to-right", ">"},
    {"to-params", ";x=y"},
    {NULL, "\r\nCall-ID: "},
    {"call-id-value", "i\2"},
    {"call-id-at", "@"},
    {"call-id-ip", "10.9.8.7"},
    {NULL, "\r\nCSeq: "},
    {"cseq-integer", "1"},
    {"cseq-sp", " "},
    {"cseq-string", "INVITE"},
    {NULL, "\r\nContact: "},
    {"contact-displayname", "\"A\""},
    {"contact-left", "<"},
    {"contact-uri", "sip:a@10.9.8.7"},
    {"contact-right", ">"},
    {"route", "\r\nX-Route: <sip:a@b;lr>"},
    {"header", "\r\nSubject: x"},
    {NULL, "\r\nExpires: "},
    {"expires", "60"},
    {NULL, "\r\nContent-Type: "},
    {"content-type", "application/sdp"},
    {NULL, "\r\nContent-Length: "},
    {"content-length", "\3"},
    {"head-crlf", "\r\n\r\n"},
    {NULL, "\4v="},
    {"sdp-v", "0"},
    {"sdp-crlf", "\r\n"},
    {NULL, "o="},
    {"sdp-o", "- 1 1 IN IP4 10.9.8.7"},
    {NULL, "\r\ns="},
    {"sdp-s", "-"},
    {NULL, "\r\nc="},
    {"sdp-c", "IN IP4 10.9.8.7"},
    {NULL, "\r\nt="},
    {"sdp-t", "0 0"},
    {NULL, "\r\nm="},
    {"sdp-m", "audio 40000 RTP/AVP 0"},
    {NULL, "\r\n"},
};

static const struct protos_part protos_register[] = {
    {NULL, "REGISTER "},
    {"r-request-uri", "sip:\1"},
    {NULL, " SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.8.7;branch=z9hG4bKr\2;"},
    {"r-via-params", "rport"},
    {"r-via-more", "\r\nv: SIP/2.0/TCP x;branch=1"},
    {NULL, "\r\nf: <sip:alice@\1>;tag="},
    {"r-from-tag", "f"},
    {NULL, "\r\nt: <sip:"},
    {"r-user", "alice"},
    {NULL, "@"},
    {"r-host", "\1"},
    {NULL, ">\r\ni: r\2\r\nCSeq: 7 REGISTER\r\nm: "},
    {"r-contact", "<sip:alice@10.9.8.7>"},
    {NULL, ";expires="},
    {"r-contact-expires", "600"},
    {NULL, ";q="},
    {"r-contact-q", "0.5"},
    {"r-contact-params", ";+sip.instance=\"<urn:uuid:0>\";reg-id=1"},
    {"r-contact-more", ", <sip:b@c>"},
    {NULL, "\r\nSupported: "},
    {"r-supported", "path, outbound"},
    {NULL, "\r\nRequire: "},
    {"r-require", ""},
    {NULL, "\r\nPath: "},
    {"r-path", "<sip:p@10.9.8.7;lr;ob>"},
    {NULL, "\r\nAuthorization: "},
    {"r-scheme", "Digest"},
    {NULL, " username="},
    {"r-username", "\"alice\""},
    {NULL, ", realm=\"\1\", nonce="},
    {"r-nonce", "\"00\""},
    {NULL, ", uri="},
    {"r-uri", "\"sip:\1\""},
    {NULL, ", response="},
    {"r-response", "\"00000000000000000000000000000000\""},
    {NULL, ", qop=auth, nc="},
    {"r-nc", "00000001"},
    {NULL, ", cnonce="},
    {"r-cnonce", "\"x\""},
    {NULL, ", algorithm="},
    {"r-algorithm", "MD5"},
    {"r-length-name", "\r\nl"},
    {NULL, ": 0\r\n\r\n"},
};

static const struct protos_part protos_response[] = {
    {"s-version", "SIP/2.0"},
    {"s-sp", " "},
    {"s-status", "200"},
    {"s-reason", " OK"},
    {NULL, "\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch="},
    {"s-branch", "z9hG4bK0000000000000000000000000000-0000000000000000"},
    {"s-via-more", ", SIP/2.0/UDP 255.255.255.255"},
    {NULL, "\r\nFrom: <sip:alice@\1>;tag=f\r\nTo: <sip:bob@\1>;tag="},
    {"s-to-tag", "t"},
    {NULL, "\r\nCall-ID: s\2\r\nCSeq: "},
    {"s-cseq", "1 INVITE"},
    {NULL, "\r\nRecord-Route: "},
    {"s-record-route", "<sip:10.0.0.1;lr>"},
    {NULL, "\r\nWarning: "},
    {"s-warning", "399 x \"y\""},
    {NULL, "\r\nContent-Length: "},
    {"s-length", "0"},
    {NULL, "\r\n\r\n"},
};

/* `text` `times` times. */
struct protos_value {
    const char *kind;
    struct slice text;
    uint32_t times;
};

#define PROTOS_V(kind, text, times)                                                                \
    {                                                                                              \
        kind, SLICE_LITERAL(text), times                                                           \
    }
#define PROTOS_LONG(text)                                                                          \
    PROTOS_V("separator", text, 1), PROTOS_V("separator", text, 2),                                \
        PROTOS_V("separator", text, 16), PROTOS_V("separator", text, 1000)

static const struct protos_value protos_values[] = {
    PROTOS_V("empty", "", 1),
#define PROTOS_A(times) PROTOS_V("overflow", "a", times)
    PROTOS_A(1),
    PROTOS_A(15),
    PROTOS_A(16),
    PROTOS_A(17),
    PROTOS_A(31),
    PROTOS_A(32),
    PROTOS_A(33),
    PROTOS_A(63),
    PROTOS_A(64),
    PROTOS_A(65),
    PROTOS_A(127),
    PROTOS_A(128),
    PROTOS_A(129),
    PROTOS_A(255),
    PROTOS_A(256),
    PROTOS_A(257),
    PROTOS_A(511),
    PROTOS_A(512),
    PROTOS_A(513),
    PROTOS_A(1024),
    PROTOS_A(1499),
    PROTOS_A(2048),
    PROTOS_A(4095),
    PROTOS_A(4096),
    PROTOS_A(8192),
    PROTOS_A(16384),
    PROTOS_A(32767),
    PROTOS_A(60000),
#undef PROTOS_A
    PROTOS_V("overflow", "0", 5000),
    PROTOS_V("overflow", "a.", 3000),
    PROTOS_V("format", "%s", 1),
    PROTOS_V("format", "%s", 200),
    PROTOS_V("format", "%n", 1),
    PROTOS_V("format", "%n", 200),
    PROTOS_V("format", "%.1024d", 1),
    PROTOS_V("format", "%99999999s", 1),
    PROTOS_V("format", "%x%d%p%08x", 20),
    PROTOS_V("integer", "0", 1),
    PROTOS_V("integer", "-1", 1),
    PROTOS_V("integer", "+1", 1),
    PROTOS_V("integer", "127", 1),
    PROTOS_V("integer", "128", 1),
    PROTOS_V("integer", "255", 1),
    PROTOS_V("integer", "256", 1),
    PROTOS_V("integer", "-256", 1),
    PROTOS_V("integer", "32768", 1),
    PROTOS_V("integer", "65535", 1),
    PROTOS_V("integer", "65536", 1),
    PROTOS_V("integer", "2147483647", 1),
    PROTOS_V("integer", "2147483648", 1),
    PROTOS_V("integer", "-2147483649", 1),
    PROTOS_V("integer", "4294967295", 1),
    PROTOS_V("integer", "4294967296", 1),
    PROTOS_V("integer", "9223372036854775808", 1),
    PROTOS_V("integer", "18446744073709551615", 1),
    PROTOS_V("integer", "18446744073709551616", 1),
    PROTOS_V("integer", "9", 100),
    PROTOS_V("integer", "0000000000000000000001", 1),
    PROTOS_V("integer", "0x10", 1),
    PROTOS_V("integer", "1.5", 1),
    PROTOS_V("integer", "1e9", 1),
    PROTOS_V("integer", "1 2", 1),
    PROTOS_LONG(" "),
    PROTOS_LONG("\t"),
    PROTOS_LONG(";"),
    PROTOS_LONG(","),
    PROTOS_LONG(":"),
    PROTOS_LONG("="),
    PROTOS_LONG("@"),
    PROTOS_LONG("/"),
    PROTOS_LONG("<"),
    PROTOS_LONG(">"),
    PROTOS_LONG("<>"),
    PROTOS_LONG("\""),
    PROTOS_LONG("\\"),
    PROTOS_LONG("?"),
    PROTOS_LONG("&"),
    PROTOS_LONG("."),
    PROTOS_LONG("["),
    PROTOS_LONG("]"),
    PROTOS_LONG("%"),
    PROTOS_LONG("\r"),
    PROTOS_LONG("\n"),
    PROTOS_LONG("\r\n"),
    PROTOS_LONG("\r\n "),
    PROTOS_LONG("\0"),
    PROTOS_LONG(";a=b"),
    PROTOS_LONG(",a"),
    PROTOS_LONG("\r\nVia: x"),
    PROTOS_V("utf-8", "\xc0\x80", 1),
    PROTOS_V("utf-8", "\xc0\xaf", 1),
    PROTOS_V("utf-8", "\xe0\x80\xaf", 1),
    PROTOS_V("utf-8", "\xf0\x80\x80\xaf", 1),
    PROTOS_V("utf-8", "\xf8\x88\x80\x80\xaf", 1),
    PROTOS_V("utf-8", "\xfc\x84\x80\x80\x80\xaf", 1),
    PROTOS_V("utf-8", "\xed\xa0\x80", 1),
    PROTOS_V("utf-8", "\xf4\x90\x80\x80", 1),
    PROTOS_V("utf-8", "\xe2\x82", 1),
    PROTOS_V("utf-8", "\x80", 1),
    PROTOS_V("utf-8", "\xbf", 500),
    PROTOS_V("utf-8", "\xfe\xff", 1),
    PROTOS_V("utf-8", "\xff", 1000),
    PROTOS_V("utf-8", "\xef\xbb\xbf", 1),
    PROTOS_V("utf-8", "\xc3\xa9", 300),
    PROTOS_V("quotes", "\"", 1),
    PROTOS_V("quotes", "\"a", 1),
    PROTOS_V("quotes", "a\"", 1),
    PROTOS_V("quotes", "\"\\", 1),
    PROTOS_V("quotes", "\"\\\"", 1),
    PROTOS_V("quotes", "\"a\" \"b\"", 1),
    PROTOS_V("quotes", "\"\\\0\"", 1),
    PROTOS_V("quotes", "\"\\\r\n\"", 1),
    PROTOS_V("ipv4", "256.1.1.1", 1),
    PROTOS_V("ipv4", "1.2.3", 1),
    PROTOS_V("ipv4", "1.2.3.4.5", 1),
    PROTOS_V("ipv4", "0.0.0.0", 1),
    PROTOS_V("ipv4", "255.255.255.255", 1),
    PROTOS_V("ipv4", "1.2.3.-4", 1),
    PROTOS_V("ipv4", "0x7f.1", 1),
    PROTOS_V("ipv4", "4294967295", 1),
    PROTOS_V("ipv4", "01.002.0003.00004", 1),
    PROTOS_V("ipv4", "1..2.3", 1),
    PROTOS_V("ipv6", "[::]", 1),
    PROTOS_V("ipv6", "[::1]", 1),
    PROTOS_V("ipv6", "::1", 1),
    PROTOS_V("ipv6", "[1:2:3:4:5:6:7:8:9]", 1),
    PROTOS_V("ipv6", "[::1::2]", 1),
    PROTOS_V("ipv6", "[:::1]", 1),
    PROTOS_V("ipv6", "[1]", 1),
    PROTOS_V("ipv6", "[fffff::]", 1),
    PROTOS_V("ipv6", "[::ffff:1.2.3.999]", 1),
    PROTOS_V("ipv6", "[::1%25lo]", 1),
    PROTOS_V("ipv6", "[]", 1),
    PROTOS_V("ipv6", "]::1[", 1),
    PROTOS_V("ipv6", "[::1]:70000", 1),
    PROTOS_V("ipv6", "[0:", 400),
    PROTOS_V("uri", "sip:", 1),
    PROTOS_V("uri", "sip:", 500),
    PROTOS_V("uri", "sip:@", 1),
    PROTOS_V("uri", "sip::@h", 1),
    PROTOS_V("uri", "sip:a@", 1),
    PROTOS_V("uri", "sip:a@@h", 1),
    PROTOS_V("uri", "sip:a:b:c@h", 1),
    PROTOS_V("uri", "sip:h:", 1),
    PROTOS_V("uri", "sip:h:0", 1),
    PROTOS_V("uri", "sip:h:65536", 1),
    PROTOS_V("uri", "sip:h;", 1),
    PROTOS_V("uri", "sip:h;=", 1),
    PROTOS_V("uri", "sip:h;a=", 1),
    PROTOS_V("uri", "sip:h?", 1),
    PROTOS_V("uri", "sip:h?a", 1),
    PROTOS_V("uri", "sip:h?=b", 1),
    PROTOS_V("uri", "sip:h?a=b&", 1),
    PROTOS_V("uri", "tel:", 1),
    PROTOS_V("uri", "tel:+1-2;phone-context=", 1),
    PROTOS_V("uri", "sips:a@h", 1),
    PROTOS_V("uri", "http://a/b?c", 1),
    PROTOS_V("uri", "a:b", 1),
    PROTOS_V("uri", "sip:%zz@h", 1),
    PROTOS_V("uri", "sip:%", 1),
    PROTOS_V("uri", "sip:%00@h", 1),
    PROTOS_V("uri", "sip:a@h;lr", 100),
    PROTOS_V("uri", "<sip:a@h", 1),
    PROTOS_V("uri", "sip:a@h>", 1),
    PROTOS_V("uri", "<<sip:a@h>>", 1),
    PROTOS_V("uri", "*", 1),
    PROTOS_V("tag", ";tag=", 1),
    PROTOS_V("tag", ";tag=a;tag=b", 1),
    PROTOS_V("tag", ";tag=\"a\"", 1),
    PROTOS_V("tag", ";tag", 300),
};
#undef PROTOS_V
#undef PROTOS_LONG

static const struct protos_template {
    const struct protos_part *parts;
    size_t count;
} protos_templates[] = {
    {protos_invite, ARRAY_COUNT(protos_invite)},
    {protos_register, ARRAY_COUNT(protos_register)},
    {protos_response, ARRAY_COUNT(protos_response)},
};

/* What case `n` spoils and how. */
struct protos_case {
    const struct protos_template *template;
    const struct protos_part *part; /* NULL: there is no such case */
    const struct protos_value *value;
    bool is_behind;
};

static inline struct protos_case protos_find(unsigned n)
{
    enum { WAYS = 2 * ARRAY_COUNT(protos_values) };
    unsigned field = n / WAYS;
    struct protos_case c = {.value = &protos_values[n % WAYS / 2], .is_behind = n % 2 == 1};
    for (size_t k = 0; k < ARRAY_COUNT(protos_templates); k++) {
        for (size_t i = 0; i < protos_templates[k].count; i++) {
            if (protos_templates[k].parts[i].field != NULL && field-- == 0) {
                c.template = &protos_templates[k];
                c.part = &protos_templates[k].parts[i];
                return c;
            }
        }
    }
    return c;
}

static inline unsigned protos_count(void)
{
    unsigned fields = 0;
    for (size_t k = 0; k < ARRAY_COUNT(protos_templates); k++) {
        for (size_t i = 0; i < protos_templates[k].count; i++) {
            fields += protos_templates[k].parts[i].field != NULL;
        }
    }
    return fields * 2 * (unsigned)ARRAY_COUNT(protos_values);
}

struct protos_out {
    uint8_t *data;
    size_t len;
    size_t body; /* where it begins */
};

static inline void protos_put(struct protos_out *o, const void *bytes, size_t len)
{
    len = min_size(len, PROTOS_CASE_CAP - o->len);
    memcpy(o->data + o->len, bytes, len);
    o->len += len;
}

static inline void protos_text(struct protos_out *o, const char *text, const char *domain,
                               unsigned n, size_t body_len)
{
    char number[24];
    for (const char *c = text; *c != 0; c++) {
        size_t len = 0;
        switch (*c) {
        case 1:
            protos_put(o, domain, strlen(domain));
            break;
        case 2:
            len = (size_t)snprintf(number, sizeof(number), "%u", n);
            protos_put(o, number, len);
            break;
        case 3:
            len = (size_t)snprintf(number, sizeof(number), "%zu", body_len);
            protos_put(o, number, len);
            break;
        case 4:
            o->body = o->len;
            break;
        default:
            protos_put(o, c, 1);
        }
    }
}

static inline void protos_emit(struct protos_out *o, const struct protos_case *c,
                               const char *domain, unsigned n, size_t body_len)
{
    for (size_t i = 0; i < c->template->count; i++) {
        const struct protos_part *part = &c->template->parts[i];
        bool is_spoiled = part == c->part;
        if (!is_spoiled || c->is_behind) {
            protos_text(o, part->text, domain, n, body_len);
        }
        for (uint32_t k = 0; is_spoiled && k < c->value->times; k++) {
            protos_put(o, c->value->text.data, c->value->text.len);
        }
    }
}

static inline size_t protos_build(const struct protos_case *c, const char *domain, unsigned n,
                                  uint8_t *out)
{
    struct protos_out first = {.data = out}, second = {.data = out};
    protos_emit(&first, c, domain, n, 0);
    size_t body_len = first.body == 0 ? 0 : first.len - first.body;
    protos_emit(&second, c, domain, n, body_len);
    return second.len;
}

/* Case `n` < protos_count() into `out` of PROTOS_CASE_CAP bytes; its length.  `domain` is what the
 * node under test serves. */
static inline size_t protos_make(unsigned n, const char *domain, uint8_t *out)
{
    struct protos_case c = protos_find(n);
    return protos_build(&c, domain, n, out);
}

/* The same message as case `n` with nothing spoiled. */
static inline size_t protos_make_good(unsigned n, const char *domain, uint8_t *out)
{
    struct protos_case c = {.template = protos_find(n).template};
    return protos_build(&c, domain, n, out);
}
