/* SPDX-License-Identifier: Apache-2.0 */
/* rtt.h - round trip time and retransmission timeout of one link (RFC 6298 section 2, in integers).
 *
 * RFC 6940 6.6.3.1 wants the timeout in milliseconds, not rounded up to a second; the clock
 * granularity G is 1 ms.  The bounds differ: a trunk only watches (6.6.5), a datagram link
 * retransmits.  Owner: embedded in a link.   Time: an argument. */
#pragma once
#include "core/base.h"

enum { RTT_RTO_MAX_US = 60000000 }; /* RFC 6298 2.5: a ceiling of at least 60 s */

struct rtt {
    bool has_sample;
    uint32_t rto_min_us;
    uint64_t srtt_us;
    uint64_t rttvar_us;
    uint64_t rto_us;
};

/* Before the first sample the timeout is `rto_us`. */
void rtt_init(struct rtt *rtt, uint64_t rto_us, uint32_t rto_min_us);
void rtt_note(struct rtt *rtt, uint64_t sample_us);
