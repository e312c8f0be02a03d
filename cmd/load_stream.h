/* SPDX-License-Identifier: Apache-2.0 */
/* load_stream.h - one connection of a phone of the load generator: SIP over TCP, or over TLS with a
 * server that shows its certificate and asks for none.
 *
 * What is sent in a turn goes to the kernel at once; what it does not take waits here, and is sent
 * when it does.  A connection that has ended stays so, as everything that would go over it fails.
 *
 * Owner:  load_phone.c; one thread.
 * Limits: LOAD_STREAM_QUEUE bytes that the kernel has not taken, then load_stream_send says no;
 * messages of at most LOAD_STREAM_IN bytes. */
#pragma once
#include "cmd/load.h"
#include "cmd/load_queue.h"
#include "codec/sip_parser.h"
#include "core/address.h"
#include "link/tls_boring.h"

enum { LOAD_STREAM_QUEUE = 64 * 1024, LOAD_STREAM_IN = 32 * 1024 };

struct load_stream {
    struct load_io io; /* first: on_ready casts back */
    struct load *load;
    struct tls *tls; /* NULL: plain TCP */
    bool is_up;
    const char *why; /* it is down; static */
    size_t in_len;
    uint8_t *in; /* LOAD_STREAM_IN of plaintext that is no whole message yet */
    struct load_queue queue;
    struct sip_parser parser;
    uint64_t unreadable;
    /* Called for each sound message. */
    void (*on_message)(struct load_stream *stream, const struct sip_msg *m,
                       const struct sip_msg_core *core);
    void *user;
};

struct load_stream_way {
    struct address from, to;    /* family 0: any address of ours */
    struct tls_boring *context; /* NULL: plain TCP */
    const char *host;           /* that TLS asks for; "" = none */
};

/* Dials and shakes hands, in at most the time-out of the run.  ERR_IO, ERR_TIMEOUT ...; `why` as
 * usual.  To be closed in any case. */
enum err load_stream_open(struct load_stream *k, struct load *l, const struct load_stream_way *way,
                          char *why) MUST_USE;
void load_stream_close(struct load_stream *k);
/* False: errno is ENOTCONN (it is down) or EAGAIN (no room). */
bool load_stream_send(struct load_stream *k, struct slice message) MUST_USE;
/* Ours; family 0 when it has none. */
struct address load_stream_local(const struct load_stream *k);
