/* SPDX-License-Identifier: Apache-2.0 */
/* sip_msg.h - a SIP message as an index into its own bytes, and the parser that makes it.
 *
 * The parser reads each byte once.  A stream is fed as one growing contiguous buffer that starts at
 * the first byte not yet consumed; the buffer may move between calls, for everything is kept as
 * offsets.  What comes out is the same however the bytes were cut.
 *
 * Owner:   the caller's struct sip_parser (one a connection; for datagrams one a shard).
 * Limits:  SIP_MSG_*_CAP below; a message beyond one is PARSE_BAD with status 513 or 400.
 * Strict:  lines end in CRLF; a bare CR or LF, or another control character that is not escaped by
 *          a backslash, is malformed (a proxy that guesses here lets messages be smuggled).
 * RFC:     3261 7, 18.3, 25; 5626 3.5.1 (keep-alive); 4475, 5118 (torture). */
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
    enum sip_method method;    /* requests; responses: look at CSeq */
    uint16_t status;           /* responses: 100..699 */
    uint16_t header_count;
    struct slice bytes;        /* the whole message as framed */
    struct slice body;
    struct slice method_text;  /* requests */
    struct slice request_uri;  /* requests, as it stands */
    struct slice reason;       /* responses; may be empty */
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
    bool is_inside; /* `rest` is still to be read */
};
struct sip_msg_items sip_msg_items(const struct sip_msg *m, enum sip_hdr_id id);
enum err sip_msg_items_next(struct sip_msg_items *it, struct slice *item) MUST_USE;

/* Is the option tag (lower case) in a Require, Supported... header?  Broken lists count as no. */
bool sip_msg_has_option(const struct sip_msg *m, enum sip_hdr_id id, struct slice lower_tag);

/* Why something was refused. */
struct sip_fault {
    uint16_t status; /* to answer a request with: 400, 416, 505, 513 */
    uint32_t offset; /* from the first byte of the message */
    const char *why; /* short, static; fit for a reason phrase */
};

/* What every element needs of a message; filled by sip_msg_check so that nothing is parsed twice. */
struct sip_msg_core {
    struct sip_uri uri;      /* requests: the Request-URI */
    struct sip_hdr_via via;  /* the topmost */
    struct sip_hdr_address from;
    struct sip_hdr_address to;
    struct sip_hdr_cseq cseq;
    struct slice call_id;
    bool has_max_forwards;   /* a missing one is tolerated: 70 is assumed */
    uint8_t max_forwards;
    bool has_from, has_to, has_cseq, has_via; /* decoded well, also where ERR_MALFORMED came back */
};

/* Judges the message as RFC 3261 8.2, 16.3 and 18 ask before anything else is done: mandatory
 * headers (Via, From, To, Call-ID, CSeq) present, once, well-formed; CSeq's method is the request's;
 * URI schemes known (416 for the Request-URI's); all Via, Contact, Route and Record-Route values,
 * Max-Forwards, Expires and Content-Length well-formed.  ERR_MALFORMED, with *fault filled; a request
 * may then be answered when has_via, has_from, has_to, has_cseq are all true, a response is dropped.
 * Unknown methods, missing features, Require are no matter of this. */
enum err sip_msg_check(const struct sip_msg *m, struct sip_msg_core *core,
                       struct sip_fault *fault) MUST_USE;

enum sip_parse {
    SIP_PARSE_OK,   /* see `event`; the caller takes `consumed` bytes off and feeds the rest */
    SIP_PARSE_MORE, /* all right so far; feed the same bytes and more behind them */
    SIP_PARSE_BAD   /* see `fault`; consumed > 0: the message is framed, take it off and go on;
                       0: framing is lost, close the connection (or drop the datagram) */
};

enum sip_event {
    SIP_EVENT_MESSAGE,
    SIP_EVENT_CRLF, /* one CRLF between messages: a pong, or noise; nothing to be done */
    SIP_EVENT_PING  /* the second CRLF in a row: answer with one CRLF (RFC 5626 3.5.1) */
};

struct sip_parser {
    /* results */
    struct sip_msg msg; /* after OK + MESSAGE; partly after BAD: what was read before the fault */
    struct sip_fault fault;
    enum sip_event event;
    uint32_t consumed;
    /* the parser's own */
    bool is_stream;
    bool is_after_crlf;
    uint8_t state;
    uint8_t last[SIP_HDR_COUNT];
    uint32_t scan;       /* bytes before this one are done with */
    uint32_t line;       /* where the line stands that is being read */
    uint32_t head_end;   /* where the body starts */
    uint32_t body_len;
    struct sip_fault pending; /* the first fault of a head whose end is still looked for */
};

/* Once a connection (or shard).  `is_stream`: Content-Length must be there and frames the messages. */
void sip_parser_init(struct sip_parser *p, bool is_stream);

/* `bytes` starts at the first byte not consumed and holds all that has arrived.  After OK or BAD
 * with consumed > 0 the next call starts on the next message.  Results borrow from `bytes`. */
enum sip_parse sip_parser_feed(struct sip_parser *p, struct slice bytes) MUST_USE;

/* A datagram: OK or BAD.  Without Content-Length the body reaches to the end; bytes behind
 * Content-Length are ignored; fewer than it are a fault (18.3).  A datagram of nothing but CRLF is a
 * keep-alive: event PING for a double one, else CRLF. */
enum sip_parse sip_parser_datagram(struct sip_parser *p, struct slice bytes) MUST_USE;
