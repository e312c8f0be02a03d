/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_body_storage.c - Store, Fetch, Stat, Find (RFC 6940 7.4) and values of Kinds (7904, 8076,
 * 7374).
 *
 * Input: which of them; Node-ID length and, in the top bit, whether a list of it; the bytes.  What
 * decodes is written again and must be the same bytes (fuzz/bodies.h). */
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

/* Corpora know a structure by its place: add at the end. */
static const struct bodies_pair family[] = {
    BODY(store_req),
    BODY(store_ans),
    BODY(fetch_req),
    BODY(fetch_ans),
    BODY(find_req),
    BODY(find_ans),
    BODY(find_kind_data),
    BODY(sip_registration),
    BODY(stat_req),
    BODY(stat_ans),
    BODY(resource_name_extension),
    BODY(acl_item),
    BODY(named_acl_item),
    BODY(redir_service_provider),
};

BODIES_TARGET(family)

FUZZ_COUNTED
