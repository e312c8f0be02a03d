/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - see foreign.h. */
#include "sip/foreign.h"
#include "sip/fork.h"
#include "sip/hop.h"
#include "sip/registrar.h"

#define US_PER_S UINT64_C(1000000)

/* What a request grows by on its way through here, at most: Via and Record-Route. */
enum { FOREIGN_GROWTH = 500 };
enum { LOWEST_PORT = 1024 };

size_t foreign_bytes(const struct limits *l)
{
    return (size_t)l->sip_foreign * (sizeof(struct foreign) + 24) +
           (size_t)l->sip_foreign_dials * (sizeof(struct foreign_dial) + 24) + 2 * 4096 +
           resolve_cache_bytes(l);
}

void foreign_init(struct sip *s, struct arena *arena)
{
    const struct limits *l = s->settings.limits;
    pool_init(&s->foreigns, arena, "sip_foreign", HANDLE_SIP_FOREIGN, l->sip_foreign,
              sizeof(struct foreign));
    pool_init(&s->foreign_dials, arena, "sip_foreign_dials", HANDLE_SIP_FOREIGN,
              l->sip_foreign_dials, sizeof(struct foreign_dial));
    resolve_cache_init(s, arena);
}

bool foreign_is_wanted(const struct sip *s, const struct sip_uri *uri)
{
    struct node_id node;
    return s->settings.foreign && (uri->scheme == SIP_URI_SIP || uri->scheme == SIP_URI_SIPS) &&
           !hop_is_us(s, uri) && !hop_node(s, uri->host, &node);
}

bool foreign_is_from_phone(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    handle at = 0;
    const struct registrar_binding *b = NULL;
    const struct flow_ref *from = &rx->from;
    if (flow_is_peer(from) || from->is_foreign ||
        sip_state_aor(s, &rx->core.from_uri, false, aor, &len) != ERR_OK) {
        return false;
    }
    uint32_t account = registrar_find(s, slice_of(aor, len));
    while (account != REGISTRAR_NONE && (b = registrar_next(t, s, account, &at)) != NULL) {
        if (b->flow.kind == from->kind &&
            (from->kind == SIP_UDP ? address_is_equal(&b->flow.remote, &from->remote)
                                   : b->flow.flow == from->flow && b->flow.shard == from->shard)) {
            return true;
        }
    }
    return false;
}

/* ---- whom we dial */

static bool is_ourselves(const struct sip *s, const struct address *a)
{
    bool is_ours = a->port == s->settings.advertised.port;
    for (unsigned kind = SIP_TLS; kind < SIP_PEER; kind++) {
        is_ours = is_ours || a->port == s->settings.ports[kind];
    }
    for (unsigned i = 0; i < ARRAY_COUNT(s->settings.inner); i++) {
        const struct address *inner = &s->settings.inner[i];
        if (inner->family != 0 && address_is_same_host(a, inner) && a->port >= inner->port &&
            a->port - inner->port < s->settings.shards) {
            return true;
        }
    }
    return is_ours && (address_is_same_host(a, &s->settings.advertised) ||
                       address_is_same_host(a, &s->settings.second));
}

/* The rule of design.md section 6, "An Attach makes us dial". */
static bool may_dial(const struct sip *s, const struct address *a)
{
    enum address_range range = address_range_of(a);
    const struct address *own =
        s->settings.advertised.family == a->family ? &s->settings.advertised : &s->settings.second;
    return a->port >= LOWEST_PORT && range != ADDRESS_NEVER && own->family == a->family &&
           !address_is_mapped(a) && (range == ADDRESS_GLOBAL || range == address_range_of(own)) &&
           !is_ourselves(s, a);
}

static void domain_key(struct turn *t, const struct foreign *x, uint8_t key[16])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    memset(key, 0, 16);
    if (x->target.kind == SIP_TLS) {
        t->crypto->sha256(slice_text(x->domain), hash);
        memcpy(key, hash, 16);
    }
}

static bool is_same_target(const struct resolve_target *a, const struct resolve_target *b)
{
    return a->kind == b->kind && address_is_equal(&a->address, &b->address);
}

/* A connection that is there already.  In a dialog a Contact or Record-Route with a number instead
 * of a name comes from a server that has proved itself, and certificates rarely name numbers: a
 * connection to just that address will do, on which the domain was proved that the dialog was made
 * with.  Not whatever domain: who stands on the way to that address and has a certificate of some
 * domain of his own could have one of our phones call that, and then get others' requests. */
static bool find_flow(struct turn *t, struct sip *s, const struct foreign *x, struct flow_ref *out)
{
    uint8_t key[16];
    uint32_t index = 0;
    const struct flow *f = NULL;
    domain_key(t, x, key);
    while ((f = pool_next(&s->flows, &index)) != NULL) {
        if (f->ref.is_foreign && f->ref.kind == x->target.kind &&
            address_is_equal(&f->ref.remote, &x->target.address) &&
            (memcmp(f->domain, key, sizeof(key)) == 0 ||
             (x->is_number && memcmp(f->domain, x->proved, sizeof(key)) == 0))) {
            *out = f->ref;
            return true;
        }
    }
    return false;
}

/* Joins whoever dials the same, or dials; false: no room. */
static bool dial(struct turn *t, struct sip *s, struct foreign *x)
{
    uint8_t key[16];
    uint32_t index = 0, count = 0;
    struct foreign_dial *d = NULL;
    domain_key(t, x, key);
    while ((d = pool_next(&s->foreign_dials, &index)) != NULL) {
        if (is_same_target(&d->target, &x->target) && memcmp(d->key, key, sizeof(key)) == 0) {
            x->dial = pool_handle(&s->foreign_dials, d);
            return true;
        }
        count += d->source == x->source ? 1 : 0;
    }
    d = count * 4 >= s->foreign_dials.cap ? NULL : pool_acquire(&s->foreign_dials);
    struct msgbuf *buf = d == NULL ? NULL : msgbuf_acquire(t->buffers, sizeof(struct sip_dial));
    struct sip_dial what = {.to = x->target.address, .kind = x->target.kind};
    memcpy(what.domain, x->domain, sizeof(what.domain));
    enum err e = buf == NULL ? ERR_LIMIT : msgbuf_append(buf, slice_of(&what, sizeof(what)));
    handle h = d == NULL ? 0 : pool_handle(&s->foreign_dials, d);
    if (e != ERR_OK || !flow_ask_dial(t, s, h, buf)) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        if (buf != NULL) {
            msgbuf_release(t->buffers, buf);
        }
        if (d != NULL) {
            pool_release(&s->foreign_dials, d);
        }
        return false;
    }
    *d = (struct foreign_dial){.target = x->target, .source = x->source};
    memcpy(d->key, key, sizeof(key));
    x->dial = h;
    metric_add(t->metrics, METRIC_sip_foreign_dials, 1);
    return true;
}

/* ---- one target after another */

static struct proxy *proxy_of(struct sip *s, const struct foreign *x)
{
    struct proxy *p = pool_get(&s->proxies, x->proxy);
    CHECK(p != NULL);
    return p;
}

static void open_again(struct proxy *p, struct foreign *x)
{
    CHECK(!x->is_open);
    x->is_open = true;
    p->open++;
}

static void close_now(struct turn *t, struct proxy *p, struct foreign *x)
{
    CHECK(x->is_open && p->open > 0);
    x->is_open = false;
    x->dial = 0;
    p->open--;
    wheel_cancel(t->wheel, &x->timer);
}

/* There is no (further) target. */
static void end(struct turn *t, struct sip *s, struct proxy *p, struct foreign *x)
{
    close_now(t, p, x);
    if (x->tries > 0 && p->best_status != 0) {
        return; /* one of them has said why */
    }
    if (x->tries > 0) {
        fork_note(t, s, p, 504, "No server of that domain could be reached");
    } else if (x->was_refused) {
        metric_add(t->metrics, METRIC_sip_foreign_refused, 1);
        fork_note(t, s, p, 403, "The servers of that domain are where this node does not send");
    } else if (x->resolve.is_silent) {
        fork_note(t, s, p, 504, "The name server did not answer");
    } else {
        fork_note(t, s, p, 404, "No SIP server is known for that domain");
    }
}

/* A branch over `flow`.  False: it came to nothing at once. */
static bool send_over(struct turn *t, struct sip *s, struct proxy *p, struct foreign *x,
                      const struct flow_ref *flow)
{
    struct flow_ref to = *flow;
    handle before = p->first;
    to.is_foreign = true;
    x->tries++;
    close_now(t, p, x);
    fork_add(t, s, p, &to, NULL, SLICE_EMPTY);
    const struct fork_branch *b = p->first == before ? NULL : pool_get(&s->branches, p->first);
    x->branch = b == NULL ? 0 : p->first;
    if (b != NULL && b->state == FORK_OVER && p->method != SIP_METHOD_ACK) {
        open_again(p, x);
        return false;
    }
    if (b != NULL && b->state == FORK_SENT) {
        wheel_arm(t->wheel, &x->timer, t->now_us + FOREIGN_PATIENCE_S * US_PER_S);
    }
    return true;
}

/* RFC 3261 18.1.1; the path MTU is not known.  Measured only where it may be so. */
static bool is_too_long(struct turn *t, struct sip *s, struct proxy *p, const struct flow_ref *to)
{
    return msgbuf_slice(p->request).len + FOREIGN_GROWTH > FOREIGN_DATAGRAM_CAP &&
           fork_measure(t, s, p, to) > FOREIGN_DATAGRAM_CAP;
}

/* The next target into x->target, as resolve_next. */
static enum err next_target(struct turn *t, struct sip *s, struct proxy *p, struct foreign *x)
{
    bool is_back = x->is_instead && x->is_back;
    x->is_instead = x->is_back = false;
    if (is_back) {
        x->target.kind = SIP_UDP;
        return ERR_OK;
    }
    enum err e =
        x->tries >= FOREIGN_TRIES ? ERR_NOT_FOUND : resolve_next(t, s, &x->resolve, &x->target);
    struct flow_ref flow = {.kind = SIP_UDP, .shard = s->settings.shard};
    if (e == ERR_OK && x->target.kind == SIP_UDP) {
        flow.remote = x->target.address;
        x->is_instead = is_too_long(t, s, p, &flow);
        x->target.kind = x->is_instead ? SIP_TCP : SIP_UDP;
        metric_add(t->metrics, METRIC_sip_foreign_too_long, x->is_instead ? 1 : 0);
    }
    return e;
}

static void advance(struct turn *t, struct sip *s, struct proxy *p, struct foreign *x)
{
    CHECK(x->is_open);
    for (;;) {
        struct flow_ref flow = {0};
        enum err e = next_target(t, s, p, x);
        if (e == ERR_PENDING) {
            wheel_arm(t->wheel, &x->timer, t->now_us + FOREIGN_WAIT_S * US_PER_S);
            return;
        }
        if (e != ERR_OK) {
            end(t, s, p, x);
            return;
        }
        if (!may_dial(s, &x->target.address)) {
            x->was_refused = true;
            continue;
        }
        flow = (struct flow_ref){.kind = SIP_UDP, .shard = s->settings.shard};
        flow.remote = x->target.address;
        if (x->target.kind != SIP_UDP && !find_flow(t, s, x, &flow)) {
            if (dial(t, s, x)) {
                wheel_arm(t->wheel, &x->timer, t->now_us + FOREIGN_WAIT_S * US_PER_S);
                return;
            }
            x->is_back = true;
            x->tries++;
            continue;
        }
        if (send_over(t, s, p, x, &flow)) {
            return;
        }
    }
}

/* ---- beginning and end */

static uint32_t count_of(const struct sip *s, uint16_t source)
{
    uint32_t index = 0, count = 0;
    const struct foreign *x = NULL;
    while ((x = pool_next(&s->foreigns, &index)) != NULL) {
        count += x->source == source ? 1 : 0;
    }
    return count;
}

static struct foreign *acquire(struct turn *t, struct sip *s, struct proxy *p)
{
    if (p->source != 0 && count_of(s, p->source) >= s->settings.limits->sip_foreign_per_source) {
        metric_add(t->metrics, METRIC_sip_refused_share, 1);
        return NULL;
    }
    struct foreign *x = pool_acquire(&s->foreigns);
    if (x == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return NULL;
    }
    x->proxy = pool_handle(&s->proxies, p);
    x->source = p->source;
    x->timer.tag = pool_handle(&s->foreigns, x);
    x->timer.what = FOREIGN_TIMER;
    p->foreign = x->timer.tag;
    return x;
}

/* The domain in lower case; an IPv6 address without its brackets, a name without a dot at its end,
 * as certificates have them. */
static bool take_domain(struct slice host, char out[DNS_NAME_CAP])
{
    if (host.len > 0 && host.data[0] == '[') {
        host = slice_between(host, 1, host.len - 1);
    } else if (host.len > 0 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    for (size_t i = 0; i < host.len && host.len < DNS_NAME_CAP; i++) {
        out[i] = (char)slice_lower(host.data[i]);
    }
    return host.len < DNS_NAME_CAP;
}

/* Is it a number, and not only because of a maddr? */
static bool is_number(const struct foreign *x, const struct sip_uri *uri)
{
    struct slice maddr;
    return x->resolve.address_count > 0 && !sip_uri_param(uri, SLICE_LITERAL("maddr"), &maddr);
}

void foreign_begin(struct turn *t, struct sip *s, struct proxy *p, const struct sip_uri *uri,
                   const struct flow_ref *side)
{
    struct foreign *x = acquire(t, s, p);
    p->state = PROXY_FORKING;
    metric_add(t->metrics, METRIC_sip_foreign_requests, 1);
    enum err e = x == NULL ? ERR_LIMIT
                 : !take_domain(uri->host, x->domain)
                     ? ERR_MALFORMED
                     : resolve_begin(s, &x->resolve, uri, x->timer.tag, p->source);
    if (e == ERR_OK && fork_expect(t, s, p, 1)) {
        if (side != NULL && side->kind == SIP_TLS) {
            x->is_number = is_number(x, uri);
            memcpy(x->proved, side->remote.ip, sizeof(x->proved));
        }
        open_again(p, x);
        advance(t, s, p, x);
    } else if (e == ERR_UNSUPPORTED) {
        fork_note(t, s, p, p->is_sips ? 480 : 503, "No such transport to other domains here");
    } else if (e != ERR_OK) {
        fork_note(t, s, p, e == ERR_LIMIT ? 503 : 404,
                  e == ERR_LIMIT ? "Too many calls to other domains at once"
                                 : "That is no name of a domain");
    }
    fork_settle(t, s, p);
}

void foreign_stop(struct turn *t, struct sip *s, struct proxy *p)
{
    struct foreign *x = pool_get(&s->foreigns, p->foreign);
    if (x == NULL) {
        return;
    }
    wheel_cancel(t->wheel, &x->timer);
    x->branch = 0;
    if (x->is_open) {
        close_now(t, p, x);
        fork_note(t, s, p, 487, NULL);
    }
}

void foreign_release(struct turn *t, struct sip *s, struct proxy *p)
{
    struct foreign *x = pool_get(&s->foreigns, p->foreign);
    if (x != NULL) {
        wheel_cancel(t->wheel, &x->timer);
        pool_release(&s->foreigns, x);
    }
    p->foreign = 0;
}

/* ---- what comes back */

void foreign_on_failed(struct turn *t, struct sip *s, struct proxy *p, handle branch)
{
    struct foreign *x = pool_get(&s->foreigns, p->foreign);
    if (x == NULL || x->branch != branch || x->is_open || p->is_answered || p->is_cancelled) {
        return;
    }
    metric_add(t->metrics, METRIC_sip_foreign_failovers, 1);
    open_again(p, x);
    advance(t, s, p, x);
}

/* Silence for too long: of a name server, of a connection being set up, of the newest branch. */
void foreign_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct foreign *x = pool_get(&s->foreigns, timer->tag);
    CHECK(x != NULL); /* cancelled with it */
    struct proxy *p = proxy_of(s, x);
    const struct fork_branch *b = pool_get(&s->branches, x->branch);
    if (x->is_open) {
        if (x->dial != 0) {
            x->is_back = true;
            x->tries++;
        }
        x->dial = 0;
        resolve_give_up(&x->resolve);
        advance(t, s, p, x);
    } else if (b != NULL && b->state == FORK_SENT) {
        const struct tx *tx = tx_get(s, b->tx);
        if (tx != NULL && tx->state == TX_TRYING && !p->is_cancelled) {
            foreign_on_failed(t, s, p, x->branch);
        }
    }
    fork_settle(t, s, p);
}

void foreign_on_dns(struct turn *t, struct sip *s, uint64_t tag, uint8_t *data, size_t len)
{
    struct foreign *x = handle_kind(tag) == HANDLE_SIP_FOREIGN ? pool_get(&s->foreigns, tag) : NULL;
    if (x == NULL || !x->is_open || !resolve_on_answer(t, s, &x->resolve, slice_of(data, len))) {
        return; /* the caller has hung up meanwhile, or does not wait for that any more */
    }
    struct proxy *p = proxy_of(s, x);
    advance(t, s, p, x);
    fork_settle(t, s, p);
}

/* Of those that wait for `h` the next; they may come and go meanwhile, so from the beginning. */
static struct foreign *next_waiting(struct sip *s, handle h)
{
    uint32_t index = 0;
    struct foreign *x = NULL;
    while ((x = pool_next(&s->foreigns, &index)) != NULL && x->dial != h) {}
    return x;
}

/* A flow for a connection that was dialled for `source`.  They share a pool with those of phones,
 * so they have places of their own in it.  NULL: no room, all that could give way are in use. */
static struct flow *open_flow(struct turn *t, struct sip *s, const struct foreign_dial *d,
                              handle conn)
{
    const struct limits *l = s->settings.limits;
    uint32_t index = 0, count = 0, own_count = 0;
    struct flow *f = NULL, *idle = NULL, *own_idle = NULL;
    while ((f = pool_next(&s->flows, &index)) != NULL) {
        if (!f->ref.is_foreign) {
            continue;
        }
        bool is_own = f->source == d->source;
        count++;
        own_count += is_own ? 1 : 0;
        if (f->clients == 0) {
            idle = idle == NULL || f->heard_us < idle->heard_us ? f : idle;
            own_idle =
                is_own && (own_idle == NULL || f->heard_us < own_idle->heard_us) ? f : own_idle;
        }
    }
    bool has_share = own_count < l->sip_foreign_flows_per_source;
    if (!has_share || count >= l->sip_foreign_flows) {
        struct flow *gone = has_share ? idle : own_idle;
        if (gone == NULL) {
            metric_add(t->metrics, METRIC_sip_flows_refused, 1);
            return NULL;
        }
        metric_add(t->metrics, METRIC_sip_foreign_evicted, 1);
        flow_close(t, s, gone);
    }
    f = flow_open(t, s, (enum sip_flow_kind)d->target.kind, conn, &d->target.address);
    if (f != NULL) {
        f->is_dialled = f->is_proved = true;
        f->ref.is_foreign = true;
        f->source = d->source;
        memcpy(f->domain, d->key, sizeof(f->domain));
    }
    return f;
}

handle foreign_dialled(struct turn *t, struct sip *s, handle tag, handle conn)
{
    struct foreign *x = NULL;
    struct foreign_dial *d = pool_get(&s->foreign_dials, tag);
    if (d == NULL) {
        return 0;
    }
    struct foreign_dial was = *d;
    pool_release(&s->foreign_dials, d);
    const struct flow *f = conn == 0 ? NULL : open_flow(t, s, &was, conn);
    metric_add(t->metrics, METRIC_sip_foreign_dials_failed, f == NULL ? 1 : 0);
    struct flow_ref flow = {0};
    if (f != NULL) {
        flow = f->ref;
    }
    while ((x = next_waiting(s, tag)) != NULL) {
        struct proxy *p = proxy_of(s, x);
        x->dial = 0;
        if (f == NULL) {
            x->is_back = true;
            x->tries++;
        }
        if (f == NULL || !send_over(t, s, p, x, &flow)) {
            advance(t, s, p, x);
        }
        fork_settle(t, s, p);
    }
    return flow.flow;
}
