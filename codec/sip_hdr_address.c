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

/* [display-name] "<" URI ">" with `open` the offset of the "<". */
static enum err take_brackets(struct slice s, size_t open, struct sip_hdr_address *out)
{
    struct slice inside = slice_from(s, open + 1);
    const uint8_t *close = inside.len == 0 ? NULL : memchr(inside.data, '>', inside.len);
    if (close == NULL) {
        return ERR_MALFORMED;
    }
    size_t len = (size_t)(close - inside.data);
    out->display = sip_lex_trim(slice_sub(s, 0, open));
    out->has_brackets = true;
    out->uri = slice_sub(inside, 0, len);
    out->params = slice_from(inside, len + 1);
    return is_uri_text(out->uri) ? ERR_OK : ERR_MALFORMED;
}

static enum err take_bare(struct slice s, struct sip_hdr_address *out)
{
    size_t end = 0;
    while (end < s.len && s.data[end] != ';' && !sip_lex_is_space(s.data[end])) {
        if (s.data[end] == '?' || s.data[end] == ',' || s.data[end] == '>') {
            return ERR_MALFORMED;
        }
        end++;
    }
    out->uri = slice_sub(s, 0, end);
    out->params = slice_from(s, end);
    return is_uri_text(out->uri) ? ERR_OK : ERR_MALFORMED;
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

enum err sip_hdr_address_decode(struct slice item, struct sip_hdr_address *out)
{
    item = sip_lex_trim(item);
    *out = (struct sip_hdr_address){.q_milli = 1000};
    if (item.len == 1 && item.data[0] == '*') {
        out->is_star = true;
        return ERR_OK;
    }
    size_t at = 0;
    if (item.len > 0 && item.data[0] == '"') {
        if (sip_lex_quoted(item, &at) != ERR_OK) {
            return ERR_MALFORMED;
        }
        while (at < item.len && sip_lex_is_space(item.data[at])) {
            at++;
        }
        if (at == item.len || item.data[at] != '<') {
            return ERR_MALFORMED;
        }
    } else {
        while (at < item.len &&
               (sip_lex_class[item.data[at]] & (SIP_LEX_TOKEN | SIP_LEX_SPACE)) != 0) {
            at++;
        }
    }
    bool has_brackets = at < item.len && item.data[at] == '<';
    enum err e = has_brackets ? take_brackets(item, at, out) : take_bare(item, out);
    struct slice rest = out->params;
    struct sip_lex_param param;
    while (e == ERR_OK && (e = sip_lex_param(&rest, &param)) == ERR_OK) {
        set_param(out, &param);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}
