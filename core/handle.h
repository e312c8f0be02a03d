/* SPDX-License-Identifier: Apache-2.0 */
/* handle.h - the only thing that may be kept across turns: {kind, generation, index}.
 *
 * A handle whose generation is over is a normal miss, never an error.  0 is no handle. */
#pragma once
#include "core/base.h"

typedef uint64_t handle; /* kind 8 bits, generation 24 bits, index 32 bits */

static inline handle handle_make(uint8_t kind, uint32_t generation, uint32_t index)
{
    return (uint64_t)kind << 56 | (uint64_t)(generation & 0xffffffu) << 32 | index;
}

static inline uint8_t handle_kind(handle h)
{
    return (uint8_t)(h >> 56);
}

static inline uint32_t handle_generation(handle h)
{
    return (uint32_t)(h >> 32) & 0xffffffu;
}

static inline uint32_t handle_index(handle h)
{
    return (uint32_t)h;
}
