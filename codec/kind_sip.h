/* SPDX-License-Identifier: Apache-2.0 */
/* kind_sip.h - SipRegistration, the value of Kind SIP-REGISTRATION (RFC 7904 3).
 *
 * Owner: slices are borrowed from the value. */
#pragma once
#include "codec/fwd.h"

enum { KIND_SIP = 0x1 }; /* dictionary keyed by Node-ID, USER-NODE-MATCH */

enum kind_sip_type {
    KIND_SIP_URI = 1,   /* look up this AOR instead */
    KIND_SIP_ROUTE = 2, /* attach to the end of this Destination List */
};

struct kind_sip {
    uint8_t type;                  /* others are of the future: stored, not resolved */
    struct slice uri;              /* URI */
    struct slice contact_prefs;    /* ROUTE: RFC 3840 predicate, may be empty */
    struct slice destination_list; /* ROUTE: at least one entry; walk with fwd_next */
    struct slice unknown;          /* other types */
};

/* ERR_MALFORMED: type 0, lengths that disagree, an empty or broken Destination List. */
enum err kind_sip_decode(struct slice value, const struct rl_params *p,
                         struct kind_sip *out) MUST_USE;
void kind_sip_wr(struct wr *w, const struct kind_sip *in);
