/* SPDX-License-Identifier: Apache-2.0 */
/* poison.h - memory that nobody may touch until it is lifted: what a pool was given back.
 *
 * AddressSanitizer (modes asan and fuzz) stops who does; elsewhere this is nothing. */
#pragma once
#include "core/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON_IS_ON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_IS_ON 1
#endif
#endif
#ifndef POISON_IS_ON
#define POISON_IS_ON 0
#endif

#if POISON_IS_ON /* as <sanitizer/asan_interface.h> has them */
void __asan_poison_memory_region(const volatile void *from, size_t bytes);
void __asan_unpoison_memory_region(const volatile void *from, size_t bytes);
#endif

static inline void poison_set(const void *from, size_t bytes)
{
#if POISON_IS_ON
    __asan_poison_memory_region(from, bytes);
#else
    (void)from, (void)bytes;
#endif
}

static inline void poison_lift(const void *from, size_t bytes)
{
#if POISON_IS_ON
    __asan_unpoison_memory_region(from, bytes);
#else
    (void)from, (void)bytes;
#endif
}
