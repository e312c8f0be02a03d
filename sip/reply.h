/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - the responses that we make ourselves, and what they say about why.
 *
 * A response that explains a failure carries Warning: 399 <domain> "text"; 503 carries Retry-After.
 * With a server transaction it goes through it; without one (tx NULL) it is sent statelessly.
 * RFC 3261 8.2.6, 20.43, 21. */
#pragma once
#include "sip/sip_state.h"

enum { REPLY_TAG_CAP = 13, REPLY_END_BYTES = 64 /* what reply_finish writes, at most */ };
/* Our To tag of a request's dialog, in hex. */
struct slice reply_tag(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                       char hex[REPLY_TAG_CAP]);
/* Simple ones: `why` NULL = no Warning. */
void reply_send(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                unsigned status, const char *why);
/* The same for senders who are not known yet: statelessly, and `tx` is forgotten, so that strangers
 * cannot fill the table (RFC 3261 8.2.7, 26.3.2.4). */
void reply_stranger(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                    unsigned status, const char *why);
/* With headers of the caller's: reply_begin, sip_write_*, reply_finish. */
void reply_begin(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status,
                 struct sip_writer *w);
void reply_warning(const struct sip *s, struct sip_writer *w, const char *why);
void reply_finish(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                  unsigned status, struct sip_writer *w);
/* The SIP status for what an overlay request ended with (usages B.4). */
unsigned reply_status_of(enum err error, uint16_t reload_error);
const char *reply_why_of(enum err error, uint16_t reload_error);
