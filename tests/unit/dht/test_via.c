/* SPDX-License-Identifier: Apache-2.0 */
/* test_via.c - Via Lists kept for others: what an id stands for, for how long, and who gives way
 * (RFC 6940 6.1.2; catalogue VL-5..VL-7, VL-11). */
#include "tests/unit/dht/storage_world.h"

#include "dht/via.h"

enum { CAP = 8, PER_SOURCE = 3, KEEP_US = 3000000, LIST_BYTES = 36 };

struct fixture {
    struct world *w;
    struct turn *t;
    struct via via;
    uint8_t block[8192];
};

static struct fixture *make(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct arena arena;
    f->w = world_make(1);
    f->t = &f->w->turn;
    cr_assert_leq(via_bytes(CAP), sizeof(f->block));
    arena_init(&arena, f->block, sizeof(f->block));
    via_init(&f->via, &arena, CAP, PER_SOURCE, KEEP_US);
    return f;
}

static void end(struct fixture *f)
{
    world_free(f->w);
    free(f);
}

static struct node_id source_of(unsigned i)
{
    return (struct node_id){{(uint8_t)(0x10 + i)}};
}

/* The list of request `number`, of 36 bytes. */
static struct slice list_of(uint64_t number)
{
    static uint8_t list[LIST_BYTES];
    memset(list, (int)number, sizeof(list));
    return slice_of(list, sizeof(list));
}

static bool keep(struct fixture *f, unsigned source, uint64_t number, uint8_t id[VIA_ID_BYTES])
{
    struct node_id from = source_of(source);
    return via_keep(f->t, &f->via, number, &from, list_of(number), id);
}

static bool finds(const struct fixture *f, const uint8_t id[VIA_ID_BYTES], uint64_t number)
{
    struct slice list;
    return via_find(f->t, &f->via, slice_of(id, VIA_ID_BYTES), &list) &&
           slice_is_equal(list, list_of(number));
}

Test(via, vl5_an_id_stands_for_its_list)
{
    struct fixture *f = make();
    uint8_t a[VIA_ID_BYTES], b[VIA_ID_BYTES], again[VIA_ID_BYTES];
    cr_assert(keep(f, 0, 1, a));
    cr_assert(keep(f, 0, 2, b));
    cr_expect(finds(f, a, 1));
    cr_expect(finds(f, b, 2));
    cr_expect_neq(memcmp(a, b, VIA_ID_BYTES), 0);
    /* the request once more: nothing more is kept */
    cr_assert(keep(f, 0, 1, again));
    cr_expect_eq(memcmp(a, again, VIA_ID_BYTES), 0);
    cr_expect_eq(via_count(f->t, &f->via), 2);
    /* of another neighbor it is another one */
    cr_assert(keep(f, 1, 1, again));
    cr_expect_neq(memcmp(a, again, VIA_ID_BYTES), 0);
    end(f);
}

Test(via, vl11_no_other_id_stands_for_anything)
{
    struct fixture *f = make();
    uint8_t id[VIA_ID_BYTES];
    uint8_t longer[VIA_ID_BYTES + 1] = {0};
    struct slice list;
    cr_assert(keep(f, 0, 1, id));
    for (unsigned bit = 0; bit < VIA_ID_BYTES * 8; bit++) {
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect_not(via_find(f->t, &f->via, slice_of(id, sizeof(id)), &list), "bit %u", bit);
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memcpy(longer, id, sizeof(id));
    cr_expect_not(via_find(f->t, &f->via, slice_of(longer, sizeof(longer)), &list));
    cr_expect_not(via_find(f->t, &f->via, slice_of(id, sizeof(id) - 1), &list));
    cr_expect_not(via_find(f->t, &f->via, SLICE_EMPTY, &list));
    cr_expect_not(via_find(f->t, &f->via, SLICE_LITERAL("\x80\x01"), &list));
    /* a place that was never used has number 0 */
    cr_expect_not(via_find(f->t, &f->via, SLICE_LITERAL("\0\5\0\0\0\0\0\0\0\0"), &list));
    cr_expect(via_find(f->t, &f->via, slice_of(id, sizeof(id)), &list));
    end(f);
}

Test(via, vl7_a_list_is_kept_for_15_s)
{
    struct fixture *f = make();
    uint8_t id[VIA_ID_BYTES];
    cr_assert(keep(f, 0, 1, id));
    f->t->now_us += VIA_LIFE_US - 1;
    cr_expect(finds(f, id, 1));
    f->t->now_us += 1;
    cr_expect_not(finds(f, id, 1));
    cr_expect_eq(via_count(f->t, &f->via), 0);
    end(f);
}

/* 6.1.2: an overlay-reliability-timer of up to a minute is served */
Test(via, vl7_a_list_is_kept_as_long_as_the_reliability_timer)
{
    struct fixture *f = make();
    uint8_t id[VIA_ID_BYTES];
    f->via.keep_us = 60000000;
    cr_assert(keep(f, 0, 1, id));
    f->t->now_us += f->via.keep_us - 1;
    cr_expect(finds(f, id, 1));
    f->t->now_us += 1;
    cr_expect_not(finds(f, id, 1));
    end(f);
}

/* VL-6: its place is used again, last of all, and the old id leads nowhere. */
Test(via, vl6_an_old_id_does_not_stand_for_a_new_list)
{
    struct fixture *f = make();
    uint8_t old[VIA_ID_BYTES], id[VIA_ID_BYTES];
    cr_assert(keep(f, 0, 1, old));
    f->t->now_us += VIA_LIFE_US;
    for (uint64_t i = 2; i <= CAP; i++) {
        cr_assert(keep(f, (unsigned)i, i, id));
        cr_expect_neq(memcmp(old, id, 2), 0, "places are used by turns");
    }
    cr_assert(keep(f, 0, 1, id));
    cr_expect_eq(memcmp(old, id, 2), 0);
    cr_expect_not(finds(f, old, 1));
    cr_expect(finds(f, id, 1));
    end(f);
}

Test(via, a_neighbor_has_its_share)
{
    struct fixture *f = make();
    uint8_t id[PER_SOURCE + 2][VIA_ID_BYTES];
    for (unsigned i = 0; i < PER_SOURCE; i++) {
        cr_assert(keep(f, 0, i, id[i]));
        f->t->now_us += 1000;
    }
    cr_expect_not(keep(f, 0, PER_SOURCE, id[PER_SOURCE]), "VL-7: none gives way so soon");
    cr_expect_eq(metric_read(f->t->metrics, METRIC_via_refused), 1);
    cr_expect(keep(f, 1, 9, id[PER_SOURCE + 1]), "another neighbor is not concerned");
    f->t->now_us += KEEP_US - 1000 * PER_SOURCE;
    cr_assert(keep(f, 0, PER_SOURCE, id[PER_SOURCE]));
    cr_expect_eq(metric_read(f->t->metrics, METRIC_via_evicted), 1);
    cr_expect_not(finds(f, id[0], 0), "the oldest of its own");
    cr_expect(finds(f, id[1], 1));
    cr_expect(finds(f, id[PER_SOURCE + 1], 9));
    end(f);
}

Test(via, the_oldest_gives_way_when_all_places_are_taken)
{
    struct fixture *f = make();
    uint8_t id[CAP + 1][VIA_ID_BYTES];
    for (unsigned i = 0; i < CAP; i++) {
        cr_assert(keep(f, i, i, id[i]));
        f->t->now_us += 1000;
    }
    cr_expect_not(keep(f, CAP, CAP, id[CAP]));
    cr_assert(keep(f, 0, 0, id[0])); /* asked once more: not the oldest now */
    f->t->now_us += KEEP_US - 1000 * (CAP - 1);
    cr_assert(keep(f, CAP, CAP, id[CAP]));
    cr_expect(finds(f, id[0], 0));
    cr_expect_not(finds(f, id[1], 1));
    cr_expect_eq(via_count(f->t, &f->via), CAP);
    end(f);
}

/* Who comes with fewer is let in at once, at the cost of who has most, until they are even. */
Test(via, some_few_cannot_keep_the_others_out)
{
    struct fixture *f = make();
    uint8_t id[CAP][VIA_ID_BYTES], mine[3][VIA_ID_BYTES];
    for (unsigned i = 0; i < CAP; i++) { /* 3, 3 and 2 */
        cr_assert(keep(f, i / PER_SOURCE, i, id[i]));
        f->t->now_us += 1000;
    }
    cr_assert(keep(f, 7, 20, mine[0]));
    cr_expect_not(finds(f, id[0], 0), "the oldest of the first of the heaviest");
    cr_assert(keep(f, 8, 21, mine[1]));
    cr_expect_not(finds(f, id[PER_SOURCE], PER_SOURCE));
    cr_expect_not(keep(f, 7, 22, mine[2]), "nobody has more than it would then have");
    cr_expect_eq(metric_read(f->t->metrics, METRIC_via_refused), 1);
    cr_expect_eq(metric_read(f->t->metrics, METRIC_via_evicted), 2);
    cr_expect(finds(f, mine[0], 20));
    cr_expect(finds(f, mine[1], 21));
    cr_expect(finds(f, id[1], 1));
    cr_expect(finds(f, id[CAP - 1], CAP - 1));
    cr_expect_eq(via_count(f->t, &f->via), CAP);
    end(f);
}

Test(via, without_places_nothing_is_kept)
{
    struct fixture *f = make();
    struct arena arena;
    uint8_t id[VIA_ID_BYTES] = {0};
    struct slice list;
    arena_init(&arena, f->block, sizeof(f->block));
    via_init(&f->via, &arena, 0, 0, KEEP_US);
    cr_expect_not(keep(f, 0, 1, id));
    cr_expect_not(via_find(f->t, &f->via, slice_of(id, sizeof(id)), &list));
    end(f);
}
