/* SPDX-License-Identifier: Apache-2.0 */
/* pace.h - how many TLS handshakes strangers may begin in a second.
 *
 * A handshake costs us two key exchanges and a signature, a hundred times what the ClientHello has
 * cost; caps on how many are open do not bound how many are begun.  So there is a rate for all
 * together, which leaves most of the core to what is up already, and one for an address, so that
 * one of them does not use up all.  Who is refused tries again; who was announced by an Attach (a
 * datagram link) is no stranger and is not counted.
 *
 * Owner:  embedded; for files of link/ and node/.   Time: struct turn.
 * Limits: PACE_HOSTS addresses are told apart, beyond that they share. */
#pragma once
#include "core/bucket.h"
#include "core/turn.h"

enum { PACE_HOSTS = 32, PACE_HOST_BURST_S = 2 };

struct pace_host {
    uint32_t level_milli; /* begun, and not forgotten */
    uint32_t at_ms;
};

struct pace {
    struct bucket all;
    uint32_t per_s, per_host_s; /* 0 = any number */
    uint64_t secret;
    struct pace_host hosts[PACE_HOSTS];
};

void pace_init(struct pace *p, uint32_t per_s, uint32_t per_host_s, uint64_t secret);
/* May `remote` begin one?  If not, that is counted. */
bool pace_take(struct turn *t, struct pace *p, const struct address *remote);
