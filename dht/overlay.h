/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.h - one peer of a RELOAD overlay, as sip/ and node/ see it.
 *
 * Input:  events of the link table (overlay_on_link), timers (overlay_on_timer), and the requests
 *         below, each with a tag of the caller's.
 * Output: messages through the link table, and events taken with overlay_next.  Every request that
 *         returned ERR_OK ends in exactly one event with its tag; no event comes from inside the
 * call. Owner:  one shard.  Time and randomness: struct turn. */
#pragma once
#include "core/limits.h"
#include "core/turn.h"
#include "dht/ident.h"

enum {
    OVERLAY_KIND_SIP_REGISTRATION = 0x1,
    OVERLAY_KIND_CERTIFICATE_BY_NODE = 0x3,
    OVERLAY_KIND_CERTIFICATE_BY_USER = 0x10,
    OVERLAY_APPLICATION_SIP = 5060,
    OVERLAY_APPLICATION_SIPS = 5061,
    OVERLAY_CANDIDATES_CAP = 4,
    OVERLAY_BOOTSTRAP_CAP = 16,
    OVERLAY_SHARDS_CAP = 32,
    OVERLAY_KINDS_CAP = 16,
    OVERLAY_VALUES_CAP = 64, /* most values in one fetch event */
    OVERLAY_RESOURCE_BYTES = 16,
};

enum overlay_found_ring {
    OVERLAY_FOUND_NO,
    OVERLAY_FOUND_IF_ALONE,
    OVERLAY_FOUND_NOW,
    OVERLAY_FOUND_GIVEN, /* sim/ready: seeks nobody, waits for overlay_take_ring */
};
/* When a StoreAns leaves (design.md 9): at once, when a copy stands, or when the disk has it too.
 */
enum overlay_storage_ack { OVERLAY_ACK_MEMORY, OVERLAY_ACK_REPLICA, OVERLAY_ACK_DISK };

struct overlay_resource {
    uint8_t bytes[OVERLAY_RESOURCE_BYTES];
};

enum overlay_data_model { OVERLAY_SINGLE, OVERLAY_ARRAY, OVERLAY_DICTIONARY };
enum overlay_access {
    OVERLAY_USER_MATCH,
    OVERLAY_NODE_MATCH,
    OVERLAY_USER_NODE_MATCH,
    OVERLAY_NODE_MULTIPLE
};

struct domain_rules; /* dht/domain.h */

struct overlay_kind {
    uint32_t id;
    enum overlay_data_model data_model;
    enum overlay_access access;
    uint32_t max_count;
    uint32_t max_size_bytes;
    uint32_t max_node_multiple;
    /* SIP-REGISTRATION: of whom; NULL: of anybody.  Lives as long as `trust` does. */
    const struct domain_rules *domains;
};

/* The overlay configuration document as far as a peer acts on it (RFC 6940 11.1), parsed by
 * node/overlay_doc. */
/* Overlay link protocols that the overlay permits for what Attach makes (11.1).  Bootstrap nodes
 * are dialled by TLS in any case: nothing has announced us to them. */
enum overlay_links {
    OVERLAY_LINKS_TRUNK,    /* TLS-TCP-FH-NO-ICE */
    OVERLAY_LINKS_BOTH,     /* and DTLS-UDP-SR-NO-ICE */
    OVERLAY_LINKS_DATAGRAM, /* DTLS-UDP-SR-NO-ICE alone */
};

struct overlay_config {
    char name[CRYPTO_OVERLAY_CAP + 1]; /* instance-name */
    uint16_t sequence;
    uint8_t node_id_length; /* 16: CHORD-RELOAD takes no other */
    uint8_t initial_ttl;
    uint32_t max_message_bytes;
    uint32_t reliability_timer_ms;
    uint32_t chord_update_interval_s;
    uint32_t chord_ping_interval_s;
    bool chord_reactive;
    bool no_ice;
    enum overlay_links links;
    uint32_t replica_min_hosts; /* ours: copies stand on so many hosts (design.md 1) */
    struct overlay_kind kinds[OVERLAY_KINDS_CAP];
    size_t kind_count;
};

struct overlay_settings {
    struct overlay_config config;
    struct crypto_trust trust;
    /* The whole overlay document as it was signed, for nodes that have an older one; may be empty.
     * Copied. */
    struct slice document;
    /* Whoever is above can judge a document that comes in: OVERLAY_CONFIG_RECEIVED.  Otherwise it
     * is refused here, and does not end the turn's work. */
    bool takes_documents;
    const struct ident *self;
    const struct limits *limits;
    uint16_t shard; /* peer i of this process */
    uint16_t shards;
    struct node_id
        siblings[OVERLAY_SHARDS_CAP];   /* Node-IDs of all peers of this process, by shard */
    enum overlay_found_ring found_ring; /* only shard 0 may found */
    struct address bootstrap[OVERLAY_BOOTSTRAP_CAP];
    size_t bootstrap_count;
    struct address candidates[OVERLAY_CANDIDATES_CAP]; /* where our overlay listener is reached */
    size_t candidate_count;
    struct address sip_candidates[OVERLAY_CANDIDATES_CAP]; /* where our overlay SIP listener is */
    size_t sip_candidate_count;
    enum overlay_storage_ack storage_ack;
    uint32_t log_bytes; /* for dht/overlay_persist; 0 = what is stored is not kept anywhere */
    /* Certificates that this peer keeps published under Kinds 0x3 and 0x10: its own and those of
     * the accounts whose home shard it is (US-1). Borrowed for the life of the overlay. */
    const struct ident *const *publish;
    size_t publish_count;
};

enum overlay_event_kind {
    OVERLAY_READY,          /* joined (or founded): requests are served from now on */
    OVERLAY_LOST,           /* no neighbor left; rejoining */
    OVERLAY_LEFT,           /* overlay_leave is done */
    OVERLAY_STORED,         /* tag, error, reload_error */
    OVERLAY_FETCHED,        /* tag, error, values, hops */
    OVERLAY_PONG,           /* tag, error, node_id of who answered, hops, elapsed_us */
    OVERLAY_ASKED,          /* tag, error, node_id, hops, elapsed_us; document: the answer's body */
    OVERLAY_APPATTACHED,    /* tag, error, node_id: the answerer now dials our SIP listener */
    OVERLAY_APPATTACH_DIAL, /* dial one of candidates for application and expect node_id (6.5.2) */
    OVERLAY_CONFIG_RECEIVED, /* document, from node_id: to be answered by overlay_config_judged with
                                this tag (6.5.4) */
};

struct overlay_value {
    struct slice key; /* dictionary key, else empty */
    uint32_t index;   /* array index, else 0 */
    struct slice value;
    uint64_t storage_time_ms;
    uint32_t lifetime_s; /* remaining */
    struct node_id signer;
    struct slice signer_user;
};

struct overlay_event {
    enum overlay_event_kind kind;
    uint64_t tag;
    enum err error;        /* ERR_TIMEOUT nobody answered; ERR_REMOTE see reload_error */
    uint16_t reload_error; /* RFC 6940 14.9 code, 0 when none */
    uint32_t hops;         /* transmissions from us to the responder */
    uint64_t elapsed_us;
    struct node_id node_id;
    struct address candidates[OVERLAY_CANDIDATES_CAP];
    size_t candidate_count;
    uint16_t application;
    struct slice document; /* borrowed until the next call */
    const struct overlay_value
        *values; /* verified, existing values only; borrowed until the next call */
    size_t value_count;
};

struct overlay;
struct link_table; /* link/link.h */
struct link_event;

size_t overlay_bytes(const struct overlay_settings *s);
/* `links` must outlive the overlay; it is used for sending and dialling. */
struct overlay *overlay_init(struct turn *t, struct arena *arena, const struct overlay_settings *s,
                             struct link_table *links);
/* Begins to join (or to found). OVERLAY_READY follows. */
/* Asks the memory for what the next turn reads of it.  See node_fetch_ahead. */
void overlay_fetch_ahead(const struct overlay *o);
void overlay_start(struct turn *t, struct overlay *o);
/* OVERLAY_FOUND_GIVEN: all to whom there are links now are peers of a ring that has been right for
 * long, and we are one of them.  Nothing is asked, nothing is said: for simulations that begin with
 * a ring that is too large to be joined peer by peer. */
void overlay_take_ring(struct turn *t, struct overlay *o);
/* Hands data over, sends Leave to every neighbor (RFC 6940 6.4.2.2, 10.9), then OVERLAY_LEFT. */
void overlay_leave(struct turn *t, struct overlay *o);

void overlay_on_link(struct turn *t, struct overlay *o, const struct link_event *event);
void overlay_on_timer(struct turn *t, struct overlay *o, struct wheel_timer *timer);
/* End of turn: the verification queue is drained within its budget.  True when work is left and the
 * next turn should not wait. */
bool overlay_work(struct turn *t, struct overlay *o);
bool overlay_next(struct turn *t, struct overlay *o, struct overlay_event *event);

/* Resource-ID of a Resource Name under the overlay's hash (SHA-1, first 128 bits). */
void overlay_resource_of(struct turn *t, struct slice name, struct overlay_resource *out);

/* The `overlay` field of messages: the low 32 bits of SHA-1 of the overlay's name (6.3.2). */
uint32_t overlay_hash_of(struct turn *t, struct slice name);

/* What to store: one value of `kind` at `resource`, signed by `signer`, who also signs the request.
 */
struct overlay_store {
    struct overlay_resource resource;
    uint32_t kind;
    const struct ident *signer;
    struct slice key; /* dictionary Kinds; others ignore it */
    uint32_t index;   /* array Kinds; 0xffffffff appends */
    bool exists;      /* false: remove (RFC 6940 7.4.1.3); `value` must be empty */
    struct slice value;
    uint32_t lifetime_s;
};

/* Each: ERR_LIMIT (too many outstanding), ERR_STATE (not joined), ERR_TOO_LARGE. */
enum err overlay_store(struct turn *t, struct overlay *o, const struct overlay_store *what,
                       uint64_t tag) MUST_USE;
/* All values of one Kind at `resource`. */
enum err overlay_fetch(struct turn *t, struct overlay *o, const struct overlay_resource *resource,
                       uint32_t kind, uint64_t tag) MUST_USE;
enum err overlay_appattach(struct turn *t, struct overlay *o, const struct node_id *node_id,
                           uint16_t application, uint64_t tag) MUST_USE;
enum err overlay_ping_node(struct turn *t, struct overlay *o, const struct node_id *node_id,
                           uint64_t tag) MUST_USE;
enum err overlay_ping_resource(struct turn *t, struct overlay *o,
                               const struct overlay_resource *resource, uint64_t tag) MUST_USE;

/* What people may want to know: Stat, Find and RouteQuery (RFC 6940 7.4.3, 7.4.4, 6.4.2.4). */
enum overlay_ask_what { OVERLAY_ASK_STAT, OVERLAY_ASK_FIND, OVERLAY_ASK_ROUTE };
struct overlay_ask {
    enum overlay_ask_what what;
    struct overlay_resource resource; /* where; or the way to which */
    uint32_t kind;                    /* Stat, Find */
    struct node_id at;                /* RouteQuery: whom to ask */
    bool is_node;                     /* RouteQuery: the way to `node`, not to the resource */
    struct node_id node;
};
/* As the above, also ERR_NOT_FOUND: Stat of a Kind that the overlay has not.  OVERLAY_ASKED. */
enum err overlay_ask(struct turn *t, struct overlay *o, const struct overlay_ask *what,
                     uint64_t tag) MUST_USE;

/* How values of a Kind stand in messages, which their bytes do not say; false: an unknown Kind. */
bool overlay_ask_model(const struct overlay *o, uint32_t kind, enum overlay_data_model *out);

/* What has become of the document of an OVERLAY_CONFIG_RECEIVED: 0 = it is ours now, else the
 * RELOAD error to be answered (CU-4). */
void overlay_config_judged(struct turn *t, struct overlay *o, uint64_t tag, uint16_t error_code);

/* Another document of the same overlay, judged good. */
struct overlay_change {
    struct overlay_config config;
    struct crypto_trust trust;
    bool is_trust_other;   /* roots or bad nodes are not those of the last one */
    struct slice document; /* copied */
    const struct address *bootstrap;
    size_t bootstrap_count; /* 0: as before */
    uint32_t dropped[OVERLAY_KINDS_CAP];
    size_t dropped_count; /* Kinds whose values are discarded (CF-3) */
    struct node_id from;  /* who has sent it and so has it; all zeros: nobody */
};
/* It takes effect at once, and those of the Routing Table that have not got it are sent it.  What
 * `trust` points to must live until the next change, or as long as the overlay. */
void overlay_set_config(struct turn *t, struct overlay *o, const struct overlay_change *c);

/* This machine has another address: who reads our candidates from now on finds it. */
void overlay_set_host(struct overlay *o, const struct address *former, const struct address *now);

bool overlay_is_ready(const struct overlay *o);
bool overlay_is_responsible(const struct overlay *o, const struct overlay_resource *resource);

struct overlay_status {
    bool is_ready;
    uint16_t configuration_sequence;
    struct node_id self;
    struct node_id successors[16];
    size_t successor_count;
    struct node_id predecessors[16];
    size_t predecessor_count;
    uint32_t fingers;
    uint32_t routing_table; /* peers we may route through */
    uint32_t resources, values_owned, values_replica;
    uint64_t stored_bytes;
    uint32_t requests_open;
    uint32_t verify_queue;       /* messages that wait for their signature to be checked */
    uint32_t verify_queue_large; /* of those, in large buffers */
    uint64_t verify_oldest_us;   /* how long the oldest request of them has waited */
};
void overlay_status(const struct overlay *o, struct overlay_status *out);

/* For checkers and admin: walks what is stored here; start with *index = 0. */
struct overlay_stored {
    struct overlay_resource resource;
    uint32_t kind;
    struct slice key;
    uint64_t storage_time_ms;
    struct slice wire; /* StoredData, as it was received */
    bool exists;
    bool is_owned; /* we are responsible; else a replica */
};
bool overlay_walk_stored(const struct overlay *o, uint32_t *index, struct overlay_stored *out);
