/* SPDX-License-Identifier: Apache-2.0 */
/* location.c - see location.h. */
#include "sip/location.h"
#include "sip/prefs.h"
#include "sip/proxy.h"
#include "sip/registrar.h"
#include "sip/reply.h"

#define US_PER_MS UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)

static struct location *finish(struct location *l, unsigned status, const char *why)
{
    l->is_done = true;
    l->status = (uint16_t)status;
    l->why = why;
    return l;
}

static void key_of(struct turn *t, const struct sip *s, struct slice aor,
                   const struct node_id *node, uint8_t key[MAC_BYTES])
{
    struct mac m;
    mac_begin(&m, &s->keys, MAC_LOCATION);
    mac_piece(t, &m, aor);
    mac_piece(t, &m, node == NULL ? SLICE_EMPTY : slice_of(node->bytes, sizeof(node->bytes)));
    mac_end(t, &m, key);
}

static uint32_t slot_of(const uint8_t key[MAC_BYTES], uint32_t slots)
{
    uint32_t number = 0;
    memcpy(&number, key, sizeof(number));
    return number % slots;
}

/* ---- the two caches */

static bool find_cached(struct turn *t, struct sip *s, struct location *l)
{
    uint8_t key[MAC_BYTES];
    key_of(t, s, location_aor(l, 0), NULL, key);
    const struct location_cached *c = &s->located[slot_of(key, LOCATION_CACHED)];
    if (memcmp(c->key, key, sizeof(key)) != 0 || c->until_us <= t->now_us) {
        return false;
    }
    for (unsigned i = 0; i < c->count; i++) {
        l->targets[i] = (struct location_target){
            .node = c->nodes[i], .q_milli = c->grades[i].q_milli, .steps = c->grades[i].steps};
    }
    l->target_count = c->count;
    l->is_cached = true;
    l->is_fresh = c->until_us - t->now_us > (LOCATION_CACHE_MS - LOCATION_FRESH_MS) * US_PER_MS;
    metric_add(t->metrics, METRIC_sip_location_cached, 1);
    return true;
}

static void remember(struct turn *t, struct sip *s, const struct location *l)
{
    uint8_t key[MAC_BYTES];
    if (l->aor_count != 1 || l->target_count > LOCATION_CACHED_NODES || l->is_filtered) {
        return;
    }
    key_of(t, s, location_aor(l, 0), NULL, key);
    struct location_cached *c = &s->located[slot_of(key, LOCATION_CACHED)];
    memcpy(c->key, key, sizeof(key));
    c->until_us = t->now_us + LOCATION_CACHE_MS * US_PER_MS;
    c->count = l->target_count;
    for (unsigned i = 0; i < c->count; i++) {
        c->nodes[i] = l->targets[i].node;
        c->grades[i] = (struct grade){l->targets[i].q_milli, l->targets[i].steps};
    }
}

static bool find_right(struct turn *t, const struct sip *s, const struct location *l)
{
    uint8_t key[MAC_BYTES];
    key_of(t, s, location_aor(l, 0), &l->speaker, key);
    const struct speak_cached *c = &s->spoken[slot_of(key, LOCATION_RIGHTS)];
    return memcmp(c->key, key, sizeof(key)) == 0 && c->until_us > t->now_us;
}

static void remember_right(struct turn *t, struct sip *s, const struct location *l,
                           uint32_t lifetime_s)
{
    uint8_t key[MAC_BYTES];
    key_of(t, s, location_aor(l, 0), &l->speaker, key);
    struct speak_cached *c = &s->spoken[slot_of(key, LOCATION_RIGHTS)];
    memcpy(c->key, key, sizeof(key));
    c->until_us = t->now_us + min_u64(lifetime_s, LOCATION_RIGHT_S) * US_PER_S;
}

/* ---- asking */

/* Fetches `kind` at the AOR that is on; done (503) when that is not possible. */
static struct location *ask(struct turn *t, struct sip *s, struct location *l, uint32_t kind)
{
    struct overlay_resource resource;
    overlay_resource_of(t, location_aor(l, l->aor_at), &resource);
    enum err e = overlay_fetch(t, s->overlay, &resource, kind, pool_handle(&s->lookups, l));
    return e == ERR_OK ? NULL : finish(l, reply_status_of(e, 0), reply_why_of(e, 0));
}

struct location *location_start(struct turn *t, struct sip *s, struct slice aor,
                                const struct node_id *speaker, bool use_cache, handle owner)
{
    struct location *l = aor.len > SIP_ACCOUNT_USER_CAP ? NULL : pool_acquire(&s->lookups);
    if (l == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return NULL;
    }
    l->owner = owner;
    l->aor_count = 1;
    l->aor_len[0] = (uint8_t)aor.len;
    memcpy(l->aors[0], aor.data, aor.len);
    l->purpose = speaker == NULL ? LOCATION_CALLEE : LOCATION_CALLER;
    if (speaker != NULL) {
        l->speaker = *speaker;
    } else {
        s->last_setup = (struct sip_setup){.at_us = t->now_us};
    }
    if (speaker != NULL ? find_right(t, s, l) : use_cache && find_cached(t, s, l)) {
        return finish(l, 0, NULL);
    }
    (void)ask(t, s, l, OVERLAY_KIND_SIP_REGISTRATION);
    return l;
}

void location_release(struct sip *s, struct location *l)
{
    pool_release(&s->lookups, l);
}

/* ---- answers */

bool location_last_node(const struct sip *s, struct slice list, struct node_id *node)
{
    struct fwd_destination d;
    struct rd r = rd_init(list);
    bool is_node = false;
    while (fwd_next(&r, &s->params, &d)) {
        is_node = fwd_destination_node(&d, &s->params, node) == ERR_OK;
    }
    return rd_ok(&r) && is_node;
}

static void add_target(struct location *l, const struct node_id *node, struct slice prefs)
{
    struct grade grade = grade_read(prefs);
    bool is_mailbox = slice_is_equal(prefs, REGISTRAR_MAILBOX_PREFS);
    for (unsigned i = 0; i < l->target_count; i++) {
        if (ids_node_is_equal(&l->targets[i].node, node) && l->targets[i].aor == l->aor_at) {
            return;
        }
    }
    if (l->target_count < LOCATION_TARGETS) {
        l->targets[l->target_count++] =
            (struct location_target){.node = *node,
                                     .aor = l->aor_at,
                                     .q_milli = is_mailbox ? 0 : grade.q_milli,
                                     .steps = grade.steps,
                                     .is_mailbox = is_mailbox};
        l->is_filtered = l->is_filtered || is_mailbox; /* she may be back in a moment */
    }
}

enum err location_forward_aor(const struct sip *s, struct slice text, char out[SIP_STATE_AOR_CAP],
                              size_t *len)
{
    char uri[SIP_STATE_AOR_CAP];
    bool has_scheme =
        text.len > 4 && slice_is_equal_nocase(slice_sub(text, 0, 4), SLICE_LITERAL("sip:"));
    if (text.len > SIP_ACCOUNT_USER_CAP) {
        return ERR_TOO_LARGE;
    }
    memcpy(uri, "sip:", 4);
    memcpy(uri + 4, text.data, text.len);
    enum err e =
        sip_state_aor_text(s, has_scheme ? text : slice_of(uri, text.len + 4), false, out, len);
    return e == ERR_OK && *len > SIP_ACCOUNT_USER_CAP ? ERR_TOO_LARGE : e;
}

/* Another domain or a name seen before is skipped. */
static void add_aor(const struct sip *s, struct location *l, struct slice text)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    if (l->aor_count == LOCATION_AORS || location_forward_aor(s, text, aor, &len) != ERR_OK) {
        return;
    }
    for (unsigned i = 0; i < l->aor_count; i++) {
        if (slice_is_equal(location_aor(l, i), slice_of(aor, len))) {
            return;
        }
    }
    memcpy(l->aors[l->aor_count], aor, len);
    l->aor_len[l->aor_count] = (uint8_t)len;
    l->aor_count++;
}

/* May a device behind this record be what the caller requires? */
static bool is_wanted(struct sip *s, const struct location *l, struct slice prefs)
{
    struct sip_rx room;
    const struct proxy *p = prefs.len == 0 ? NULL : pool_get(&s->proxies, l->owner);
    if (p == NULL) {
        return true;
    }
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    return prefs_is_possible(rx->m, prefs);
}

static void take_values(struct sip *s, struct location *l, const struct overlay_event *event)
{
    const struct proxy *p = pool_get(&s->proxies, l->owner);
    bool is_kept = p != NULL && p->kept != 0;
    for (size_t i = 0; i < event->value_count; i++) {
        struct msgs_sip_registration value;
        struct node_id node;
        if (msgs_sip_registration_decode(event->values[i].value, &s->params, &value) != ERR_OK) {
            continue; /* RFC 7904 and S11: that record only */
        }
        if (is_kept && (value.type != MSGS_SIP_ROUTE ||
                        slice_is_equal(value.contact_prefs, REGISTRAR_MAILBOX_PREFS))) {
            l->is_filtered = true; /* nor is what is left for others to be found in the cache */
            continue;              /* from one mailbox to the other it would go for ever */
        }
        if (value.type == MSGS_SIP_ROUTE && location_last_node(s, value.destination_list, &node)) {
            if (is_wanted(s, l, value.contact_prefs)) {
                add_target(l, &node, value.contact_prefs);
            } else {
                l->is_filtered = true;
            }
        } else if (value.type == MSGS_SIP_URI) {
            add_aor(s, l, value.uri);
        }
    }
}

static struct location *judge_caller(struct turn *t, struct sip *s, struct location *l,
                                     const struct overlay_event *event)
{
    for (size_t i = 0; i < event->value_count; i++) {
        struct msgs_sip_registration value;
        struct node_id node;
        if (msgs_sip_registration_decode(event->values[i].value, &s->params, &value) == ERR_OK &&
            value.type == MSGS_SIP_ROUTE && location_last_node(s, value.destination_list, &node) &&
            ids_node_is_equal(&node, &l->speaker)) {
            remember_right(t, s, l, event->values[i].lifetime_s);
            return finish(l, 0, NULL);
        }
    }
    return finish(l, 403, LOCATION_UNPROVED);
}

static struct location *next_step(struct turn *t, struct sip *s, struct location *l)
{
    if (l->aor_at + 1u < l->aor_count) {
        l->aor_at++;
        return ask(t, s, l, OVERLAY_KIND_SIP_REGISTRATION);
    }
    if (l->target_count > 0) {
        remember(t, s, l);
        return finish(l, 0, NULL);
    }
    if (l->is_filtered) {
        return finish(l, 480, "No device of the callee is what the caller asks for");
    }
    l->is_known = true;
    l->aor_at = 0;
    return ask(t, s, l, OVERLAY_KIND_CERTIFICATE_BY_USER);
}

struct location *location_on_fetched(struct turn *t, struct sip *s,
                                     const struct overlay_event *event)
{
    struct location *l = pool_get(&s->lookups, event->tag);
    if (l == NULL) {
        return NULL;
    }
    CHECK(!l->is_done);
    bool is_absent = event->error == ERR_NOT_FOUND ||
                     (event->error == ERR_REMOTE && event->reload_error == 3); /* Not_Found */
    if (event->error != ERR_OK && !is_absent) {
        if (l->target_count > 0) {
            return finish(l, 0, NULL); /* a forward did not answer, others did */
        }
        return event->error == ERR_TIMEOUT
                   ? finish(l, 504, "The overlay did not answer")
                   : finish(l, reply_status_of(event->error, event->reload_error),
                            reply_why_of(event->error, event->reload_error));
    }
    if (l->is_known) {
        return event->value_count > 0 && !is_absent
                   ? finish(l, 480, "Known, but not registered anywhere now")
                   : finish(l, 404, "Nobody by that name in this overlay");
    }
    if (l->purpose == LOCATION_CALLER) {
        return judge_caller(t, s, l, event);
    }
    if (!is_absent) {
        take_values(s, l, event);
        s->last_setup.fetch_us = event->elapsed_us;
        s->last_setup.fetch_hops = event->hops;
    }
    return next_step(t, s, l);
}
