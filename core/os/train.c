/* SPDX-License-Identifier: Apache-2.0 */
/* train.c - see train.h. */
#include "core/os/train.h"
#include "core/hash.h"
#include "core/os/sock.h"
#include <errno.h>

enum {
    REFUSED_US = 10000000, /* before trains like the refused one are tried again */
    SAFE_SEGMENT = 1200,   /* fits any path: where this is refused it is not for its size */
};

size_t train_bytes(const struct limits *l)
{
    size_t bookkeeping = 2 * sizeof(uint32_t) + 16;
    return (size_t)l->datagrams_in_flight * (sizeof(struct train) + bookkeeping) +
           (size_t)l->trains_in_flight * (sizeof(struct train_rest) + bookkeeping) + 256;
}

void train_init(struct trains *t, struct arena *arena, const struct limits *l,
                struct driver *driver, struct turn *turn, uint64_t seed)
{
    memset(t, 0, sizeof(*t));
    t->driver = driver;
    t->turn = turn;
    t->limits = l;
    t->seed = seed;
    pool_init(&t->heads, arena, "datagrams", 1, l->datagrams_in_flight, sizeof(struct train));
    pool_init(&t->rests, arena, "trains", 1, l->trains_in_flight, sizeof(struct train_rest));
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        t->lines[i].fd = -1;
    }
}

void train_open(struct trains *t, uint16_t listener, int fd, uint8_t family)
{
    CHECK(listener < IO_LISTENER_COUNT);
    t->lines[listener] = (struct train_line){
        .fd = fd, .family = family, .is_known = gso_is_known(fd), .segment_most = GSO_BYTES};
}

/* ---- gathering ---- */

/* Where the table keeps the train for this remote: the slot that has it, else an empty one of a
 * few, else one whose train grows no more. */
static uint16_t slot_of(const struct trains *t, uint16_t listener, const struct address *remote)
{
    STATIC_CHECK(sizeof(*remote) == 20);
    uint64_t hash = hash_64_of_20(remote, t->seed + listener);
    uint16_t empty = TRAIN_TABLE;
    for (uint16_t i = 0; i < TRAIN_PROBES; i++) {
        uint16_t slot = (uint16_t)((hash + i) % TRAIN_TABLE);
        const struct train *there = t->table[slot];
        if (there == NULL) {
            empty = empty == TRAIN_TABLE ? slot : empty;
        } else if (there->listener == listener && address_is_equal(&there->remote, remote)) {
            return slot;
        }
    }
    return empty != TRAIN_TABLE ? empty : (uint16_t)(hash % TRAIN_TABLE);
}

/* The longest datagram that may go by train now. */
static uint32_t segment_most(struct trains *t, struct train_line *line)
{
    if (!line->is_known) {
        return 0;
    }
    if (line->refused_until_us != 0 && line->refused_until_us <= t->turn->now_us) {
        line->refused_until_us = 0;
        line->segment_most = GSO_BYTES;
    }
    return line->segment_most;
}

/* The kernel counts 64 segments and an IP packet's length; an empty datagram is no segment. */
static bool may_join(struct trains *t, const struct train *train, const struct msgbuf *buf)
{
    return !train->has_last && buf->len > 0 && buf->len <= train->segment &&
           train->count < min_size(t->limits->datagrams_per_train, GSO_SEGMENTS) &&
           train->bytes + buf->len <= GSO_BYTES &&
           train->segment <= segment_most(t, &t->lines[train->listener]);
}

static bool join(struct trains *t, struct train *train, struct msgbuf *buf)
{
    if (!may_join(t, train, buf)) {
        return false;
    }
    if (train->rest == NULL) {
        train->rest = pool_acquire(&t->rests);
        if (train->rest == NULL) {
            return false;
        }
        train->rest->parts[0] = train->part;
        train->rest->bufs[0] = train->buf;
    }
    train->rest->parts[train->count] =
        (struct iovec){.iov_base = msgbuf_data(buf), .iov_len = buf->len};
    train->rest->bufs[train->count] = buf;
    train->count++;
    train->bytes += buf->len;
    train->has_last = buf->len < train->segment;
    return true;
}

/* A train of one, or NULL (counted, buffer released) when too many are under way. */
static struct train *make(struct trains *t, uint16_t listener, const struct address *remote,
                          struct msgbuf *buf)
{
    struct train *train = pool_acquire(&t->heads);
    if (train == NULL) {
        metric_add(t->turn->metrics, METRIC_datagrams_out_dropped, 1);
        msgbuf_release(t->turn->buffers, buf);
        return NULL;
    }
    train->message.msg_name = &train->to;
    train->message.msg_namelen = sock_name(remote, &train->to);
    train->buf = buf;
    train->part = (struct iovec){.iov_base = msgbuf_data(buf), .iov_len = buf->len};
    train->remote = *remote;
    train->listener = listener;
    train->segment = (uint16_t)buf->len;
    train->bytes = buf->len;
    train->count = 1;
    return train;
}

void train_add(struct trains *t, uint16_t listener, const struct address *remote,
               struct msgbuf *buf)
{
    STATIC_CHECK(MSGBUF_LARGE_BYTES <= UINT16_MAX);
    if (listener >= IO_LISTENER_COUNT || t->lines[listener].fd < 0 ||
        remote->family != t->lines[listener].family) {
        metric_add(t->turn->metrics, METRIC_datagrams_out_dropped, 1);
        msgbuf_release(t->turn->buffers, buf);
        return;
    }
    uint16_t slot = slot_of(t, listener, remote);
    struct train *there = t->table[slot];
    bool is_same =
        there != NULL && there->listener == listener && address_is_equal(&there->remote, remote);
    if (is_same && join(t, there, buf)) {
        return;
    }
    struct train *train = make(t, listener, remote, buf);
    if (train == NULL) {
        return;
    }
    train->slot = slot;
    t->table[slot] = train;
    if (t->last == NULL) {
        t->first = train;
    } else {
        t->last->next = train;
    }
    t->last = train;
}

/* ---- sending ---- */

static void dispatch(struct trains *t, struct train *train)
{
    train->message.msg_iov = train->rest == NULL ? &train->part : train->rest->parts;
    train->message.msg_iovlen = train->count;
    if (train->count > 1) {
        gso_write(&train->message, &train->control, train->segment);
    }
    driver_send_datagram(t->driver, train->listener, handle_index(pool_handle(&t->heads, train)),
                         t->lines[train->listener].fd, &train->message);
}

void train_flush(struct trains *t)
{
    struct train *train = t->first;
    t->first = NULL;
    t->last = NULL;
    while (train != NULL) {
        struct train *next = train->next;
        t->table[train->slot] = NULL;
        dispatch(t, train);
        train = next;
    }
}

/* ---- what became of it ---- */

/* What the kernel says of a train that it would take as single datagrams: too long a segment for
 * the path (EINVAL, EMSGSIZE), no checksums in the device or on the socket (EIO, EINVAL). */
static bool is_refusal(const struct train *train, int result)
{
    return train->count > 1 && (result == -EINVAL || result == -EMSGSIZE || result == -EIO ||
                                result == -EOPNOTSUPP || result == -ENOPROTOOPT);
}

/* Learns from a refusal, for a while only: the next path may be better. */
static void note_refusal(struct trains *t, const struct train *train, int result)
{
    struct train_line *line = &t->lines[train->listener];
    bool is_for_size = train->segment > SAFE_SEGMENT && (result == -EINVAL || result == -EMSGSIZE);
    uint32_t most = is_for_size ? train->segment - 1u : 0;
    line->segment_most = most < line->segment_most ? most : line->segment_most;
    line->refused_until_us = t->turn->now_us + REFUSED_US;
    metric_add(t->turn->metrics, METRIC_datagram_trains_refused, 1);
    if (!line->is_told) {
        line->is_told = true;
        log_write(t->turn->log, t->turn->now_us, LOG_WARNING, "trains_refused",
                  "reason=\"%s\" bytes=%u datagrams=%u using=\"single datagrams\"",
                  strerrordesc_np(-result), train->segment, train->count);
    }
}

/* Gives the slots back, not the buffers. */
static void forget(struct trains *t, struct train *train)
{
    if (train->rest != NULL) {
        pool_release(&t->rests, train->rest);
    }
    pool_release(&t->heads, train);
}

/* Once more, one by one.  Later datagrams to the same remote may be out already: this is the one
 * place where their order can change. */
static void send_singly(struct trains *t, struct train *train)
{
    struct msgbuf *bufs[GSO_SEGMENTS];
    struct address remote = train->remote;
    uint16_t listener = train->listener;
    uint16_t count = train->count;
    memcpy(bufs, train->rest->bufs, count * sizeof(struct msgbuf *));
    forget(t, train);
    for (uint16_t i = 0; i < count; i++) {
        struct train *single = make(t, listener, &remote, bufs[i]);
        if (single != NULL) {
            dispatch(t, single);
        }
    }
}

static void release_buffers(struct trains *t, const struct train *train)
{
    if (train->rest == NULL) {
        msgbuf_release(t->turn->buffers, train->buf);
        return;
    }
    for (uint16_t i = 0; i < train->count; i++) {
        msgbuf_release(t->turn->buffers, train->rest->bufs[i]);
    }
}

void train_complete(struct trains *t, const struct driver_event *e)
{
    CHECK(e->index < t->heads.cap);
    struct train *train =
        (struct train *)(void *)(t->heads.objects + (size_t)e->index * t->heads.object_size);
    if (is_refusal(train, e->result)) {
        note_refusal(t, train, e->result);
        send_singly(t, train);
        return;
    }
    metric_add(t->turn->metrics,
               e->result >= 0 ? METRIC_datagrams_out : METRIC_datagrams_out_failed, train->count);
    if (e->result >= 0 && train->count > 1) {
        metric_add(t->turn->metrics, METRIC_datagram_trains_out, 1);
    }
    release_buffers(t, train);
    forget(t, train);
}
