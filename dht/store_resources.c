/* SPDX-License-Identifier: Apache-2.0 */
/* Sets are found by Resource-ID and Kind together, so all Kinds are tried: there are few, and it is
 * done for a set that comes or goes alone. */
#include "dht/store_resources.h"

/* Another set with values at the same Resource-ID, of several one that counts.  NULL: none. */
static struct store_set *other_of(const struct store *s, const struct store_set *set)
{
    struct store_inside_key key;
    struct store_set *found = NULL;
    memcpy(key.resource, set->resource, sizeof(key.resource));
    for (uint32_t at = 0; kind_next(s->settings.config, &at, &key.kind);) {
        if (key.kind == set->kind) {
            continue;
        }
        struct store_set *other = store_inside_find(s, &key, store_inside_tag(s, &key));
        if (other != NULL && other->is_counted) {
            return other;
        }
        found = other != NULL && other->count > 0 ? other : found;
    }
    return found;
}

void store_resources_filled(struct store *s, struct store_set *set)
{
    if (set->is_counted) {
        return;
    }
    const struct store_set *other = other_of(s, set);
    if (other == NULL || !other->is_counted) {
        set->is_counted = true;
        s->resources++;
    }
}

void store_resources_emptied(struct store *s, struct store_set *set)
{
    if (!set->is_counted) {
        return;
    }
    set->is_counted = false;
    struct store_set *other = other_of(s, set);
    if (other == NULL || other->is_counted) {
        CHECK(s->resources > 0);
        s->resources--;
        return;
    }
    other->is_counted = true;
}
