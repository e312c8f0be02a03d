/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - see pool.h. */
#include "core/pool.h"
#include "core/poison.h"
#include <string.h>

enum { ALIGNMENT = 16, LINE = 64, POISON = 0xdb };

/* Objects of whole cache lines begin with one. */
static size_t alignment_of(size_t stride)
{
    return stride % LINE == 0 ? LINE : ALIGNMENT;
}

/* All but where the objects lie. */
static void init(struct pool *p, struct arena *arena, const struct pool_of *is)
{
    CHECK(is->object_size > 0);
    CHECK(is->object_size <= UINT32_MAX - ALIGNMENT);
    size_t rounded = (is->object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *p = (struct pool){.object_size = (uint32_t)rounded,
                       .cap = is->cap,
                       .fail_after = UINT32_MAX,
                       .kind = is->kind,
                       .name = is->name};
    p->generations = ARENA_ARRAY(arena, uint32_t, p->cap);
    p->next_free = ARENA_RAW(arena, uint32_t, p->cap);
}

void pool_init(struct pool *p, struct arena *arena, const char *name, uint8_t kind, uint32_t cap,
               size_t object_size)
{
    struct pool_of is = {name, kind, cap, object_size};
    init(p, arena, &is);
    p->stride = p->object_size;
    p->beside = cap;
    p->objects = arena_take_raw(arena, cap, p->stride, alignment_of(p->stride));
    p->rest = p->objects + (size_t)cap * p->stride;
}

void pool_init_pair(struct pool *p, const struct pool_of *p_is, struct pool *q,
                    const struct pool_of *q_is, struct arena *arena)
{
    init(p, arena, p_is);
    init(q, arena, q_is);
    CHECK(p->object_size <= UINT32_MAX - q->object_size);
    size_t align = max_size(alignment_of(p->object_size), alignment_of(q->object_size));
    p->stride = q->stride = p->object_size + q->object_size;
    p->beside = q->beside = p->cap < q->cap ? p->cap : q->cap;
    /* As long as if q's had their stride to the end, so that none of the rest lies within it. */
    p->objects = arena_take_raw(arena, 1, (size_t)p->beside * p->stride + p->object_size, align);
    q->objects = p->objects + p->object_size;
    p->rest = arena_take_raw(arena, p->cap - p->beside, p->object_size, align);
    q->rest = arena_take_raw(arena, q->cap - q->beside, q->object_size, align);
}

static NOINLINE uint32_t index_in_rest(const struct pool *p, const void *object)
{
    CHECK((uintptr_t)object >= (uintptr_t)p->rest);
    size_t offset = (uintptr_t)object - (uintptr_t)p->rest;
    size_t index = offset / p->object_size;
    CHECK(index < p->cap - p->beside);
    CHECK(offset % p->object_size == 0);
    return p->beside + (uint32_t)index;
}

static uint32_t index_of(const struct pool *p, const void *object)
{
    size_t offset = (uintptr_t)object - (uintptr_t)p->objects; /* in front of them: very large */
    size_t index = offset / p->stride;
    if (UNLIKELY(index >= p->beside)) {
        return index_in_rest(p, object);
    }
    CHECK(offset % p->stride == 0);
    return (uint32_t)index;
}

static bool is_in_use(const struct pool *p, uint32_t index)
{
    return (p->generations[index] & 1) != 0;
}

void *pool_acquire(struct pool *p)
{
    if (p->fail_after != UINT32_MAX) {
        if (p->fail_after == 0) {
            return NULL;
        }
        p->fail_after--;
    }
    uint32_t index = 0;
    if (p->first_free != 0) {
        index = p->first_free - 1;
        p->first_free = p->next_free[index];
    } else if (p->never_used < p->cap) {
        index = p->never_used++;
    } else {
        return NULL;
    }
    CHECK(!is_in_use(p, index));
    p->generations[index]++;
    p->in_use++;
    p->peak = p->in_use > p->peak ? p->in_use : p->peak;
    poison_lift(pool_place(p, index), p->object_size);
    return memset(pool_place(p, index), 0, p->object_size);
}

void pool_release(struct pool *p, void *object)
{
    uint32_t index = index_of(p, object);
    CHECK(is_in_use(p, index));
    CHECK(p->in_use > 0);
#ifdef CHORDIAL_DEBUG
    memset(object, POISON, p->object_size);
#endif
    poison_set(object, p->object_size);
    p->generations[index]++;
    p->next_free[index] = p->first_free;
    p->first_free = index + 1;
    p->in_use--;
}

uint32_t pool_index(const struct pool *p, const void *object)
{
    uint32_t index = index_of(p, object);
    CHECK(is_in_use(p, index));
    return index;
}

handle pool_handle(const struct pool *p, const void *object)
{
    uint32_t index = index_of(p, object);
    CHECK(is_in_use(p, index));
    return handle_make(p->kind, p->generations[index], index);
}

void *pool_get(const struct pool *p, handle h)
{
    uint32_t index = handle_index(h);
    if (h == 0 || handle_kind(h) != p->kind || index >= p->cap) {
        return NULL;
    }
    uint32_t generation = p->generations[index] & 0xffffffu;
    if ((generation & 1) == 0 || generation != handle_generation(h)) {
        return NULL;
    }
    return pool_place(p, index);
}

void *pool_next(const struct pool *p, uint32_t *index)
{
    while (p->in_use > 0 && *index < p->never_used) {
        uint32_t at = (*index)++;
        if (is_in_use(p, at)) {
            return pool_place(p, at);
        }
    }
    return NULL;
}

void pool_fail_after(struct pool *p, uint32_t acquisitions)
{
    p->fail_after = acquisitions;
}
