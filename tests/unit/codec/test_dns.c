/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of name servers: what is read from good ones, and that bad ones end soon. */
#include "codec/dns.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* An answer being written. */
struct made {
    struct wr w;
    uint8_t bytes[20000];
    uint16_t count;
};

static void name(struct wr *w, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, ".");
        wr_u8(w, (uint8_t)len);
        wr_bytes(w, slice_of(text, len));
        text += len + (text[len] == '.' ? 1 : 0);
    }
    wr_u8(w, 0);
}

static void begin(struct made *m, uint16_t flags, const char *question, uint16_t type)
{
    m->count = 0;
    m->w = wr_init(m->bytes, sizeof(m->bytes));
    wr_u16(&m->w, 0x1234);
    wr_u16(&m->w, flags);
    wr_u16(&m->w, 1);
    wr_u16(&m->w, 0); /* answers: see finish */
    wr_u16(&m->w, 0);
    wr_u16(&m->w, 0);
    name(&m->w, question);
    wr_u16(&m->w, type);
    wr_u16(&m->w, 1);
}

/* Owner, type, class and time; the data follow. */
static void record(struct made *m, const char *owner, uint16_t type, uint32_t ttl_s, uint16_t len)
{
    name(&m->w, owner);
    wr_u16(&m->w, type);
    wr_u16(&m->w, 1);
    wr_u32(&m->w, ttl_s);
    wr_u16(&m->w, len);
    m->count++;
}

static size_t length(const char *text)
{
    return strlen(text) + (*text == '\0' ? 1 : 2);
}

static void address(struct made *m, const char *owner, uint32_t ttl_s, uint8_t last)
{
    const uint8_t ip[4] = {192, 0, 2, last};
    record(m, owner, DNS_A, ttl_s, 4);
    wr_bytes(&m->w, slice_of(ip, 4));
}

static void alias(struct made *m, const char *owner, uint32_t ttl_s, const char *to)
{
    record(m, owner, DNS_CNAME, ttl_s, (uint16_t)length(to));
    name(&m->w, to);
}

static void service(struct made *m, const char *owner, uint16_t priority, uint16_t weight,
                    const char *target)
{
    record(m, owner, DNS_SRV, 300, (uint16_t)(6 + length(target)));
    wr_u16(&m->w, priority);
    wr_u16(&m->w, weight);
    wr_u16(&m->w, 5070);
    name(&m->w, target);
}

static void naptr(struct made *m, const char *owner, uint16_t order, const char *flags,
                  const char *what, const char *replacement)
{
    size_t len = 4 + 1 + strlen(flags) + 1 + strlen(what) + 1 + length(replacement);
    record(m, owner, DNS_NAPTR, 60, (uint16_t)len);
    wr_u16(&m->w, order);
    wr_u16(&m->w, 50);
    wr_u8(&m->w, (uint8_t)strlen(flags));
    wr_bytes(&m->w, slice_text(flags));
    wr_u8(&m->w, (uint8_t)strlen(what));
    wr_bytes(&m->w, slice_text(what));
    wr_u8(&m->w, 0);
    name(&m->w, replacement);
}

static struct slice finish(struct made *m)
{
    cr_assert(wr_ok(&m->w));
    m->bytes[6] = (uint8_t)(m->count >> 8);
    m->bytes[7] = (uint8_t)m->count;
    return wr_slice(&m->w);
}

/* Each length short of the whole is refused, and read from a block of just that size: a byte too
 * far is ASan's to find. */
static void expect_cut(struct slice whole, const char *question, enum dns_type type)
{
    struct dns_answer a;
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, whole.data, len);
        enum err e = dns_answer_decode(slice_of(copy, len), slice_text(question), type, &a);
        free(copy);
        cr_expect_eq(e, ERR_MALFORMED, "cut at %zu", len);
    }
}

Test(dns, addresses)
{
    static struct made m;
    struct dns_answer a;
    begin(&m, 0x8180, "Sip.Example.NET", DNS_A);
    address(&m, "sip.example.net", 300, 1);
    address(&m, "SIP.example.net", 60, 2);
    address(&m, "other.example.net", 1, 3); /* nobody asked */
    struct slice whole = finish(&m);
    cr_assert_eq(dns_answer_decode(whole, SLICE_LITERAL("sip.EXAMPLE.net"), DNS_A, &a), ERR_OK);
    cr_expect_eq(a.count, 2);
    cr_expect_eq(a.ttl_s, 60);
    cr_expect_eq(a.records[0].address.family, 4);
    cr_expect_eq(a.records[1].address.ip[3], 2);
    expect_cut(whole, "sip.example.net", DNS_A);
}

Test(dns, srv_and_naptr)
{
    static struct made m;
    struct dns_answer a;
    begin(&m, 0x8180, "_sip._udp.example.net", DNS_SRV);
    service(&m, "_sip._udp.example.net", 10, 60, "big.Example.net");
    service(&m, "_sip._udp.example.net", 20, 0, "");
    struct slice whole = finish(&m);
    cr_assert_eq(dns_answer_decode(whole, SLICE_LITERAL("_sip._udp.example.net"), DNS_SRV, &a),
                 ERR_OK);
    cr_assert_eq(a.count, 2);
    cr_expect_eq(a.records[0].priority, 10);
    cr_expect_eq(a.records[0].weight, 60);
    cr_expect_eq(a.records[0].port, 5070);
    cr_expect_str_eq(a.records[0].name, "big.example.net");
    cr_expect_str_eq(a.records[1].name, "");
    expect_cut(whole, "_sip._udp.example.net", DNS_SRV);
    begin(&m, 0x8180, "example.net", DNS_NAPTR);
    naptr(&m, "example.net", 7, "S", "sips+D2T", "_sips._tcp.example.net");
    naptr(&m, "example.net", 8, "s", "a service of a name too long", "x.example.net");
    whole = finish(&m);
    cr_assert_eq(dns_answer_decode(whole, SLICE_LITERAL("example.net"), DNS_NAPTR, &a), ERR_OK);
    cr_assert_eq(a.count, 1);
    cr_expect_eq(a.left_out, 1);
    cr_expect_str_eq(a.records[0].flags, "s");
    cr_expect_str_eq(a.records[0].service, "SIPS+D2T");
    cr_expect_str_eq(a.records[0].name, "_sips._tcp.example.net");
    cr_expect_eq(a.records[0].priority, 7);
    expect_cut(whole, "example.net", DNS_NAPTR);
}

Test(dns, aliases)
{
    static struct made m;
    struct dns_answer a;
    begin(&m, 0x8180, "a.example", DNS_A);
    address(&m, "c.example", 300, 9); /* in whatever order */
    alias(&m, "b.example", 5, "c.example");
    alias(&m, "a.example", 30, "B.example");
    cr_assert_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a), ERR_OK);
    cr_assert_eq(a.count, 1);
    cr_expect_eq(a.ttl_s, 5, "the least of the chain, not %u", a.ttl_s);
    begin(&m, 0x8180, "a.example", DNS_A);
    alias(&m, "a.example", 30, "b.example");
    alias(&m, "b.example", 30, "a.example");
    cr_expect_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a),
                 ERR_MALFORMED, "a loop");
    begin(&m, 0x8180, "a.example", DNS_A);
    alias(&m, "a.example", 30, "b.example");
    cr_assert_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a), ERR_OK);
    cr_expect_eq(a.count, 0, "its end is not in the answer");
    begin(&m, 0x8180, "n0.example", DNS_A);
    for (int i = 0; i < 9; i++) {
        char from[16], to[16];
        snprintf(from, sizeof(from), "n%d.example", i);
        snprintf(to, sizeof(to), "n%d.example", i + 1);
        alias(&m, from, 30, to);
    }
    cr_expect_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("n0.example"), DNS_A, &a),
                 ERR_MALFORMED, "nine of them");
}

Test(dns, refusals)
{
    static struct made m;
    struct dns_answer a;
    const struct slice who = SLICE_LITERAL("a.example");
    const uint16_t flags[] = {0x0180 /* a question */, 0x8380 /* cut off */, 0xa180 /* opcode */};
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        begin(&m, flags[i], "a.example", DNS_A);
        address(&m, "a.example", 300, 1);
        cr_expect_eq(dns_answer_decode(finish(&m), who, DNS_A, &a), ERR_MALFORMED, "%zu", i);
    }
    begin(&m, 0x8180, "b.example", DNS_A);
    address(&m, "a.example", 300, 1);
    cr_expect_eq(dns_answer_decode(finish(&m), who, DNS_A, &a), ERR_MALFORMED);
    begin(&m, 0x8180, "a.example", DNS_AAAA);
    cr_expect_eq(dns_answer_decode(finish(&m), who, DNS_A, &a), ERR_MALFORMED);
    begin(&m, 0x8183, "a.example", DNS_A);
    cr_assert_eq(dns_answer_decode(finish(&m), who, DNS_A, &a), ERR_OK);
    cr_expect_eq(a.rcode, 3);
    cr_expect_eq(a.count, 0);
    begin(&m, 0x8180, "a.example", DNS_A); /* an address of three bytes, a target with a slash */
    record(&m, "a.example", DNS_A, 300, 3);
    wr_bytes(&m.w, SLICE_LITERAL("abc"));
    address(&m, "a.example", 300, 1);
    cr_assert_eq(dns_answer_decode(finish(&m), who, DNS_A, &a), ERR_OK);
    cr_expect_eq(a.count, 1);
    cr_expect_eq(a.left_out, 1);
    begin(&m, 0x8180, "a.example", DNS_SRV);
    service(&m, "a.example", 1, 1, "b/;x=y.example");
    cr_assert_eq(dns_answer_decode(finish(&m), who, DNS_SRV, &a), ERR_OK);
    cr_expect_eq(a.count, 0);
}

Test(dns, huge)
{
    static struct made m;
    struct dns_answer a;
    begin(&m, 0x8180, "a.example", DNS_A);
    for (int i = 0; i < 600; i++) {
        address(&m, "a.example", 300, (uint8_t)i);
    }
    cr_assert_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a), ERR_OK);
    cr_expect_eq(a.count, DNS_RECORDS);
    cr_expect_eq(a.left_out, 600 - DNS_RECORDS);
    begin(&m, 0x8180, "a.example", DNS_A);
    for (int i = 0; i < 600; i++) { /* what stands behind many others is not looked for */
        address(&m, i == DNS_ANSWERS || i == 3 ? "a.example" : "b.example", 300, (uint8_t)i);
    }
    cr_assert_eq(dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a), ERR_OK);
    cr_expect_eq(a.count, 1);
    cr_expect_eq(a.records[0].address.ip[3], 3);
    cr_expect_eq(a.left_out, 600 - DNS_ANSWERS);
}

/* Names that point at themselves, forwards, or from pointer to pointer. */
Test(dns, pointers)
{
    static struct made m;
    struct dns_answer a;
    for (uint16_t where = 0; where < 80; where++) {
        begin(&m, 0x8180, "a.example", DNS_A);
        wr_u16(&m.w, (uint16_t)(0xc000 | where));
        wr_u16(&m.w, DNS_A);
        wr_u16(&m.w, 1);
        wr_u32(&m.w, 300);
        wr_u16(&m.w, 4);
        wr_u32(&m.w, 0xc0000201);
        m.count++;
        enum err e = dns_answer_decode(finish(&m), SLICE_LITERAL("a.example"), DNS_A, &a);
        cr_expect(e == ERR_OK && a.count == (where == 12 ? 1 : 0), "pointer to %u", where);
    }
}

Test(dns, names)
{
    const char *good[] = {"a", "example.net", "_sip._udp.example.net", "A-1.b"};
    const char *bad[] = {"",
                         ".",
                         "a.",
                         ".a",
                         "a..b",
                         "a b",
                         "a/b",
                         "\xc3\xa4.example",
                         "0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        cr_expect(dns_is_name(slice_text(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_expect_not(dns_is_name(slice_text(bad[i])), "%s", bad[i]);
    }
    char longest[DNS_NAME_CAP + 1];
    memset(longest, 'a', sizeof(longest));
    for (size_t i = 63; i < sizeof(longest); i += 64) {
        longest[i] = '.';
    }
    cr_expect(dns_is_name(slice_of(longest, DNS_NAME_CAP - 1)));
    cr_expect_not(dns_is_name(slice_of(longest, DNS_NAME_CAP)));
}
