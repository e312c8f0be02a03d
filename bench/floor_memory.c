/* SPDX-License-Identifier: Apache-2.0 */
/* floor_memory.c - what memory costs whoever looks things up: to copy 500 bytes that no cache has,
 * and to find one of a million records by a key of 128 bits.
 *
 * Copies go over 64 MB in slots of 512 bytes, in a random order that was made beforehand, and do
 * not wait for each other.  The table is what a look-up cannot be faster than: records of a cache
 * line stand in the table itself, half of which is empty; 16 probes are begun together, so that
 * their misses overlap.  Pages are those that malloc gets, without a hint. */
#include "bench/floor_run.h"
#include "core/rng.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_SLOTS = 1 << 17, COPY_SLOT_BYTES = 512, COPY_BYTES = 500 };
enum { RECORDS = 1000000, TABLE_SLOTS = 1 << 21, BATCH = 16, ORDER = 1 << 20 };

struct record {
    uint64_t key[2]; /* both zero: empty */
    uint64_t value;
    uint8_t more[40];
};
STATIC_CHECK(sizeof(struct record) == 64);

static inline void keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static void *allocate(size_t bytes)
{
    void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    floor_run_require(p != NULL, "no memory");
    return p;
}

static uint32_t *shuffled(struct rng *rng, size_t count)
{
    uint32_t *order = allocate(count * sizeof(*order));
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = rng_below(rng, i + 1);
        uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    return order;
}

/* ---- copies ---- */

static void measure_copies(struct rng *rng, uint64_t rounds)
{
    uint8_t *bytes = allocate((size_t)COPY_SLOTS * COPY_SLOT_BYTES);
    uint32_t *order = shuffled(rng, COPY_SLOTS);
    uint8_t copy[COPY_SLOT_BYTES];
    size_t copy_bytes = COPY_BYTES;
    uint64_t sum = 0;
    uint64_t want = 0;
    for (size_t i = 0; i < COPY_SLOTS; i++) {
        uint64_t word = rng_next(rng);
        memset(bytes + i * COPY_SLOT_BYTES, (int)i, COPY_SLOT_BYTES);
        memcpy(bytes + i * COPY_SLOT_BYTES + COPY_BYTES - sizeof(word), &word, sizeof(word));
        want += word * rounds;
    }
    keep(&copy_bytes); /* not a constant to the compiler */
    struct floor_run_result r = {.ops = rounds * COPY_SLOTS};
    uint64_t wall = floor_run_wall_ns();
    uint64_t cpu = floor_run_cpu_ns();
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < COPY_SLOTS; i++) {
            uint64_t word;
            memcpy(copy, bytes + (size_t)order[i] * COPY_SLOT_BYTES, copy_bytes);
            keep(copy);
            memcpy(&word, copy + COPY_BYTES - sizeof(word), sizeof(word));
            sum += word;
        }
    }
    r.cpu_ns = floor_run_cpu_ns() - cpu;
    r.wall_ns = floor_run_wall_ns() - wall;
    floor_run_require(sum == want, "the copies are not what was copied");
    floor_run_print("cold_copy_500", &r);
    free(order);
    free(bytes);
}

/* ---- the table ---- */

static inline size_t slot_of(const uint64_t key[2])
{
    return (size_t)((key[0] ^ key[1]) * 0x9e3779b97f4a7c15u >> 43) % TABLE_SLOTS;
}

static inline const struct record *find(const struct record *table, const uint64_t key[2])
{
    for (size_t i = slot_of(key);; i = (i + 1) % TABLE_SLOTS) {
        const struct record *r = &table[i];
        if (r->key[0] == key[0] && r->key[1] == key[1]) {
            return r;
        }
        if ((r->key[0] | r->key[1]) == 0) {
            return NULL;
        }
    }
}

static void insert(struct record *table, const uint64_t key[2], uint64_t value)
{
    size_t i = slot_of(key);
    while ((table[i].key[0] | table[i].key[1]) != 0) {
        i = (i + 1) % TABLE_SLOTS;
    }
    memcpy(table[i].key, key, sizeof(table[i].key));
    table[i].value = value;
}

static uint64_t probe(const struct record *table, const uint64_t (*keys)[2])
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ORDER; i += BATCH) {
        for (size_t j = 0; j < BATCH; j++) {
            __builtin_prefetch(&table[slot_of(keys[i + j])]);
        }
        for (size_t j = 0; j < BATCH; j++) {
            const struct record *r = find(table, keys[i + j]);
            sum += r != NULL ? r->value : 0;
        }
    }
    return sum;
}

static void measure_probes(struct rng *rng, uint64_t rounds)
{
    struct record *table = allocate(sizeof(struct record) * TABLE_SLOTS);
    uint64_t(*keys)[2] = allocate(sizeof(*keys) * RECORDS);
    uint64_t(*asked)[2] = allocate(sizeof(*asked) * ORDER);
    uint64_t want = 0;
    uint64_t sum = 0;
    memset(table, 0, sizeof(struct record) * TABLE_SLOTS);
    for (size_t i = 0; i < RECORDS; i++) {
        keys[i][0] = rng_next(rng) | 1;
        keys[i][1] = rng_next(rng);
        insert(table, keys[i], i + 1);
    }
    for (size_t i = 0; i < ORDER; i++) { /* the keys are read in order: they cost no miss */
        size_t which = rng_below(rng, RECORDS);
        memcpy(asked[i], keys[which], sizeof(asked[i]));
        want += (which + 1) * rounds;
    }
    struct floor_run_result r = {.ops = rounds * ORDER};
    uint64_t wall = floor_run_wall_ns();
    uint64_t cpu = floor_run_cpu_ns();
    for (uint64_t round = 0; round < rounds; round++) {
        sum += probe(table, (const uint64_t(*)[2])asked);
    }
    r.cpu_ns = floor_run_cpu_ns() - cpu;
    r.wall_ns = floor_run_wall_ns() - wall;
    floor_run_require(sum == want, "the records found are not those asked for");
    floor_run_print("probe_1e6", &r);
    free(asked);
    free(keys);
    free(table);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"rounds", required_argument, NULL, 'r'},
        {0},
    };
    uint64_t rounds = 4;
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        floor_run_require(c != '?', "usage: floor_memory [--json] [--rounds N]");
        if (c == 'r') {
            rounds = floor_run_number(optarg, 1, 1000);
        }
    }
    struct rng rng;
    rng_init(&rng, 7);
    floor_run_pin(FLOOR_RUN_SERVER_CPU);
    measure_copies(&rng, rounds);
    measure_probes(&rng, rounds);
    return 0;
}
