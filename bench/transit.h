/* SPDX-License-Identifier: Apache-2.0 */
/* transit.h - what the parts of the program build/release/bench/transit offer each other. */
#pragma once
#include "bench/transit_peer.h"

enum { TRANSIT_REPEATS_CAP = 64 };

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

/* What is measured in slices is kept open between them.  In each slice a fifth more messages go
 * before those that count: what had the processor meanwhile has had its caches too. */
enum { TRANSIT_WARM_SHARE = 5 };

/* Floors, in ns of CPU time for each message of `message_len` bytes, on the calling thread. */
struct transit_floor_tcp *transit_floor_tcp_open(size_t message_len);
double transit_floor_tcp_ns(struct transit_floor_tcp *f, uint64_t messages);
void transit_floor_tcp_close(struct transit_floor_tcp *f);
struct transit_floor_tls *transit_floor_tls_open(const struct transit_ca *ca, size_t message_len);
double transit_floor_tls_ns(struct transit_floor_tls *f, uint64_t messages);
void transit_floor_tls_close(struct transit_floor_tls *f);

/* One node on core 0, generator and sink on the other, over loopback TCP. */
struct transit_live_result {
    uint64_t messages; /* counted by the sink within the time that was measured */
    double ns;         /* CPU time of the shard's thread for one of them */
    double cpu_share;  /* of one core, that the thread used meanwhile */
    double bytes_per_receive;
};
struct transit_live *transit_live_open(const struct transit_ca *ca, size_t message_len);
void transit_live_run(struct transit_live *l, uint64_t messages, struct transit_live_result *out);
void transit_live_close(struct transit_live *l);

enum { TRANSIT_INSIDE_BYTES = 500 };

/* At least so many messages through a world whose far ends are in this process; how many. */
struct transit_world;
uint64_t transit_inside_drive(struct transit_world *w, const struct transit_load *load,
                              uint64_t messages);
/* Ends the program unless all `sent` have come, each as it must be. */
void transit_inside_verify(struct transit_world *w, uint64_t sent);

/* Works in process; each prints its rows. */
void transit_inside_run(const struct transit_ca *ca, const struct transit_options *o);
void transit_inside_links(const struct transit_ca *ca, const struct transit_options *o);
void transit_shards_run(const struct transit_ca *ca, const struct transit_options *o);
void transit_inside_check(const struct transit_ca *ca, const struct transit_options *o);
void transit_memory_run(const struct transit_ca *ca, const struct transit_options *o);
