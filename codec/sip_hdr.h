/* SPDX-License-Identifier: Apache-2.0 */
/* sip_hdr.h - header fields by number, and what their values say, decoded on demand.
 *
 * Owner:   nobody; pure functions, slices borrow from the value.
 * Values:  as sip_msg_value gives them (or one item of a list, see sip_msg_items).  Folds may be
 *          inside; no decoder minds.
 * Errors:  ERR_MALFORMED unless said otherwise; ERR_TOO_LARGE where a number is above its bound.
 * RFC:     3261 20 and 25.1, 3581 (rport), 5118 (IPv6), 7616 (digest), 6665 (Event). */
#pragma once
#include "codec/sip_lex.h"
#include "codec/sip_uri.h"

enum sip_hdr_id {
    SIP_HDR_OTHER, /* a name we do not know */
#define SIP_HDR(id, name, a, b, c, d, shape) SIP_HDR_##id,
#include "codec/sip_hdr.def"
#undef SIP_HDR
    SIP_HDR_COUNT
};

/* Names, for sip_hdr_find and its like; as long as a vector of theirs. */
struct sip_hdr_text {
    char text[31];
    uint8_t len;
};
extern const struct sip_hdr_text sip_hdr_names[SIP_HDR_COUNT];

/* Slot of a name in the table of guesses, by four of its letters in lower case (sip_hdr.def).  The
 * factor was found by trial: it parts them all. */
#define SIP_HDR_SLOT(a, b, c, d)                                                                   \
    ((((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24) *           \
      UINT32_C(0x5a91c89b)) >>                                                                     \
     24)
extern const uint8_t sip_hdr_guesses[256];

/* The one header field that `len` letters at `name`, at least 2, can be the name of. */
static inline enum sip_hdr_id sip_hdr_guess(const uint8_t *name, size_t len)
{
    /* letters become lower case; what else may collide is told apart by comparing */
    const uint8_t *middle = name + (len - 1) / 2;
    uint32_t letters = (uint32_t)name[0] | (uint32_t)name[1] << 8 | (uint32_t)middle[0] << 16 |
                       (uint32_t)middle[1] << 24;
    letters |= UINT32_C(0x20202020);
    return (enum sip_hdr_id)sip_hdr_guesses[SIP_HDR_SLOT(letters, 0, 0, 0)];
}

enum sip_hdr_shape { SIP_HDR_SHAPE_ONE, SIP_HDR_SHAPE_LIST, SIP_HDR_SHAPE_PLAIN };

enum sip_hdr_id sip_hdr_find(struct slice name);      /* long or compact, any case */
struct slice sip_hdr_name(enum sip_hdr_id id);        /* the long form; empty for OTHER */
enum sip_hdr_shape sip_hdr_shape(enum sip_hdr_id id); /* OTHER: PLAIN */

enum sip_method {
    SIP_METHOD_OTHER,
#define SIP_METHOD(name) SIP_METHOD_##name,
#include "codec/sip_method.def"
#undef SIP_METHOD
    SIP_METHOD_COUNT
};

enum sip_method sip_hdr_method(struct slice token);       /* OTHER when unknown; case matters */
struct slice sip_hdr_method_name(enum sip_method method); /* empty for OTHER */

enum sip_transport {
    SIP_TRANSPORT_OTHER,
    SIP_TRANSPORT_UDP,
    SIP_TRANSPORT_TCP,
    SIP_TRANSPORT_TLS,
    SIP_TRANSPORT_WS,
    SIP_TRANSPORT_WSS,
    SIP_TRANSPORT_SCTP
};

enum sip_transport sip_hdr_transport(struct slice token);          /* any case */
struct slice sip_hdr_transport_name(enum sip_transport transport); /* "UDP"; empty for OTHER */

/* One via-parm.  Absent texts are empty. */
struct sip_hdr_via {
    enum sip_transport transport;
    enum sip_lex_host host_kind;
    uint16_t port;  /* 0 = none given */
    uint16_t rport; /* its value, 0 = none */
    uint8_t ttl;
    bool has_rport; /* ;rport stands there, with or without a value (RFC 3581) */
    bool has_branch;
    bool has_magic;    /* branch starts with z9hG4bK (RFC 3261 8.1.1.7), any case */
    struct slice text; /* all of it */
    struct slice transport_text;
    struct slice sent_by; /* host and port as they stand */
    struct slice host;    /* an IPv6 address has its brackets */
    struct slice branch;
    struct slice received; /* with or without brackets (RFC 5118 4.5) */
    struct slice maddr;
    struct slice rport_name; /* where ";rport" stands, for putting "=port" behind it */
    struct slice params;     /* from the first ';' on */
};
/* ERR_UNSUPPORTED: protocol name or version is not SIP/2.0. */
enum err sip_hdr_via_decode(struct slice item, struct sip_hdr_via *out) MUST_USE;
/* The same for an item of `whole`: see sip_hdr_address_within. */
enum err sip_hdr_via_within(struct slice whole, struct slice item,
                            struct sip_hdr_via *out) MUST_USE;
/* The same for [from, end) of `s`, trimmed. */
enum err sip_hdr_via_read(struct slice s, size_t from, size_t end,
                          struct sip_hdr_via *out) MUST_USE;

/* name-addr or addr-spec with header parameters: From, To, Contact, Route, Record-Route, Path,
 * Service-Route, Refer-To, Reply-To, P-Asserted-Identity. */
struct sip_hdr_address {
    bool is_star;      /* Contact: * */
    bool has_brackets; /* uri stood in <> */
    bool has_tag;
    bool has_expires;
    bool has_q;
    uint16_t q_milli;     /* 0..1000; 1000 when absent */
    uint32_t expires_s;   /* UINT32_MAX where larger; see has_expires */
    struct slice display; /* trimmed; a quoted string keeps its quotes */
    struct slice uri;     /* inside <>, or the addr-spec */
    struct slice tag;
    struct slice params; /* header parameters, from the first ';' on */
};
/* A malformed `expires` value counts as absent (10.2.1.1: treated as 3600); a malformed q too. */
enum err sip_hdr_address_decode(struct slice item, struct sip_hdr_address *out) MUST_USE;
/* The same for [from, end) of `s`, trimmed.  With `uri` the URI is decoded too (its errors are
 * those of sip_uri_decode); of a star it says nothing. */
enum err sip_hdr_address_read(struct slice s, size_t from, size_t end, struct sip_hdr_address *out,
                              struct sip_uri *uri) MUST_USE;

/* The same for an item of `whole`, such as sip_msg_items gives of a message: what stands behind it
 * may be looked at, which is faster. */
enum err sip_hdr_address_within(struct slice whole, struct slice item, struct sip_hdr_address *out,
                                struct sip_uri *uri) MUST_USE;

/* qvalue in thousandths; false when it is none. */
bool sip_hdr_q_decode(struct slice s, uint16_t *milli);

struct sip_hdr_cseq {
    uint32_t number; /* below 2^31 (RFC 3261 8.1.1.5) */
    enum sip_method method;
    struct slice method_text;
};
enum err sip_hdr_cseq_decode(struct slice value, struct sip_hdr_cseq *out) MUST_USE;

/* Max-Forwards: 0..255. */
enum err sip_hdr_max_forwards_decode(struct slice value, uint8_t *out) MUST_USE;
/* Expires, Min-Expires, Content-Length and other bare numbers of at most `max`.  ERR_TOO_LARGE
 * above it: for Expires that means "more than any limit of ours", not malformed (20.19). */
enum err sip_hdr_number_decode(struct slice value, uint32_t max, uint32_t *out) MUST_USE;
/* callid = word [ "@" word ]; gives nothing back, the value is the id. */
enum err sip_hdr_call_id_check(struct slice value) MUST_USE;

/* Authorization, Proxy-Authorization, WWW-Authenticate, Proxy-Authenticate.  Texts lack their
 * quotes and keep backslashes (sip_lex_unquote before hashing when has_escapes); absent = empty. */
struct sip_hdr_digest {
    bool is_digest;   /* the scheme is Digest, any case; else only `scheme` is filled */
    bool has_escapes; /* a backslash stands somewhere, mostly in a quoted value */
    bool has_qop;
    bool is_stale;
    bool is_userhash; /* userhash=true */
    struct slice scheme;
    struct slice username;
    struct slice username_star; /* username*: RFC 5987 coded */
    struct slice realm;
    struct slice nonce;
    struct slice uri;
    struct slice response;
    struct slice algorithm;
    struct slice cnonce;
    struct slice opaque;
    struct slice qop; /* one token in credentials, a list in a challenge */
    struct slice nc;
};
/* A parameter that comes twice is ERR_MALFORMED. */
enum err sip_hdr_digest_decode(struct slice value, struct sip_hdr_digest *out) MUST_USE;

struct sip_hdr_event {
    struct slice package; /* with its templates: "presence.winfo" */
    struct slice id;
    struct slice params;
};
enum err sip_hdr_event_decode(struct slice value, struct sip_hdr_event *out) MUST_USE;
