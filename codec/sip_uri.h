/* SPDX-License-Identifier: Apache-2.0 */
/* sip_uri.h - sip:, sips: and tel: URIs: taking apart, comparing, canonical address of record.
 *
 * Owner:   nobody; slices borrow from the text.
 * Limits:  SIP_URI_PARAMS_CAP parameters and as many headers; more is ERR_TOO_LARGE.
 * RFC:     3261 19.1 and 25.1, 3966 (tel). */
#pragma once
#include "codec/sip_lex.h"

enum { SIP_URI_PARAMS_CAP = 32 };

enum sip_uri_scheme {
    SIP_URI_SIP,
    SIP_URI_SIPS,
    SIP_URI_TEL,
    SIP_URI_OTHER /* syntactically a URI; nothing but `scheme` and `text` is filled: 416 */
};

struct sip_uri {
    enum sip_uri_scheme scheme;
    enum sip_lex_host host_kind;
    uint16_t port; /* 0 = none given */
    bool has_user;
    bool has_password; /* which may be empty */
    bool has_headers;
    bool has_lr;       /* ;lr, the hop is a loose router */
    struct slice text; /* all of it */
    struct slice user; /* as it stands, escapes and all; tel: the subscriber's number */
    struct slice password;
    struct slice host;    /* an IPv6 address has its brackets */
    struct slice params;  /* from the first ';' on (as sip_lex_param wants it), or empty */
    struct slice headers; /* behind the '?' */
};

/* ERR_MALFORMED (400), or ERR_TOO_LARGE.  A scheme that is not ours is ERR_OK and SIP_URI_OTHER. */
enum err sip_uri_decode(struct slice text, struct sip_uri *out) MUST_USE;
/* The same for [from, end) of `s`. */
enum err sip_uri_read(struct slice s, size_t from, size_t end, struct sip_uri *out) MUST_USE;

/* The scheme of [from, end) where it is not a plain "sip:".  SIP and SIPS: *rest is where the
 * remainder stands, which is still to be read; any other is read whole.  *out is zero before. */
enum err sip_uri_read_scheme(struct slice s, size_t from, size_t end, struct sip_uri *out,
                             size_t *rest) MUST_USE;
/* uri->headers: the last step of taking a URI apart. */
enum err sip_uri_check_headers(const struct sip_uri *uri) MUST_USE;

/* RFC 3261 19.1.4; tel URIs by RFC 3966 5, others byte by byte. */
bool sip_uri_is_equal(const struct sip_uri *a, const struct sip_uri *b);

/* The value of URI parameter `lower_name`; *value is empty when it has none. */
bool sip_uri_param(const struct sip_uri *uri, struct slice lower_name, struct slice *value);

/* The address of record, "user@host": user %-decoded, host in lower case; no scheme, password, port
 * or parameters (RFC 3261 10.3 step 5, RFC 7904 2).  ERR_NOT_FOUND when the URI has no user or is
 * not sip(s).  A decoded user may hold '@' or any byte: the *last* '@' parts user from host. */
enum err sip_uri_aor(const struct sip_uri *uri, uint8_t *out, size_t cap, size_t *out_len) MUST_USE;
