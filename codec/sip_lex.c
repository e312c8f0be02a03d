/* SPDX-License-Identifier: Apache-2.0 */
/* The words of SIP.  One table of character classes decides everything; each function walks its
 * slice once and leaves at the first byte that does not fit. */
#include "codec/sip_lex.h"
#include "codec/sip_way_lex.h"

/* Bytes from 0x80 on are of no class: they may stand in quoted strings and free text only. */
const uint8_t sip_lex_class[256] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x02, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x02, 0xe1, 0x00, 0x80, 0xe0, 0x81, 0xe0, 0xe1, 0xe0, 0xe0, 0xe1, 0xe1, 0x20, 0xf1, 0xf1, 0xe0,
    0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xc0, 0x20, 0x00, 0x20, 0x00, 0xa0,
    0x80, 0xf9, 0xf9, 0xf9, 0xf9, 0xf9, 0xf9, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1,
    0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xc0, 0x80, 0xc0, 0x80, 0xf1,
    0x81, 0xf9, 0xf9, 0xf9, 0xf9, 0xf9, 0xf9, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1,
    0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0xf1, 0x80, 0x80, 0x80, 0xe1, 0x00,
};

struct slice sip_lex_trim(struct slice s)
{
    while (s.len > 0 && sip_lex_is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && sip_lex_is_space(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool sip_lex_is_all(struct slice s, uint8_t classes)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((sip_lex_class[s.data[i]] & classes) == 0) {
            return false;
        }
    }
    return true;
}

bool sip_lex_is_token(struct slice s)
{
    return s.len > 0 && sip_lex_is_all(s, SIP_LEX_TOKEN);
}

bool sip_lex_is_word(struct slice a, struct slice lower)
{
    if (a.len != lower.len) {
        return false;
    }
    if (slice_is_same(a.data, lower.data, a.len)) {
        return true; /* nearly always in lower case */
    }
    for (size_t i = 0; i < a.len; i++) {
        if (slice_lower(a.data[i]) != lower.data[i]) {
            return false;
        }
    }
    return true;
}

enum err sip_lex_u32(struct slice text, uint32_t max, uint32_t *out)
{
    if (text.len == 0 || !sip_lex_is_all(text, SIP_LEX_DIGIT)) {
        return ERR_MALFORMED;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        value = value * 10 + (uint64_t)(text.data[i] - '0');
        if (value > max) {
            return ERR_TOO_LARGE;
        }
    }
    *out = (uint32_t)value;
    return ERR_OK;
}

enum err sip_lex_quoted(struct slice s, size_t *len)
{
    if (s.len == 0 || s.data[0] != '"') {
        return ERR_MALFORMED;
    }
    const uint8_t *quote = memchr(s.data + 1, '"', s.len - 1);
    if (quote == NULL) {
        return ERR_MALFORMED;
    }
    *len = (size_t)(quote - s.data) + 1;
    if (memchr(s.data + 1, '\\', *len - 2) == NULL) { /* nearly all */
        return ERR_OK;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == '"') {
            *len = i + 1;
            return ERR_OK;
        }
        i += s.data[i] == '\\';
    }
    return ERR_MALFORMED;
}

/* Where the item at the start of `s` ends: at a comma outside of quotes and <>, or with `s`. */
static size_t item_len(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        size_t quoted;
        const uint8_t *close;
        switch (s.data[i]) {
        case ',':
            return i;
        case '<': /* most of an item: nothing counts in there */
            close = memchr(s.data + i, '>', s.len - i);
            if (close == NULL) {
                return s.len;
            }
            i = (size_t)(close - s.data);
            break;
        case '"':
            if (sip_lex_quoted(slice_from(s, i), &quoted) != ERR_OK) {
                return s.len;
            }
            i += quoted - 1;
            break;
        default:
            break;
        }
    }
    return s.len;
}

enum err sip_lex_item(struct slice *rest, struct slice *item)
{
    if (rest->data == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t len = rest->len;
    if (len > 0 && memchr(rest->data, ',', len) != NULL) {
        len = item_len(*rest);
    }
    *item = sip_lex_trim(slice_of(rest->data, len));
    if (len == rest->len) {
        *rest = SLICE_EMPTY;
    } else {
        *rest = slice_of(rest->data + len + 1, rest->len - len - 1);
    }
    return item->len == 0 ? ERR_MALFORMED : ERR_OK;
}

enum err sip_lex_param(struct slice *rest, struct sip_lex_param *out)
{
    struct slice s = *rest;
    size_t at = 0;
    enum err e = way_param(s, &at, rest->len, out);
    if (e != ERR_MALFORMED) {
        *rest = e == ERR_OK ? slice_between(s, at, s.len) : SLICE_EMPTY;
    }
    return e;
}

bool sip_lex_param_find(struct slice params, struct slice lower_name, struct sip_lex_param *out)
{
    size_t at = 0;
    while (way_param(params, &at, params.len, out) == ERR_OK) {
        if (sip_lex_is_word(out->name, lower_name)) {
            return true;
        }
    }
    *out = (struct sip_lex_param){0};
    return false;
}

static uint8_t hex_value(uint8_t c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

enum err sip_lex_unescape(struct slice in, uint8_t *out, size_t cap, size_t *out_len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if (c == '%') {
            if (in.len - i < 3 || !sip_lex_is_all(slice_of(in.data + i + 1, 2), SIP_LEX_HEX)) {
                return ERR_MALFORMED;
            }
            c = (uint8_t)(hex_value(in.data[i + 1]) << 4 | hex_value(in.data[i + 2]));
            i += 2;
        }
        if (n == cap) {
            return ERR_TOO_LARGE;
        }
        out[n++] = c;
    }
    *out_len = n;
    return ERR_OK;
}

enum err sip_lex_unquote(struct slice in, uint8_t *out, size_t cap, size_t *out_len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] == '\\' && ++i == in.len) {
            return ERR_MALFORMED;
        }
        if (n == cap) {
            return ERR_TOO_LARGE;
        }
        out[n++] = in.data[i];
    }
    *out_len = n;
    return ERR_OK;
}

static bool is_ipv4(struct slice s)
{
    size_t i = 0;
    for (unsigned octets = 0; octets < 4; octets++) {
        if (octets > 0 && (i == s.len || s.data[i++] != '.')) {
            return false;
        }
        unsigned value = 0;
        size_t start = i;
        for (; i < s.len && i < start + 3 && s.data[i] - (unsigned)'0' <= 9; i++) {
            value = value * 10 + s.data[i] - (unsigned)'0';
        }
        if (i == start || value > 255) {
            return false;
        }
    }
    return i == s.len;
}

/* `s` is what stands inside the brackets.  ":::" counts as "::" (RFC 5118 4.10). */
static bool is_ipv6(struct slice s)
{
    unsigned groups = 0;
    bool has_gap = false;
    size_t i = 0;
    while (i < s.len) {
        size_t digits = 0;
        while (i + digits < s.len && (sip_lex_class[s.data[i + digits]] & SIP_LEX_HEX) != 0) {
            digits++;
        }
        if (i + digits < s.len && s.data[i + digits] == '.') {
            groups += 2;
            return is_ipv4(slice_from(s, i)) && (has_gap ? groups < 8 : groups == 8);
        }
        size_t colons = i + digits;
        while (colons < s.len && s.data[colons] == ':') {
            colons++;
        }
        colons -= i + digits;
        bool is_last = i + digits + colons == s.len;
        bool is_gap = colons == 2 || colons == 3;
        if (digits > 4 || colons > 3 || (digits == 0 && (i > 0 || !is_gap)) ||
            (colons == 0 && !is_last) || (is_last && colons == 1) || (is_gap && has_gap)) {
            return false;
        }
        groups += digits > 0;
        has_gap = has_gap || is_gap;
        i += digits + colons;
    }
    return has_gap ? groups < 8 : groups == 8;
}

/* hostname of 25.1, except that labels may hold '_' and the last may start with a digit (names of
 * containers do), as long as it is not a number. */
static bool is_name(struct slice s)
{
    bool is_number = true;
    if (s.len > 1 && s.data[s.len - 1] == '.') {
        s.len--;
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool at_start = i == 0 || s.data[i - 1] == '.';
        bool at_end = i + 1 == s.len || s.data[i + 1] == '.';
        if ((sip_lex_class[c] & SIP_LEX_HOST) == 0 || ((at_start || at_end) && c == '-') ||
            (at_start && c == '.')) {
            return false;
        }
        if (c == '.') {
            is_number = true;
        } else if (c < '0' || c > '9') {
            is_number = false;
        }
    }
    return s.len > 0 && s.data[s.len - 1] != '.' && !is_number;
}

enum sip_lex_host sip_lex_host_judge(struct slice host)
{
    if (host.len > 0 && host.data[host.len - 1] <= '9' && is_ipv4(host)) {
        return SIP_LEX_HOST_IPV4;
    }
    return is_name(host) ? SIP_LEX_HOST_NAME : SIP_LEX_HOST_BAD;
}

HOT size_t sip_lex_host_read(struct slice s, size_t from, size_t end, enum sip_lex_host *kind)
{
    if (from < end && s.data[from] == '[') {
        const uint8_t *close = memchr(s.data + from, ']', end - from);
        size_t len = close == NULL ? 0 : (size_t)(close - s.data) + 1 - from;
        *kind = len > 2 && is_ipv6(slice_of(s.data + from + 1, len - 2)) ? SIP_LEX_HOST_IPV6
                                                                         : SIP_LEX_HOST_BAD;
        return from + len;
    }
    size_t stop = sip_lex_stop(s, SIP_LEX_HOST, from, end);
    *kind = sip_lex_host_judge(slice_between(s, from, stop));
    return stop;
}

enum sip_lex_host sip_lex_host(struct slice host)
{
    enum sip_lex_host kind;
    return host.len > 0 && sip_lex_host_read(host, 0, host.len, &kind) == host.len
               ? kind
               : SIP_LEX_HOST_BAD;
}
