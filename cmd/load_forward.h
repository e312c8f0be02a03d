/* SPDX-License-Identifier: Apache-2.0 */
/* load_forward.h - messages in transit through the node under load: generators send them over
 * their trunks, addressed to the Node-ID of a sink, which counts what arrives over its own.
 *
 * The transaction id carries the number of a message, so the sink sees each gap: what is missing in
 * front of a number that has come is lost, for a link keeps order.
 *
 * Owner: cmd_load.c; one thread.  Limits: settings.outstanding messages under way, the
 * same share for each pair. */
#pragma once
#include "cmd/load_trunk.h"

enum {
    LOAD_FORWARD_SIZE_MIN = 128,
    LOAD_FORWARD_SIZE_MAX = LOAD_TRUNK_MESSAGE_CAP,
    /* Closed loop: of each pair under way, less than what a node holds for a link by default
     * (link_queue_bytes). */
    LOAD_FORWARD_CLOSED_BYTES = 192 * 1024,
    /* The same over DTLS, where it keeps what is not acknowledged (link_retained_bytes). */
    LOAD_FORWARD_CLOSED_DATAGRAM_BYTES = 48 * 1024,
};

struct load_forward;

/* `pairs` generator and sink pairs; members 2i and 2i + 1 of the overlay are pair i's. */
enum err load_forward_open(struct load *l, const struct load_overlay *overlay, uint32_t pairs,
                           struct load_forward **out, char *why) MUST_USE;
void load_forward_close(struct load_forward *f);
