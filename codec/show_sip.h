/* SPDX-License-Identifier: Apache-2.0 */
/* show_sip.h - SIP as JSON: what a datagram says, how a stream is framed, whether two URIs are one.
 *
 * The bytes go through codec/sip_parser and sip_msg_check, as in sip/ when they come off the
 * network: what is refused here is refused there.  Each call writes one whole JSON object.
 *
 * Refusals carry `offset`, in the input, and `status`: the response code that names the fault (400,
 * 416, 420, 505, 513).  A proxy answers with it where it may; it sends nothing for an ACK, nor
 * where the headers that an answer needs cannot be read.  `status` is null for a response, which is
 * never answered, and for a datagram of nothing but CRLF, a keep-alive.
 *
 * Texts are JSON strings of UTF-8.  A byte that is not part of well-formed UTF-8 (RFC 3629) stands
 * as \u00XX, and so do controls, quotes and backslashes.
 *
 * Owner:   the text goes into the caller's writer; no state is kept.
 * Errors:  ERR_TOO_LARGE: does not fit the writer; nothing is wrong with the bytes. */
#pragma once
#include "codec/rw.h"

/* SipMessage: a datagram.  {"fields": {...}} or {"reject": why, "status": N, "offset": N}.
 *
 * Absent values are null.  `uri` is what stands inside <> or the addr-spec; so are contacts, routes
 * and record_routes, but "*" for the star.  Transports are in upper case, a host has its brackets
 * when it is an IPv6 address.  An Expires that is no number is null, as if it were absent (RFC 3261
 * 20.19 leaves it to the reader); one above 2^32-1 is 2^32-1. */
enum err show_sip_message(struct slice in, struct wr *w) MUST_USE;

/* SipStream: what a connection has brought so far.
 * {"messages": [{"offset", "bytes", "body_bytes"}...], "rest_bytes": N, "after": "open"|"wait"|
 * "close"}.  A message that is framed but refused has "reject" as well.  CRLFs between messages are
 * consumed.  "close": framing is lost, `rest_bytes` counts from the message that lost it. */
enum err show_sip_stream(struct slice in, struct wr *w) MUST_USE;

/* SipUriPair: {"equal": true|false} by RFC 3261 19.1.4, or {"reject": why, "offset": N}, the offset
 * in the text that the reason names. */
enum err show_sip_uri_pair(struct slice a, struct slice b, struct wr *w) MUST_USE;
