/* SPDX-License-Identifier: Apache-2.0 */
/* sip_write.h - makes SIP messages from nothing, or from a message they answer or accompany.
 *
 * Owner:   the caller's buffer.
 * Errors:  stick: write everything, ask sip_write_finish once.  ERR_TOO_LARGE: did not fit.
 *          ERR_MALFORMED: a text held a CR or LF that would have ended its line (nobody's input can
 *          inject a header), or a name or method was no token.
 * RFC:     3261 7, 8.2.6 (responses), 9.1 (CANCEL), 17.1.1.3 (ACK), 3581 4 (received, rport). */
#pragma once
#include "codec/sip_msg.h"

struct sip_writer {
    uint8_t *data;
    size_t cap;
    size_t len;
    enum err error;
};

/* Can stand on one (perhaps folded) line: each CR and LF is part of a CRLF with space behind it. */
bool sip_write_is_line(struct slice s);

void sip_write_init(struct sip_writer *w, uint8_t *buffer, size_t cap);
void sip_write_slice(struct sip_writer *w, struct slice s); /* no check of the bytes */
static inline void sip_write_text(struct sip_writer *w, const char *text)
{
    sip_write_slice(w, slice_text(text)); /* of most the length is known here */
}
void sip_write_u32(struct sip_writer *w, uint32_t number);

void sip_write_request_line(struct sip_writer *w, struct slice method, struct slice uri);
void sip_write_status_line(struct sip_writer *w, unsigned status, struct slice reason);

/* A Via value with ";received=" (unless `received` is empty) and the value of ";rport" (where it
 * was asked for, unless `rport` is 0) filled in; what the sender had put there is replaced. */
void sip_write_via(struct sip_writer *w, const struct sip_hdr_via *via, struct slice received,
                   uint16_t rport);

/* "Name: value CRLF". */
void sip_write_header(struct sip_writer *w, enum sip_hdr_id id, struct slice value);
void sip_write_header_u32(struct sip_writer *w, enum sip_hdr_id id, uint32_t value);
void sip_write_header_named(struct sip_writer *w, struct slice name, struct slice value);
/* The two halves of it, for values made of pieces: begin, any writes, end. */
void sip_write_header_begin(struct sip_writer *w, enum sip_hdr_id id);
void sip_write_header_end(struct sip_writer *w);
/* `text` as a quoted string, escaped as needed; control characters become spaces. */
void sip_write_quoted(struct sip_writer *w, struct slice text);
/* "alice@example.org" behind `scheme` ("sip:"): the URI that has this address of record.  What may
 * not stand in a user part is escaped, also an '@'. */
void sip_write_aor(struct sip_writer *w, struct slice scheme, struct slice aor);
/* Every occurrence of `id` in `from`, in order, as it stands. */
void sip_write_copy(struct sip_writer *w, const struct sip_msg *from, enum sip_hdr_id id);

/* Content-Type (when `type` is not empty), Content-Length, the empty line and the body. */
void sip_write_body(struct sip_writer *w, struct slice type, struct slice body);

enum err sip_write_finish(const struct sip_writer *w, struct slice *message) MUST_USE;

/* What a response takes from its request besides copied headers. */
struct sip_write_reply {
    unsigned status;
    struct slice reason;   /* empty: sip_write_reason(status) */
    struct slice to_tag;   /* put on To where it has none; empty: leave To alone (100) */
    struct slice received; /* for the top Via: empty when not needed */
    uint16_t rport;        /* value of the top Via's ;rport, when it asked for one */
    bool record_route;     /* copy Record-Route (12.1.1: 101-199 and 2xx that make a dialog) */
};
/* Status line, Via (all), From, To, Call-ID, CSeq, Timestamp in a 100.  The caller adds what it
 * likes and ends with sip_write_body.  `core` is the request's, checked or partly so. */
void sip_write_response(struct sip_writer *w, const struct sip_msg *request,
                        const struct sip_msg_core *core, const struct sip_write_reply *reply);

/* The whole CANCEL, or the ACK for a non-2xx response with To value `to` (empty: the INVITE's), for
 * an INVITE as *we* sent it: its Request-URI, top Via, From, Call-ID, CSeq number, Route,
 * Max-Forwards; Reason unless that is empty; no body.  ERR_STATE goes into w->error when `method`
 * is neither. */
void sip_write_hop_request(struct sip_writer *w, const struct sip_msg *invite,
                           enum sip_method method, struct slice to, struct slice reason);

/* The RFC's phrase for a status; "Unknown" for others; static. */
struct slice sip_write_reason(unsigned status);
