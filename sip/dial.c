/* SPDX-License-Identifier: Apache-2.0 */
/* dial.c - see dial.h. */
#include "sip/dial.h"
#include "sip/fork.h"

#define US_PER_S UINT64_C(1000000)
enum { EXPECT_S = 10 };

static struct dial *find(const struct sip *s, const struct node_id *node)
{
    uint32_t index = 0;
    if (!table_find(&s->dial_table, node->bytes, &index)) {
        return NULL;
    }
    return (struct dial *)(void *)(s->dials.objects + (size_t)index * s->dials.object_size);
}

static struct dial *obtain(struct turn *t, struct sip *s, const struct node_id *node)
{
    struct dial *d = find(s, node);
    if (d != NULL) {
        return d;
    }
    d = pool_acquire(&s->dials);
    if (d == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return NULL;
    }
    d->node = *node;
    d->timer.tag = pool_handle(&s->dials, d);
    d->timer.what = DIAL_TIMER;
    enum err e = table_insert(&s->dial_table, node->bytes, handle_index(d->timer.tag));
    CHECK(e == ERR_OK); /* as large as the pool */
    return d;
}

/* It is not being set up any more. */
static void uncount(struct sip *s, struct dial *d)
{
    CHECK(d->source == 0 || s->sources[d->source].dials > 0);
    s->sources[d->source].dials -= d->source != 0 ? 1 : 0;
    d->source = 0;
}

static void forget(struct turn *t, struct sip *s, struct dial *d)
{
    uncount(s, d);
    wheel_cancel(t->wheel, &d->timer);
    CHECK(table_remove(&s->dial_table, d->node.bytes));
    pool_release(&s->dials, d);
}

/* Nothing came of it: the branches that wait are told. */
static void fail(struct turn *t, struct sip *s, struct dial *d, enum err error)
{
    struct node_id node = d->node;
    forget(t, s, d);
    fork_on_dialled(t, s, &node, error);
}

bool dial_find(const struct sip *s, const struct node_id *node, struct flow_ref *out)
{
    for (uint16_t i = 0; i < s->settings.shards; i++) {
        if (i != s->settings.shard && ids_node_is_equal(node, &s->settings.siblings[i])) {
            *out = (struct flow_ref){.kind = FLOW_SIBLING, .shard = i, .node = *node};
            return true;
        }
    }
    const struct dial *d = find(s, node);
    if (d == NULL || d->state != DIAL_UP) {
        return false;
    }
    const struct flow *f = pool_get(&s->flows, d->flow);
    if (f == NULL) {
        return false;
    }
    *out = f->ref;
    return true;
}

enum err dial_want(struct turn *t, struct sip *s, const struct node_id *node, uint16_t source)
{
    bool is_much = source != 0 &&
                   s->sources[source].dials >= s->settings.limits->sip_dials_per_source &&
                   find(s, node) == NULL;
    metric_add(t->metrics, METRIC_sip_refused_share, is_much ? 1 : 0);
    struct dial *d = is_much ? NULL : obtain(t, s, node);
    if (d == NULL) {
        return ERR_LIMIT;
    }
    if (d->state != DIAL_IDLE) {
        CHECK(d->state != DIAL_UP);
        return ERR_PENDING;
    }
    enum err e = overlay_appattach(t, s->overlay, node, OVERLAY_APPLICATION_SIP, d->timer.tag);
    if (e != ERR_OK) {
        forget(t, s, d);
        return e;
    }
    metric_add(t->metrics, METRIC_sip_appattaches, 1);
    d->state = DIAL_ATTACHING;
    d->source = source;
    s->sources[source].dials += source != 0 ? 1 : 0;
    d->begun_us = t->now_us;
    return ERR_PENDING;
}

void dial_on_attached(struct turn *t, struct sip *s, const struct overlay_event *event)
{
    struct dial *d = pool_get(&s->dials, event->tag);
    if (d == NULL || d->state != DIAL_ATTACHING) {
        return; /* the connection was there before the answer */
    }
    if (event->error != ERR_OK) {
        fail(t, s, d, event->error);
        return;
    }
    d->state = DIAL_EXPECTING;
    wheel_arm(t->wheel, &d->timer, t->now_us + EXPECT_S * US_PER_S);
}

void dial_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct dial *d = pool_get(&s->dials, timer->tag);
    if (d != NULL && d->state == DIAL_EXPECTING) {
        fail(t, s, d, ERR_TIMEOUT);
    }
}

/* Is `f`'s opener the one with the higher Node-ID? */
static bool is_preferred(const struct sip *s, const struct flow *f)
{
    bool we_are_higher =
        memcmp(s->settings.self.bytes, f->ref.node.bytes, sizeof(f->ref.node.bytes)) > 0;
    return we_are_higher == f->is_dialled;
}

void dial_on_up(struct turn *t, struct sip *s, const struct flow *f)
{
    struct dial *d = obtain(t, s, &f->ref.node);
    if (d == NULL) {
        return; /* it can be read from all the same */
    }
    wheel_cancel(t->wheel, &d->timer);
    uncount(s, d);
    if (d->state == DIAL_ATTACHING || d->state == DIAL_EXPECTING) {
        s->last_setup.appattach_us = t->now_us - d->begun_us;
    }
    const struct flow *old = d->state == DIAL_UP ? pool_get(&s->flows, d->flow) : NULL;
    if (old == NULL || is_preferred(s, f) || old->is_dialled == f->is_dialled) {
        d->flow = f->ref.flow;
    }
    d->state = DIAL_UP;
    fork_on_dialled(t, s, &f->ref.node, ERR_OK);
}

void dial_on_closed(struct turn *t, struct sip *s, const struct node_id *node, handle flow)
{
    struct dial *d = find(s, node);
    if (d != NULL && d->state == DIAL_UP && d->flow == flow) {
        uint32_t index = 0;
        const struct flow *other = NULL;
        while ((other = pool_next(&s->flows, &index)) != NULL) {
            if (other->ref.kind == SIP_PEER && ids_node_is_equal(&other->ref.node, node)) {
                d->flow = other->ref.flow;
                break;
            }
        }
        if (other == NULL) {
            forget(t, s, d);
        }
    }
    fork_on_flow_closed(t, s, flow);
}
