/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - what this peer keeps for the overlay: signed values under (Resource-ID, Kind).
 *
 * A *set* is all values of one Kind at one Resource-ID, with its generation counter; a value is the
 * received StoredData, byte for byte, so that its signature stays true wherever it is sent.
 * Signers' certificates are kept once (DER) as long as a value needs them, and travel with the
 * values (ST-20). A Store is atomic: everything is checked and reserved before anything changes
 * (ST-1).
 *
 * Who may send what here (responsible, replica) is dht/replicate's business; this file judges the
 * values: Kind, signature, policy, generation, storage_time, sizes (ST-4).
 *
 * Putting values in is dht/store_put, giving them out dht/store_fetch; dht/store_log tells what has
 * changed, and dht/store_restore takes it back after a restart.
 *
 * Owner:  one for each overlay, in memory.
 * Limits: sets, values, bytes, certificates, values of one signer; all refuse with 0x8.
 * Time:   lifetimes run from receipt; what is over is not seen, and swept a piece at a time.
 * RFC:    6940 7. */
#pragma once
#include "core/pool.h"
#include "core/tags.h"
#include "dht/kind.h"
#include "dht/sign.h"
#include "dht/value.h"

enum {
    STORE_PLAN_CAP = 64,  /* most values in one StoreReq */
    STORE_KINDS_CAP = 16, /* most Kinds in one StoreReq or FetchReq */
    STORE_KEY_CAP = 255,  /* longest dictionary key */
    STORE_CERTIFICATES_CAP =
        14,                 /* that travel with one message; SIGN_BUCKET_CAP less the sender's */
    STORE_AHEAD = 32,       /* requests whose memory is fetched together */
    STORE_SWEEP_STEP = 128, /* sets looked at in one sweep */
    STORE_MEMBERS_CAP = 16, /* bits of store_set.placed */
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
    uint32_t log_bytes;      /* for dht/store_log; 0 = nobody keeps what is stored */
};

struct store_set {
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    uint32_t kind;
    uint32_t first;         /* value + 1; arrays ascending by index, dictionaries as they came */
    uint32_t count;         /* values, among them those that are over and not yet swept */
    uint16_t placed;        /* dht/replicate's: members that have all values of this set, as bits */
    uint16_t under_way;     /* ... members to which it is on its way */
    uint64_t generation;    /* 0: nothing was ever stored */
    uint64_t keep_until_us; /* the counter outlives the values by a lifetime */
    uint32_t unwanted_since_s; /* dht/replicate's: 0 = we are owner or replica */
    uint32_t vouched_by;       /* ... the owner that is known to have this set; 0: nobody */
    uint32_t when_s;           /* ... since then; or then it is offered to him, 0: not yet */
    enum overlay_data_model model : 8;
    bool is_owned;        /* dht/replicate's: we were responsible when last looked at */
    bool is_pushing;      /* ... to its owner, before it is dropped */
    bool is_unproved : 1; /* has values of an earlier life, not seen yet (dht/store_restore) */
    bool is_counted : 1;  /* dht/store_resources's: stands for its Resource-ID */
};

struct store;

size_t store_bytes(const struct store_settings *s);
struct store *store_init(struct turn *t, struct arena *arena, const struct store_settings *s);

/* Signers' certificates that have to travel with values, each once. */
struct store_certificates {
    struct slice der[STORE_CERTIFICATES_CAP]; /* borrowed from the store until it changes */
    size_t count;
    size_t bytes; /* of them all in a SecurityBlock */
};

/* Sets, for dht/replicate: NULL when it is gone. */
struct store_set *store_set_get(const struct store *s, handle h);
handle store_set_handle(const struct store *s, const struct store_set *set);
/* Walks all sets: start with *index = 0, NULL at the end. */
struct store_set *store_set_next(const struct store *s, uint32_t *index);
struct store_set *store_set_find(struct store *s, struct slice resource, uint32_t kind);
/* Forgets a set and its values. */
void store_set_drop(struct store *s, struct store_set *set);
/* Has `set` a value that lives and is proved? */
bool store_set_is_alive(const struct turn *t, const struct store *s, const struct store_set *set);

/* Some FetchReqs, STORE_AHEAD at most, will be answered now one after the other: `payloads` are
 * those of their messages, not looked into so far.  Has the processor fetch what answering will
 * touch. */
void store_ahead(struct store *s, const struct slice *payloads, size_t count);

/* A number that grows with each put, and those of a set's values. */
struct store_stamps {
    uint64_t oldest, newest;
};
uint64_t store_stamp(const struct store *s);
struct store_stamps store_set_stamps(const struct store *s, const struct store_set *set);

/* Sweeps up to STORE_SWEEP_STEP sets; true when a whole round is done. */
bool store_sweep(struct turn *t, struct store *s);

struct store_totals {
    uint32_t sets, values, certificates;
    uint32_t resources; /* that something is stored at, of whatever Kinds */
    uint32_t stored_bytes;
};
void store_totals(const struct store *s, struct store_totals *out);
/* Values that live: start with *index = 0. is_owned is left false, that is the topology's to say.
 */
bool store_walk(const struct turn *t, const struct store *s, uint32_t *index,
                struct overlay_stored *out);
