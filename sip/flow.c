/* SPDX-License-Identifier: Apache-2.0 */
/* flow.c - connections, reassembly, and the way out; see flow.h.
 *
 * A stream's bytes are parsed where they lie.  Only what is left of an incomplete message is copied
 * into a buffer, which starts small and is replaced by a large one once.  One timer a connection
 * looks at all its deadlines in turn. */
#include "core/hash.h"
#include "sip/dial.h"
#include "sip/registrar.h"
#include "sip/sip_state.h"

#define US_PER_S UINT64_C(1000000)
enum {
    FIRST_MESSAGE_S = 5, /* a stranger must say something by then */
    V6_HOST_BYTES = 8,
    PROOF_S = 30,   /* and be known by then */
    PARTIAL_S = 30, /* a message must be complete by then */
    IDLE_S = 900,   /* beyond any sensible keep-alive or refresh */
    /* As `kind` of a SIP_SEND mail, with the account behind it in place of a message: */
    PROVED = 0xff, /* flow_prove */
    GONE = 0xfe    /* registrar_on_flow_gone */
};

/* In front of the bytes of an IO_MAIL_SIP_SEND or IO_MAIL_SIP. */
struct mail_head {
    struct flow_ref ref;
};

bool flow_is_reliable(const struct flow_ref *ref)
{
    return ref->kind != SIP_UDP;
}

unsigned flow_side(const struct sip *s, const struct flow_ref *ref)
{
    return s->settings.second.family != 0 && ref->remote.family == s->settings.second.family;
}

/* ---- connections */

static void arm(struct turn *t, struct flow *f)
{
    uint64_t due = f->heard_us + IDLE_S * US_PER_S;
    if (f->partial != NULL || f->is_partial) {
        due = min_u64(due, f->partial_us + PARTIAL_S * US_PER_S);
    }
    if (!f->is_proved) {
        due = min_u64(due, f->opened_us + (f->has_message ? PROOF_S : FIRST_MESSAGE_S) * US_PER_S);
    }
    wheel_arm(t->wheel, &f->timer, due);
}

static uint16_t host_of(const struct sip *s, const struct address *remote)
{
    size_t len = remote->family == 6 ? V6_HOST_BYTES : 4;
    return (uint16_t)(1 + hash_64(slice_of(remote->ip, len), s->source_seed) % FLOW_HOSTS);
}

static bool has_room(const struct sip *s, uint16_t host)
{
    uint32_t most = s->settings.limits->sip_flows_per_host;
    uint16_t count = s->flow_hosts[host - 1];
    return count < UINT16_MAX && (most == 0 || count < most);
}

struct flow *flow_open(struct turn *t, struct sip *s, enum sip_flow_kind kind, handle conn,
                       const struct address *remote)
{
    CHECK(kind != SIP_UDP);
    uint16_t host = remote == NULL ? 0 : host_of(s, remote);
    if (host != 0 && !has_room(s, host)) {
        metric_add(t->metrics, METRIC_sip_flows_refused_host, 1);
        return NULL;
    }
    struct flow *f = pool_acquire(&s->flows);
    if (f == NULL) {
        metric_add(t->metrics, METRIC_sip_flows_refused, 1);
        return NULL;
    }
    f->conn = conn;
    f->account = REGISTRAR_NONE;
    f->host = host;
    if (host != 0) {
        s->flow_hosts[host - 1]++;
    }
    f->ref = (struct flow_ref){
        .kind = (uint8_t)kind, .shard = s->settings.shard, .flow = pool_handle(&s->flows, f)};
    if (remote != NULL) {
        f->ref.remote = *remote;
    }
    f->opened_us = t->now_us;
    f->heard_us = t->now_us;
    f->timer.tag = f->ref.flow;
    sip_parser_init(&f->parser, true);
    arm(t, f);
    return f;
}

/* A mail to `shard`: `ref`, then `bytes`. */
static enum err post(struct turn *t, uint16_t shard, uint16_t mail, const struct flow_ref *ref,
                     struct slice bytes)
{
    struct mail_head head = {.ref = *ref};
    struct msgbuf *buf = msgbuf_acquire(t->buffers, sizeof(head) + bytes.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_msgbuf_exhausted, 1);
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        return ERR_LIMIT;
    }
    enum err e = msgbuf_append(buf, slice_of(&head, sizeof(head)));
    e = e != ERR_OK ? e : msgbuf_append(buf, bytes);
    CHECK(e == ERR_OK);
    e = io_mail(t->out, t->buffers, shard, mail, ref->flow, buf);
    if (e != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
    }
    return e;
}

/* Nothing reaches the contacts that were registered over it any more: we dial no phones. */
static void tell_registrar(struct turn *t, struct sip *s, const struct flow *f)
{
    if (f->account == REGISTRAR_NONE) {
        return;
    }
    struct flow_ref word = f->ref;
    struct slice aor = slice_text(s->settings.accounts[f->account].user);
    uint16_t home = sip_home_shard(aor, s->settings.shards);
    if (home == s->settings.shard) {
        registrar_on_flow_gone(t, s, f->account, &word);
        return;
    }
    word.kind = GONE;
    enum err e = post(t, home, IO_MAIL_SIP_SEND, &word, slice_of(&f->account, sizeof(f->account)));
    (void)e; /* then they expire */
}

bool flow_is_behind(const struct sip *s, const struct flow_ref *ref)
{
    enum { FEW = 8 }; /* so many find out whether it has caught up */
    const struct limits *l = s->settings.limits;
    const struct flow *f = ref->kind == SIP_PEER ? pool_get(&s->flows, ref->flow) : NULL;
    return f != NULL && (f->is_pressed || f->unanswered >= l->sip_unanswered_per_peer ||
                         (f->unanswered >= FEW && f->delay_ms > l->sip_peer_patience_ms));
}

void flow_release(struct turn *t, struct sip *s, struct flow *f)
{
    tell_registrar(t, s, f);
    wheel_cancel(t->wheel, &f->timer);
    if (f->partial != NULL) {
        msgbuf_release(t->buffers, f->partial);
        f->partial = NULL;
    }
    if (f->host != 0) {
        CHECK(s->flow_hosts[f->host - 1] > 0);
        s->flow_hosts[f->host - 1]--;
    }
    pool_release(&s->flows, f);
}

static bool push_event(struct turn *t, struct sip *s, enum sip_event_kind kind, handle conn,
                       struct msgbuf *buf)
{
    if (s->event_count == s->event_cap) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        return false;
    }
    uint32_t at = (s->event_first + s->event_count) % s->event_cap;
    s->events[at] = (struct sip_event){.kind = kind, .conn = conn, .buf = buf};
    s->event_count++;
    return true;
}

void flow_close(struct turn *t, struct sip *s, struct flow *f)
{
    /* The queue keeps a place for each connection's close (sip_init): it cannot be full of sends.
     */
    bool told = push_event(t, s, SIP_CLOSE, f->conn, NULL);
    CHECK(told);
    flow_release(t, s, f);
}

/* The same of our own accord, whatever it carries. */
static void end(struct turn *t, struct sip *s, struct flow *f, enum metric why)
{
    handle gone = f->ref.flow;
    struct node_id node = f->ref.node;
    bool is_peer = f->ref.kind == SIP_PEER;
    metric_add(t->metrics, why, 1);
    flow_close(t, s, f);
    if (is_peer) {
        dial_on_closed(t, s, &node, gone);
    }
}

void flow_on_timer(struct turn *t, struct sip *s, struct flow *f)
{
    uint64_t age = t->now_us - f->opened_us;
    bool is_late =
        t->now_us - f->heard_us >= IDLE_S * US_PER_S ||
        ((f->partial != NULL || f->is_partial) &&
         t->now_us - f->partial_us >= PARTIAL_S * US_PER_S) ||
        (!f->is_proved && age >= (f->has_message ? PROOF_S : FIRST_MESSAGE_S) * US_PER_S);
    if (!is_late) {
        arm(t, f);
        return;
    }
    end(t, s, f, METRIC_sip_flows_closed_slow);
}

/* ---- reading */

void flow_touch(struct turn *t, struct flow *f, bool is_partial)
{
    f->heard_us = t->now_us;
    if (is_partial != f->is_partial) {
        f->partial_us = t->now_us;
        f->is_partial = is_partial;
        arm(t, f);
    }
}

/* A buffer for `bytes` of an incomplete message.  Strangers may have large ones only while those
 * are plentiful: trunks and calls live on them too. */
static struct msgbuf *partial_buffer(struct turn *t, const struct flow *f, size_t bytes)
{
    const struct msgbuf_pool *pool = t->buffers;
    bool is_scarce = bytes > MSGBUF_SMALL_BYTES && pool->in_use[1] >= pool->cap[1] / 2;
    return !f->is_proved && is_scarce ? NULL : msgbuf_acquire(t->buffers, bytes);
}

void flow_begin(struct turn *t, struct sip *s, struct flow *f, struct slice data,
                struct flow_read *r)
{
    (void)s;
    f->heard_us = t->now_us;
    *r = (struct flow_read){.flow = f->ref.flow, .bytes = data};
    struct msgbuf *had = f->partial;
    if (had == NULL) {
        return;
    }
    if (data.len > msgbuf_tailroom(had)) {
        struct msgbuf *large = had->len + data.len > MSGBUF_LARGE_BYTES
                                   ? NULL
                                   : partial_buffer(t, f, had->len + data.len);
        if (large == NULL || msgbuf_append(large, msgbuf_slice(had)) != ERR_OK) {
            if (large != NULL) {
                msgbuf_release(t->buffers, large);
            }
            r->bytes = SLICE_EMPTY;
            end(t, s, f, METRIC_sip_flows_closed_garbage);
            return;
        }
        msgbuf_release(t->buffers, had);
        had = large;
    }
    f->partial = NULL;
    r->held = had;
    enum err e = msgbuf_append(had, data);
    CHECK(e == ERR_OK);
    r->bytes = msgbuf_slice(had);
}

void flow_pong(struct turn *t, struct sip *s, struct flow *f)
{
    metric_add(t->metrics, METRIC_sip_keepalives, 1);
    struct msgbuf *buf = sip_state_buffer(t, SLICE_LITERAL("\r\n"));
    if (buf != NULL) {
        enum err e = flow_send(t, s, &f->ref, buf);
        (void)e; /* the phone will ask again */
        msgbuf_release(t->buffers, buf);
    }
}

void flow_lose(struct turn *t, struct sip *s, struct flow_read *r)
{
    struct flow *f = pool_get(&s->flows, r->flow);
    r->bytes = SLICE_EMPTY;
    if (f == NULL) {
        return;
    }
    end(t, s, f, METRIC_sip_flows_closed_garbage);
}

enum flow_got flow_next(struct turn *t, struct sip *s, struct flow_read *r)
{
    for (;;) {
        struct flow *f = pool_get(&s->flows, r->flow);
        if (f == NULL || r->bytes.len == 0) {
            return FLOW_GOT_NONE;
        }
        enum sip_parse parsed = sip_parser_feed(&f->parser, r->bytes);
        if (parsed == SIP_PARSE_MORE) {
            return FLOW_GOT_NONE;
        }
        if (parsed == SIP_PARSE_BAD && f->parser.consumed == 0) {
            return FLOW_GOT_LOST;
        }
        CHECK(f->parser.consumed > 0);
        r->bytes = slice_from(r->bytes, f->parser.consumed);
        if (parsed == SIP_PARSE_BAD) {
            return FLOW_GOT_BAD;
        }
        switch (f->parser.event) {
        case SIP_EVENT_MESSAGE:
            f->has_message = true;
            return FLOW_GOT_MESSAGE;
        case SIP_EVENT_PING:
            flow_pong(t, s, f);
            break;
        case SIP_EVENT_CRLF:
            break;
        }
    }
}

void flow_end(struct turn *t, struct sip *s, struct flow_read *r)
{
    struct flow *f = pool_get(&s->flows, r->flow);
    if (f != NULL && r->bytes.len > 0) {
        struct msgbuf *rest = r->held;
        if (rest != NULL && rest->len == r->bytes.len) {
            r->held = NULL; /* nothing was consumed: the same buffer goes on */
        } else {
            f->partial_us = t->now_us;
            rest = partial_buffer(t, f, r->bytes.len);
            if (rest != NULL && msgbuf_append(rest, r->bytes) != ERR_OK) {
                UNREACHABLE("it was made for them");
            }
        }
        if (rest == NULL) { /* no room for the rest of this message: the stream is lost */
            end(t, s, f, METRIC_sip_flows_closed_garbage);
        } else {
            f->partial = rest;
            arm(t, f);
        }
    }
    if (r->held != NULL) {
        msgbuf_release(t->buffers, r->held);
    }
}

/* ---- the way out */

/* Closes need their places: the rest takes at most event_cap less one for each connection. */
static bool has_place(struct turn *t, const struct sip *s)
{
    bool has = s->event_count + s->flows.cap < s->event_cap;
    metric_add(t->metrics, METRIC_sip_drop_full, has ? 0 : 1);
    return has;
}

bool flow_ask_dial(struct turn *t, struct sip *s, handle tag, struct msgbuf *buf)
{
    return has_place(t, s) && push_event(t, s, SIP_DIAL, tag, buf);
}

static enum err send_stream(struct turn *t, struct sip *s, const struct flow_ref *ref,
                            struct msgbuf *buf)
{
    struct flow *f = pool_get(&s->flows, ref->flow);
    if (f == NULL && ref->kind == SIP_PEER) { /* another connection to the same peer will do */
        struct flow_ref other;
        f = dial_find(s, &ref->node, &other) ? pool_get(&s->flows, other.flow) : NULL;
    }
    if (f == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_no_flow, 1);
        return ERR_CLOSED;
    }
    if (!has_place(t, s)) {
        return ERR_LIMIT;
    }
    bool pushed = push_event(t, s, SIP_SEND, f->conn, msgbuf_ref(buf));
    CHECK(pushed);
    return ERR_OK;
}

enum err flow_send(struct turn *t, struct sip *s, const struct flow_ref *ref, struct msgbuf *buf)
{
    enum err e = ERR_OK;
    if (ref->kind == FLOW_SIBLING) {
        CHECK(ref->shard != s->settings.shard);
        e = io_mail(t->out, t->buffers, ref->shard, IO_MAIL_SIP_PEER, 0, msgbuf_ref(buf));
    } else if (ref->kind == SIP_UDP) {
        /* Any shard may send from the shared port; its own socket is bound to it (SO_REUSEPORT). */
        uint16_t from = flow_side(s, ref) == 0 ? IO_LISTEN_SIP_UDP : IO_LISTEN_SIP6_UDP;
        e = io_datagram(t->out, t->buffers, from, &ref->remote, msgbuf_ref(buf));
    } else if (ref->shard != s->settings.shard) {
        return post(t, ref->shard, IO_MAIL_SIP_SEND, ref, msgbuf_slice(buf));
    } else {
        return send_stream(t, s, ref, buf);
    }
    if (e != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
    }
    return e;
}

void flow_prove(struct turn *t, struct sip *s, const struct flow_ref *ref, uint32_t account)
{
    if (ref->kind == SIP_UDP || flow_is_peer(ref)) {
        return;
    }
    if (ref->shard != s->settings.shard) {
        struct flow_ref word = *ref;
        word.kind = PROVED;
        enum err e =
            post(t, ref->shard, IO_MAIL_SIP_SEND, &word, slice_of(&account, sizeof(account)));
        (void)e; /* said again with the next request that proves it */
        return;
    }
    struct flow *f = pool_get(&s->flows, ref->flow);
    if (f == NULL) {
        return;
    }
    f->account = account;
    if (!f->is_proved) {
        f->is_proved = true;
        io_proved(t->out, f->conn);
        arm(t, f);
    }
}

void flow_on_mail(struct turn *t, struct sip *s, uint8_t *data, size_t len)
{
    struct flow_ref ref;
    struct slice bytes;
    bool is_sound = flow_unsteer(slice_of(data, len), &ref, &bytes);
    CHECK(is_sound); /* our own sibling wrote it */
    if (ref.kind == PROVED || ref.kind == GONE) {
        uint32_t account = 0;
        bool is_gone = ref.kind == GONE;
        CHECK(bytes.len == sizeof(account));
        memcpy(&account, bytes.data, sizeof(account));
        ref.kind = SIP_TCP; /* a stream of whichever kind */
        if (is_gone) {
            registrar_on_flow_gone(t, s, account, &ref);
        } else {
            flow_prove(t, s, &ref, account);
        }
        return;
    }
    CHECK(ref.shard == s->settings.shard);
    struct msgbuf *buf = sip_state_buffer(t, bytes);
    if (buf != NULL) {
        enum err e = send_stream(t, s, &ref, buf);
        (void)e; /* counted */
        msgbuf_release(t->buffers, buf);
    }
}

bool flow_steer(struct turn *t, struct sip *s, uint16_t shard, const struct flow_ref *from,
                struct slice message)
{
    CHECK(shard != s->settings.shard);
    return post(t, shard, IO_MAIL_SIP, from, message) == ERR_OK;
}

bool flow_unsteer(struct slice mail, struct flow_ref *from, struct slice *message)
{
    struct mail_head head;
    if (mail.len < sizeof(head)) {
        return false;
    }
    memcpy(&head, mail.data, sizeof(head));
    *from = head.ref;
    *message = slice_from(mail, sizeof(head));
    return true;
}
