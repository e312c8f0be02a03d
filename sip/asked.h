/* SPDX-License-Identifier: Apache-2.0 */
/* asked.h - what a REGISTER asks for: its contacts, read once (RFC 3261 10.3).
 *
 * Owner:  struct sip has one: a REGISTER is handled from its start to its end.
 * Limits: ASKED_CAP contacts of one request. */
#pragma once
#include "sip/registrar.h"

enum { ASKED_CAP = 32 };

struct asked_contact {
    struct sip_hdr_address address;
    struct sip_uri uri;
    uint32_t expires_s;
    bool has_instance;
    bool has_reg_id;
    bool is_forward; /* sip/forward */
    struct slice instance_text;
    uint8_t instance[16];
};

struct asked {
    const struct sip_rx *rx;
    struct sip_msg_items items; /* still to be read */
    uint8_t call_id[16];        /* of a hash, as in a binding */
    bool has_star;
    bool has_forward; /* one that is not to be removed */
    unsigned count;
    struct asked_contact list[ASKED_CAP]; /* not cleared */
};

/* The first function to be called; reads nothing yet. */
void asked_begin(const struct sip *s, const struct sip_rx *rx, struct asked *out);
/* Reads the next Contact.  ERR_OK: it is the last of `list`, or has_star is set by it;
 * ERR_NOT_FOUND: there is none left; ERR_LIMIT: they are too many; else it is none that can be
 * registered: ERR_FORBIDDEN, a sips URI without TLS; ERR_UNSUPPORTED, a GRUU; ERR_EXISTS, a second
 * forward; or malformed. */
enum err asked_next(struct turn *t, const struct sip *s, struct asked *a) MUST_USE;
/* All that can be registered; what cannot is passed over. */
void asked_read(struct turn *t, const struct sip *s, const struct sip_rx *rx, struct asked *out);

/* Header Expires, or the default. */
uint32_t asked_expires(const struct sip *s, const struct sip_rx *rx);
/* RFC 3261 10.3 step 7: an older request of the same registrar client changes nothing. */
bool asked_is_in_order(const struct asked *a, const struct registrar_binding *b);
bool asked_is_same(const struct registrar_binding *b, const struct asked_contact *c);
/* Is it one of those that the request names? */
bool asked_has(const struct asked *a, const struct registrar_binding *b);
/* Where to reach a contact: see registrar.h. */
struct flow_ref asked_flow(const struct sip_rx *rx, const struct asked_contact *c);
