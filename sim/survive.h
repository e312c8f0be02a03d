/* SPDX-License-Identifier: Apache-2.0 */
/* survive.h - faults that go on for a while, with traffic, and what is left when they are over. */
#pragma once
#include "sim/scenario_impl.h"

/* Does the scenario ask for any? */
bool survive_is_asked(const struct scenario *s);
/* Does node i join with the others, or later by a trace? */
bool survive_begins_with(const struct scenario *s, uint32_t i);
void survive_init(struct run *r, struct arena *arena, uint64_t seed);
/* Runs them, waits for quiet, looks at what is left. */
void survive(struct run *r);
