/* SPDX-License-Identifier: Apache-2.0 */
/* grade.h - which of a user's nodes is called first (RFC 3261 16.6, over several nodes).
 *
 * The contacts of a node stand in groups of equal q (sip/fork).  Its record says the highest, and
 * how many groups there are, behind the predicate of contact_prefs:
 *
 *   (|(&(sip.audio=TRUE)));q=0.5;steps=2
 *
 * which is the syntax of RFC 2533 for a filter with parameters (q, and one of ours).  The caller's
 * node tries the nodes of the highest q first, and gives each of them time for its groups.  Nothing
 * is written where all contacts have q 1, and nothing, or nothing that can be read, means just
 * that.
 *
 * Owner:  nobody; pure functions.  Limits: GRADE_STEPS groups of one node are waited for. */
#pragma once
#include "sip/asked.h"

enum { GRADE_CAP = 24, GRADE_STEPS = 4, GRADE_Q = 1000 };

struct grade {
    uint16_t q_milli;
    uint8_t steps; /* from 1 */
};

/* Of the contacts that there will be after `asked` (NULL: that there are). */
struct grade grade_of(const struct sip *s, uint32_t account, const struct asked *asked);
/* The parameters; nothing for a grade of 1 and one step. */
bool grade_is_plain(const struct grade *g);
void grade_write(struct sip_writer *w, const struct grade *g);
/* Of contact_prefs. */
struct grade grade_read(struct slice contact_prefs);
