/* SPDX-License-Identifier: Apache-2.0 */
/* ca_update.h - the next overlay configuration document of an overlay that exists: what overlay.xml
 * says, with some of it changed, the next sequence and a new signature by signer.pem, so that
 * running nodes take it (RFC 6940 6.5.4.2, 11.1; CF-2).  Cold: used by a command only. */
#pragma once
#include "cmd/ca.h"
#include "codec/ids.h"

enum { CA_UPDATE_CAP = 16 }; /* of each list */

struct ca_update {
    const char *dir;
    uint64_t now_ms;
    uint32_t sequence; /* CA_UPDATE_NEXT: the one behind overlay.xml's */
    uint64_t days;     /* until it expires */
    /* 0, or none: as before */
    uint32_t max_message_bytes, initial_ttl, update_interval_s, ping_interval_s, replica_min_hosts;
    struct address bootstrap[CA_BOOTSTRAP_CAP];
    size_t bootstrap_count;
    struct overlay_kind added[CA_UPDATE_CAP]; /* private Kinds; one that is there is changed */
    size_t added_count;
    uint32_t dropped[CA_UPDATE_CAP];
    size_t dropped_count;
    struct node_id excluded[CA_UPDATE_CAP]; /* bad-node, beside those of before */
    size_t excluded_count;
    struct ca_domains domains;
    const char *out; /* a file; NULL: overlay.xml itself */
};

enum { CA_UPDATE_NEXT = 0x10000 };

/* `before` and `sequence` get those of overlay.xml and of the new document.  `why` is SAY_WHY_CAP
 * bytes. */
enum err ca_update(const struct ca_update *what, uint16_t *before, uint16_t *sequence,
                   char *why) MUST_USE;
