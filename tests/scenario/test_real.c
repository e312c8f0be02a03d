/* SPDX-License-Identifier: Apache-2.0 */
/* Worlds with real keys, certificates, TLS and DTLS (`crypto = 1`): they do what made-up ones do,
 * and although no two handshakes are alike, a seed is a run. */
#include "tests/scenario/scenarios.h"

static struct scenario_result r, again; /* each test is a process */

static struct scenario eight(uint64_t links)
{
    struct scenario s;
    scenario_defaults(&s);
    s.nodes = 8;
    s.crypto = 1;
    s.links = links;
    s.publish = 1;
    s.records = 30;
    return s;
}

static uint64_t bytes_of(const struct account *a)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ACCOUNT_CLASSES; i++) {
        sum += a->bytes[i];
    }
    return sum;
}

/* All that streams have carried is accounted for, and records have heads and tags. */
static void expect_sealed(uint64_t links)
{
    const struct account *a = &r.carried;
    cr_expect_eq(bytes_of(a), r.stream_bytes, "%lu of %lu bytes", (unsigned long)bytes_of(a),
                 (unsigned long)r.stream_bytes);
    cr_expect_eq(a->bytes[ACCOUNT_OTHER], 0);
    if (links == 0) { /* RFC 8446 5.2: a head of 5 bytes, a type, a tag of 16 */
        cr_expect_eq(a->bytes[ACCOUNT_RECORD], 22 * a->messages[ACCOUNT_RECORD]);
        cr_expect_gt(a->bytes[ACCOUNT_HANDSHAKE], 28 * 1000, "28 links");
    }
}

Test(real, eight_peers, .timeout = 120)
{
    for (uint64_t links = 0; links < 3; links++) {
        struct scenario s = eight(links);
        run_unbroken(&s, 3, &r);
        cr_expect_eq(r.fetches.ok, 30);
        cr_expect_eq(r.copies_before.under, 0);
        cr_expect_eq(metric_read(&r.metrics, METRIC_link_auth_untrusted), 0);
        cr_expect(links != 2 || r.datagrams > 200, "%lu datagrams", (unsigned long)r.datagrams);
        expect_sealed(links);
        run_unbroken(&s, 3, &again);
        cr_expect_eq(r.fingerprint, again.fingerprint, "links %lu: two runs", (unsigned long)links);
        cr_expect_eq(r.events, again.events);
        run_unbroken(&s, 4, &again);
        cr_expect_neq(r.fingerprint, again.fingerprint);
    }
}

/* Phones, calls over TLS between nodes, and nodes that die and come back with the same keys. */
Test(real, calls_while_peers_come_and_go, .timeout = 120)
{
    struct scenario s = eight(0);
    s.phones = 16;
    s.call_every_s = 15;
    s.calls_s = 60;
    s.run_s = 120;
    s.churn_lifetime_s = 150;
    s.load_lookups_per_s = 2;
    /* With 31 a node dies while a call is on its way, and its phone is at another node when that is
     * over, 200 s later. */
    for (uint64_t seed = 5; seed <= 31; seed += 26) {
        run_unbroken(&s, seed, &r);
        cr_expect_gt(r.phones.completed, 20);
        cr_expect_eq(r.phones.unreached, 0, "seed %lu", (unsigned long)seed);
        cr_expect_gt(r.survival.churn.started, 0);
    }
}
