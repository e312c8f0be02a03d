/* SPDX-License-Identifier: Apache-2.0 */
/* upkeep.h - which messages keep the ring together: they may use the reserve of message buffers. */
#pragma once
#include "codec/content.h"
#include "core/msgbuf.h"

/* Requests of the topology and its probes, and their answers (the code behind each). */
static inline bool upkeep_is(uint16_t code)
{
    switch (code) {
    case CONTENT_PING_REQ:
    case CONTENT_PING_REQ + 1:
    case CONTENT_ATTACH_REQ:
    case CONTENT_ATTACH_REQ + 1:
    case CONTENT_JOIN_REQ:
    case CONTENT_JOIN_REQ + 1:
    case CONTENT_LEAVE_REQ:
    case CONTENT_LEAVE_REQ + 1:
    case CONTENT_UPDATE_REQ:
    case CONTENT_UPDATE_REQ + 1:
    case CONTENT_ROUTE_QUERY_REQ:
    case CONTENT_ROUTE_QUERY_REQ + 1:
        return true;
    default:
        return false;
    }
}

/* Whether the reserve is open while a message of this code is taken in, built or sent; returns what
 * to give to msgbuf_open_reserve afterwards. */
static inline bool upkeep_begin(struct msgbuf_pool *buffers, uint16_t code)
{
    return msgbuf_open_reserve(buffers, buffers->is_reserve_open || upkeep_is(code));
}
