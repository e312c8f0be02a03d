/* SPDX-License-Identifier: Apache-2.0 */
/* driver_event.h - what a driver reports; see driver.h. */
#pragma once
#include "core/base.h"
#include <sys/socket.h>

enum {
    DRIVER_STREAM_BYTES = 16384,  /* most bytes of a stream in one event */
    DRIVER_DATAGRAM_BYTES = 8000, /* longer datagrams are dropped */
    DRIVER_WAIT_CAP_US = 1000000, /* no sleep is longer, whatever is asked for */
};

enum driver_kind {
    DRIVER_ACCEPT,        /* index: listener; result: descriptor */
    DRIVER_DATAGRAM,      /* index: listener; data (one or a train), segment, from, is_truncated */
    DRIVER_CONNECT,       /* index: conn */
    DRIVER_RECEIVE,       /* index: conn; data; result 0 = end of stream */
    DRIVER_SEND,          /* index: conn; result: bytes */
    DRIVER_SEND_DATAGRAM, /* index: slot */
    DRIVER_WAKE,          /* mail */
    DRIVER_NOTHING,
};

struct driver_event {
    enum driver_kind kind;
    uint32_t index;
    int result;   /* >= 0, or -errno */
    bool is_last; /* no more events until the verb is called again */
    bool is_truncated;
    uint8_t *data;    /* `result` bytes */
    uint32_t segment; /* DATAGRAM: size of each but the last; `result` when there is but one */
    const struct sockaddr_storage *from;
};

static inline uint64_t driver_tag(enum driver_kind kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}
