/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_queue.h"
#include "cmd/load_cpu.h"
#include "link/tls_boring.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { STEP_MS = 20 };

bool load_queue_init(struct load_queue *q, size_t cap)
{
    *q = (struct load_queue){.bytes = malloc(cap), .cap = cap};
    return q->bytes != NULL;
}

void load_queue_free(struct load_queue *q)
{
    free(q->bytes);
    *q = (struct load_queue){0};
}

/* Moved only where there is no room behind: most often all of it leaves at once. */
static uint8_t *make_room(struct load_queue *q, size_t len)
{
    if (q->from > 0 && q->cap - q->len < len) {
        memmove(q->bytes, q->bytes + q->from, load_queue_waiting(q));
        q->len = load_queue_waiting(q);
        q->from = 0;
    }
    return q->bytes + q->len;
}

void load_queue_add(struct load_queue *q, struct slice bytes)
{
    uint8_t *to = make_room(q, bytes.len);
    CHECK(bytes.len <= q->cap - q->len);
    memcpy(to, bytes.data, bytes.len);
    q->len += bytes.len;
}

void load_queue_pull(struct load_queue *q, struct tls *tls)
{
    uint8_t *to = make_room(q, LOAD_QUEUE_RECORD);
    q->len += tls_boring_ops()->pull(tls, to, q->cap - q->len);
}

/* ERR_OK: nothing waits; ERR_MORE: the kernel takes no more now; ERR_CLOSED. */
static enum err give(struct load_queue *q, int fd)
{
    while (load_queue_waiting(q) > 0) {
        ssize_t sent = send(fd, q->bytes + q->from, load_queue_waiting(q), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return errno == EAGAIN ? ERR_MORE : ERR_CLOSED;
        }
        q->from += sent > 0 ? (size_t)sent : 0;
    }
    q->from = q->len = 0;
    return ERR_OK;
}

const char *load_queue_hand_over(struct load_queue *q, struct load *l, struct load_io *io,
                                 bool is_watched)
{
    enum err given = give(q, io->fd);
    if (given == ERR_CLOSED) {
        return "closed by the other side";
    }
    bool is_writing = given == ERR_MORE;
    if (!is_watched || is_writing == q->is_writing) {
        return NULL;
    }
    q->is_writing = is_writing;
    return load_watch(l, io, is_writing) == ERR_OK ? NULL : "cannot be waited for";
}

enum err load_queue_shake_hands(struct load_queue *q, struct tls *tls, int fd, uint64_t until_ns,
                                const volatile int *stop)
{
    static uint8_t bytes[TLS_RECORD_BYTES];
    const struct tls_ops *ops = tls_boring_ops();
    enum err e = ops->handshake(tls);
    for (;;) {
        load_queue_pull(q, tls);
        enum err sent = give(q, fd);
        if ((e == ERR_OK && sent == ERR_OK) || (e != ERR_OK && e != ERR_MORE)) {
            return e;
        }
        if (sent == ERR_CLOSED) {
            return sent;
        }
        if (load_cpu_now_ns() >= until_ns || *stop != 0) {
            return ERR_TIMEOUT;
        }
        struct pollfd on = {.fd = fd, .events = sent == ERR_MORE ? POLLIN | POLLOUT : POLLIN};
        (void)poll(&on, 1, STEP_MS);
        ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
        if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
            return ERR_CLOSED;
        }
        if (len > 0) {
            e = ops->feed(tls, slice_of(bytes, (size_t)len));
            e = e == ERR_OK ? ops->handshake(tls) : e;
        }
    }
}
