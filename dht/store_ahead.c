/* SPDX-License-Identifier: Apache-2.0 */
/* store_ahead.c - has the memory that Fetches will touch fetched, for many of them at once.
 *
 * A look-up among a million records goes from one cold cache line to the next four times, then
 * copies a dozen, on five pages that the processor does not know either.  One alone waits for each
 * of these; so the requests that are next go step by step together, and while a step of one waits,
 * that of the others is on its way.  Only hints: nothing is changed, and a wrong one costs a cache
 * line. */
#include "dht/store_inside.h"

#include "codec/content.h"

enum {
    /* FetchReq: code, length of the body, Resource-ID with its length, length of the specifiers */
    AT_RESOURCE = 2 + 4 + 1,
    AT_KIND = AT_RESOURCE + OVERLAY_RESOURCE_BYTES + 2,
    LINE_BYTES = 64,
};

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

/* All lines but the first, by fours: to ask for some of another piece costs less than to count. */
static void prefetch_rest(const uint8_t *bytes, size_t len)
{
    uintptr_t end = (uintptr_t)bytes + len; /* a number: it may go beyond the heap */
    for (uintptr_t at = (uintptr_t)bytes; at < end; at += 4 * LINE_BYTES) {
        __builtin_prefetch((const void *)(at + LINE_BYTES));
        __builtin_prefetch((const void *)(at + 2 * LINE_BYTES));
        __builtin_prefetch((const void *)(at + 3 * LINE_BYTES));
        __builtin_prefetch((const void *)(at + 4 * LINE_BYTES));
    }
}

/* The slots of the index.  They are asked for when all keys are hashed: to hash one waits until it
 * has been written to memory, which waits for whatever was asked for before it. */
static uint32_t find_keys(struct store *s, const struct slice *payloads, size_t count,
                          uint32_t *tags)
{
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct store_inside_key *key = &s->found[n].key;
        if (read_key(payloads[i], key)) {
            tags[n++] = store_inside_tag(s, key);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        tags_prefetch(&s->by_key, tags[i]);
    }
    return n;
}

/* The sets most likely meant: the first with this tag each; and the line behind it, where its first
 * value mostly lies (pool_init_pair). */
static void find_sets(struct store *s, uint32_t count, const uint32_t *tags)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = tags[i];
        uint32_t index = 0;
        s->found[i].set = NULL;
        if (tags_next(&s->by_key, tags[i], &at, &index)) {
            s->found[i].set = pool_at(&s->sets, index);
            __builtin_prefetch(s->found[i].set);
            __builtin_prefetch((const uint8_t *)s->found[i].set + LINE_BYTES);
        }
    }
}

/* The sets that are meant, and their first values. */
static void find_values(struct store *s, uint32_t count, const uint32_t *tags)
{
    for (uint32_t i = 0; i < count; i++) {
        struct store_inside_found *found = &s->found[i];
        struct store_set *set = found->set;
        if (UNLIKELY(set != NULL && !store_inside_is_key_of(set, &found->key))) {
            found->set = store_inside_find(s, &found->key, tags[i]);
        }
        found->value = found->set == NULL ? NULL : store_inside_value(s, found->set->first);
        if (found->value != NULL) {
            __builtin_prefetch(found->value);
        }
    }
}

/* One line of value and certificate each. */
static void find_bytes(struct store *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct store_value *v = s->found[i].value;
        if (v != NULL) {
            __builtin_prefetch(value_at(&s->heap, v->piece));
            __builtin_prefetch(value_at(&s->heap, v->certificate_piece));
        }
    }
}

void store_ahead_bytes(const struct store *s, uint32_t at)
{
    const struct store_value *v = at < s->found_count ? s->found[at].value : NULL;
    if (v != NULL) {
        prefetch_rest(value_at(&s->heap, v->piece), v->len);
        prefetch_rest(value_at(&s->heap, v->certificate_piece), v->certificate_len);
    }
}

void store_ahead(struct store *s, const struct slice *payloads, size_t count)
{
    uint32_t tags[STORE_AHEAD];
    CHECK(count <= STORE_AHEAD);
    store_inside_forget_ahead(s);
    if (count < 2) { /* one alone is as fast without */
        return;
    }
    uint32_t n = find_keys(s, payloads, count, tags);
    find_sets(s, n, tags);
    find_values(s, n, tags);
    find_bytes(s, n);
    s->found_at = 0;
    s->found_count = n;
    store_ahead_bytes(s, 0);
}
