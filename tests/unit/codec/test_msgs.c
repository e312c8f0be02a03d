/* SPDX-License-Identifier: Apache-2.0 */
/* test_msgs.c - message bodies, candidates, SIP registrations: random bytes through every decoder,
 * and the edges that the golden vectors do not touch (RFC 6940 6.4, 6.5, 10; RFC 7904 3). */
#include "codec/msgs.h"
#include "core/rng.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct rl_params params = {.node_id_length = 16};

/* What a decoder takes, the encoder gives back: for each line of msgs.def. */
#define MSG(name, rfc, fields)                                                                     \
    static bool round_trip_##name(struct slice in, uint8_t *out, size_t *len)                      \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        if (msgs_##name##_decode(in, &params, &m) != ERR_OK) {                                     \
            return false;                                                                          \
        }                                                                                          \
        struct wr w = wr_init(out, in.len);                                                        \
        msgs_##name##_wr(&w, &params, &m);                                                         \
        *len = wr_ok(&w) ? wr_len(&w) : SIZE_MAX;                                                  \
        return true;                                                                               \
    }
#include "codec/msgs.def"

static const struct {
    const char *name;
    bool (*run)(struct slice in, uint8_t *out, size_t *len);
} trips[] = {
#define MSG(name, rfc, fields) {#name, round_trip_##name},
#include "codec/msgs.def"
};

/* Small numbers make plausible lengths and types; each block is exactly as large as it says. */
Test(msgs, random_bytes_are_refused_or_come_back)
{
    struct rng rng;
    rng_init(&rng, 7);
    unsigned accepted = 0;
    for (unsigned round = 0; round < 60000; round++) {
        size_t len = rng_below(&rng, 28);
        uint8_t *in = malloc(len + (len == 0));
        uint8_t *out = malloc(len + (len == 0));
        for (size_t i = 0; i < len; i++) {
            in[i] = (uint8_t)(rng_below(&rng, 9) == 0 ? rng_next(&rng) : rng_below(&rng, 2));
        }
        size_t which = rng_below(&rng, ARRAY_COUNT(trips));
        size_t written = 0;
        if (trips[which].run(slice_of(in, len), out, &written)) {
            accepted++;
            cr_assert_eq(written, len, "%s", trips[which].name);
            cr_assert(len == 0 || memcmp(in, out, len) == 0, "%s", trips[which].name);
        }
        free(out);
        free(in);
    }
    cr_assert_gt(accepted, 500, "%u", accepted);
}

/* 10.7, catalogue 1.15 */
Test(msgs, chord_update)
{
    struct msgs_chord_update m;
    static const uint8_t ready[] = {0, 0, 0, 60, 1};
    cr_assert_eq(msgs_chord_update_decode(slice_of(ready, 5), &params, &m), ERR_OK);
    cr_assert_eq(m.uptime, 60);
    cr_assert_eq(m.type, MSGS_CHORD_PEER_READY);
    static const uint8_t odd[] = {0, 0, 0, 60, 2, 0, 1, 9, 0, 0};
    cr_assert_eq(msgs_chord_update_decode(slice_of(odd, 10), &params, &m), ERR_MALFORMED,
                 "a Node-ID of one byte");
    uint8_t node[16] = {5}, out[64];
    struct msgs_chord_update full = {.uptime = 1,
                                     .type = MSGS_CHORD_FULL,
                                     .successors = slice_of(node, 16),
                                     .fingers = slice_of(node, 16)};
    struct wr w = wr_init(out, sizeof(out));
    msgs_chord_update_wr(&w, &params, &full);
    cr_assert_eq(msgs_chord_update_decode(wr_slice(&w), &params, &m), ERR_OK);
    cr_assert_eq(msgs_node_count(m.predecessors, &params), 0);
    cr_assert_eq(msgs_node_at(m.fingers, &params, 0).bytes[0], 5);
}

/* 10.9 */
Test(msgs, chord_leave)
{
    uint8_t node[16] = {5}, out[64];
    for (unsigned type = 0; type < 4; type++) {
        struct msgs_chord_leave in = {.type = (uint8_t)type,
                                      .successors = slice_of(node, 16),
                                      .predecessors = slice_of(node, 16)};
        struct msgs_chord_leave m;
        struct wr w = wr_init(out, sizeof(out));
        msgs_chord_leave_wr(&w, &params, &in);
        bool is_good = type == MSGS_CHORD_FROM_SUCCESSOR || type == MSGS_CHORD_FROM_PREDECESSOR;
        cr_assert_eq(msgs_chord_leave_decode(wr_slice(&w), &params, &m),
                     is_good ? ERR_OK : ERR_MALFORMED);
    }
}

Test(msgs, lists)
{
    uint8_t out[64];
    struct wr w = wr_init(out, sizeof(out));
    struct msgs_probe_information p = {.type = MSGS_PROBE_UPTIME, .uptime = 77};
    msgs_probe_information_wr(&w, &params, &p);
    p = (struct msgs_probe_information){.type = 9, .unknown = SLICE_LITERAL("xy")};
    msgs_probe_information_wr(&w, &params, &p);
    struct rd r = rd_init(wr_slice(&w));
    cr_assert(msgs_probe_information_next(&r, &params, &p));
    cr_assert_eq(p.uptime, 77);
    cr_assert(msgs_probe_information_next(&r, &params, &p));
    cr_assert_eq(p.unknown.len, 2);
    cr_assert_not(msgs_probe_information_next(&r, &params, &p));
    cr_assert(rd_is_done(&r));

    w = wr_init(out, sizeof(out));
    struct msgs_find_kind_data f = {.kind = 1, .closest = SLICE_LITERAL("FOO")};
    msgs_find_kind_data_wr(&w, &params, &f);
    r = rd_init(wr_slice(&w));
    cr_assert(msgs_find_kind_data_next(&r, &params, &f));
    cr_assert(slice_is_equal(f.closest, SLICE_LITERAL("FOO")));

    uint32_t kind = 0;
    r = rd_init(SLICE_LITERAL("\x00\x00\x00\x01\x00"));
    cr_assert(msgs_kind_next(&r, &kind));
    cr_assert_not(msgs_kind_next(&r, &kind));
    cr_assert_not(rd_ok(&r));

    struct slice xml;
    r = rd_init(SLICE_LITERAL("\x00\x03<k>"));
    cr_assert(msgs_kind_block_next(&r, &xml));
    cr_assert(slice_is_equal(xml, SLICE_LITERAL("<k>")));
}

/* 6.5.1.1, catalogue 1.9 */
/* Lists without structures of their own: to the end, and up to what is cut. */
Test(msgs, lists_that_are_cut)
{
    static const uint8_t bytes[] = {0, 0, 0, 1, 0, 0, 0, 2, 0};
    struct rd r = rd_init(slice_of(bytes, sizeof(bytes)));
    uint32_t kind = 0;
    cr_assert(msgs_kind_next(&r, &kind) && kind == 1);
    cr_assert(msgs_kind_next(&r, &kind) && kind == 2);
    cr_assert_not(msgs_kind_next(&r, &kind));
    cr_assert_eq(r.why, REJECT_SHORT);
    struct slice xml;
    r = rd_init(SLICE_LITERAL("\0\1x\0\2y"));
    cr_assert(msgs_kind_block_next(&r, &xml) && xml.len == 1);
    cr_assert_not(msgs_kind_block_next(&r, &xml));
    cr_assert_eq(r.why, REJECT_SHORT);
    r = rd_init(SLICE_EMPTY);
    cr_assert_not(msgs_kind_block_next(&r, &xml));
    cr_assert(rd_ok(&r));
    struct msgs_find_kind_data found;
    r = rd_init(slice_of(bytes, 6)); /* a Kind and a Resource-ID of no bytes, and half a Kind */
    cr_assert(msgs_find_kind_data_next(&r, &params, &found) && found.closest.len == 0);
    cr_assert_not(msgs_find_kind_data_next(&r, &params, &found));
    cr_assert_eq(r.why, REJECT_SHORT);
    cr_assert_not(msgs_find_kind_data_next(&r, &params, &found));
}

/* A NEED is told at the field that it is about. */
Test(msgs, faults_are_told_at_their_field)
{
    static const struct {
        const char *hex;
        enum reject why;
        size_t offset;
    } cases[] = {
        {"0000003c04", REJECT_UNKNOWN_TYPE, 4}, /* ChordUpdate */
        {"0000003c00", REJECT_UNKNOWN_TYPE, 4},
        {"0000003c0200030102030000", REJECT_INNER_LENGTH, 7},
        {"0000003c02", REJECT_SHORT, 5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t bytes[32];
        size_t len = 0;
        cr_assert_eq(ids_unhex(slice_text(cases[i].hex), bytes, sizeof(bytes), &len), ERR_OK);
        struct rd r = rd_init(slice_of(bytes, len));
        struct msgs_chord_update m;
        msgs_chord_update_rd(&r, &params, &m);
        cr_assert_eq(r.why, cases[i].why, "%zu: %s", i, reject_name(r.why));
        cr_assert_eq((size_t)(r.at - bytes), cases[i].offset, "%zu", i);
    }
}

Test(candidate, addresses)
{
    uint8_t out[64];
    char text[64];
    struct address a = {.family = 4, .port = 6084, .ip = {192, 0, 2, 1}};
    struct wr w = wr_init(out, sizeof(out));
    struct candidate_address c = candidate_address_of(&a);
    candidate_wr_address(&w, &c);
    cr_assert_str_eq(ids_hex(wr_slice(&w), text), "0106c000020117c4");
    struct rd r = rd_init(wr_slice(&w));
    candidate_rd_address(&r, &c);
    cr_assert(rd_is_done(&r));
    cr_assert(address_is_equal(&c.address, &a));
    w = wr_init(out, sizeof(out));
    candidate_wr_address(&w, &c);
    cr_assert_eq(wr_len(&w), 8);
    a.family = 6;
    w = wr_init(out, sizeof(out));
    c = candidate_address_of(&a);
    candidate_wr_address(&w, &c);
    cr_assert_eq(wr_len(&w), 20);
    static const struct slice bad[] = {
        {(const uint8_t *)"\x01\x05\x01\x02\x03\x04\x05", 7},
        {(const uint8_t *)"\x02\x06\x01\x02\x03\x04\x05\x06", 8},
        {(const uint8_t *)"\x00\x00", 2},
        {(const uint8_t *)"\x01", 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        r = rd_init(bad[i]);
        candidate_rd_address(&r, &c);
        cr_assert_not(rd_ok(&r), "%zu", i);
    }
}

Test(candidate, host_candidates)
{
    uint8_t out[256], list[64];
    struct address a = {.family = 4, .port = 6084, .ip = {192, 0, 2, 1}};
    struct wr w = wr_init(out, sizeof(out));
    msgs_wr_host_candidate(&w, &a, CANDIDATE_TLS_TCP_FH_NO_ICE, 100);
    msgs_wr_host_candidate(&w, &a, CANDIDATE_DTLS_UDP_SR_NO_ICE, 90);
    struct rd r = rd_init(wr_slice(&w));
    struct msgs_ice_candidate c;
    cr_assert(msgs_ice_candidate_next(&r, &params, &c));
    cr_assert_eq(c.overlay_link, CANDIDATE_TLS_TCP_FH_NO_ICE);
    cr_assert_eq(c.priority, 100);
    cr_assert_eq(c.type, CANDIDATE_HOST);
    cr_assert(address_is_equal(&c.addr_port.address, &a));
    cr_assert(msgs_ice_candidate_next(&r, &params, &c));
    cr_assert_eq(c.overlay_link, CANDIDATE_DTLS_UDP_SR_NO_ICE);
    cr_assert(rd_is_done(&r));
    /* type 3 (reserved) and overlay link 0 are refused; extensions are carried */
    struct msgs_ice_extension e = {SLICE_LITERAL("n"), SLICE_EMPTY};
    struct wr v = wr_init(list, sizeof(list));
    msgs_ice_extension_wr(&v, &params, &e);
    c.extensions = wr_slice(&v);
    static const struct {
        uint8_t link, type;
        enum err want;
    } cases[] = {{4, CANDIDATE_HOST, ERR_OK},    {0, CANDIDATE_HOST, ERR_MALFORMED},
                 {4, 3, ERR_MALFORMED},          {4, CANDIDATE_RELAY, ERR_OK},
                 {200, CANDIDATE_SRFLX, ERR_OK}, {4, 5, ERR_MALFORMED}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct msgs_ice_candidate in = c, got;
        in.overlay_link = cases[i].link;
        in.type = cases[i].type;
        in.rel_addr_port = c.addr_port;
        w = wr_init(out, sizeof(out));
        msgs_ice_candidate_wr(&w, &params, &in);
        cr_assert_eq(msgs_ice_candidate_decode(wr_slice(&w), &params, &got), cases[i].want, "%zu",
                     i);
    }
}

/* RFC 7904 3; usages A1.1, S11, S12 */
Test(sip_registration, golden_values)
{
    uint8_t out[64];
    char text[128];
    struct msgs_sip_registration k = {.type = MSGS_SIP_URI,
                                      .uri = SLICE_LITERAL("sam@dht.example.org")};
    struct wr w = wr_init(out, sizeof(out));
    msgs_sip_registration_wr(&w, &params, &k);
    cr_assert_str_eq(ids_hex(wr_slice(&w), text),
                     "010015001373616d406468742e6578616d706c652e6f7267");
    struct node_id id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    uint8_t list[32];
    struct wr v = wr_init(list, sizeof(list));
    fwd_wr_node(&v, &params, &id);
    k = (struct msgs_sip_registration){.type = MSGS_SIP_ROUTE, .destination_list = wr_slice(&v)};
    w = wr_init(out, sizeof(out));
    msgs_sip_registration_wr(&w, &params, &k);
    cr_assert_str_eq(ids_hex(wr_slice(&w), text),
                     "020016000000120110000102030405060708090a0b0c0d0e0f");
    cr_assert_eq(msgs_sip_registration_decode(wr_slice(&w), &params, &k), ERR_OK);
    cr_assert_eq(k.destination_list.len, 18);
}

Test(sip_registration, faults)
{
    static const struct {
        struct slice value;
        enum err want;
    } cases[] = {
        {{(const uint8_t *)"\x03\x00\x02xy", 5}, ERR_OK}, /* of the future */
        {{(const uint8_t *)"\x00\x00\x00", 3}, ERR_MALFORMED},
        {{(const uint8_t *)"\x01\x00\x02\x00\x00", 5}, ERR_OK},
        {{(const uint8_t *)"\x01\x00\x03\x00\x00x", 6}, ERR_MALFORMED},
        {{(const uint8_t *)"\x02\x00\x04\x00\x00\x00\x00", 7}, ERR_MALFORMED}, /* empty list */
        /* <3..2^16-1>: a compact id alone is too short, with another it is not */
        {{(const uint8_t *)"\x02\x00\x06\x00\x00\x00\x02\x80\x01", 9}, ERR_MALFORMED},
        {{(const uint8_t *)"\x02\x00\x08\x00\x00\x00\x04\x80\x01\x80\x02", 11}, ERR_OK},
        {{(const uint8_t *)"\x02\x00\x06\x00\x00\x00\x02\x01\x01", 9}, ERR_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct msgs_sip_registration k;
        cr_assert_eq(msgs_sip_registration_decode(cases[i].value, &params, &k), cases[i].want,
                     "%zu", i);
    }
}
