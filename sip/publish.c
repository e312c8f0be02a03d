/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c - see publish.h. */
#include "sip/publish.h"
#include "codec/pidf.h"
#include "sip/refusal.h"
#include "sip/registrar.h"
#include "sip/subscribe.h"

#define US_PER_S UINT64_C(1000000)
#define TYPE SLICE_LITERAL("application/pidf+xml")

size_t publish_bytes(const struct limits *l)
{
    return (size_t)l->sip_publications * (sizeof(struct publication) + 24) + 4096;
}

void publish_init(struct sip *s, struct arena *arena)
{
    pool_init(&s->publications, arena, "sip_publications", HANDLE_SIP_EVENT,
              s->settings.limits->sip_publications, sizeof(struct publication));
}

const struct publication *publish_next(const struct sip *s, uint32_t account, handle *at)
{
    const struct publication *x = NULL;
    if (*at == 0) {
        *at = s->accounts[account].publications;
    } else {
        x = pool_get(&s->publications, *at);
        *at = x == NULL ? 0 : x->next;
    }
    return pool_get(&s->publications, *at);
}

static void drop(struct turn *t, struct sip *s, struct publication *gone)
{
    handle h = pool_handle(&s->publications, gone),
           *link = &s->accounts[gone->account].publications;
    while (*link != h) {
        struct publication *x = pool_get(&s->publications, *link);
        CHECK(x != NULL);
        link = &x->next;
    }
    *link = gone->next;
    wheel_cancel(t->wheel, &gone->timer);
    pool_release(&s->publications, gone);
    metric_set(t->metrics, METRIC_sip_publications, s->publications.in_use);
}

void publish_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct publication *x = pool_get(&s->publications, timer->tag);
    CHECK(x != NULL); /* cancelled with it */
    uint32_t account = x->account;
    drop(t, s, x);
    subscribe_changed(t, s, account, SUBSCRIBE_PRESENCE);
}

/* ---- a PUBLISH */

struct wish {
    struct publication *old; /* what SIP-If-Match names */
    uint32_t expires_s;
    struct refusal refused;
};

static bool find_old(const struct sip *s, const struct sip_rx *rx, uint32_t account, struct wish *w)
{
    struct slice match = sip_msg_first(rx->m, SIP_HDR_SIP_IF_MATCH);
    handle at = 0;
    const struct publication *x = NULL;
    if (match.data == NULL) {
        return true;
    }
    if (!sip_lex_is_token(match)) {
        return refusal_set(&w->refused, 400, "SIP-If-Match is no single tag");
    }
    while ((x = publish_next(s, account, &at)) != NULL) {
        if (slice_is_equal(match, slice_text(x->etag))) {
            w->old = pool_get(&s->publications, at);
            return true;
        }
    }
    return refusal_set(&w->refused, 412, "No publication under that tag");
}

static bool read_body(const struct sip_rx *rx, struct wish *w)
{
    struct pidf p;
    struct slice type = sip_msg_first(rx->m, SIP_HDR_CONTENT_TYPE);
    if (rx->m->body.len == 0) {
        return w->old != NULL || refusal_set(&w->refused, 400, "Nothing is published");
    }
    bool is_pidf = type.len >= TYPE.len &&
                   slice_is_equal_nocase(slice_sub(type, 0, TYPE.len), TYPE) &&
                   (type.len == TYPE.len || type.data[TYPE.len] == ';' ||
                    sip_lex_is_space(type.data[TYPE.len]));
    if (!is_pidf || sip_msg_has(rx->m, SIP_HDR_CONTENT_ENCODING)) {
        return refusal_set(&w->refused, 415, "Only application/pidf+xml is understood");
    }
    if (rx->m->body.len > PUBLISH_BODY_CAP) {
        return refusal_set(&w->refused, 413, "The document is too long");
    }
    return pidf_read(rx->m->body, &p) == ERR_OK ||
           refusal_set(&w->refused, 400, "The document is not well-formed");
}

static bool is_sound(const struct sip *s, const struct sip_rx *rx, uint32_t account, struct wish *w)
{
    struct sip_hdr_event event;
    if (sip_hdr_event_decode(sip_msg_first(rx->m, SIP_HDR_EVENT), &event) != ERR_OK ||
        !slice_is_equal_nocase(event.package, SLICE_LITERAL("presence"))) {
        return refusal_set(&w->refused, 489, "Only presence is published here");
    }
    return find_old(s, rx, account, w) &&
           refusal_read_expires(s, rx, "The publication would be too short", &w->expires_s,
                                &w->refused) &&
           read_body(rx, w);
}

/* The publication that is to hold it; NULL: w says why not. */
static struct publication *place(struct turn *t, struct sip *s, uint32_t account, struct wish *w)
{
    unsigned count = 0;
    handle at = 0;
    while (publish_next(s, account, &at) != NULL) {
        count++;
    }
    if (count >= s->settings.limits->sip_publications_per_account) {
        metric_add(t->metrics, METRIC_sip_refused_share, 1);
        (void)refusal_set(&w->refused, 403, "Too many publications of this account");
        return NULL;
    }
    struct publication *x = pool_acquire(&s->publications);
    if (x == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        (void)refusal_set(&w->refused, 503, "Too many publications at once");
        return NULL;
    }
    x->account = account;
    x->timer.tag = pool_handle(&s->publications, x);
    x->timer.what = SUBSCRIBE_TIMER_PUBLICATION;
    x->next = s->accounts[account].publications;
    s->accounts[account].publications = x->timer.tag;
    metric_set(t->metrics, METRIC_sip_publications, s->publications.in_use);
    return x;
}

void publish_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                        uint32_t account)
{
    struct wish w = {0};
    uint8_t random[PUBLISH_ETAG_BYTES];
    char etag[2 * PUBLISH_ETAG_BYTES + 1];
    struct sip_writer out;
    struct publication *x = NULL;
    if (is_sound(s, rx, account, &w) && w.expires_s > 0) {
        x = w.old != NULL ? w.old : place(t, s, account, &w);
    }
    if (w.refused.status != 0) {
        const struct refusal_facts facts = {.types = TYPE, .events = SLICE_LITERAL("presence")};
        refusal_send(t, s, rx, tx, &w.refused, &facts);
        return;
    }
    t->crypto->random(t->crypto, random, sizeof(random));
    ids_hex(slice_of(random, sizeof(random)), etag);
    bool is_news = w.expires_s == 0 || rx->m->body.len > 0;
    if (x != NULL) {
        memcpy(x->etag, etag, sizeof(etag));
        if (rx->m->body.len > 0) {
            x->len = (uint16_t)rx->m->body.len;
            memcpy(x->body, rx->m->body.data, rx->m->body.len);
        }
        x->expires_us = t->now_us + w.expires_s * US_PER_S;
        wheel_arm(t->wheel, &x->timer, x->expires_us);
    } else if (w.old != NULL) {
        drop(t, s, w.old);
    }
    metric_add(t->metrics, METRIC_sip_published, 1);
    reply_begin(t, s, rx, 200, &out);
    sip_write_header(&out, SIP_HDR_SIP_ETAG, slice_text(etag));
    sip_write_header_u32(&out, SIP_HDR_EXPIRES, w.expires_s);
    reply_finish(t, s, rx, tx, 200, &out);
    if (is_news) {
        subscribe_changed(t, s, account, SUBSCRIBE_PRESENCE);
    }
}
