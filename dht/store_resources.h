/* SPDX-License-Identifier: Apache-2.0 */
/* store_resources.h - how many Resource-IDs something is stored at.  Values of several Kinds, as a
 * user's registrations and his certificate, may stand at one, which counts once (RFC 6940
 * 6.4.2.5.1, num_resources).  One of its sets is the one that counts; when that has no value left,
 * another takes its place.
 *
 * Owner: works on a store; no state of its own.  Nobody but the store's own files calls this. */
#pragma once
#include "dht/store_inside.h"

/* A set has got its first value. */
void store_resources_filled(struct store *s, struct store_set *set);
/* It has lost its last one, or goes. */
void store_resources_emptied(struct store *s, struct store_set *set);
