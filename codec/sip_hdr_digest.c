/* SPDX-License-Identifier: Apache-2.0 */
/* Digest credentials and challenges (RFC 3261 20.7, 20.44; 7616): a scheme and name=value pairs
 * parted by commas.  Which parameters go where is one table. */
#include "codec/sip_hdr.h"

struct field {
    struct slice name;
    size_t offset; /* of the struct slice in struct sip_hdr_digest */
};

#define FIELD(text, member)                                                                        \
    {                                                                                              \
        {(const uint8_t *)(text), sizeof(text) - 1}, offsetof(struct sip_hdr_digest, member)       \
    }

/* By the length of their names, which parts them better than anything else. */
static const struct field fields[] = {
    FIELD("nc", nc),
    FIELD("uri", uri),
    FIELD("qop", qop),
    FIELD("realm", realm),
    FIELD("nonce", nonce),
    FIELD("cnonce", cnonce),
    FIELD("opaque", opaque),
    FIELD("username", username),
    FIELD("response", response),
    FIELD("algorithm", algorithm),
    FIELD("username*", username_star),
};
enum { LENGTHS = 10 };
/* Where in `fields` the names of each length begin, and where the last of them end. */
static const uint8_t begins[LENGTHS + 1] = {0, 0, 0, 1, 3, 3, 5, 7, 7, 9, ARRAY_COUNT(fields)};

struct pair {
    struct slice name;
    struct slice value;
};

static size_t skip_space(struct slice s, size_t i)
{
    while (i < s.len && sip_lex_is_space(s.data[i])) {
        i++;
    }
    return i;
}

static size_t skip_class(struct slice s, size_t i, uint8_t classes)
{
    while (i < s.len && (sip_lex_class[s.data[i]] & classes) != 0) {
        i++;
    }
    return i;
}

/* Where the string that begins with the quote at `start` ends, behind its last one; 0: nowhere.
 * Escapes are looked for only where the header has any. */
static size_t skip_quoted(struct slice s, size_t start, bool has_escapes)
{
    size_t len = 0;
    if (!has_escapes) {
        const uint8_t *quote = memchr(s.data + start + 1, '"', s.len - start - 1);
        return quote == NULL ? 0 : (size_t)(quote - s.data) + 1;
    }
    return sip_lex_quoted(slice_from(s, start), &len) == ERR_OK ? start + len : 0;
}

/* name EQUAL (token / quoted-string) at *at, and the comma behind it. */
static enum err take_pair(struct slice s, size_t *at, bool has_escapes, struct pair *out)
{
    size_t start = skip_space(s, *at);
    size_t i = skip_class(s, start, SIP_LEX_TOKEN);
    out->name = slice_sub(s, start, i - start);
    i = skip_space(s, i);
    if (out->name.len == 0 || i == s.len || s.data[i] != '=') {
        return ERR_MALFORMED;
    }
    start = skip_space(s, i + 1);
    if (start < s.len && s.data[start] == '"') {
        i = skip_quoted(s, start, has_escapes);
        if (i == 0) {
            return ERR_MALFORMED;
        }
        out->value = slice_sub(s, start + 1, i - start - 2);
    } else {
        i = skip_class(s, start, SIP_LEX_WORD);
        while (i < s.len && s.data[i] == '=') { /* base64 without quotes */
            i++;
        }
        out->value = slice_sub(s, start, i - start);
        if (out->value.len == 0) {
            return ERR_MALFORMED;
        }
    }
    i = skip_space(s, i);
    if (i < s.len && s.data[i++] != ',') {
        return ERR_MALFORMED;
    }
    *at = i;
    return ERR_OK;
}

static enum err set_field(struct sip_hdr_digest *out, const struct pair *pair)
{
    size_t len = min_size(pair->name.len, LENGTHS);
    for (size_t i = begins[len]; len < LENGTHS && i < begins[len + 1]; i++) {
        if (sip_lex_is_word(pair->name, fields[i].name)) {
            struct slice *slot = (struct slice *)(void *)((char *)out + fields[i].offset);
            if (slot->data != NULL) {
                return ERR_MALFORMED;
            }
            *slot = pair->value;
            return ERR_OK;
        }
    }
    if (sip_lex_is_word(pair->name, SLICE_LITERAL("stale"))) {
        out->is_stale = sip_lex_is_word(pair->value, SLICE_LITERAL("true"));
    } else if (sip_lex_is_word(pair->name, SLICE_LITERAL("userhash"))) {
        out->is_userhash = sip_lex_is_word(pair->value, SLICE_LITERAL("true"));
    }
    return ERR_OK;
}

enum err sip_hdr_digest_decode(struct slice value, struct sip_hdr_digest *out)
{
    value = sip_lex_trim(value);
    size_t at = skip_class(value, 0, SIP_LEX_TOKEN);
    *out = (struct sip_hdr_digest){.scheme = slice_sub(value, 0, at)};
    if (out->scheme.len == 0 || at == value.len || !sip_lex_is_space(value.data[at])) {
        return ERR_MALFORMED;
    }
    out->is_digest = sip_lex_is_word(out->scheme, SLICE_LITERAL("digest"));
    bool is_open = out->is_digest;
    out->has_escapes = is_open && memchr(value.data, '\\', value.len) != NULL;
    while (is_open) {
        struct pair pair;
        if (take_pair(value, &at, out->has_escapes, &pair) != ERR_OK ||
            set_field(out, &pair) != ERR_OK) {
            return ERR_MALFORMED;
        }
        /* a comma must be followed by another pair */
        is_open = at < value.len || value.data[value.len - 1] == ',';
    }
    out->has_qop = out->qop.len > 0;
    return ERR_OK;
}
