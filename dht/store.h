/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - what this peer keeps for the overlay: signed values under (Resource-ID, Kind).
 *
 * A *set* is all values of one Kind at one Resource-ID, with its generation counter; a value is the
 * received StoredData, byte for byte, so that its signature stays true wherever it is sent.  Signers'
 * certificates are kept once (DER) as long as a value needs them, and travel with the values (ST-20).
 * A Store is atomic: everything is checked and reserved before anything changes (ST-1).
 *
 * Who may send what here (responsible, replica) is dht/replicate's business; this file judges the
 * values: Kind, signature, policy, generation, storage_time, sizes (ST-4).
 *
 * Owner:  one for each overlay, in memory only.
 * Limits: sets, values, bytes, certificates, values of one signer; all refuse with 0x8.
 * Time:   lifetimes run from receipt; what is over is not seen, and swept a piece at a time.
 * RFC:    6940 7. */
#pragma once
#include "core/pool.h"
#include "core/table.h"
#include "dht/kind.h"
#include "dht/sign.h"
#include "dht/value.h"

enum {
    STORE_PLAN_CAP = 64,         /* most values in one StoreReq */
    STORE_KINDS_CAP = 16,        /* most Kinds in one StoreReq or FetchReq */
    STORE_KEY_CAP = 255,         /* longest dictionary key */
    STORE_CERTIFICATES_CAP = 14, /* that travel with one message; SIGN_BUCKET_CAP less the sender's */
    STORE_SWEEP_STEP = 128,      /* sets looked at in one sweep */
    STORE_MEMBERS_CAP = 16,      /* bits of store_set.placed */
};

/* Timers of storage have the tag kind HANDLE_STORE and say here whose they are. */
enum store_timer {
    STORE_TIMER_REPLICATE,     /* replicate_on_timer */
    STORE_TIMER_REPLICATE_ACK, /* replicate_on_timer */
    STORE_TIMER_CERT_USAGE,    /* cert_usage_on_timer */
};

struct store_settings {
    const struct overlay_config *config; /* Kinds; borrowed, may change in place */
    const struct rl_params *params;
    struct sign *sign;
    uint32_t sets;
    uint32_t values;
    uint32_t bytes; /* values and certificates */
    uint32_t certificates;
    uint32_t values_per_signer;
    uint32_t lifetime_max_s; /* longer ones are cut; 0 = as long as the certificate lives */
};

struct store_set {
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    uint32_t kind;
    uint32_t first; /* value: index + 1; arrays ascending by index, else as they came */
    uint32_t count; /* values, among them those that are over and not yet swept */
    enum overlay_data_model model;
    uint64_t generation;
    uint64_t keep_until_us; /* the counter outlives the values by a lifetime */
    /* dht/replicate's own: */
    uint64_t unwanted_since_us; /* 0 = we are owner or replica */
    uint16_t placed;            /* members that have all values of this set, as bits */
    uint16_t under_way;         /* members to which it is on its way */
    bool is_owned;              /* we were responsible when last looked at */
    bool is_pushing;            /* to its owner, before it is dropped */
};

struct store;

size_t store_bytes(const struct store_settings *s);
struct store *store_init(struct turn *t, struct arena *arena, const struct store_settings *s);

/* A StoreReq whose sender may send it. */
struct store_put {
    struct slice resource;
    uint8_t replica_number;   /* 0: original */
    struct slice kind_data;   /* list of StoreKindData */
    struct slice bucket;      /* certificates that came along */
    const struct sign_certificate *signer; /* of the request: judged if replica_number is 0 */
    struct node_id signer_id;
    bool only_newer;          /* skip values that are not newer than ours, instead of 0x9 (ST-16) */
};

struct store_outcome {
    uint16_t error;    /* enum content_error_code, 0 = done */
    struct slice info; /* body of the error, borrowed until the next call */
    bool has_changed;
    uint64_t stamp;    /* values changed by this put have it */
    uint32_t verified; /* signatures that had to be verified */
    uint32_t set_count;
    handle sets[STORE_KINDS_CAP]; /* the sets named in the request */
};

void store_put(struct turn *t, struct store *s, const struct store_put *put,
               struct store_outcome *out);

/* Writes the StoreAns for what a put named. `replicas`: Node-IDs, without lengths. */
void store_wr_answer(const struct store *s, const struct store_outcome *outcome,
                     struct slice replicas, struct wr *w);

/* Certificates that have to travel: filled by the functions below, each once. */
struct store_certificates {
    struct slice der[STORE_CERTIFICATES_CAP]; /* borrowed from the store until it changes */
    uint32_t ids[STORE_CERTIFICATES_CAP];
    size_t count;
    bool is_full; /* one more did not fit */
};

/* Answers FetchReq, StatReq and FindReq bodies: writes the answer's body.  Returns 0 or an error code
 * (enum content_error_code) with *info as its body.  A body that does not fit `w`: 0xE. */
uint16_t store_fetch(struct turn *t, struct store *s, struct slice body, struct wr *w,
                     struct store_certificates *certificates, struct slice *info);
uint16_t store_stat(struct turn *t, struct store *s, struct slice body, struct wr *w,
                    struct slice *info);
/* Responsibility (0x3) is the caller's to check. */
uint16_t store_find(struct turn *t, struct store *s, struct slice body, struct wr *w,
                    struct slice *info);

/* Sets, for dht/replicate: NULL when it is gone. */
struct store_set *store_set_get(const struct store *s, handle h);
handle store_set_handle(const struct store *s, const struct store_set *set);
/* Walks all sets: start with *index = 0, NULL at the end. */
struct store_set *store_set_next(const struct store *s, uint32_t *index);
struct store_set *store_set_find(const struct store *s, struct slice resource, uint32_t kind);
/* Forgets a set and its values. */
void store_set_drop(struct store *s, struct store_set *set);
/* Values of `set` that live. */
uint32_t store_set_live(const struct turn *t, const struct store *s, const struct store_set *set);

/* Writes a StoreKindData with the living values of `set` whose stamp is at least `since`, beginning
 * with the `*from`th of these (0 first), as many as fit into `budget` bytes together with their
 * certificates; *from becomes where to go on, and 0 when all were written.  Returns how many. */
uint32_t store_wr_set(struct turn *t, struct store *s, const struct store_set *set,
                      uint64_t since, uint32_t *from, size_t budget, struct wr *w,
                      struct store_certificates *certificates);

/* Sweeps up to STORE_SWEEP_STEP sets; true when a whole round is done. */
bool store_sweep(struct turn *t, struct store *s);

struct store_totals {
    uint32_t sets, values, certificates;
    uint32_t stored_bytes;
};
void store_totals(const struct store *s, struct store_totals *out);
/* Values that live: start with *index = 0. is_owned is left false, that is the topology's to say. */
bool store_walk(const struct turn *t, const struct store *s, uint32_t *index,
                struct overlay_stored *out);
