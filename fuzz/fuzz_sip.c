/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sip.c - SIP messages: the same however a stream is cut, and what we write ourselves
 * (answers, forwarded requests) can be read again.
 *
 * Input: the bytes, first as a stream, then as one datagram. */
#include "codec/sip_edit.h"
#include "codec/sip_parser.h"
#include "codec/sip_write.h"
#include "fuzz/fuzz.h"

static uint8_t out[200000];
static struct sip_parser parser, other;

/* In one piece, and byte by byte. */
static void stream(struct slice in)
{
    size_t done = 0;
    sip_parser_init(&parser, true);
    sip_parser_init(&other, true);
    for (;;) {
        enum sip_parse whole = sip_parser_feed(&parser, slice_from(in, done));
        enum sip_parse piece = SIP_PARSE_MORE;
        for (size_t len = 0; piece == SIP_PARSE_MORE && len <= in.len - done; len++) {
            piece = sip_parser_feed(&other, slice_sub(in, done, len));
        }
        CHECK(whole == piece);
        if (whole == SIP_PARSE_MORE) {
            return;
        }
        CHECK(parser.consumed == other.consumed && parser.consumed <= in.len - done);
        CHECK(parser.fault.offset == other.fault.offset && parser.fault.why == other.fault.why);
        CHECK(parser.msg.header_count == other.msg.header_count);
        CHECK(memcmp(parser.msg.headers, other.msg.headers,
                     parser.msg.header_count * sizeof(parser.msg.headers[0])) == 0);
        if (parser.consumed == 0) {
            return;
        }
        done += parser.consumed;
    }
}

/* Our answer to it can be parsed, and is sound where the request was. */
static void answer(const struct sip_msg_core *core, bool is_good)
{
    const struct sip_write_reply reply = {.status = 400,
                                          .to_tag = SLICE_LITERAL("x"),
                                          .received = SLICE_LITERAL("1.2.3.4"),
                                          .rport = 77};
    struct sip_writer w;
    struct slice got;
    struct sip_msg_core again;
    struct sip_fault fault;
    sip_write_init(&w, out, sizeof(out));
    sip_write_response(&w, &parser.msg, core, &reply);
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    enum err e = sip_write_finish(&w, &got);
    CHECK(e == ERR_OK);
    if (!is_good) {
        return;
    }
    if (sip_parser_datagram(&other, got) != SIP_PARSE_OK) {
        CHECK(other.fault.status == 513);
        return;
    }
    CHECK(sip_msg_check(&other.msg, &again, &fault) == ERR_OK);
}

/* The Via that was on top now says where it came from, and ours stands above it. */
static void check_vias(void)
{
    struct sip_msg_items items = sip_msg_items(&other.msg, SIP_HDR_VIA);
    struct slice item;
    struct sip_hdr_via via;
    CHECK(sip_msg_items_next(&items, &item) == ERR_OK);
    CHECK(sip_msg_items_next(&items, &item) == ERR_OK);
    CHECK(sip_hdr_via_decode(item, &via) == ERR_OK);
    CHECK(slice_is_equal(via.received, SLICE_LITERAL("1.2.3.4")));
    CHECK(!via.has_rport || via.rport == 77);
}

static void forward(const struct sip_msg_core *core)
{
    struct sip_edit edit;
    struct sip_msg_core again;
    struct sip_fault fault;
    size_t len = 0;
    sip_edit_init(&edit, &parser.msg);
    sip_edit_received(&edit, &core->via, SLICE_LITERAL("1.2.3.4"), 77);
    sip_edit_push(&edit, SIP_HDR_VIA, SLICE_LITERAL("SIP/2.0/UDP me;branch=z9hG4bK7"));
    sip_edit_max_forwards(&edit, 3);
    if (sip_msg_has(&parser.msg, SIP_HDR_ROUTE)) {
        sip_edit_pop(&edit, SIP_HDR_ROUTE, 1);
    }
    enum err e = sip_edit_emit(&edit, out, sizeof(out), &len);
    CHECK(e == ERR_OK || e == ERR_LIMIT || e == ERR_TOO_LARGE);
    if (e != ERR_OK) {
        return;
    }
    if (sip_parser_datagram(&other, slice_of(out, len)) != SIP_PARSE_OK) {
        CHECK(other.fault.status == 513);
        return;
    }
    CHECK(sip_msg_check(&other.msg, &again, &fault) == ERR_OK && again.max_forwards == 3);
    check_vias();
}

static void uris(const struct sip_msg_core *core)
{
    uint8_t aor[300];
    size_t len = 0;
    CHECK(!parser.msg.is_request || sip_uri_is_equal(&core->uri, &core->uri));
    (void)!sip_uri_aor(&core->uri, aor, sizeof(aor), &len);
    CHECK(len <= sizeof(aor));
    for (unsigned i = 0; i < parser.msg.header_count; i++) {
        struct sip_hdr_digest digest;
        struct sip_hdr_event event;
        (void)!sip_hdr_digest_decode(sip_msg_value(&parser.msg, i), &digest);
        (void)!sip_hdr_event_decode(sip_msg_value(&parser.msg, i), &event);
    }
}

static void datagram(struct slice in)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    enum sip_parse parsed = sip_parser_datagram(&parser, in);
    if (parsed == SIP_PARSE_OK && parser.event != SIP_EVENT_MESSAGE) {
        return;
    }
    enum err e = sip_msg_check(&parser.msg, &core, &fault);
    bool is_good = parsed == SIP_PARSE_OK && e == ERR_OK;
    if (sip_msg_is_answerable(&parser.msg, &core)) {
        answer(&core, is_good);
    }
    if (is_good) {
        forward(&core);
        uris(&core);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size = min_size(size, 65535);
    uint8_t *copy = fuzz_copy(slice_of(data, size));
    stream(slice_of(copy, size));
    datagram(slice_of(copy, size));
    free(copy);
    return 0;
}
