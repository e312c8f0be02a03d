/* SPDX-License-Identifier: Apache-2.0 */
/* winfo.h - who watches an account's presence, for the account itself (RFC 3857, 3858): the
 * document application/watcherinfo+xml of event package presence.winfo, always in full.
 *
 * Limits: what fits into it.  Each watcher comes once before any comes twice, so that one with many
 * subscriptions hides nobody. */
#pragma once
#include "sip/subscribe.h"

/* Writes it into `out`; ERR_TOO_LARGE: it does not fit. */
enum err winfo_write(struct turn *t, const struct sip *s, uint32_t account, uint32_t version,
                     uint8_t *out, size_t cap, struct slice *document) MUST_USE;
