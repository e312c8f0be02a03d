/* SPDX-License-Identifier: Apache-2.0 */
/* test_domain.c - RFC 7904 3.4: the three states, and patterns, compared with the C library's own.
 */
#include "core/rng.h"
#include "dht/access.h"
#include "dht/domain.h"
#include "link/crypto_boring.h"
#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>

Test(domain, patterns)
{
    static const struct {
        const char *pattern, *domain;
        bool is_match;
    } cases[] = {
        {"dht\\.example\\.com", "dht.example.com", true},
        {"dht\\.example\\.com", "DHT.Example.COM", true},
        {"dht\\.example\\.com", "dht.example.com.evil.org", false}, /* S6 */
        {"dht\\.example\\.com", "dhtxexample.com", false},
        {".*\\.my\\.example", "a.b.my.example", true},
        {".*\\.my\\.example", "my.example", false},
        {"(a|b)+\\.(org|net)", "abba.net", true},
        {"(a|b)+\\.(org|net)", ".net", false},
        {"[a-c0-9]{2,3}x?", "c3", true},
        {"[a-c0-9]{2,3}x?", "c3b4", false},
        {"[^.]+\\.example", "one.example", true},
        {"[^.]+\\.example", "one.two.example", false},
        {"^[[:alnum:]-]+$", "host-1", true},
        {"x{2,}", "xxxxx", true},
        {"x{2,}", "x", false},
        {"(x*)*y", "xxxxy", true},
    };
    static const char *const bad[] = {
        "",       "*a", "a**(", "(a", "a)",    "[a",     "a{2",
        "a{3,2}", "a|", "()",   "\\", "[b-a]", "a{256}", "((((((((((a))))))))))"};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_expect_eq(domain_is_match(slice_text(cases[i].pattern), slice_text(cases[i].domain)),
                     cases[i].is_match, "case %zu", i);
        cr_expect(domain_is_pattern(slice_text(cases[i].pattern)), "case %zu", i);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_expect_not(domain_is_pattern(slice_text(bad[i])), "%s", bad[i]);
    }
    /* what takes others exponential time ends, and is no match */
    cr_expect_not(domain_is_match(SLICE_LITERAL("((((((x*)*)*)*)*)*){200}y"),
                                  SLICE_LITERAL("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")));
}

/* Made-up patterns over two letters against regexec of the C library. */
Test(domain, as_posix_does)
{
    static const char *const atoms[] = {"a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab|a)", "(a*b)"};
    static const char *const repeats[] = {"", "", "*", "+", "?", "{2}", "{1,3}", "{2,}"};
    struct rng rng;
    unsigned matches = 0;
    rng_init(&rng, 7);
    for (int round = 0; round < 3000; round++) {
        char pattern[128] = "", anchored[160], text[16];
        size_t len = 0;
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--) {
            const char *bar = len > 0 && rng_below(&rng, 6) == 0 ? "|" : "";
            len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "%s%s%s", bar,
                                    atoms[rng_below(&rng, ARRAY_COUNT(atoms))],
                                    repeats[rng_below(&rng, ARRAY_COUNT(repeats))]);
        }
        size_t letters = rng_below(&rng, 8);
        for (size_t i = 0; i < letters; i++) {
            text[i] = rng_below(&rng, 2) == 0 ? 'a' : 'b';
        }
        text[letters] = 0;
        snprintf(anchored, sizeof(anchored), "^(%s)$", pattern);
        regex_t regex;
        cr_assert_eq(regcomp(&regex, anchored, REG_EXTENDED | REG_NOSUB), 0, "%s", anchored);
        bool wanted = regexec(&regex, text, 0, NULL, 0) == 0;
        regfree(&regex);
        matches += wanted ? 1 : 0;
        cr_assert_eq(domain_is_match(slice_text(pattern), slice_text(text)), wanted, "%s on %s",
                     pattern, text);
    }
    cr_assert_gt(matches, 300);
}

/* Absent: any; there: the overlay's own name; enabled: what is listed (S6, S7). */
Test(domain, three_states)
{
    struct domain_rules rules = {.own = SLICE_LITERAL("dht.example.org")};
    cr_expect(domain_admits(NULL, SLICE_LITERAL("x@foreign.net")));
    cr_expect(domain_admits(&rules, SLICE_LITERAL("x@DHT.example.org")));
    cr_expect_not(domain_admits(&rules, SLICE_LITERAL("x@foreign.net")));
    cr_expect_not(domain_admits(&rules, SLICE_LITERAL("x")));
    cr_expect_not(domain_admits(&rules, SLICE_LITERAL("@dht.example.org")));
    rules.is_listed = true;
    cr_expect_not(domain_admits(&rules, SLICE_LITERAL("x@dht.example.org")), "nothing is listed");
    rules.patterns[rules.count++] = SLICE_LITERAL("dht\\.example\\.com");
    rules.patterns[rules.count++] = SLICE_LITERAL(".*\\.my\\.example");
    cr_expect(domain_admits(&rules, SLICE_LITERAL("x@dht.example.com")));
    cr_expect(domain_admits(&rules, SLICE_LITERAL("x@y@a.my.example")));
    cr_expect_not(domain_admits(&rules, SLICE_LITERAL("x@dht.example.com.evil.org")));
}

/* The storing peer asks (RFC 7904 3.3), the storer before it (E005: the same function). */
Test(domain, access_is_refused)
{
    struct turn t = {.crypto = crypto_boring()};
    uint8_t node[IDS_NODE_MIN] = {1}, resource[OVERLAY_RESOURCE_BYTES];
    struct domain_rules rules = {.own = SLICE_LITERAL("example.org")};
    struct overlay_kind kind = {.id = OVERLAY_KIND_SIP_REGISTRATION,
                                .data_model = OVERLAY_DICTIONARY,
                                .access = OVERLAY_USER_NODE_MATCH};
    struct access_signer who = {SLICE_LITERAL("a@foreign.net"), slice_of(node, sizeof(node))};
    struct slice at = slice_of(resource, sizeof(resource));
    access_hash(&t, who.user, resource);
    cr_expect_eq(access_check(&t, &kind, at, &who, who.node_id), ERR_OK);
    kind.domains = &rules;
    cr_expect_eq(access_check(&t, &kind, at, &who, who.node_id), ERR_FORBIDDEN);
    who.user = SLICE_LITERAL("a@example.org");
    access_hash(&t, who.user, resource);
    cr_expect_eq(access_check(&t, &kind, at, &who, who.node_id), ERR_OK);
}
