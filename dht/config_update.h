/* SPDX-License-Identifier: Apache-2.0 */
/* config_update.h - the overlay configuration document on its way from peer to peer
 * (RFC 6940 6.3.2.1, 6.5.4; catalogue CU-2..CU-4, CU-8, A-10).
 *
 * Who sends a request under an older document gets an error, and then ours, back along the way that
 * the request came: it may not be reachable by its Node-ID.  Who says that ours is newer than its
 * own gets it too.  What comes in is handed to node/, which can judge a document; the answer waits
 * for that.
 *
 * Owner:  one for each overlay.
 * Limits: one ConfigUpdate to a node in CONFIG_UPDATE_PERIOD_US, CONFIG_UPDATE_TOLD nodes
 *         remembered, a few a second in all.  What goes back along the way that a request came
 *         is counted apart, and less of it goes: sequence and way are not signed, so any peer that
 *         has seen a signed request can send it again as an older one, and must not keep ours from
 *         those who really want it.  None when the document does not fit into a message with
 *         everything around it (nodes fetch it from the configuration server then). */
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
};

struct config_update_told {
    struct node_id id;
    bool is_back;
    uint64_t until_us;
};

struct config_update {
    struct transact *transact;
    const struct rl_params *params;
    const struct ident *self;
    bool takes_documents;
    struct slice body; /* ConfigUpdateReq with our document; empty: there is nothing to send */
    size_t room;       /* for a Destination List in a message with it */
    struct bucket bucket;
    struct bucket back; /* for config_update_send_back */
    struct config_update_told told[CONFIG_UPDATE_TOLD];
};

struct config_update_settings {
    struct transact *transact;
    const struct rl_params *params;
    const struct ident *self;
    struct slice document;
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
