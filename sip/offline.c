/* SPDX-License-Identifier: Apache-2.0 */
/* offline.c - see offline.h. */
#include "sip/offline.h"
#include "core/hash.h"
#include "sip/registrar.h"
#include "sip/subscribe.h"

#define US_PER_S UINT64_C(1000000)
enum { GAP_US = 200000, AGAIN_S = 300 };

size_t offline_bytes(const struct limits *l)
{
    return (size_t)l->sip_offline * (sizeof(struct offline) + 24) +
           OFFLINE_SOURCES * sizeof(uint32_t) + 2 * 4096;
}

void offline_init(struct sip *s, struct arena *arena)
{
    pool_init(&s->offline, arena, "sip_offline", HANDLE_SIP_EVENT, s->settings.limits->sip_offline,
              sizeof(struct offline));
    s->senders = ARENA_ARRAY(arena, uint32_t, OFFLINE_SOURCES);
}

static void drop(struct turn *t, struct sip *s, struct offline *gone)
{
    uint32_t account = gone->account;
    handle h = pool_handle(&s->offline, gone), *link = &s->accounts[account].offline;
    bool is_first = *link == h;
    while (*link != h) {
        struct offline *x = pool_get(&s->offline, *link);
        CHECK(x != NULL);
        link = &x->next;
    }
    *link = gone->next;
    wheel_cancel(t->wheel, &gone->timer);
    CHECK(s->senders[gone->source] > 0);
    s->senders[gone->source]--;
    pool_release(&s->offline, gone);
    struct offline *first = pool_get(&s->offline, s->accounts[account].offline);
    if (is_first && first != NULL && first->proxy == 0) {
        wheel_arm(t->wheel, &first->timer, min_u64(t->now_us + GAP_US, first->until_us));
    }
    metric_set(t->metrics, METRIC_sip_offline, s->offline.in_use);
}

/* ---- keeping */

static uint16_t source_of(const struct sip *s, const struct sip_rx *rx)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    enum err e = sip_state_aor(s, &rx->core.from_uri, false, aor, &len);
    struct slice from = e == ERR_OK ? slice_of(aor, len) : rx->core.from.uri;
    return (uint16_t)(hash_64(from, s->source_seed) % OFFLINE_SOURCES);
}

static bool has_room(const struct sip *s, uint32_t account, uint16_t source)
{
    uint32_t count = 0;
    const struct offline *x = NULL;
    for (handle h = s->accounts[account].offline; (x = pool_get(&s->offline, h)) != NULL;
         h = x->next) {
        count++;
    }
    return count < s->settings.limits->sip_offline_per_account &&
           s->senders[source] < s->settings.limits->sip_offline_per_source;
}

/* The oldest of an account asks for all of them where it is. */
static uint64_t next_look(struct turn *t, const struct sip *s, const struct offline *x)
{
    /* 0 in the configuration would be a timer that is due as soon as it is armed, for ever. */
    uint64_t look_s = max_u64(1, s->settings.limits->sip_offline_look_s);
    uint64_t due = t->now_us + rng_jitter(t->rng, look_s * US_PER_S, 10);
    return s->accounts[x->account].offline == x->timer.tag ? min_u64(due, x->until_us)
                                                           : x->until_us;
}

/* For how long is it to be kept?  At most settings.offline_s, in all the places where it was. */
static uint32_t lifetime_of(const struct sip *s, const struct sip_rx *rx)
{
    uint32_t seconds = s->settings.offline_s, kept = 0;
    struct slice expires = sip_msg_first(rx->m, SIP_HDR_EXPIRES);
    if (expires.data != NULL) {
        enum err e = sip_hdr_number_decode(expires, seconds, &seconds);
        (void)e; /* no number: as if it had not said anything */
    }
    for (unsigned i = 0; i < rx->m->header_count; i++) {
        if (slice_is_equal_nocase(sip_msg_name(rx->m, i), SLICE_LITERAL(OFFLINE_KEPT)) &&
            sip_hdr_number_decode(sip_msg_value(rx->m, i), UINT32_MAX, &kept) == ERR_OK) {
            seconds -= kept < seconds ? kept : seconds;
        }
    }
    return seconds; /* 0: now or never (3428 5) */
}

bool offline_keep(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account)
{
    char date[sizeof("Date: ") + DATE_TEXT_CAP] = "Date: "; /* when it was sent, not when it came */
    uint32_t seconds = lifetime_of(s, rx);
    struct sip_edit edit;
    size_t len = 0;
    if (seconds == 0 || rx->m->method != SIP_METHOD_MESSAGE || rx->core.to.has_tag) {
        return false;
    }
    uint16_t source = source_of(s, rx);
    struct offline *x = has_room(s, account, source) ? pool_acquire(&s->offline) : NULL;
    if (x == NULL) {
        metric_add(t->metrics, METRIC_sip_offline_refused, 1);
        return false;
    }
    sip_edit_init(&edit, rx->m);
    if (!sip_msg_has(rx->m, SIP_HDR_DATE)) {
        date_text(t->wall_ms, date + strlen(date));
        sip_edit_append_named(&edit, slice_text(date));
    }
    if (sip_edit_emit(&edit, x->message, sizeof(x->message), &len) != ERR_OK ||
        !sip_state_is_readable(s, &edit, slice_of(x->message, len))) {
        pool_release(&s->offline, x);
        metric_add(t->metrics, METRIC_sip_offline_refused, 1);
        return false;
    }
    x->len = (uint16_t)len;
    x->from = rx->from;
    x->account = account;
    x->source = source;
    x->since_us = t->now_us;
    x->until_us = t->now_us + seconds * US_PER_S;
    x->timer.tag = pool_handle(&s->offline, x);
    x->timer.what = SUBSCRIBE_TIMER_OFFLINE;
    handle *link = &s->accounts[account].offline;
    for (struct offline *last = NULL; (last = pool_get(&s->offline, *link)) != NULL;) {
        link = &last->next;
    }
    *link = x->timer.tag;
    s->senders[source]++;
    wheel_arm(t->wheel, &x->timer, next_look(t, s, x));
    metric_add(t->metrics, METRIC_sip_offline_kept, 1);
    metric_set(t->metrics, METRIC_sip_offline, s->offline.in_use);
    return true;
}

/* ---- delivering */

struct msgbuf *offline_request(struct turn *t, struct sip *s, const struct offline *x)
{
    char line[sizeof(OFFLINE_KEPT) + 16];
    struct sip_rx room;
    struct sip_edit edit;
    struct sip_writer w;
    struct slice text;
    size_t len = 0;
    struct msgbuf *plain = sip_state_buffer(t, slice_of(x->message, x->len));
    if (plain == NULL || !x->is_elsewhere) {
        return plain;
    }
    sip_write_init(&w, (uint8_t *)line, sizeof(line));
    sip_write_text(&w, OFFLINE_KEPT ": ");
    sip_write_u32(&w, (uint32_t)((t->now_us - x->since_us) / US_PER_S));
    enum err e = sip_write_finish(&w, &text);
    CHECK(e == ERR_OK); /* ten digits at most */
    sip_edit_init(&edit, sip_state_reread(s, plain, &x->from, &room)->m);
    sip_edit_append_named(&edit, text);
    if (sip_edit_emit(&edit, s->scratch, sizeof(s->scratch), &len) != ERR_OK ||
        !sip_state_is_readable(s, &edit, slice_of(s->scratch, len))) {
        return plain; /* as many headers as can be: rather too long than not at all */
    }
    msgbuf_release(t->buffers, plain);
    return sip_state_buffer(t, slice_of(s->scratch, len));
}

void offline_deliver(struct turn *t, struct sip *s, uint32_t account)
{
    uint64_t due = t->now_us + GAP_US;
    struct offline *x = NULL;
    for (handle h = s->accounts[account].offline; (x = pool_get(&s->offline, h)) != NULL;
         h = x->next) {
        if (x->proxy == 0) {
            wheel_arm(t->wheel, &x->timer, min_u64(due, x->until_us));
            due += GAP_US;
        }
    }
}

void offline_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct offline *x = pool_get(&s->offline, timer->tag);
    CHECK(x != NULL); /* cancelled with it */
    if (x->until_us <= t->now_us) {
        metric_add(t->metrics, METRIC_sip_offline_expired, 1);
        drop(t, s, x);
        return;
    }
    bool is_here = registrar_is_live(t, s, x->account);
    wheel_arm(t->wheel, &x->timer, is_here ? x->until_us : next_look(t, s, x));
    if (x->proxy == 0 && (is_here || s->accounts[x->account].offline == timer->tag)) {
        x->is_elsewhere = !is_here;
        proxy_send_kept(t, s, timer->tag, x);
    }
}

/* Will it not be taken later either?  Not there, busy and a node's own trouble pass; what another
 * node does not know of the account may be news to it. */
static bool is_refusal(const struct offline *x, unsigned status)
{
    switch (status) {
    case 403:
    case 404:
        return !x->is_elsewhere;
    case 408:
    case 480:
    case 486:
    case 600: /* Busy Everywhere: "may succeed later" (RFC 3261 21.6.1) */
        return false;
    default:
        return (status >= 400 && status < 500) || status >= 600;
    }
}

void offline_on_answer(struct turn *t, struct sip *s, handle message, unsigned status)
{
    struct offline *x = pool_get(&s->offline, message);
    if (x == NULL) {
        return;
    }
    x->proxy = 0;
    bool is_refused = is_refusal(x, status);
    if ((status >= 200 && status < 300) || is_refused) {
        metric_add(t->metrics, METRIC_sip_offline_delivered, is_refused ? 0 : 1);
        drop(t, s, x);
        return;
    }
    if (x->is_elsewhere) {
        wheel_arm(t->wheel, &x->timer, next_look(t, s, x));
        return;
    }
    wheel_arm(t->wheel, &x->timer, min_u64(t->now_us + AGAIN_S * US_PER_S, x->until_us));
}
