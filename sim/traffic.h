/* SPDX-License-Identifier: Apache-2.0 */
/* traffic.h - look-ups and Stores that go on while a world has its faults, with the truth beside.
 *
 * Record k is the SIP-REGISTRATION of account k, stored before (sim/workload).  Some of the records
 * are stored anew again and again, each time with a higher number in the value, so that a fetched
 * value says how old it is.  Every request has to end exactly once.
 *
 * A look-up has reached its goal when it brought a value that was stored there, or was answered by
 * the peer that is responsible, be it without a value (that is another question: lost). */
#pragma once
#include "node/answer.h"
#include "sim/workload.h"

enum {
    TRAFFIC_OPEN = 512,
    TRAFFIC_CRASHES = 3, /* of holders of a record, remembered */
};

struct traffic_settings {
    uint32_t lookups_per_s;
    uint32_t stores_per_s;
    uint32_t records;
    uint32_t changing;  /* of them, from the first on */
    uint64_t window_us; /* in which copies are made again after a failure */
};

struct traffic_open {
    uint32_t tag; /* 0: free */
    uint32_t node, incarnation;
    uint32_t record;
    uint32_t version; /* stored; or acknowledged when the look-up began */
    uint64_t since_us;
    bool is_store;
};

struct traffic_record {
    uint32_t sent;     /* versions */
    uint32_t acked;    /* of those acknowledged the one with the latest storage_time */
    uint64_t acked_ms; /* ... which clocks that are wrong need not give to the last one */
    bool is_known;     /* a wave's Store was acknowledged */
    bool is_storing;
    bool is_worn;    /* a holder died since the last Store was acknowledged */
    bool is_excused; /* so many holders died within a window that it may be gone */
    uint64_t crashes_us[TRAFFIC_CRASHES]; /* latest first */
};

struct traffic_counts {
    struct workload_result lookups; /* ok: reached its goal */
    struct workload_result stores;
    uint32_t fresh;      /* look-ups that brought the newest value acknowledged before, */
    uint32_t stale;      /* an older one, */
    uint32_t empty;      /* none, from the responsible peer, */
    uint32_t misled;     /* none, from another */
    uint32_t orphaned;   /* who asked died meanwhile */
    uint32_t unasked;    /* answers that nobody waited for: must be 0 */
    uint32_t unanswered; /* never answered, nor given up: must be 0 */
};

struct traffic {
    const uint8_t *is_hostile; /* of each node: they ask for nothing */
    uint32_t stale_seen;       /* by traffic_verify: old values, */
    uint32_t stale_unexcused;  /* ... where no holder has died */
    struct traffic_settings s;
    struct traffic_open open[TRAFFIC_OPEN];
    uint32_t open_end; /* behind the last of them that is in use */
    struct traffic_record *records;
    struct rng rng;
    uint32_t last_tag;
    uint64_t next_lookup_us, next_store_us;
    struct traffic_counts counts;
    struct traffic_counts kept; /* while traffic_verify counts */
};

size_t traffic_bytes(uint32_t records);
void traffic_init(struct traffic *f, struct arena *arena, const struct traffic_settings *s,
                  uint64_t seed);
/* `acked`: of each record, whether it stands in the overlay. */
void traffic_begin(struct traffic *f, struct world *w, const bool *acked);
/* Asks what is due, and takes what was answered. */
void traffic_step(struct traffic *f, struct world *w);
/* Node i has answers: takes them at once. */
void traffic_take(struct traffic *f, struct world *w, uint32_t i);
/* False: a value of one of the records that its owner has never sent. */
bool traffic_has_sent(const struct traffic *f, const struct world *w,
                      const struct overlay_stored *s);
/* Asks nothing more; true when all is answered. */
bool traffic_drain(struct traffic *f, struct world *w);
/* Looks all records up once, until answered; counted apart in *out, of which `wrong` are values
 * that were never stored, failed those not found or old. */
void traffic_verify(struct traffic *f, struct world *w, struct workload_result *out);
/* Peer i is about to die: whose records does it hold? */
void traffic_note_crash(struct traffic *f, struct world *w, uint32_t i);
/* Records of which no copy is left anywhere; *unexcused: while never more than two copies failed
 * within a window. */
uint32_t traffic_lost(struct traffic *f, struct world *w, uint32_t *unexcused);
