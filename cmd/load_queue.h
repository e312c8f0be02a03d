/* SPDX-License-Identifier: Apache-2.0 */
/* load_queue.h - what a connection of the load generator has for the kernel and could not give it
 * yet, and the handshake that goes through it.
 *
 * Owner: the connection.  The bytes are the queue's own, from load_queue_init to load_queue_free.
 */
#pragma once
#include "cmd/load.h"
#include "link/tls.h"

enum { LOAD_QUEUE_RECORD = TLS_RECORD_BYTES + 1024 }; /* and what TLS adds, or a handshake's end */

struct load_queue {
    uint8_t *bytes;
    size_t cap, from, len; /* from..len wait */
    bool is_writing;       /* waits until the kernel takes more */
};

/* False: no memory. */
bool load_queue_init(struct load_queue *q, size_t cap);
void load_queue_free(struct load_queue *q);
static inline size_t load_queue_waiting(const struct load_queue *q)
{
    return q->len - q->from;
}
void load_queue_add(struct load_queue *q, struct slice bytes);
/* What TLS has sealed; a record at a time fits behind cap - LOAD_QUEUE_RECORD bytes. */
void load_queue_pull(struct load_queue *q, struct tls *tls);
/* As much as the kernel takes.  Where the run knows the socket (is_watched) it then waits until the
 * kernel takes more, as long as something is left.  NULL, or why the connection is down. */
const char *load_queue_hand_over(struct load_queue *q, struct load *l, struct load_io *io,
                                 bool is_watched) MUST_USE;
/* Sends and receives until TLS is through and nothing waits.  ERR_CLOSED, ERR_TIMEOUT (also where
 * *stop is set), or what TLS says. */
enum err load_queue_shake_hands(struct load_queue *q, struct tls *tls, int fd, uint64_t until_ns,
                                const volatile int *stop) MUST_USE;
