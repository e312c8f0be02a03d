/* SPDX-License-Identifier: Apache-2.0 */
/* frag_model.h - reassembly once more, by one who has all the memory in the world: an array of
 * bytes and one of flags for each message and neighbor, and the rules of RFC 6940 6.7 read aloud.
 * The judge of dht/frag in tests/model and fuzz/.  It knows no caps. */
#pragma once
#include "dht/frag.h"

#include <string.h>

enum { FRAG_MODEL_BYTES = 20480, FRAG_MODEL_MESSAGES = 24, FRAG_MODEL_MIN = 256 };

/* Loops over single bytes: a fuzzer that follows every turn of them learns nothing and is slow. */
#ifdef __clang__
#define FRAG_MODEL_LOOP __attribute__((noinline, no_sanitize("coverage")))
#else
#define FRAG_MODEL_LOOP __attribute__((noinline))
#endif

struct frag_model_message {
    bool is_used, is_answer, is_given, is_done;
    uint64_t id, born, until_us;
    unsigned hop;
    bool has[FRAG_MODEL_BYTES];
    uint8_t bytes[FRAG_MODEL_BYTES];
    size_t highest, end; /* end: 0 as long as it is not known */
    uint8_t header[FRAG_MODEL_BYTES];
    size_t header_len, via_len;
};

struct frag_model {
    size_t max;
    uint64_t quiet_us;
    uint64_t born;
    struct frag_model_message messages[FRAG_MODEL_MESSAGES];
    /* what the last fragment completed */
    uint8_t out[FRAG_MODEL_BYTES];
    size_t out_len;
    unsigned out_hop;
};

FRAG_MODEL_LOOP static bool frag_model_has_all(const struct frag_model_message *a,
                                               const struct frag_model_message *b, size_t end)
{
    for (size_t i = 0; i < end; i++) {
        if (!a->has[i] && (b == NULL || !b->has[i])) {
            return false;
        }
    }
    return end != 0;
}

/* Neither says that a byte is what the other says it is not, or lies behind the end. */
FRAG_MODEL_LOOP static bool frag_model_agree(const struct frag_model_message *a,
                                             const struct frag_model_message *b)
{
    if (a->end != 0 && b->end != 0 && a->end != b->end) {
        return false;
    }
    size_t end = a->end != 0 ? a->end : b->end;
    for (size_t i = 0; i < max_size(a->highest, b->highest); i++) {
        bool is_beyond = i >= end && (a->has[i] || b->has[i]);
        if (is_beyond || (a->has[i] && b->has[i] && a->bytes[i] != b->bytes[i])) {
            return false;
        }
    }
    return true;
}

static inline bool frag_model_is_more(const struct frag_model *m, size_t len, size_t via_len)
{
    return len - via_len > m->max || len > MSGBUF_LARGE_BYTES;
}

FRAG_MODEL_LOOP static bool frag_model_give(struct frag_model *m,
                                            const struct frag_model_message *a,
                                            const struct frag_model_message *b)
{
    const struct frag_model_message *head = a->header_len != 0 ? a : b;
    size_t end = a->end != 0 ? a->end : b->end;
    if (frag_model_is_more(m, head->header_len + end, head->via_len)) {
        return false;
    }
    memcpy(m->out, head->header, head->header_len);
    for (size_t i = 0; i < end; i++) {
        m->out[head->header_len + i] = a->has[i] ? a->bytes[i] : b->bytes[i];
    }
    m->out_len = head->header_len + end;
    m->out_hop = head->hop;
    static const uint8_t whole[4] = {0xc0, 0, 0, 0};
    memcpy(m->out + 12, whole, sizeof(whole));
    for (unsigned i = 0; i < 4; i++) {
        m->out[16 + i] = (uint8_t)(m->out_len >> (24 - 8 * i));
    }
    return true;
}

static inline struct frag_model_message *frag_model_find(struct frag_model *m, uint64_t id,
                                                         bool is_answer, unsigned hop)
{
    for (size_t i = 0; i < FRAG_MODEL_MESSAGES; i++) {
        struct frag_model_message *u = &m->messages[i];
        if (u->is_used && u->id == id && u->is_answer == is_answer && u->hop == hop) {
            return u;
        }
    }
    return NULL;
}

static inline struct frag_model_message *
frag_model_begin(struct frag_model *m, uint64_t id, bool is_answer, unsigned hop, uint64_t now_us)
{
    struct frag_model_message *u = m->messages;
    while (u->is_used) {
        u++;
        CHECK(u < m->messages + FRAG_MODEL_MESSAGES);
    }
    memset(u, 0, sizeof(*u));
    u->is_used = true;
    u->id = id;
    u->is_answer = is_answer;
    u->hop = hop;
    u->until_us = now_us + 15000000;
    u->born = ++m->born;
    return u;
}

FRAG_MODEL_LOOP static bool frag_model_contradicts(const struct frag_model_message *u,
                                                   const struct fwd *h)
{
    size_t from = fwd_offset(h), to = from + h->payload.len;
    bool is_beyond = u->end != 0 && (fwd_is_last(h) ? to != u->end : to > u->end);
    if (is_beyond || (fwd_is_last(h) && u->end == 0 && to < u->highest)) {
        return true;
    }
    for (size_t i = from; i < to; i++) {
        if (u->has[i] && u->bytes[i] != h->payload.data[i - from]) {
            return true;
        }
    }
    return false;
}

/* The youngest of those that began before `born`. */
static inline struct frag_model_message *frag_model_before(struct frag_model *m, uint64_t born)
{
    struct frag_model_message *found = NULL;
    for (size_t i = 0; i < FRAG_MODEL_MESSAGES; i++) {
        struct frag_model_message *u = &m->messages[i];
        if (u->is_used && u->born < born && (found == NULL || u->born > found->born)) {
            found = u;
        }
    }
    return found;
}

/* Together with the youngest of the same message that goes with it. */
static inline void frag_model_join(struct frag_model *m, struct frag_model_message *u)
{
    struct frag_model_message *k = frag_model_before(m, UINT64_MAX);
    for (; k != NULL && !u->is_given; k = frag_model_before(m, k->born)) {
        bool is_kin = k != u && k->id == u->id && k->is_answer == u->is_answer && !k->is_given;
        size_t end = u->end != 0 ? u->end : k->end;
        if (is_kin && frag_model_agree(u, k) && frag_model_has_all(u, k, end)) {
            u->is_given = k->is_given = frag_model_give(m, u, k);
        }
    }
}

/* True when that was nothing new. */
FRAG_MODEL_LOOP static bool frag_model_store(struct frag_model_message *u, const struct fwd *h)
{
    size_t from = fwd_offset(h), len = h->payload.len;
    bool is_known = true;
    for (size_t i = 0; i < len; i++) {
        is_known = is_known && u->has[from + i];
        u->has[from + i] = true;
        u->bytes[from + i] = h->payload.data[i];
    }
    return is_known;
}

/* One fragment; true when it completed a message, which is then in `out`. */
static inline bool frag_model_push(struct frag_model *m, struct slice fragment, const struct fwd *h,
                                   bool is_answer, unsigned hop, uint64_t now_us)
{
    struct frag_model_message *u = frag_model_find(m, h->transaction_id, is_answer, hop);
    size_t from = fwd_offset(h), len = h->payload.len;
    m->out_len = 0;
    if (u != NULL && u->is_done) {
        return false;
    }
    if (len == 0 || (len < FRAG_MODEL_MIN && !fwd_is_last(h))) {
        return false;
    }
    if (frag_model_is_more(m, h->header_bytes + from + len, h->via_list.len) ||
        (u != NULL && frag_model_contradicts(u, h))) {
        if (u != NULL) {
            u->is_used = false;
        }
        return false;
    }
    if (u == NULL) {
        u = frag_model_begin(m, h->transaction_id, is_answer, hop, now_us);
    }
    bool is_new = !frag_model_store(u, h);
    if (from == 0 && u->header_len == 0) {
        u->header_len = h->header_bytes;
        u->via_len = h->via_list.len;
        memcpy(u->header, fragment.data, h->header_bytes);
    }
    u->highest = max_size(u->highest, from + len);
    if (fwd_is_last(h)) {
        is_new = is_new || u->end == 0;
        u->end = from + len;
    }
    if (!is_new) {
        return false;
    }
    if (frag_model_has_all(u, NULL, u->end)) {
        u->is_used = u->is_done = frag_model_give(m, u, NULL);
        u->until_us = now_us + m->quiet_us;
        memset(u->has, 0, sizeof(u->has));
        u->end = u->highest = 0;
        return u->is_done;
    }
    frag_model_join(m, u);
    return m->out_len != 0;
}

/* FR-5: 15 seconds after the first fragment; or when repetitions are none of the link any more. */
static inline void frag_model_expire(struct frag_model *m, uint64_t now_us)
{
    for (size_t i = 0; i < FRAG_MODEL_MESSAGES; i++) {
        struct frag_model_message *u = &m->messages[i];
        if (u->is_used && now_us >= u->until_us) {
            u->is_used = false;
        }
    }
}

static inline uint32_t frag_model_count(const struct frag_model *m)
{
    uint32_t count = 0;
    for (size_t i = 0; i < FRAG_MODEL_MESSAGES; i++) {
        count += m->messages[i].is_used ? 1 : 0;
    }
    return count;
}
