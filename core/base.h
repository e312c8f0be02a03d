/* SPDX-License-Identifier: Apache-2.0 */
/* base.h - words that every file of the project may use.
 *
 * CHECK guards against our own mistakes and stays on in release builds.  Bytes that come from a
 * network, a disk or a configuration file must never be able to reach one: they get an enum err. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(format_index, args_index)                                                      \
    __attribute__((format(printf, format_index, args_index)))
/* Marks the functions that a message in transit runs through: no logging, no division by a
 * variable, no function pointer, no allocation inside. */
#define HOT __attribute__((hot))
/* Kept out of a hot caller: its stack, and the guard of that, would be paid for each time. */
#define NOINLINE __attribute__((noinline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define STATIC_CHECK(x) _Static_assert(x, #x)
#define CHECK(x) (LIKELY(x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))
#define UNREACHABLE(why) check_failed(__FILE__, __LINE__, "unreachable: " why)

/* DCHECK may walk a whole structure: on in debug, sanitizer, fuzz and simulator builds only. */
#ifdef CHORDIAL_DEBUG
#define DCHECK(x) CHECK(x)
#else
#define DCHECK(x) ((void)sizeof(x))
#endif

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Prints file, line, expression and the last trace events of this thread, then aborts. */
NORETURN void check_failed(const char *file, int line, const char *expression);

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
