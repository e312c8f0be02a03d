/* SPDX-License-Identifier: Apache-2.0 */
/* store_put.h - a StoreReq against the store: all of it or nothing (RFC 6940 7.4.1; ST-1..ST-20).
 *
 * Three steps: judge every value, reserve all that is needed, then change the store; only the first
 * two can fail.  Cheap tests come first; a signature is verified only for a value that would change
 * something, so the refresh of a copy costs none.
 *
 * Owner: works on a store; no state of its own. */
#pragma once
#include "dht/store.h"

/* A StoreReq whose sender may send it here: that is dht/replicate's to say. */
struct store_put {
    struct slice resource;
    uint8_t replica_number;   /* 0: original */
    struct slice kind_data;   /* list of StoreKindData */
    struct slice bucket;      /* certificates that came along, as in struct secblock */
    struct slice signer_user; /* who signed the request: judged if replica_number is 0 */
    struct node_id signer;
    bool is_owner;   /* it is we who are responsible: a copy is brought to us (ST-18) */
    bool only_newer; /* skip what is not newer than ours, instead of 0x9 (ST-16) */
};

struct store_put_kind {
    uint32_t kind;
    handle set; /* 0: nothing is stored there */
};

struct store_put_outcome {
    uint16_t error;     /* enum content_error_code, 0 = done */
    bool is_unfinished; /* nothing was done; again in another turn, when signatures verified in this
                           one are known (sign_begin_message) */
    struct slice info;  /* error_info, borrowed from the store until the next put */
    uint64_t stamp;     /* values changed by this put have it */
    uint32_t changed;   /* how many */
    uint32_t verified;  /* signatures that had to be looked at */
    uint32_t kind_count;
    struct store_put_kind kinds[STORE_KINDS_CAP]; /* as named in the request */
};

void store_put(struct turn *t, struct store *s, const struct store_put *put,
               struct store_put_outcome *out);

/* A value that is stored already, but was not judged in this life (dht/store_restore): the same
 * tests but for its sender.  The error code, 0 = good; `put` is about it alone, with replica_number
 * not 0.
 */
struct store_put_judged {
    uint32_t lifetime_s; /* at most, from now on */
    bool is_unfinished;  /* not now: again in another turn */
};
uint16_t store_put_judge(struct turn *t, struct store *s, const struct store_put *put,
                         const struct overlay_kind *kind, const struct stored_data *d,
                         struct store_put_judged *out);

/* The StoreAns to `outcome`; `replicas` are Node-IDs without lengths. */
void store_put_wr_answer(const struct store *s, const struct store_put_outcome *outcome,
                         struct slice replicas, struct wr *w);
