/* SPDX-License-Identifier: Apache-2.0 */
/* outbound.h - how requests come from and to a phone: Path, Service-Route, flows (RFC 3327, 3608,
 * 5626).  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* All Path values as one list (RFC 3327 5.3): its length, and where `out` is not NULL the text. */
size_t outbound_path(const struct sip_rx *rx, char *out);
/* Is the flow what is registered?  `has_id`: the contact has +sip.instance and a good reg-id. */
bool outbound_is_asked(const struct sip_rx *rx, bool has_id);
/* RFC 5626 6: it came over a proxy that did not say, with ;ob in its Path, that it keeps flows. */
bool outbound_is_broken(const struct sip_rx *rx);
/* Requests of the phone come by way of this node (RFC 3608 6.3), where the operator wants it. */
void outbound_service_route(const struct sip *s, const struct sip_rx *rx, struct sip_writer *w);
