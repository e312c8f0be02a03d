/* SPDX-License-Identifier: Apache-2.0 */
/* test_mem.c - memory is zeroed, and its pages are there when somebody has said so. */
#include "core/os/mem.h"
#include "core/os/shard.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, MIB = 1 << 20 };

/* How many of the pages of [at, at + len) are in memory. */
static size_t resident(const void *at, size_t len)
{
    uintptr_t first = (uintptr_t)at / PAGE * PAGE;
    size_t pages = ((uintptr_t)at + len - first + PAGE - 1) / PAGE;
    unsigned char *is_there = malloc(pages);
    size_t count = 0;
    cr_assert_not_null(is_there);
    cr_assert_eq(mincore((void *)first, pages * PAGE, is_there), 0);
    for (size_t i = 0; i < pages; i++) {
        count += is_there[i] & 1;
    }
    free(is_there);
    return count;
}

Test(mem, pages_come_when_they_are_touched)
{
    struct mem m;
    cr_assert_eq(mem_open(&m, 64 * MIB), ERR_OK);
    cr_expect_eq(resident(m.block, m.bytes), 0);
    volatile uint8_t *block = arena_take_raw(&m.arena, 64 * MIB - PAGE, 1, 64);
    cr_expect_eq(block[40 * MIB], 0);
    block[40 * MIB] = 1;
    cr_expect_geq(resident(m.block, m.bytes), 1);
    cr_expect_lt(resident(m.block, m.bytes), 5 * MIB / PAGE);
    mem_close(&m);
}

/* All that was handed out, little of what was not; what was written stays. */
Test(mem, populate_brings_in_what_was_handed_out)
{
    struct mem m;
    cr_assert_eq(mem_open(&m, 64 * MIB), ERR_OK);
    cr_expect_eq(mem_populate(&m), ERR_OK);
    cr_expect_eq(resident(m.block, m.bytes), 0);
    uint8_t *block = arena_take_raw(&m.arena, 20 * MIB, 1, 64);
    block[MIB] = 7;
    cr_assert_eq(mem_populate(&m), ERR_OK);
    cr_expect_eq(resident(block, 20 * MIB), 20 * MIB / PAGE);
    cr_expect_leq(resident(m.block, m.bytes), 22 * MIB / PAGE);
    cr_expect_eq(block[MIB], 7);
    cr_expect_eq(block[MIB + 1], 0);
    mem_close(&m);
}

/* The buffers of a shard are there before its first turn. */
Test(mem, no_turn_of_a_shard_waits_for_pages)
{
    struct shard_config config = {.cpu = SHARD_NO_CPU, .log_level = LOG_ERROR};
    struct shard_group *group = NULL;
    char problem[SHARD_PROBLEM_CAP];
    limits_default(&config.limits);
    cr_assert_eq(shard_open(&config, 1, &group, problem), ERR_OK, "%s", problem);
    const struct msgbuf_pool *p = shard_turn(shard_at(group, 0))->buffers;
    size_t small = (size_t)p->cap[0] * (MSGBUF_HEADROOM + MSGBUF_SMALL_BYTES);
    size_t large = (size_t)p->cap[1] * (MSGBUF_HEADROOM + MSGBUF_LARGE_BYTES);
    cr_expect_geq(resident(p->storage[0], small), small / PAGE);
    cr_expect_geq(resident(p->storage[1], large), large / PAGE);
    shard_close(group);
}
