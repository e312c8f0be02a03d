/* SPDX-License-Identifier: Apache-2.0 */
/* load_message.h - signed requests of a RELOAD client, Fetch and Store of a user's
 * SIP-REGISTRATION for the load generator, and of any value for `chordial store`
 * (RFC 6940 6.3, 7.4; RFC 7904 3).
 *
 * Owner: pure functions on the caller's buffers. */
#pragma once
#include "cmd/load_overlay.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/stored.h"

enum { LOAD_MESSAGE_CAP = 8192, LOAD_MESSAGE_RESOURCE_BYTES = 16, LOAD_MESSAGE_VALUE_CAP = 512 };

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
/* The signer's own registration. */
size_t load_message_store(const struct load_message *m, uint8_t *out);

/* The signer wants a link (RFC 6940 6.5.1): to `node`, which shall dial `local` over DTLS. */
size_t load_message_attach(const struct load_message *m, const struct node_id *node,
                           const struct address *local, uint8_t *out);

/* Any value; whether it may be written there, the responsible peer judges (RFC 6940 7.3). */
struct load_message_value {
    struct slice name; /* Resource Name */
    uint32_t kind;
    enum stored_model model; /* a dictionary's key is the signer's Node-ID */
    uint32_t index;
    bool exists;
    struct slice bytes; /* LOAD_MESSAGE_VALUE_CAP at most */
};
size_t load_message_store_value(const struct load_message *m, const struct load_message_value *v,
                                uint8_t *out);

/* What a message that came is: its transaction id; `why` "" for the answer that was asked for
 * (`code`), else the name of an error.  False: not an answer at all. */
bool load_message_judge(const struct load_overlay *o, struct slice message,
                        uint64_t *transaction_id, uint16_t *code, char why[40]);
