/* SPDX-License-Identifier: Apache-2.0 */
/* address.c - text forms (RFC 4291 2.2, RFC 5952) and ranges (RFC 6890) of addresses. */
#include "core/address.h"

enum { GROUPS = 8, MAPPED_AT = 12 };

/* A cursor over the text; every reader leaves `at` alone when it fails. */
struct cursor {
    struct slice text;
    size_t at;
};

static int peek(const struct cursor *c)
{
    return c->at < c->text.len ? c->text.data[c->at] : -1;
}

static bool accept(struct cursor *c, char wanted)
{
    if (peek(c) != wanted) {
        return false;
    }
    c->at++;
    return true;
}

/* A decimal number without leading zeros. */
static bool read_decimal(struct cursor *c, uint32_t max, uint32_t *out)
{
    size_t start = c->at;
    uint32_t value = 0;
    while (peek(c) >= '0' && peek(c) <= '9') {
        value = value * 10 + (uint32_t)(peek(c) - '0');
        c->at++;
        if (value > max) {
            return false;
        }
    }
    size_t digits = c->at - start;
    *out = value;
    return digits == 1 || (digits > 1 && c->text.data[start] != '0');
}

static bool read_v4(struct cursor *c, uint8_t ip[4])
{
    for (size_t i = 0; i < 4; i++) {
        uint32_t octet = 0;
        if ((i > 0 && !accept(c, '.')) || !read_decimal(c, 255, &octet)) {
            return false;
        }
        ip[i] = (uint8_t)octet;
    }
    return true;
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int lower = c | 0x20;
    return c > 0 && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool read_group(struct cursor *c, uint32_t *out)
{
    size_t start = c->at;
    uint32_t value = 0;
    while (hex_value(peek(c)) >= 0 && c->at - start < 4) {
        value = value << 4 | (uint32_t)hex_value(peek(c));
        c->at++;
    }
    *out = value;
    return c->at > start;
}

/* Groups from `c`, up to GROUPS, into `ip`; "::" ends the run.  Dotted IPv4 may be the last two.
 * Returns how many bytes were written, SIZE_MAX for text that cannot be right. */
static size_t read_run(struct cursor *c, uint8_t *ip, size_t room, bool *is_gap)
{
    size_t used = 0;
    *is_gap = false;
    while (used < room && hex_value(peek(c)) >= 0) {
        struct cursor before = *c;
        uint32_t group = 0;
        if (!read_group(c, &group)) {
            return SIZE_MAX;
        }
        if (peek(c) == '.') {
            *c = before;
            return room - used >= 4 && read_v4(c, ip + used) ? used + 4 : SIZE_MAX;
        }
        ip[used] = (uint8_t)(group >> 8);
        ip[used + 1] = (uint8_t)group;
        used += 2;
        if (!accept(c, ':')) {
            return used;
        }
        if (accept(c, ':')) {
            *is_gap = true;
            return used;
        }
        if (hex_value(peek(c)) < 0) {
            return SIZE_MAX; /* a colon at the end */
        }
    }
    return used;
}

static bool read_v6(struct cursor *c, uint8_t ip[16])
{
    uint8_t tail[16] = {0};
    bool is_gap = false;
    size_t head_len = 0;
    memset(ip, 0, 16);
    if (accept(c, ':')) {
        if (!accept(c, ':')) {
            return false;
        }
        is_gap = true;
    } else {
        head_len = read_run(c, ip, 16, &is_gap);
        if (head_len == SIZE_MAX || (!is_gap && head_len != 16)) {
            return false;
        }
    }
    if (!is_gap) {
        return true;
    }
    if (head_len > 14) {
        return false; /* "::" stands for at least one group */
    }
    bool again = false;
    size_t tail_len = read_run(c, tail, 14 - head_len, &again);
    if (tail_len == SIZE_MAX || again) {
        return false;
    }
    memcpy(ip + 16 - tail_len, tail, tail_len);
    return true;
}

static bool read_port(struct cursor *c, uint16_t *port)
{
    uint32_t value = 0;
    if (!read_decimal(c, 65535, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

/* An IPv4 address alone, which most are; false: a closer look says what it is. */
static bool read_plain_v4(struct slice s, uint8_t ip[4])
{
    size_t i = 0;
    for (size_t octet = 0; octet < 4; octet++) {
        if (octet > 0 && (i == s.len || s.data[i++] != '.')) {
            return false;
        }
        uint32_t value = 0;
        size_t start = i;
        for (; i < s.len && i < start + 3 && s.data[i] - (uint32_t)'0' <= 9; i++) {
            value = value * 10 + s.data[i] - (uint32_t)'0';
        }
        if (i == start || value > 255 || (i > start + 1 && s.data[start] == '0')) {
            return false;
        }
        ip[octet] = (uint8_t)value;
    }
    return i == s.len;
}

enum err address_parse(struct slice text, uint16_t default_port, struct address *out)
{
    struct address made = {.port = default_port};
    if (read_plain_v4(text, made.ip)) {
        made.family = 4;
        *out = made;
        return ERR_OK;
    }
    memset(made.ip, 0, sizeof(made.ip));
    struct cursor c = {.text = text};
    bool is_good = false;
    bool is_bracketed = accept(&c, '[');
    size_t colons = 0;
    for (size_t i = 0; i < text.len; i++) {
        colons += text.data[i] == ':';
    }
    bool is_v6 = is_bracketed || colons > 1;
    if (is_v6) {
        made.family = 6;
        is_good = read_v6(&c, made.ip) && (!is_bracketed || accept(&c, ']'));
    } else {
        made.family = 4;
        is_good = read_v4(&c, made.ip);
    }
    if (is_good && (is_bracketed || !is_v6) && accept(&c, ':')) {
        is_good = read_port(&c, &made.port);
    }
    if (!is_good || c.at != text.len) {
        return ERR_MALFORMED;
    }
    *out = made;
    return ERR_OK;
}

static char *put_decimal(char *at, uint32_t value)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

static char *put_v4(char *at, const uint8_t ip[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0) {
            *at++ = '.';
        }
        at = put_decimal(at, ip[i]);
    }
    return at;
}

static uint32_t group_at(const uint8_t *ip, size_t group)
{
    return (uint32_t)ip[2 * group] << 8 | ip[2 * group + 1];
}

/* The first of the longest runs of zero groups; *count is 0 when none is longer than one. */
static size_t longest_gap(const uint8_t ip[16], size_t *count)
{
    size_t best = 0;
    *count = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        size_t run = 0;
        while (i + run < GROUPS && group_at(ip, i + run) == 0) {
            run++;
        }
        if (run > 1 && run > *count) {
            best = i;
            *count = run;
        }
        i += run; /* and the group behind the run is no zero */
    }
    return best;
}

static char *put_group(char *at, uint32_t group)
{
    static const char hex[] = "0123456789abcdef";
    bool is_started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        uint32_t nibble = group >> shift & 15;
        if (nibble != 0 || is_started || shift == 0) {
            *at++ = hex[nibble];
            is_started = true;
        }
    }
    return at;
}

static bool is_mapped(const uint8_t ip[16])
{
    static const uint8_t prefix[MAPPED_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

static char *put_v6(char *at, const uint8_t ip[16])
{
    if (is_mapped(ip)) {
        memcpy(at, "::ffff:", 7);
        return put_v4(at + 7, ip + MAPPED_AT);
    }
    size_t gap_len = 0;
    size_t gap = longest_gap(ip, &gap_len);
    for (size_t i = 0; i < GROUPS; i++) {
        if (gap_len > 0 && i == gap) {
            *at++ = ':';
            *at++ = ':';
            i += gap_len - 1;
            continue;
        }
        if (i > 0 && (gap_len == 0 || i != gap + gap_len)) {
            *at++ = ':';
        }
        at = put_group(at, group_at(ip, i));
    }
    return at;
}

static char *put_host(char *at, const struct address *a)
{
    if (a->family == 4) {
        return put_v4(at, a->ip);
    }
    if (a->family == 6) {
        return put_v6(at, a->ip);
    }
    *at = '-';
    return at + 1;
}

const char *address_text(const struct address *a, char *out)
{
    char *at = out;
    if (a->family == 6) {
        *at++ = '[';
    }
    at = put_host(at, a);
    if (a->family == 6) {
        *at++ = ']';
    }
    if (a->family != 0) {
        *at++ = ':';
        at = put_decimal(at, a->port);
    }
    *at = '\0';
    return out;
}

const char *address_host_text(const struct address *a, char *out)
{
    *put_host(out, a) = '\0';
    return out;
}

struct prefix {
    uint8_t bytes[4];
    uint8_t bits;
    enum address_range range;
};

static bool has_prefix(const uint8_t *ip, const struct prefix *p)
{
    uint32_t mask = ~0u << (32 - p->bits);
    uint32_t have = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
    uint32_t want = (uint32_t)p->bytes[0] << 24 | (uint32_t)p->bytes[1] << 16 |
                    (uint32_t)p->bytes[2] << 8 | p->bytes[3];
    return (have & mask) == want;
}

static enum address_range first_match(const uint8_t *ip, const struct prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_prefix(ip, &list[i])) {
            return list[i].range;
        }
    }
    return ADDRESS_GLOBAL;
}

static enum address_range range_v4(const uint8_t *ip)
{
    static const struct prefix list[] = {
        {{0}, 8, ADDRESS_NEVER},          {{10}, 8, ADDRESS_PRIVATE},
        {{100, 64}, 10, ADDRESS_PRIVATE}, /* shared by carriers, RFC 6598 */
        {{127}, 8, ADDRESS_LOOPBACK},     {{169, 254}, 16, ADDRESS_LINK_LOCAL},
        {{172, 16}, 12, ADDRESS_PRIVATE}, {{192, 168}, 16, ADDRESS_PRIVATE},
        {{198, 18}, 15, ADDRESS_PRIVATE}, /* benchmarks, RFC 2544 */
        {{224}, 4, ADDRESS_NEVER},        /* multicast */
        {{240}, 4, ADDRESS_NEVER},        /* reserved, broadcast */
    };
    return first_match(ip, list, ARRAY_COUNT(list));
}

static enum address_range range_v6(const uint8_t *ip)
{
    static const uint8_t zeros[16];
    static const uint8_t loopback[16] = {[15] = 1};
    static const uint8_t nat64[MAPPED_AT] = {0, 0x64, 0xff, 0x9b};
    static const struct prefix list[] = {
        {{0xfc}, 7, ADDRESS_PRIVATE},
        {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
        {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},
        {{0xff}, 8, ADDRESS_NEVER},
        {{0x01, 0x00}, 16, ADDRESS_NEVER},       /* discard only, RFC 6666 */
        {{0x20, 0x01, 0, 0}, 32, ADDRESS_NEVER}, /* Teredo hides an IPv4 address */
    };
    if (memcmp(ip, loopback, sizeof(loopback)) == 0) {
        return ADDRESS_LOOPBACK;
    }
    /* An IPv6 form of an IPv4 address is as good as that address, so that it is no way around. */
    if (is_mapped(ip) || memcmp(ip, nat64, sizeof(nat64)) == 0) {
        return range_v4(ip + MAPPED_AT);
    }
    if (ip[0] == 0x20 && ip[1] == 0x02) {
        return range_v4(ip + 2); /* 6to4 */
    }
    if (memcmp(ip, zeros, MAPPED_AT) == 0) {
        return ADDRESS_NEVER;
    }
    return first_match(ip, list, ARRAY_COUNT(list));
}

bool address_is_mapped(const struct address *a)
{
    return a->family == 6 && is_mapped(a->ip);
}

enum address_range address_range_of(const struct address *a)
{
    switch (a->family) {
    case 4:
        return range_v4(a->ip);
    case 6:
        return range_v6(a->ip);
    default:
        return ADDRESS_NEVER;
    }
}
