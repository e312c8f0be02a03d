/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_floor.h - what forwarding one by one over DTLS costs at least, now: the best way on this
 * machine to forward the message as a bare datagram and its ACK as another, and to write and read
 * both as DTLS records.  floor_udp and floor_tls, which stand beside the running program, measure
 * it in processes of their own. */
#pragma once
#include "bench/slices.h"

enum { DTLS_FLOOR_MESSAGES = 3, DTLS_FLOOR_ACKS = 2 };

/* ns of a message, slice by slice, of each way. */
struct dtls_floor {
    struct slices messages[DTLS_FLOOR_MESSAGES], acks[DTLS_FLOOR_ACKS], records;
};

/* One slice of each; `program` is argv[0] of the caller.  Exits where a floor gives no figure. */
void dtls_floor_slice(struct dtls_floor *f, const char *program);
/* The sum, slice by slice, of the ways whose medians are the least.  (The least of each slice would
 * be a way that nobody has, the luckiest of several measurements.) */
struct slices dtls_floor_best(const struct dtls_floor *f);
