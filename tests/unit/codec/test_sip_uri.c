/* SPDX-License-Identifier: Apache-2.0 */
/* URIs: RFC 3261 19.1, RFC 3966, RFC 5118. */
#include "tests/unit/codec/sip_fixture.h"
#include "tests/unit/codec/sip_uri_pairs.h"
#include <criterion/criterion.h>

static struct sip_uri decode(const char *text)
{
    struct sip_uri uri;
    cr_assert_eq(sip_uri_decode(slice_text(text), &uri), ERR_OK, "%s", text);
    return uri;
}

/* 19.1.3 */
Test(sip_uri, takes_the_examples_apart)
{
    struct sip_uri u = decode("sip:alice:secretword@atlanta.com;transport=tcp");
    struct slice value;
    cr_expect_eq(u.scheme, SIP_URI_SIP);
    cr_expect(fixture_is(u.user, "alice"));
    cr_expect(fixture_is(u.password, "secretword"));
    cr_expect(fixture_is(u.host, "atlanta.com"));
    cr_expect_eq(u.port, 0);
    cr_expect(sip_uri_param(&u, SLICE_LITERAL("transport"), &value));
    cr_expect(fixture_is(value, "tcp"));
    cr_expect(!sip_uri_param(&u, SLICE_LITERAL("maddr"), &value));

    u = decode("sips:alice@atlanta.com?subject=project%20x&priority=urgent");
    cr_expect_eq(u.scheme, SIP_URI_SIPS);
    cr_expect(u.has_headers);
    cr_expect(fixture_is(u.headers, "subject=project%20x&priority=urgent"));

    u = decode("sip:+1-212-555-1212:1234@gateway.com;user=phone");
    cr_expect(fixture_is(u.user, "+1-212-555-1212"));
    cr_expect(u.has_password);

    u = decode("SIP:atlanta.com;method=REGISTER?to=alice%40atlanta.com");
    cr_expect(!u.has_user);
    cr_expect(fixture_is(u.host, "atlanta.com"));

    u = decode("sip:alice;day=tuesday@atlanta.com");
    cr_expect(fixture_is(u.user, "alice;day=tuesday"));
    cr_expect_eq(u.params.len, 0);

    u = decode("sip:[2001:db8::10]:5070;lr");
    cr_expect(fixture_is(u.host, "[2001:db8::10]"));
    cr_expect_eq(u.host_kind, SIP_LEX_HOST_IPV6);
    cr_expect_eq(u.port, 5070);
    cr_expect(u.has_lr);
    /* RFC 5118 4.3: well-formed, the port is part of the address */
    u = decode("sip:[2001:db8::10:5070]");
    cr_expect_eq(u.port, 0);

    u = decode("tel:+358-555-1234567;postd=pp22");
    cr_expect_eq(u.scheme, SIP_URI_TEL);
    cr_expect(fixture_is(u.user, "+358-555-1234567"));
    u = decode("soap.beep://192.0.2.103:3002");
    cr_expect_eq(u.scheme, SIP_URI_OTHER);
}

Test(sip_uri, refuses_what_is_none)
{
    static const char *const bad[] = {
        "",
        "sip",
        "sip:",
        ":a",
        "1sip:a",
        "<sip:user@example.com>",
        "sip:@example.com",
        "sip::pw@example.com",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a%4@c",
        "sip:a%zz@c",
        "sip:a#@c",
        "sip:a@c:",
        "sip:a@c:0",
        "sip:a@c:99999",
        "sip:2001:db8::10", /* RFC 5118 4.2 */
        "sip:a@c;",
        "sip:a@c;;lr",
        "sip:a@c;x=",
        "sip:a@c;=x",
        "sip:a@c; lr",
        "sip:a@c?",
        "sip:a@c?a",
        "sip:a@c?=b",
        "sip:a@c?a=b&",
        "sip:a@c;x?y<",
        "sip:\xc3\xa4@c",
        "tel:",
        "tel:12a34z",
        "http:",
        "http: //a",
        "http://a\x01",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct sip_uri uri;
        struct slice text = fixture_copy(slice_text(bad[i]));
        cr_expect_eq(sip_uri_decode(text, &uri), ERR_MALFORMED, "%s", bad[i]);
        fixture_free(text);
    }
}

Test(sip_uri, bounds_parameters_and_headers)
{
    char text[512] = "sip:a@b";
    struct sip_uri uri;
    size_t len = strlen(text);
    for (unsigned i = 0; i < SIP_URI_PARAMS_CAP; i++) {
        memcpy(text + len, ";p", 3);
        len += 2;
    }
    cr_expect_eq(sip_uri_decode(slice_of(text, len), &uri), ERR_OK);
    memcpy(text + len, ";p", 3);
    cr_expect_eq(sip_uri_decode(slice_of(text, len + 2), &uri), ERR_TOO_LARGE);
}

static void compare(const struct sip_uri_pair *pair)
{
    struct sip_uri a = decode(pair->a);
    struct sip_uri b = decode(pair->b);
    cr_expect_eq(sip_uri_is_equal(&a, &b), pair->is_equal, "%s %s", pair->a, pair->b);
    cr_expect_eq(sip_uri_is_equal(&b, &a), pair->is_equal, "%s %s", pair->b, pair->a);
    cr_expect(sip_uri_is_equal(&a, &a));
}

/* 19.1.4, every pair of the text and the corners around them. */
Test(sip_uri, compares_as_19_1_4)
{
    static const struct sip_uri_pair cases[] = {
        {"sip:a@b", "sips:a@b", false},
        {"sip:a@b", "sip:b", false},
        {"sip:a@b", "sip:a:@b", false},
        {"sip:a:x@b", "sip:a:X@b", false},
        {"sip:a@b;user=phone", "sip:a@b", false},
        {"sip:a@b;ttl=1", "sip:a@b", false},
        {"sip:a@b;method=INVITE", "sip:a@b", false},
        {"sip:a@b;maddr=c", "sip:a@b", false},
        {"sip:a@b;maddr=c", "sip:a@b;MADDR=C", true},
        {"sip:a@b;x", "sip:a@b;x=1", false},
        {"sip:a@b;%78=1", "sip:a@b;x=2", false},
        {"sip:a%3Bb@c", "sip:a%3bb@c", true},
        {"sip:a%3Bb@c", "sip:a;b@c", false}, /* reserved: not its own escape */
        {"sip:%41@b", "sip:%61@b", false},
        {"sip:a@b?x=1&x=1", "sip:a@b?x=1", false},
        {"sip:a@b?x=1&y=2&x=1", "sip:a@b?y=2&x=1&x=1", true},
        {"sip:a@b;x=1;x=2", "sip:a@b;x=2;x=1", true}, /* not allowed, but equal to itself */
        {"sip:a@b;x=1;x=2", "sip:a@b;x=1", false},
        {"sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::0001]", true}, /* RFC 5954 4.2 */
        {"sip:a@[::ffff:192.0.2.1]", "sip:a@[::FFFF:c000:201]", true},
        {"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]", false},
        {"sip:a@[::ffff:192.0.2.1]", "sip:a@192.0.2.1", false},
        {"sip:a@[2001:db8:::1]", "sip:a@[2001:db8:::1]", true},
        {"tel:+1-201-555-0123", "tel:+1(201)5550123", true},
        {"tel:+358-555-1234567;postd=pp22", "tel:+358-555-1234567;POSTD=PP22", true},
        {"tel:1;phone-context=a", "tel:1", false},
        {"tel:+1", "tel:1", false},
        {"tel:12", "tel:1-", false},
        {"http://a", "http://a", true},
        {"http://a", "http://A", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(sip_uri_pairs); i++) {
        compare(&sip_uri_pairs[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        compare(&cases[i]);
    }
}

/* RFC 3261 10.3 step 5, RFC 7904; catalogue S14. */
Test(sip_uri, address_of_record)
{
    static const char *const cases[][2] = {
        {"sip:%61lice@DHT.Example.com:5060;transport=tcp?a=b", "alice@dht.example.com"},
        {"sips:Bob:pw@host", "Bob@host"},
        {"sip:a%40b@[2001:DB8::1]", "a@b@[2001:db8::1]"},
    };
    uint8_t out[32];
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_uri uri = decode(cases[i][0]);
        cr_expect_eq(sip_uri_aor(&uri, out, sizeof(out), &len), ERR_OK);
        cr_expect(fixture_is(slice_of(out, len), cases[i][1]), "%s", cases[i][0]);
        for (size_t cap = 0; cap < len; cap++) {
            struct slice small = fixture_copy(slice_of(out, cap));
            size_t got = 0;
            cr_expect_eq(sip_uri_aor(&uri, (uint8_t *)(uintptr_t)small.data, cap, &got),
                         ERR_TOO_LARGE);
            fixture_free(small);
        }
    }
    struct sip_uri uri = decode("sip:host");
    cr_expect_eq(sip_uri_aor(&uri, out, sizeof(out), &len), ERR_NOT_FOUND);
    uri = decode("tel:+1");
    cr_expect_eq(sip_uri_aor(&uri, out, sizeof(out), &len), ERR_NOT_FOUND);
}
