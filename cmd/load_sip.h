/* SPDX-License-Identifier: Apache-2.0 */
/* load_sip.h - OPTIONS, REGISTER and whole calls between built-in phones, at the node under load.
 *
 * A phone keeps no dialog: all that ACK and BYE need stands in the 200 that they follow.  Nothing
 * is sent twice: what is lost counts as lost.  The latency of a call ends with the 200 to its
 * INVITE; it is done when its BYE has been answered.
 *
 * Owner: cmd_load.c; one thread. */
#pragma once
#include "cmd/load_phone.h"

struct load_sip;

/* Opens the phones that the run's mix asks for and registers those that need it. */
enum err load_sip_open(struct load *l, const struct load_target *target, struct load_sip **out,
                       char *why) MUST_USE;
/* Unregisters as far as the node answers, and closes. */
void load_sip_close(struct load_sip *s);
