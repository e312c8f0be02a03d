/* SPDX-License-Identifier: Apache-2.0 */
/* workload.h - records that are stored and read back, with the truth kept beside.
 *
 * Record k is the SIP-REGISTRATION of account k (RFC 7904), stored and fetched by way of a random
 * live node.  A wave is paced: at most WORKLOAD_OPEN requests are open at once. */
#pragma once
#include "sim/spread.h"
#include "sim/world.h"

enum { WORKLOAD_OPEN = 64 };

enum workload_kind { WORKLOAD_STORE, WORKLOAD_FETCH };

struct workload_result {
    uint32_t sent, ok, failed, wrong; /* wrong: a value that was never stored there */
    uint64_t hops_total;
    uint32_t hops_max;
    uint64_t latency_us_total;
    uint64_t latency_us_max;
    struct spread hops; /* of those that were ok */
    struct spread latency_us;
};

struct workload {
    uint32_t records;
    bool *acked; /* the truth: record k was acknowledged and not lost knowingly */
    struct workload_result stores;
    struct workload_result fetches;
};

size_t workload_bytes(uint32_t records);
void workload_init(struct workload *l, struct arena *arena, uint32_t records);
/* Stores (or fetches) records first .. first + count - 1; runs the world until all are answered, at
 * most limit_us.  A fetch of a record that was never acked does not count. */
void workload_run(struct workload *l, struct world *w, enum workload_kind kind, uint32_t first,
                  uint32_t count, uint64_t limit_us);
/* The value of an account's record as a wave stores it. */
struct slice workload_value(const struct ident *account, uint8_t *out, size_t cap);
