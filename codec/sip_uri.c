/* SPDX-License-Identifier: Apache-2.0 */
/* URIs.  Decoding: the usual ones in sip_way_uri.h, what is rare here.  Comparing walks both texts
 * with escapes resolved on the way, so nothing is copied. */
#include "codec/sip_uri.h"
#include "codec/sip_way_uri.h"
#include "core/address.h"

/* Offset of the first byte of `s` that is `a` or `b`; s.len when there is none. */
static size_t find_either(struct slice s, uint8_t a, uint8_t b)
{
    size_t i = 0;
    while (i < s.len && s.data[i] != a && s.data[i] != b) {
        i++;
    }
    return i;
}

/* Takes the next "name=value" off `rest`, which stands behind the '?' or an '&'. */
static bool next_header(struct slice *rest, struct slice *name, struct slice *value)
{
    if (rest->data == NULL) {
        return false;
    }
    size_t end = find_either(*rest, '&', '&');
    struct slice item = slice_sub(*rest, 0, end);
    size_t equals = find_either(item, '=', '=');
    *name = slice_sub(item, 0, equals);
    *value =
        equals == item.len ? SLICE_EMPTY : slice_of(item.data + equals + 1, item.len - equals - 1);
    *rest = end == rest->len ? SLICE_EMPTY : slice_of(rest->data + end + 1, rest->len - end - 1);
    return true;
}

/* Characters of `classes` and good escapes only. */
static bool is_escaped_text(struct slice s, uint8_t classes)
{
    size_t i = 0;
    while (i < s.len) {
        bool is_escape = s.data[i] == '%' && s.len - i >= 3 &&
                         sip_lex_is_all(slice_of(s.data + i + 1, 2), SIP_LEX_HEX);
        if (!is_escape && (sip_lex_class[s.data[i]] & classes) == 0) {
            return false;
        }
        i += is_escape ? 3 : 1;
    }
    return true;
}

enum err sip_uri_check_headers(const struct sip_uri *u)
{
    struct slice rest = u->headers;
    struct slice name, value;
    unsigned count = 0;
    while (next_header(&rest, &name, &value)) {
        /* a name that stands alone has no value, not even an empty one */
        if (name.len == 0 || value.data == NULL || !is_escaped_text(name, SIP_LEX_PARAM) ||
            !is_escaped_text(value, SIP_LEX_PARAM | SIP_LEX_USER)) {
            return ERR_MALFORMED;
        }
        if (++count > SIP_URI_PARAMS_CAP) {
            return ERR_TOO_LARGE;
        }
    }
    return ERR_OK;
}

/* RFC 3966 3: digits with visual separators; local numbers may hold hexadecimal digits, * and #. */
static enum err decode_tel(struct slice s, size_t from, size_t end, struct sip_uri *out)
{
    size_t i = from;
    while (i < end && s.data[i] != ';') {
        uint8_t c = s.data[i];
        bool is_sign = c == '+' && i == from;
        if (!is_sign && (sip_lex_class[c] & SIP_LEX_HEX) == 0 && c != '-' && c != '.' && c != '(' &&
            c != ')' && c != '*' && c != '#') {
            return ERR_MALFORMED;
        }
        i++;
    }
    out->user = slice_between(s, from, i);
    out->has_user = true;
    if (out->user.len == 0) {
        return ERR_MALFORMED;
    }
    enum err e = way_uri_params(s, &i, end, out);
    return e == ERR_OK && i < end ? ERR_MALFORMED : e;
}

/* Any other scheme: nothing but that it could stand in a message. */
static enum err decode_other(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"') {
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}

static bool is_scheme(struct slice s)
{
    if (s.len == 0 || slice_lower(s.data[0]) < 'a' || slice_lower(s.data[0]) > 'z') {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = slice_lower(s.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '-' &&
            c != '.') {
            return false;
        }
    }
    return true;
}

enum err sip_uri_read_scheme(struct slice s, size_t from, size_t end, struct sip_uri *out,
                             size_t *rest)
{
    struct slice text = slice_between(s, from, end);
    size_t colon = find_either(text, ':', ':');
    struct slice scheme = slice_sub(text, 0, colon);
    *rest = min_size(from + colon + 1, end);
    if (sip_lex_is_word(scheme, SLICE_LITERAL("sip"))) {
        out->scheme = SIP_URI_SIP;
        return ERR_OK;
    }
    if (sip_lex_is_word(scheme, SLICE_LITERAL("sips"))) {
        out->scheme = SIP_URI_SIPS;
        return ERR_OK;
    }
    if (sip_lex_is_word(scheme, SLICE_LITERAL("tel"))) {
        out->scheme = SIP_URI_TEL;
        return decode_tel(s, *rest, end, out);
    }
    out->scheme = SIP_URI_OTHER;
    return is_scheme(scheme) && *rest < end ? decode_other(slice_between(s, *rest, end))
                                            : ERR_MALFORMED;
}

enum err sip_uri_read(struct slice s, size_t from, size_t end, struct sip_uri *out)
{
    return SIP_WAY_CALL(sip_way_best(), uri, s, from, end, out);
}

enum err sip_uri_decode(struct slice text, struct sip_uri *out)
{
    if (text.len == 0) { /* it may have no address either */
        *out = (struct sip_uri){.scheme = SIP_URI_OTHER};
        return ERR_MALFORMED;
    }
    return sip_uri_read(text, 0, text.len, out);
}

bool sip_uri_param(const struct sip_uri *uri, struct slice lower_name, struct slice *value)
{
    struct sip_lex_param param;
    bool found = sip_lex_param_find(uri->params, lower_name, &param);
    *value = param.value;
    return found;
}

/* The next character of a text with its escapes resolved.  RFC 3261 19.1.4: an escaped character
 * of the "reserved" set of RFC 2396 is not the character itself: 0x100 is added to it. */
static unsigned next_char(struct slice *s)
{
    uint8_t c = s->data[0];
    size_t used = 1;
    unsigned result = c;
    if (c == '%' && s->len >= 3) {
        size_t len = 0;
        if (sip_lex_unescape(slice_of(s->data, 3), &c, 1, &len) == ERR_OK) {
            used = 3;
            result = memchr(";/?:@&=+$,", c, 10) != NULL ? 0x100u + c : c;
        }
    }
    s->data += used;
    s->len -= used;
    return result;
}

static bool is_same(struct slice a, struct slice b, bool nocase)
{
    while (a.len > 0 && b.len > 0) {
        unsigned x = next_char(&a);
        unsigned y = next_char(&b);
        if (nocase && x < 0x80 && y < 0x80) {
            x = slice_lower((uint8_t)x);
            y = slice_lower((uint8_t)y);
        }
        if (x != y) {
            return false;
        }
    }
    return a.len == b.len;
}

/* Parameters that never match when only one of the URIs has them. */
static bool is_param_decisive(struct slice name)
{
    static const struct slice names[] = {
        SLICE_LITERAL("user"),      SLICE_LITERAL("ttl"),   SLICE_LITERAL("method"),
        SLICE_LITERAL("transport"), SLICE_LITERAL("maddr"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (is_same(name, names[i], true)) {
            return true;
        }
    }
    return false;
}

/* Every parameter of `a` that `b` has too has the same value there, and those that `b` lacks do not
 * matter (where `all`: there are none).  One that comes twice, which 19.1.1 forbids, matches any of
 * its namesakes: a URI must equal itself. */
static bool is_params_covered(struct slice a, struct slice b, bool all)
{
    struct sip_lex_param x, y;
    while (sip_lex_param(&a, &x) == ERR_OK) {
        struct slice rest = b;
        bool is_found = false, is_matched = false;
        while (!is_matched && sip_lex_param(&rest, &y) == ERR_OK) {
            if (is_same(x.name, y.name, true)) {
                is_found = true;
                is_matched = x.has_value == y.has_value && is_same(x.value, y.value, true);
            }
        }
        if (!is_matched && (is_found || all || is_param_decisive(x.name))) {
            return false;
        }
    }
    return true;
}

/* Two ways to write one address are one host (RFC 5954 4.2, which amends 19.1.4). */
static bool is_host_equal(const struct sip_uri *a, const struct sip_uri *b)
{
    struct address x, y;
    if (slice_is_equal_nocase(a->host, b->host)) {
        return true;
    }
    return a->host_kind == SIP_LEX_HOST_IPV6 && b->host_kind == SIP_LEX_HOST_IPV6 &&
           address_parse(a->host, 0, &x) == ERR_OK && address_parse(b->host, 0, &y) == ERR_OK &&
           address_is_same_host(&x, &y);
}

static unsigned count_header(struct slice headers, struct slice name, struct slice value)
{
    struct slice n, v;
    unsigned count = 0;
    while (next_header(&headers, &n, &v)) {
        count += is_same(n, name, true) && is_same(v, value, true);
    }
    return count;
}

/* Each header of `a` stands as often in `b`. */
static bool is_headers_covered(struct slice a, struct slice b)
{
    struct slice rest = a;
    struct slice name, value;
    while (next_header(&rest, &name, &value)) {
        if (count_header(a, name, value) != count_header(b, name, value)) {
            return false;
        }
    }
    return true;
}

static bool is_separator(uint8_t c)
{
    return c == '-' || c == '.' || c == '(' || c == ')';
}

/* RFC 3966 5: visual separators do not count, all parameters must match. */
static bool is_tel_equal(const struct sip_uri *a, const struct sip_uri *b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a->user.len && is_separator(a->user.data[i])) {
            i++;
        }
        while (j < b->user.len && is_separator(b->user.data[j])) {
            j++;
        }
        if (i == a->user.len || j == b->user.len) {
            break;
        }
        if (slice_lower(a->user.data[i++]) != slice_lower(b->user.data[j++])) {
            return false;
        }
    }
    return i == a->user.len && j == b->user.len && is_params_covered(a->params, b->params, true) &&
           is_params_covered(b->params, a->params, true);
}

bool sip_uri_is_equal(const struct sip_uri *a, const struct sip_uri *b)
{
    if (a->scheme != b->scheme) {
        return false;
    }
    if (a->scheme == SIP_URI_OTHER) {
        return slice_is_equal(a->text, b->text);
    }
    if (a->scheme == SIP_URI_TEL) {
        return is_tel_equal(a, b);
    }
    return a->has_user == b->has_user && a->has_password == b->has_password && a->port == b->port &&
           is_same(a->user, b->user, false) && is_same(a->password, b->password, false) &&
           is_host_equal(a, b) && is_params_covered(a->params, b->params, false) &&
           is_params_covered(b->params, a->params, false) &&
           is_headers_covered(a->headers, b->headers) && is_headers_covered(b->headers, a->headers);
}

enum err sip_uri_aor(const struct sip_uri *uri, uint8_t *out, size_t cap, size_t *out_len)
{
    if (!uri->has_user || (uri->scheme != SIP_URI_SIP && uri->scheme != SIP_URI_SIPS)) {
        return ERR_NOT_FOUND;
    }
    size_t len = uri->user.len;
    if (len <= cap && (len == 0 || memchr(uri->user.data, '%', len) == NULL)) { /* nearly all */
        memcpy(out, uri->user.data, len);
    } else {
        enum err e = sip_lex_unescape(uri->user, out, cap, &len);
        if (e != ERR_OK) {
            return e;
        }
    }
    if (cap - len < uri->host.len + 1) {
        return ERR_TOO_LARGE;
    }
    out[len++] = '@';
    slice_lower_to(uri->host, out + len);
    *out_len = len + uri->host.len;
    return ERR_OK;
}
