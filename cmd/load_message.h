/* SPDX-License-Identifier: Apache-2.0 */
/* load_message.h - signed requests of a RELOAD client, made by the load generator: Fetch and Store
 * of a user's SIP-REGISTRATION (RFC 6940 6.3, 7.4; RFC 7904 3).
 *
 * Owner: pure functions on the caller's buffers. */
#pragma once
#include "cmd/load_overlay.h"
#include "codec/content.h"
#include "codec/fwd.h"

enum { LOAD_MESSAGE_CAP = 8192, LOAD_MESSAGE_RESOURCE_BYTES = 16 };

struct load_message {
    const struct load_overlay *overlay;
    const struct load_overlay_member *signer;
    const struct load_overlay_member *about; /* whose registration */
    uint64_t transaction_id;
    uint64_t storage_time_ms; /* Store */
    uint32_t lifetime_s;      /* Store */
};

/* Into `out` (LOAD_MESSAGE_CAP bytes); returns the length, 0 when it does not fit. */
size_t load_message_fetch(const struct load_message *m, uint8_t *out);
/* The signer's own record: access control allows no other. */
size_t load_message_store(const struct load_message *m, uint8_t *out);

/* What a message that came is: its transaction id; `why` "" for the answer that was asked for
 * (`code`), else the name of an error.  False: not an answer at all. */
bool load_message_judge(const struct load_overlay *o, struct slice message,
                        uint64_t *transaction_id, uint16_t *code, char why[40]);
