/* SPDX-License-Identifier: Apache-2.0 */
/* test_sip_way.c - AVX2, SSE4.2 and plain C read the same: every byte at every place of typical
 * values, the torture messages whole, cut and with faults put in, all in blocks of exactly their
 * size, so that a sanitizer sees a byte too far. */
#include "codec/sip_way.h"
#include "tests/unit/codec/sip_fixture.h"
#include "tests/unit/codec/sip_verdicts.h"
#include <criterion/criterion.h>

/* How many ways this processor has. */
static unsigned ways(void)
{
    return (unsigned)sip_way_best() + 1;
}

static void compare_values(struct slice s)
{
    struct sip_uri uri[3], inner[3];
    struct sip_hdr_via via[3];
    struct sip_hdr_address address[3], bare[3];
    enum err e[3][4];
    for (unsigned i = 0; i < ways(); i++) {
        enum sip_way way = (enum sip_way)i;
        e[i][0] = SIP_WAY_CALL(way, uri, s, 0, s.len, &uri[i]);
        e[i][1] = SIP_WAY_CALL(way, address, s, 0, s.len, &address[i], &inner[i]);
        e[i][2] = SIP_WAY_CALL(way, address, s, 0, s.len, &bare[i], NULL);
        e[i][3] = SIP_WAY_CALL(way, via, s, 0, s.len, &via[i]);
        cr_assert_arr_eq(e[i], e[0], sizeof(e[0]), "%.*s", (int)s.len, (const char *)s.data);
        cr_assert_arr_eq(&uri[i], &uri[0], sizeof(uri[0]), "%.*s", (int)s.len, s.data);
        cr_assert_arr_eq(&address[i], &address[0], sizeof(address[0]), "%.*s", (int)s.len, s.data);
        cr_assert_arr_eq(&inner[i], &inner[0], sizeof(inner[0]), "%.*s", (int)s.len, s.data);
        cr_assert_arr_eq(&bare[i], &bare[0], sizeof(bare[0]), "%.*s", (int)s.len, s.data);
        cr_assert_arr_eq(&via[i], &via[0], sizeof(via[0]), "%.*s", (int)s.len, s.data);
    }
}

Test(sip_way, every_byte_at_every_place)
{
    static const char *const values[] = {
        "sip:alice%20b:secret@pc33.atlanta.example.com:5060;transport=udp;lr?subject=x&a=b",
        "sips:[2001:db8::10]:5061;maddr=192.0.2.1",
        "\"Alice \\\" A\" <sip:alice@192.0.2.101:5060;lr>;tag=88sja8x;expires=60;q=0.7",
        "Bob B <tel:+1-201-555-0123;phone-context=x.example>;tag=1",
        "sip:a-b.example.org ; tag = x",
        "sip:a@249.25.99.0:5060",
        "SIP/2.0/UDP pc33.atlanta.example.com:5060;branch=z9hG4bK776;rport;received=192.0.2.1",
        "SIP / 2.0 / TCP  [::1] : 5070 ; ttl=3 ;maddr=224.2.0.1; rport=\"5\";x=y=z",
        "sip:a-rather-long-user-name-that-fills-vectors@a-host-name.that.is.not.short.example",
        "<sip:00112233445566778899aabbccddeeff.overlay.example;lr;s=0>",
        "SIP/2.0/TLS 00112233445566778899aabbccddeeff.a-much-longer.overlay.example.org;branch=z",
    };
    for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
        struct slice text = fixture_copy(slice_text(values[v]));
        uint8_t *data = (uint8_t *)(uintptr_t)text.data;
        compare_values(text);
        for (size_t at = 0; at < text.len; at++) {
            uint8_t was = data[at];
            for (unsigned byte = 0; byte < 256; byte++) {
                data[at] = (uint8_t)byte;
                compare_values(text);
            }
            data[at] = was;
        }
        fixture_free(text);
    }
}

static void compare_pieces(struct slice value)
{
    for (size_t len = 1; len <= value.len; len++) {
        for (size_t from = 0; from < len; from++) {
            struct slice text = fixture_copy(slice_between(value, from, len));
            compare_values(text);
            fixture_free(text);
        }
    }
}

Test(sip_way, every_length)
{
    compare_pieces(SLICE_LITERAL("\"A quoted name of some length, with \\\\ in it\" "
                                 "<sip:alice@a.example;lr>;tag=7;x=\"y\""));
    compare_pieces(
        SLICE_LITERAL("sip:00112233445566778899aabbccddeeff.a-longer.overlay.example.or9;"
                      "lr;s=0"));
}

/* Each way has a text of its own. */
static bool is_same_why(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Lines, from the first byte of `s` on. */
static void compare_lines(struct slice s)
{
    static struct sip_parser p[3];
    enum sip_way_lines want = SIP_WAY_LINES_LOST;
    for (unsigned i = 0; i < ways(); i++) {
        sip_parser_init(&p[i], false);
        p[i].state = SIP_WAY_START;
        enum sip_way_lines got = SIP_WAY_CALL((enum sip_way)i, lines, &p[i], s);
        want = i == 0 ? got : want;
        cr_assert_eq(got, want);
        cr_assert_eq(p[i].state, p[0].state);
        cr_assert(is_same_why(p[i].pending.why, p[0].pending.why));
        cr_assert_eq(p[i].pending.offset, p[0].pending.offset);
        cr_assert_eq(p[i].head_end, p[0].head_end);
        cr_assert_eq(p[i].scan, p[0].scan);
        cr_assert_eq(p[i].line, p[0].line);
        cr_assert_eq(p[i].msg.method, p[0].msg.method);
        cr_assert_eq(p[i].msg.status, p[0].msg.status);
        cr_assert_eq(p[i].part_len, p[0].part_len);
        cr_assert_eq(p[i].body_len, p[0].body_len);
        cr_assert_eq(p[i].msg.header_count, p[0].msg.header_count);
        cr_assert_arr_eq(p[i].msg.first, p[0].msg.first, sizeof(p[0].msg.first));
        cr_assert_arr_eq(p[i].msg.headers, p[0].msg.headers,
                         p[0].msg.header_count * sizeof(p[0].msg.headers[0]));
    }
}

static void compare_checks(struct slice s)
{
    static struct sip_parser p;
    struct sip_msg_core core[3];
    struct sip_fault fault[3];
    sip_parser_init(&p, false);
    (void)!sip_parser_datagram(&p, s);
    enum err want = ERR_OK;
    for (unsigned i = 0; i < ways(); i++) {
        enum err got = SIP_WAY_CALL((enum sip_way)i, check, &p.msg, &core[i], &fault[i]);
        want = i == 0 ? got : want;
        cr_assert_eq(got, want);
        cr_assert_eq(fault[i].status, fault[0].status);
        cr_assert_eq(fault[i].offset, fault[0].offset);
        cr_assert(is_same_why(fault[i].why, fault[0].why));
        cr_assert_arr_eq(&core[i], &core[0], sizeof(core[0]));
    }
}

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

/* The file as it is, cut anywhere, and with bytes replaced. */
static void compare_file(const char *folder, const char *name, uint32_t *x)
{
    static const char odd[] = "\r\n\t :;,<>\"@%\\=[]?/.-_\x01\x7f\x80z";
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
    struct slice file = fixture_file(path);
    cr_assert(file.len > 0, "%s", path);
    for (unsigned round = 0; round < 400; round++) {
        size_t len = round == 0 || round % 8 != 0 ? file.len : next(x) % (file.len + 1);
        struct slice text = fixture_copy(slice_of(file.data, len));
        uint8_t *data = (uint8_t *)(uintptr_t)text.data;
        for (unsigned k = round % 5; k > 0 && len > 0; k--) {
            data[next(x) % min_size(len, 1200)] = (uint8_t)odd[next(x) % (sizeof(odd) - 1)];
        }
        compare_lines(text);
        compare_checks(text);
        fixture_free(text);
    }
    fixture_free(file);
}

Test(sip_way, torture_whole_cut_and_broken)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc4475); i++) {
        compare_file("rfc4475", verdicts_rfc4475[i].file, &x);
    }
    for (size_t i = 0; i < ARRAY_COUNT(verdicts_rfc5118); i++) {
        compare_file("rfc5118", verdicts_rfc5118[i].file, &x);
    }
}
