/* SPDX-License-Identifier: Apache-2.0 */
/* control_tls.h - the certificate for phones while the node runs: read anew at a reload, handed to
 * each shard, watched for its end.
 *
 * Connections that are up keep the one that they began with; a file that is not in order changes
 * nothing.  Owner: the control thread. */
#pragma once
#include "cmd/daemon.h"
#include "cmd/jot.h"

struct control_tls {
    struct daemon *daemon;
    struct tls_boring *waiting[OVERLAY_SHARDS_CAP]; /* not yet mailed */
    uint64_t ends_ms;
    uint64_t warned_ms; /* when that its end is near was said last */
};

void control_tls_open(struct control_tls *c, struct daemon *d);
void control_tls_close(struct control_tls *c);
/* ERR_OK also where no certificate is configured. */
enum err control_tls_reload(struct control_tls *c, char *why) MUST_USE;
void control_tls_tick(struct control_tls *c);
/* "sip_tls_ends_ms":N, */
void control_tls_describe(const struct control_tls *c, struct jot *j);
