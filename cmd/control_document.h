/* SPDX-License-Identifier: Apache-2.0 */
/* control_document.h - the overlay document of a running node: judged here, on the control thread,
 * and given to all shards (RFC 6940 6.5.4; catalogue CU-4..CU-6, CF-2..CF-4).
 *
 * It comes from another node, through a shard that waits for the judgement to answer it, or from
 * its file when the operator says `ctl reload` or SIGHUP.  What is taken over is written beside the
 * configured file, as FILE.received, so that a restart begins with the newest.
 *
 * Owner:  the control thread.
 * Limits: one document at a time: no other is judged before all shards have taken the last one;
 *         CONTROL_DOCUMENT_PER_S of other nodes, whatever the shards let through. */
#pragma once
#include "cmd/daemon.h"
#include "cmd/jot.h"
#include "core/bucket.h"
#include "core/io.h"
#include "node/overlay_doc_keep.h"

enum {
    CONTROL_DOCUMENT_PER_S = 4,
    CONTROL_DOCUMENT_AT_ONCE = 8,
    CONTROL_DOCUMENT_FROM_CAP = 560,
};

struct control_document {
    struct daemon *daemon;
    struct overlay_doc_keep keep;
    void *block;
    struct bucket bucket;
    char from[CONTROL_DOCUMENT_FROM_CAP]; /* where the one in force came from, for people */
    bool untold[OVERLAY_SHARDS_CAP];      /* the shard has not been mailed the change yet */
    bool waits[OVERLAY_SHARDS_CAP];       /* ... has not taken it yet */
    bool has_said_expired;
};

enum err control_document_open(struct control_document *cd, struct daemon *d, char *why) MUST_USE;
void control_document_close(struct control_document *cd);
/* A document that a shard has mailed (ADMIN_DOCUMENT): `bytes` begin with the sender's Node-ID.
 * True: this program cannot be a peer any more, and the node should leave (CF-4). */
bool control_document_on_mail(struct control_document *cd, uint32_t shard, struct slice bytes);
/* The shard has taken the change (ADMIN_CONFIG_TAKEN). */
void control_document_on_taken(struct control_document *cd, uint32_t shard);
/* Reads the file anew.  ERR_OK: it is in force now (*must_leave as above).  Else `why`
 * (SAY_WHY_CAP): ERR_STALE when it is what is in force, or older. */
/* Is what stands in its file what is in force already? */
bool control_document_is_in_force(const struct control_document *cd);
enum err control_document_reload(struct control_document *cd, bool *must_leave, char *why) MUST_USE;
/* Mails what could not be mailed; says when the document has expired. */
void control_document_tick(struct control_document *cd);
/* "configuration_sequence", "configuration_from" and what belongs to them. */
void control_document_describe(const struct control_document *cd, struct jot *j);
