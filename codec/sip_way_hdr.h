/* SPDX-License-Identifier: Apache-2.0 */
/* sip_way_hdr.h - Via values and addresses (sip_hdr_via_read, sip_hdr_address_read); see
 * sip_way_scan.h.
 *
 * name-addr / addr-spec with header parameters (RFC 3261 20.10, 25.1): without <> the URI ends at
 * the first ';', and what follows belongs to the header; a '?' or ',' in it then needs the <>.
 * via-parm (20.42): "SIP/2.0/UDP host:port;branch=...", with white space allowed at nearly every
 * joint. */
#pragma once
#include "codec/sip_way_uri.h"

/* ---- addresses ---- */

WAY_INLINE void way_address_param(struct sip_hdr_address *out, const struct sip_lex_param *param)
{
    const uint8_t *name = param->name.data;
    if (param->name.len == 3 && !out->has_tag && way_is_word(name, "tag", 3)) {
        out->has_tag = param->has_value;
        out->tag = param->value;
    } else if (param->name.len == 1 && (name[0] | 0x20) == 'q') {
        out->has_q = sip_hdr_q_decode(param->value, &out->q_milli);
    } else if (param->name.len == 7 && way_is_word(name, "expires", 7)) {
        enum err e = sip_lex_u32(param->value, UINT32_MAX, &out->expires_s);
        if (e == ERR_TOO_LARGE) {
            out->expires_s = UINT32_MAX;
        }
        out->has_expires = e != ERR_MALFORMED;
    }
}

/* Where the display name ends: at the '<' that must follow a quoted one, or where none goes on. */
WAY_INLINE enum err way_display(struct slice s, size_t *at, size_t end)
{
    size_t i = *at;
    if (i == end || s.data[i] == '<') {
        return ERR_OK;
    }
    if (s.data[i] != '"') {
        *at = way_span(s, WAY_NAME, i, end);
        return ERR_OK;
    }
    i = way_quoted(s, i, end);
    if (i == 0) {
        return ERR_MALFORMED;
    }
    i = way_skip_space(s, i, end);
    *at = i;
    return i == end || s.data[i] != '<' ? ERR_MALFORMED : ERR_OK;
}

/* Display name and URI; *at moves to the header parameters. */
WAY_INLINE enum err way_address_uri(struct slice s, size_t *at, size_t end,
                                    struct sip_hdr_address *out, struct sip_uri *uri)
{
    size_t from = *at, i = from, stop;
    if (way_display(s, &i, end) != ERR_OK) {
        return ERR_MALFORMED;
    }
    out->has_brackets = i < end && s.data[i] == '<';
    if (out->has_brackets) {
        size_t display = i;
        while (display > from && sip_lex_is_space(s.data[display - 1])) {
            display--;
        }
        out->display = slice_between(s, from, display);
        from = i + 1;
        stop = way_find(s, '>', from, end);
        if (stop == end) {
            return ERR_MALFORMED;
        }
        *at = stop + 1;
    } else {
        stop = way_find_any(s, WAY_BARE, from, end);
        if (stop < end && s.data[stop] != ';' && !sip_lex_is_space(s.data[stop])) {
            return ERR_MALFORMED;
        }
        *at = stop;
    }
    out->uri = slice_between(s, from, stop);
    if (uri != NULL) {
        return way_uri(s, from, stop, uri);
    }
    /* could be a URI: visible ASCII without the delimiters that surround one */
    return from < stop && way_span(s, WAY_VISIBLE, from, stop) == stop &&
                   memchr(s.data + from, '<', stop - from) == NULL &&
                   memchr(s.data + from, '"', stop - from) == NULL
               ? ERR_OK
               : ERR_MALFORMED;
}

/* sip_hdr_address_read; *out and *uri are zero. */
WAY static inline enum err way_address(struct slice s, size_t from, size_t end,
                                       struct sip_hdr_address *out, struct sip_uri *uri)
{
    out->q_milli = 1000;
    if (end - from == 1 && s.data[from] == '*') {
        out->is_star = true;
        return ERR_OK;
    }
    size_t i = from;
    enum err e = way_address_uri(s, &i, end, out, uri);
    if (e != ERR_OK) {
        return e;
    }
    out->params = slice_between(s, i, end);
    struct sip_lex_param param;
    while ((e = way_param(s, &i, end, &param)) == ERR_OK) {
        way_address_param(out, &param);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* ---- Via ---- */

/* The token at *at, with white space around it skipped; *at may come to `end`. */
WAY_INLINE struct slice way_token(struct slice s, size_t *at, size_t end)
{
    size_t start = way_skip_space(s, *at, end);
    size_t stop = way_span(s, WAY_TOKEN, start, end);
    *at = way_skip_space(s, stop, end);
    return slice_between(s, start, stop);
}

/* sent-protocol as nobody writes it, and the LWS behind it. */
WAY_COLD enum err way_odd_protocol(struct slice s, size_t *at, size_t end, struct sip_hdr_via *out)
{
    struct slice name = way_token(s, at, end);
    if (name.len == 0 || *at == end || s.data[(*at)++] != '/') {
        return ERR_MALFORMED;
    }
    struct slice version = way_token(s, at, end);
    if (version.len == 0 || *at == end || s.data[(*at)++] != '/') {
        return ERR_MALFORMED;
    }
    out->transport_text = way_token(s, at, end);
    out->transport = sip_hdr_transport(out->transport_text);
    if (out->transport_text.len == 0 || !sip_lex_is_space(s.data[*at - 1])) {
        return ERR_MALFORMED;
    }
    return slice_is_equal_nocase(name, SLICE_LITERAL("SIP")) &&
                   slice_is_equal(version, SLICE_LITERAL("2.0"))
               ? ERR_OK
               : ERR_UNSUPPORTED;
}

/* sent-protocol at *at of `s`, and the LWS behind it.  ERR_UNSUPPORTED when it is not SIP/2.0. */
WAY_INLINE enum err way_protocol(struct slice s, size_t *at, size_t end, struct sip_hdr_via *out)
{
    size_t i = *at;
    if (LIKELY(end - i > 12 && memcmp(s.data + i, "SIP/2.0/", 8) == 0 && s.data[i + 11] == ' ' &&
               s.data[i + 12] > ' ')) {
        bool is_udp = memcmp(s.data + i + 8, "UDP", 3) == 0;
        enum sip_transport transport =
            is_udp ? SIP_TRANSPORT_UDP : sip_hdr_transport(slice_of(s.data + i + 8, 3));
        if (LIKELY(transport != SIP_TRANSPORT_OTHER)) {
            out->transport = transport;
            out->transport_text = slice_of(s.data + i + 8, 3);
            *at = i + 12;
            return ERR_OK;
        }
    }
    return way_odd_protocol(s, at, end, out);
}

WAY_INLINE enum err way_via_rport(struct sip_hdr_via *out, const struct sip_lex_param *param)
{
    uint32_t port = 0;
    if (param->has_value && sip_lex_u32(param->value, UINT16_MAX, &port) != ERR_OK) {
        return ERR_MALFORMED;
    }
    out->has_rport = true;
    out->rport = (uint16_t)port;
    out->rport_name = param->name;
    return ERR_OK;
}

WAY_INLINE enum err way_via_branch(struct sip_hdr_via *out, const struct sip_lex_param *param)
{
    struct slice value = param->value;
    if (!param->has_value || value.len == 0) {
        return ERR_MALFORMED;
    }
    if (!out->has_branch) {
        out->has_branch = true;
        out->branch = value;
        /* nothing behind the cookie is no identifier: treat it as RFC 2543 (RFC 4475 3.2.1) */
        out->has_magic =
            value.len > 7 &&
            (LIKELY(memcmp(value.data, "z9hG", 4) == 0 && memcmp(value.data + 3, "G4bK", 4) == 0) ||
             slice_is_equal_nocase(slice_of(value.data, 7), SLICE_LITERAL("z9hG4bK")));
    }
    return ERR_OK;
}

WAY_INLINE enum err way_via_param(struct sip_hdr_via *out, const struct sip_lex_param *param)
{
    const uint8_t *name = param->name.data;
    uint32_t ttl = 0;
    switch (param->name.len) {
    case 3:
        if (way_is_word(name, "ttl", 3)) {
            if (sip_lex_u32(param->value, UINT8_MAX, &ttl) != ERR_OK) {
                return ERR_MALFORMED;
            }
            out->ttl = (uint8_t)ttl;
        }
        break;
    case 5:
        if (way_is_word(name, "rport", 5) && !out->has_rport) {
            return way_via_rport(out, param);
        }
        if (way_is_word(name, "maddr", 5) && out->maddr.len == 0) {
            out->maddr = param->value;
        }
        break;
    case 6:
        if (way_is_word(name, "branch", 6)) {
            return way_via_branch(out, param);
        }
        break;
    case 8:
        if (way_is_word(name, "received", 8) && out->received.len == 0) {
            out->received = param->value;
        }
        break;
    default:
        break;
    }
    return ERR_OK;
}

/* "host:port" from *at on, white space around the colon included; *at moves to what follows. */
WAY_INLINE enum err way_sent_by(struct slice s, size_t *at, size_t end, struct sip_hdr_via *out)
{
    size_t from = *at;
    size_t stop = way_host(s, from, end, &out->host_kind);
    if (out->host_kind == SIP_LEX_HOST_BAD) {
        return ERR_MALFORMED;
    }
    out->host = slice_between(s, from, stop);
    size_t i = way_skip_space(s, stop, end);
    if (i < end && s.data[i] == ':') {
        i = way_skip_space(s, i + 1, end);
        if (way_port(s, &i, end, &out->port) != ERR_OK) {
            return ERR_MALFORMED;
        }
        stop = i;
        i = way_skip_space(s, i, end);
    }
    out->sent_by = slice_between(s, from, stop);
    *at = i;
    return i == end || s.data[i] == ';' ? ERR_OK : ERR_MALFORMED;
}

/* sip_hdr_via_read; *out is zero. */
WAY static inline enum err way_via(struct slice s, size_t from, size_t end, struct sip_hdr_via *out)
{
    out->text = slice_between(s, from, end);
    size_t i = from;
    enum err protocol = way_protocol(s, &i, end, out);
    if (protocol == ERR_MALFORMED || way_sent_by(s, &i, end, out) != ERR_OK) {
        return ERR_MALFORMED;
    }
    out->params = slice_between(s, i, end);
    struct sip_lex_param param;
    enum err e;
    while ((e = way_param(s, &i, end, &param)) == ERR_OK) {
        if (way_via_param(out, &param) != ERR_OK) {
            return ERR_MALFORMED;
        }
    }
    return e == ERR_NOT_FOUND ? protocol : e;
}
