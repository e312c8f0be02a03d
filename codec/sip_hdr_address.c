/* SPDX-License-Identifier: Apache-2.0 */
/* name-addr / addr-spec with header parameters (RFC 3261 20.10, 25.1).  Without <> the URI ends at
 * the first ';', and what follows belongs to the header; a '?' or ',' in it then needs the <>. */
#include "codec/sip_hdr.h"

/* Could be a URI: visible ASCII without the delimiters that surround one. */
static bool is_uri_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c <= ' ' || c >= 0x7f || c == '<' || c == '"') {
            return false;
        }
    }
    return s.len > 0;
}

/* qvalue in thousandths; false when it is none. */
static bool decode_q(struct slice s, uint16_t *milli)
{
    if (s.len == 0 || s.len > 5 || s.data[0] < '0' || s.data[0] > '1' ||
        (s.len > 1 && s.data[1] != '.')) {
        return false;
    }
    unsigned value = (unsigned)(s.data[0] - '0') * 1000;
    unsigned unit = 100;
    for (size_t i = 2; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        value += (unsigned)(s.data[i] - '0') * unit;
        unit /= 10;
    }
    if (value > 1000) {
        return false;
    }
    *milli = (uint16_t)value;
    return true;
}

static void set_param(struct sip_hdr_address *out, const struct sip_lex_param *param)
{
    if (param->name.len == 3 && !out->has_tag &&
        sip_lex_is_word(param->name, SLICE_LITERAL("tag"))) {
        out->has_tag = param->has_value;
        out->tag = param->value;
    } else if (param->name.len == 1 && (param->name.data[0] | 0x20) == 'q') {
        out->has_q = decode_q(param->value, &out->q_milli);
    } else if (param->name.len == 7 && sip_lex_is_word(param->name, SLICE_LITERAL("expires"))) {
        enum err e = sip_lex_u32(param->value, UINT32_MAX, &out->expires_s);
        if (e == ERR_TOO_LARGE) {
            out->expires_s = UINT32_MAX;
        }
        out->has_expires = e != ERR_MALFORMED;
    }
}

/* Where the display name ends: at the '<' that must follow a quoted one, or where none goes on. */
static enum err skip_display(struct slice s, size_t *at, size_t end)
{
    size_t i = *at;
    if (i < end && s.data[i] == '"') {
        size_t len;
        if (sip_lex_quoted(slice_between(s, i, end), &len) != ERR_OK) {
            return ERR_MALFORMED;
        }
        i += len;
        while (i < end && sip_lex_is_space(s.data[i])) {
            i++;
        }
        if (i == end || s.data[i] != '<') {
            return ERR_MALFORMED;
        }
    } else {
        while (i < end && (sip_lex_class[s.data[i]] & (SIP_LEX_TOKEN | SIP_LEX_SPACE)) != 0) {
            i++;
        }
    }
    *at = i;
    return ERR_OK;
}

/* The URI that starts at `from` without <>: its end. */
static enum err skip_bare(struct slice s, size_t from, size_t *at, size_t end)
{
    size_t i = from;
    while (i < end && s.data[i] != ';' && !sip_lex_is_space(s.data[i])) {
        if (s.data[i] == '?' || s.data[i] == ',' || s.data[i] == '>') {
            return ERR_MALFORMED;
        }
        i++;
    }
    *at = i;
    return ERR_OK;
}

/* Display name and URI; *at moves to the header parameters. */
HOT static enum err take_uri(struct slice s, size_t *at, size_t end, struct sip_hdr_address *out,
                             struct sip_uri *uri)
{
    size_t from = *at, i = from, stop;
    if (skip_display(s, &i, end) != ERR_OK) {
        return ERR_MALFORMED;
    }
    out->has_brackets = i < end && s.data[i] == '<';
    if (out->has_brackets) {
        out->display = sip_lex_trim(slice_between(s, from, i));
        from = i + 1;
        const uint8_t *close = from == end ? NULL : memchr(s.data + from, '>', end - from);
        if (close == NULL) {
            return ERR_MALFORMED;
        }
        stop = (size_t)(close - s.data);
        *at = stop + 1;
    } else {
        if (skip_bare(s, from, &stop, end) != ERR_OK) {
            return ERR_MALFORMED;
        }
        *at = stop;
    }
    out->uri = slice_between(s, from, stop);
    if (uri != NULL) {
        return sip_uri_read(s, from, stop, uri);
    }
    return is_uri_text(out->uri) ? ERR_OK : ERR_MALFORMED;
}

HOT enum err sip_hdr_address_read(struct slice s, size_t from, size_t end,
                                  struct sip_hdr_address *out, struct sip_uri *uri)
{
    *out = (struct sip_hdr_address){.q_milli = 1000};
    if (end - from == 1 && s.data[from] == '*') {
        out->is_star = true;
        return ERR_OK;
    }
    size_t i = from;
    enum err e = take_uri(s, &i, end, out, uri);
    if (e != ERR_OK) {
        return e;
    }
    out->params = slice_between(s, i, end);
    struct sip_lex_param param;
    while ((e = sip_lex_param_read(s, &i, end, &param)) == ERR_OK) {
        set_param(out, &param);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err sip_hdr_address_decode(struct slice item, struct sip_hdr_address *out)
{
    item = sip_lex_trim(item);
    if (item.len == 0) {
        *out = (struct sip_hdr_address){.q_milli = 1000};
        return ERR_MALFORMED;
    }
    return sip_hdr_address_read(item, 0, item.len, out, NULL);
}
