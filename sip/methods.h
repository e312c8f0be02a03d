/* SPDX-License-Identifier: Apache-2.0 */
/* methods.h - what this node takes, for who asks (OPTIONS) or asks for more (405, 420); all without
 * state (RFC 3261 8.2.7, 11).  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

void methods_say(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status);
/* Is each option tag in header `id` (Require, Proxy-Require) among `known`, which ends with NULL?
 * If not, 420 was sent with all those that are not (RFC 3261 8.2.2.3, 16.3); `tx` NULL:
 * statelessly. */
bool methods_require(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                     enum sip_hdr_id id, const char *const *known);
/* OPTIONS that asks this node? */
bool methods_is_asked(const struct sip *s, const struct sip_rx *rx);
/* Answers it. */
void methods_answer(struct turn *t, struct sip *s, const struct sip_rx *rx);
