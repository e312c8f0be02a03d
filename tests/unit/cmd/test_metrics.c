/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - the text for Prometheus, line by line, and what "live" and "ready" mean, in
 * made-up time.  That others can read the text, tests/live/metrics.py shows. */
#include "cmd/control_health.h"
#include "cmd/metrics_text.h"
#include <criterion/criterion.h>
#include <stdio.h>

enum { S = 1000000 };
static struct metrics sum;
static char text[METRICS_TEXT_CAP + 1];

static void setup(void)
{
    memset(&sum, 0, sizeof(sum));
}

static void write_text(size_t cap)
{
    struct jot j = jot_init(text, cap);
    struct metrics_text m = {.sum = &sum,
                             .version = "1.2",
                             .backend = "io \"u\" \\ring",
                             .peers = 2,
                             .peers_joined = 1,
                             .is_live = true,
                             .expiry_ms = {[METRICS_TEXT_SIP_TLS] = 1234567},
                             .checked_ms = 5,
                             .cpu_us = 1500000};
    metrics_text_write(&m, &j);
    text[j.len] = '\0';
    cr_assert_eq(j.is_full, cap < METRICS_TEXT_CAP);
}

static void has(const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    cr_expect(strstr(text, whole) != NULL, "no line: %s", line);
}

TestSuite(metrics, .init = setup);

Test(metrics, text_line_by_line)
{
    metric_add(&sum, METRIC_turns, 7);
    metric_set(&sum, METRIC_links_up, 3);
    metric_add(&sum, METRIC_busy_poll_us, 2000001);
    metric_add(&sum, METRIC_dht_drop_fragment_end, 4);
    write_text(METRICS_TEXT_CAP);
    has("chordial_turns_total 7");
    has("# HELP chordial_turns turns of the shard");
    has("chordial_links_up 3");
    has("# TYPE chordial_links_up gauge");
    has("# UNIT chordial_busy_poll_seconds seconds");
    has("chordial_busy_poll_seconds_total 2.000001");
    has("chordial_drops_total{layer=\"dht\",reason=\"fragment_end\"} 4");
    has("chordial_build_info{version=\"1.2\",backend=\"io _u_ _ring\"} 1");
    has("chordial_peers_joined 1");
    has("chordial_expiry_timestamp_seconds{of=\"sip_tls\"} 1234.567");
    cr_expect(strstr(text, "of=\"account\"") == NULL, "there is none");
    has("chordial_selfcheck_success_timestamp_seconds 0.005");
    has("process_cpu_seconds_total 1.500000");
    cr_expect_str_eq(text + strlen(text) - 6, "# EOF\n");
}

Test(metrics, histograms_add_up)
{
    const uint64_t us[] = {0, 3, 4, 1000, 1000, UINT64_C(1) << 40};
    for (size_t i = 0; i < ARRAY_COUNT(us); i++) {
        metric_note(&sum, HISTOGRAM_lookup_us, us[i]);
    }
    write_text(METRICS_TEXT_CAP);
    has("# TYPE chordial_lookup_seconds histogram");
    has("chordial_lookup_seconds_bucket{le=\"0.000003\"} 2");
    has("chordial_lookup_seconds_bucket{le=\"0.000005\"} 3");
    has("chordial_lookup_seconds_bucket{le=\"0.000767\"} 3");
    has("chordial_lookup_seconds_bucket{le=\"0.001023\"} 5");
    has("chordial_lookup_seconds_bucket{le=\"134.217727\"} 5");
    has("chordial_lookup_seconds_bucket{le=\"+Inf\"} 6");
    has("chordial_lookup_seconds_count 6");
    has("chordial_lookup_seconds_sum 1099511.629783");
}

/* What is in the lists can be written: no quote in a help text, each name fits, all of it fits. */
Test(metrics, names_and_helps_can_be_written)
{
    memset(&sum, 0xff, sizeof(sum));
    write_text(METRICS_TEXT_CAP);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const char *help = metric_help((enum metric)i);
        cr_expect_null(strpbrk(help, "\"\\\n"), "%s", help);
        cr_expect_null(strstr(metric_name((enum metric)i), "_total"));
    }
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        cr_expect_null(strpbrk(histogram_help((enum histogram)i), "\"\\\n"));
    }
    write_text(1000); /* cut, and known to be */
}

/* ---- health ---- */

Test(health, live_while_shards_have_turns)
{
    struct control_health h;
    uint32_t who = 9;
    uint64_t for_us = 0;
    control_health_init(&h, 2, true, 5 * S);
    for (uint64_t now = 5; now < 200; now++) {
        control_health_tick(&h, 0, now, now * S);
        control_health_tick(&h, 1, min_u64(now, 100), now * S);
        bool is_live = control_health_is_live(&h, now * S, &who, &for_us);
        cr_assert_eq(is_live, now < 130, "%u", (unsigned)now);
    }
    cr_assert_eq(who, 1);
    cr_assert_eq(for_us, UINT64_C(99) * S);
    control_health_tick(&h, 1, 101, UINT64_C(200) * S);
    cr_assert(control_health_is_live(&h, UINT64_C(200) * S, &who, &for_us));
}

Test(health, fresh_while_self_checks_go_well)
{
    struct control_health h;
    uint32_t who = 9;
    uint64_t for_us = 0;
    unsigned asked = 0;
    control_health_init(&h, 1, true, 0);
    cr_assert(control_health_is_fresh(&h, UINT64_C(1000) * S, &who, &for_us), "it has not joined");
    cr_assert_eq(control_health_joined(&h), 0);
    control_health_on_joined(&h, 0, true, UINT64_C(1000) * S);
    cr_assert_eq(control_health_joined(&h), 1);
    cr_assert_eq(control_health_checked_ms(&h), 0);
    for (uint64_t now = 1000; now < 1300; now++) {
        bool is_due = control_health_tick(&h, 0, now, now * S);
        asked += is_due ? 1 : 0;
        if (is_due) {
            control_health_on_check(&h, 0, now < 1100, now * S, now);
        }
        bool is_fresh = control_health_is_fresh(&h, now * S, &who, &for_us);
        cr_assert_eq(is_fresh, now < 1150, "%u", (unsigned)now);
    }
    cr_assert_eq(asked, 30);
    cr_assert_eq(control_health_checked_ms(&h), 1090);
    control_health_on_joined(&h, 0, false, UINT64_C(1300) * S);
    cr_assert(control_health_is_fresh(&h, UINT64_C(1400) * S, &who, &for_us), "another question");
}

/* The owner of one of the two records answers nothing, for ever. */
Test(health, one_bad_owner_does_not_make_a_node_unready)
{
    for (int owned = 0; owned < 2; owned++) {
        struct control_health h;
        uint32_t who = 0;
        uint64_t for_us = 0;
        control_health_init(&h, 1, true, 0);
        control_health_on_joined(&h, 0, true, 0);
        for (uint64_t now = 1; now < 1000; now++) {
            if (control_health_tick(&h, 0, now, now * S)) {
                bool is_good = control_health_asks_by_node(&h, 0) != (owned == 0);
                control_health_on_check(&h, 0, is_good, now * S, now);
            }
            cr_assert(control_health_is_fresh(&h, now * S, &who, &for_us), "after %lu s",
                      (unsigned long)now);
        }
    }
}

Test(health, nobody_is_asked_where_nobody_watches)
{
    struct control_health h;
    uint32_t who = 9;
    uint64_t for_us = 0;
    control_health_init(&h, 3, false, 0);
    control_health_on_joined(&h, 2, true, 1);
    for (uint64_t now = 0; now < 1000; now++) {
        cr_assert_not(control_health_tick(&h, 2, 7, now * S));
    }
    cr_assert(control_health_is_live(&h, UINT64_C(1000) * S, &who, &for_us));
    cr_assert(control_health_is_fresh(&h, UINT64_C(1000) * S, &who, &for_us));
}
