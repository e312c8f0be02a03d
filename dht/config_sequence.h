/* SPDX-License-Identifier: Apache-2.0 */
/* config_sequence.h - sequence numbers of configuration documents (RFC 6940 6.3.2.1, 11.1; CU-1,
 * CU-3, A-66).
 *
 * They count modulo 65535: after 65534 comes 0, and 65535 is no document's but says "accept this
 * ConfigUpdate whatever you have".  Greater and less are meant as in TCP: of two numbers the newer
 * one is at most half a turn ahead.  Owner: pure functions. */
#pragma once
#include "core/base.h"

enum { CONFIG_SEQUENCE_COUNT = 65535 };

static inline bool config_sequence_is_document(uint32_t sequence)
{
    return sequence < CONFIG_SEQUENCE_COUNT;
}

static inline bool config_sequence_is_newer(uint16_t a, uint16_t b)
{
    uint32_t ahead = ((uint32_t)a + CONFIG_SEQUENCE_COUNT - b) % CONFIG_SEQUENCE_COUNT;
    return config_sequence_is_document(a) && config_sequence_is_document(b) && ahead > 0 &&
           ahead <= CONFIG_SEQUENCE_COUNT / 2;
}

static inline uint16_t config_sequence_next(uint16_t sequence)
{
    return (uint16_t)((sequence + 1u) % CONFIG_SEQUENCE_COUNT);
}
