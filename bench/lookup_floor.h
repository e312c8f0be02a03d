/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_floor.h - what a look-up is compared with in the same run: the machine's own price of its
 * cold memory.  A probe among `records` keys (batches of 16, prefetched), and copies of 500 bytes
 * from random places, which do not wait for each other.  ns for each. */
#pragma once
#include "core/base.h"

/* In which memory. */
enum lookup_floor_kind {
    LOOKUP_FLOOR_SMALL_PAGES, /* copies from 64 MiB */
    LOOKUP_FLOOR_HUGE_PAGES,  /* the same on pages of 2 MiB, as the node has them */
    LOOKUP_FLOOR_AS_STORED, /* on such pages, and copies from as many places as there are records */
    LOOKUP_FLOOR_KINDS,
};

struct lookup_floor;
struct lookup_floor *lookup_floor_make(uint32_t records, enum lookup_floor_kind kind);
void lookup_floor_free(struct lookup_floor *f);
/* CPU time in ns of one; the results are checked. */
double lookup_floor_probe(struct lookup_floor *f, uint32_t count);
double lookup_floor_copy(struct lookup_floor *f, uint32_t count);
