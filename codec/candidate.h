/* SPDX-License-Identifier: Apache-2.0 */
/* candidate.h - where a node can be reached: IpAddressPort and IceCandidate (RFC 6940 6.5.1.1).
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

/* An address, or what stands in place of one in a later version of the protocol. */
struct candidate_address {
    uint8_t type;           /* 1 IPv4, 2 IPv6, else unknown */
    struct address address; /* family 0 where the type is unknown */
    struct slice unknown;
};

struct candidate {
    struct candidate_address address;
    uint8_t overlay_link; /* enum candidate_link or unknown */
    uint8_t type;         /* enum candidate_type, no other passes a decoder */
    uint32_t priority;
    struct slice foundation;
    struct candidate_address related; /* SRFLX and RELAY only */
    struct slice extensions;          /* walk with candidate_extension_next */
};

struct candidate_extension {
    struct slice name;
    struct slice value;
};

void candidate_rd_address(struct rd *r, struct candidate_address *out);
void candidate_wr_address(struct wr *w, const struct candidate_address *in);
/* An IPv4 or IPv6 address (CHECK). */
void candidate_wr_plain_address(struct wr *w, const struct address *in);

/* Walks a candidate list; false at the end or at a fault, see rd_ok.  Faults: address type 0 or of
 * a wrong length, overlay_link 0, a candidate type not listed above (a closed select). */
bool candidate_next(struct rd *r, struct candidate *out);
/* ERR_MALFORMED unless the whole list can be walked; `count` may be NULL. */
enum err candidate_check(struct slice list, uint32_t *count) MUST_USE;
void candidate_wr(struct wr *w, const struct candidate *in);
/* The usual one of a No-ICE overlay (6.5.1.5): host candidate, no extensions. */
void candidate_wr_host(struct wr *w, const struct address *address, enum candidate_link link,
                       uint32_t priority);

bool candidate_extension_next(struct rd *r, struct candidate_extension *out);
void candidate_wr_extension(struct wr *w, const struct candidate_extension *in);
