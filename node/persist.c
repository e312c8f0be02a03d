/* SPDX-License-Identifier: Apache-2.0 */
#include "node/persist.h"
#include "core/buggify.h"

#include "dht/overlay_persist.h"
#include "dht/store_log.h"
#include "node/node_impl.h"

enum {
    RETRY_US = 1000000, /* after the room was full */
    STEP_US = 5000,     /* between two pieces of a rewrite */
    STEPS = 64,         /* sets in a piece */
    TICK_US = 1000000,  /* is the disk late? */
    NOTE_US = 60000000, /* between two notes of neighbors */
    FIRST_NOTE_US = 10000000,
    NEIGHBORS_CAP = 16,
    NEIGHBOR_BYTES = 1 + 16 + 2 + 16, /* family, IP, port, Node-ID */
};

static void arm(struct turn *t, struct persist *p, uint64_t at_us)
{
    if (!wheel_is_armed(&p->timer) || at_us < p->timer.due_us) {
        wheel_arm(t->wheel, &p->timer, at_us);
    }
}

static void tell(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    bool is_promised = p->phase == PERSIST_FOLLOWS && p->news.disk == PERSIST_DISK_WELL &&
                       !p->is_late && p->news.durable >= p->promised;
    if (is_promised != p->is_promised) {
        log_write(t->log, t->now_us, is_promised ? LOG_INFO : LOG_WARNING,
                  is_promised ? "persist_well" : "persist_degraded",
                  "written=%llu durable=%llu behind=%d late=%d failed=%d",
                  (unsigned long long)p->written, (unsigned long long)p->news.durable,
                  p->phase != PERSIST_FOLLOWS, p->is_late, p->news.disk != PERSIST_DISK_WELL);
    }
    p->is_promised = is_promised;
    metric_set(t->metrics, METRIC_persist_degraded, is_promised ? 0 : 1);
    overlay_persist_durable(t, n->overlay, p->news.durable, is_promised);
}

static void fall_behind(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    p->phase = PERSIST_BEHIND;
    p->waits_for = 0;
    p->is_late = false;
    metric_add(t->metrics, METRIC_persist_behind, 1);
    arm(t, p, t->now_us + RETRY_US);
    tell(t, n);
}

void persist_init(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    p->ops = n->settings.persist;
    p->context = n->settings.persist_context;
    p->timer.tag = handle_make(HANDLE_NODE, 2, 0);
    if (p->ops != NULL) {
        tell(t, n);
    }
}

void persist_start(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    if (p->ops != NULL) {
        p->next_note_us = t->now_us + FIRST_NOTE_US;
        arm(t, p, t->now_us + TICK_US);
    }
}

void persist_pump(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    struct overlay_persist_record record;
    if (p->ops == NULL) {
        return;
    }
    while (overlay_persist_next(n->overlay, &record)) {
        if (p->phase == PERSIST_BEHIND) {
            continue; /* what it says will be told again */
        }
        if (buggify(t, BUGGIFY_disk_full) ||
            !p->ops->write(p->context, record.sequence, record.steps)) {
            fall_behind(t, n);
            continue;
        }
        metric_add(t->metrics, METRIC_persist_written, 1);
        p->written = record.sequence;
        p->has_written = true;
        if (p->waits_for == 0) {
            p->waits_for = record.sequence;
            p->waits_since_us = t->now_us;
        }
    }
    if (p->phase != PERSIST_BEHIND && overlay_persist_is_lost(n->overlay)) {
        fall_behind(t, n);
    }
}

void persist_flush(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    persist_pump(t, n);
    if (p->has_written) {
        p->has_written = false;
        p->ops->flush(p->context);
    }
}

/* neighbors */

/* Those whom we have dialled, or those who have dialled us: they came from a port where nobody
 * listens, and where they say that they do is unproved, so they get what places are left. */
static void wr_neighbors(const struct node *n, bool is_dialled, struct wr *w)
{
    struct link_info l;
    uint32_t index = 0;
    while (link_walk(n->links, &index, &l) && wr_left(w) >= NEIGHBOR_BYTES) {
        const struct address *at = is_dialled ? &l.remote : &l.listens;
        if (l.is_up && !l.is_local && l.is_dialled == is_dialled && at->port != 0) {
            wr_u8(w, at->family);
            wr_bytes(w, slice_of(at->ip, sizeof(at->ip)));
            wr_u16(w, at->port);
            wr_bytes(w, slice_of(l.node_id.bytes, IDS_RING_BYTES));
        }
    }
}

static void note_neighbors(struct turn *t, struct node *n)
{
    uint8_t bytes[NEIGHBORS_CAP * NEIGHBOR_BYTES];
    struct wr w = wr_init(bytes, sizeof(bytes));
    (void)t;
    wr_neighbors(n, true, &w);
    wr_neighbors(n, false, &w);
    if (wr_len(&w) > 0) { /* alone: those of before are as good as any */
        overlay_persist_note(n->overlay, STORE_LOG_NEIGHBORS, wr_slice(&w));
    }
}

static void restore_neighbors(struct node *n, struct slice value)
{
    struct rd r = rd_init(value);
    while (rd_left(&r) >= NEIGHBOR_BYTES) {
        struct address a = {.family = rd_u8(&r)};
        struct slice ip = rd_bytes(&r, sizeof(a.ip));
        a.port = rd_u16(&r);
        (void)rd_bytes(&r, IDS_RING_BYTES); /* for people: who is there now proves it by itself */
        if (rd_ok(&r) && (a.family == 4 || a.family == 6) && a.port != 0) {
            memcpy(a.ip, ip.data, sizeof(a.ip));
            (void)overlay_persist_bootstrap(n->overlay, &a);
        }
    }
}

/* time passes */

static void rewrite(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    bool goes_on = true;
    for (uint32_t i = 0;
         goes_on && i < STEPS && p->phase == PERSIST_REWRITES && p->ops->has_room(p->context);
         i++) {
        goes_on = overlay_persist_rewrite_step(t, n->overlay);
        persist_pump(t, n);
    }
    if (p->phase == PERSIST_REWRITES && !goes_on) {
        p->phase = PERSIST_FOLLOWS;
        p->promised = p->written;
        p->next_note_us = t->now_us;
        tell(t, n);
    }
}

static void try_again(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    if (p->news.disk == PERSIST_DISK_FAILED || !p->ops->has_room(p->context)) {
        arm(t, p, t->now_us + RETRY_US);
        return;
    }
    p->news.disk = PERSIST_DISK_WELL; /* as far as we know; else it says so */
    p->phase = PERSIST_REWRITES;
    metric_add(t->metrics, METRIC_persist_rewrites, 1);
    overlay_persist_rewrite(n->overlay);
    persist_pump(t, n);
}

static void look_for_lateness(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    uint64_t patience_us = (uint64_t)n->settings.limits->persist_patience_ms * 1000;
    bool is_late = p->waits_for != 0 && t->now_us - p->waits_since_us >= patience_us;
    is_late = is_late || (p->waits_for != 0 && buggify(t, BUGGIFY_disk_late));
    if (is_late && !p->is_late) {
        p->is_late = true;
        metric_add(t->metrics, METRIC_persist_late, 1);
        tell(t, n);
    }
}

void persist_on_timer(struct turn *t, struct node *n)
{
    struct persist *p = &n->persist;
    if (p->phase == PERSIST_BEHIND) {
        try_again(t, n);
    }
    if (p->phase == PERSIST_REWRITES) {
        rewrite(t, n);
    }
    look_for_lateness(t, n);
    if (p->phase == PERSIST_FOLLOWS && p->next_note_us <= t->now_us) {
        p->next_note_us = t->now_us + NOTE_US;
        note_neighbors(t, n);
        persist_pump(t, n);
    }
    arm(t, p, t->now_us + (p->phase == PERSIST_REWRITES ? STEP_US : TICK_US));
}

void persist_on_news(struct turn *t, struct node *n, const struct persist_news *news)
{
    struct persist *p = &n->persist;
    if (p->ops == NULL) {
        return;
    }
    bool has_failed = news->failures != p->news.failures;
    uint64_t durable = max_u64(news->durable, p->news.durable);
    p->news = *news;
    p->news.durable = durable;
    if (p->waits_for != 0 && durable >= p->waits_for) {
        p->waits_for = durable < p->written ? p->written : 0;
        p->waits_since_us = t->now_us;
        p->is_late = false;
    }
    if (has_failed && p->phase != PERSIST_BEHIND) {
        fall_behind(t, n);
    }
    if (p->phase == PERSIST_BEHIND && news->disk == PERSIST_DISK_AGAIN) {
        arm(t, p, t->now_us + 1000);
    }
    tell(t, n);
}

/* back from an earlier life */

void persist_restore(struct turn *t, struct node *n, struct slice key, struct slice value)
{
    if (key.len == 1 && key.data[0] == STORE_LOG_NEIGHBORS) {
        restore_neighbors(n, value);
        return;
    }
    overlay_persist_restore(t, n->overlay, key, value);
    persist_pump(t, n);
}

void persist_restored(struct turn *t, struct node *n)
{
    overlay_persist_restored(t, n->overlay);
    persist_flush(t, n);
}

void persist_status(const struct node *n, struct persist_status *out)
{
    const struct persist *p = &n->persist;
    *out = (struct persist_status){
        .is_kept = p->ops != NULL,
        .is_promised = p->is_promised,
        .is_behind = p->phase != PERSIST_FOLLOWS,
        .written = p->written,
        .durable = p->news.durable,
        .unproved = overlay_persist_unproved(n->overlay),
    };
}
