/* SPDX-License-Identifier: Apache-2.0 */
/* dial.h - SIP connections to other peers by their Node-ID: one for each pair of peers.
 *
 * We ask for one with AppAttach; the answerer dials us (RFC 6940 6.5.2), so what follows is
 * sip_peer_up.  Glare leaves two connections: both are read, the one opened by the higher Node-ID
 * is written to.
 *
 * Owner:  struct sip.  Limits: sip_dials peers, of which sip_dials_per_source are being set up for
 * one source (sip/proxy.h): whom to ask for is said by a GRUU, or by the callee's record, so one
 * account could ask for Node-IDs that there are not; 10 s from AppAttachAns until it is up. */
#pragma once
#include "sip/flow.h"

enum dial_state { DIAL_IDLE, DIAL_ATTACHING, DIAL_EXPECTING, DIAL_UP };

struct dial {
    struct wheel_timer timer;
    struct node_id node;
    handle flow;       /* UP: the one we write to */
    uint64_t begun_us; /* of the AppAttach */
    uint8_t state;
    uint16_t source; /* while it is being set up: counted there; 0: nowhere */
};
STATIC_CHECK(sizeof(struct dial) <= LIMITS_COST_sip_dials);

enum dial_timer { DIAL_TIMER = 100 }; /* `what`; flows use 0 */

/* A way to `node` that can be used at once: ourselves never, siblings always. */
bool dial_find(const struct sip *s, const struct node_id *node, struct flow_ref *out);
/* Sets one up, for `source`.  ERR_PENDING: fork_on_dialled will tell; else it cannot be done now.
 */
enum err dial_want(struct turn *t, struct sip *s, const struct node_id *node,
                   uint16_t source) MUST_USE;
/* From OVERLAY_APPATTACHED. */
void dial_on_attached(struct turn *t, struct sip *s, const struct overlay_event *event);
void dial_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
void dial_on_up(struct turn *t, struct sip *s, const struct flow *f);
/* The connection `flow` to `node` is gone. */
void dial_on_closed(struct turn *t, struct sip *s, const struct node_id *node, handle flow);
