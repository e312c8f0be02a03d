/* SPDX-License-Identifier: Apache-2.0 */
/* sip.c - the phone side of a shard: state, dispatch, steering (see sip.h).
 *
 * Every message takes the same way: parsed, judged (sip_msg_check), steered to the shard that is to
 * handle it, then a response goes to its client transaction and a request to the proxy. */
#include "sip/asked.h"
#include "sip/binding.h"
#include "sip/dial.h"
#include "sip/digest.h"
#include "sip/elsewhere.h"
#include "sip/foreign.h"
#include "sip/fork.h"
#include "sip/guess.h"
#include "sip/hop.h"
#include "sip/keep_alive.h"
#include "sip/location.h"
#include "sip/offline.h"
#include "sip/peer_share.h"
#include "sip/publish.h"
#include "sip/registrar.h"
#include "sip/sip_state.h"
#include "sip/stateless.h"
#include "sip/strict.h"
#include "sip/subscribe.h"

enum { SLOP = 4096, TABLES = 3 };

/* ---- start */

/* What a table of `cap` takes at most: slots are a power of two of at least 4/3 cap. */
static size_t table_bytes(size_t cap, size_t key_bytes)
{
    size_t slots = 16;
    while (slots * 3 < cap * 4 + 4) {
        slots *= 2;
    }
    return 2 * slots * (key_bytes + sizeof(uint32_t)) + SLOP;
}

static size_t pool_bytes(size_t cap, size_t object_size)
{
    return cap * (object_size + 2 * sizeof(uint32_t) + 16) + SLOP;
}

size_t sip_bytes(const struct sip_settings *s)
{
    const struct limits *l = s->limits;
    return sizeof(struct sip) + SLOP + pool_bytes(l->sip_flows, sizeof(struct flow)) +
           ((size_t)l->sip_events + l->sip_flows) * sizeof(struct sip_event) +
           FLOW_HOSTS * sizeof(uint16_t) + pool_bytes(l->sip_transactions, sizeof(struct tx)) +
           table_bytes(l->sip_transactions, TX_KEY_BYTES) +
           pool_bytes(l->sip_dials, sizeof(struct dial)) + table_bytes(l->sip_dials, IDS_NODE_MAX) +
           pool_bytes(l->sip_proxies, sizeof(struct proxy)) +
           pool_bytes(l->sip_branches, sizeof(struct fork_branch)) +
           pool_bytes(l->sip_lookups, sizeof(struct location)) +
           pool_bytes(l->sip_registers, sizeof(struct registrar_wait)) +
           pool_bytes(l->sip_bindings, sizeof(struct registrar_binding)) +
           pool_bytes(l->sip_bindings_long, sizeof(struct binding_long)) + sizeof(struct asked) +
           LOCATION_CACHED * sizeof(struct location_cached) +
           LOCATION_RIGHTS * sizeof(struct speak_cached) +
           DIGEST_SEEN * sizeof(struct digest_seen) + sizeof(struct digest_a2) + guess_bytes(l) +
           publish_bytes(l) + subscribe_bytes(l) + offline_bytes(l) + peer_share_bytes() +
           (s->foreign ? foreign_bytes(l) : 0) + PROXY_SOURCES * sizeof(struct proxy_source) +
           (s->account_count + 1) * sizeof(struct registrar_account) +
           table_bytes(s->account_count + 1, SIP_ACCOUNT_USER_CAP);
}

static void init_names(struct turn *t, struct sip *s)
{
    uint8_t hash[CRYPTO_SHA1_BYTES];
    size_t len = strlen(s->settings.domain);
    CHECK(len <= SIP_DOMAIN_CAP);
    for (size_t i = 0; i < len; i++) {
        s->domain[i] = (char)slice_lower((uint8_t)s->settings.domain[i]);
    }
    t->crypto->sha1(slice_text(s->settings.domain), hash);
    s->params.overlay =
        (uint32_t)hash[16] << 24 | (uint32_t)hash[17] << 16 | (uint32_t)hash[18] << 8 | hash[19];
    s->params.node_id_length = IDS_RING_BYTES;
    ids_hex(slice_of(s->settings.self.bytes, IDS_RING_BYTES), s->self_host);
    s->self_host[2 * IDS_RING_BYTES] = '.';
    memcpy(s->self_host + 2 * IDS_RING_BYTES + 1, s->domain, len + 1);
    s->domain_text = slice_text(s->domain);
    s->self_text = slice_text(s->self_host);
    for (unsigned kind = SIP_UDP; s->settings.advertised.family != 0 && kind < SIP_PEER; kind++) {
        struct address at[2] = {s->settings.advertised, s->settings.second};
        for (unsigned side = 0; side < 2 && at[side].family != 0; side++) {
            uint16_t port = s->settings.ports[kind];
            at[side].port = port == 0 ? s->settings.advertised.port : port;
            address_text(&at[side], s->advertised[side][kind]);
        }
    }
}

const char *sip_state_host(const struct sip *s, const struct flow_ref *side)
{
    return flow_is_peer(side) ? s->self_host : s->advertised[flow_side(s, side)][side->kind];
}

struct sip *sip_init(struct turn *t, struct arena *arena, const struct sip_settings *settings,
                     struct overlay *overlay)
{
    const struct limits *l = settings->limits;
    struct sip *s = ARENA_ARRAY(arena, struct sip, 1);
    CHECK(settings->shard < settings->shards);
    CHECK(settings->shards <= OVERLAY_SHARDS_CAP);
    s->settings = *settings;
    s->overlay = overlay;
    init_names(t, s);
    STATIC_CHECK(sizeof(settings->secret) == MAC_SECRET_BYTES);
    mac_init(t, &s->keys, settings->secret);
    sip_parser_init(&s->parser, false);
    sip_parser_init(&s->again, false);
    pool_init(&s->flows, arena, "sip_flows", HANDLE_SIP_FLOW, l->sip_flows, sizeof(struct flow));
    s->flow_hosts = ARENA_ARRAY(arena, uint16_t, FLOW_HOSTS);
    s->event_cap = l->sip_events + l->sip_flows; /* a place for each connection's close */
    s->events = ARENA_ARRAY(arena, struct sip_event, s->event_cap);
    pool_init(&s->txs, arena, "sip_transactions", HANDLE_SIP_TX, l->sip_transactions,
              sizeof(struct tx));
    table_init(&s->tx_table, arena, l->sip_transactions, TX_KEY_BYTES, rng_next(t->rng));
    pool_init(&s->dials, arena, "sip_dials", HANDLE_SIP_FLOW, l->sip_dials, sizeof(struct dial));
    table_init(&s->dial_table, arena, l->sip_dials, IDS_NODE_MAX, rng_next(t->rng));
    pool_init(&s->proxies, arena, "sip_proxies", HANDLE_SIP_PROXY, l->sip_proxies,
              sizeof(struct proxy));
    pool_init(&s->branches, arena, "sip_branches", HANDLE_SIP_PROXY, l->sip_branches,
              sizeof(struct fork_branch));
    pool_init(&s->lookups, arena, "sip_lookups", HANDLE_SIP_LOC, l->sip_lookups,
              sizeof(struct location));
    s->located = ARENA_ARRAY(arena, struct location_cached, LOCATION_CACHED);
    s->spoken = ARENA_ARRAY(arena, struct speak_cached, LOCATION_RIGHTS);
    pool_init(&s->registers, arena, "sip_registers", HANDLE_SIP_REG, l->sip_registers,
              sizeof(struct registrar_wait));
    pool_init(&s->bindings, arena, "sip_bindings", HANDLE_SIP_REG, l->sip_bindings,
              sizeof(struct registrar_binding));
    pool_init(&s->longs, arena, "sip_bindings_long", HANDLE_SIP_REG, l->sip_bindings_long,
              sizeof(struct binding_long));
    s->seen = ARENA_ARRAY(arena, struct digest_seen, DIGEST_SEEN);
    s->last_a2 = ARENA_ARRAY(arena, struct digest_a2, 1);
    s->sources = ARENA_ARRAY(arena, struct proxy_source, PROXY_SOURCES);
    s->source_seed = rng_next(t->rng);
    guess_init(t, s, arena);
    publish_init(s, arena);
    subscribe_init(t, s, arena);
    offline_init(s, arena);
    peer_share_init(s, arena);
    if (settings->foreign) {
        foreign_init(s, arena);
    }
    registrar_init(s, arena, rng_next(t->rng));
    return s;
}

void sip_drain(struct turn *t, struct sip *s)
{
    (void)t;
    s->is_draining = true;
}

bool sip_is_idle(const struct sip *s)
{
    return s->proxies.in_use == 0 && s->registers.in_use == 0 && s->event_count == 0;
}

/* ---- shared by the files of sip/ */

struct msgbuf *sip_state_buffer(struct turn *t, struct slice bytes)
{
    struct msgbuf *buf = msgbuf_acquire(t->buffers, bytes.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_msgbuf_exhausted, 1);
        return NULL;
    }
    enum err e = msgbuf_append(buf, bytes);
    CHECK(e == ERR_OK);
    return buf;
}

/* What is made of a message, with names written out and more in it, keeps to the limits, too.
 * Headers that we know no number of are only ever passed on. */
static bool has_room(const struct sip_msg *m, size_t head)
{
    bool has = head <= SIP_MSG_HEAD_CAP - SIP_STATE_LINE_ROOM;
    for (unsigned i = 0; i < m->header_count && has; i++) {
        const struct sip_msg_header *h = &m->headers[i];
        has = h->id == SIP_HDR_OTHER || h->end - h->start <= SIP_MSG_LINE_CAP - SIP_STATE_LINE_ROOM;
    }
    return has;
}

bool sip_state_is_readable(struct sip *s, const struct sip_edit *edit, struct slice text)
{
    size_t head = text.len - edit->msg->body.len;
    unsigned headers = edit->msg->header_count + edit->count + 1u; /* Content-Length */
    bool is_plain =
        head <= SIP_MSG_LINE_CAP - SIP_STATE_LINE_ROOM && headers <= SIP_MSG_HEADERS_CAP;
    return is_plain ||
           (sip_parser_datagram(&s->proof, text) == SIP_PARSE_OK && has_room(&s->proof.msg, head));
}

const struct sip_rx *sip_state_reread(struct sip *s, const struct msgbuf *buf,
                                      const struct flow_ref *from, struct sip_rx *room)
{
    struct sip_fault fault;
    if (buf == s->live_copy) {
        return s->live;
    }
    enum sip_parse parsed = sip_parser_datagram(&s->again, msgbuf_slice(buf));
    CHECK(parsed == SIP_PARSE_OK);
    room->m = &s->again.msg;
    room->from = *from;
    enum err e = sip_msg_check(room->m, &room->core, &fault);
    CHECK(e != ERR_MALFORMED);
    return room;
}

enum err sip_state_aor(const struct sip *s, const struct sip_uri *uri, bool alias, char *out,
                       size_t *len)
{
    struct address host;
    size_t domain_len = s->domain_text.len;
    if (uri->scheme != SIP_URI_SIP && uri->scheme != SIP_URI_SIPS) { /* one resource: RFC 5630 3 */
        return ERR_UNSUPPORTED;
    }
    enum err e = sip_uri_aor(uri, (uint8_t *)out, SIP_STATE_AOR_CAP, len);
    if (e != ERR_OK) {
        return ERR_NOT_FOUND;
    }
    if (slice_is_equal_nocase(uri->host, s->domain_text)) {
        return ERR_OK;
    }
    if (!alias || uri->host_kind == SIP_LEX_HOST_NAME ||
        address_parse(uri->host, 0, &host) != ERR_OK ||
        (!address_is_same_host(&host, &s->settings.advertised) &&
         !address_is_same_host(&host, &s->settings.second))) {
        return ERR_NOT_FOUND;
    }
    size_t local = *len - uri->host.len; /* "user@" */
    if (local + domain_len > SIP_STATE_AOR_CAP) {
        return ERR_NOT_FOUND;
    }
    memcpy(out + local, s->domain, domain_len);
    *len = local + domain_len;
    return ERR_OK;
}

enum err sip_state_aor_text(const struct sip *s, struct slice text, bool alias, char *out,
                            size_t *len)
{
    struct sip_uri uri;
    return sip_uri_decode(text, &uri) == ERR_OK ? sip_state_aor(s, &uri, alias, out, len)
                                                : ERR_NOT_FOUND;
}

/* ---- messages */

uint16_t sip_home_shard(struct slice aor, uint16_t shards)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, then mixed: all shards must agree */
    for (size_t i = 0; i < aor.len; i++) {
        hash = (hash ^ aor.data[i]) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return shards < 2 ? 0 : (uint16_t)(hash % shards);
}

static void on_response(struct turn *t, struct sip *s, const struct sip_rx *rx, bool is_steered)
{
    uint8_t key[TX_KEY_BYTES];
    uint16_t shard = 0;
    if (stateless_response(t, s, rx)) {
        return;
    }
    if (!tx_branch_read(rx->core.via.branch, rx->core.cseq.method, &shard, key) ||
        shard >= s->settings.shards || (is_steered && shard != s->settings.shard)) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1);
        return;
    }
    if (shard != s->settings.shard) {
        (void)flow_steer(t, s, shard, &rx->from, rx->m->bytes); /* counted */
        return;
    }
    struct tx *tx = tx_find(s, key);
    if (tx == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1);
        return;
    }
    s->responses_in++;
    metric_add(t->metrics, METRIC_sip_responses_in, 1);
    if (tx_client_recv(t, s, tx, rx->m) == TX_PASS) {
        fork_on_response(t, s, tx, rx->m);
    }
}

/* The shard that is to handle a request of a phone. */
static uint16_t home_of(const struct sip *s, const struct sip_rx *rx)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    uint16_t shard = s->settings.shard;
    if (hop_shard(s, rx, &shard)) {
        return shard;
    }
    bool is_register = rx->m->method == SIP_METHOD_REGISTER;
    const struct sip_uri *who = is_register ? &rx->core.to_uri : &rx->core.from_uri;
    if (sip_state_aor(s, who, is_register, aor, &len) != ERR_OK) {
        return s->settings.shard;
    }
    return sip_home_shard(slice_of(aor, len), s->settings.shards);
}

static void on_fault(struct turn *t, struct sip *s, const struct sip_rx *rx,
                     const struct sip_fault *fault)
{
    if (sip_msg_is_answerable(rx->m, &rx->core)) {
        reply_send(t, s, rx, NULL, fault->status, fault->why);
    }
    metric_add(t->metrics, METRIC_sip_drop_malformed, 1);
}

/* To the home shard, or to the proxy. */
static void on_request(struct turn *t, struct sip *s, const struct sip_rx *rx, bool is_steered)
{
    if (s->settings.shards > 1 && !flow_is_peer(&rx->from) && !is_steered) {
        uint16_t home = home_of(s, rx);
        if (home != s->settings.shard) {
            (void)flow_steer(t, s, home, &rx->from, rx->m->bytes); /* counted */
            return;
        }
    }
    s->requests_in++;
    metric_add(t->metrics, METRIC_sip_requests_in, 1);
    proxy_on_request(t, s, rx);
}

/* A request of a strict router goes on as if a loose one had sent it; undone once, whatever its
 * entries say.  The parser of datagrams is free here: either nothing is in it, or what `rx` has
 * been read from and is done with. */
static bool on_strict(struct turn *t, struct sip *s, const struct sip_rx *rx, bool is_steered)
{
    struct sip_rx undone;
    struct sip_fault fault;
    undone.m = &s->parser.msg;
    undone.from = rx->from;
    struct msgbuf *loose = strict_undo(t, s, rx);
    if (loose == NULL) {
        return false;
    }
    if (sip_parser_datagram(&s->parser, msgbuf_slice(loose)) == SIP_PARSE_OK) {
        if (sip_msg_check(undone.m, &undone.core, &fault) != ERR_OK) {
            on_fault(t, s, &undone, &fault);
        } else {
            on_request(t, s, &undone, is_steered);
        }
    }
    msgbuf_release(t->buffers, loose);
    return true;
}

static void on_message(struct turn *t, struct sip *s, const struct sip_msg *m,
                       const struct flow_ref *from, bool is_steered)
{
    struct sip_rx rx; /* sip_msg_check fills the rest */
    struct sip_fault fault;
    rx.m = m;
    rx.from = *from;
    if (s->settings.advertised.family == 0) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1); /* a peer that serves no phones */
        return;
    }
    if (sip_msg_check(m, &rx.core, &fault) != ERR_OK) {
        on_fault(t, s, &rx, &fault);
        return;
    }
    if (!m->is_request) {
        on_response(t, s, &rx, is_steered);
        return;
    }
    bool may_be_strict = UNLIKELY(rx.core.uri.params.len > 0) && !flow_is_peer(from) && !is_steered;
    if (!may_be_strict || !on_strict(t, s, &rx, is_steered)) {
        on_request(t, s, &rx, is_steered);
    }
}

/* True: a message. */
static bool on_bytes(struct turn *t, struct sip *s, const struct flow_ref *from, struct slice bytes,
                     bool is_steered)
{
    enum sip_parse parsed = sip_parser_datagram(&s->parser, bytes);
    CHECK(parsed != SIP_PARSE_MORE);
    if (parsed == SIP_PARSE_BAD) {
        struct sip_rx rx = {.m = &s->parser.msg, .from = *from};
        struct sip_fault ignored, fault = s->parser.fault;
        enum err e = sip_msg_check(rx.m, &rx.core, &ignored);
        (void)e; /* it is bad anyway: what could be read decides whether it is answered */
        on_fault(t, s, &rx, &fault);
        return false;
    }
    switch (s->parser.event) {
    case SIP_EVENT_MESSAGE:
        on_message(t, s, &s->parser.msg, from, is_steered);
        return true;
    case SIP_EVENT_PING:
        if (flow_is_reliable(from)) {
            flow_pong(t, s, pool_get(&s->flows, from->flow));
            break;
        }
        __attribute__((
            fallthrough)); /* datagrams get no answer (RFC 5626 4.4.2: they ask by STUN) */
    case SIP_EVENT_CRLF:
        metric_add(t->metrics, METRIC_sip_keepalives, 1);
        break;
    }
    return false;
}

void sip_on_datagram(struct turn *t, struct sip *s, const struct address *remote, uint8_t *data,
                     size_t len)
{
    struct flow_ref from = {.kind = SIP_UDP, .shard = s->settings.shard, .remote = *remote};
    if (UNLIKELY(keep_alive_is_stun(data, len))) {
        keep_alive_on_stun(t, s, &from, slice_of(data, len));
        return;
    }
    on_bytes(t, s, &from, slice_of(data, len), false);
}

/* ---- streams */

handle sip_flow_accepted(struct turn *t, struct sip *s, enum sip_flow_kind kind, handle conn,
                         const struct address *remote)
{
    CHECK(kind != SIP_UDP && kind < SIP_PEER);
    struct flow *f = flow_open(t, s, kind, conn, remote);
    return f == NULL ? 0 : f->ref.flow;
}

handle sip_peer_up(struct turn *t, struct sip *s, handle conn, const struct node_id *node_id,
                   struct slice user, bool dialled)
{
    struct flow *f = flow_open(t, s, SIP_PEER, conn, NULL);
    if (f == NULL) {
        return 0;
    }
    f->ref.node = *node_id;
    f->is_dialled = dialled;
    f->is_proved = true;
    f->has_message = true;
    f->user_len = (uint8_t)min_size(user.len, CRYPTO_USER_CAP);
    if (f->user_len > 0) {
        memcpy(f->user, user.data, f->user_len);
    }
    dial_on_up(t, s, f);
    return f->ref.flow;
}

void sip_peer_pressed(struct sip *s, handle flow, bool is_pressed)
{
    struct flow *f = pool_get(&s->flows, flow);
    if (f != NULL) {
        f->is_pressed = is_pressed;
    }
}

void sip_on_stream(struct turn *t, struct sip *s, handle flow, uint8_t *data, size_t len)
{
    struct flow *f = pool_get(&s->flows, flow);
    struct flow_read r;
    enum flow_got got = FLOW_GOT_NONE;
    if (f == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_no_flow, 1);
        return;
    }
    flow_begin(t, s, f, slice_of(data, len), &r);
    while ((got = flow_next(t, s, &r)) != FLOW_GOT_NONE) {
        f = pool_get(&s->flows, flow);
        CHECK(f != NULL);
        struct flow_ref from = f->ref;
        if (got == FLOW_GOT_MESSAGE) {
            on_message(t, s, &f->parser.msg, &from, false);
        } else {
            struct sip_rx rx = {.m = &f->parser.msg, .from = from};
            struct sip_fault ignored, fault = f->parser.fault;
            enum err e = sip_msg_check(rx.m, &rx.core, &ignored);
            (void)e; /* as for datagrams */
            on_fault(t, s, &rx, &fault);
        }
        if (got == FLOW_GOT_LOST) {
            flow_lose(t, s, &r);
        }
    }
    flow_end(t, s, &r);
}

void sip_on_web(struct turn *t, struct sip *s, handle flow, uint8_t *data, size_t len)
{
    struct flow *f = pool_get(&s->flows, flow);
    if (f == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_no_flow, 1);
        return;
    }
    struct flow_ref from = f->ref;
    flow_touch(t, f, false);
    bool is_message = on_bytes(t, s, &from, slice_of(data, len), false);
    f = pool_get(&s->flows, flow);
    if (f != NULL) {
        f->has_message = f->has_message || is_message;
    }
}

bool sip_flow_touch(struct turn *t, struct sip *s, handle flow, bool is_partial)
{
    struct flow *f = pool_get(&s->flows, flow);
    if (f == NULL) {
        return false;
    }
    flow_touch(t, f, is_partial);
    return f->is_proved;
}

void sip_flow_closed(struct turn *t, struct sip *s, handle flow)
{
    struct flow *f = pool_get(&s->flows, flow);
    if (f == NULL) {
        return; /* we closed it ourselves */
    }
    struct node_id node = f->ref.node;
    bool is_peer = f->ref.kind == SIP_PEER, has_requests = f->clients > 0;
    flow_release(t, s, f);
    if (is_peer) {
        dial_on_closed(t, s, &node, flow);
    } else if (has_requests) {
        fork_on_flow_closed(t, s, flow);
    }
}

handle sip_dialled(struct turn *t, struct sip *s, handle tag, handle conn)
{
    return foreign_dialled(t, s, tag, conn);
}

/* ---- the other inputs */

void sip_on_dns(struct turn *t, struct sip *s, uint64_t tag, uint8_t *data, size_t len)
{
    foreign_on_dns(t, s, tag, data, len);
}

void sip_on_mail(struct turn *t, struct sip *s, uint16_t shard, uint16_t mail, uint64_t tag,
                 uint8_t *data, size_t len)
{
    struct flow_ref from;
    struct slice bytes;
    (void)tag;
    CHECK(shard < s->settings.shards);
    switch (mail) {
    case IO_MAIL_SIP: {
        bool is_sound = flow_unsteer(slice_of(data, len), &from, &bytes);
        CHECK(is_sound);
        on_bytes(t, s, &from, bytes, true);
        break;
    }
    case IO_MAIL_SIP_SEND:
        flow_on_mail(t, s, data, len);
        break;
    case IO_MAIL_SIP_PEER:
        from = (struct flow_ref){
            .kind = FLOW_SIBLING, .shard = shard, .node = s->settings.siblings[shard]};
        on_bytes(t, s, &from, slice_of(data, len), true);
        break;
    default:
        UNREACHABLE("mail");
    }
}

void sip_on_overlay(struct turn *t, struct sip *s, const struct overlay_event *event)
{
    switch (event->kind) {
    case OVERLAY_READY:
        registrar_on_ready(t, s);
        break;
    case OVERLAY_STORED:
        registrar_on_stored(t, s, event);
        break;
    case OVERLAY_FETCHED:
        if (!elsewhere_on_fetched(t, s, event)) {
            proxy_on_fetched(t, s, event);
        }
        break;
    case OVERLAY_APPATTACHED:
        dial_on_attached(t, s, event);
        break;
    case OVERLAY_LOST: /* requests fail by themselves until it is back */
    case OVERLAY_LEFT:
    case OVERLAY_PONG:
    case OVERLAY_ASKED:
    case OVERLAY_APPATTACH_DIAL:  /* node/path dials; sip_peer_up follows */
    case OVERLAY_CONFIG_RECEIVED: /* so does it judge */
        break;
    }
}

static void on_tx_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct tx *tx = NULL;
    enum tx_does does = tx_on_timer(t, s, timer, &tx);
    if (does == TX_GIVE_UP) {
        handle branch = tx->user;
        tx_release(t, s, tx);
        fork_on_failed(t, s, branch, TX_GIVE_UP);
    } else if (does == TX_SAY_TRYING) {
        proxy_say_trying(t, s, tx);
    }
}

static void on_event_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    switch (timer->what) {
    case SUBSCRIBE_TIMER_PUBLICATION:
        publish_on_timer(t, s, timer);
        break;
    case SUBSCRIBE_TIMER_OFFLINE:
        offline_on_timer(t, s, timer);
        break;
    default:
        subscribe_on_timer(t, s, timer);
    }
}

void sip_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    switch (handle_kind(timer->tag)) {
    case HANDLE_SIP_TX:
        on_tx_timer(t, s, timer);
        break;
    case HANDLE_SIP_PROXY:
        fork_on_timer(t, s, timer);
        break;
    case HANDLE_SIP_REG:
        registrar_on_timer(t, s, timer);
        break;
    case HANDLE_SIP_EVENT:
        on_event_timer(t, s, timer);
        break;
    case HANDLE_SIP_FOREIGN:
        foreign_on_timer(t, s, timer);
        break;
    case HANDLE_SIP_FLOW:
        if (timer->what == DIAL_TIMER) {
            dial_on_timer(t, s, timer);
        } else {
            struct flow *f = pool_get(&s->flows, timer->tag);
            CHECK(f != NULL); /* cancelled with its flow */
            flow_on_timer(t, s, f);
        }
        break;
    default:
        UNREACHABLE("timer");
    }
}

bool sip_next(struct turn *t, struct sip *s, struct sip_event *event)
{
    (void)t;
    if (s->event_count == 0) {
        return false;
    }
    *event = s->events[s->event_first];
    s->event_first = (s->event_first + 1) % s->event_cap;
    s->event_count--;
    return true;
}

/* ---- for people */

void sip_status(const struct sip *s, struct sip_status *out)
{
    uint32_t index = 0;
    const struct flow *f = NULL;
    *out = (struct sip_status){.bindings = s->bindings.in_use,
                               .accounts_registered = s->registered,
                               .flows = s->flows.in_use,
                               .transactions = s->txs.in_use,
                               .last_setup = s->last_setup,
                               .requests_in = s->requests_in,
                               .responses_in = s->responses_in,
                               .requests_out = s->requests_out,
                               .responses_out = s->responses_out};
    while ((f = pool_next(&s->flows, &index)) != NULL) {
        out->peer_flows += f->ref.kind == SIP_PEER ? 1 : 0;
    }
}

bool sip_walk_bindings(const struct turn *t, const struct sip *s, uint32_t *index,
                       struct sip_binding_info *out)
{
    const struct registrar_binding *b = NULL;
    while ((b = pool_next(&s->bindings, index)) != NULL) {
        if (b->expires_us <= t->now_us) {
            continue;
        }
        out->aor = s->settings.accounts[b->account].user;
        out->contact = registrar_uri(b);
        out->expires_s = (uint32_t)((b->expires_us - t->now_us) / 1000000);
        out->is_stored = s->accounts[b->account].stored_until_us > t->now_us;
        return true;
    }
    return false;
}
