/* SPDX-License-Identifier: Apache-2.0 */
/* floor_udp.h - what a forward of datagrams costs the kernel, and nothing else: the three engines
 * that bench/floor_udp.c drives with a generator on another processor.
 *
 * A datagram begins with struct floor_udp_head.  An engine receives, inverts `mark` (the 8 bytes
 * that a forwarder would change), sends to the hop that the head names, and ends when it receives
 * FLOOR_UDP_END.  It runs in a thread of its own. */
#pragma once
#include "bench/floor_run.h"

#include <netinet/in.h>

enum { FLOOR_UDP_HOPS_CAP = 64, FLOOR_UDP_BYTES_CAP = 1472, FLOOR_UDP_WARM_UP = 4096 };
enum { FLOOR_UDP_END = 0xffff };

struct floor_udp_head {
    uint64_t mark;
    uint32_t sequence;
    uint16_t hop;
    uint16_t train; /* how many travel together */
};

struct floor_udp_server {
    int fd;         /* bound, blocking */
    unsigned batch; /* datagrams (or trains) taken by one call */
    unsigned hop_count;
    struct sockaddr_in hops[FLOOR_UDP_HOPS_CAP];
    void (*run)(struct floor_udp_server *server);
    /* out: from the first datagram after the warm-up to the end */
    struct floor_run_result result;
    uint64_t sent; /* of all, warm-up too */
};

/* recvmmsg and sendmmsg. */
void floor_udp_mmsg_run(struct floor_udp_server *server);
/* recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT: one train to each hop. */
void floor_udp_train_run(struct floor_udp_server *server);
/* io_uring: multishot recvmsg into provided buffers, sends over a connected socket for each hop. */
void floor_udp_uring_run(struct floor_udp_server *server);

/* Counts what was sent, and starts the clocks after the warm-up. */
void floor_udp_count(struct floor_udp_server *server, unsigned sent);
