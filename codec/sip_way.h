/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way.h - the ways to read a message: with AVX2, with SSE4.2, and in plain C.
 *
 * The parser's inner parts stand in sip_way_*.h as inline functions; three files compile them, each
 * for its own instruction set (sip_way_avx2.c, sip_way_sse42.c, sip_way_plain.c), so that what
 * looks at 32 bytes at a time is inlined into what decides.  Which one is called is settled at run
 * time, by what the processor has.  Tests hold the ways to each other.
 *
 * Owner: nobody; pure functions.
 * Reads: a load may reach beyond what is judged, never beyond the slice that is passed. */
#pragma once
#include "codec/sip_parser.h"

enum sip_way { SIP_WAY_PLAIN, SIP_WAY_SSE42, SIP_WAY_AVX2 };

static inline enum sip_way sip_way_best(void)
{
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))) {
        return SIP_WAY_AVX2;
    }
    if (__builtin_cpu_supports("sse4.2")) {
        return SIP_WAY_SSE42;
    }
#endif
    return SIP_WAY_PLAIN;
}

/* States of struct sip_parser. */
enum sip_way_state {
    SIP_WAY_IDLE,
    SIP_WAY_START,
    SIP_WAY_HEADERS,
    SIP_WAY_BODY,
    SIP_WAY_LOST,
};

enum sip_way_lines {
    SIP_WAY_LINES_ALL,  /* the head is whole */
    SIP_WAY_LINES_MORE, /* it goes on behind `bytes` */
    SIP_WAY_LINES_LOST  /* see p->pending */
};

/* The first fault counts. */
static inline void sip_way_note(struct sip_parser *p, uint16_t status, size_t offset,
                                const char *why)
{
    if (p->pending.why == NULL) {
        p->pending = (struct sip_fault){status, (uint32_t)offset, why};
    }
}

/* "SIP/2.0", any case: 0; another version: 505; anything else: 400. */
uint16_t sip_parser_judge_version(struct slice s);

/* In each way:
 *   lines    start line and headers of p's message, from p->scan on, up to the empty line
 *   check    sip_msg_check
 *   uri, address, via    sip_uri_read, sip_hdr_address_read, sip_hdr_via_read */
#define SIP_WAY_FUNCTIONS(way)                                                                     \
    enum sip_way_lines sip_way_##way##_lines(struct sip_parser *p, struct slice bytes) MUST_USE;   \
    enum err sip_way_##way##_check(const struct sip_msg *m, struct sip_msg_core *core,             \
                                   struct sip_fault *fault) MUST_USE;                              \
    enum err sip_way_##way##_uri(struct slice s, size_t from, size_t end, struct sip_uri *out)     \
        MUST_USE;                                                                                  \
    enum err sip_way_##way##_address(struct slice s, size_t from, size_t end,                      \
                                     struct sip_hdr_address *out, struct sip_uri *uri) MUST_USE;   \
    enum err sip_way_##way##_via(struct slice s, size_t from, size_t end, struct sip_hdr_via *out) \
        MUST_USE;

SIP_WAY_FUNCTIONS(plain)
#ifdef __x86_64__
SIP_WAY_FUNCTIONS(sse42)
SIP_WAY_FUNCTIONS(avx2)
#endif

/* Calls `function` of `way`. */
#ifdef __x86_64__
#define SIP_WAY_CALL(way, function, ...)                                                           \
    ((way) == SIP_WAY_AVX2    ? sip_way_avx2_##function(__VA_ARGS__)                               \
     : (way) == SIP_WAY_SSE42 ? sip_way_sse42_##function(__VA_ARGS__)                              \
                              : sip_way_plain_##function(__VA_ARGS__))
#else
#define SIP_WAY_CALL(way, function, ...) ((void)(way), sip_way_plain_##function(__VA_ARGS__))
#endif
