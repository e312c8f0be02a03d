/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a fixed number of objects of one size, with handles that notice reuse.
 *
 * Owned by one shard, no atomics.  Released objects are poisoned in debug builds.  Exhaustion is a
 * normal result (NULL) that callers test; pool_fail_after lets a test make it happen. */
#pragma once
#include "core/arena.h"
#include "core/handle.h"

struct pool {
    uint8_t *objects;
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
/* A zeroed object, or NULL when all are in use. */
void *pool_acquire(struct pool *p);
void pool_release(struct pool *p, void *object);
handle pool_handle(const struct pool *p, const void *object);
/* The object, or NULL when the handle is 0, of another kind, or over. */
void *pool_get(const struct pool *p, handle h);
/* For who keeps indices of objects in use instead of handles: nothing notices a reuse. */
static inline void *pool_at(const struct pool *p, uint32_t index)
{
    DCHECK(index < p->cap && (p->generations[index] & 1) != 0);
    return p->objects + (size_t)index * p->object_size;
}
uint32_t pool_index(const struct pool *p, const void *object);
/* Walks the objects in use: start with *index = 0; NULL at the end. Releasing the object just
 * returned is allowed. */
void *pool_next(const struct pool *p, uint32_t *index);
void pool_fail_after(struct pool *p, uint32_t acquisitions);
