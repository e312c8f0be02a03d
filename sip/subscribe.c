/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.c - see subscribe.h. */
#include "sip/subscribe.h"
#include "core/hash.h"
#include "sip/dial.h"
#include "sip/presence.h"
#include "sip/refusal.h"
#include "sip/regevent.h"
#include "sip/registrar.h"
#include "sip/relay.h"
#include "sip/winfo.h"

#define US_PER_S UINT64_C(1000000)
#define US_PER_MS UINT64_C(1000)

static const struct {
    struct slice name, type;
} packages[] = {
    [SUBSCRIBE_PRESENCE] = {{(const uint8_t *)"presence", 8},
                            {(const uint8_t *)"application/pidf+xml", 20}},
    [SUBSCRIBE_REG] = {{(const uint8_t *)"reg", 3},
                       {(const uint8_t *)"application/reginfo+xml", 23}},
    [SUBSCRIBE_WINFO] = {{(const uint8_t *)"presence.winfo", 14},
                         {(const uint8_t *)"application/watcherinfo+xml", 27}},
};

/* ---- table */

size_t subscribe_bytes(const struct limits *l)
{
    size_t slots = 16;
    while (slots * 3 < (size_t)l->sip_subscriptions * 4 + 4) {
        slots *= 2;
    }
    return (size_t)l->sip_subscriptions * (sizeof(struct subscription) + 24) +
           2 * slots * (16 + sizeof(uint32_t)) + SUBSCRIBE_DOCUMENT_CAP +
           SUBSCRIBE_SOURCES * sizeof(uint32_t) + 4 * 4096;
}

void subscribe_init(struct turn *t, struct sip *s, struct arena *arena)
{
    uint32_t cap = s->settings.limits->sip_subscriptions;
    pool_init(&s->subscriptions, arena, "sip_subscriptions", HANDLE_SIP_EVENT, cap,
              sizeof(struct subscription));
    table_init(&s->subscription_table, arena, cap, 16, rng_next(t->rng));
    s->watchers = ARENA_ARRAY(arena, uint32_t, SUBSCRIBE_SOURCES);
    s->document = ARENA_ARRAY(arena, uint8_t, SUBSCRIBE_DOCUMENT_CAP);
}

struct slice subscribe_text(const struct subscription *x, enum subscribe_text which)
{
    size_t at = 0;
    for (unsigned i = 0; i < (unsigned)which; i++) {
        at += x->len[i];
    }
    return slice_of(x->text + at, x->len[which]);
}

/* A dialog by what both sides have given it; our tag is compared apart. */
static void key_of(struct turn *t, const struct sip *s, const struct sip_rx *rx, uint8_t key[16])
{
    struct mac m;
    mac_begin(&m, &s->keys, MAC_TAG);
    mac_piece(t, &m, SLICE_LITERAL("subscription"));
    mac_piece(t, &m, rx->core.call_id);
    mac_piece(t, &m, rx->core.from.tag);
    mac_end(t, &m, key);
}

static struct subscription *find(const struct sip *s, const uint8_t key[16])
{
    uint32_t index = 0;
    return table_find(&s->subscription_table, key, &index) ? pool_at(&s->subscriptions, index)
                                                           : NULL;
}

static void drop(struct turn *t, struct sip *s, struct subscription *gone)
{
    handle h = pool_handle(&s->subscriptions, gone),
           *link = &s->accounts[gone->account].subscriptions;
    while (*link != h) {
        struct subscription *x = pool_get(&s->subscriptions, *link);
        CHECK(x != NULL);
        link = &x->next;
    }
    *link = gone->next;
    wheel_cancel(t->wheel, &gone->expiry);
    wheel_cancel(t->wheel, &gone->notify);
    CHECK(table_remove(&s->subscription_table, gone->key));
    CHECK(s->watchers[gone->source] > 0);
    s->watchers[gone->source]--;
    uint32_t account = gone->account;
    bool is_watcher = gone->event == SUBSCRIBE_PRESENCE;
    pool_release(&s->subscriptions, gone);
    if (is_watcher) {
        subscribe_changed(t, s, account, SUBSCRIBE_WINFO);
    }
    metric_set(t->metrics, METRIC_sip_subscriptions, s->subscriptions.in_use);
}

/* ---- NOTIFY */

static void write_route(struct sip_writer *w, const struct subscription *x)
{
    struct slice routes = subscribe_text(x, SUBSCRIBE_ROUTES);
    if (routes.len > 0) {
        sip_write_header(w, SIP_HDR_ROUTE, routes);
    }
}

/* Where we are reached by that side: for a Contact. */
static void write_self(const struct sip *s, struct sip_writer *w, const struct flow_ref *side,
                       bool is_sips)
{
    sip_write_text(w, is_sips ? "<sips:" : "<sip:");
    sip_write_text(w, sip_state_host(s, side));
    sip_write_text(w, hop_transport(side, is_sips));
    sip_write_text(w, ">");
}

static void write_state(struct turn *t, const struct subscription *x, struct sip_writer *w)
{
    sip_write_header_begin(w, SIP_HDR_SUBSCRIPTION_STATE);
    if (x->is_ending) {
        sip_write_text(w, "terminated;reason=timeout");
    } else {
        /* a late turn: its timer runs after this one */
        uint64_t left_us = x->expires_us > t->now_us ? x->expires_us - t->now_us : 0;
        sip_write_text(w, "active;expires=");
        sip_write_u32(w, (uint32_t)((left_us + US_PER_S - 1) / US_PER_S));
    }
    sip_write_header_end(w);
}

static struct msgbuf *write_notify(struct turn *t, struct sip *s, struct subscription *x,
                                   const char *branch)
{
    struct sip_writer w;
    struct slice text, document;
    char via[RELAY_VIA_CAP];
    enum err e =
        x->event == SUBSCRIBE_PRESENCE
            ? presence_write(t, s, x->account, s->document, SUBSCRIBE_DOCUMENT_CAP, &document)
        : x->event == SUBSCRIBE_REG ? regevent_write(t, s, x->account, x->version, s->document,
                                                     SUBSCRIBE_DOCUMENT_CAP, &document)
                                    : winfo_write(t, s, x->account, x->version, s->document,
                                                  SUBSCRIBE_DOCUMENT_CAP, &document);
    if (e != ERR_OK) {
        return NULL;
    }
    sip_write_init(&w, s->scratch, sizeof(s->scratch));
    sip_write_request_line(&w, SLICE_LITERAL("NOTIFY"), subscribe_text(x, SUBSCRIBE_TARGET));
    sip_write_header(&w, SIP_HDR_VIA, relay_via(s, &x->to, branch, via));
    sip_write_header_u32(&w, SIP_HDR_MAX_FORWARDS, 70);
    write_route(&w, x);
    sip_write_header(&w, SIP_HDR_FROM, subscribe_text(x, SUBSCRIBE_LOCAL));
    sip_write_header(&w, SIP_HDR_TO, subscribe_text(x, SUBSCRIBE_REMOTE));
    sip_write_header(&w, SIP_HDR_CALL_ID, subscribe_text(x, SUBSCRIBE_CALL_ID));
    sip_write_header_begin(&w, SIP_HDR_CSEQ);
    sip_write_u32(&w, x->cseq);
    sip_write_text(&w, " NOTIFY");
    sip_write_header_end(&w);
    sip_write_header_begin(&w, SIP_HDR_CONTACT);
    write_self(s, &w, &x->to, x->is_sips);
    sip_write_header_end(&w);
    sip_write_header_begin(&w, SIP_HDR_EVENT);
    sip_write_slice(&w, packages[x->event].name);
    struct slice id = subscribe_text(x, SUBSCRIBE_EVENT_ID);
    sip_write_text(&w, id.len > 0 ? ";id=" : "");
    sip_write_slice(&w, id);
    sip_write_header_end(&w);
    write_state(t, x, &w);
    sip_write_body(&w, packages[x->event].type, document);
    return sip_write_finish(&w, &text) == ERR_OK ? sip_state_buffer(t, text) : NULL;
}

/* It cannot be told: the subscription is over (the watcher subscribes again). */
static void give_up(struct turn *t, struct sip *s, struct subscription *x)
{
    metric_add(t->metrics, METRIC_sip_notifies_failed, 1);
    drop(t, s, x);
}

static void send_now(struct turn *t, struct sip *s, struct subscription *x)
{
    static const uint8_t no_loop[TX_LOOP_BYTES];
    char branch[TX_BRANCH_CAP];
    enum err error = ERR_OK;
    struct flow_ref to = x->to;
    if (flow_is_peer(&to) && !dial_find(s, &x->to.node, &to)) {
        x->is_dialing = dial_want(t, s, &x->to.node, 0) == ERR_PENDING;
        if (!x->is_dialing) {
            give_up(t, s, x);
        }
        return;
    }
    x->to = to;
    x->cseq++;
    tx_branch_make(t, s, no_loop, branch);
    struct msgbuf *request = write_notify(t, s, x, branch);
    struct tx *tx = request == NULL
                        ? NULL
                        : tx_client_start(t, s, SIP_METHOD_NOTIFY, &x->to, branch, request, &error);
    if (request != NULL) {
        msgbuf_release(t->buffers, request);
    }
    if (tx == NULL) {
        give_up(t, s, x);
        return;
    }
    s->requests_out++;
    metric_add(t->metrics, METRIC_sip_requests_out, 1);
    metric_add(t->metrics, METRIC_sip_notifies, 1);
    tx->user = pool_handle(&s->subscriptions, x);
    x->tx = tx_handle(s, tx);
    x->version++;
    x->is_dirty = false;
    x->notified_us = t->now_us;
}

/* Something to tell: at once, or when the last one is answered and a while ago. */
static void tell(struct turn *t, struct sip *s, struct subscription *x, bool is_urgent)
{
    (void)s;
    x->is_dirty = true;
    if (x->tx != 0 || x->is_dialing) {
        return;
    }
    uint64_t due = x->notified_us == 0 || is_urgent
                       ? t->now_us
                       : x->notified_us + SUBSCRIBE_PACE_MS * US_PER_MS;
    wheel_arm(t->wheel, &x->notify, due > t->now_us ? due : t->now_us);
}

void subscribe_changed(struct turn *t, struct sip *s, uint32_t account, unsigned events)
{
    struct subscription *x = NULL;
    for (handle h = s->accounts[account].subscriptions;
         (x = pool_get(&s->subscriptions, h)) != NULL; h = x->next) {
        if ((x->event & events) != 0 && !x->is_ending) {
            tell(t, s, x, false);
        }
    }
}

void subscribe_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct subscription *x = pool_get(&s->subscriptions, timer->tag);
    CHECK(x != NULL); /* cancelled with it */
    if (timer->what == SUBSCRIBE_TIMER_EXPIRY) {
        x->is_ending = true; /* 4.2.1.4: the watcher is told */
        tell(t, s, x, true);
    } else if (x->is_dirty && x->tx == 0 && !x->is_dialing) {
        send_now(t, s, x);
    }
}

void subscribe_on_answer(struct turn *t, struct sip *s, handle subscription, unsigned status)
{
    struct subscription *x = pool_get(&s->subscriptions, subscription);
    if (x == NULL) {
        return;
    }
    x->tx = 0;
    if (status < 200 || status >= 300) {
        give_up(t, s, x);
    } else if (x->is_ending && !x->is_dirty) {
        drop(t, s, x);
    } else if (x->is_dirty) {
        tell(t, s, x, x->is_ending);
    }
}

void subscribe_on_dialled(struct turn *t, struct sip *s, const struct node_id *node, enum err error)
{
    uint32_t index = 0;
    struct subscription *x = NULL;
    while ((x = pool_next(&s->subscriptions, &index)) != NULL) {
        if (!x->is_dialing || !ids_node_is_equal(&x->to.node, node)) {
            continue;
        }
        x->is_dialing = false;
        if (error != ERR_OK) {
            give_up(t, s, x);
        } else {
            tell(t, s, x, true);
        }
    }
}

/* ---- SUBSCRIBE */

/* What it asks for. */
struct wish {
    uint8_t event;
    uint32_t expires_s;
    struct slice event_id, target;
    struct refusal refused;
};

static uint8_t event_of(const struct sip_rx *rx, struct slice *id)
{
    struct sip_hdr_event event;
    if (sip_hdr_event_decode(sip_msg_first(rx->m, SIP_HDR_EVENT), &event) != ERR_OK) {
        return 0;
    }
    *id = event.id;
    for (uint8_t i = 1; i < ARRAY_COUNT(packages); i++) {
        if (packages[i].name.len > 0 && slice_is_equal_nocase(event.package, packages[i].name)) {
            return i;
        }
    }
    return 0;
}

bool subscribe_is_ours(const struct sip *s, const struct sip_rx *rx)
{
    struct slice id;
    return s->settings.presence && rx->m->method == SIP_METHOD_SUBSCRIBE &&
           (!sip_msg_has(rx->m, SIP_HDR_EVENT) || event_of(rx, &id) != 0);
}

static bool is_accepted(const struct sip_rx *rx, struct slice type)
{
    struct slice item;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_ACCEPT);
    if (!sip_msg_has(rx->m, SIP_HDR_ACCEPT)) {
        return true;
    }
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        size_t len = 0;
        while (len < item.len && item.data[len] != ';' && !sip_lex_is_space(item.data[len])) {
            len++;
        }
        item = slice_sub(item, 0, len);
        if (slice_is_equal_nocase(item, type) || slice_is_equal(item, SLICE_LITERAL("*/*")) ||
            slice_is_equal_nocase(item, SLICE_LITERAL("application/*"))) {
            return true;
        }
    }
    return false;
}

static bool read_wish(const struct sip *s, const struct sip_rx *rx, struct wish *w)
{
    struct slice item;
    struct sip_hdr_address contact;
    w->event = event_of(rx, &w->event_id);
    if (w->event == 0) {
        return refusal_set(&w->refused, 489, "Events here are presence, presence.winfo and reg");
    }
    if (!is_accepted(rx, packages[w->event].type)) {
        return refusal_set(&w->refused, 406, "The event's document is not accepted");
    }
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_CONTACT);
    if (sip_msg_items_next(&it, &item) != ERR_OK ||
        sip_hdr_address_decode(item, &contact) != ERR_OK || contact.is_star) {
        return refusal_set(&w->refused, 400, "SUBSCRIBE needs a Contact");
    }
    w->target = contact.uri;
    return refusal_read_expires(s, rx, "The subscription would be too short", &w->expires_s,
                                &w->refused);
}

/* The operator's list: "*", or addresses of record. */
static bool is_listed(const struct sip *s, struct slice aor)
{
    for (size_t i = 0; i < s->settings.watcher_count; i++) {
        struct slice one = slice_text(s->settings.watchers[i].aor);
        if (slice_is_equal(one, SLICE_LITERAL("*")) || slice_is_equal(one, aor)) {
            return true;
        }
    }
    return false;
}

static bool may_watch(const struct sip *s, const struct sip_rx *rx, uint32_t account,
                      struct wish *w, uint16_t *source)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    if (sip_state_aor(s, &rx->core.from_uri, false, aor, &len) != ERR_OK) {
        return refusal_set(&w->refused, 403, "From cannot be judged");
    }
    struct slice from = slice_of(aor, len);
    *source = (uint16_t)(hash_64(from, s->source_seed) % SUBSCRIBE_SOURCES);
    bool is_self = slice_is_equal(from, slice_text(s->settings.accounts[account].user));
    return is_self || (w->event == SUBSCRIBE_PRESENCE && is_listed(s, from)) ||
           refusal_set(&w->refused, 403, "Not for this watcher");
}

static bool put(struct subscription *x, enum subscribe_text which, struct slice text)
{
    size_t at = 0;
    for (unsigned i = 0; i < (unsigned)which; i++) {
        at += x->len[i];
    }
    if (at + text.len > SUBSCRIBE_TEXT_CAP) {
        return false;
    }
    if (text.len > 0) {
        memcpy(x->text + at, text.data, text.len);
    }
    x->len[which] = (uint16_t)text.len;
    return true;
}

/* Record-Route as it came: the way of our NOTIFYs (12.1.1). */
static bool put_routes(struct sip *s, struct subscription *x, const struct sip_rx *rx)
{
    struct slice item, text;
    struct sip_writer w;
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_RECORD_ROUTE);
    sip_write_init(&w, s->document, SUBSCRIBE_TEXT_CAP);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        sip_write_text(&w, w.len > 0 ? ", " : "");
        sip_write_slice(&w, item);
    }
    return sip_write_finish(&w, &text) == ERR_OK && put(x, SUBSCRIBE_ROUTES, text);
}

static bool put_texts(struct turn *t, struct sip *s, struct subscription *x,
                      const struct sip_rx *rx, const struct wish *w)
{
    char hex[REPLY_TAG_CAP];
    struct slice local = sip_msg_first(rx->m, SIP_HDR_TO), text;
    struct sip_writer out;
    sip_write_init(&out, s->document, SUBSCRIBE_TEXT_CAP);
    sip_write_slice(&out, local);
    sip_write_text(&out, ";tag=");
    sip_write_slice(&out, reply_tag(t, s, rx, hex));
    return put(x, SUBSCRIBE_CALL_ID, rx->core.call_id) && sip_write_finish(&out, &text) == ERR_OK &&
           put(x, SUBSCRIBE_LOCAL, text) &&
           put(x, SUBSCRIBE_REMOTE, sip_msg_first(rx->m, SIP_HDR_FROM)) &&
           put(x, SUBSCRIBE_TARGET, w->target) && put_routes(s, x, rx) &&
           put(x, SUBSCRIBE_EVENT_ID, w->event_id);
}

static unsigned count_of(const struct sip *s, uint32_t account)
{
    unsigned count = 0;
    const struct subscription *x = NULL;
    for (handle h = s->accounts[account].subscriptions;
         (x = pool_get(&s->subscriptions, h)) != NULL; h = x->next) {
        count++;
    }
    return count;
}

/* A new one; NULL: w says why not. */
static struct subscription *add(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                uint32_t account, uint16_t source, struct wish *w)
{
    const struct limits *l = s->settings.limits;
    uint8_t key[16];
    key_of(t, s, rx, key);
    if (find(s, key) != NULL) { /* 8.2.2.2: the same request by another way */
        (void)refusal_set(&w->refused, 482, "The same SUBSCRIBE has come before");
        return NULL;
    }
    if (s->watchers[source] >= l->sip_subscriptions_per_source ||
        count_of(s, account) >= l->sip_subscriptions_per_account) {
        metric_add(t->metrics, METRIC_sip_refused_share, 1);
        (void)refusal_set(&w->refused, 503,
                          "Too many subscriptions of this watcher, or to this account");
        return NULL;
    }
    struct subscription *x = pool_acquire(&s->subscriptions);
    if (x == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        (void)refusal_set(&w->refused, 503, "Too many subscriptions at once");
        return NULL;
    }
    if (!put_texts(t, s, x, rx, w)) {
        pool_release(&s->subscriptions, x);
        (void)refusal_set(&w->refused, 513, "The dialog's headers are too long");
        return NULL;
    }
    handle h = pool_handle(&s->subscriptions, x);
    enum err e = table_insert(&s->subscription_table, key, handle_index(h));
    CHECK(e == ERR_OK); /* as many slots as objects, and it was not there */
    memcpy(x->key, key, sizeof(key));
    x->expiry.tag = x->notify.tag = h;
    x->expiry.what = SUBSCRIBE_TIMER_EXPIRY;
    x->notify.what = SUBSCRIBE_TIMER_NOTIFY;
    x->account = account;
    x->source = source;
    x->event = w->event;
    x->is_sips = rx->core.uri.scheme == SIP_URI_SIPS;
    x->to = tx_server_return(&rx->core, &rx->from);
    x->next = s->accounts[account].subscriptions;
    s->accounts[account].subscriptions = h;
    s->watchers[source]++;
    metric_set(t->metrics, METRIC_sip_subscriptions, s->subscriptions.in_use);
    return x;
}

static void answer_fault(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                         const struct wish *w)
{
    const struct refusal_facts facts = {.events = SLICE_LITERAL("presence, reg, presence.winfo")};
    refusal_send(t, s, rx, tx, &w->refused, &facts);
}

/* 200, and at once the first NOTIFY (4.2.1.2). */
static void accept_it(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                      struct subscription *x, uint32_t expires_s)
{
    struct sip_writer w;
    char route[HOP_URI_CAP];
    x->remote_cseq = rx->core.cseq.number;
    x->expires_us = t->now_us + expires_s * US_PER_S;
    x->is_ending = expires_s == 0;
    reply_begin(t, s, rx, 200, &w);
    if (sip_msg_has(rx->m, SIP_HDR_RECORD_ROUTE)) {
        if (flow_is_peer(&rx->from)) {
            sip_write_header(&w, SIP_HDR_RECORD_ROUTE,
                             hop_record(t, s, &rx->from, x->is_sips, route));
        }
        sip_write_copy(&w, rx->m, SIP_HDR_RECORD_ROUTE);
    }
    sip_write_header_begin(&w, SIP_HDR_CONTACT);
    write_self(s, &w, &rx->from, x->is_sips);
    sip_write_header_end(&w);
    sip_write_header_u32(&w, SIP_HDR_EXPIRES, expires_s);
    reply_finish(t, s, rx, tx, 200, &w);
    if (expires_s > 0) {
        wheel_arm(t->wheel, &x->expiry, x->expires_us);
    } else {
        wheel_cancel(t->wheel, &x->expiry);
    }
    tell(t, s, x, true);
}

unsigned subscribe_serve(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                         uint32_t account, const char **why)
{
    struct wish w = {0};
    uint16_t source = 0;
    struct subscription *x = NULL;
    if (read_wish(s, rx, &w) && may_watch(s, rx, account, &w, &source)) {
        x = add(t, s, rx, account, source, &w);
    }
    if (x != NULL) {
        accept_it(t, s, rx, tx, x, w.expires_s);
        if (x->event == SUBSCRIBE_PRESENCE && !x->is_ending) {
            subscribe_changed(t, s, account, SUBSCRIBE_WINFO);
        }
        return 200;
    }
    *why = w.refused.why;
    if (w.refused.status == 423 || w.refused.status == 489) { /* these say more than a status can */
        answer_fault(t, s, rx, tx, &w);
        return 200;
    }
    return w.refused.status;
}

bool subscribe_on_refresh(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    uint8_t key[16];
    char hex[REPLY_TAG_CAP];
    struct wish w = {0};
    if (rx->m->method != SIP_METHOD_SUBSCRIBE) {
        return false;
    }
    key_of(t, s, rx, key);
    struct subscription *x = find(s, key);
    if (x == NULL || !slice_is_equal(rx->core.to.tag, reply_tag(t, s, rx, hex))) {
        return false;
    }
    bool is_same =
        flow_is_peer(&x->to)
            ? flow_is_peer(&rx->from) && ids_node_is_equal(&rx->from.node, &x->to.node)
            : rx->from.kind == x->to.kind && address_is_same_host(&rx->from.remote, &x->to.remote);
    if (!is_same) {
        (void)refusal_set(&w.refused, 403, "Another way than the subscription was made by");
    } else if (rx->core.cseq.number <= x->remote_cseq) { /* 12.2.2 */
        (void)refusal_set(&w.refused, 500, "CSeq is not higher than before");
    } else if (read_wish(s, rx, &w) && w.event != x->event) {
        (void)refusal_set(&w.refused, 489, "Another event than the dialog is for");
    } else if (w.refused.status == 0 && x->is_ending) {
        (void)refusal_set(&w.refused, 481, "The subscription has ended");
    }
    if (w.refused.status != 0) {
        answer_fault(t, s, rx, tx, &w);
        return true;
    }
    struct subscription copy = *x; /* the target may be new (12.2.2) */
    struct slice id = subscribe_text(&copy, SUBSCRIBE_EVENT_ID),
                 routes = subscribe_text(&copy, SUBSCRIBE_ROUTES);
    if (!put(x, SUBSCRIBE_TARGET, w.target) || !put(x, SUBSCRIBE_ROUTES, routes) ||
        !put(x, SUBSCRIBE_EVENT_ID, id)) {
        memcpy(x->text, copy.text, sizeof(x->text));
        memcpy(x->len, copy.len, sizeof(x->len));
    }
    x->to = tx_server_return(&rx->core, &rx->from);
    accept_it(t, s, rx, tx, x, w.expires_s);
    return true;
}
