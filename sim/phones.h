/* SPDX-License-Identifier: Apache-2.0 */
/* phones.h - the phones of a made-up world: who registers where, who calls whom, and what comes of
 * it, held against the truth.
 *
 * A phone registers at the first of its homes, again after half of the time that it was granted,
 * and at the next home when nobody answers or it is refused.  Callers and callees are drawn; both
 * are *reachable* while their last 200 has not expired and the very process that gave it is alive
 * and not about to leave.  They act by themselves as the world's time goes on.
 *
 * Owner: the scenario.  Random numbers: a stream of its own, and one of each phone. */
#pragma once
#include "sim/handset.h"
#include "sim/spread.h"
#include "sim/world_phones.h"

struct phones_settings {
    uint32_t count;
    uint32_t homes;
    uint32_t expires_s;
    uint64_t register_us;   /* in which all register for the first time */
    uint64_t call_every_us; /* of each phone, on average; 0: nobody calls by himself */
    uint64_t talk_us;       /* on average */
    uint64_t ring_us;
};

enum { PHONES_STATUSES = 16, PHONES_WAKES = 8 };

struct phones_status {
    uint16_t status;
    uint32_t count;
};

struct phones_counts {
    uint32_t registrations; /* REGISTERs that ended */
    uint32_t registrations_ok;
    uint32_t registrations_failed;
    uint32_t moved;        /* ... after which another home was tried */
    uint32_t placed;       /* calls */
    uint32_t answered;     /* 2xx */
    uint32_t completed;    /* ... and the BYE was answered */
    uint32_t cut_off;      /* ... or not: a node of the way has died meanwhile */
    uint32_t failed;       /* refused, or never answered (408) */
    uint32_t unreached;    /* ... though both were reachable from the beginning to the end */
    uint32_t twice;        /* calls that had two different final answers: must be 0 */
    uint32_t open;         /* neither answered nor failed when all was over: must be 0 */
    uint32_t unregistered; /* phones that were not reachable when all was quiet, */
    uint32_t asked;        /* the others are called once each, */
    uint32_t asked_ok;     /* ... and answer */
    struct phones_status failed_by[PHONES_STATUSES];
    struct spread register_us;  /* REGISTER to 200 */
    struct spread post_dial_us; /* INVITE to 180 */
    struct spread setup_us;     /* INVITE to 200, less the ringing */
};

struct phones_one {
    struct handset handset;
    uint64_t wakes_us[PHONES_WAKES];           /* its wake-ups in the queue; 0 = none */
    uint64_t register_us, call_us, hang_up_us; /* UINT64_MAX: not now */
    uint64_t registered_until_us;
    uint32_t home;        /* of its homes */
    uint32_t node;        /* that has given the last 200, */
    uint32_t incarnation; /* ... in this life of its */
    /* a call of its own */
    uint64_t placed_us;
    uint32_t callee;
    uint64_t own_life, callee_life; /* of the nodes of both, then */
    bool is_reachable;              /* both were when it began */
    bool is_engaged;                /* somebody calls it, or it calls */
    bool is_asking;                 /* the one call when all is quiet */
};

struct phones {
    struct phones_settings s;
    struct world *world;
    struct handset_settings handset;
    struct sip_parser parser;
    struct phones_one *all;
    struct rng rng;
    bool is_calling; /* calls are placed by themselves */
    bool is_over;
    struct phones_counts counts;
};

size_t phones_bytes(uint32_t count);
void phones_init(struct phones *p, struct arena *arena, const struct phones_settings *s,
                 struct world *w);
/* They begin to register. */
void phones_begin(struct phones *p);
bool phones_is_reachable(const struct phones *p, uint32_t k);
/* How many are reachable now. */
uint32_t phones_reachable(const struct phones *p);
void phones_set_calling(struct phones *p, bool is_calling);
/* True when no call is open; calls nobody any more. */
bool phones_drain(struct phones *p);
/* Phone k is called once, when all is quiet; false: it or who would call is busy or not reachable.
 */
bool phones_ask(struct phones *p, uint32_t k);
/* All is over: nothing more is done; what is open is counted. */
void phones_end(struct phones *p);
