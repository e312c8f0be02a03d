/* SPDX-License-Identifier: Apache-2.0 */
/* capture.h - RELOAD frames and messages in a capture file (libpcap; pcap and pcapng).
 *
 * Datagrams are taken as they are, TCP segments are joined per direction as long as they follow
 * each other; what was lost in the capture is skipped.  What is inside TLS or DTLS cannot be read:
 * let tshark decrypt it first (docs in README).
 *
 * Limits: CAPTURE_FLOWS directions at a time (the one longest unused makes room), CAPTURE_BUFFER
 * bytes waiting in each. */
#pragma once
#include "cmd/say.h"

enum { CAPTURE_FLOWS = 256, CAPTURE_BUFFER = 1 << 20, CAPTURE_NAME_CAP = 64 };

struct capture_item {
    uint64_t packet; /* from 1, as tshark counts; of the last segment */
    int64_t seconds; /* since 1970 */
    uint32_t micros;
    char from[CAPTURE_NAME_CAP]; /* address:port */
    char to[CAPTURE_NAME_CAP];
    const char *type;   /* "FramedMessage" or "Message" */
    struct slice bytes; /* borrowed */
};

struct capture_totals {
    uint64_t packets;
    uint64_t items;
    uint64_t other_packets; /* with a payload that does not begin like RELOAD */
    uint64_t gaps;          /* in TCP streams */
};

/* Calls `one` for each.  ERR_NOT_FOUND, ERR_MALFORMED (no capture file, or cut off) or
 * ERR_UNSUPPORTED (a link type); `why` (SAY_WHY_CAP bytes) tells people. */
enum err capture_read(const char *path, void (*one)(void *ctx, const struct capture_item *item),
                      void *ctx, struct capture_totals *totals, char *why) MUST_USE;
