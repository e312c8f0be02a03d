/* SPDX-License-Identifier: Apache-2.0 */
/* sim_phones.h - what came of a simulated run's phones, as JSON and for people. */
#pragma once
#include "sim/phones.h"
#include <jansson.h>

/* Adds "calls" and, where there were phones, "registrations". */
void sim_phones_json(json_t *all, const struct phones_counts *c, uint32_t phones);
void sim_phones_print(const struct phones_counts *c, uint32_t phones);
