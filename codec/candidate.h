/* SPDX-License-Identifier: Apache-2.0 */
/* candidate.h - where a node can be reached: IpAddressPort, and the code points of IceCandidate
 * (RFC 6940 6.5.1.1), whose structure is in msgs.def.
 *
 * Owner: slices are borrowed. */
#pragma once
#include "codec/rw.h"
#include "core/address.h"

enum candidate_type {
    CANDIDATE_HOST = 1,
    CANDIDATE_SRFLX = 2,
    CANDIDATE_RELAY = 4,
};

enum candidate_link { /* OverlayLinkType, 14.10 */
                      CANDIDATE_DTLS_UDP_SR = 1,
                      CANDIDATE_DTLS_UDP_SR_NO_ICE = 3,
                      CANDIDATE_TLS_TCP_FH_NO_ICE = 4,
};

enum { CANDIDATE_IPV4 = 1, CANDIDATE_IPV6 = 2 }; /* AddressType, 6.3.1.1 */

/* An address, or what stands in place of one in a later version of the protocol. */
struct candidate_address {
    uint8_t type;           /* CANDIDATE_IPV4, CANDIDATE_IPV6, else unknown */
    struct address address; /* family 0 where the type is unknown */
    struct slice unknown;
};

/* Rejects type 0, and an address of another length than its type's. */
void candidate_rd_address(struct rd *r, struct candidate_address *out);
void candidate_wr_address(struct wr *w, const struct candidate_address *in);
/* For an IPv4 or IPv6 address (CHECK). */
struct candidate_address candidate_address_of(const struct address *in);
