/* SPDX-License-Identifier: Apache-2.0 */
/* run_ack.h - "AckSequence": data frames come in, each is answered with an ACK (RFC 6940 6.6.2). */
#pragma once
#include "tests/vector/run_base.h"

bool run_ack(const json_t *vector, char *why, size_t cap);
