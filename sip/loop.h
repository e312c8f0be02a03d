/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - has this request been here before, unchanged?  (RFC 3261 16.3 item 4, RFC 5393 4.2)
 *
 * The mark is a keyed hash of what decides on routing.  It is part of our Via branch; a request
 * that carries a Via of this shard with the same mark has looped, one with another mark has
 * spiralled. */
#pragma once
#include "sip/sip_state.h"

void loop_mark(const struct sip *s, const struct sip_rx *rx, uint8_t mark[TX_LOOP_BYTES]);
bool loop_is_found(const struct sip *s, const struct sip_rx *rx, const uint8_t mark[TX_LOOP_BYTES]);
