/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_floor.h - what forwarding one by one over DTLS costs at least, now: the best way on this
 * machine to forward the message as a bare datagram and its ACK as another, and to write and read
 * both as DTLS records.  floor_udp and floor_tls, which stand beside the running program, measure
 * it in processes of their own. */
#pragma once

/* ns of a message; `program` is argv[0] of the caller.  Exits where a floor gives no figure. */
double dtls_floor_ns(const char *program);
