/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_body_attach.c - how peers connect: Attach, AppAttach, Ping, candidates (RFC 6940 6.5), RFC
 * 7263.
 *
 * Input: which of them; Node-ID length and, in the top bit, whether a list of it; the bytes.  What
 * decodes is written again and must be the same bytes (fuzz/bodies.h). */
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

/* Corpora know a structure by its place: add at the end. */
static const struct bodies_pair family[] = {
    BODY(attach),   BODY(app_attach),  BODY(ice_candidate), BODY(ping_req),
    BODY(ping_ans), BODY(turn_server), BODY(ice_extension), BODY(extensive_routing_mode),
};

BODIES_TARGET(family)

FUZZ_COUNTED
