/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/overlay_persist.h"

#include "dht/overlay_impl.h"
#include "dht/store_log.h"
#include "dht/store_restore.h"

bool overlay_persist_next(struct overlay *o, struct overlay_persist_record *out)
{
    return store_log_take(o->store, &out->sequence, &out->steps);
}

bool overlay_persist_is_lost(const struct overlay *o)
{
    return store_log_is_lost(o->store);
}

void overlay_persist_rewrite(struct overlay *o)
{
    store_log_rewrite_begin(o->store);
}

bool overlay_persist_rewrite_step(struct turn *t, struct overlay *o)
{
    return store_log_rewrite(t, o->store);
}

void overlay_persist_note(struct overlay *o, uint8_t key, struct slice value)
{
    CHECK(key != STORE_LOG_CERTIFICATE && key != STORE_LOG_SET && key != STORE_LOG_VALUE);
    store_log_note(o->store, slice_of(&key, 1), value);
}

void overlay_persist_durable(struct turn *t, struct overlay *o, uint64_t sequence, bool is_promised)
{
    replicate_on_durable(t, o->replicate, sequence, is_promised);
}

void overlay_persist_restore(struct turn *t, struct overlay *o, struct slice key,
                             struct slice value)
{
    enum err e = store_restore(t, o->store, key, value);
    (void)e; /* counted, and removed where it came from */
}

void overlay_persist_restored(struct turn *t, struct overlay *o)
{
    store_restore_end(t, o->store);
}

/* Whom this node has dialled on an Attach was allowed then, and is now, unless the node has moved
 * or the file is not what it wrote; whom the configuration names needs no memory. */
bool overlay_persist_bootstrap(struct overlay *o, const struct address *address)
{
    const struct attach_policy_ours ours = {.candidates = o->s.candidates,
                                            .candidate_count = o->s.candidate_count};
    if (!attach_policy_allows(&ours, address)) {
        return false;
    }
    for (size_t i = 0; i < o->s.bootstrap_count; i++) {
        if (address_is_equal(&o->s.bootstrap[i], address)) {
            return false;
        }
    }
    if (o->s.bootstrap_count == OVERLAY_BOOTSTRAP_CAP) {
        return false;
    }
    o->s.bootstrap[o->s.bootstrap_count++] = *address;
    return true;
}

uint32_t overlay_persist_unproved(const struct overlay *o)
{
    return store_restore_left(o->store);
}
