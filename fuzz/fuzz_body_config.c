/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_body_config.c - what carries configuration and faults: ConfigUpdate, errors, reload URIs.
 *
 * Input: which of them; Node-ID length and, in the top bit, whether a list of it; the bytes.  What
 * decodes is written again and must be the same bytes (fuzz/bodies.h). */
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

/* Corpora know a structure by its place: add at the end. */
static const struct bodies_pair family[] = {
    BODY(config_update),
    ALONE(error),
    BODY(unknown_kinds),
    ALONE(uri),
};

BODIES_TARGET(family)

FUZZ_COUNTED
