/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_uri.h - taking a URI apart (sip_uri_read); see sip_way_scan.h.
 *
 * The text is cut at its delimiters and each piece checked against its character class, in one
 * walk; escapes stay as they are and are known to be good afterwards. */
#pragma once
#include "codec/sip_way_lex.h"

/* Where characters of `set` and good escapes end, from `i` on. */
WAY_INLINE size_t way_span_escaped(struct slice s, enum way_set set, size_t i, size_t end)
{
    for (;;) {
        i = way_span(s, set, i, end);
        if (LIKELY(i == end || s.data[i] != '%') || end - i < 3 ||
            !sip_lex_is_all(slice_of(s.data + i + 1, 2), SIP_LEX_HEX)) {
            return i;
        }
        i += 3;
    }
}

/* The parameters at *at, each with its ';'; *at moves behind them. */
WAY_INLINE enum err way_uri_params(struct slice s, size_t *at, size_t end, struct sip_uri *u)
{
    unsigned count = 0;
    size_t i = *at;
    while (i < end && s.data[i] == ';') {
        size_t name = i + 1;
        i = way_span_escaped(s, WAY_PARAM, name, end);
        size_t name_len = i - name;
        if (name_len == 0) {
            return ERR_MALFORMED;
        }
        if (i < end && s.data[i] == '=') {
            size_t value = i + 1;
            i = way_span_escaped(s, WAY_PARAM, value, end);
            if (i == value) {
                return ERR_MALFORMED;
            }
        }
        if (++count > SIP_URI_PARAMS_CAP) {
            return ERR_TOO_LARGE;
        }
        u->has_lr = u->has_lr || (name_len == 2 && way_is_word(s.data + name, "lr", 2));
    }
    if (i > *at) {
        u->params = slice_between(s, *at, i);
    }
    *at = i;
    return ERR_OK;
}

/* "user@" or "user:password@" at *at, where there is one: *at moves behind it. */
WAY_INLINE enum err way_userinfo(struct slice s, size_t *at, size_t end, struct sip_uri *out)
{
    size_t from = *at;
    size_t user = way_span_escaped(s, WAY_USER, from, end);
    size_t stop = user;
    if (stop < end && s.data[stop] == ':') { /* a password, or a port */
        stop = way_span_escaped(s, WAY_USER, stop + 1, end);
    }
    if (stop == end) {
        return ERR_OK;
    }
    if (s.data[stop] != '@') { /* the first one ends the user, whatever stands before it */
        return memchr(s.data + stop, '@', end - stop) == NULL ? ERR_OK : ERR_MALFORMED;
    }
    out->user = slice_between(s, from, user);
    out->has_user = true;
    if (stop > user) {
        out->has_password = true;
        out->password = slice_between(s, user + 1, stop);
    }
    *at = stop + 1;
    return user > from ? ERR_OK : ERR_MALFORMED;
}

/* What stands behind "sip:". */
WAY_INLINE enum err way_uri_sip(struct slice s, size_t i, size_t end, struct sip_uri *out)
{
    if (way_userinfo(s, &i, end, out) != ERR_OK) {
        return ERR_MALFORMED;
    }
    size_t host = i;
    i = way_host(s, host, end, &out->host_kind);
    out->host = slice_between(s, host, i);
    if (out->host_kind == SIP_LEX_HOST_BAD) {
        return ERR_MALFORMED;
    }
    if (i < end && s.data[i] == ':') {
        i++;
        if (way_port(s, &i, end, &out->port) != ERR_OK) {
            return ERR_MALFORMED;
        }
    }
    if (i == end) {
        return ERR_OK;
    }
    enum err e = way_uri_params(s, &i, end, out);
    if (e != ERR_OK || i == end) {
        return e;
    }
    if (s.data[i] != '?') {
        return ERR_MALFORMED;
    }
    out->has_headers = true;
    out->headers = slice_between(s, i + 1, end);
    return sip_uri_check_headers(out);
}

/* A URI that does not start with "sip:" in these letters. */
WAY_COLD enum err way_odd_uri(struct slice s, size_t from, size_t end, struct sip_uri *out)
{
    size_t rest = 0;
    enum err e = sip_uri_read_scheme(s, from, end, out, &rest);
    if (e == ERR_OK && (out->scheme == SIP_URI_SIP || out->scheme == SIP_URI_SIPS)) {
        return way_uri_sip(s, rest, end, out);
    }
    return e;
}

/* sip_uri_read; *out is zero. */
WAY static inline enum err way_uri(struct slice s, size_t from, size_t end, struct sip_uri *out)
{
    out->text = slice_between(s, from, end);
    if (UNLIKELY(end - from <= 4 || memcmp(s.data + from, "sip:", 4) != 0)) {
        return way_odd_uri(s, from, end, out);
    }
    out->scheme = SIP_URI_SIP;
    return way_uri_sip(s, from + 4, end, out);
}
