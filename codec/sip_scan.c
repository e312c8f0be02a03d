/* SPDX-License-Identifier: Apache-2.0 */
/* sip_scan.c - see sip_scan.h.  A block that is not full is copied into one that is. */
#include "codec/sip_scan.h"
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* ---- plain ---- */

static struct sip_scan_lines lines_plain(const uint8_t *block)
{
    struct sip_scan_lines s = {0, 0};
    for (unsigned i = 0; i < SIP_SCAN_BLOCK; i++) {
        s.controls |= (uint64_t)(block[i] < 0x20) << i;
        s.colons |= (uint64_t)(block[i] == ':') << i;
    }
    return s;
}

/* ---- 16 and 32 bytes at a time ---- */

#ifdef __x86_64__
#define SSE42 __attribute__((target("sse4.2")))
#define AVX2 __attribute__((target("avx2")))

SSE42 static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

SSE42 static inline uint64_t mask16(__m128i x, unsigned at)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(x) << at;
}

SSE42 static struct sip_scan_lines lines_sse42(const uint8_t *block)
{
    struct sip_scan_lines s = {0, 0};
    const __m128i last_control = _mm_set1_epi8(0x1f);
    for (unsigned i = 0; i < SIP_SCAN_BLOCK; i += sizeof(__m128i)) {
        __m128i x = load16(block + i);
        s.controls |= mask16(_mm_cmpeq_epi8(_mm_max_epu8(x, last_control), last_control), i);
        s.colons |= mask16(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')), i);
    }
    return s;
}

AVX2 static inline __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline uint64_t mask32(__m256i low, __m256i high)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << sizeof(__m256i);
}

AVX2 static struct sip_scan_lines lines_avx2(const uint8_t *block)
{
    const __m256i last_control = _mm256_set1_epi8(0x1f);
    const __m256i colon = _mm256_set1_epi8(':');
    __m256i a = load32(block), b = load32(block + sizeof(__m256i));
    return (struct sip_scan_lines){
        mask32(_mm256_cmpeq_epi8(_mm256_max_epu8(a, last_control), last_control),
               _mm256_cmpeq_epi8(_mm256_max_epu8(b, last_control), last_control)),
        mask32(_mm256_cmpeq_epi8(a, colon), _mm256_cmpeq_epi8(b, colon)),
    };
}

#endif

/* ---- which of them ---- */

static inline enum sip_scan_way best_way(void)
{
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("avx2"))) {
        return SIP_SCAN_AVX2;
    }
    if (__builtin_cpu_supports("sse4.2")) {
        return SIP_SCAN_SSE42;
    }
#endif
    return SIP_SCAN_PLAIN;
}

/* 64 bytes: `data` itself, or its `len` and blanks, in `room`. */
static inline const uint8_t *whole(const uint8_t *data, size_t len, uint8_t *room)
{
    if (LIKELY(len >= SIP_SCAN_BLOCK)) {
        return data;
    }
    memset(room, ' ', SIP_SCAN_BLOCK);
    if (len > 0) {
        memcpy(room, data, len);
    }
    return room;
}

HOT static inline struct sip_scan_lines lines(enum sip_scan_way way, const uint8_t *data,
                                              size_t len)
{
    uint8_t room[SIP_SCAN_BLOCK];
    const uint8_t *block = whole(data, len, room);
#ifdef __x86_64__
    if (way == SIP_SCAN_AVX2) {
        return lines_avx2(block);
    }
    if (way == SIP_SCAN_SSE42) {
        return lines_sse42(block);
    }
#endif
    (void)way;
    return lines_plain(block);
}

struct sip_scan_lines sip_scan_lines(const uint8_t *data, size_t len)
{
    return lines(best_way(), data, len);
}

bool sip_scan_lines_by(enum sip_scan_way way, const uint8_t *data, size_t len,
                       struct sip_scan_lines *out)
{
    bool is_possible = way <= best_way();
    if (is_possible) {
        *out = lines(way, data, len);
    }
    return is_possible;
}
