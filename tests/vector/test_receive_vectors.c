/* SPDX-License-Identifier: Apache-2.0 */
/* test_receive_vectors.c - the vectors of tests/vectors/receive.jsonl, and more of the same kind:
 * the forwarding header is not signed, so one good Ping makes any number of them (RFC
 * 6940 6.1, 6.3.2). Run from the top of the tree. */
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/secblock.h"
#include "dht/sign.h"
#include "tests/vector/run_receive.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { WHY_CAP = 2048, OFFSET_VERSION = 10, OFFSET_FRAGMENT = 12 };

static struct node_id other, stranger = {{0x33, 1, 2, 3}};
static const struct rl_params params = {.overlay = 0x9aa32b8d, .node_id_length = 16};

static void learn(void *ctx, const json_t *vector, int line)
{
    (void)ctx, (void)line;
    run_base_learn(vector);
}

static void check(void *ctx, const json_t *vector, int line)
{
    char why[WHY_CAP] = "";
    (void)ctx;
    cr_expect(run_receive(vector, why, sizeof(why)), "%d: %s: %s", line,
              run_base_text(vector, "name"), why);
}

static int each(const char *path, void (*use)(void *, const json_t *, int))
{
    char why[WHY_CAP] = "run me from the top of the tree";
    int count = run_base_each(path, use, NULL, why, sizeof(why));
    cr_assert_gt(count, 0, "%s", why);
    return count;
}

Test(receive_vectors, all)
{
    (void)each("tests/vectors/certificate.jsonl", learn);
    cr_expect_eq(each("tests/vectors/receive.jsonl", check), 132);
    cr_expect_eq(run_base_differences(), 0, "we differ nowhere, not even where we might");
}

/* ---- more of them ---- */

static json_t *ping;        /* the vector that all others are made from */
static struct slice whole;  /* its message */
static struct node_id self; /* its receiver */

static void find_ping(void *ctx, const json_t *vector, int line)
{
    (void)ctx, (void)line;
    if (strcmp(run_base_text(vector, "name"), "rx.ping-node.p0") == 0) {
        ping = json_deep_copy(vector);
    }
    if (strcmp(run_base_text(vector, "name"), "rx.forward.p0") == 0) {
        const json_t *expect = json_object_get(vector, "expect");
        cr_assert(run_base_node(run_base_text(expect, "to"), &other));
    }
}

static void begin(void)
{
    (void)each("tests/vectors/certificate.jsonl", learn);
    (void)each("tests/vectors/receive.jsonl", find_ping);
    cr_assert_not_null(ping);
    cr_assert(run_base_bytes(ping, "hex", &whole));
    const json_t *receiver = json_object_get(ping, "receiver");
    cr_assert(run_base_node(run_base_text(receiver, "node_id"), &self));
}

static void end(void)
{
    run_base_free(&whole);
    json_decref(ping);
}

TestSuite(receive_more, .init = begin, .fini = end);

/* A message as it is to be, and who gets it. */
struct shape {
    struct fwd h;
    uint8_t lists[3][600];
    struct wr via, destinations, options;
    int version;       /* -1: as it should be */
    int64_t fragment;  /* -1: a whole message */
    int64_t sequence;  /* of the receiver; -1: as in the vector */
    bool is_forwarder; /* it has two peers and is responsible for nothing */
};

static struct shape *fresh(void)
{
    static struct shape s; /* the writers point into it */
    memset(&s, 0, sizeof(s));
    cr_assert_eq(fwd_decode(whole, &params, &s.h), ERR_OK);
    s.version = -1;
    s.fragment = -1;
    s.sequence = -1;
    s.via = wr_init(s.lists[0], sizeof(s.lists[0]));
    s.destinations = wr_init(s.lists[1], sizeof(s.lists[1]));
    s.options = wr_init(s.lists[2], sizeof(s.lists[2]));
    return &s;
}

static json_t *hex_json(struct slice bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    json_t *made = json_string(ids_hex(bytes, text));
    free(text);
    return made;
}

static json_t *message_json(struct shape *s)
{
    size_t cap = whole.len + 8192;
    uint8_t *bytes = malloc(cap);
    struct wr w = wr_init(bytes, cap);
    s->h.via_list = wr_slice(&s->via);
    s->h.destination_list = wr_slice(&s->destinations);
    s->h.options = wr_slice(&s->options);
    fwd_wr(&w, &s->h);
    wr_bytes(&w, s->h.payload);
    cr_assert(wr_ok(&w));
    fwd_put_length(bytes, (uint32_t)wr_len(&w));
    if (s->version >= 0) {
        bytes[OFFSET_VERSION] = (uint8_t)s->version;
    }
    if (s->fragment >= 0) {
        struct wr at = wr_init(bytes + OFFSET_FRAGMENT, 4);
        wr_u32(&at, (uint32_t)s->fragment);
    }
    json_t *made = hex_json(wr_slice(&w));
    free(bytes);
    return made;
}

/* Runs it; `verdict` is JSON, `expect` too, or NULL. */
static void expect(struct shape *s, const char *verdict, const char *details, const char *name)
{
    char why[WHY_CAP] = "";
    json_t *v = json_deep_copy(ping);
    json_t *receiver = json_object_get(v, "receiver");
    (void)json_object_set_new(v, "hex", message_json(s));
    (void)json_object_set_new(v, "verdict", json_loads(verdict, JSON_DECODE_ANY, NULL));
    (void)json_object_del(v, "expect");
    if (details != NULL) {
        (void)json_object_set_new(v, "expect", json_loads(details, 0, NULL));
        cr_assert_not_null(json_object_get(v, "expect"), "%s", details);
    }
    if (s->sequence >= 0) {
        (void)json_object_set_new(receiver, "configuration_sequence", json_integer(s->sequence));
    }
    if (s->is_forwarder) {
        (void)json_object_set_new(receiver, "responsible", json_string("none"));
        (void)json_array_append_new(json_object_get(receiver, "connected"),
                                    hex_json(slice_of(other.bytes, 16)));
    }
    cr_expect(run_receive(v, why, sizeof(why)), "%s: %s", name, why);
    json_decref(v);
}

static void to(struct shape *s, const struct node_id *id)
{
    fwd_wr_node(&s->destinations, &params, id);
}

static const char *named(const char *what, long long number, int second)
{
    static char name[96];
    (void)snprintf(name, sizeof(name), "%s %lld %d", what, number, second);
    return name;
}

Test(receive_more, ttl)
{
    static const uint8_t ttls[] = {0, 1, 2, 30, 99, 100, 101, 128, 255};
    for (size_t i = 0; i < ARRAY_COUNT(ttls); i++) {
        char details[64];
        struct shape *s = fresh();
        to(s, &self);
        s->h.ttl = ttls[i];
        expect(s, ttls[i] <= 100 ? "\"accept\"" : "{\"error\":10}", NULL,
               named("for me, ttl", ttls[i], 0));
        s = fresh();
        to(s, &other);
        s->h.ttl = ttls[i];
        s->is_forwarder = true;
        bool passes = ttls[i] >= 1 && ttls[i] <= 100;
        (void)snprintf(details, sizeof(details), "{\"ttl\":%d}", ttls[i] - 1);
        expect(s, passes ? "\"forward\"" : "{\"error\":10}", passes ? details : NULL,
               named("forward, ttl", ttls[i], 0));
    }
}

Test(receive_more, versions_and_fragments)
{
    static const int64_t fragments[] = {0x0, 0x1, 0x40000000, 0x7fffffff, 0x00ffffff};
    for (int version = 0; version < 256; version += version < 16 ? 1 : 17) {
        struct shape *s = fresh();
        to(s, &self);
        s->version = version;
        expect(s, version == FWD_VERSION ? "\"accept\"" : "[\"drop\",{\"error\":6}]", NULL,
               named("version", version, 0));
    }
    for (size_t i = 0; i < ARRAY_COUNT(fragments); i++) {
        struct shape *s = fresh();
        to(s, &self);
        s->fragment = fragments[i];
        expect(s, "\"drop\"", NULL, named("fragment", fragments[i], 0));
    }
}

/* half the numbers are newer, half are older; CU-2: the older ones get a ConfigUpdate. */
Test(receive_more, sequences)
{
    static const uint16_t numbers[] = {0, 1, 5, 22, 32766, 32767, 32768, 65000, 65533, 65534};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(numbers); k++) {
            struct shape *s = fresh();
            unsigned ahead = ((unsigned)numbers[k] + 65535 - numbers[i]) % 65535;
            bool is_newer = ahead > 0 && ahead <= 32767;
            to(s, &self);
            s->sequence = numbers[i];
            s->h.configuration_sequence = numbers[k];
            expect(s,
                   ahead == 0 ? "\"accept\""
                   : is_newer ? "{\"error\":16}"
                              : "{\"error\":15}",
                   ahead == 0 || is_newer ? NULL : "{\"then_request_code\":33}",
                   named("sequence", numbers[k], numbers[i]));
        }
    }
    struct shape *s = fresh();
    to(s, &other);
    s->is_forwarder = true;
    s->h.configuration_sequence = 3;
    expect(s, "\"forward\"", NULL, "in transit nobody looks at the sequence");
}

/* FW-14 */
Test(receive_more, options)
{
    static const uint8_t types[] = {1, 2, 3, 5, 127, 128, 200, 255};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        for (uint8_t flags = 0; flags <= FWD_OPTION_FLAGS; flags++) {
            char details[128];
            struct shape *s = fresh();
            to(s, &self);
            fwd_wr_option(&s->options, types[i], flags, SLICE_LITERAL("\x07\x3f"));
            (void)snprintf(details, sizeof(details),
                           (flags & FWD_OPTION_RESPONSE_COPY) == 0
                               ? "{\"answer_code\":24,\"answer_options\":[]}"
                               : "{\"answer_options\":[{\"type\":%d,\"flags\":0,\"option\":"
                                 "\"073f\"}]}",
                           types[i]);
            bool is_refused = (flags & FWD_OPTION_DESTINATION_CRITICAL) != 0;
            expect(s, is_refused ? "{\"error\":7}" : "\"accept\"", is_refused ? NULL : details,
                   named("option here", types[i], flags));
            s = fresh();
            to(s, &other);
            s->is_forwarder = true;
            fwd_wr_option(&s->options, types[i], flags, SLICE_LITERAL("\x07\x3f"));
            (void)snprintf(details, sizeof(details),
                           "{\"options\":[{\"type\":%d,\"flags\":%d,\"option\":\"073f\"}]}",
                           types[i], flags);
            is_refused = (flags & FWD_OPTION_FORWARD_CRITICAL) != 0;
            expect(s, is_refused ? "{\"error\":7}" : "\"forward\"", is_refused ? NULL : details,
                   named("option in transit", types[i], flags));
        }
    }
}

/* The second of two options is looked at too. */
Test(receive_more, several_options)
{
    for (uint8_t flags = 0; flags <= FWD_OPTION_FLAGS; flags++) {
        struct shape *s = fresh();
        to(s, &self);
        fwd_wr_option(&s->options, 9, FWD_OPTION_RESPONSE_COPY, SLICE_EMPTY);
        fwd_wr_option(&s->options, 10, flags, SLICE_LITERAL("\xff"));
        bool is_refused = (flags & FWD_OPTION_DESTINATION_CRITICAL) != 0;
        expect(s, is_refused ? "{\"error\":7}" : "\"accept\"",
               is_refused ? NULL
               : (flags & FWD_OPTION_RESPONSE_COPY) != 0
                   ? "{\"answer_options\":[{\"type\":9,\"flags\":0,\"option\":\"\"},"
                     "{\"type\":10,\"flags\":0,\"option\":\"ff\"}]}"
                   : "{\"answer_options\":[{\"type\":9,\"flags\":0,\"option\":\"\"}]}",
               named("two options", 10, flags));
    }
    struct shape *s = fresh();
    to(s, &self);
    fwd_wr_option(&s->options, 0, 0, SLICE_EMPTY);
    expect(s, "\"drop\"", NULL, "option type 0 is reserved");
}

/* VL-2, VL-3: whatever stands in the Via List comes back, and the previous hop is added. */
Test(receive_more, via_lists)
{
    static const char added[] =
        "{\"via_list_if_stateless\":[{\"type\":1,\"node_id\":\"33010203000000000000000000000000\"},"
        "{\"compact\":\"8abc\"},{\"type\":3,\"opaque_id\":\"0102030405\"},"
        "{\"type\":1,\"node_id\":\"e05d913ea74adec9f264fe50d7accfe9\"}]}";
    for (int is_transit = 0; is_transit <= 1; is_transit++) {
        struct shape *s = fresh();
        to(s, is_transit ? &other : &self);
        s->is_forwarder = is_transit == 1;
        fwd_wr_node(&s->via, &params, &stranger);
        fwd_wr_compact(&s->via, 0x8abc);
        fwd_wr_opaque(&s->via, SLICE_LITERAL("\1\2\3\4\5"));
        expect(s, is_transit ? "\"forward\"" : "\"accept\"", is_transit ? added : NULL,
               named("via list", is_transit, 0));
        s = fresh();
        to(s, is_transit ? &other : &self);
        s->is_forwarder = is_transit == 1;
        fwd_wr_resource(&s->via, SLICE_LITERAL("0123456789abcdef"));
        expect(s, "\"drop\"", NULL, named("a resource in the via list", is_transit, 0));
    }
}

Test(receive_more, destinations_here)
{
    struct node_id wildcard = ids_node_wildcard(&params);
    for (int times = 1; times <= 4; times++) {
        struct shape *s = fresh();
        for (int i = 0; i < times; i++) {
            to(s, &self);
        }
        expect(s, "\"accept\"", NULL, named("ourselves, times", times, 0));
    }
    struct shape *s = fresh();
    to(s, &wildcard);
    expect(s, "\"accept\"", NULL, "anybody");
    s = fresh();
    to(s, &stranger);
    expect(s, "\"drop\"", NULL, "nobody, in our range");
    s = fresh();
    expect(s, "\"drop\"", NULL, "no destination");
    s = fresh();
    fwd_wr_resource(&s->destinations, SLICE_LITERAL("0123456789abcdef"));
    expect(s, "\"accept\"", NULL, "a resource");
    s = fresh();
    fwd_wr_resource(&s->destinations, SLICE_LITERAL("0123456789abcdef"));
    to(s, &self);
    expect(s, "\"drop\"", NULL, "a resource that is not last");
    s = fresh();
    fwd_wr_resource(&s->destinations, SLICE_LITERAL("short"));
    expect(s, "\"drop\"", NULL, "a resource that is no point of the ring");
    s = fresh();
    fwd_wr_compact(&s->destinations, 0x8001);
    expect(s, "\"drop\"", NULL, "an opaque id that is not ours");
    s = fresh();
    fwd_wr_opaque(&s->destinations, SLICE_LITERAL("opaque"));
    to(s, &self);
    expect(s, "\"drop\"", NULL, "an opaque id that is not ours, then ourselves");
}

Test(receive_more, destinations_elsewhere)
{
    static const char to_other[] = "{\"to\":\"16b0e55f7ca6ff652f2fb33892c14af0\"}";
    const struct node_id *lists[][4] = {
        {&other}, {&self, &other}, {&self, &self, &other}, {&other, &self}, {&self, &other, &self}};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct shape *s = fresh();
        s->is_forwarder = true;
        for (size_t k = 0; lists[i][k] != NULL; k++) {
            to(s, lists[i][k]);
        }
        expect(s, "\"forward\"", to_other, named("list", (long long)i, 0));
    }
    /* TL-4: round in circles */
    const struct node_id *circles[][6] = {{&other, &other},
                                          {&self, &other, &other},
                                          {&other, &self, &other},
                                          {&self, &other, &self, &other},
                                          {&stranger, &self, &self}};
    for (size_t i = 0; i < ARRAY_COUNT(circles); i++) {
        struct shape *s = fresh();
        s->is_forwarder = true;
        for (size_t k = 0; circles[i][k] != NULL; k++) {
            to(s, circles[i][k]);
        }
        expect(s, "{\"error\":20}", NULL, named("circle", (long long)i, 0));
    }
    struct shape *s = fresh();
    s->is_forwarder = true;
    fwd_wr_resource(&s->destinations, SLICE_LITERAL("0123456789abcdef"));
    expect(s, "\"forward\"", to_other, "a resource of somebody else's");
    s = fresh();
    s->is_forwarder = true;
    to(s, &stranger);
    expect(s, "\"forward\"", to_other, "a node that others may know");
}

/* The bucket is not signed either: whoever passes a message on may fill it with rubbish.  The
 * signer's certificate is found among it, up to SIGN_BUCKET_CAP; beyond that nothing is looked at
 * (SG-6). */
Test(receive_more, hostile_buckets)
{
    struct fwd h;
    struct content content;
    struct slice rest;
    struct secblock block;
    struct secblock_certificate own;
    cr_assert_eq(fwd_decode(whole, &params, &h), ERR_OK);
    cr_assert_eq(content_decode(h.payload, &content, &rest), ERR_OK);
    cr_assert_eq(secblock_decode(rest, &block), ERR_OK);
    struct rd bucket = rd_init(block.certificates);
    cr_assert(secblock_certificate_next(&bucket, &own));
    for (int rubbish = 0; rubbish <= SIGN_BUCKET_CAP + 1; rubbish++) {
        static uint8_t list[8192], payload[16384];
        struct wr certificates = wr_init(list, sizeof(list));
        struct wr w = wr_init(payload, sizeof(payload));
        for (int i = 0; i < rubbish; i++) {
            uint8_t bytes[100] = {0x30, 0x62, (uint8_t)i};
            secblock_wr_certificate(&certificates, SECBLOCK_CERTIFICATE_X509,
                                    slice_of(bytes, sizeof(bytes)));
        }
        secblock_wr_certificate(&certificates, SECBLOCK_CERTIFICATE_X509, own.der);
        wr_bytes(&w, content.bytes);
        secblock_wr(&w, wr_slice(&certificates), &block.signature);
        cr_assert(wr_ok(&certificates) && wr_ok(&w));
        struct shape *s = fresh();
        to(s, &self);
        s->h.payload = wr_slice(&w);
        expect(s, rubbish < SIGN_BUCKET_CAP ? "\"accept\"" : "\"drop\"", NULL,
               named("rubbish in the bucket", rubbish, 0));
    }
}

/* What a runner is given may be anything; a wrong expectation is seen. */
Test(receive_more, wrong_vectors_fail)
{
    static const char *const bad[] = {
        "{}",
        "{\"type\":\"Receive\",\"hex\":\"00\",\"verdict\":\"drop\"}",
        "{\"type\":\"Receive\",\"hex\":\"00\",\"verdict\":\"drop\",\"receiver\":{}}",
        "{\"type\":\"Receive\",\"hex\":\"0\",\"verdict\":\"drop\",\"receiver\":5}",
    };
    static const char *const verdicts[] = {"\"drop\"",
                                           "\"forward\"",
                                           "\"close\"",
                                           "{\"error\":20}",
                                           "{\"error\":\"any\"}",
                                           "\"nonsense\"",
                                           "[\"drop\",{\"error\":6}]",
                                           "[]",
                                           "null",
                                           "5"};
    static const char *const details[] = {
        "{\"answer_code\":23}", "{\"answer_options\":[{}]}",  "{\"ttl\":5}",
        "{\"nonsense\":1}",     "{\"then_request_code\":33}", "{\"generation_counter\":\">=1\"}"};
    char why[WHY_CAP];
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        json_t *v = json_loads(bad[i], 0, NULL);
        cr_expect_not(run_receive(v, why, sizeof(why)), "%s", bad[i]);
        json_decref(v);
    }
    for (size_t i = 0; i < ARRAY_COUNT(verdicts); i++) {
        json_t *v = json_deep_copy(ping);
        (void)json_object_set_new(v, "verdict", json_loads(verdicts[i], JSON_DECODE_ANY, NULL));
        cr_expect_not(run_receive(v, why, sizeof(why)), "%s", verdicts[i]);
        json_decref(v);
    }
    for (size_t i = 0; i < ARRAY_COUNT(details); i++) {
        json_t *v = json_deep_copy(ping);
        (void)json_object_set_new(v, "expect", json_loads(details[i], 0, NULL));
        cr_expect_not(run_receive(v, why, sizeof(why)), "%s", details[i]);
        json_decref(v);
    }
}
