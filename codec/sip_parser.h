/* SPDX-License-Identifier: Apache-2.0 */
/* sip_parser.h - finds SIP messages in datagrams and streams and indexes them.
 *
 * Each byte is read once.  A stream is fed as one growing contiguous buffer that starts at the
 * first byte not yet consumed; the buffer may move between calls, for everything is kept as
 * offsets.  What comes out is the same however the bytes were cut.
 *
 * Owner:   the caller's struct sip_parser (one a connection; for datagrams one a shard).
 * Limits:  SIP_MSG_*_CAP; a message beyond one is SIP_PARSE_BAD with status 513 or 400.
 * Strict:  lines end in CRLF; a bare CR or LF, or another control character that is not escaped by
 *          a backslash, is malformed (a proxy that guesses here lets messages be smuggled).
 * RFC:     3261 7, 18.3, 25; 5626 3.5.1 (keep-alive). */
#pragma once
#include "codec/sip_msg.h"

enum sip_parse {
    SIP_PARSE_OK,   /* see `event`; the caller takes `consumed` bytes off and feeds the rest */
    SIP_PARSE_MORE, /* all right so far; feed the same bytes and more behind them */
    SIP_PARSE_BAD   /* see `fault`; consumed > 0: the message is framed, take it off and go on;
                       0: framing is lost, close the connection (or drop the datagram) */
};

enum sip_parser_event {
    SIP_EVENT_MESSAGE,
    SIP_EVENT_CRLF, /* one CRLF between messages: a pong, or noise; nothing to be done */
    SIP_EVENT_PING  /* the second CRLF in a row: answer with one CRLF (RFC 5626 3.5.1) */
};

struct sip_parser {
    /* results */
    struct sip_msg msg; /* after OK + MESSAGE; partly after BAD: what was read before the fault */
    struct sip_fault fault;
    enum sip_parser_event event;
    uint32_t consumed;
    /* the parser's own */
    bool is_stream;
    bool is_after_crlf;
    bool has_length; /* a Content-Length was read */
    uint8_t state;
    uint8_t last[SIP_HDR_COUNT]; /* index + 1 of the last one of an id that repeats */
    uint16_t method_len;         /* parts of the start line, as offsets */
    uint16_t part;               /* Request-URI or reason phrase */
    uint16_t part_len;
    uint32_t scan;     /* bytes before this one are done with */
    uint32_t line;     /* where the line stands that is being read */
    uint32_t colon;    /* the first one of that line, 0 = none so far */
    uint32_t head_end; /* where the body starts */
    uint32_t body_len;
    struct sip_fault pending; /* the first fault of a head whose end is still looked for */
};

/* Once a connection (or shard).  `is_stream`: Content-Length must be there, it frames. */
void sip_parser_init(struct sip_parser *p, bool is_stream);

/* `bytes` starts at the first byte not consumed and holds all that has arrived.  After OK or BAD
 * with consumed > 0 the next call starts on the next message.  Results borrow from `bytes`. */
enum sip_parse sip_parser_feed(struct sip_parser *p, struct slice bytes) MUST_USE;

/* A datagram: OK or BAD.  Without Content-Length the body reaches to the end; bytes behind
 * Content-Length are ignored; fewer than it are a fault (18.3), as is a Content-Length that is no
 * number: the message is framed all the same, it is what there is.  A datagram of nothing but CRLF
 * is a keep-alive: event PING for a double one, else CRLF. */
enum sip_parse sip_parser_datagram(struct sip_parser *p, struct slice bytes) MUST_USE;
