/* SPDX-License-Identifier: Apache-2.0 */
/* answer_cache.h - a request with effects is carried out once, however often it arrives
 * (RFC 6940 6.2.1; catalogue TX-3; design.md 4 item 4).
 *
 * Two keys lead to an entry: (transaction id, hash of all bytes behind the forwarding header) is
 * known before any signature is looked at; (signer's Node-ID, transaction id) after it, for those
 * who sign each retransmission anew.  The cached part of an answer is what stands behind its
 * forwarding header: the header is made for each retransmission, which may have come another way.
 *
 * Owner:   one for each overlay, whose Node-ID is therefore no part of the keys.
 * Limits:  `cap` entries for ANSWER_CACHE_US, the oldest gives way. */
#pragma once
#include "core/table.h"
#include "core/turn.h"
#include "dht/message.h"

enum { ANSWER_CACHE_US = 15000000 };

enum answer_cache_find {
    ANSWER_CACHE_MISS,    /* new: carry it out */
    ANSWER_CACHE_PENDING, /* being carried out: say nothing */
    ANSWER_CACHE_HIT,     /* *payload is the answer's contents and security block */
};

struct answer_cache_key {
    uint64_t transaction_id;
    uint8_t who[24]; /* hash of the payload, or Node-ID of the signer; the last byte says which */
};

struct answer_cache_entry {
    struct answer_cache_key keys[2];
    struct msgbuf *payload; /* NULL while pending */
    uint64_t since_us;
    bool is_used;
};

struct answer_cache {
    struct answer_cache_entry *entries;
    struct table by_key; /* both keys */
    uint32_t cap;
    uint32_t head; /* the oldest */
    uint32_t count;
};

size_t answer_cache_bytes(uint32_t cap);
void answer_cache_init(struct turn *t, struct answer_cache *ac, struct arena *arena, uint32_t cap);

/* Has this method effects, so that it must not be carried out twice? */
bool answer_cache_is_for(uint16_t code);
struct answer_cache_key answer_cache_payload_key(struct turn *t, uint64_t transaction_id,
                                                 struct slice payload);
struct answer_cache_key answer_cache_signer_key(uint64_t transaction_id,
                                                const struct node_id *signer);

enum answer_cache_find answer_cache_find(struct turn *t, struct answer_cache *ac,
                                         const struct answer_cache_key *key, struct slice *payload);
/* The request is carried out from now on: its entry is pending. */
void answer_cache_begin(struct turn *t, struct answer_cache *ac,
                        const struct answer_cache_key *payload_key,
                        const struct answer_cache_key *signer_key);
/* Keeps the answer to the request of `signer_key`; without an entry nothing happens. */
void answer_cache_keep(struct turn *t, struct answer_cache *ac,
                       const struct answer_cache_key *signer_key, struct slice payload);
/* Releases all buffers. */
void answer_cache_clear(struct turn *t, struct answer_cache *ac);
