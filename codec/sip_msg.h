/* SPDX-License-Identifier: Apache-2.0 */
/* sip_msg.h - a SIP message as an index into its own bytes, and the first judgement of it.
 *
 * Owner:   the struct sip_parser that made it (codec/sip_parser.h); slices borrow from the bytes
 *          that were fed.
 * Limits:  SIP_MSG_*_CAP below.
 * RFC:     3261 7, 8.2, 16.3, 18; 4475, 5118 (torture). */
#pragma once
#include "codec/sip_hdr.h"
#include "codec/sip_uri.h"

enum {
    SIP_MSG_BYTES_CAP = 65535, /* start line, headers and body */
    SIP_MSG_HEAD_CAP = 16384,  /* start line and headers, with the empty line */
    SIP_MSG_LINE_CAP = 8192,   /* one header with its folds, or the start line */
    SIP_MSG_HEADERS_CAP = 96
};

/* One header field; offsets count from the first byte of the message. */
struct sip_msg_header {
    uint8_t id;   /* enum sip_hdr_id */
    uint8_t next; /* index + 1 of the next header of this id, 0 = none */
    uint16_t start;
    uint16_t name_len; /* the name stands at `start` */
    uint16_t value;    /* trimmed; folds may be inside */
    uint16_t value_len;
    uint16_t end; /* behind its CRLF */
};

struct sip_msg {
    bool is_request;
    bool has_repeats;       /* some header stands more than once */
    enum sip_method method; /* requests; responses: look at CSeq */
    uint16_t status;        /* responses: 100..699 */
    uint16_t header_count;
    struct slice bytes; /* the whole message as framed */
    struct slice body;
    struct slice method_text;     /* requests */
    struct slice request_uri;     /* requests, as it stands */
    struct slice reason;          /* responses; may be empty */
    uint8_t first[SIP_HDR_COUNT]; /* index + 1 of the first header of an id, 0 = none */
    struct sip_msg_header headers[SIP_MSG_HEADERS_CAP];
};

static inline struct slice sip_msg_name(const struct sip_msg *m, unsigned index)
{
    return slice_of(m->bytes.data + m->headers[index].start, m->headers[index].name_len);
}

static inline struct slice sip_msg_value(const struct sip_msg *m, unsigned index)
{
    return slice_of(m->bytes.data + m->headers[index].value, m->headers[index].value_len);
}

static inline bool sip_msg_has(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] != 0;
}

/* Value of the first header of `id`; empty (data NULL) when there is none. */
static inline struct slice sip_msg_first(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] == 0 ? SLICE_EMPTY : sip_msg_value(m, m->first[id] - 1u);
}

/* Value of the first header with this name (any case, long form), for headers of no number. */
struct slice sip_msg_named(const struct sip_msg *m, struct slice name);

/* Walks the values of a list header over all its occurrences, in order:
 *     struct sip_msg_items it = sip_msg_items(m, SIP_HDR_ROUTE);
 *     while ((e = sip_msg_items_next(&it, &item)) == ERR_OK) ...
 * ERR_NOT_FOUND at the end, ERR_MALFORMED for a broken list.  For a header that is no LIST each
 * occurrence is one item. */
struct sip_msg_items {
    const struct sip_msg *msg;
    struct slice rest;
    uint8_t index; /* of the header that the last item came from */
    uint8_t next;  /* index + 1 of the next occurrence */
    bool is_list;
};
struct sip_msg_items sip_msg_items(const struct sip_msg *m, enum sip_hdr_id id);
enum err sip_msg_items_next(struct sip_msg_items *it, struct slice *item) MUST_USE;

/* Is the option tag (lower case) in a Require, Supported... header?  Broken lists count as no. */
bool sip_msg_has_option(const struct sip_msg *m, enum sip_hdr_id id, struct slice lower_tag);

/* Why something was refused. */
struct sip_fault {
    uint16_t status; /* to answer a request with: 400, 416, 420, 501, 505, 513 */
    uint32_t offset; /* from the first byte of the message */
    const char *why; /* short, static; fit for a reason phrase */
};

/* What every element needs of a message; filled by sip_msg_check so that nothing is parsed twice.
 */
struct sip_msg_core {
    struct sip_uri uri;     /* requests: the Request-URI */
    struct sip_hdr_via via; /* the topmost */
    struct sip_hdr_address from;
    struct sip_hdr_address to;
    struct sip_uri from_uri;
    struct sip_uri to_uri;
    struct sip_hdr_cseq cseq;
    struct slice call_id;
    bool has_max_forwards; /* a missing one is tolerated: 70 is assumed */
    uint8_t max_forwards;
    bool has_via; /* decoded well, also where ERR_MALFORMED came back; so the next */
    bool has_from;
    bool has_to;
    bool has_cseq;
    bool has_call_id;
};

/* Can a faulty request be answered?  The answer needs to know where to go, and repeats of the rest
 * what stands there (RFC 4475 3.1.2, 3.3.1: 400 where To, CSeq or all of them are broken or not
 * there).  An ACK is never answered, also where only its CSeq still says that it is one. */
static inline bool sip_msg_is_answerable(const struct sip_msg *m, const struct sip_msg_core *core)
{
    return m->is_request && m->method != SIP_METHOD_ACK && core->cseq.method != SIP_METHOD_ACK &&
           core->via.sent_by.len > 0;
}

/* Judges the message as RFC 3261 8.2, 16.3 and 18 ask before anything else is done: mandatory
 * headers (Via, From, To, Call-ID, CSeq) present, well-formed, and no single-valued header twice;
 * CSeq's method is the request's; all Via, Contact, Route, Record-Route and Path values and
 * Max-Forwards well-formed.  A missing branch or From tag (RFC 2543) and a nonsensical Expires or
 * Date are tolerated.
 * ERR_MALFORMED with *fault: a request may be answered with fault->status when the five has_ fields
 * are all true; a response is dropped.  ERR_UNSUPPORTED with status 416: all is
 * well but for the Request-URI's scheme.  *core holds what could be decoded in any case.  Unknown
 * methods, Require and the like are no matter of this. */
enum err sip_msg_check(const struct sip_msg *m, struct sip_msg_core *core,
                       struct sip_fault *fault) MUST_USE;

/* Does a request ask of proxies what we do not have (RFC 3261 16.3 step 5)?  We have no extension
 * that a proxy need be asked for, so ERR_UNSUPPORTED with status 420 when Proxy-Require names any.
 * ACK and CANCEL are exempt (8.2.2.3). */
enum err sip_msg_check_extensions(const struct sip_msg *m, struct sip_fault *fault) MUST_USE;
