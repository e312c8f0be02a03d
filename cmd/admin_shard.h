/* SPDX-License-Identifier: Apache-2.0 */
/* admin_shard.h - the shard's side of admin requests: rows about its node, and overlay operations
 * on behalf of people.
 *
 * Owner: struct daemon_shard; runs on the shard's thread.
 * Limits: ANSWER_CAP operations at once; a request that finds no buffer is not answered (the
 * control thread's deadline tells the client). */
#pragma once
#include "cmd/admin.h"
#include "node/answer.h"

struct admin_pending {
    uint64_t tag; /* of the control thread's request; 0 = free */
    uint64_t begun_us;
    struct admin_request request;
};

struct admin_shard {
    struct node *node;
    const struct ident *self;
    uint16_t index;
    struct rl_params params;
    struct address overlay; /* where it is reached */
    struct address sip;
    bool told_ready;
    bool told_stopped;
    bool has_taken;      /* a document, and has not said so yet */
    struct slice wanted; /* events of that name alone; while rows are written */
    struct admin_pending pending[ANSWER_CAP];
};

/* A mail of the control thread. */
void admin_shard_on_mail(struct turn *t, struct admin_shard *a, const struct io_event *event);
/* End of the turn: answers that are there, and news. */
void admin_shard_flush(struct turn *t, struct admin_shard *a);
