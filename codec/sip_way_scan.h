/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_scan.h - where runs of characters end: the loops of every decoder, compiled for one way.
 *
 * The file that includes this defines SIP_WAY_IS_AVX2 or SIP_WAY_IS_SSE42 first, or neither.
 *
 * A set of ASCII characters is a table of 16 bytes: bit h of byte l stands for character h * 16 +
 * l. Two shuffles look a whole vector up, one by the low half of each byte, one by the high half;
 * bytes from 0x80 on find nothing, which is right for every set here.
 *
 * Reads: whole vectors, which may reach behind `end` but not behind the slice.  Where less than a
 * vector is left of it, the last whole vector of the slice is looked at instead. */
#pragma once
#include "codec/sip_way.h"

#if defined(SIP_WAY_IS_AVX2) || defined(SIP_WAY_IS_SSE42)
#define SIP_WAY_IS_WIDE
#include <immintrin.h>
#endif

#if defined(SIP_WAY_IS_AVX2)
#define WAY __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#elif defined(SIP_WAY_IS_SSE42)
#define WAY __attribute__((target("sse4.2,popcnt")))
#else
#define WAY
#endif
#define WAY_INLINE WAY static inline __attribute__((always_inline))
#define WAY_COLD WAY static __attribute__((noinline, unused))

enum way_set {
    WAY_TOKEN,   /* these five as in sip_lex_class */
    WAY_USER,    /* of a URI */
    WAY_PARAM,   /* of a URI */
    WAY_WORD,    /* of a header parameter */
    WAY_HOST,    /* name or IPv4 address */
    WAY_NAME,    /* display name without quotes: tokens and space */
    WAY_VISIBLE, /* 0x21 to 0x7e */
    WAY_LIST,    /* what matters to a comma-separated list: , < > " */
    WAY_QUOTED,  /* what matters in a quoted string: " and backslash */
    WAY_EDGE,    /* of a label of a host name: . - */
    WAY_BARE     /* what may not stand in a URI without <> */
};

/* Bytes that are no vector's worth are judged by this. */
WAY_INLINE bool way_has(enum way_set set, uint8_t c)
{
    switch (set) {
    case WAY_TOKEN:
        return (sip_lex_class[c] & SIP_LEX_TOKEN) != 0;
    case WAY_USER:
        return (sip_lex_class[c] & SIP_LEX_USER) != 0;
    case WAY_PARAM:
        return (sip_lex_class[c] & SIP_LEX_PARAM) != 0;
    case WAY_WORD:
        return (sip_lex_class[c] & SIP_LEX_WORD) != 0;
    case WAY_HOST:
        return (sip_lex_class[c] & SIP_LEX_HOST) != 0;
    case WAY_NAME:
        return (sip_lex_class[c] & (SIP_LEX_TOKEN | SIP_LEX_SPACE)) != 0;
    case WAY_VISIBLE:
        return c > ' ' && c < 0x7f;
    case WAY_LIST:
        return c == ',' || c == '<' || c == '>' || c == '"';
    case WAY_QUOTED:
        return c == '"' || c == '\\';
    case WAY_EDGE:
        return c == '.' || c == '-';
    case WAY_BARE:
        return c == ';' || c == '?' || c == ',' || c == '>' || sip_lex_is_space(c);
    }
    return false;
}

#ifdef SIP_WAY_IS_WIDE

/* Each table stands twice, for the two halves of a vector. */
#define WAY_TWICE(...)                                                                             \
    {                                                                                              \
        __VA_ARGS__, __VA_ARGS__                                                                   \
    }
static const uint8_t way_sets[][32] = {
    [WAY_TOKEN] = WAY_TWICE(0xe8, 0xfc, 0xf8, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xf8, 0xf8, 0xf4, 0x54,
                            0x50, 0x54, 0xd4, 0x70),
    [WAY_USER] = WAY_TWICE(0xa8, 0xfc, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xf4, 0x5c,
                           0x54, 0x5c, 0xd4, 0x7c),
    [WAY_PARAM] = WAY_TWICE(0xa8, 0xfc, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0x74,
                            0x50, 0x74, 0xd4, 0x74),
    [WAY_WORD] = WAY_TWICE(0xf8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xf4,
                           0xf0, 0xf4, 0xf4, 0x7c),
    [WAY_HOST] = WAY_TWICE(0xa8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf0, 0x50,
                           0x50, 0x54, 0x54, 0x70),
    [WAY_NAME] = WAY_TWICE(0xec, 0xfc, 0xf8, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xf8, 0xf9, 0xf5, 0x54,
                           0x50, 0x55, 0xd4, 0x70),
    [WAY_VISIBLE] = WAY_TWICE(0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc,
                              0xfc, 0xfc, 0xfc, 0xfc, 0x7c),
    [WAY_LIST] = WAY_TWICE(0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                           0x0c, 0x00, 0x08, 0x00),
    [WAY_QUOTED] = WAY_TWICE(0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                             0x20, 0x00, 0x00, 0x00),
    [WAY_EDGE] = WAY_TWICE(0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                           0x00, 0x04, 0x04, 0x00),
    [WAY_BARE] = WAY_TWICE(0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x01, 0x08,
                           0x04, 0x01, 0x08, 0x08),
};
static const uint8_t way_halves[32] =
    WAY_TWICE(1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0);
/* The low half of each byte; a shuffle looks at no other bit but the highest.  It does not repeat
 * itself so that it is loaded: a compiler would take three instructions to make 0x0f... anew. */
static const uint8_t way_low_half[32] = {
    0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x1f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x1f,
    0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x1f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f};

#ifdef SIP_WAY_IS_AVX2
typedef __m256i way_vec;
#define WAY_ALL 0xffffffffu
#define WAY_OP(name, ...) _mm256_##name(__VA_ARGS__)
#define WAY_WHOLE(name, ...) _mm256_##name##_si256(__VA_ARGS__)
#else
typedef __m128i way_vec;
#define WAY_ALL 0xffffu
#define WAY_OP(name, ...) _mm_##name(__VA_ARGS__)
#define WAY_WHOLE(name, ...) _mm_##name##_si128(__VA_ARGS__)
#endif

WAY_INLINE way_vec way_load(const uint8_t *p)
{
    return WAY_WHOLE(loadu, (const way_vec *)(const void *)p);
}

WAY_INLINE way_vec way_and(way_vec a, way_vec b)
{
    return WAY_WHOLE(and, a, b);
}

WAY_INLINE void way_store_zero(uint8_t *p)
{
    WAY_WHOLE(storeu, (way_vec *)(void *)p, WAY_WHOLE(setzero));
}

enum { WAY_BYTES = sizeof(way_vec) };

WAY_INLINE uint32_t way_mask(way_vec x)
{
    return (uint32_t)WAY_OP(movemask_epi8, x);
}

WAY_INLINE uint32_t way_equal(way_vec x, char c)
{
    return way_mask(WAY_OP(cmpeq_epi8, x, WAY_OP(set1_epi8, c)));
}

/* A constant that stays in its register, where the compiler would make it anew for each use. */
WAY_INLINE way_vec way_hold(char c)
{
    way_vec x = WAY_OP(set1_epi8, c);
    __asm__("" : "+x"(x));
    return x;
}

/* Control characters: up to `last`, which is 0x1f. */
WAY_INLINE uint32_t way_controls(way_vec x, way_vec last)
{
    return way_mask(WAY_OP(cmpeq_epi8, WAY_OP(max_epu8, x, last), last));
}

/* What way_outside looks its bytes up with. */
WAY_INLINE way_vec way_high(way_vec x)
{
    return WAY_OP(shuffle_epi8, way_load(way_halves),
                  way_and(WAY_OP(srli_epi16, x, 4), way_load(way_low_half)));
}

/* Which bytes of `x` are not in the set. */
WAY_INLINE uint32_t way_outside(way_vec x, way_vec high, enum way_set set)
{
    way_vec low = WAY_OP(shuffle_epi8, way_load(way_sets[set]), x);
    return way_mask(WAY_OP(cmpeq_epi8, way_and(low, high), WAY_OP(sub_epi8, x, x)));
}

WAY_INLINE uint32_t way_strangers(way_vec x, enum way_set set)
{
    return way_outside(x, way_high(x), set);
}

/* Offset of the first bit of `found`, bytes of `s` from `i` on; `end` where that is farther. */
WAY_INLINE size_t way_first(uint32_t found, size_t i, size_t end)
{
    return min_size(i + (size_t)__builtin_ctz(found), end);
}

/* Within the ways the `len` of a slice that is walked says at how many offsets a whole vector can
 * be loaded; where the text ends everybody says as `end`. */
WAY_INLINE struct slice way_room(struct slice s)
{
    return slice_of(s.data, s.len >= WAY_BYTES ? s.len - WAY_BYTES + 1 : 0);
}

/* The last whole vector of `s`, and how many of its bytes stand before `i`. */
WAY_INLINE way_vec way_last(struct slice s, size_t i, size_t *before)
{
    *before = i - (s.len - 1);
    return way_load(s.data + s.len - 1);
}

/* way_stop where it does not end within the first vector, or where less than one is left. */
WAY_COLD size_t way_far(struct slice s, enum way_set set, bool is_in, size_t i, size_t end)
{
    const uint32_t other = is_in ? WAY_ALL : 0;
    for (; i < end && i < s.len; i += WAY_BYTES) {
        uint32_t found = way_strangers(way_load(s.data + i), set) ^ other;
        if (found != 0) {
            return way_first(found, i, end);
        }
    }
    if (i < end && s.len > 0) {
        size_t before;
        way_vec x = way_last(s, i, &before);
        uint32_t found = (way_strangers(x, set) ^ other) >> before;
        return found == 0 ? end : way_first(found, i, end);
    }
    while (i < end && way_has(set, s.data[i]) != is_in) {
        i++;
    }
    return min_size(i, end);
}
#else
WAY_INLINE struct slice way_room(struct slice s)
{
    return s;
}
#endif

/* First byte of [i, end) that is in `set` (is_in), or that is not; `end` when there is none.  i
 * must not be behind `end`. */
WAY_INLINE size_t way_stop(struct slice s, enum way_set set, bool is_in, size_t i, size_t end)
{
#ifdef SIP_WAY_IS_WIDE
    if (LIKELY(i < s.len)) {
        uint32_t found = way_strangers(way_load(s.data + i), set);
        found = is_in ? found ^ WAY_ALL : found;
        if (LIKELY(found != 0)) {
            return way_first(found, i, end);
        }
    }
    return way_far(s, set, is_in, i, end);
#else
    while (i < end && way_has(set, s.data[i]) != is_in) {
        i++;
    }
    return i;
#endif
}

/* Behind the run of characters of `set` that starts at `i`. */
WAY_INLINE size_t way_span(struct slice s, enum way_set set, size_t i, size_t end)
{
    return way_stop(s, set, false, i, end);
}

/* The first character of `set`. */
WAY_INLINE size_t way_find_any(struct slice s, enum way_set set, size_t i, size_t end)
{
    return way_stop(s, set, true, i, end);
}

/* The first `c` of [i, end), or `end`. */
WAY_INLINE size_t way_find(struct slice s, char c, size_t i, size_t end)
{
#ifdef SIP_WAY_IS_WIDE
    const way_vec want = WAY_OP(set1_epi8, c);
    for (; i < end && i < s.len; i += WAY_BYTES) {
        uint32_t found = way_mask(WAY_OP(cmpeq_epi8, way_load(s.data + i), want));
        if (found != 0) {
            return way_first(found, i, end);
        }
    }
#endif
    while (i < end && s.data[i] != (uint8_t)c) {
        i++;
    }
    return min_size(i, end);
}

/* The first control character of [i, end), or `end`.  The first colon on the way is noted where
 * none was known (0); it may stand behind what is returned. */
WAY_INLINE size_t way_find_control(struct slice s, size_t i, size_t end, size_t *colon)
{
#ifdef SIP_WAY_IS_WIDE
    for (; i < end && s.len > 0; i += WAY_BYTES) {
        size_t before = 0;
        way_vec x = LIKELY(i < s.len) ? way_load(s.data + i) : way_last(s, i, &before);
        if (*colon == 0) {
            uint32_t colons = way_equal(x, ':') >> before;
            *colon = colons == 0 ? 0 : i + (size_t)__builtin_ctz(colons);
        }
        uint32_t controls = way_controls(x, WAY_OP(set1_epi8, 0x1f)) >> before;
        if (controls != 0) {
            return way_first(controls, i, end);
        }
    }
#endif
    for (; i < end && s.data[i] >= ' '; i++) {
        if (*colon == 0 && s.data[i] == ':') {
            *colon = i;
        }
    }
    return min_size(i, end);
}

WAY_INLINE size_t way_skip_space(struct slice s, size_t i, size_t end)
{
    while (i < end && sip_lex_is_space(s.data[i])) {
        i++;
    }
    return i;
}

/* Zeroes a structure without a call, and without `rep stos`, which takes longer to start. */
WAY_INLINE void way_clear(void *out, size_t size)
{
#ifdef SIP_WAY_IS_WIDE
    uint8_t *p = out;
    size_t i = 0;
    for (; i + WAY_BYTES <= size; i += WAY_BYTES) {
        __asm__("" : "+r"(p)); /* or it becomes a memset again */
        way_store_zero(p + i);
    }
    memset(p + i, 0, size - i);
#else
    memset(out, 0, size);
#endif
}

WAY_INLINE uint32_t way_two(const void *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

WAY_INLINE uint32_t way_four(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

/* The `len` letters at `p`, 2 to 8 and known at compile time, are those of `lower`, in whatever
 * case. */
WAY_INLINE bool way_is_word(const uint8_t *p, const char *lower, size_t len)
{
    if (len >= 4) {
        return (((way_four(p) | 0x20202020u) ^ way_four(lower)) |
                ((way_four(p + len - 4) | 0x20202020u) ^ way_four(lower + len - 4))) == 0;
    }
    return (((way_two(p) | 0x2020u) ^ way_two(lower)) |
            ((way_two(p + len - 2) | 0x2020u) ^ way_two(lower + len - 2))) == 0;
}
