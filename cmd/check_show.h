/* SPDX-License-Identifier: Apache-2.0 */
/* check_show.h - what `chordial check` prints of a configuration that is good: for people, and as
 * one JSON object that says the same.
 *
 * Owner: the caller's; printed to standard output. */
#pragma once
#include "cmd/setup.h"

void check_show_text(const struct setup *s, bool with_limits);
/* The keys are those of docs/operating.md. */
void check_show_json(const struct setup *s, bool with_limits);
/* Every limit, what it is set to and what it takes of the memory. */
void check_show_limits(const struct setup *s);
