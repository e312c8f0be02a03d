/* SPDX-License-Identifier: Apache-2.0 */
/* rtt.c - see rtt.h. */
#include "link/rtt.h"

enum { GRANULARITY_US = 1000 };

void rtt_init(struct rtt *rtt, uint64_t rto_us, uint32_t rto_min_us)
{
    *rtt = (struct rtt){.rto_min_us = rto_min_us, .rto_us = rto_us};
}

/* RFC 6298 2.2 and 2.3. */
void rtt_note(struct rtt *rtt, uint64_t sample_us)
{
    if (!rtt->has_sample) {
        rtt->has_sample = true;
        rtt->srtt_us = sample_us;
        rtt->rttvar_us = sample_us / 2;
    } else {
        uint64_t off =
            sample_us > rtt->srtt_us ? sample_us - rtt->srtt_us : rtt->srtt_us - sample_us;
        rtt->rttvar_us = rtt->rttvar_us - rtt->rttvar_us / 4 + off / 4;
        rtt->srtt_us = rtt->srtt_us - rtt->srtt_us / 8 + sample_us / 8;
    }
    uint64_t rto_us = rtt->srtt_us + max_u64(GRANULARITY_US, 4 * rtt->rttvar_us);
    rtt->rto_us = min_u64(max_u64(rto_us, rtt->rto_min_us), RTT_RTO_MAX_US);
}
