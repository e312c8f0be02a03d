/* SPDX-License-Identifier: Apache-2.0 */
/* contacts.h - which of an account's contacts a request goes to.
 *
 * Those that the caller's preferences leave (sip/prefs), and of the flows of one device the last
 * one registered (RFC 5626 5.3.1).  Owner: nobody.  Limits: CONTACTS_CAP of an account. */
#pragma once
#include "sip/registrar.h"

enum { CONTACTS_CAP = 32 };

/* The contacts of an account that a request may go to, best first: by q, then by what the caller
 * would like (RFC 3841 7.2.4). */
unsigned contacts_choose(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account,
                         const struct registrar_binding *chosen[CONTACTS_CAP]);
/* Where a request inside a dialog goes that a token sends to `flow`.  A phone that has registered
 * again since may have moved to another flow: a binding of the To AOR that is the Request-URI knows
 * better than the token.  *contact: what a Request-URI that is a GRUU stands for (RFC 5627). */
struct flow_ref contacts_flow_now(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                  const struct flow_ref *flow, struct slice *contact);
