/* SPDX-License-Identifier: Apache-2.0 */
/* load_dial.h - the TCP connections of the load generator: how they begin and end. */
#pragma once
#include "core/address.h"
#include "link/tls.h"

struct load_dial {
    const struct address *from, *to; /* from: NULL or family 0: any address of ours */
    int buffer_bytes;                /* of the socket, each way; 0: as the kernel likes */
    uint64_t until_ns;               /* load_cpu_now_ns */
    const volatile int *stop;        /* not 0: give up */
};

/* Connects; *fd does not block, and is to be closed in any case (-1: there is none).  ERR_IO,
 * ERR_TIMEOUT, with errno. */
enum err load_dial(const struct load_dial *d, int *fd) MUST_USE;
/* Closes what there is, and leaves NULL and -1. */
void load_dial_end(struct tls **tls, int *fd);
