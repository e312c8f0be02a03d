/* SPDX-License-Identifier: Apache-2.0 */
/* answer_cache.c - a ring of entries in order of age, all of one life time, and a table over it. */
#include "dht/answer_cache.h"
#include "core/buggify.h"

#include "core/limits.h"
#include "dht/budget.h"

STATIC_CHECK(sizeof(struct answer_cache_entry) <= LIMITS_COST_answers_cached);
STATIC_CHECK(sizeof(struct answer_cache_key) == 32);

size_t answer_cache_bytes(uint32_t cap)
{
    return (size_t)cap * sizeof(struct answer_cache_entry) +
           budget_table(2 * (size_t)cap, sizeof(struct answer_cache_key)) + BUDGET_SLACK;
}

void answer_cache_init(struct turn *t, struct answer_cache *ac, struct arena *arena, uint32_t cap)
{
    CHECK(cap > 0);
    *ac = (struct answer_cache){.cap = cap};
    ac->entries = ARENA_ARRAY(arena, struct answer_cache_entry, cap);
    table_init(&ac->by_key, arena, 2 * cap, sizeof(struct answer_cache_key), rng_next(t->rng));
}

bool answer_cache_is_for(uint16_t code)
{
    switch (code) {
    case CONTENT_STORE_REQ:
    case CONTENT_JOIN_REQ:
    case CONTENT_LEAVE_REQ:
    case CONTENT_UPDATE_REQ:
    case CONTENT_ATTACH_REQ:
    case CONTENT_APP_ATTACH_REQ:
    case CONTENT_CONFIG_UPDATE_REQ:
        return true;
    default:
        return false;
    }
}

struct answer_cache_key answer_cache_payload_key(struct turn *t, uint64_t transaction_id,
                                                 struct slice payload)
{
    struct answer_cache_key key = {.transaction_id = transaction_id};
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    t->crypto->sha256(payload, sha256);
    memcpy(key.who, sha256, sizeof(key.who) - 1);
    key.who[sizeof(key.who) - 1] = 1;
    return key;
}

struct answer_cache_key answer_cache_signer_key(uint64_t transaction_id,
                                                const struct node_id *signer)
{
    struct answer_cache_key key = {.transaction_id = transaction_id};
    memcpy(key.who, signer->bytes, sizeof(signer->bytes));
    key.who[sizeof(key.who) - 1] = 2;
    return key;
}

/* A payload key may have been left with an older entry: then it is not ours to remove. */
static void remove_key(struct answer_cache *ac, const struct answer_cache_key *key, uint32_t index)
{
    uint32_t found = 0;
    if (table_find(&ac->by_key, key, &found) && found == index) {
        (void)table_remove(&ac->by_key, key);
    }
}

static void forget_oldest(struct turn *t, struct answer_cache *ac)
{
    struct answer_cache_entry *e = &ac->entries[ac->head];
    remove_key(ac, &e->keys[0], ac->head);
    remove_key(ac, &e->keys[1], ac->head);
    if (e->payload != NULL) {
        msgbuf_release(t->buffers, e->payload);
    }
    *e = (struct answer_cache_entry){0};
    ac->head = (ac->head + 1) % ac->cap;
    ac->count--;
}

static void forget_old(struct turn *t, struct answer_cache *ac)
{
    while (ac->count > 0 && t->now_us - ac->entries[ac->head].since_us >= ANSWER_CACHE_US) {
        forget_oldest(t, ac);
    }
}

enum answer_cache_find answer_cache_find(struct turn *t, struct answer_cache *ac,
                                         const struct answer_cache_key *key, struct slice *payload)
{
    uint32_t index = 0;
    forget_old(t, ac);
    if (!table_find(&ac->by_key, key, &index)) {
        return ANSWER_CACHE_MISS;
    }
    const struct answer_cache_entry *e = &ac->entries[index];
    if (e->payload == NULL) {
        return ANSWER_CACHE_PENDING;
    }
    if (buggify(t, BUGGIFY_answer_forgotten)) {
        return ANSWER_CACHE_MISS;
    }
    *payload = msgbuf_slice(e->payload);
    return ANSWER_CACHE_HIT;
}

void answer_cache_begin(struct turn *t, struct answer_cache *ac,
                        const struct answer_cache_key *payload_key,
                        const struct answer_cache_key *signer_key)
{
    forget_old(t, ac);
    if (ac->count == ac->cap) {
        forget_oldest(t, ac);
    }
    uint32_t index = (ac->head + ac->count) % ac->cap;
    /* A key that is there already belongs to an entry found a moment ago: it keeps it. */
    if (table_insert(&ac->by_key, signer_key, index) != ERR_OK) {
        return;
    }
    (void)!table_insert(&ac->by_key, payload_key, index);
    ac->entries[index] = (struct answer_cache_entry){
        .keys = {*payload_key, *signer_key}, .since_us = t->now_us, .is_used = true};
    ac->count++;
}

void answer_cache_keep(struct turn *t, struct answer_cache *ac,
                       const struct answer_cache_key *signer_key, struct slice payload)
{
    uint32_t index = 0;
    if (!table_find(&ac->by_key, signer_key, &index) || ac->entries[index].payload != NULL) {
        return;
    }
    struct msgbuf *buf = msgbuf_acquire(t->buffers, payload.len);
    if (buf == NULL) {
        return; /* counted by the pool; a retransmission then meets a pending entry */
    }
    enum err e = msgbuf_append(buf, payload);
    CHECK(e == ERR_OK);
    ac->entries[index].payload = buf;
}

void answer_cache_clear(struct turn *t, struct answer_cache *ac)
{
    while (ac->count > 0) {
        forget_oldest(t, ac);
    }
}
