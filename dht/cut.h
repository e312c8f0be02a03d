/* SPDX-License-Identifier: Apache-2.0 */
/* cut.h - a message leaves over a link, cut into fragments where the link carries only so many
 * bytes at once (RFC 6940 6.7; catalogue FR-1..FR-4).
 *
 * A trunk takes any message in one piece.  The datagram link of the next hop may be narrower than
 * the one that the message came by: then it is cut here, fragments in transit too (FR-1). */
#pragma once
#include "codec/ids.h"
#include "core/turn.h"
#include "link/link.h"

/* link_send, in one piece or several.  What cannot be cut (FR-2) goes whole, and IP may fragment
 * it. An error: the message, or the rest of it, is lost. */
HOT enum err cut_send(struct turn *t, struct link_table *links, const struct rl_params *params,
                      handle link, struct slice head, struct slice body) MUST_USE;
