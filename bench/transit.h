/* SPDX-License-Identifier: Apache-2.0 */
/* transit.h - what the parts of the program build/release/bench/transit offer each other. */
#pragma once
#include "bench/transit_peer.h"

enum { TRANSIT_REPEATS_CAP = 99 };

struct transit_options {
    bool is_json;
    unsigned repeats;
    uint64_t messages;
    uint32_t links; /* of `inside` */
};

/* Sorts the values. */
double transit_median(double *values, size_t count);

/* How often this thread has called the allocator. */
uint64_t transit_alloc_count(void);

/* Floors, in ns of CPU time for each message of `message_len` bytes, on the calling thread. */
double transit_floor_tcp_ns(size_t message_len, uint64_t messages);
double transit_floor_tls_ns(const struct transit_ca *ca, size_t message_len, uint64_t messages);

/* One node on core 0, generator and sink on the other, over loopback TCP. */
struct transit_live_result {
    uint64_t messages; /* counted by the sink within the time that was measured */
    double ns;         /* CPU time of the shard's thread for one of them */
    double cpu_share;  /* of one core, that the thread used meanwhile */
    double bytes_per_receive;
};
void transit_live_run(const struct transit_ca *ca, size_t message_len, uint64_t messages,
                      struct transit_live_result *out);

/* Works in process; each prints its rows. */
void transit_inside_run(const struct transit_ca *ca, const struct transit_options *o);
void transit_inside_links(const struct transit_ca *ca, const struct transit_options *o);
void transit_inside_shards(const struct transit_ca *ca, const struct transit_options *o);
void transit_inside_check(const struct transit_ca *ca, const struct transit_options *o);
void transit_memory_run(const struct transit_ca *ca, const struct transit_options *o);
