/* SPDX-License-Identifier: Apache-2.0 */
/* store_ahead.c - has the memory that a Fetch will touch fetched while other requests are looked
 * at.
 *
 * A look-up among a million records goes from one cold cache line to the next four times, and each
 * costs as much as decoding a message.  Requests come many in a turn, so each goes one step at a
 * time, and between two steps of one the steps of others.  The last step, a dozen lines of value
 * and certificate, waits until the request before is being answered: fetched earlier they would be
 * out of the first-level cache again.  Only hints: nothing is believed, nothing is changed, a wrong
 * one costs a cache line. */
#include "dht/store_inside.h"

#include "codec/content.h"

enum {
    STEPS = 3,
    /* FetchReq: code, length of the body, Resource-ID with its length, length of the specifiers */
    AT_RESOURCE = 2 + 4 + 1,
    AT_KIND = AT_RESOURCE + OVERLAY_RESOURCE_BYTES + 2,
    LINE_BYTES = 64,
};
STATIC_CHECK(STEPS *STORE_INSIDE_AHEAD_STEP <= STORE_INSIDE_AHEAD);

static void prefetch_bytes(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += LINE_BYTES) {
        __builtin_prefetch(bytes + at);
    }
}

/* The set that is most likely meant: the first with this tag. */
static void find_set(const struct store *s, struct store_inside_ahead *a)
{
    uint32_t at = a->tag;
    uint32_t index = 0;
    if (tags_next(&s->by_key, a->tag, &at, &index)) {
        a->set = index + 1;
        __builtin_prefetch(pool_at(&s->sets, index));
    }
}

static void find_value(const struct store *s, const struct store_inside_ahead *a)
{
    const struct store_set *set = a->set == 0 ? NULL : pool_at(&s->sets, a->set - 1);
    if (set != NULL && set->first != 0) {
        __builtin_prefetch(store_inside_value(s, set->first));
    }
}

/* What is due when request number `next` comes: each step for the one that is so far behind it. */
static void advance(struct store *s, uint32_t next, uint32_t last)
{
    for (uint32_t step = 1; step < STEPS; step++) {
        uint32_t number = next - step * STORE_INSIDE_AHEAD_STEP;
        if (number - s->ahead_first >= last - s->ahead_first) {
            continue; /* none came so long ago, or it has been through */
        }
        struct store_inside_ahead *a = &s->ahead[number % STORE_INSIDE_AHEAD];
        if (step == 1) {
            find_set(s, a);
        } else {
            find_value(s, a);
        }
    }
}

/* The first Kind that a FetchReq asks for; false: it does not look like one. */
static bool read_key(struct slice payload, struct store_inside_key *key)
{
    if (payload.len < AT_KIND + 4 || payload.data[AT_RESOURCE - 1] != OVERLAY_RESOURCE_BYTES) {
        return false;
    }
    key->kind = rd_at32(payload.data + AT_KIND);
    memcpy(key->resource, payload.data + AT_RESOURCE, sizeof(key->resource));
    return true;
}

uint32_t store_ahead(struct store *s, struct slice payload)
{
    struct store_inside_key key;
    if (!read_key(payload, &key)) {
        return 0;
    }
    uint32_t tag = store_inside_tag(s, &key);
    uint32_t number = s->ahead_next++;
    s->ahead[number % STORE_INSIDE_AHEAD] = (struct store_inside_ahead){.tag = tag};
    tags_prefetch(&s->by_key, tag);
    advance(s, number, s->ahead_next);
    return tag;
}

void store_ahead_end(struct store *s)
{
    uint32_t last = s->ahead_next;
    if (last - s->ahead_first > 1) { /* one alone is as fast without */
        for (uint32_t i = 0; i < STEPS * STORE_INSIDE_AHEAD_STEP; i++) {
            advance(s, last + i, last);
        }
    }
    s->ahead_first = last;
}

void store_ahead_next(struct store *s, struct slice payload, uint32_t tag)
{
    struct store_inside_key key;
    if (!read_key(payload, &key)) {
        return;
    }
    struct store_set *set = store_inside_find(s, &key, tag);
    s->found_last ^= 1;
    s->found[s->found_last] = (struct store_inside_found){key, set};
    const struct store_value *v = set == NULL ? NULL : store_inside_value(s, set->first);
    if (v != NULL) {
        prefetch_bytes(value_at(&s->heap, v->piece), v->len);
        prefetch_bytes(value_at(&s->heap, v->certificate_piece), v->certificate_len);
    }
}
