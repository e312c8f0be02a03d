/* SPDX-License-Identifier: Apache-2.0 */
/* store_client.h - storing and fetching as a user of the overlay: overlay_store, overlay_fetch.
 *
 * A Store signs the value and the request; when the owner has a newer value (0x9) it is looked at,
 * and the Store repeated once with a later storage_time.  A Fetch gives out only what was proved:
 * signature, certificate and its period, policy (FT-5); the rest is dropped and counted.
 *
 * When nobody answers, somebody on the way may be keeping the request for himself: it is sent
 * again, as a new one, STORE_CLIENT_RETRIES times: by two other first hops, then to the owner by
 * its Node-ID, each time by way of another peer that stands before it and answers us, and at last,
 * a Fetch, to a peer behind the owner, which has a copy; one that has none has not answered.
 *
 * What is too large for one message is fetched in parts (dht/store_parts).
 *
 * Owner:  one for each overlay.  Requests go out as TRANSACT_STORE and TRANSACT_FETCH; their
 * results come back through store_client_on_result, whoever started them. Limits: `ops` under way,
 * each holds one small message buffer while it stores, and
 * up to five large ones while it fetches in parts. */
#pragma once
#include "dht/store.h"
#include "dht/transact.h"

enum { STORE_CLIENT_RETRIES = 8 };
enum store_client_user { STORE_CLIENT_OVERLAY, STORE_CLIENT_CERT_USAGE };

struct store_client_settings {
    const struct rl_params *params;
    const struct overlay_config *config;
    struct sign *sign;
    struct transact *transact;
    const struct chord_table *table; /* for other ways; may be NULL: there are none */
    uint32_t ops;
};

/* How a request ended. */
struct store_client_done {
    enum store_client_user user; /* who is to be told */
    uint64_t tag;
    bool is_fetch;
    enum err error; /* ERR_TIMEOUT; ERR_REMOTE see reload_error; ... */
    uint16_t reload_error;
    uint32_t hops;
    uint64_t elapsed_us;
    struct node_id node_id;             /* who answered; zeros when nobody did */
    const struct overlay_value *values; /* fetch: borrowed until the next call */
    size_t value_count;
    uint32_t dropped;    /* values that did not prove themselves: the result is partial */
    struct msgbuf *kept; /* NULL, or what the values stand in: for store_parts_release */
};

struct store_client;

size_t store_client_bytes(const struct store_client_settings *s);
struct store_client *store_client_init(struct arena *arena, const struct store_client_settings *s);

/* ERR_UNSUPPORTED (Kind), ERR_TOO_LARGE, ERR_LIMIT, ERR_NO_MEMORY.  Otherwise exactly one done. */
enum err store_client_store(struct turn *t, struct store_client *c,
                            const struct overlay_store *what, enum store_client_user user,
                            uint64_t tag) MUST_USE;
enum err store_client_fetch(struct turn *t, struct store_client *c,
                            const struct overlay_resource *resource, uint32_t kind,
                            enum store_client_user user, uint64_t tag) MUST_USE;

/* Of an array of certificates only that of `who` is of interest, if it is there: where the array is
 * larger than a message it is looked for in parts, and nothing else comes with the done. */
enum err store_client_find(struct turn *t, struct store_client *c,
                           const struct overlay_resource *resource, uint32_t kind,
                           const struct ident *who, uint64_t tag) MUST_USE;

/* A result of owner TRANSACT_STORE or TRANSACT_FETCH.  True: *done says how it ended; false: it
 * goes on (or the request is none of ours). */
bool store_client_on_result(struct turn *t, struct store_client *c,
                            const struct transact_result *result, struct store_client_done *done);
/* Forgets all requests: no done follows. */
void store_client_clear(struct turn *t, struct store_client *c);
uint32_t store_client_open(const struct store_client *c);
