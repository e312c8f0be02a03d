/* SPDX-License-Identifier: Apache-2.0 */
/* run_chord.h - names to points of the ring, and the ring as one peer sees it (RFC 6940 6.3.2, 8,
 * 10.1-10.3, 10.5): ResourceIdOf, OverlayHash, JoinTarget, FingerTargets, Responsible, NextHop. */
#pragma once
#include "tests/vector/run_base.h"

bool run_chord(const json_t *vector, char *why, size_t cap);
/* Is the vector one of these? */
bool run_chord_knows(const char *type);
