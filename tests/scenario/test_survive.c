/* SPDX-License-Identifier: Apache-2.0 */
/* Small worlds in which things go wrong for a while (operations.md 3.3 on a small scale; the large
 * ones are sim/scenarios). */
#include "tests/scenario/scenarios.h"

static struct scenario_result r; /* each test is a process */

/* Five records of a hundred were gone after ten minutes of this: an owner that had never got a
 * set was not offered it, and whoever held it took it along. */
Test(survive, peers_come_and_go, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.run_s = 300;
    s.churn_lifetime_s = 300;
    run_unbroken(&s, 1, &r);
    const struct scenario_survival *v = &r.survival;
    cr_expect_gt(v->churn.left + v->churn.killed + v->churn.vanished, 8);
    cr_expect_geq(v->traffic.lookups.ok * 1000, v->traffic.lookups.sent * 995);
    cr_expect_eq(v->lost_unexcused, 0);
    cr_expect_geq(r.looked, r.events, "not each event was looked at");
    /* Repair takes seconds, and the model has not much to expect then. */
    cr_expect_gt(v->shortages, 0);
    cr_expect_leq(v->shortage_mean_us, 50000000ULL);
    cr_expect_lt(v->expected_lost_ppm * s.records, 3000000);
}

/* Two days of 200 s, and half as many at midnight: a quarter of all lives is missing, less those
 * who have not died yet when they would no longer be replaced. */
Test(survive, fewer_are_there_at_night, .timeout = 120)
{
    uint64_t node_us[2];
    for (uint64_t is_diurnal = 0; is_diurnal < 2; is_diurnal++) {
        struct scenario s = small_scenario();
        s.run_s = 400;
        s.churn_lifetime_s = 60;
        s.churn_graceful_percent = 100;
        s.churn_day_s = is_diurnal * 200;
        run_unbroken(&s, 7, &r);
        node_us[is_diurnal] = r.survival.node_us;
        cr_expect_eq(r.survival.lost_unexcused, 0);
    }
    cr_expect_lt(node_us[1] * 100, node_us[0] * 90);
    cr_expect_gt(node_us[1] * 100, node_us[0] * 70);
}

/* A kill before takes records with it, and says so; what comes after has not lost them. */
Test(survive, what_a_kill_took_before_is_not_lost_again, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.nodes = 50;
    s.kill_percent = 34;
    s.run_s = 10;
    run_unbroken(&s, 1, &r);
    cr_expect_gt(r.lost, 0);
    cr_expect_eq(r.survival.lost, 0);
}

Test(survive, two_halves_meet_again, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.partition_s = 120;
    run_unbroken(&s, 2, &r);
    cr_expect_eq(r.survival.verified.ok, r.survival.verified.sent, "newest values everywhere");
    cr_expect_gt(r.survival.traffic.stale, 0, "the halves did not differ");
}

Test(survive, machines_die, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.shards = 4;
    s.settle_s = 120;
    s.hosts_crash = 2;
    run_unbroken(&s, 3, &r);
    cr_expect_eq(r.survival.faults.hosts, 2);
    cr_expect_eq(r.survival.lost, 0);
}

Test(survive, some_drop_what_passes_through, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.nodes = 100;
    s.ready = 1;
    s.run_s = 30;
    s.hostile_percent = 20;
    run_unbroken(&s, 4, &r);
    const struct workload_result *l = &r.survival.traffic.lookups;
    cr_expect_geq(l->ok * 100, l->sent * 95, "%u of %u", l->ok, l->sent);
    cr_expect_gt(metric_read(&r.metrics, METRIC_requests_other_way), 0);
}

Test(survive, some_do_everything_wrong, .timeout = 120)
{
    struct scenario s = small_scenario();
    s.run_s = 60;
    s.hostile_percent = 10;
    s.hostile_does = 127;
    run_unbroken(&s, 5, &r);
    cr_expect_gt(r.survival.deeds, 1000);
    cr_expect_eq(r.survival.traffic.lookups.wrong, 0, "forged values");
}

Test(survive, everything_at_once, .timeout = 300)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        struct scenario s = small_scenario();
        s.run_s = 300;
        s.mix_interval_s = 40;
        run_unbroken(&s, seed, &r);
        cr_expect_gt(r.survival.faults_total, 2);
    }
}

/* Each point of core/buggify.def comes up in one of these, and nothing breaks. */
Test(survive, product_code_takes_its_rare_ways, .timeout = 300)
{
    uint64_t fired[BUGGIFY_POINTS] = {0};
    for (uint64_t seed = 1; seed <= 9; seed++) {
        struct scenario s = small_scenario();
        s.links = seed % 3;
        s.disks = 1;
        s.datagram_bytes = 600; /* most messages are cut */
        s.run_s = 120;
        s.churn_lifetime_s = 120;
        s.buggify = 200;
        run_unbroken(&s, seed, &r);
        for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
            fired[p] += r.survival.buggify.fired[p];
        }
        cr_expect_geq(r.survival.traffic.lookups.ok * 100, r.survival.traffic.lookups.sent * 90);
    }
    for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
        cr_expect_gt(fired[p], 0, "%s never came up", buggify_name((enum buggify_point)p));
    }
}

/* A process that runs on at another address: seeds 1 to 3 did not become a right ring when it went
 * on announcing the former one (node/home). */
Test(survive, addresses_change_under_running_peers, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct scenario s = small_scenario();
        s.nodes = 30;
        s.run_s = 300;
        s.move_interval_s = 10;
        s.move_restart = 0;
        run_unbroken(&s, seed, &r);
        uint64_t noticed = metric_read(&r.metrics, METRIC_address_changes);
        cr_expect(r.roam.moves > 15 && noticed * 10 >= r.roam.moves * 8ULL, "%lu of %u",
                  (unsigned long)noticed, r.roam.moves);
        cr_expect_geq(r.survival.traffic.lookups.ok * 100, r.survival.traffic.lookups.sent * 97);
    }
}
