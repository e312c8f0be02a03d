/* SPDX-License-Identifier: Apache-2.0 */
/* presence.h - the presence document of a phone account (RFC 3856, RFC 3863): what its devices have
 * published, put together; open while it is registered and has published nothing; closed else.
 *
 * Composed: everything inside the roots of the publications, with the name spaces it was written
 * under, ids made different by the publication's tag where there are several.  Contacts of devices
 * are not shown: the AOR stands for them.  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* "sip:alice@example.org" of an account, as text of a document. */
void presence_write_uri(struct sip_writer *w, struct slice aor);
/* Writes it into `out`; ERR_TOO_LARGE: it does not fit. */
enum err presence_write(struct turn *t, const struct sip *s, uint32_t account, uint8_t *out,
                        size_t cap, struct slice *document) MUST_USE;
