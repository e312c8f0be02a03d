/* SPDX-License-Identifier: Apache-2.0 */
/* load_overlay.h - membership of the load generator in the overlay under load: its document, and
 * credentials that the overlay's own authority issues for the run (users load1@..., for a day).
 *
 * The keystores go to a throw-away folder that is gone when load_overlay_open returns; the
 * authority keeps record of what it issued, as for everybody.
 * Owner: a driver's; one thread. */
#pragma once
#include "cmd/keystore.h"
#include "cmd/load_target.h"
#include "link/tls_boring.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"

enum { LOAD_OVERLAY_MEMBERS_CAP = 256 };

struct load_overlay_member {
    struct keystore keys;
    struct tls_boring *context;
};

struct load_overlay {
    const struct load_target *target;
    struct rl_params params;
    uint8_t initial_ttl;
    uint16_t configuration_sequence;
    struct crypto_trust trust;
    struct load_overlay_member *members;
    uint32_t member_count;
    uint64_t at_ms;
    /* storage */
    struct overlay_schema *schema;
    struct overlay_doc doc;
    struct slice xml;
    void *arena_block;
};

/* `members` credentials of `algorithm` (NONE: the overlay's default). */
enum err load_overlay_open(struct load_overlay *o, const struct load_target *target,
                           uint32_t members, enum crypto_algorithm algorithm, char *why) MUST_USE;
/* One member: whoever the keystore says. */
enum err load_overlay_join(struct load_overlay *o, const struct load_target *target,
                           const char *document, const char *keystore, char *why) MUST_USE;
void load_overlay_close(struct load_overlay *o);
