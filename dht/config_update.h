/* SPDX-License-Identifier: Apache-2.0 */
/* config_update.h - the overlay configuration document on its way from peer to peer
 * (RFC 6940 6.3.2.1, 6.5.4; catalogue CU-2..CU-4, CU-8, A-10).
 *
 * Who sends a request under an older document gets an error, and then ours, back along the way that
 * the request came: it may not be reachable by its Node-ID.  Who says that ours is newer than its
 * own gets it too.  And when ours is replaced while we run, those of the Routing Table get it of
 * our own accord, once, neighbors first, unless they have shown meanwhile that they have it.  What
 * comes in is handed to node/, which can judge a document; the answer waits for that.
 *
 * Owner:  one for each overlay.
 * Limits: out: one ConfigUpdate to a node in CONFIG_UPDATE_PERIOD_US, CONFIG_UPDATE_TOLD nodes
 *         remembered, a few a second in all; CONFIG_UPDATE_SPREAD of our own accord.  What goes
 *         back along the way that a request came is counted apart, and less of it goes: sequence
 *         and way are not signed, so any peer that has seen a signed request can send it again as
 *         an older one, and must not keep ours from those who really want it.  None when the
 * document does not fit into a message with everything around it (nodes fetch it from the
 *         configuration server then).
 *         in: a document like ours costs a comparison; of others one is judged at a time, one of a
 *         node in CONFIG_UPDATE_JUDGE_PERIOD_US, CONFIG_UPDATE_JUDGE_PER_S in all, since XML and a
 *         chain of certificates cost a thousand times what they cost to send. */
#pragma once
#include "core/bucket.h"
#include "dht/overlay.h"
#include "dht/transact.h"

enum {
    CONFIG_UPDATE_PERIOD_US = 15000000,
    CONFIG_UPDATE_PER_S = 4,
    CONFIG_UPDATE_AT_ONCE = 16,
    CONFIG_UPDATE_BACK_PER_S = 2,
    CONFIG_UPDATE_BACK_AT_ONCE = 8,
    /* More than there can be in a period, so that nobody is told twice in one. */
    CONFIG_UPDATE_TOLD = 128,
    CONFIG_UPDATE_SPREAD = 48, /* nodes told of our own accord */
    CONFIG_UPDATE_SPREAD_STEP = 2,
    CONFIG_UPDATE_SPREAD_STEP_US = 100000,
    CONFIG_UPDATE_JUDGE_PERIOD_US = 5000000,
    CONFIG_UPDATE_JUDGE_PER_S = 2,
    CONFIG_UPDATE_JUDGE_AT_ONCE = 4,
    CONFIG_UPDATE_JUDGED = 16,         /* nodes remembered */
    CONFIG_UPDATE_JUDGE_US = 15000000, /* a judgement that has not come by then never will */
    CONFIG_UPDATE_TIMER = 1,           /* `what` of our timer, beside that of dht/parked */
};

struct config_update_told {
    struct node_id id;
    bool is_back;
    uint64_t until_us;
};

struct config_update_judged {
    struct node_id id;
    uint64_t until_us;
};

struct config_update {
    struct transact *transact;
    const struct rl_params *params;
    const struct ident *self;
    const struct chord_table *table;
    bool takes_documents;
    uint8_t *bytes; /* room for the body */
    size_t bytes_cap;
    struct slice body;     /* ConfigUpdateReq with our document; empty: there is nothing to send */
    struct slice document; /* ours as it was last given, in the body where it fits */
    size_t room;           /* for a Destination List in a message with it */
    /* of our own accord */
    struct wheel_timer timer;
    uint32_t spread_left;
    /* in */
    uint64_t judging; /* tag of the document that is being judged, 0 = none */
    uint64_t judging_until_us;
    struct bucket judge;
    struct config_update_judged judged[CONFIG_UPDATE_JUDGED];
    /* out */
    struct bucket bucket;
    struct bucket back;              /* for config_update_send_back */
    struct config_update_told *told; /* CONFIG_UPDATE_TOLD; NULL: there never is a document */
};

struct config_update_settings {
    struct transact *transact;
    const struct rl_params *params;
    const struct ident *self;
    const struct chord_table *table;
    struct slice document; /* copied; also that of config_update_set */
    uint32_t max_message_bytes;
    bool takes_documents; /* else ConfigUpdateReqs are refused, and there is no event */
};

size_t config_update_bytes(const struct config_update_settings *s);
void config_update_init(struct turn *t, struct config_update *cu, struct arena *arena,
                        const struct config_update_settings *s);
/* `m`, proved, came under an older document. */
void config_update_send_back(struct turn *t, struct config_update *cu, const struct message *m);
/* `id` has told us that its document is older. */
void config_update_send(struct turn *t, struct config_update *cu, const struct node_id *id);
/* ConfigUpdateReq.  True: `event` (OVERLAY_CONFIG_RECEIVED) is to be judged, its slice borrows from
 * the message; otherwise it has been answered. */
bool config_update_on_request(struct turn *t, struct config_update *cu, const struct message *m,
                              struct overlay_event *event);
/* It was judged: another one may come. */
void config_update_judged(struct config_update *cu, uint64_t tag);

/* Another document is ours now: those who have not got it get it.  `from` (all zeros: nobody) has
 * it.  `max_message_bytes` is at most what config_update_init was told. */
void config_update_set(struct turn *t, struct config_update *cu, struct slice document,
                       uint32_t max_message_bytes, const struct node_id *from);
/* `id` has shown that its sequence is ours. */
void config_update_note(const struct turn *t, struct config_update *cu, const struct node_id *id);
void config_update_on_timer(struct turn *t, struct config_update *cu);
/* The end of the overlay. */
void config_update_clear(struct turn *t, struct config_update *cu);
