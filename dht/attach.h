/* SPDX-License-Identifier: Apache-2.0 */
/* attach.h - making links: Attach exchanges of ours and of others (RFC 6940 6.5.1; catalogue
 * AT-1..AT-18, No-ICE).
 *
 *   ours:    ASKED --answer--> AWAITING --accepted link is up--> DONE     the answerer dials us
 *   theirs:  DIALLING, one candidate after the other, --link is up or none is left--> DONE
 *
 * The requester is the TLS server (AT-13), so our part after the answer is to wait, and to answer
 * ClientHellos over UDP that come from where the answer said.  A link that is
 * there already ends an exchange at once.
 *
 * Owner:  one for each overlay; what has ended is taken with attach_next.
 * Limits: `exchanges` under way; see attach_policy.h for what others can make us dial. */
#pragma once
#include "dht/attach_policy.h"
#include "dht/transact.h"
#include "link/link.h"

enum attach_why {
    ATTACH_TO_JOIN,  /* to Resource-ID own + 1: who admits us */
    ATTACH_NEIGHBOR, /* named in an Update */
    ATTACH_FINGER,   /* tag: finger number */
    ATTACH_ANSWERED, /* theirs, and they want an Update (AT-16) */
};

struct attach_request {
    enum attach_why why;
    uint64_t tag;
    struct transact_target target;
    struct node_id through; /* AT-17; zeros: nobody */
    handle link;            /* first hop, 0: as routed */
    uint8_t transmissions;  /* 0: five */
    bool is_retry;          /* on the off-chance: yields to an Attach of theirs */
};

struct attach_event {
    enum attach_why why;
    uint64_t tag;
    enum err error;
    struct node_id node_id; /* who is at the other end; the target when that never became known */
    bool is_unmet;          /* ours: they answered that they dial us, and no link came */
};

struct attach_settings {
    uint32_t exchanges;
    const struct rl_params *params;
    const struct ident *self;
    const struct chord_table *table;
    struct link_table *links;
    struct transact *transact;
    struct attach_policy *policy;   /* shared with AppAttach */
    struct attach_policy_ours ours; /* where our overlay listeners are reached, and how */
};

struct attach;

size_t attach_bytes(const struct attach_settings *s);
struct attach *attach_init(struct arena *arena, const struct attach_settings *s);

/* ERR_EXISTS: under way, or it is a peer of ours already; ERR_LIMIT.  To a node that is connected
 * but has sent no Update it asks for one. */
enum err attach_begin(struct turn *t, struct attach *a, const struct attach_request *what) MUST_USE;
uint32_t attach_pending(const struct attach *a, enum attach_why why);
bool attach_next(struct turn *t, struct attach *a, struct attach_event *event);
/* Gives up all exchanges. */
void attach_clear(struct turn *t, struct attach *a);

void attach_on_request(struct turn *t, struct attach *a, const struct message *m);
void attach_on_result(struct turn *t, struct attach *a, const struct transact_result *result);
void attach_on_timer(struct turn *t, struct attach *a, struct wheel_timer *timer);
/* Any link that is up, and one that we dialled with `tag` and that is not. */
void attach_on_link_up(struct turn *t, struct attach *a, const struct node_id *id);
void attach_on_link_failed(struct turn *t, struct attach *a, uint64_t tag, handle link);
