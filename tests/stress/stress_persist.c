/* SPDX-License-Identifier: Apache-2.0 */
/* stress_persist.c - two shards that write, the thread that commits, a control thread that takes
 * the news and asks how things are, all at once.  Own main: Criterion does not start under
 * ThreadSanitizer. */
#include "cmd/files.h"
#include "cmd/persist_thread.h"
#include "codec/rw.h"
#include "dht/store_log.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 2, RECORDS = 3000, VALUE_BYTES = 900, MAP_BYTES = 64 << 20 };

struct writer {
    void *lane;
    uint32_t refused;
};

static void *produce(void *context)
{
    struct writer *w = context;
    const struct persist_ops *ops = persist_thread_ops();
    static const uint8_t value[VALUE_BYTES];
    uint8_t bytes[VALUE_BYTES + 64];
    char key[16];
    for (uint64_t i = 1; i <= RECORDS;) {
        struct wr out = wr_init(bytes, sizeof(bytes));
        (void)snprintf(key, sizeof(key), "v%llu", (unsigned long long)(i % 500));
        wr_u8(&out, STORE_LOG_PUT);
        wr_opaque16(&out, slice_text(key));
        wr_opaque32(&out, slice_of(value, VALUE_BYTES - i % 700));
        if (ops->write(w->lane, i, wr_slice(&out))) {
            i++;
        } else {
            w->refused++;
            sched_yield();
        }
        if (i % 16 == 0) {
            ops->flush(w->lane);
        }
    }
    ops->flush(w->lane);
    return NULL;
}

int main(void)
{
    char folder[] = "/tmp/chordial-stress.XXXXXX";
    char why[SAY_WHY_CAP];
    static const struct node_id ids[SHARDS] = {{.bytes = {1}}, {.bytes = {2}}};
    struct persist_thread *p = NULL;
    struct writer writers[SHARDS] = {{0}};
    pthread_t threads[SHARDS];
    uint64_t durable[SHARDS] = {0};
    CHECK(mkdtemp(folder) != NULL);
    const struct persist_thread_settings s = {folder, MAP_BYTES, SHARDS, 256 * 1024};
    CHECK(persist_thread_open(&s, &p, why) == ERR_OK);
    for (uint32_t i = 0; i < SHARDS; i++) {
        writers[i].lane = persist_thread_context(p, i, &ids[i]);
    }
    CHECK(persist_thread_start(p, why) == ERR_OK);
    for (uint32_t i = 0; i < SHARDS; i++) {
        CHECK(pthread_create(&threads[i], NULL, produce, &writers[i]) == 0);
    }
    while (durable[0] < RECORDS || durable[1] < RECORDS) {
        struct pollfd fd = {.fd = persist_thread_descriptor(p), .events = POLLIN};
        struct persist_thread_status status;
        struct persist_news news;
        uint32_t shard = 0;
        CHECK(poll(&fd, 1, 60000) == 1);
        while (persist_thread_news(p, &shard, &news)) {
            CHECK(news.disk == PERSIST_DISK_WELL && news.durable >= durable[shard]);
            durable[shard] = news.durable;
        }
        persist_thread_status(p, &status);
        CHECK(status.is_well && status.failures == 0);
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    persist_thread_close(p);
    static const char *const names[] = {"store.mdb", "store.mdb-lock", "lock"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char path[FILES_PATH_CAP];
        CHECK(files_join(folder, names[i], path) == ERR_OK && unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
    printf("1 passed, 0 failed\n");
    return 0;
}
