/* SPDX-License-Identifier: Apache-2.0 */
/* link_life.h - how a link begins and ends, over a stream or over datagrams; for files of link/
 * only.
 *
 * Nothing here removes a link: an end is a state (DOWN), and link_next takes it from there. */
#pragma once
#include "link/link_table.h"

/* Begins to wait for the connection or the handshake. */
void link_life_arm_handshake(struct turn *t, const struct link_table *lt, struct link *l);
/* The handshake is through: is it whom we want?  Afterwards the link is UP, DRAINING or DOWN. */
void link_life_authenticate(struct turn *t, struct link_table *lt, struct link *l);
/* TLS says that it is over. */
void link_life_on_tls_error(struct turn *t, struct link_table *lt, struct link *l, enum err error);
/* The end, for a reason outside of us: counted by `metric`, logged, messages given back. */
void link_life_fail(struct turn *t, struct link_table *lt, struct link *l, enum err error,
                    enum metric metric, const char *why);
/* The end that we want: what was gathered still leaves, nothing is given back. */
void link_life_close(struct turn *t, struct link_table *lt, struct link *l, enum err error);
