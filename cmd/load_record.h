/* SPDX-License-Identifier: Apache-2.0 */
/* load_record.h - signed Fetch and Store requests of RELOAD clients at the node under load, one
 * trunk and one credential each.
 *
 * Each client owns one SIP-REGISTRATION (access control allows no more), stored before the run;
 * Stores renew it, Fetches ask for that of the next client.  Whoever is responsible answers: with
 * one peer (`chordial demo --peers 1`) that is the node under load.  Answers are read, their
 * signatures are not checked: that would cost the generator twice what the node pays.
 *
 * Owner: cmd_load.c; one thread. */
#pragma once
#include "cmd/load_trunk.h"

struct load_record;

/* Members first .. first + count - 1 of the overlay are the clients. */
enum err load_record_open(struct load *l, const struct load_overlay *overlay, uint32_t first,
                          uint32_t count, struct load_record **out, char *why) MUST_USE;
void load_record_close(struct load_record *r);
