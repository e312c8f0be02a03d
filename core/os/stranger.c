/* SPDX-License-Identifier: Apache-2.0 */
/* stranger.c - see stranger.h. */
#include "core/os/stranger.h"

enum {
    BY_HOST,
    BY_LISTENER,
    V6_HOST_BYTES = 8,
    GRACE_US = 500000, /* to prove oneself while others are waiting */
};

size_t stranger_bytes(const struct limits *l)
{
    size_t host = sizeof(struct stranger_host) + 2 * sizeof(uint32_t) + 16;
    size_t slots = 4 * (sizeof(struct address) + sizeof(uint32_t)); /* a power of two of them */
    return (size_t)l->conns * (host + slots) + 1024;
}

void stranger_init(struct strangers *s, struct arena *arena, const struct limits *l,
                   uint64_t table_seed)
{
    *s = (struct strangers){.limits = l};
    pool_init(&s->hosts, arena, "hosts", 1, l->conns, sizeof(struct stranger_host));
    table_init(&s->index, arena, l->conns, sizeof(struct address), table_seed);
}

static struct address key_of(const struct address *remote)
{
    struct address key = *remote;
    key.port = 0;
    if (key.family == 6) {
        memset(key.ip + V6_HOST_BYTES, 0, sizeof(key.ip) - V6_HOST_BYTES);
    }
    return key;
}

static struct stranger_host *host_at(const struct strangers *s, uint32_t index)
{
    CHECK(index < s->hosts.cap);
    return (struct stranger_host *)(void *)(s->hosts.objects +
                                            (size_t)index * s->hosts.object_size);
}

static struct stranger *old_enough(const struct stranger_list *list, uint64_t now_us)
{
    struct stranger *oldest = list->oldest;
    return oldest != NULL && now_us - oldest->since_us >= GRACE_US ? oldest : NULL;
}

enum stranger_verdict stranger_judge(const struct strangers *s, uint16_t listener,
                                     const struct address *remote, uint64_t now_us,
                                     struct stranger **evict)
{
    CHECK(listener < IO_LISTENER_COUNT);
    struct address key = key_of(remote);
    uint32_t index = 0;
    *evict = NULL;
    if (s->limits->accepted_per_host != 0 && table_find(&s->index, &key, &index) &&
        host_at(s, index)->list.count >= s->limits->accepted_per_host) {
        *evict = old_enough(&host_at(s, index)->list, now_us);
        return STRANGER_HOST;
    }
    if (s->limits->accepted_per_listener != 0 &&
        s->listeners[listener].count >= s->limits->accepted_per_listener) {
        *evict = old_enough(&s->listeners[listener], now_us);
        return STRANGER_LISTENER;
    }
    return STRANGER_WELCOME;
}

struct stranger *stranger_oldest(const struct strangers *s, uint64_t now_us)
{
    struct stranger *best = NULL;
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        struct stranger *oldest = old_enough(&s->listeners[i], now_us);
        if (oldest != NULL && (best == NULL || oldest->since_us < best->since_us)) {
            best = oldest;
        }
    }
    return best;
}

static void append(struct stranger_list *list, struct stranger *who, size_t by)
{
    who->older[by] = list->newest;
    who->newer[by] = NULL;
    if (list->newest == NULL) {
        list->oldest = who;
    } else {
        list->newest->newer[by] = who;
    }
    list->newest = who;
    list->count++;
}

static void take_out(struct stranger_list *list, struct stranger *who, size_t by)
{
    CHECK(list->count > 0);
    if (who->older[by] == NULL) {
        list->oldest = who->newer[by];
    } else {
        who->older[by]->newer[by] = who->newer[by];
    }
    if (who->newer[by] == NULL) {
        list->newest = who->older[by];
    } else {
        who->newer[by]->older[by] = who->older[by];
    }
    list->count--;
}

void stranger_add(struct strangers *s, struct stranger *who, uint16_t listener,
                  const struct address *remote, uint64_t now_us)
{
    CHECK(!who->is_counted);
    struct address key = key_of(remote);
    uint32_t index = 0;
    if (!table_find(&s->index, &key, &index)) {
        struct stranger_host *made = pool_acquire(&s->hosts);
        CHECK(made != NULL); /* as many as connections */
        made->key = key;
        index = handle_index(pool_handle(&s->hosts, made));
        CHECK(table_insert(&s->index, &key, index) == ERR_OK);
    }
    who->host = index;
    who->listener = listener;
    who->since_us = now_us;
    who->is_counted = true;
    append(&host_at(s, index)->list, who, BY_HOST);
    append(&s->listeners[listener], who, BY_LISTENER);
}

void stranger_remove(struct strangers *s, struct stranger *who)
{
    if (!who->is_counted) {
        return;
    }
    who->is_counted = false;
    struct stranger_host *host = host_at(s, who->host);
    take_out(&host->list, who, BY_HOST);
    take_out(&s->listeners[who->listener], who, BY_LISTENER);
    if (host->list.count == 0) {
        CHECK(table_remove(&s->index, &host->key));
        pool_release(&s->hosts, host);
    }
}
