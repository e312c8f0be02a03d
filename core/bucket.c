/* SPDX-License-Identifier: Apache-2.0 */
/* bucket.c - see bucket.h. */
#include "core/bucket.h"

enum { MILLI = 1000, US_PER_S = 1000000 };

void bucket_init(struct bucket *b, uint32_t rate_milli_per_s, uint32_t burst, uint64_t now_us)
{
    b->filled_us = now_us;
    b->rate_milli_per_s = rate_milli_per_s;
    b->burst_milli = (uint32_t)min_u64((uint64_t)burst * MILLI, UINT32_MAX);
    b->tokens_milli = b->burst_milli;
}

static void fill(struct bucket *b, uint64_t now_us)
{
    if (b->rate_milli_per_s == 0 || now_us <= b->filled_us) {
        return;
    }
    uint64_t elapsed_us = now_us - b->filled_us;
    uint64_t seconds = min_u64(elapsed_us / US_PER_S, UINT32_MAX);
    uint64_t rest = elapsed_us % US_PER_S * b->rate_milli_per_s;
    uint64_t earned = seconds * b->rate_milli_per_s + rest / US_PER_S;
    if (earned >= b->burst_milli - b->tokens_milli) {
        b->tokens_milli = b->burst_milli;
        b->filled_us = now_us;
        return;
    }
    /* What was not enough for a whole thousandth stays on the clock for the next time. */
    b->tokens_milli += (uint32_t)earned;
    b->filled_us = now_us - rest % US_PER_S / b->rate_milli_per_s;
}

bool bucket_has(struct bucket *b, uint32_t tokens, uint64_t now_us)
{
    fill(b, now_us);
    return (uint64_t)tokens * MILLI <= b->tokens_milli;
}

bool bucket_take(struct bucket *b, uint32_t tokens, uint64_t now_us)
{
    if (!bucket_has(b, tokens, now_us)) {
        return false;
    }
    b->tokens_milli -= tokens * MILLI;
    return true;
}
