/* SPDX-License-Identifier: Apache-2.0 */
/* capture.h - RELOAD frames and messages in a capture file (libpcap; pcap and pcapng).
 *
 * Datagrams are taken as they are, TCP segments are put in order and joined per direction
 * (cmd/capture_stream.h).  Where bytes were lost, or were no RELOAD, reading goes on at the next
 * token of a message.  What is inside TLS or DTLS cannot be read: let tshark decrypt it first (docs
 * in README).
 *
 * Limits: CAPTURE_FLOWS directions at a time (the one longest unused makes room), in each of them
 * CAPTURE_BUFFER bytes and CAPTURE_HELD early segments waiting. */
#pragma once
#include "cmd/say.h"

enum { CAPTURE_FLOWS = 256, CAPTURE_BUFFER = 1 << 20, CAPTURE_HELD = 8, CAPTURE_NAME_CAP = 64 };

struct capture_item {
    uint64_t packet; /* from 1, as tshark counts; of the last segment */
    int64_t seconds; /* since 1970 */
    uint32_t micros;
    char from[CAPTURE_NAME_CAP]; /* address:port */
    char to[CAPTURE_NAME_CAP];
    const char *type;   /* "FramedMessage", "Message", or of a datagram "StunMessage" */
    struct slice bytes; /* borrowed */
};

struct capture_totals {
    uint64_t packets;
    uint64_t items;
    uint64_t other_packets; /* with a payload that does not begin like RELOAD */
    uint64_t gaps;          /* in TCP streams: bytes that the capture lacks */
    uint64_t unfinished;    /* streams that end inside a frame or message */
};

/* Calls `one` for each.  ERR_NOT_FOUND, ERR_MALFORMED (no capture file, or cut off) or
 * ERR_UNSUPPORTED (a link type); `why` (SAY_WHY_CAP bytes) tells people. */
enum err capture_read(const char *path, void (*one)(void *ctx, const struct capture_item *item),
                      void *ctx, struct capture_totals *totals, char *why) MUST_USE;
