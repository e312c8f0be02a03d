/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_lex.h - the larger words: quoted strings, parameters, hosts, ports; see sip_way_scan.h.
 */
#pragma once
#include "codec/sip_way_scan.h"

/* Behind the quoted string that starts at `i`; 0 when it does not end. */
WAY_INLINE size_t way_quoted(struct slice s, size_t i, size_t end)
{
    for (i++; i < end; i += 2) {
        i = way_find_any(s, WAY_QUOTED, i, end);
        if (i < end && s.data[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

/* Decimal digits from `*at` on; a value above `max` stays above it.  False: there are none. */
WAY_INLINE bool way_digits(struct slice s, size_t *at, size_t end, uint64_t max, uint64_t *value)
{
    size_t i = *at;
    uint64_t sum = 0;
    for (; i < end; i++) {
        unsigned digit = s.data[i] - (unsigned)'0';
        if (digit > 9) {
            break;
        }
        sum = sum > max ? sum : sum * 10 + digit;
    }
    bool is_some = i > *at;
    *at = i;
    *value = sum;
    return is_some;
}

/* The value behind "name =" at offset *at. */
WAY_INLINE enum err way_param_value(struct slice s, size_t *at, size_t end,
                                    struct sip_lex_param *out)
{
    size_t i = *at;
    out->has_value = true;
    size_t stop = way_span(s, WAY_WORD, i, end);
    if (UNLIKELY(stop == i)) {
        i = way_skip_space(s, i, end);
        stop = way_span(s, WAY_WORD, i, end);
    }
    if (stop == i && i < end && s.data[i] == '"') {
        stop = way_quoted(s, i, end);
        if (stop == 0) {
            return ERR_MALFORMED;
        }
        out->is_quoted = true;
        out->value = slice_between(s, i + 1, stop - 1);
        *at = stop;
        return ERR_OK;
    }
    while (stop < end && s.data[stop] == '=') {
        stop = way_span(s, WAY_WORD, stop + 1, end);
    }
    out->value = slice_between(s, i, stop);
    *at = stop;
    return stop == i ? ERR_MALFORMED : ERR_OK;
}

/* sip_lex_param_read */
WAY_INLINE enum err way_param(struct slice s, size_t *at, size_t end, struct sip_lex_param *out)
{
    size_t i = *at;
    if (i < end && s.data[i] != ';') {
        i = way_skip_space(s, i, end);
    }
    if (i == end) {
        *at = end;
        return ERR_NOT_FOUND;
    }
    if (s.data[i] != ';') {
        return ERR_MALFORMED;
    }
    i++;
    size_t stop = way_span(s, WAY_WORD, i, end);
    if (UNLIKELY(stop == i)) {
        i = way_skip_space(s, i, end);
        stop = way_span(s, WAY_WORD, i, end);
    }
    if (stop == i) {
        return ERR_MALFORMED;
    }
    *out = (struct sip_lex_param){.name = slice_between(s, i, stop)};
    i = stop;
    if (i < end && s.data[i] != ';') {
        i = way_skip_space(s, i, end);
        if (i < end && s.data[i] == '=') {
            i++;
            if (way_param_value(s, &i, end, out) != ERR_OK) {
                return ERR_MALFORMED;
            }
            i = way_skip_space(s, i, end);
        }
        if (i < end && s.data[i] != ';') {
            return ERR_MALFORMED;
        }
    }
    *at = i;
    return ERR_OK;
}

/* ":port" in [*at, end): behind its colon.  Port 0 is none. */
WAY_INLINE enum err way_port(struct slice s, size_t *at, size_t end, uint16_t *port)
{
    uint64_t number = 0;
    bool is_some = way_digits(s, at, end, UINT16_MAX, &number);
    *port = (uint16_t)number;
    return is_some && number <= UINT16_MAX && number > 0 ? ERR_OK : ERR_MALFORMED;
}

#ifdef SIP_WAY_IS_WIDE
/* The first `len` letters of `x`, which stands at `p`, are an IPv4 address, and one that is seen to
 * be so at once: no number of it is above 249.  `within` has `len` bits. */
WAY_INLINE bool way_is_ipv4(const uint8_t *p, way_vec x, uint32_t within, unsigned len)
{
    way_vec digits = WAY_OP(sub_epi8, x, WAY_OP(set1_epi8, '0'));
    way_vec bounded = WAY_OP(min_epu8, digits, WAY_OP(set1_epi8, 9));
    uint32_t others = ~way_mask(WAY_OP(cmpeq_epi8, digits, bounded)) & within;
    uint32_t dots = way_equal(x, '.') & within;
    if (others != dots || __builtin_popcount(dots) != 3) {
        return false;
    }
    unsigned from = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned to = i < 3 ? (unsigned)__builtin_ctz(dots) : len;
        unsigned count = to - from;
        if (count - 1 > 2 ||
            (count == 3 && (p[from] > '2' || (p[from] == '2' && p[from + 1] > '4')))) {
            return false;
        }
        dots &= dots - 1;
        from = to + 1;
    }
    return true;
}

/* sip_lex_host_read for what is no IPv6 address and ends within a vector; 0 when it does not. */
WAY_INLINE size_t way_short_host(struct slice s, size_t from, size_t end, enum sip_lex_host *kind)
{
    if (UNLIKELY(from >= s.len)) {
        return 0;
    }
    way_vec x = way_load(s.data + from);
    way_vec high = way_high(x);
    uint32_t others = way_outside(x, high, WAY_HOST);
    uint32_t edges = ~way_outside(x, high, WAY_EDGE);
    if (UNLIKELY(others == 0)) {
        return 0;
    }
    size_t stop = way_first(others, from, end);
    if (UNLIKELY(stop == from)) {
        return 0;
    }
    uint32_t within = (uint32_t)((UINT64_C(1) << (stop - from)) - 1);
    uint8_t last = s.data[stop - 1];
    /* two edges side by side, or one at the start, or a digit at the end: a closer look */
    if (LIKELY((edges & (edges << 1 | 1) & within) == 0 && (last | 0x20) >= 'a')) {
        *kind = SIP_LEX_HOST_NAME; /* a letter or _ at the end: nearly all */
    } else if (LIKELY(way_is_ipv4(s.data + from, x, within, (unsigned)(stop - from)))) {
        *kind = SIP_LEX_HOST_IPV4;
    } else {
        *kind = sip_lex_host_judge(slice_between(s, from, stop));
    }
    return stop;
}

/* The same for one that is longer than a vector, or stands where less than one is left: names of
 * nodes are (sip/hop).  0 where none begins. */
WAY_COLD size_t way_long_host(struct slice s, size_t from, size_t end, enum sip_lex_host *kind)
{
    uint32_t edge = 1; /* what stands before the name is one */
    bool is_plain = true;
    size_t stop = from;
    for (size_t i = from; stop == i && i < end && s.len > 0; i += WAY_BYTES) {
        size_t before = 0;
        way_vec x = LIKELY(i < s.len) ? way_load(s.data + i) : way_last(s, i, &before);
        way_vec high = way_high(x);
        uint32_t others = way_outside(x, high, WAY_HOST) >> before;
        uint32_t edges = (~way_outside(x, high, WAY_EDGE) & WAY_ALL) >> before;
        stop = others != 0 ? way_first(others, i, end) : min_size(i + WAY_BYTES - before, end);
        uint32_t within = (uint32_t)((UINT64_C(1) << (stop - i)) - 1);
        is_plain = is_plain && (edges & (edges << 1 | edge) & within) == 0;
        edge = edges >> (WAY_BYTES - 1);
    }
    if (stop > from) {
        *kind = is_plain && (s.data[stop - 1] | 0x20) >= 'a'
                    ? SIP_LEX_HOST_NAME
                    : sip_lex_host_judge(slice_between(s, from, stop));
    }
    return stop > from ? stop : 0;
}
#endif

/* The host that starts at `from`: where it ends.  *kind is BAD when there is none. */
WAY_INLINE size_t way_host(struct slice s, size_t from, size_t end, enum sip_lex_host *kind)
{
#ifdef SIP_WAY_IS_WIDE
    size_t stop = way_short_host(s, from, end, kind);
    if (LIKELY(stop != 0)) {
        return stop;
    }
    stop = way_long_host(s, from, end, kind);
    if (stop != 0) {
        return stop;
    }
#endif
    return sip_lex_host_read(s, from, end, kind);
}
