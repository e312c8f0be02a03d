/* SPDX-License-Identifier: Apache-2.0 */
/* transit_peer.h - the far ends of links for bench/transit: real certificates, real TLS
 * (BoringSSL), frames by hand, and nothing else, so that they cost as little as they can.
 *
 * A peer is a TLS client.  It knows no sockets: bytes go in with transit_peer_feed, come out with
 * transit_peer_pull.  One that generates fills records of 16 KiB with messages to another peer;
 * each peer counts and checks what it gets and acknowledges it. */
#pragma once
#include "codec/frame.h"
#include "codec/ids.h"
#include "dht/ident.h"
#include "link/tls_boring.h"

enum {
    TRANSIT_MESSAGE_CAP = 4096,
    TRANSIT_TTL = 50,
    TRANSIT_INITIAL_TTL = 100,
    TRANSIT_MESSAGES = 64, /* different ones, used in turn */
};

/* Who signs all certificates of one run. */
struct transit_ca {
    struct crypto_key *key;
    uint8_t certificate[CRYPTO_BORING_CERTIFICATE_CAP];
    size_t certificate_len;
    struct slice root; /* of `trust` */
    struct crypto_trust trust;
    struct rl_params params;
    struct crypto_key *peer_key; /* one key for all far ends: making 10,000 takes long */
};

struct transit_identity {
    struct ident ident;
    struct crypto_key *key;
    uint8_t certificate[1024];
};

extern const char transit_overlay_name[];

/* Each ends the program with a sentence when it fails: a benchmark has no other way to go on. */
void transit_require(bool is_right, const char *what);
void transit_ca_open(struct transit_ca *ca);
/* Node number `number`, at most 2^24; `key` NULL: a key of its own. */
void transit_identity_open(struct transit_identity *id, const struct transit_ca *ca,
                           uint32_t number, struct crypto_key *key);

struct transit_peer {
    struct ident ident;
    struct tls_boring *context;
    struct tls *tls;
    bool is_up;
    uint32_t next_sequence;
    uint32_t top; /* the highest sequence received */
    bool owes_ack;
    uint8_t *partial; /* a frame that is cut */
    size_t partial_len;
    uint64_t sent;
    const struct transit_load *expected; /* what it gets from other peers */
    uint64_t received;
    uint64_t wrong; /* other length, other ttl, not for us */
    uint64_t sum;   /* of the transaction ids */
};

/* Messages that are sent: requests with no Via entry and one destination, which is put in later. */
struct transit_load {
    uint8_t bytes[TRANSIT_MESSAGES][TRANSIT_MESSAGE_CAP];
    size_t len; /* of each */
    size_t destination_at;
};
void transit_load_make(struct transit_load *load, const struct transit_ca *ca, size_t len);
/* How many fit into one record. */
uint32_t transit_load_per_record(const struct transit_load *load);
/* The sum that a sink must have after `count` of them, from number `first` on. */
uint64_t transit_load_sum(uint64_t first, uint64_t count);

void transit_peer_open(struct transit_peer *p, const struct transit_ca *ca, uint32_t number);
void transit_peer_close(struct transit_peer *p);
/* Counts and checks a message that has come. */
void transit_peer_take(struct transit_peer *p, struct slice message);
/* Bytes of the connection; they are not changed. */
void transit_peer_feed(struct transit_peer *p, struct slice bytes);
/* Seals one record of `count` messages, which must fit, to `destination`. */
void transit_peer_push(struct transit_peer *p, const struct transit_load *load,
                       const struct node_id *destination, uint32_t count);
/* Seals the ACK that is owed, if one is. */
void transit_peer_acknowledge(struct transit_peer *p);
size_t transit_peer_pull(struct transit_peer *p, uint8_t *out, size_t cap);
