/* SPDX-License-Identifier: Apache-2.0 */
/* gruu.h - URIs that reach one device, whoever asks (RFC 5627, RFC 7904 6).
 *
 *   public     sip:alice@example.org;gr=G   G: [peer of the AOR's home shard] [opaque: the device]
 *   temporary  sip:TOKEN@example.org;gr=G   G: [peer of the AOR's home shard]
 *   account    sip:alice@example.org;gr=G   G: [peer] [Node-ID of the account's credential there]
 *
 * G is base64 (with ~ for =) of a Destination List, so every node of the overlay knows whom to ask
 * without a Fetch.  The opaque id is a hash over AOR and +sip.instance: a public GRUU outlives
 * registrations and restarts.  TOKEN is sealed with the node's key over account, device and an
 * epoch: it shows the node, not the user.  An epoch of a device ends when it registers with another
 * Call-ID, when its last contact goes, and with the process (5627 5.1, 5.3); each contact carries
 * it.
 *
 * Owner:  nobody.  Limits: GRUU_ENTRIES entries (usages B.7). */
#pragma once
#include "sip/registrar.h"

enum { GRUU_INSTANCE_BYTES = 8, GRUU_ENTRIES = 8, GRUU_TOKEN_BYTES = 16 + 4 + 8 + 4 };

enum gruu_kind { GRUU_NONE, GRUU_PUBLIC, GRUU_TEMPORARY, GRUU_ACCOUNT, GRUU_BAD };

/* A URI of our domain with ;gr, taken apart. */
struct gruu {
    uint8_t kind; /* enum gruu_kind */
    struct node_id node;
    uint8_t instance[GRUU_INSTANCE_BYTES]; /* PUBLIC */
    struct node_id credential;             /* ACCOUNT */
};

/* The device's part of a public GRUU. */
void gruu_instance(struct turn *t, struct slice aor, struct slice instance,
                   uint8_t out[GRUU_INSTANCE_BYTES]);
/* The epoch of a device, `gruu`, one of whose contacts is about to be registered under `call_id`,
 * anew or again: that of its other contacts; a new one, for all of them, if it has none or this one
 * takes the place of one with another Call-ID (5.1).  `flow`: `instance` of a binding with reg-id;
 * else NULL, and the contact registered last is the one whose place is taken. */
uint32_t gruu_epoch(struct sip *s, uint32_t account, const uint8_t gruu[GRUU_INSTANCE_BYTES],
                    const uint8_t *flow, const uint8_t call_id[16]);
/* What a Request-URI is.  GRUU_BAD: ;gr is there and cannot be read. */
void gruu_read(const struct sip *s, const struct sip_uri *uri, struct gruu *out);
/* The contact that a GRUU of this peer stands for; NULL: none now.  *account: whose it is, or
 * REGISTRAR_NONE where it is not valid (a public one of nobody, a temporary one that has ended). */
const struct registrar_binding *gruu_find(struct turn *t, const struct sip *s,
                                          const struct sip_uri *uri, const struct gruu *g,
                                          uint32_t *account);
/* Whose contacts here a GRUU_ACCOUNT of this peer stands for; REGISTRAR_NONE: nobody's. */
uint32_t gruu_account(const struct sip *s, const struct sip_uri *uri, const struct gruu *g);
/* sip:AOR;gr=[peer][credential]: the account, at one node, as sip/elsewhere lists it. */
void gruu_write_account(const struct sip *s, struct slice aor, const struct node_id *peer,
                        const struct node_id *credential, struct sip_writer *w);
/* ;pub-gruu="..." ;temp-gruu="..." of a contact (5.2). */
void gruu_write(struct turn *t, const struct sip *s, const struct registrar_binding *b,
                struct sip_writer *w);
