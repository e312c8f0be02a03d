/* SPDX-License-Identifier: Apache-2.0 */
/* roam.h - peers of a scenario whose addresses change, and peers behind NATs. */
#pragma once
#include "sim/scenario_impl.h"

void roam_world(const struct scenario *s, struct world_settings *out);
void roam_init(struct run *r, uint64_t seed);
/* All have been started.  Who stands behind a NAT and has not joined within settle_s is counted,
 * and ended: the others must be a right ring without it. */
void roam_settle(struct run *r);
/* Some process moves, when it is time; `watch` as for sim/churn. */
void roam_step(struct run *r, churn_watch *watch);
void roam_count(struct run *r);
