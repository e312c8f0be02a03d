/* SPDX-License-Identifier: Apache-2.0 */
/* test_protos.c - every PROTOS-like case through parser, judgement, typed headers, answering and
 * forwarding, in a block of its exact size (ASan sees the first byte too far), as a datagram and in
 * a stream that is cut at several places. */
#include "codec/sip_edit.h"
#include "codec/sip_write.h"
#include "tests/unit/codec/protos.h"
#include "tests/unit/codec/sip_fixture.h"
#include <criterion/criterion.h>

static uint8_t text[PROTOS_CASE_CAP], out[4 * PROTOS_CASE_CAP];

static void decode_all(const struct sip_msg *m)
{
    for (unsigned i = 0; i < m->header_count; i++) {
        struct slice value = sip_msg_value(m, i);
        struct sip_hdr_address address;
        struct sip_hdr_cseq cseq;
        struct sip_hdr_digest digest;
        struct sip_hdr_event event;
        struct sip_hdr_via via;
        struct sip_uri uri;
        uint32_t number = 0;
        if (sip_hdr_address_decode(value, &address) == ERR_OK &&
            sip_uri_decode(address.uri, &uri) == ERR_OK) {
            cr_assert(sip_uri_is_equal(&uri, &uri));
        }
        (void)!sip_hdr_cseq_decode(value, &cseq);
        (void)!sip_hdr_digest_decode(value, &digest);
        (void)!sip_hdr_event_decode(value, &event);
        (void)!sip_hdr_via_decode(value, &via);
        (void)!sip_hdr_number_decode(value, UINT32_MAX, &number);
    }
}

/* What would be sent in answer can be parsed. */
static void answer(const struct sip_msg *m, const struct sip_msg_core *core, unsigned n)
{
    static struct sip_parser again;
    const struct sip_write_reply reply = {.status = 400,
                                          .to_tag = SLICE_LITERAL("x"),
                                          .received = SLICE_LITERAL("1.2.3.4"),
                                          .rport = 77};
    struct sip_writer w;
    struct slice got;
    sip_write_init(&w, out, sizeof(out));
    sip_write_response(&w, m, core, &reply);
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    if (sip_write_finish(&w, &got) == ERR_OK) {
        sip_parser_init(&again, false);
        enum sip_parse parsed = sip_parser_datagram(&again, got);
        cr_assert(parsed == SIP_PARSE_OK || again.fault.status == 513 ||
                      strcmp(again.fault.why, "Control Character") == 0,
                  "the answer to case %u: %s", n, again.fault.why);
    }
}

/* What would be forwarded is sound again. */
static void forward(const struct sip_msg *m, unsigned n)
{
    static struct sip_parser again;
    struct sip_msg_core core;
    struct sip_fault fault;
    struct sip_edit edit;
    size_t len = 0;
    sip_edit_init(&edit, m);
    sip_edit_push(&edit, SIP_HDR_VIA, SLICE_LITERAL("SIP/2.0/UDP us;branch=z9hG4bKus"));
    sip_edit_max_forwards(&edit, 3);
    if (sip_edit_emit(&edit, out, sizeof(out), &len) != ERR_OK) {
        return;
    }
    sip_parser_init(&again, false);
    if (sip_parser_datagram(&again, slice_of(out, len)) != SIP_PARSE_OK) {
        cr_assert_eq(again.fault.status, 513, "case %u: %s", n, again.fault.why);
        return;
    }
    cr_assert_neq(sip_msg_check(&again.msg, &core, &fault), ERR_MALFORMED, "case %u: %s", n,
                  fault.why);
}

static bool datagram(struct slice bytes, unsigned n)
{
    static struct sip_parser p;
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&p, false);
    enum sip_parse parsed = sip_parser_datagram(&p, bytes);
    cr_assert_neq(parsed, SIP_PARSE_MORE, "case %u", n);
    if (parsed == SIP_PARSE_OK && p.event != SIP_EVENT_MESSAGE) {
        return false;
    }
    enum err e = sip_msg_check(&p.msg, &core, &fault);
    decode_all(&p.msg);
    if (sip_msg_is_answerable(&p.msg, &core)) {
        answer(&p.msg, &core, n);
    }
    if (parsed == SIP_PARSE_OK && e == ERR_OK) {
        forward(&p.msg, n);
        return true;
    }
    return false;
}

/* The same faults and messages however the stream is cut. */
static void stream(struct slice bytes, unsigned n)
{
    static struct sip_parser whole, cut;
    size_t done = 0, step = 1 + n % 97;
    sip_parser_init(&whole, true);
    sip_parser_init(&cut, true);
    while (done < bytes.len) {
        struct slice rest = slice_from(bytes, done);
        enum sip_parse a = sip_parser_feed(&whole, rest), b = SIP_PARSE_MORE;
        for (size_t len = 0; b == SIP_PARSE_MORE && len < rest.len + step; len += step) {
            b = sip_parser_feed(&cut, slice_sub(rest, 0, len));
        }
        cr_assert_eq(a, b, "case %u", n);
        if (a == SIP_PARSE_MORE || whole.consumed == 0) {
            return;
        }
        cr_assert_eq(whole.consumed, cut.consumed, "case %u", n);
        cr_assert_eq(whole.msg.header_count, cut.msg.header_count, "case %u", n);
        done += whole.consumed;
    }
}

Test(protos, every_case)
{
    unsigned sound = 0, count = protos_count();
    cr_assert_geq(count, 4500);
    for (unsigned n = 0; n < count; n++) {
        size_t len = protos_make(n, "example.org", text);
        struct slice block = fixture_copy(slice_of(text, len));
        sound += datagram(block, n);
        stream(block, n);
        fixture_free(block);
    }
    /* most are spoiled, but a field like Subject takes nearly anything */
    cr_expect(sound > count / 10 && sound < count * 6 / 10, "%u of %u", sound, count);
}

/* A case is the same each time, and no two of one template are the same. */
Test(protos, cases_are_what_they_say)
{
    for (unsigned n = 0; n < protos_count(); n += 501) {
        struct protos_case c = protos_find(n);
        size_t len = protos_make(n, "example.org", text);
        memcpy(out, text, len);
        cr_assert_eq(protos_make(n, "example.org", text), len);
        cr_assert_eq(memcmp(text, out, len), 0);
        cr_assert(c.part != NULL && c.part->field != NULL);
    }
    cr_assert_null(protos_find(protos_count()).part);
}
