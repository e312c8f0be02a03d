/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_tcp.h - look-ups over TCP without TLS: what a server pays for them, its kernel included.
 *
 * As redis-benchmark -c 50 -P 32 asks: 50 connections, each with 32 requests on their way, the
 * server on the first processor, who asks on the second.  The server runs the code of a node from
 * the frames of a link on. */
#pragma once
#include "bench/lookup_world.h"

/* CPU time of the server's thread in ns for each look-up, over `ms` of asking; 0: an answer was
 * wrong, as said on stderr.  `records` are stored in `w`, which serves connections from now on. */
double lookup_tcp_run(struct lookup_world *w, uint32_t records, uint32_t ms);
