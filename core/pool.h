/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a fixed number of objects of one size, with handles that notice reuse.
 *
 * Owned by one shard, no atomics.  Released objects are poisoned in debug builds.  Exhaustion is a
 * normal result (NULL) that callers test; pool_fail_after lets a test make it happen. */
#pragma once
#include "core/arena.h"
#include "core/handle.h"

struct pool {
    uint8_t *objects; /* the first `beside` of them, `stride` bytes from each to the next */
    uint8_t *rest;    /* the others, one behind the other */
    uint32_t stride;
    uint32_t beside;       /* all of them, unless there is another pool in between */
    uint32_t *generations; /* odd while in use */
    uint32_t *next_free;   /* index + 1 of the next free object */
    uint32_t object_size;
    uint32_t cap;
    uint32_t in_use;
    uint32_t peak;
    uint32_t first_free; /* index + 1, 0 = none */
    uint32_t never_used; /* objects from here on were never handed out */
    uint32_t fail_after; /* tests: acquisitions left before failing; UINT32_MAX = off */
    uint8_t kind;        /* goes into the handles */
    const char *name;    /* for metrics and errors */
};

void pool_init(struct pool *p, struct arena *arena, const char *name, uint8_t kind, uint32_t cap,
               size_t object_size);
/* Two pools whose objects of the same index lie beside each other, as far as both have one: for
 * objects that are read together, so that they are on one page.  It takes as much as two do. */
struct pool_of {
    const char *name;
    uint8_t kind;
    uint32_t cap;
    size_t object_size;
};
void pool_init_pair(struct pool *p, const struct pool_of *p_is, struct pool *q,
                    const struct pool_of *q_is, struct arena *arena);
/* A zeroed object, or NULL when all are in use. */
void *pool_acquire(struct pool *p);
void pool_release(struct pool *p, void *object);
handle pool_handle(const struct pool *p, const void *object);
/* The object, or NULL when the handle is 0, of another kind, or over. */
void *pool_get(const struct pool *p, handle h);
/* Where it lies, in use or not. */
static inline uint8_t *pool_place(const struct pool *p, uint32_t index)
{
    return index < p->beside ? p->objects + (size_t)index * p->stride
                             : p->rest + (size_t)(index - p->beside) * p->object_size;
}
/* For who keeps indices of objects in use instead of handles: nothing notices a reuse. */
static inline void *pool_at(const struct pool *p, uint32_t index)
{
    DCHECK(index < p->cap && (p->generations[index] & 1) != 0);
    return pool_place(p, index);
}
uint32_t pool_index(const struct pool *p, const void *object);
/* Walks the objects in use: start with *index = 0; NULL at the end. Releasing the object just
 * returned is allowed. */
void *pool_next(const struct pool *p, uint32_t *index);
void pool_fail_after(struct pool *p, uint32_t acquisitions);
