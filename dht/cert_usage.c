/* SPDX-License-Identifier: Apache-2.0 */
/* cert_usage.c - a row of items, each with the time when it is due; one at a time is worked on:
 *
 *   due -> Fetch -> (is our certificate there? at which index?) -> Store -> due again, later
 *                       (there, and only looked for) -----------------^
 *
 * The Fetch is made each time, since an index learnt earlier may be somebody else's by now.
 *
 * Several peers of one user append to one array.  While a ring is being formed, or its parts are
 * apart, they may do so at two owners, who give out the same index; where these meet, one element
 * is lost.  So what has been stored is not settled yet: it is looked for LOOKS times, and appended
 * anew where it is gone.  The waits grow, since the parts may meet after any time, and nothing
 * tells every publisher: in the larger part most keep their neighbors, and a look at each change of
 * these would cost a Fetch for each death near by.  What was lost is back no later than at some
 * five times the age that it had when the parts met (refreshing alone: at 40 % of its lifetime), at
 * the price of LOOKS Fetches for each start and each element appended.  The array of a Node-ID has
 * one writer, and needs no looks. */
#include "dht/cert_usage.h"

#include "dht/access.h"
#include "dht/budget.h"

enum { NO_ITEM = UINT32_MAX, BACKOFF_DOUBLINGS = 4, REFRESH_PERCENT = 40 };
enum { LOOKS = 4, LOOK_FACTOR = 4 }; /* after 30 s, 2, 8 and 32 minutes */

struct item {
    const struct ident *ident;
    uint32_t kind;
    struct overlay_resource resource;
    uint64_t due_us;     /* UINT64_MAX: never (certificate over) */
    uint64_t refresh_us; /* once published: until then it is only looked for */
    uint32_t failures;
    uint32_t looks; /* made of LOOKS; so many: settled */
    bool is_published;
};

struct cert_usage {
    struct cert_usage_settings s;
    struct wheel_timer timer;
    struct item *items;
    uint32_t item_count;
    uint32_t current; /* item that is worked on, or NO_ITEM */
    uint32_t round;   /* goes into tags, so that an answer from before a stop is not taken */
    bool is_running;
    bool is_storing;
};

size_t cert_usage_bytes(const struct cert_usage_settings *s)
{
    return sizeof(struct cert_usage) + 2 * s->publish_count * sizeof(struct item) + BUDGET_SLACK;
}

static void init_item(struct turn *t, struct item *item, const struct ident *ident, uint32_t kind,
                      struct slice name)
{
    item->ident = ident;
    item->kind = kind;
    access_hash(t, name, item->resource.bytes);
}

struct cert_usage *cert_usage_init(struct turn *t, struct arena *arena,
                                   const struct cert_usage_settings *s)
{
    struct cert_usage *cu = ARENA_ARRAY(arena, struct cert_usage, 1);
    cu->s = *s;
    cu->items = ARENA_ARRAY(arena, struct item, 2 * s->publish_count);
    cu->current = NO_ITEM;
    cu->timer.tag = handle_make(HANDLE_STORE, 0, 0);
    cu->timer.what = STORE_TIMER_CERT_USAGE;
    for (size_t i = 0; i < s->publish_count; i++) {
        const struct ident *who = s->publish[i];
        init_item(t, &cu->items[cu->item_count++], who, OVERLAY_KIND_CERTIFICATE_BY_NODE,
                  ids_node_slice(&who->node_id, s->params));
        if (who->user_len > 0) {
            init_item(t, &cu->items[cu->item_count++], who, OVERLAY_KIND_CERTIFICATE_BY_USER,
                      slice_of(who->user, who->user_len));
        }
    }
    return cu;
}

/* Next when the first item is due, yet not sooner than the pace allows. */
static void rearm(struct turn *t, struct cert_usage *cu)
{
    uint64_t due_us = UINT64_MAX;
    for (uint32_t i = 0; i < cu->item_count; i++) {
        due_us = min_u64(due_us, cu->items[i].due_us);
    }
    if (cu->is_running && due_us != UINT64_MAX) {
        uint64_t pace_us = rng_jitter(t->rng, CERT_USAGE_PACE_MS * 1000, 20);
        wheel_arm(t->wheel, &cu->timer, max_u64(due_us, t->now_us + pace_us));
    }
}

static void unsettle(struct item *item)
{
    item->looks = item->kind == OVERLAY_KIND_CERTIFICATE_BY_USER ? 0 : LOOKS;
}

/* A look, as long as there are any to be made, but the refresh waits for none. */
static void plan(struct turn *t, struct item *item)
{
    uint64_t wait_us = (uint64_t)CERT_USAGE_LOOK_S * 1000000;
    for (uint32_t i = 0; i < item->looks; i++) {
        wait_us *= LOOK_FACTOR;
    }
    item->due_us = item->refresh_us;
    if (item->looks < LOOKS) {
        item->due_us = min_u64(t->now_us + rng_jitter(t->rng, wait_us, 20), item->refresh_us);
    }
}

/* It stands there as far as we know, and need not be stored anew yet. */
static bool is_fresh(const struct turn *t, const struct item *item)
{
    return item->is_published && t->now_us < item->refresh_us;
}

static uint64_t tag_of(const struct cert_usage *cu)
{
    return (uint64_t)cu->round << 32 | cu->current;
}

void cert_usage_start(struct turn *t, struct cert_usage *cu)
{
    cu->is_running = true;
    cu->current = NO_ITEM;
    cu->round++;
    for (uint32_t i = 0; i < cu->item_count; i++) {
        cu->items[i].due_us = t->now_us;
        cu->items[i].failures = 0;
        cu->items[i].is_published = false;
        cu->items[i].refresh_us = 0;
        unsettle(&cu->items[i]);
    }
    rearm(t, cu);
}

void cert_usage_stop(struct turn *t, struct cert_usage *cu)
{
    cu->is_running = false;
    cu->current = NO_ITEM;
    cu->round++;
    wheel_cancel(t->wheel, &cu->timer);
}

static void failed(struct turn *t, struct cert_usage *cu)
{
    struct item *item = &cu->items[cu->current];
    uint32_t doublings = item->failures < BACKOFF_DOUBLINGS ? item->failures : BACKOFF_DOUBLINGS;
    uint64_t wait_us = ((uint64_t)CERT_USAGE_RETRY_S * 1000000) << doublings;
    item->failures++;
    item->due_us = t->now_us + rng_jitter(t->rng, wait_us, 20);
    if (is_fresh(t, item)) { /* a look, which tells nothing of what is stored */
        item->due_us = min_u64(item->due_us, item->refresh_us);
    } else {
        item->is_published = false;
    }
    cu->current = NO_ITEM;
    rearm(t, cu);
}

/* The period of the certificate bounds the lifetime; 0: it is over. */
static uint32_t lifetime_s(const struct turn *t, const struct item *item)
{
    uint64_t end_ms = item->ident->not_after_ms;
    uint64_t left_s = end_ms > t->wall_ms ? (end_ms - t->wall_ms) / 1000 : 0;
    return (uint32_t)min_u64(left_s, CERT_USAGE_LIFETIME_S);
}

static void begin(struct turn *t, struct cert_usage *cu)
{
    struct item *item = &cu->items[cu->current];
    if (lifetime_s(t, item) == 0) {
        item->due_us = UINT64_MAX;
        item->is_published = false;
        cu->current = NO_ITEM;
        rearm(t, cu);
        return;
    }
    cu->is_storing = false;
    if (store_client_find(t, cu->s.client, &item->resource, item->kind, item->ident, tag_of(cu)) !=
        ERR_OK) {
        failed(t, cu);
    }
}

void cert_usage_on_timer(struct turn *t, struct cert_usage *cu, struct wheel_timer *timer)
{
    CHECK(timer == &cu->timer);
    if (!cu->is_running || cu->current != NO_ITEM) {
        return;
    }
    for (uint32_t i = 0; i < cu->item_count; i++) {
        bool is_sooner =
            cu->current == NO_ITEM || cu->items[i].due_us < cu->items[cu->current].due_us;
        if (cu->items[i].due_us <= t->now_us && is_sooner) {
            cu->current = i;
        }
    }
    if (cu->current == NO_ITEM) {
        rearm(t, cu);
        return;
    }
    begin(t, cu);
}

static void step_on(struct item *item)
{
    item->looks = item->looks < LOOKS ? item->looks + 1 : LOOKS;
}

/* Looked for, and there. */
static void seen(struct turn *t, struct cert_usage *cu)
{
    struct item *item = &cu->items[cu->current];
    item->failures = 0;
    step_on(item);
    plan(t, item);
    cu->current = NO_ITEM;
    rearm(t, cu);
}

/* It will be appended.  Looks are not begun afresh when a look has found it gone: an owner who says
 * so each time gets LOOKS Stores more than one who keeps what he is given. */
static void note_absent(struct turn *t, struct item *item)
{
    metric_add(t->metrics, METRIC_certificates_gone, is_fresh(t, item) ? 1 : 0);
    item->is_published = false;
    if (t->now_us < item->refresh_us) {
        step_on(item);
    } else {
        unsettle(item);
    }
}

static void store(struct turn *t, struct cert_usage *cu, uint32_t index)
{
    const struct item *item = &cu->items[cu->current];
    const struct overlay_store what = {.resource = item->resource,
                                       .kind = item->kind,
                                       .signer = item->ident,
                                       .index = index,
                                       .exists = true,
                                       .value = item->ident->certificate,
                                       .lifetime_s = lifetime_s(t, item)};
    cu->is_storing = true;
    if (what.lifetime_s == 0 ||
        store_client_store(t, cu->s.client, &what, STORE_CLIENT_CERT_USAGE, tag_of(cu)) != ERR_OK) {
        failed(t, cu);
    }
}

static void fetched(struct turn *t, struct cert_usage *cu, const struct store_client_done *done)
{
    struct item *item = &cu->items[cu->current];
    for (size_t i = 0; i < done->value_count; i++) {
        if (!slice_is_equal(done->values[i].value, item->ident->certificate)) {
            continue;
        }
        if (is_fresh(t, item)) {
            seen(t, cu);
        } else {
            store(t, cu, done->values[i].index);
        }
        return;
    }
    note_absent(t, item);
    store(t, cu, STORED_INDEX_APPEND);
}

static void stored(struct turn *t, struct cert_usage *cu)
{
    struct item *item = &cu->items[cu->current];
    uint64_t refresh_us = (uint64_t)lifetime_s(t, item) * 1000000 * REFRESH_PERCENT / 100;
    item->is_published = true;
    item->failures = 0;
    item->refresh_us = t->now_us + max_u64(rng_jitter(t->rng, refresh_us, 20), 1000000);
    plan(t, item);
    cu->current = NO_ITEM;
    metric_add(t->metrics, METRIC_certificates_published, 1);
    rearm(t, cu);
}

void cert_usage_on_done(struct turn *t, struct cert_usage *cu, const struct store_client_done *done)
{
    if (cu->current == NO_ITEM || done->tag != tag_of(cu)) {
        return; /* from before a stop */
    }
    CHECK(done->is_fetch != cu->is_storing);
    if (done->error != ERR_OK) {
        failed(t, cu);
    } else if (cu->is_storing) {
        stored(t, cu);
    } else {
        fetched(t, cu, done);
    }
}

size_t cert_usage_published(const struct cert_usage *cu)
{
    size_t count = 0;
    for (uint32_t i = 0; i < cu->item_count; i++) {
        count += cu->items[i].is_published ? 1 : 0;
    }
    return count;
}
