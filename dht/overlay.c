/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.c - the object: puts the parts together, hands timers and results to their owners, and
 * takes requests from above.  What comes from links: overlay_receive.c and overlay_serve.c. */
#include "core/buggify.h"
#include "dht/overlay_impl.h"

#include "codec/msgs.h"
#include "dht/store_parts.h"
#include "dht/store_restore.h"

enum { TRANSIT_ERRORS_PER_S = 10, TRANSIT_ERRORS_AT_ONCE = 20, MESSAGE_SLACK = 1024 };
enum {
    TRANSIT_LULL_US = 5000, /* so long after the last message that has passed through */
    VERIFY_SHARE = 16,      /* one part of so many is for signatures, whatever passes through */
};

static struct chord_settings chord_settings_of(struct overlay *o)
{
    return (struct chord_settings){.overlay = &o->s,
                                   .params = &o->params,
                                   .table = &o->table,
                                   .route = &o->route,
                                   .attach = o->attach,
                                   .transact = o->transact,
                                   .links = o->links};
}

/* These make the settings of a part from ours; `o` may be NULL when only sizes are asked for. */

static struct transact_settings transact_settings_of(const struct overlay_settings *s,
                                                     struct overlay *o)
{
    struct transact_settings ts = {
        .requests = s->limits->requests,
        .deferred = s->limits->answers_deferred,
        .max_message_bytes = s->config.max_message_bytes,
        .reliability_timer_us = (uint64_t)s->config.reliability_timer_ms * 1000,
        .configuration_sequence = s->config.sequence,
        .initial_ttl = s->config.initial_ttl,
        .self = s->self,
    };
    if (o != NULL) {
        ts.params = &o->params;
        ts.sign = o->sign;
        ts.table = &o->table;
        ts.out = &o->out;
        ts.answers = &o->answers;
    }
    return ts;
}

static struct attach_settings attach_settings_of(const struct overlay_settings *s,
                                                 struct overlay *o)
{
    struct attach_settings as = {.exchanges = s->limits->attaches, .self = s->self};
    if (o != NULL) {
        as.params = &o->params;
        as.table = &o->table;
        as.links = o->links;
        as.transact = o->transact;
        as.policy = &o->policy;
        as.ours = (struct attach_policy_ours){
            .candidates = o->s.candidates,
            .candidate_count = o->s.candidate_count,
            .trunks = s->config.links != OVERLAY_LINKS_DATAGRAM,
            .datagrams = s->config.links != OVERLAY_LINKS_TRUNK,
        };
    }
    return as;
}

static struct frag_settings frag_settings_of(const struct overlay_settings *s)
{
    return (struct frag_settings){.messages = s->limits->reassemblies,
                                  .messages_per_source = s->limits->reassemblies_per_source,
                                  .bytes = s->limits->reassembly_bytes,
                                  .bytes_per_source = s->limits->reassembly_bytes_per_source,
                                  .max_message_bytes = s->config.max_message_bytes,
                                  .quiet_us = (uint64_t)s->config.reliability_timer_ms * 1000 / 3};
}

static struct store_settings store_settings_of(const struct overlay_settings *s, struct overlay *o)
{
    struct store_settings ss = {
        .sets = s->limits->stored_sets,
        .values = s->limits->stored_values,
        .bytes = s->limits->stored_bytes,
        .certificates = s->limits->stored_certificates,
        .values_per_signer = s->limits->stored_per_signer,
        .lifetime_max_s = s->limits->stored_lifetime_max_s,
        .log_bytes = s->log_bytes,
    };
    if (o != NULL) {
        ss.config = &o->s.config;
        ss.params = &o->params;
        ss.sign = o->sign;
    }
    return ss;
}

static struct replicate_settings replicate_settings_of(const struct overlay_settings *s,
                                                       struct overlay *o)
{
    struct replicate_settings rs = {.self = s->self,
                                    .max_message_bytes = s->config.max_message_bytes,
                                    .ack = s->storage_ack,
                                    .ops = s->limits->replica_requests,
                                    .acks = s->limits->replica_acks};
    if (o != NULL) {
        rs.params = &o->params;
        rs.store = o->store;
        rs.sign = o->sign;
        rs.transact = o->transact;
        rs.topo = &o->topo;
    }
    return rs;
}

static struct store_client_settings client_settings_of(const struct overlay_settings *s,
                                                       struct overlay *o)
{
    struct store_client_settings cs = {.ops = s->limits->storage_requests};
    if (o != NULL) {
        cs.params = &o->params;
        cs.config = &o->s.config;
        cs.sign = o->sign;
        cs.transact = o->transact;
        cs.table = &o->table;
    }
    return cs;
}

static struct cert_usage_settings cert_usage_settings_of(const struct overlay_settings *s,
                                                         struct overlay *o)
{
    struct cert_usage_settings us = {.publish = s->publish, .publish_count = s->publish_count};
    if (o != NULL) {
        us.params = &o->params;
        us.client = o->client;
    }
    return us;
}

static struct config_update_settings config_update_settings_of(const struct overlay_settings *s,
                                                               struct overlay *o)
{
    struct config_update_settings us = {.self = s->self,
                                        .document = s->document,
                                        .max_message_bytes = s->config.max_message_bytes,
                                        .takes_documents = s->takes_documents};
    if (o != NULL) {
        us.params = &o->params;
        us.transact = o->transact;
        us.table = &o->table;
    }
    return us;
}

/* Every request ends in one event, so this many and a few more can wait to be taken. */
static uint32_t event_cap(const struct overlay_settings *s)
{
    return s->limits->requests + s->limits->storage_requests + OVERLAY_IMPL_EVENTS_SPARE;
}

static size_t scratch_bytes(const struct overlay_settings *s)
{
    return s->config.max_message_bytes + MESSAGE_SLACK + OVERLAY_IMPL_HEADROOM;
}

static struct sign_limits sign_limits_of(const struct overlay_settings *s)
{
    return (struct sign_limits){.certificates = s->limits->certificates,
                                .certificate_bytes = s->limits->certificate_bytes,
                                .values = s->limits->values_verified,
                                .max_message_bytes = s->config.max_message_bytes};
}

size_t overlay_bytes(const struct overlay_settings *s)
{
    const struct limits *l = s->limits;
    struct transact_settings ts = transact_settings_of(s, NULL);
    struct attach_settings as = attach_settings_of(s, NULL);
    struct frag_settings fs = frag_settings_of(s);
    struct store_settings ss = store_settings_of(s, NULL);
    struct replicate_settings rs = replicate_settings_of(s, NULL);
    struct store_client_settings cs = client_settings_of(s, NULL);
    struct cert_usage_settings us = cert_usage_settings_of(s, NULL);
    struct config_update_settings ds = config_update_settings_of(s, NULL);
    struct sign_limits signs = sign_limits_of(s);
    return sizeof(struct overlay) + chord_table_bytes(l->ring_nodes) +
           inbox_bytes(l->verify_queue) + answer_cache_bytes(l->answers_cached) +
           attach_policy_bytes(l->attaches) + frag_bytes(&fs) + via_bytes(l->via_lists) +
           sign_bytes(&signs) + transact_bytes(&ts) + attach_bytes(&as) + store_bytes(&ss) +
           replicate_bytes(&rs) + store_client_bytes(&cs) + cert_usage_bytes(&us) +
           config_update_bytes(&ds) + event_cap(s) * sizeof(struct overlay_event) +
           scratch_bytes(s) + 1024;
}

uint32_t overlay_hash_of(struct turn *t, struct slice name)
{
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    t->crypto->sha1(name, sha1);
    const uint8_t *low = sha1 + sizeof(sha1) - sizeof(uint32_t);
    return (uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];
}

static void init_storage(struct turn *t, struct arena *arena, struct overlay *o)
{
    struct store_settings ss = store_settings_of(&o->s, o);
    o->store = store_init(t, arena, &ss);
    struct replicate_settings rs = replicate_settings_of(&o->s, o);
    o->replicate = replicate_init(t, arena, &rs);
    struct store_client_settings cs = client_settings_of(&o->s, o);
    o->client = store_client_init(arena, &cs);
    struct cert_usage_settings us = cert_usage_settings_of(&o->s, o);
    o->cert_usage = cert_usage_init(t, arena, &us);
}

struct overlay *overlay_init(struct turn *t, struct arena *arena, const struct overlay_settings *s,
                             struct link_table *links)
{
    CHECK(s->config.node_id_length == IDS_RING_BYTES); /* */
    const struct limits *l = s->limits;
    struct overlay *o = ARENA_ARRAY(arena, struct overlay, 1);
    o->s = *s;
    o->links = links;
    o->params = (struct rl_params){.overlay = overlay_hash_of(t, slice_text(o->s.config.name)),
                                   .node_id_length = o->s.config.node_id_length};
    chord_table_init(&o->table, arena, l->ring_nodes, &s->self->node_id,
                     sign_host(t, slice_of(s->self->user, s->self->user_len)));
    o->topo = (struct topo){.table = &o->table, .min_hosts = s->config.replica_min_hosts};
    o->route = (struct route){.params = &o->params,
                              .table = &o->table,
                              .self = s->self,
                              .accounts = s->publish,
                              .account_count = s->publish_count};
    parked_init(&o->parked);
    via_init(&o->via, arena, l->via_lists, l->via_lists_per_source,
             (uint64_t)s->config.reliability_timer_ms * 1000);
    struct frag_settings fs = frag_settings_of(s);
    o->frag = frag_init(t, arena, &fs);
    struct inbox_limits waiting = {.cap = l->verify_queue,
                                   .large = l->verify_queue_large,
                                   .age_us = (uint64_t)s->config.reliability_timer_ms * 1000};
    inbox_init(&o->inbox, arena, &waiting);
    o->out = (struct outgoing){.route = &o->route, .inbox = &o->inbox, .links = links};
    answer_cache_init(t, &o->answers, arena, l->answers_cached);
    attach_policy_init(&o->policy, arena, l->attaches, l->dials_per_minute);
    struct sign_limits signs = sign_limits_of(s);
    o->sign = sign_init(t, arena, &signs, &o->params, &o->s.trust);
    struct transact_settings ts = transact_settings_of(&o->s, o);
    o->transact = transact_init(t, arena, &ts);
    struct attach_settings as = attach_settings_of(&o->s, o);
    o->attach = attach_init(arena, &as);
    o->appattach = (struct appattach){.params = &o->params,
                                      .transact = o->transact,
                                      .policy = &o->policy,
                                      .candidates = o->s.sip_candidates,
                                      .candidate_count = o->s.sip_candidate_count};
    struct config_update_settings us = config_update_settings_of(&o->s, o);
    config_update_init(t, &o->config_update, arena, &us);
    struct chord_settings cs = chord_settings_of(o);
    chord_init(&o->chord, &cs);
    init_storage(t, arena, o);
    o->message_room = s->config.max_message_bytes;
    o->scratch_bytes = scratch_bytes(s);
    o->scratch = ARENA_SCRATCH(arena, uint8_t, o->scratch_bytes);
    o->event_cap = event_cap(s);
    o->events = ARENA_RAW(arena, struct overlay_event, o->event_cap);
    bucket_init(&o->transit_errors, TRANSIT_ERRORS_PER_S * 1000, TRANSIT_ERRORS_AT_ONCE, t->now_us);
    return o;
}

void overlay_fetch_ahead(const struct overlay *o)
{
    __builtin_prefetch(&o->params);
    __builtin_prefetch(&o->table.generation);
    __builtin_prefetch(&o->route);
    __builtin_prefetch(&o->inbox);
    __builtin_prefetch(&o->inbox.count);
    __builtin_prefetch(&o->chord.seen_version);
    __builtin_prefetch(&o->chord.is_left_due);
    __builtin_prefetch(&o->phase);
    __builtin_prefetch(&o->seen);
    __builtin_prefetch(&o->passed_on_us);
    __builtin_prefetch(&o->events);
    __builtin_prefetch(&o->held);
}

void overlay_start(struct turn *t, struct overlay *o)
{
    o->started_us = t->now_us;
    o->seen.now_us = t->now_us;
    o->seen.wall_ms = t->wall_ms;
    chord_start(t, &o->chord);
}

void overlay_take_ring(struct turn *t, struct overlay *o)
{
    chord_take_ring(t, &o->chord);
}

void overlay_leave(struct turn *t, struct overlay *o)
{
    if (o->phase != OVERLAY_IMPL_RUNNING) {
        return;
    }
    o->phase = OVERLAY_IMPL_LEAVING;
    cert_usage_stop(t, o->cert_usage);
    if (o->is_ready) {
        chord_will_leave(&o->chord);
        replicate_leave(t, o->replicate); /* then REPLICATE_LEFT, then Leave */
    } else {
        chord_leave(t, &o->chord);
    }
}

/* Events */

void overlay_impl_push(struct turn *t, struct overlay *o, const struct overlay_event *event)
{
    if (o->event_count == o->event_cap) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return;
    }
    o->events[(o->event_head + o->event_count++) % o->event_cap] = *event;
}

bool overlay_impl_has_room(const struct overlay *o)
{
    return o->event_count + OVERLAY_IMPL_EVENTS_SPARE / 2 <= o->event_cap;
}

/* What was borrowed from them has been used. */
static void release_held(struct turn *t, struct overlay *o)
{
    if (o->held != NULL && !o->has_fetched) {
        msgbuf_release(t->buffers, o->held);
        o->held = NULL;
        store_parts_release(t, o->held_values);
        o->held_values = NULL;
    }
}

bool overlay_next(struct turn *t, struct overlay *o, struct overlay_event *event)
{
    release_held(t, o);
    if (o->event_count > 0) {
        *event = o->events[o->event_head];
        o->event_head = (o->event_head + 1) % o->event_cap;
        o->event_count--;
        o->event_head = o->event_count == 0 ? 0 : o->event_head; /* few places in use */
        return true;
    }
    if (o->has_fetched) {
        o->has_fetched = false;
        *event = o->fetched;
        return true;
    }
    return false;
}

static void push_simple(struct turn *t, struct overlay *o, enum overlay_event_kind kind)
{
    struct overlay_event event = {.kind = kind, .node_id = o->s.self->node_id};
    overlay_impl_push(t, o, &event);
}

/* Results of our requests */

static void on_stored(struct turn *t, struct overlay *o, const struct store_client_done *done)
{
    if (done->user == STORE_CLIENT_CERT_USAGE) {
        cert_usage_on_done(t, o->cert_usage, done);
        store_parts_release(t, done->kept);
        return;
    }
    struct overlay_event event = {.kind = done->is_fetch ? OVERLAY_FETCHED : OVERLAY_STORED,
                                  .tag = done->tag,
                                  .error = done->error,
                                  .reload_error = done->reload_error,
                                  .hops = done->hops,
                                  .elapsed_us = done->elapsed_us,
                                  .node_id = done->node_id,
                                  .values = done->values,
                                  .value_count = done->value_count};
    if (done->value_count == 0) {
        event.values = NULL;
        overlay_impl_push(t, o, &event);
        return;
    }
    CHECK(!o->has_fetched);
    CHECK(o->held_values == NULL);
    o->held_values = done->kept;
    o->fetched = event;
    o->has_fetched = true;
}

void overlay_impl_on_result(struct turn *t, struct overlay *o, const struct transact_result *result)
{
    struct store_client_done done;
    struct overlay_event event = {.kind = OVERLAY_PONG,
                                  .tag = result->tag,
                                  .error = result->error,
                                  .reload_error = result->reload_error,
                                  .hops = result->hops,
                                  .elapsed_us = result->elapsed_us};
    if (result->answer != NULL) {
        event.node_id = result->answer->signer;
    }
    switch (result->owner) {
    case TRANSACT_NOBODY:
    case TRANSACT_CONFIG_UPDATE:
        break;
    case TRANSACT_JOIN:
    case TRANSACT_STABILIZE:
        chord_on_result(t, &o->chord, result);
        break;
    case TRANSACT_ATTACH:
        attach_on_result(t, o->attach, result);
        break;
    case TRANSACT_APPATTACH:
        event.kind = OVERLAY_APPATTACHED;
        overlay_impl_push(t, o, &event);
        break;
    case TRANSACT_PING:
        overlay_impl_push(t, o, &event);
        break;
    case TRANSACT_ASK:
        event.kind = OVERLAY_ASKED;
        overlay_ask_on_result(t, o, result, &event);
        break;
    case TRANSACT_STORE:
    case TRANSACT_FETCH:
    case TRANSACT_CERT_USAGE:
        if (store_client_on_result(t, o->client, result, &done)) {
            on_stored(t, o, &done);
        }
        break;
    case TRANSACT_REPLICATE:
        replicate_on_result(t, o->replicate, result);
        break;
    case TRANSACT_OWNER_COUNT:
        UNREACHABLE("owner of a request");
    }
}

/* Input */

/* TCP has its keep-alive; a datagram link has us (design.md 5).  Whether the answer comes does not
 * matter: it is the link that must acknowledge the question. */
static void ask_whether_alive(struct turn *t, struct overlay *o, const struct link_event *event)
{
    struct msgs_ping_req body = {0};
    uint8_t out[8];
    struct wr w = wr_init(out, sizeof(out));
    msgs_ping_req_wr(&w, &o->params, &body);
    struct transact_request request = {.owner = TRANSACT_NOBODY,
                                       .target = {.type = TRANSACT_NODE, .node = event->node_id},
                                       .link = event->link,
                                       .code = CONTENT_PING_REQ,
                                       .body = wr_slice(&w),
                                       .transmissions = 1};
    enum err e = transact_request(t, o->transact, &request, NULL);
    metric_add(t->metrics, e == ERR_OK ? METRIC_pings_of_silence : METRIC_requests_refused, 1);
}

static NOINLINE void on_link_change(struct turn *t, struct overlay *o,
                                    const struct link_event *event)
{
    switch (event->kind) {
    case LINK_MESSAGE:
        metric_add(t->metrics, METRIC_dht_drop_not_member, 1); /* we have left */
        break;
    case LINK_UNACKED:
        overlay_receive_unacked(t, o, event);
        break;
    case LINK_QUIET:
        if (o->phase != OVERLAY_IMPL_LEFT) {
            ask_whether_alive(t, o, event);
        }
        break;
    case LINK_UP:
    case LINK_SUSPECT:
    case LINK_RESTORED:
    case LINK_DOWN:
        if (o->phase != OVERLAY_IMPL_LEFT) {
            chord_on_link(t, &o->chord, event, sign_host(t, event->user));
        }
        break;
    }
}

void overlay_on_link(struct turn *t, struct overlay *o, const struct link_event *event)
{
    if (LIKELY(event->kind == LINK_MESSAGE && o->phase != OVERLAY_IMPL_LEFT)) {
        overlay_receive(t, o, event);
    } else {
        on_link_change(t, o, event);
    }
}

static void on_transact_timer(struct turn *t, struct overlay *o, struct wheel_timer *timer)
{
    struct transact_result result;
    if (transact_on_timer(t, o->transact, timer, &result)) {
        overlay_impl_on_result(t, o, &result);
    }
}

void overlay_on_timer(struct turn *t, struct overlay *o, struct wheel_timer *timer)
{
    enum handle_of kind = (enum handle_of)handle_kind(timer->tag);
    if (o->phase == OVERLAY_IMPL_LEFT && kind != HANDLE_TRANSACT) {
        return;
    }
    if (kind == HANDLE_TRANSACT) {
        on_transact_timer(t, o, timer);
    } else if (kind == HANDLE_CHORD) {
        chord_on_timer(t, &o->chord, timer);
    } else if (kind == HANDLE_OVERLAY && timer->what == CONFIG_UPDATE_TIMER) {
        config_update_on_timer(t, &o->config_update);
    } else if (kind == HANDLE_OVERLAY) {
        overlay_receive_parked(t, o);
    } else if (kind == HANDLE_FRAG) {
        frag_on_timer(t, o->frag, timer);
    } else if (kind == HANDLE_ATTACH) {
        attach_on_timer(t, o->attach, timer);
    } else if (kind == HANDLE_STORE && timer->what == STORE_TIMER_CERT_USAGE) {
        cert_usage_on_timer(t, o->cert_usage, timer);
    } else {
        CHECK(kind == HANDLE_STORE);
        replicate_on_timer(t, o->replicate, timer);
    }
}

/* The end of a turn */

static void finish_leaving(struct turn *t, struct overlay *o)
{
    o->phase = OVERLAY_IMPL_LEFT;
    o->is_ready = false;
    struct transact_result result;
    struct inbox_item item;
    replicate_clear(t, o->replicate);
    while (inbox_pop(t, &o->inbox, &item)) {
        metric_add(t->metrics, METRIC_dht_drop_not_member, 1);
        msgbuf_release(t->buffers, item.buf);
    }
    uint32_t aborted = 0; /* a store that is repeated makes a new request: bounded all the same */
    while (aborted++ < 2 * o->s.limits->requests && transact_abort(t, o->transact, &result)) {
        overlay_impl_on_result(t, o, &result);
    }
    transact_forget_deferred(t, o->transact);
    config_update_clear(t, &o->config_update);
    attach_clear(t, o->attach);
    answer_cache_clear(t, &o->answers);
    parked_clear(t, &o->parked);
    frag_clear(t, o->frag);
    chord_clear(t, &o->chord);
    for (uint32_t i = 0; i < o->table.count; i++) {
        if (!o->table.nodes[i].is_local) {
            link_close(t, o->links, o->table.nodes[i].link);
        }
    }
    push_simple(t, o, OVERLAY_LEFT);
}

static void on_chord(struct turn *t, struct overlay *o, const struct chord_event *event)
{
    switch (event->kind) {
    case CHORD_EVENT_READY:
        o->is_ready = true;
        push_simple(t, o, OVERLAY_READY);
        cert_usage_start(t, o->cert_usage);
        break;
    case CHORD_EVENT_LOST:
        o->is_ready = false;
        push_simple(t, o, OVERLAY_LOST);
        cert_usage_stop(t, o->cert_usage);
        break;
    case CHORD_EVENT_LEFT:
        finish_leaving(t, o);
        break;
    case CHORD_EVENT_CHANGED:
        replicate_on_change(t, o->replicate, &event->change);
        break;
    case CHORD_EVENT_HAND_OVER:
        if (replicate_hand_over(t, o->replicate, &event->node_id) != ERR_OK) {
            chord_handed_over(t, &o->chord, &event->node_id); /* copies follow by and by */
        }
        break;
    }
}

static void settle(struct turn *t, struct overlay *o)
{
    struct attach_event attached;
    struct chord_event changed;
    struct replicate_event copied;
    while (attach_next(t, o->attach, &attached)) {
        chord_on_attached(t, &o->chord, &attached);
    }
    while (replicate_next(o->replicate, &copied)) {
        if (copied.kind == REPLICATE_HANDED_OVER) {
            chord_handed_over(t, &o->chord, &copied.node_id);
        } else if (o->phase == OVERLAY_IMPL_LEAVING) {
            chord_leave(t, &o->chord);
        }
    }
    chord_settle(t, &o->chord);
    while (chord_next(&o->chord, &changed)) {
        on_chord(t, o, &changed);
    }
}

/* Messages are counted, and so is what can cost more than all of them: strangers' certificates.  A
 * message that has been begun may finish, so a turn judges SIGN_MESSAGE_JUDGED_CAP more at most. */
static bool has_judged_enough(const struct overlay *o)
{
    uint32_t cap = o->s.limits->judged_per_turn;
    return cap != 0 && sign_judged_in_turn(o->sign) >= cap;
}

static bool is_busy(const struct turn *t, const struct overlay *o)
{
    return o->passed_on_us != 0 && t->now_us - o->passed_on_us < TRANSIT_LULL_US;
}

/* While messages pass through, nobody of them shall wait long for the end of the turn; otherwise
 * answers leave together, many in one record. */
static uint64_t allowance_us(const struct turn *t, const struct overlay *o)
{
    return is_busy(t, o) ? o->s.limits->verify_us_per_turn : o->s.limits->verify_us_idle;
}

/* What has just been passed on leaves with the end of this turn, and behind what was taken in a
 * short one there may be more of that kind, so signatures wait for a turn with nothing of it,
 * unless they have waited long enough. */
static bool gives_way(const struct turn *t, const struct overlay *o)
{
    bool is_hurried = o->has_passed_on || (t->is_short && is_busy(t, o));
    return is_hurried && t->now_us - o->verified_at_us < VERIFY_SHARE * o->verified_us;
}

/* Another message like the last one would be too much; one is always served. */
static bool has_spent_enough(const struct overlay *o, uint64_t allowed_us, uint64_t last_us)
{
    uint64_t spent_us = sign_turn_us(o->sign);
    return spent_us > 0 && spent_us + last_us > allowed_us;
}

/* True when messages wait that this turn will not see to. */
static bool is_enough(struct turn *t, const struct overlay *o, uint64_t allowed_us,
                      uint64_t last_us)
{
    bool has_judged = has_judged_enough(o);
    if (!has_judged && !has_spent_enough(o, allowed_us, last_us)) {
        return false;
    }
    metric_add(t->metrics, has_judged ? METRIC_dht_verify_paused : METRIC_dht_verify_postponed,
               inbox_count(&o->inbox) > 0 ? 1 : 0);
    return true;
}

/* What the next messages will ask the memory for.  How many they are. */
static size_t look_ahead(struct overlay *o)
{
    const struct inbox_item *next[STORE_AHEAD];
    struct slice payloads[STORE_AHEAD];
    size_t fetches = 0;
    size_t count = inbox_ahead(&o->inbox, next, ARRAY_COUNT(next));
    for (size_t i = 0; i < count; i++) {
        const struct inbox_kept *kept = inbox_kept_of(next[i]);
        if (kept != NULL && next[i]->code == CONTENT_FETCH_REQ) {
            payloads[fetches++] = kept->payload;
        }
    }
    store_ahead(o->store, payloads, fetches);
    return count;
}

static void serve(struct turn *t, struct overlay *o)
{
    uint32_t budget = o->s.limits->verify_per_turn;
    uint64_t allowed_us = allowance_us(t, o);
    uint64_t last_us = 0;
    size_t ahead = 0;
    struct inbox_item item;
    while (budget-- > 0 && !o->has_fetched && overlay_impl_has_room(o) &&
           !is_enough(t, o, allowed_us, last_us) && !buggify(t, BUGGIFY_turn_over)) {
        ahead = ahead > 0 ? ahead : look_ahead(o);
        if (!inbox_pop(t, &o->inbox, &item)) {
            break;
        }
        uint64_t before_us = sign_turn_us(o->sign);
        if (item.tries == 0) { /* of one that was put back it has been noted */
            inbox_note_wait(t, &item);
        }
        ahead -= (size_t)((ahead > 0) & (item.lane == INBOX_SECOND));
        bool is_served = overlay_serve(t, o, &item);
        last_us = sign_turn_us(o->sign) - before_us;
        inbox_charge(&o->inbox, &item, last_us);
        if (!is_served) {
            inbox_put_back(&o->inbox, &item);
            metric_add(t->metrics, METRIC_dht_verify_postponed, 1);
            return;
        }
        if (o->has_fetched) {
            o->held = item.buf; /* until overlay_next has given it out and is called again */
        } else {
            msgbuf_release(t->buffers, item.buf);
        }
    }
}

/* Values of an earlier life are proved with what the messages of this turn have left. */
static void prove(struct turn *t, struct overlay *o)
{
    uint64_t allowed_us = allowance_us(t, o);
    uint64_t last_us = 0;
    bool goes_on = store_restore_left(o->store) > 0;
    while (goes_on && !has_judged_enough(o) && !has_spent_enough(o, allowed_us, last_us)) {
        uint64_t before_us = sign_turn_us(o->sign);
        sign_begin_message(o->sign, true);
        goes_on = store_restore_step(t, o->store);
        last_us = sign_turn_us(o->sign) - before_us;
    }
}

static void tell_of_queue(struct turn *t, struct overlay *o)
{
    if (sign_turn_us(o->sign) > 0) {
        o->verified_at_us = t->now_us;
        o->verified_us = sign_turn_us(o->sign);
    }
    metric_set(t->metrics, METRIC_dht_verify_queue, inbox_count(&o->inbox));
    metric_set(t->metrics, METRIC_dht_verify_queue_large, o->inbox.large);
    metric_set(t->metrics, METRIC_dht_verify_oldest_us, inbox_oldest_us(t, &o->inbox));
    metric_add(t->metrics, METRIC_dht_verify_us, sign_turn_us(o->sign));
}

bool overlay_work(struct turn *t, struct overlay *o)
{
    o->seen.now_us = t->now_us;
    o->seen.wall_ms = t->wall_ms;
    release_held(t, o);
    sign_begin_turn(o->sign, allowance_us(t, o));
    inbox_shed(t, &o->inbox);
    if (gives_way(t, o)) {
        metric_add(t->metrics, METRIC_dht_verify_postponed, inbox_count(&o->inbox) > 0 ? 1 : 0);
    } else {
        serve(t, o);
        prove(t, o);
    }
    o->has_passed_on = false;
    tell_of_queue(t, o);
    if (o->phase != OVERLAY_IMPL_LEFT) {
        settle(t, o);
    }
    bool has_work = inbox_count(&o->inbox) > 0 ||
                    (o->phase != OVERLAY_IMPL_LEFT && store_restore_left(o->store) > 0);
    t->wants_short = has_work && is_busy(t, o);
    return has_work;
}

/* Requests from above */

void overlay_resource_of(struct turn *t, struct slice name, struct overlay_resource *out)
{
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    t->crypto->sha1(name, sha1);
    memcpy(out->bytes, sha1, sizeof(out->bytes)); /* CH-1 */
}

static struct ring_id ring_of(const struct overlay_resource *resource)
{
    struct ring_id k;
    enum err e = ids_ring_of_resource(slice_of(resource->bytes, sizeof(resource->bytes)), &k);
    CHECK(e == ERR_OK);
    return k;
}

enum err overlay_store(struct turn *t, struct overlay *o, const struct overlay_store *what,
                       uint64_t tag)
{
    return !o->is_ready ? ERR_STATE
                        : store_client_store(t, o->client, what, STORE_CLIENT_OVERLAY, tag);
}

enum err overlay_fetch(struct turn *t, struct overlay *o, const struct overlay_resource *resource,
                       uint32_t kind, uint64_t tag)
{
    return !o->is_ready
               ? ERR_STATE
               : store_client_fetch(t, o->client, resource, kind, STORE_CLIENT_OVERLAY, tag);
}

enum err overlay_appattach(struct turn *t, struct overlay *o, const struct node_id *node_id,
                           uint16_t application, uint64_t tag)
{
    return !o->is_ready ? ERR_STATE
                        : appattach_request(t, &o->appattach, node_id, application, tag);
}

void overlay_config_judged(struct turn *t, struct overlay *o, uint64_t tag, uint16_t error_code)
{
    config_update_judged(&o->config_update, tag);
    if (error_code != 0) {
        metric_add(t->metrics, METRIC_config_updates_refused, 1);
        transact_error_later(t, o->transact, tag, error_code, SLICE_EMPTY);
        return;
    }
    (void)!transact_answer_later(t, o->transact, tag, SLICE_EMPTY, NULL, 0);
}

static enum err ping(struct turn *t, struct overlay *o, const struct transact_target *target,
                     uint64_t tag)
{
    if (!o->is_ready) {
        return ERR_STATE;
    }
    struct msgs_ping_req body = {0};
    uint8_t out[8];
    struct wr w = wr_init(out, sizeof(out));
    msgs_ping_req_wr(&w, &o->params, &body);
    struct transact_request request = {.owner = TRANSACT_PING,
                                       .tag = tag,
                                       .target = *target,
                                       .code = CONTENT_PING_REQ,
                                       .body = wr_slice(&w)};
    return transact_request(t, o->transact, &request, NULL);
}

enum err overlay_ping_node(struct turn *t, struct overlay *o, const struct node_id *node_id,
                           uint64_t tag)
{
    struct transact_target target = {.type = TRANSACT_NODE, .node = *node_id};
    return ping(t, o, &target, tag);
}

enum err overlay_ping_resource(struct turn *t, struct overlay *o,
                               const struct overlay_resource *resource, uint64_t tag)
{
    struct transact_target target = {.type = TRANSACT_RESOURCE, .resource = ring_of(resource)};
    return ping(t, o, &target, tag);
}

/* Views */

bool overlay_is_ready(const struct overlay *o)
{
    return o->is_ready;
}

bool overlay_is_responsible(const struct overlay *o, const struct overlay_resource *resource)
{
    return chord_table_is_responsible(&o->table, ring_of(resource));
}

void overlay_status(const struct overlay *o, struct overlay_status *out)
{
    struct store_totals totals;
    struct overlay_stored stored;
    uint32_t index = 0;
    store_totals(o->store, &totals);
    memset(out, 0, sizeof(*out));
    out->is_ready = o->is_ready;
    out->configuration_sequence = o->s.config.sequence;
    out->self = o->table.self_id;
    for (uint32_t i = 0; i < o->table.successor_count; i++) {
        out->successors[out->successor_count++] = chord_table_successor(&o->table, i)->id;
    }
    for (uint32_t i = 0; i < o->table.predecessor_count; i++) {
        out->predecessors[out->predecessor_count++] = chord_table_predecessor(&o->table, i)->id;
    }
    out->fingers = chord_fingers(&o->chord);
    out->routing_table = chord_table_peers(&o->table);
    out->resources = totals.sets;
    while (overlay_walk_stored(o, &index, &stored)) {
        out->values_owned += stored.is_owned ? 1 : 0;
        out->values_replica += stored.is_owned ? 0 : 1;
    }
    out->stored_bytes = totals.stored_bytes;
    out->requests_open = transact_open(o->transact);
    out->verify_queue = inbox_count(&o->inbox);
    out->verify_queue_large = o->inbox.large;
    out->verify_oldest_us = inbox_oldest_us(&o->seen, &o->inbox);
}

bool overlay_walk_stored(const struct overlay *o, uint32_t *index, struct overlay_stored *out)
{
    if (!store_walk(&o->seen, o->store, index, out)) {
        return false;
    }
    out->is_owned = overlay_is_responsible(o, &out->resource);
    return true;
}
