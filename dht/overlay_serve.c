/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_serve.c - a message for us leaves the verification queue: contents, signer, signature,
 * configuration sequence, repetitions, method; in this order (catalogue section 6; SG-1, CU-1,
 * TX-3).
 *
 * What fails before the signature is proved is dropped without a word. */
#include "dht/overlay_impl.h"

#include "codec/msgs.h"
#include "dht/config_sequence.h"
#include "dht/store_restore.h"

static void drop(struct turn *t, enum metric why)
{
    metric_add(t->metrics, why, 1);
}

/* Ping, TM-8 */
static NOINLINE void on_ping(struct turn *t, struct overlay *o, const struct message *m)
{
    struct msgs_ping_req body;
    if (msgs_ping_req_decode(m->body, &o->params, &body) != ERR_OK) {
        transact_error(t, o->transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    struct msgs_ping_ans answer = {.time = t->wall_ms};
    t->crypto->random(t->crypto, &answer.response_id, sizeof(answer.response_id));
    uint8_t out[16];
    struct wr w = wr_init(out, sizeof(out));
    msgs_ping_ans_wr(&w, &o->params, &answer);
    transact_reply(t, o->transact, m, wr_slice(&w));
}

static uint32_t responsible_ppb(const struct overlay *o)
{
    if (!o->table.is_member) {
        return 0;
    }
    struct ring_id range = ids_ring_minus(o->table.self, chord_table_range_from(&o->table));
    if (range.hi == 0 && range.lo == 0) {
        return 1000000000; /* the whole ring */
    }
    return (uint32_t)((range.hi >> 32) * 1000000000 >> 32);
}

/* Probe, TM-7: what was asked for and is known, in that order. */
static NOINLINE void on_probe(struct turn *t, struct overlay *o, const struct message *m)
{
    enum { ASKED_CAP = 16 };
    struct msgs_probe_req body;
    if (msgs_probe_req_decode(m->body, &o->params, &body) != ERR_OK ||
        body.requested_info.len > ASKED_CAP) {
        transact_error(t, o->transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    uint8_t list[ASKED_CAP * 8];
    struct wr infos = wr_init(list, sizeof(list));
    struct store_totals totals;
    store_totals(o->store, &totals);
    for (size_t i = 0; i < body.requested_info.len; i++) {
        struct msgs_probe_information p = {.type = body.requested_info.data[i]};
        if (p.type == MSGS_PROBE_RESPONSIBLE_SET) {
            p.responsible_ppb = responsible_ppb(o);
        } else if (p.type == MSGS_PROBE_NUM_RESOURCES) {
            p.num_resources = totals.resources;
        } else if (p.type == MSGS_PROBE_UPTIME) {
            p.uptime = (uint32_t)((t->now_us - o->started_us) / 1000000);
        } else {
            continue;
        }
        msgs_probe_information_wr(&infos, &o->params, &p);
    }
    struct msgs_probe_ans answer = {.probe_info = wr_slice(&infos)};
    uint8_t out[sizeof(list) + 8];
    struct wr w = wr_init(out, sizeof(out));
    msgs_probe_ans_wr(&w, &o->params, &answer);
    transact_reply(t, o->transact, m, wr_slice(&w));
}

/* Whoever is above judges the document, which stays where it is until then (CU-4). */
static NOINLINE void on_config_update(struct turn *t, struct overlay *o, const struct message *m)
{
    CHECK(!o->has_fetched);
    o->has_fetched = config_update_on_request(t, &o->config_update, m, &o->fetched);
}

static NOINLINE void on_appattach(struct turn *t, struct overlay *o, const struct message *m)
{
    struct overlay_event event;
    if (appattach_on_request(t, &o->appattach, m, &event)) {
        overlay_impl_push(t, o, &event);
    }
}

static bool dispatch(struct turn *t, struct overlay *o, const struct message *m)
{
    if (LIKELY(m->code == CONTENT_FETCH_REQ)) { /* what most ask for */
        return replicate_on_fetch(t, o->replicate, m);
    }
    switch (m->code) {
    case CONTENT_PING_REQ:
        on_ping(t, o, m);
        break;
    case CONTENT_PROBE_REQ:
        on_probe(t, o, m);
        break;
    case CONTENT_ATTACH_REQ:
        attach_on_request(t, o->attach, m);
        break;
    case CONTENT_APP_ATTACH_REQ:
        on_appattach(t, o, m);
        break;
    case CONTENT_JOIN_REQ:
    case CONTENT_LEAVE_REQ:
    case CONTENT_UPDATE_REQ:
    case CONTENT_ROUTE_QUERY_REQ:
        chord_on_request(t, &o->chord, m);
        break;
    case CONTENT_STORE_REQ:
        return replicate_on_store(t, o->replicate, m);
    case CONTENT_STAT_REQ:
        return replicate_on_fetch(t, o->replicate, m);
    case CONTENT_FIND_REQ:
        replicate_on_find(t, o->replicate, m);
        break;
    case CONTENT_CONFIG_UPDATE_REQ:
        on_config_update(t, o, m);
        break;
    default:
        transact_error(t, o->transact, m, CONTENT_ERROR_INVALID_MESSAGE,
                       SLICE_LITERAL("unknown method")); /* RX-9, A-05 */
        break;
    }
    return true;
}

/* What may be wrong with a request whose signature is right; 0: nothing. */
static uint16_t fault_of(const struct overlay *o, const struct message *m, uint8_t option_flags,
                         bool has_critical)
{
    bool is_update = m->code == CONTENT_CONFIG_UPDATE_REQ &&
                     m->configuration_sequence == FWD_SEQUENCE_UPDATE; /* CU-3 */
    if (m->configuration_sequence != o->s.config.sequence && !is_update) {
        return config_sequence_is_newer(m->configuration_sequence, o->s.config.sequence)
                   ? CONTENT_ERROR_CONFIG_TOO_NEW
                   : CONTENT_ERROR_CONFIG_TOO_OLD; /* CU-1 */
    }
    if ((option_flags & FWD_OPTION_DESTINATION_CRITICAL) != 0) {
        return CONTENT_ERROR_UNSUPPORTED_FORWARDING_OPTION; /* FW-14 */
    }
    return has_critical ? CONTENT_ERROR_UNKNOWN_EXTENSION : 0;
}

/* True when a request with effects has been met before, and what was due to that is done. */
static bool is_repeated(struct turn *t, struct overlay *o, const struct message *m,
                        const struct answer_cache_key *key)
{
    struct slice payload = SLICE_EMPTY;
    switch (answer_cache_find(t, &o->answers, key, &payload)) {
    case ANSWER_CACHE_MISS:
        return false;
    case ANSWER_CACHE_PENDING:
        drop(t, METRIC_dht_drop_repeated);
        return true;
    case ANSWER_CACHE_HIT:
        transact_repeat(t, o->transact, m, payload);
        return true;
    }
    UNREACHABLE("answer cache");
}

struct opened {
    bool is_known; /* proved in an earlier turn */
    struct message *m;
    struct slice payload;
    uint8_t option_flags;
    bool has_critical; /* extension */
    struct secblock security;
    struct inbox_kept own; /* where the inbox has kept nothing that still holds */
};

/* Header and destination of a message of ours for ourselves, or of one that is not for us any more:
 * then the ring has changed since it was queued.  What was kept of it comes to stand in `own`. */
static bool place_anew(struct turn *t, struct overlay *o, const struct inbox_item *item,
                       struct inbox_kept *own)
{
    struct fwd h;
    struct route_decision d;
    struct route_from from = {.link = item->link, .is_own = item->is_own};
    if (fwd_decode(msgbuf_slice(item->buf), &o->params, &h) != ERR_OK) {
        drop(t, METRIC_dht_drop_contents);
        return false;
    }
    route_decide(&o->route, &h, &from, &d);
    if (d.verdict != ROUTE_LOCAL) {
        drop(t, d.verdict == ROUTE_DROP ? d.why : METRIC_dht_drop_no_route);
        return false;
    }
    const struct inbox_kept *before = inbox_kept_of(item);
    inbox_keep(own, &h, &d, item->link,
               before == NULL ? &o->s.self->node_id : &before->m.previous_hop);
    own->m.is_own = item->is_own;
    return true;
}

static bool is_ours_still(const struct chord_table *ct, const struct inbox_kept *kept)
{
    bool is_as_then = kept->generation == ct->generation && ct->is_member;
    return is_as_then || chord_table_is_responsible(ct, kept->m.resource);
}

/* Header, contents, security block: everything that can be read without proof. */
static bool open_message(struct turn *t, struct overlay *o, const struct inbox_item *item,
                         struct opened *out)
{
    struct content content; /* m has what is needed of it */
    struct slice rest;
    struct inbox_kept *kept = inbox_kept_of(item);
    bool is_placed = kept != NULL && (!kept->m.to_resource || is_ours_still(&o->table, kept));
    if (!is_placed) {
        if (!place_anew(t, o, item, &out->own)) {
            return false;
        }
        kept = &out->own;
    }
    if (content_decode(kept->payload, &content, &rest) != ERR_OK ||
        secblock_decode(rest, &out->security) != ERR_OK) {
        drop(t, METRIC_dht_drop_contents);
        return false;
    }
    out->payload = kept->payload;
    out->option_flags = kept->option_flags;
    out->has_critical = content.has_critical;
    struct message *m = &kept->m; /* signer and certificates: is_proved */
    m->code = content.code;
    m->body = content.body;
    m->contents = content.bytes;
    out->m = m;
    return true;
}

static inline bool is_proved(struct turn *t, struct overlay *o, struct opened *x)
{
    struct message *m = x->m;
    if (sign_signer(t, o->sign, &x->security.signature.identity, x->security.certificates,
                    &m->certificate, &m->signer) != ERR_OK) {
        drop(t, METRIC_dht_drop_certificate);
        return false;
    }
    /* What we made ourselves a moment ago and what never left this process needs no second look;
     * everything else does, a message of ours that came back over a link too. */
    bool is_known = m->is_own || x->is_known;
    if (!is_known && sign_verify_message(t, o->sign, m->transaction_id, m->contents, m->certificate,
                                         &x->security.signature) != ERR_OK) {
        drop(t, METRIC_dht_drop_signature);
        return false;
    }
    m->certificates = x->security.certificates;
    return true;
}

/* Requests with effects are carried out once. */
static bool is_done_already(struct turn *t, struct overlay *o, struct opened *x,
                            const struct answer_cache_key *payload_key)
{
    struct answer_cache_key key = answer_cache_signer_key(x->m->transaction_id, &x->m->signer);
    if (is_repeated(t, o, x->m, &key)) {
        return true;
    }
    answer_cache_begin(t, &o->answers, payload_key, &key);
    return false;
}

static bool serve_request(struct turn *t, struct overlay *o, struct opened *x)
{
    struct message *m = x->m;
    bool is_new = answer_cache_is_for(m->code) && !x->is_known;
    struct answer_cache_key payload_key;
    if (is_new) {
        payload_key = answer_cache_payload_key(t, m->transaction_id, x->payload);
        if (is_repeated(t, o, m, &payload_key)) {
            return true;
        }
    }
    if (!is_proved(t, o, x)) {
        return true;
    }
    uint16_t fault = fault_of(o, m, x->option_flags, x->has_critical);
    if (fault != 0) {
        transact_error(t, o->transact, m, fault, SLICE_EMPTY);
        if (fault == CONTENT_ERROR_CONFIG_TOO_OLD) {
            config_update_send_back(t, &o->config_update, m); /* CU-2 */
        }
        return true;
    }
    if (m->configuration_sequence == o->s.config.sequence) {
        config_update_note(t, &o->config_update, &m->signer);
    }
    if (is_new && is_done_already(t, o, x, &payload_key)) {
        return true;
    }
    /* What passes through shall not wait for two signatures: the answer is for another turn. */
    return sign_fits(o->sign, m->to) && dispatch(t, o, m);
}

static void serve_answer(struct turn *t, struct overlay *o, struct opened *x)
{
    struct transact_result result;
    if (!transact_is_expected(o->transact, x->m->transaction_id)) {
        drop(t, METRIC_dht_drop_unexpected);
        return;
    }
    if (!is_proved(t, o, x)) {
        return;
    }
    if (x->has_critical) {
        drop(t, METRIC_dht_drop_contents);
        return;
    }
    if (transact_on_answer(t, o->transact, x->m, &result)) {
        if (result.reload_error == CONTENT_ERROR_CONFIG_TOO_NEW) {
            config_update_send(t, &o->config_update, &x->m->signer); /* CU-2 */
        }
        overlay_impl_on_result(t, o, &result);
    }
}

/* A Store may come again in another turn, once for each value that it may have at most; and
 * whatever has to do with values of an earlier life that must be proved first. */
static bool can_wait(const struct overlay *o, const struct opened *x, const struct inbox_item *item)
{
    bool is_unproved = store_restore_left(o->store) > 0 &&
                       (x->m->code == CONTENT_FETCH_REQ || x->m->code == CONTENT_STAT_REQ);
    return (x->m->code == CONTENT_STORE_REQ || is_unproved) && item->tries < STORE_PLAN_CAP;
}

bool overlay_serve(struct turn *t, struct overlay *o, const struct inbox_item *item)
{
    struct opened x; /* too large to be zeroed for each message */
    x.is_known = item->tries > 0;
    if (!open_message(t, o, item, &x)) {
        return true;
    }
    sign_begin_message(o->sign, can_wait(o, &x, item));
    if (content_is_request(x.m->code)) {
        return serve_request(t, o, &x);
    }
    if (content_is_answer(x.m->code)) {
        serve_answer(t, o, &x);
    } else {
        drop(t, METRIC_dht_drop_contents);
    }
    return true;
}
