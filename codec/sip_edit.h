/* SPDX-License-Identifier: Apache-2.0 */
/* sip_edit.h - a message forwarded: the received bytes, copied in ranges, with small changes.
 *
 * Whatever is not edited goes out as it came in, byte for byte.  A list of edits is made against
 * the parsed message, then emitted once.  Content-Length is kept, or added when it was missing.
 *
 * Owner:   the caller's struct sip_edit, for one message and one turn; texts are borrowed till
 *          emit.
 * Limits:  SIP_EDIT_CAP edits.
 * Errors:  stick and come out of sip_edit_emit: ERR_LIMIT too many, ERR_STATE two edits touch the
 *          same bytes, ERR_MALFORMED a text with a CR or LF that would end the line, ERR_TOO_LARGE
 *          does not fit.
 * RFC:     3261 16.6, 16.7, 18.2.1; 3581 4. */
#pragma once
#include "codec/sip_write.h"

enum { SIP_EDIT_CAP = 24, SIP_EDIT_SCRATCH_CAP = 160 };

enum sip_edit_form {
    SIP_EDIT_TEXT,   /* `text` as it is */
    SIP_EDIT_HEADER, /* "Name: text CRLF", the name that of `id` */
    SIP_EDIT_LINE    /* "text CRLF" */
};

struct sip_edit_range {
    uint16_t from; /* these bytes of the message are left out, and the text put there */
    uint16_t to;
    uint8_t form;
    uint8_t id;
    struct slice text;
};

struct sip_edit {
    const struct sip_msg *msg;
    enum err error;
    uint8_t count;
    uint8_t scratch_len;
    uint8_t scratch[SIP_EDIT_SCRATCH_CAP];      /* numbers and addresses written out */
    struct sip_edit_range ranges[SIP_EDIT_CAP]; /* in the order of `from` */
};

void sip_edit_init(struct sip_edit *e, const struct sip_msg *msg);

/* Requests only (else ERR_STATE). */
void sip_edit_request_uri(struct sip_edit *e, struct slice uri);

/* A new header field in front of the first one of its id.  Where there is none: Via right behind
 * the start line, others behind the last Via.  Several calls for one id: the last call comes out on
 * top for Via, Route, Record-Route and Path alike (each is a push). */
void sip_edit_push(struct sip_edit *e, enum sip_hdr_id id, struct slice value);

/* A new header field at the end of the head. */
void sip_edit_append(struct sip_edit *e, enum sip_hdr_id id, struct slice value);
void sip_edit_append_named(struct sip_edit *e, struct slice line); /* "Name: value", no CRLF */

/* Header number `index` of the message: new value, or gone. */
void sip_edit_replace(struct sip_edit *e, unsigned index, struct slice value);
void sip_edit_remove(struct sip_edit *e, unsigned index);
void sip_edit_remove_all(struct sip_edit *e, enum sip_hdr_id id);

/* Takes the first `count` values of a list header off (our own Route entries, our Via of a
 * response), also where they share a line with others.  ERR_NOT_FOUND sticks when there are fewer.
 */
void sip_edit_pop(struct sip_edit *e, enum sip_hdr_id id, unsigned count);

/* One value of a list header, as sip_msg_items gave it, becomes `value`. */
void sip_edit_item(struct sip_edit *e, struct slice item, struct slice value);

/* Replaces Max-Forwards, or adds it. */
void sip_edit_max_forwards(struct sip_edit *e, uint8_t value);

/* Marks the topmost Via with where the request really came from: ";received=" unless `received` is
 * empty, and the value of ";rport" when it asked for it and `rport` is not 0.  Values that the
 * sender had put there itself are replaced. */
void sip_edit_received(struct sip_edit *e, const struct sip_hdr_via *via, struct slice received,
                       uint16_t rport);

/* Writes the message into `out`. */
enum err sip_edit_emit(const struct sip_edit *e, uint8_t *out, size_t cap,
                       size_t *out_len) MUST_USE;
