/* SPDX-License-Identifier: Apache-2.0 */
/* methods.h - what this node takes, for who asks (OPTIONS) or asks for more (405, 420); all without
 * state (RFC 3261 8.2.7, 11).  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

void methods_say(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status);
/* 420: what the request requires of us, in header `id`, and we do not know. */
void methods_refuse(struct turn *t, struct sip *s, const struct sip_rx *rx, enum sip_hdr_id id);
/* OPTIONS that asks this node? */
bool methods_is_asked(const struct sip *s, const struct sip_rx *rx);
/* Answers it. */
void methods_answer(struct turn *t, struct sip *s, const struct sip_rx *rx);
