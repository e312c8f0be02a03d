/* SPDX-License-Identifier: Apache-2.0 */
/* via-parm (RFC 3261 20.42 and 25.1): "SIP/2.0/UDP host:port;branch=...", with white space allowed
 * at nearly every joint. */
#include "codec/sip_hdr.h"

/* The token at *at, with white space around it skipped; *at may come to `s.len`. */
static struct slice take_token(struct slice s, size_t *at)
{
    size_t start = *at;
    while (start < s.len && sip_lex_is_space(s.data[start])) {
        start++;
    }
    size_t end = start;
    while (end < s.len && (sip_lex_class[s.data[end]] & SIP_LEX_TOKEN) != 0) {
        end++;
    }
    *at = end;
    while (*at < s.len && sip_lex_is_space(s.data[*at])) {
        ++*at;
    }
    return slice_of(s.data + start, end - start);
}

/* sent-protocol at *at of `s`, and the LWS behind it.  ERR_UNSUPPORTED when it is not SIP/2.0. */
static enum err take_protocol(struct slice s, size_t *at, struct sip_hdr_via *out)
{
    static const struct slice usual = SLICE_LITERAL("SIP/2.0/");
    bool is_ours = true;
    if (s.len - *at > usual.len && memcmp(s.data + *at, usual.data, usual.len) == 0) {
        *at += usual.len;
    } else {
        struct slice name = take_token(s, at);
        if (name.len == 0 || *at == s.len || s.data[(*at)++] != '/') {
            return ERR_MALFORMED;
        }
        struct slice version = take_token(s, at);
        if (version.len == 0 || *at == s.len || s.data[(*at)++] != '/') {
            return ERR_MALFORMED;
        }
        is_ours = slice_is_equal_nocase(name, SLICE_LITERAL("SIP")) &&
                  slice_is_equal(version, SLICE_LITERAL("2.0"));
    }
    out->transport_text = take_token(s, at);
    out->transport = sip_hdr_transport(out->transport_text);
    if (out->transport_text.len == 0 || !sip_lex_is_space(s.data[*at - 1])) {
        return ERR_MALFORMED;
    }
    return is_ours ? ERR_OK : ERR_UNSUPPORTED;
}

static void set_branch(struct sip_hdr_via *out, struct slice value)
{
    static const struct slice magic = SLICE_LITERAL("z9hG4bK");
    if (out->has_branch) {
        return;
    }
    out->has_branch = true;
    out->branch = value;
    /* nothing behind the cookie is no identifier: treat it as RFC 2543 (RFC 4475 3.2.1) */
    out->has_magic =
        value.len > magic.len && slice_is_equal_nocase(slice_sub(value, 0, magic.len), magic);
}

static enum err set_rport(struct sip_hdr_via *out, const struct sip_lex_param *param)
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

static enum err set_param(struct sip_hdr_via *out, const struct sip_lex_param *param)
{
    uint32_t ttl = 0;
    switch (param->name.len) {
    case 3:
        if (sip_lex_is_word(param->name, SLICE_LITERAL("ttl"))) {
            if (sip_lex_u32(param->value, UINT8_MAX, &ttl) != ERR_OK) {
                return ERR_MALFORMED;
            }
            out->ttl = (uint8_t)ttl;
        }
        break;
    case 5:
        if (sip_lex_is_word(param->name, SLICE_LITERAL("rport")) && !out->has_rport) {
            return set_rport(out, param);
        }
        if (sip_lex_is_word(param->name, SLICE_LITERAL("maddr")) && out->maddr.len == 0) {
            out->maddr = param->value;
        }
        break;
    case 6:
        if (sip_lex_is_word(param->name, SLICE_LITERAL("branch"))) {
            if (!param->has_value || param->value.len == 0) {
                return ERR_MALFORMED;
            }
            set_branch(out, param->value);
        }
        break;
    case 8:
        if (sip_lex_is_word(param->name, SLICE_LITERAL("received")) && out->received.len == 0) {
            out->received = param->value;
        }
        break;
    default:
        break;
    }
    return ERR_OK;
}

HOT enum err sip_hdr_via_read(struct slice s, size_t from, size_t end, struct sip_hdr_via *out)
{
    struct slice whole = slice_of(s.data, end);
    *out = (struct sip_hdr_via){.text = slice_between(s, from, end)};
    size_t at = from;
    enum err protocol = take_protocol(whole, &at, out);
    if (protocol == ERR_MALFORMED) {
        return protocol;
    }
    const uint8_t *semicolon = at == end ? NULL : memchr(s.data + at, ';', end - at);
    size_t params = semicolon == NULL ? end : (size_t)(semicolon - s.data);
    struct sip_lex_hostport hostport;
    out->sent_by = sip_lex_trim(slice_between(s, at, params));
    if (sip_lex_hostport_read(s, at, at + out->sent_by.len, true, &hostport) != ERR_OK) {
        return ERR_MALFORMED;
    }
    out->host = hostport.host;
    out->host_kind = hostport.kind;
    out->port = hostport.port;
    out->params = slice_between(s, params, end);
    struct sip_lex_param param;
    enum err e;
    while ((e = sip_lex_param_read(s, &params, end, &param)) == ERR_OK) {
        if (set_param(out, &param) != ERR_OK) {
            return ERR_MALFORMED;
        }
    }
    return e == ERR_NOT_FOUND ? protocol : e;
}

enum err sip_hdr_via_decode(struct slice item, struct sip_hdr_via *out)
{
    item = sip_lex_trim(item);
    if (item.len == 0) {
        *out = (struct sip_hdr_via){0};
        return ERR_MALFORMED;
    }
    return sip_hdr_via_read(item, 0, item.len, out);
}
