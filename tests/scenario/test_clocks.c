/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that are wrong: whose value is the newest is what storage_time says (RFC 6940 7.4.1), not
 * who came last, and the simulator's truth goes by that, too. */
#include "tests/scenario/scenarios.h"

/* Two halves store the same records, by clocks that are up to 30 s wrong.  An answer that is looked
 * at when its value was overtaken already was taken for the newest: of 40 seeds these and nine more
 * said not_stale then. */
Test(clocks, late_ones_make_no_value_stale, .timeout = 120)
{
    static const uint64_t seeds[] = {10, 12, 19};
    for (size_t i = 0; i < ARRAY_COUNT(seeds); i++) {
        static struct scenario_result r;
        struct scenario s = small_scenario();
        s.load_stores_per_s = 4;
        s.partition_s = 120;
        s.skew_ms = 30000;
        run_unbroken(&s, seeds[i], &r);
        cr_expect_gt(r.survival.traffic.stale, 0, "the halves did not differ");
    }
}
