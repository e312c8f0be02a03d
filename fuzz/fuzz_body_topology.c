/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_body_topology.c - Join, Leave, Update, RouteQuery, Probe (RFC 6940 6.4.2, 10), self-tuning
 * (7363).
 *
 * Input: which of them; Node-ID length and, in the top bit, whether a list of it; the bytes.  What
 * decodes is written again and must be the same bytes (fuzz/bodies.h). */
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

/* Corpora know a structure by its place: add at the end. */
static const struct bodies_pair family[] = {
    BODY(join_req),        BODY(join_ans),          BODY(leave_req),        BODY(route_query_req),
    BODY(route_query_ans), BODY(chord_update),      BODY(chord_leave),      BODY(probe_req),
    BODY(probe_ans),       BODY(probe_information), BODY(self_tuning_data),
};

BODIES_TARGET(family)

FUZZ_COUNTED
