/* SPDX-License-Identifier: Apache-2.0 */
/* sip_lex.h - the words of SIP: tokens, quoted strings, lists, parameters, escapes, numbers.
 *
 * Owner:   nobody; pure functions on borrowed slices, output into the caller's buffer.
 * Limits:  none of its own: input is a header value, whose length codec/sip_msg bounds.
 * RFC:     3261 25.1.  White space is LWS: SP, HT, and CRLF followed by one of these; sip_msg has
 *          already refused any other CR or LF, so inside a value all four count as space. */
#pragma once
#include "core/err.h"
#include "core/slice.h"

/* Character classes, as bits of sip_lex_class[byte]. */
enum {
    SIP_LEX_TOKEN = 1,  /* token: alphanumeric and -.!%*_+`'~ */
    SIP_LEX_SPACE = 2,  /* SP HT CR LF */
    SIP_LEX_DIGIT = 4,  /* 0-9 */
    SIP_LEX_HEX = 8,    /* 0-9 a-f A-F */
    SIP_LEX_HOST = 16,  /* alphanumeric - . _ : what a host name may hold (underscore: tolerated) */
    SIP_LEX_USER = 32,  /* unreserved / user-unreserved; escapes apart */
    SIP_LEX_PARAM = 64, /* paramchar of a URI parameter; escapes apart */
    SIP_LEX_WORD = 128  /* may stand in an unquoted parameter: token and []:/@&$?|{}()\^# */
};
extern const uint8_t sip_lex_class[256];

static inline bool sip_lex_is_space(uint8_t c)
{
    return (sip_lex_class[c] & SIP_LEX_SPACE) != 0;
}

/* Offset of the first byte of [i, end) of `s` that is of none of `classes`; `end` when all are. */
static inline size_t sip_lex_stop(struct slice s, uint8_t classes, size_t i, size_t end)
{
    while (i < end && (sip_lex_class[s.data[i]] & classes) != 0) {
        i++;
    }
    return i;
}

/* `s` without white space at both ends. */
struct slice sip_lex_trim(struct slice s);

/* One token and nothing else, not empty. */
bool sip_lex_is_token(struct slice s);

/* All bytes of `s` (which may be empty) are of one of `classes`. */
bool sip_lex_is_all(struct slice s, uint8_t classes);

/* `a`, from the wire, equals the lower-case text `lower` without regard to case. */
bool sip_lex_is_word(struct slice a, struct slice lower);

/* Decimal digits only.  ERR_MALFORMED for anything else or nothing, ERR_TOO_LARGE above `max`. */
enum err sip_lex_u32(struct slice text, uint32_t max, uint32_t *out) MUST_USE;

/* Length of the quoted string at the start of `s`, both quotes included.  ERR_MALFORMED when `s`
 * does not start with a quote or the closing one is missing. */
enum err sip_lex_quoted(struct slice s, size_t *len) MUST_USE;

/* Takes the next item of a comma-separated list off `rest`, trimmed; commas within quotes or <> do
 * not separate.  ERR_NOT_FOUND at the end, ERR_MALFORMED for an empty item; an open quote or < is
 * left to the decoder of the item. */
enum err sip_lex_item(struct slice *rest, struct slice *item) MUST_USE;

struct sip_lex_param {
    struct slice name;
    struct slice value; /* without the quotes when is_quoted; empty when !has_value */
    bool has_value;
    bool is_quoted; /* backslash escapes may still be in `value`: sip_lex_unquote */
};

/* Takes the next ";name=value" off `rest`, which is empty or starts with LWS or ';'.
 * ERR_NOT_FOUND at the end. */
enum err sip_lex_param(struct slice *rest, struct sip_lex_param *out) MUST_USE;

/* The first parameter of that name (lower case), or false.  `params` as for sip_lex_param. */
bool sip_lex_param_find(struct slice params, struct slice lower_name, struct sip_lex_param *out);

/* %-unescapes into `out`.  ERR_MALFORMED for a bad escape, ERR_TOO_LARGE above `cap`. */
enum err sip_lex_unescape(struct slice in, uint8_t *out, size_t cap, size_t *out_len) MUST_USE;

/* The inside of a quoted string with its backslash escapes resolved.  Errors as above. */
enum err sip_lex_unquote(struct slice in, uint8_t *out, size_t cap, size_t *out_len) MUST_USE;

enum sip_lex_host {
    SIP_LEX_HOST_BAD,
    SIP_LEX_HOST_NAME,
    SIP_LEX_HOST_IPV4,
    SIP_LEX_HOST_IPV6 /* with its brackets */
};
enum sip_lex_host sip_lex_host(struct slice host);
/* The host that starts at `from`: where it ends.  *kind is BAD when there is none. */
size_t sip_lex_host_read(struct slice s, size_t from, size_t end, enum sip_lex_host *kind);
/* The same of a text that holds nothing but letters, digits, and .-_ */
enum sip_lex_host sip_lex_host_judge(struct slice host);
