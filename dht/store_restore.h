/* SPDX-License-Identifier: Apache-2.0 */
/* store_restore.h - what dht/store_log has told in an earlier life comes back.
 *
 * A key and its value are taken as they are, in the order of the keys, before the node starts: that
 * costs a copy each.  Nobody believes them yet: a value that came so is *unproved*, is shown to
 * nobody, and is judged as if it had just been stored (form, size, signature, certificate, policy,
 * lifetime) when somebody asks for its set, or else in the background.  What fails is dropped, and
 * whoever keeps it is told so.
 *
 * What holds before and after: the generation counter of a set and the storage_time of its values,
 * so that no older value takes the place of a newer one (ST-6, ST-8).
 *
 * Owner:  works on a store; no state of its own.
 * Limits: those of the store; the budget of signatures is dht/sign's. */
#pragma once
#include "dht/store.h"

/* ERR_EXPIRED, ERR_MALFORMED, ERR_REMOTE (Kind not known any more), ERR_LIMIT: it was not taken,
 * and will be removed where it came from. */
enum err store_restore(struct turn *t, struct store *s, struct slice key,
                       struct slice value) MUST_USE;
/* That was all: certificates that nothing needs go. */
void store_restore_end(struct turn *t, struct store *s);

/* Judges what is unproved of a set.  False: not all of it, the budget is spent. */
bool store_restore_prove(struct turn *t, struct store *s, struct store_set *set);
/* The same for the sets that a FetchReq or StatReq asks for. */
bool store_restore_prove_asked(struct turn *t, struct store *s, struct slice body);
/* The next set that needs it.  False: none is left, or the budget is spent. */
bool store_restore_step(struct turn *t, struct store *s);
/* Values that are unproved. */
uint32_t store_restore_left(const struct store *s);
