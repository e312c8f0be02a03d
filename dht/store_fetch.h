/* SPDX-License-Identifier: Apache-2.0 */
/* store_fetch.h - answers to Fetch, Stat and Find, and sets as they are sent to other holders
 * (RFC 6940 7.4.2-7.4.4; FT-1..FT-10, ST-14).
 *
 * Owner: reads a store; no state of its own. */
#pragma once
#include "dht/store.h"

/* Each writes the answer's body and returns 0, or returns an error code (enum content_error_code)
 * with *info, borrowed from the store, as its error_info.  0xE: it does not fit `w`. */
uint16_t store_fetch(struct turn *t, struct store *s, struct slice body, struct wr *w,
                     struct store_certificates *certificates, struct slice *info);
uint16_t store_fetch_stat(struct turn *t, struct store *s, struct slice body, struct wr *w,
                          struct slice *info);
/* Whether we are responsible at all (0x3) is the caller's to check. */
uint16_t store_fetch_find(struct turn *t, struct store *s, struct slice body, struct wr *w,
                          struct slice *info);

/* Which values of a set go into one message. */
struct store_fetch_part {
    uint64_t since; /* those with this stamp or a later one; 0 = all */
    uint32_t from;  /* of these, the first to be written */
    size_t
        budget; /* bytes, signers' certificates included; one value is written whatever it takes */
};

/* Writes a StoreKindData with the living values of `set` that `part` asks for.  part->from becomes
 * where to go on, 0 when all were written. */
void store_fetch_copy(struct turn *t, const struct store *s, const struct store_set *set,
                      struct store_fetch_part *part, struct wr *w,
                      struct store_certificates *certificates);
