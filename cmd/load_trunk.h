/* SPDX-License-Identifier: Apache-2.0 */
/* load_trunk.h - one RELOAD link of the load generator to the node under load: TLS over TCP with
 * framing (RFC 6940 6.6), mutually authenticated; or, opened by load_datagram, one over DTLS.
 *
 * Messages are gathered into records of up to 16 KiB; what has come is taken one by one.
 * Acknowledgements are sent and absorbed here: one for each 32 frames, and one for the rest when a
 * turn is over.
 *
 * Owner:  a driver; one thread.
 * Limits: LOAD_TRUNK_QUEUE bytes that the kernel has not taken yet, then load_trunk_room says no.
 */
#pragma once
#include "cmd/load.h"
#include "cmd/load_overlay.h"
#include "cmd/load_queue.h"
#include "codec/frame.h"
#include "link/tls_boring.h"

enum {
    LOAD_TRUNK_QUEUE = 256 * 1024,
    LOAD_TRUNK_RECEIVE = 128 * 1024,
    LOAD_TRUNK_MESSAGE_CAP = 16000, /* of ours: a record holds one */
};

struct load_trunk {
    struct load_io io; /* first: on_ready casts back */
    struct load *load;
    struct tls *tls;
    bool is_up;
    const char *why;                /* it is down; static */
    struct node_id node_id;         /* of the node, once it is up */
    struct load_datagram *datagram; /* NULL: a stream, which all that follows the counters is for */
    uint32_t sequence;
    uint32_t owed; /* frames not acknowledged yet */
    struct frame_window window;
    uint64_t records_out, frames_out, frames_in, bytes_in;
    size_t record_len;       /* gathered in `record` */
    struct load_queue queue; /* ciphertext: LOAD_TRUNK_QUEUE and a few records more */
    size_t plain_from, plain_len;
    uint8_t *record;  /* TLS_RECORD_BYTES */
    uint8_t *plain;   /* what was decrypted and not taken yet */
    uint8_t *receive; /* LOAD_TRUNK_RECEIVE */
    /* Called for each message that came. */
    void (*on_message)(struct load_trunk *trunk, struct slice message);
    void *user;
};

/* Dials, shakes hands and judges the other side, in at most the time-out of the run.  `who` signs
 * for us.  ERR_IO, ERR_TIMEOUT or what the certificate is refused for; `why` as usual. */
enum err load_trunk_open(struct load_trunk *k, struct load *l, const struct load_overlay *overlay,
                         const struct load_overlay_member *who, char *why) MUST_USE;
void load_trunk_close(struct load_trunk *k);
/* Whom have we reached?  Of its certificate, after the handshake (RFC 6940 6.5.1.13). */
enum err load_trunk_judge(struct load_trunk *k, const struct load_overlay *overlay,
                          char *why) MUST_USE;

/* Room for one message of `len` bytes in the record that is being gathered; NULL: the queue is full
 * or the link is down. */
uint8_t *load_trunk_room(struct load_trunk *k, size_t len);
/* End of a turn: seals what was gathered, acknowledges, sends. */
void load_trunk_flush(struct load_trunk *k);
