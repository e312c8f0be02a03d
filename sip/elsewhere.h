/* SPDX-License-Identifier: Apache-2.0 */
/* elsewhere.h - the bindings that an account has at other nodes, for a REGISTER without Contact
 * (RFC 3261 10.2.3, usages B.3 item 8): all records of its AOR but ours.
 *
 * A route becomes a GRUU that leads to the account at that node, [peer] [credential] (sip/gruu), an
 * AOR that the account is forwarded to stands there as it is.  The contacts themselves are known to
 * their node alone.  Where the overlay does not answer, those of this node are listed, and a
 * Warning says so: what was asked is what phones rely on, and it must not fail for want of the
 * rest.
 *
 * Owner:  struct sip; accounts whose home shard this is.
 * Limits: sip_registers waiting, ELSEWHERE_ASKED of one account; ELSEWHERE_LISTED records. */
#pragma once
#include "sip/registrar.h"

enum { ELSEWHERE_ASKED = 2, ELSEWHERE_LISTED = 32 };

/* Asks the overlay; the answer follows (registrar_answer).  False: it cannot be asked now. */
bool elsewhere_ask(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   uint32_t account);
/* False: not an answer to us. */
bool elsewhere_on_fetched(struct turn *t, struct sip *s, const struct overlay_event *event);
/* A Contact for each record of `event`, as far as they fit and leave `room` bytes. */
void elsewhere_write(const struct sip *s, uint32_t account, const struct overlay_event *event,
                     size_t room, struct sip_writer *w);
