/* SPDX-License-Identifier: Apache-2.0 */
/* account.h - what goes over the links of a world, in bytes of RELOAD frames, by kind of message.
 *
 * Made-up TLS is readable, so the network looks into what it carries: framing header,
 * forwarding header, message code.  A request and its answer are one class; acknowledgements of
 * frames, handshakes and the heads of TLS records are classes of their own.  Each transmission
 * counts, at every hop.
 *
 * Owner: sim/net. */
#pragma once
#include "core/slice.h"

enum account_class {
    ACCOUNT_RECORD,    /* heads of TLS records; not a RELOAD frame */
    ACCOUNT_HANDSHAKE, /* not a RELOAD frame */
    ACCOUNT_ACK,
    ACCOUNT_ERROR,
    ACCOUNT_OTHER, /* not understood */
    ACCOUNT_METHODS,
    ACCOUNT_CLASSES = ACCOUNT_METHODS + 24, /* and (code + 1) / 2 of the method */
};

struct account {
    uint64_t bytes[ACCOUNT_CLASSES];
    uint64_t messages[ACCOUNT_CLASSES];
};

/* What sim/tls_fake has made, to be sent on a connection. */
void account_stream(struct account *a, struct slice bytes);
/* Frames that were sealed as one record of so many bytes; and bytes of handshakes. */
void account_plain(struct account *a, struct slice plain, size_t sealed_bytes);
void account_handshake(struct account *a, size_t bytes);
/* NULL: no such class. */
const char *account_name(uint32_t class);
/* The class of a message code. */
uint32_t account_class(uint16_t code);
/* Of RELOAD frames, all classes together. */
uint64_t account_frames(const struct account *a);
/* What has been counted in `a` since it was `before`. */
void account_since(struct account *a, const struct account *before);
