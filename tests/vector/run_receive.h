/* SPDX-License-Identifier: Apache-2.0 */
/* run_receive.h - "Receive": a peer as described gets a message from a neighbour and does what the
 * vector says: accept and answer, forward, drop, answer with an error, close. */
#pragma once
#include "tests/vector/run_base.h"

bool run_receive(const json_t *vector, char *why, size_t cap);
