/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h - RFC 4648 4, digit by digit: who writes and reads it says how lines are cut and what
 * fills up.  Owner: pure functions. */
#pragma once
#include "core/slice.h"

/* The four digits of the first one to three bytes; `fill` for those that are not needed. */
void base64_four(struct slice bytes, char fill, char out[4]);
/* 0 to 63; -1: no digit. */
int base64_digit(uint8_t c);
