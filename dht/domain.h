/* SPDX-License-Identifier: Apache-2.0 */
/* domain.h - whose addresses of record an overlay takes (RFC 7904 3.3, 3.4).
 *
 * A pattern is a POSIX extended regular expression that must match all of the domain, without
 * regard to case (the RFC leaves both open).  It is walked with sets of positions, so no pattern
 * takes longer than its length times a few thousand steps; one that would is taken as no match.
 *
 * Owner:  pure functions; rules live as long as the document they stand in.
 * Limits: below. */
#pragma once
#include "core/slice.h"

enum {
    DOMAIN_PATTERNS = 8,
    DOMAIN_PATTERN_CAP = 128,
    DOMAIN_TEXT_CAP = 255,
    DOMAIN_DEPTH = 8,
    DOMAIN_STEPS = 65536,
};

struct domain_rules {
    struct slice own; /* the overlay's name */
    bool is_listed;   /* only `patterns` count; else only `own` */
    struct slice patterns[DOMAIN_PATTERNS];
    size_t count;
};

bool domain_is_pattern(struct slice pattern);
bool domain_is_match(struct slice pattern, struct slice domain);
/* May "user@domain" be stored?  `rules` NULL: whatever it is. */
bool domain_admits(const struct domain_rules *rules, struct slice user);
