/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_floor.c - see lookup_floor.h. */
#include "bench/lookup_floor.h"

#include "bench/bench.h"
#include "bench/lookup_world.h"
#include "core/hash.h"

#include <string.h>
#include <sys/mman.h>

enum {
    BATCH = 16,
    COPY_BYTES = 500,
    SLOT_BYTES = 512,
    POOL_BYTES = 64 << 20,
};

/* One cache line: the key and what is looked for. */
struct record {
    uint64_t key[2];
    uint64_t value;
    uint64_t rest[5];
};

struct lookup_floor {
    struct record *slots;
    uint8_t *pool;
    size_t slot_count;
    size_t pool_slots;
    uint32_t records;
    uint64_t state;
    size_t copy_bytes; /* not a constant to the compiler */
};

static void *map(size_t bytes, bool huge_pages)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_require(p != MAP_FAILED, "no memory");
    if (huge_pages) {
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* where the kernel has none, ordinary ones */
    }
    return p;
}

static void key_of(uint64_t number, uint64_t key[2])
{
    key[0] = number * 0x9e3779b97f4a7c15u + 1;
    key[1] = number ^ 0x5555555555555555u;
}

static size_t home_of(const struct lookup_floor *f, const uint64_t key[2])
{
    return (size_t)hash_64(slice_of(key, 16), 99) & (f->slot_count - 1);
}

struct lookup_floor *lookup_floor_make(uint32_t records, enum lookup_floor_kind kind)
{
    static struct lookup_floor floors[LOOKUP_FLOOR_KINDS];
    struct lookup_floor *f = &floors[kind];
    bool huge_pages = kind != LOOKUP_FLOOR_SMALL_PAGES;
    *f = (struct lookup_floor){
        .records = records,
        .state = 1,
        .copy_bytes = COPY_BYTES,
        .pool_slots = kind == LOOKUP_FLOOR_AS_STORED ? records : (size_t)POOL_BYTES / SLOT_BYTES};
    f->slot_count = 64;
    while (f->slot_count * 3 < (size_t)records * 4) {
        f->slot_count *= 2;
    }
    f->slots = map(f->slot_count * sizeof(*f->slots), huge_pages);
    f->pool = map(f->pool_slots * SLOT_BYTES, huge_pages);
    for (uint32_t i = 0; i < records; i++) {
        uint64_t key[2];
        key_of(i, key);
        size_t at = home_of(f, key);
        while (f->slots[at].value != 0) {
            at = (at + 1) & (f->slot_count - 1);
        }
        memcpy(f->slots[at].key, key, sizeof(key));
        f->slots[at].value = (uint64_t)i + 1;
    }
    for (size_t i = 0; i < f->pool_slots; i++) {
        memset(f->pool + i * SLOT_BYTES, (int)(i % 251), SLOT_BYTES);
    }
    return f;
}

void lookup_floor_free(struct lookup_floor *f)
{
    (void)munmap(f->slots, f->slot_count * sizeof(*f->slots));
    (void)munmap(f->pool, f->pool_slots * SLOT_BYTES);
}

static uint64_t next_random(struct lookup_floor *f)
{
    f->state = f->state * 6364136223846793005u + 1442695040888963407u;
    return f->state >> 33;
}

static uint64_t value_at(const struct lookup_floor *f, size_t at, const uint64_t key[2])
{
    while (memcmp(f->slots[at].key, key, 16) != 0) {
        at = (at + 1) & (f->slot_count - 1);
    }
    return f->slots[at].value;
}

double lookup_floor_probe(struct lookup_floor *f, uint32_t count)
{
    uint64_t wanted = 0;
    uint64_t found = 0;
    uint64_t from = lookup_world_cpu_ns();
    for (uint32_t done = 0; done < count; done += BATCH) {
        uint64_t keys[BATCH][2];
        size_t at[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            uint64_t number = next_random(f) % f->records;
            wanted += number + 1;
            key_of(number, keys[i]);
            at[i] = home_of(f, keys[i]);
            __builtin_prefetch(&f->slots[at[i]]);
        }
        for (size_t i = 0; i < BATCH; i++) {
            found += value_at(f, at[i], keys[i]);
        }
    }
    uint64_t spent = lookup_world_cpu_ns() - from;
    bench_require(found == wanted, "a probe of the floor");
    return (double)spent / count;
}

double lookup_floor_copy(struct lookup_floor *f, uint32_t count)
{
    uint8_t copy[SLOT_BYTES];
    uint64_t sum = 0;
    uint64_t wanted = 0;
    uint64_t from = lookup_world_cpu_ns();
    for (uint32_t i = 0; i < count; i++) {
        size_t at = next_random(f) % f->pool_slots;
        memcpy(copy, f->pool + at * SLOT_BYTES, f->copy_bytes);
        bench_keep(copy);
        sum += copy[COPY_BYTES - 1];
        wanted += at % 251;
    }
    uint64_t spent = lookup_world_cpu_ns() - from;
    bench_require(sum == wanted, "a copy of the floor");
    return (double)spent / count;
}
