/* SPDX-License-Identifier: Apache-2.0 */
/* regevent.h - the registrations of an account as a document (RFC 3680): always the full state, for
 * the account itself and nobody else.  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* Writes it into `out`; ERR_TOO_LARGE: it does not fit. */
enum err regevent_write(struct turn *t, const struct sip *s, uint32_t account, uint32_t version,
                        uint8_t *out, size_t cap, struct slice *document) MUST_USE;
