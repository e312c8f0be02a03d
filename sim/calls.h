/* SPDX-License-Identifier: Apache-2.0 */
/* calls.h - the phones' part in a scenario: they register, call each other while other things go
 * on, and at last, when all is quiet, each of them is called once.  Nothing happens without
 * `phones`. */
#pragma once
#include "sim/scenario_impl.h"

void calls_world(const struct scenario *s, struct world_settings *out);
void calls_init(struct run *r, struct arena *arena);
/* All register; calls begin, for calls_s without faults. */
void calls_begin(struct run *r);
/* No more calls; is everybody there, and does he answer? */
void calls_judge(struct run *r);
void calls_end(struct run *r);
