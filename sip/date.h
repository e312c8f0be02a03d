/* SPDX-License-Identifier: Apache-2.0 */
/* date.h - the time of day as SIP writes it (RFC 3261 20.17), out of struct turn's wall_ms.
 *
 * Owner: the cache is struct sip's.  RFC: 3261 10.3 step 8 (Date in 200 to REGISTER), 20.17. */
#pragma once
#include "core/slice.h"

enum { DATE_TEXT_CAP = sizeof("Sun, 29 Nov 2026 21:54:36 GMT") };

/* Ends with a NUL behind the slice. */
struct slice date_text(uint64_t wall_ms, char out[DATE_TEXT_CAP]);

/* The text of one second; all zeros to begin with. */
struct date_cache {
    uint64_t second;
    char text[DATE_TEXT_CAP];
};
/* As date_text, written at most once a second.  Good until the next call. */
struct slice date_now(struct date_cache *c, uint64_t wall_ms);
