/* SPDX-License-Identifier: Apache-2.0 */
/* stress_spsc.c - one producer and one consumer thread; under ThreadSanitizer this proves the
 * pairing of loads and stores.  Own main: Criterion does not start under it. */
#include "core/spsc.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { ITEMS = 300000 };

struct item {
    uint64_t number;
    uint64_t check;
};

static void *produce(void *context)
{
    struct spsc *q = context;
    for (uint64_t i = 0; i < ITEMS;) {
        struct item item = {i, ~i};
        if (spsc_push(q, &item)) {
            i++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

int main(void)
{
    static uint8_t block[1 << 16];
    static struct spsc q;
    struct arena a;
    arena_init(&a, block, sizeof(block));
    spsc_init(&q, &a, 256, sizeof(struct item));
    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, &q) == 0);
    for (uint64_t i = 0; i < ITEMS;) {
        struct item item;
        if (!spsc_pop(&q, &item)) {
            sched_yield();
            continue;
        }
        CHECK(item.number == i);
        CHECK(item.check == ~i);
        i++;
    }
    CHECK(pthread_join(producer, NULL) == 0);
    printf("1 passed, 0 failed\n");
    return 0;
}
