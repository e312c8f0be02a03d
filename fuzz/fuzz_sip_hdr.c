/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sip_hdr.c - the values of header fields: each typed decoder alone, in every way
 * (sip_way.h), with all views inside the value; what is written of a Via can be read again.
 *
 * Input: which decoder, then the value as a message would hold it: bytes that a message cannot
 * hold (CR and LF but for folds) are taken out. */
#include "codec/sip_way.h"
#include "codec/sip_write.h"
#include "fuzz/fuzz.h"

enum { INPUT_CAP = 2048 };
enum kind { VIA, ADDRESS, CSEQ, DIGEST, EVENT, NUMBER, QVALUE, LIST, PARAMS, TEXT, KINDS };

static void inside(struct slice part, struct slice value)
{
    CHECK(part.len == 0 || (part.data >= value.data && part.len <= value.len &&
                            part.data + part.len <= value.data + value.len));
}

static bool is_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || a.data == b.data);
}

static const enum sip_way all_ways[] = {SIP_WAY_PLAIN, SIP_WAY_SSE42, SIP_WAY_AVX2};

static void via_again(const struct sip_hdr_via *v)
{
    static uint8_t out[2 * INPUT_CAP];
    struct sip_writer w;
    struct slice text;
    struct sip_hdr_via again;
    sip_write_init(&w, out, sizeof(out));
    sip_write_via(&w, v, SLICE_LITERAL("1.2.3.4"), 77);
    if (sip_write_finish(&w, &text) != ERR_OK) {
        return;
    }
    CHECK(sip_hdr_via_decode(text, &again) == ERR_OK);
    CHECK(slice_is_equal(again.sent_by, v->sent_by) && slice_is_equal(again.branch, v->branch));
    CHECK(slice_is_equal(again.received, SLICE_LITERAL("1.2.3.4")));
    CHECK(again.has_rport == v->has_rport && (!v->has_rport || again.rport == 77));
}

static void via(struct slice s)
{
    struct sip_hdr_via v;
    memset(&v, 0, sizeof(v));
    enum err e = sip_hdr_via_decode(s, &v);
    enum sip_way best = sip_way_best();
    for (size_t i = 0; s.len > 0 && i < ARRAY_COUNT(all_ways) && all_ways[i] <= best; i++) {
        struct sip_hdr_via x;
        memset(&x, 0, sizeof(x));
        CHECK(SIP_WAY_CALL(all_ways[i], via, s, 0, s.len, &x) == e);
        CHECK(e != ERR_OK || (is_same(x.host, v.host) && x.port == v.port && x.ttl == v.ttl &&
                              is_same(x.branch, v.branch) && x.has_rport == v.has_rport));
    }
    if (e != ERR_OK) {
        return;
    }
    inside(v.host, s);
    inside(v.sent_by, s);
    inside(v.branch, s);
    inside(v.received, s);
    inside(v.maddr, s);
    inside(v.params, s);
    inside(v.transport_text, s);
    CHECK(v.host.len > 0 && (!v.has_magic || v.branch.len > 7));
    via_again(&v);
}

static void address(struct slice s)
{
    struct sip_hdr_address a;
    struct sip_uri u;
    memset(&a, 0, sizeof(a));
    enum err e = sip_hdr_address_decode(s, &a);
    enum sip_way best = sip_way_best();
    for (size_t i = 0; s.len > 0 && i < ARRAY_COUNT(all_ways) && all_ways[i] <= best; i++) {
        struct sip_hdr_address x;
        memset(&x, 0, sizeof(x));
        CHECK(SIP_WAY_CALL(all_ways[i], address, s, 0, s.len, &x, NULL) == e);
        CHECK(e != ERR_OK || (is_same(x.uri, a.uri) && is_same(x.display, a.display) &&
                              is_same(x.tag, a.tag) && x.has_q == a.has_q));
        /* the URI within, judged at once or afterwards */
        memset(&x, 0, sizeof(x));
        memset(&u, 0, sizeof(u));
        enum err both = SIP_WAY_CALL(all_ways[i], address, s, 0, s.len, &x, &u);
        CHECK(both != ERR_OK || e == ERR_OK);
        CHECK(both != ERR_OK || x.is_star || sip_uri_decode(x.uri, &u) == ERR_OK);
    }
    if (e == ERR_OK) {
        inside(a.uri, s);
        inside(a.display, s);
        inside(a.tag, s);
        inside(a.params, s);
        CHECK(a.is_star || a.uri.len > 0);
        CHECK(a.q_milli <= 1000);
    }
}

static void cseq(struct slice s)
{
    struct sip_hdr_cseq c;
    if (sip_hdr_cseq_decode(s, &c) == ERR_OK) {
        inside(c.method_text, s);
        CHECK(c.number <= INT32_MAX && sip_lex_is_token(c.method_text));
        CHECK(c.method == sip_hdr_method(c.method_text));
    }
}

static void digest(struct slice s)
{
    struct sip_hdr_digest d;
    if (sip_hdr_digest_decode(s, &d) == ERR_OK && d.is_digest) {
        const struct slice parts[] = {d.username, d.realm,  d.nonce, d.uri,       d.response,
                                      d.cnonce,   d.opaque, d.qop,   d.algorithm, d.nc};
        for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
            inside(parts[i], s);
        }
    }
}

static void event(struct slice s)
{
    struct sip_hdr_event e;
    if (sip_hdr_event_decode(s, &e) == ERR_OK) {
        inside(e.package, s);
        inside(e.id, s);
        CHECK(e.package.len > 0);
    }
}

static void number(struct slice s)
{
    uint32_t a = 0, b = 0;
    enum err e = sip_hdr_number_decode(s, UINT32_MAX, &a);
    CHECK(e == ERR_OK || e == ERR_MALFORMED || e == ERR_TOO_LARGE);
    enum err f = sip_hdr_number_decode(s, 255, &b);
    CHECK(f != ERR_OK || (e == ERR_OK && a == b && b <= 255));
    CHECK((e == ERR_MALFORMED) == (f == ERR_MALFORMED));
}

static void qvalue(struct slice s)
{
    uint16_t q = 0;
    CHECK(!sip_hdr_q_decode(s, &q) || q <= 1000);
}

/* The items of a list, in order and apart. */
static void list(struct slice s)
{
    struct slice rest = s, item;
    const uint8_t *end = s.data;
    while (sip_lex_item(&rest, &item) == ERR_OK) {
        inside(item, s);
        CHECK(item.len > 0 && item.data >= end);
        CHECK(!sip_lex_is_space(item.data[0]) && !sip_lex_is_space(item.data[item.len - 1]));
        end = item.data + item.len;
    }
}

static void params(struct slice s)
{
    struct slice rest = s;
    struct sip_lex_param p, found;
    if (s.len > 0 && s.data[0] != ';' && !sip_lex_is_space(s.data[0])) {
        return;
    }
    while (sip_lex_param(&rest, &p) == ERR_OK) {
        inside(p.name, s);
        inside(p.value, s);
        CHECK(p.name.len > 0 && (p.has_value || p.value.len == 0));
    }
    if (sip_lex_param_find(s, SLICE_LITERAL("tag"), &found)) {
        CHECK(sip_lex_is_word(found.name, SLICE_LITERAL("tag")));
    }
}

/* Quoted strings and escapes. */
static void text(struct slice s)
{
    static uint8_t out[INPUT_CAP];
    size_t len = 0;
    if (sip_lex_quoted(s, &len) == ERR_OK) {
        CHECK(len >= 2 && len <= s.len && s.data[0] == '"' && s.data[len - 1] == '"');
        size_t plain = 0;
        CHECK(sip_lex_unquote(slice_sub(s, 1, len - 2), out, sizeof(out), &plain) == ERR_OK);
        CHECK(plain <= len - 2);
    }
    if (sip_lex_unescape(s, out, sizeof(out), &len) == ERR_OK) {
        CHECK(len <= s.len && len * 3 >= s.len);
        CHECK(len == 0 || sip_lex_unescape(s, out, len - 1, &len) == ERR_TOO_LARGE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const decoders[KINDS])(struct slice) = {
        [VIA] = via,       [ADDRESS] = address, [CSEQ] = cseq, [DIGEST] = digest, [EVENT] = event,
        [NUMBER] = number, [QVALUE] = qvalue,   [LIST] = list, [PARAMS] = params, [TEXT] = text};
    static struct fuzz_block block;
    static uint8_t value[INPUT_CAP];
    size_t len = 0;
    if (size == 0) {
        return 0;
    }
    for (size_t i = 1; i < size && len + 2 < sizeof(value); i++) {
        uint8_t c = data[i];
        if (c == '\n') { /* a fold, where one can be */
            memcpy(value + len, "\r\n ", 3);
            len += len + 3 <= sizeof(value) ? 3 : 0;
        } else if (c != '\r') {
            value[len++] = c;
        }
    }
    struct slice whole = sip_lex_trim(slice_of(value, len));
    decoders[data[0] % KINDS](slice_of(fuzz_exact(&block, whole), whole.len));
    return 0;
}
