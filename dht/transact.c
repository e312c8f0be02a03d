/* SPDX-License-Identifier: Apache-2.0 */
/* transact.c - a request is one message buffer, sent again as it stands, and one timer.
 *
 * Building a message is the same for requests and answers: header, contents, security block, one
 * after the other into one buffer, then the header's length is put right. */
#include "dht/transact.h"
#include "core/buggify.h"
#include "core/trace.h"

#include "core/limits.h"
#include "dht/answer_cache.h"
#include "dht/budget.h"
#include "dht/outgoing.h"
#include "dht/overlay.h"
#include "dht/topo.h"
#include "dht/upkeep.h"

enum { CONFIG_UPDATE_TTL = 32 };
enum { TRANSMISSIONS = 5, VIA_CAP = 1024, OPTIONS_CAP = 64, DEFERRED_US = 15000000 };
enum { TIMER_REQUEST, TIMER_DEFERRED };
enum { SECBLOCK_ROOM = 64 + CRYPTO_SIGNATURE_CAP, HEADER_ROOM = FWD_FIXED_BYTES + 64 };

struct request {
    struct wheel_timer timer;
    struct msgbuf *buf;
    uint64_t transaction_id;
    uint64_t tag;
    uint64_t begun_us;
    handle link;
    struct transact_target target;
    enum transact_owner owner;
    uint16_t code;
    uint8_t transmissions; /* made */
    uint8_t allowed;
    uint8_t owner_bytes; /* of the entry in front that names the owner; 0: there is none */
    bool any_signer;
    bool is_open; /* for ourselves, so not signed */
};
STATIC_CHECK(sizeof(struct request) <= LIMITS_COST_requests);

/* What answering takes. */
struct way_back {
    uint64_t transaction_id;
    const struct ident *by; /* who of ours was asked */
    struct node_id signer;  /* who asked */
    struct node_id previous_hop;
    struct slice via_list;
    struct slice options;
    uint32_t max_response_length;
    uint16_t code; /* of the request; 0: of a message whose contents we have not looked at */
    bool is_own;   /* we have asked ourselves */
};

struct deferred {
    struct wheel_timer timer;
    struct way_back back; /* slices point into the arrays below */
    uint8_t via[VIA_CAP];
    uint8_t options[OPTIONS_CAP];
};
STATIC_CHECK(sizeof(struct deferred) <= LIMITS_COST_answers_deferred);

struct transact {
    struct transact_settings s;
    struct pool requests;
    struct pool deferred;
    struct table by_id; /* transaction id -> index of request */
};

size_t transact_bytes(const struct transact_settings *s)
{
    return sizeof(struct transact) + budget_pool(s->requests, sizeof(struct request)) +
           budget_pool(s->deferred, sizeof(struct deferred)) +
           budget_table(s->requests, sizeof(uint64_t)) + BUDGET_SLACK;
}

struct transact *transact_init(struct turn *t, struct arena *arena,
                               const struct transact_settings *s)
{
    struct transact *tr = ARENA_ARRAY(arena, struct transact, 1);
    tr->s = *s;
    pool_init(&tr->requests, arena, "requests", HANDLE_TRANSACT, s->requests,
              sizeof(struct request));
    pool_init(&tr->deferred, arena, "deferred", HANDLE_TRANSACT, s->deferred,
              sizeof(struct deferred));
    table_init(&tr->by_id, arena, s->requests, sizeof(uint64_t), rng_next(t->rng));
    return tr;
}

/* Building */

struct build {
    const struct ident *signer;
    struct fwd header; /* transaction id, options, max_response_length */
    uint16_t code;
    struct slice body;
    const struct slice *certificates;
    size_t certificate_count;
    size_t
        via_room; /* left free below max-message-size: who passes it on appends to the Via List */
    bool is_open; /* it stays in this process: not signed */
};

static size_t room_for(const struct build *b)
{
    size_t room = HEADER_ROOM + 16 + b->header.destination_list.len + b->header.options.len +
                  b->body.len + b->signer->certificate.len + 3 + SECBLOCK_ROOM;
    for (size_t i = 0; i < b->signer->intermediate_count; i++) {
        room += b->signer->intermediates[i].len + 3;
    }
    for (size_t i = 0; i < b->certificate_count; i++) {
        room += b->certificates[i].len + 3;
    }
    return room;
}

/* The whole message in a buffer of its own. */
static enum err build_message(struct turn *t, struct transact *tr, struct build *b,
                              struct msgbuf **out)
{
    size_t room = room_for(b);
    bool before = upkeep_begin(t->buffers, b->code);
    struct msgbuf *buf = msgbuf_acquire(t->buffers, room);
    msgbuf_open_reserve(t->buffers, before);
    if (buf == NULL) {
        return room > MSGBUF_LARGE_BYTES ? ERR_TOO_LARGE : ERR_NO_MEMORY;
    }
    b->header.overlay = tr->s.params->overlay;
    b->header.configuration_sequence =
        b->code == CONTENT_CONFIG_UPDATE_REQ ? FWD_SEQUENCE_UPDATE : tr->s.configuration_sequence;
    /* only those who pass it on count down.  A ConfigUpdate must come through where
     * initial-ttl is smaller than here, too. */
    b->header.ttl = b->code == CONTENT_CONFIG_UPDATE_REQ
                        ? (uint8_t)min_size(tr->s.initial_ttl, CONFIG_UPDATE_TTL)
                        : tr->s.initial_ttl;
    b->header.fragment = FWD_FRAGMENT_WHOLE;
    struct wr w = wr_init(msgbuf_data(buf), msgbuf_tailroom(buf));
    size_t contents = FWD_FIXED_BYTES + b->header.destination_list.len + b->header.options.len;
    struct wr head = w;
    (void)wr_claim(&w, contents);
    content_wr(&w, b->code, b->body, SLICE_EMPTY);
    enum err e = wr_ok(&w) ? ERR_OK : ERR_TOO_LARGE;
    if (e == ERR_OK) {
        struct sign_sealed sealed = {
            .who = b->signer,
            .transaction_id = b->header.transaction_id,
            .contents_at = contents,
            .certificates = b->certificates,
            .certificate_count = b->certificate_count,
        };
        e = b->is_open ? sign_leave_open(&w, &sealed) : sign_seal(t, tr->s.sign, &w, &sealed);
    }
    if (e == ERR_OK && wr_len(&w) + b->via_room > tr->s.max_message_bytes) {
        e = ERR_TOO_LARGE;
    }
    if (e == ERR_OK) {
        b->header.length = (uint32_t)wr_len(&w);
        fwd_wr(&head, &b->header);
        e = wr_ok(&head) ? ERR_OK : ERR_TOO_LARGE;
    }
    if (e != ERR_OK) {
        msgbuf_release(t->buffers, buf);
        return e;
    }
    buf->len = b->header.length;
    *out = buf;
    return ERR_OK;
}

/* Requests */

/* The topology's own requests may use the last quarter: load from above cannot starve them. */
static bool has_room(const struct transact *tr, enum transact_owner owner)
{
    uint32_t in_use = tr->requests.in_use;
    switch (owner) {
    case TRANSACT_JOIN:
    case TRANSACT_STABILIZE:
    case TRANSACT_ATTACH:
    case TRANSACT_NOBODY:
        return in_use < tr->requests.cap;
    case TRANSACT_APPATTACH:
    case TRANSACT_PING:
    case TRANSACT_ASK:
    case TRANSACT_STORE:
    case TRANSACT_FETCH:
    case TRANSACT_REPLICATE:
    case TRANSACT_CERT_USAGE:
    case TRANSACT_CONFIG_UPDATE:
        return in_use < tr->requests.cap - tr->requests.cap / 4;
    case TRANSACT_OWNER_COUNT:
        break;
    }
    UNREACHABLE("owner of a request");
}

/* Whose the resource is, where that is a neighbor: a source route by way of it (FW-10) spares the
 * peer before it, to whom the topology would send us (FW-7).  Writes the entry in front; its
 * length.
 */
static size_t wr_owner(struct wr *w, const struct transact *tr, const struct transact_request *what)
{
    struct topo_peer owner;
    const struct topo known = {.table = tr->s.table};
    size_t before = wr_len(w);
    if (what->target.type != TRANSACT_RESOURCE || !tr->s.table->is_member || what->link != 0 ||
        what->destinations.len > 0 || !ids_node_is_invalid(&what->through) ||
        !topo_owner(&known, what->target.resource, &owner) ||
        ids_node_is_equal(&owner.id, &tr->s.table->self_id)) {
        return 0;
    }
    fwd_wr_node(w, tr->s.params, &owner.id);
    return wr_len(w) - before;
}

static void wr_target(struct wr *w, const struct transact *tr, const struct transact_request *what)
{
    uint8_t resource[IDS_RING_BYTES];
    if (!ids_node_is_invalid(&what->through)) {
        fwd_wr_node(w, tr->s.params, &what->through);
    }
    switch (what->target.type) {
    case TRANSACT_NODE:
        fwd_wr_node(w, tr->s.params, &what->target.node);
        break;
    case TRANSACT_RESOURCE:
        ids_ring_bytes(what->target.resource, resource);
        fwd_wr_resource(w, slice_of(resource, sizeof(resource)));
        break;
    }
}

static uint64_t fresh_id(struct turn *t, const struct transact *tr)
{
    uint64_t id = 0;
    do {
        t->crypto->random(t->crypto, &id, sizeof(id));
    } while (transact_is_expected(tr, id));
    return id;
}

/* From now on it is routed by its resource alone: whoever was named has not answered, or is gone.
 * The signature does not cover the header, nor does the key under which answers are kept. */
static void forget_owner(struct transact *tr, struct request *r)
{
    struct fwd h;
    const struct fwd_rewrite how = {.strip_bytes = r->owner_bytes, .keep_ttl = true};
    uint8_t *header = NULL;
    size_t len = 0;
    if (r->owner_bytes == 0) {
        return;
    }
    enum err e = fwd_decode(msgbuf_slice(r->buf), tr->s.params, &h);
    CHECK(e == ERR_OK);
    e = fwd_rewrite(msgbuf_data(r->buf), 0, &h, &how, &header, &len);
    CHECK(e == ERR_OK);
    r->buf->start += r->owner_bytes;
    r->buf->len = (uint32_t)len;
    r->owner_bytes = 0;
}

/* What we ask ourselves is not signed where it is simply done again when it comes again: an answer
 * that is kept (TX-3) may have to go out over a link later, to a repetition that came by one. */
static bool may_be_open(uint16_t code)
{
    return !answer_cache_is_for(code);
}

/* Somebody else may be to get by now what was left open.  False: and it cannot be signed. */
static bool is_fit_to_leave(struct turn *t, struct transact *tr, struct request *r)
{
    struct fwd h;
    if (LIKELY(!r->is_open)) {
        return true;
    }
    enum err e = fwd_decode(msgbuf_slice(r->buf), tr->s.params, &h);
    CHECK(e == ERR_OK);
    if (route_is_ours(tr->s.out->route, h.destination_list)) {
        return true;
    }
    struct msgbuf *sealed =
        outgoing_seal(t, tr->s.out, tr->s.sign, tr->s.self, r->buf, tr->s.max_message_bytes);
    if (sealed == NULL) {
        return false;
    }
    msgbuf_release(t->buffers, r->buf);
    r->buf = sealed;
    r->is_open = false;
    return true;
}

static void send(struct turn *t, struct transact *tr, struct request *r, handle avoid)
{
    bool before = upkeep_begin(t->buffers, r->code);
    if (is_fit_to_leave(t, tr, r)) {
        outgoing_send(t, tr->s.out, r->buf, r->link, avoid);
    }
    msgbuf_open_reserve(t->buffers, before);
}

static void transmit(struct turn *t, struct transact *tr, struct request *r)
{
    if (r->transmissions++ > 0) {
        forget_owner(tr, r);
    }
    send(t, tr, r, 0);
    bool is_early = buggify(t, BUGGIFY_timer_early);
    wheel_arm(t->wheel, &r->timer, t->now_us + (is_early ? 0 : tr->s.reliability_timer_us));
}

enum err transact_request(struct turn *t, struct transact *tr, const struct transact_request *what,
                          handle *request)
{
    CHECK(content_is_request(what->code));
    bool is_let_in = has_room(tr, what->owner) && !buggify(t, BUGGIFY_request_refused);
    struct request *r = is_let_in ? pool_acquire(&tr->requests) : NULL;
    if (r == NULL) {
        metric_add(t->metrics, METRIC_requests_refused, 1);
        return ERR_LIMIT;
    }
    uint8_t list[2 * FWD_NODE_BYTES_MAX + 8];
    struct wr w = wr_init(list, sizeof(list));
    r->owner_bytes = (uint8_t)wr_owner(&w, tr, what);
    wr_target(&w, tr, what);
    CHECK(wr_ok(&w));
    struct build b = {.signer = what->signer == NULL ? tr->s.self : what->signer,
                      .header.transaction_id = fresh_id(t, tr),
                      .header.destination_list =
                          what->destinations.len > 0 ? what->destinations : wr_slice(&w),
                      .code = what->code,
                      .body = what->body,
                      .certificates = what->certificates,
                      .certificate_count = what->certificate_count};
    /* One entry: the others take the place of those that are taken off a Destination List, or of
     * a Via List that dht/via keeps. */
    b.via_room = what->destinations.len > 0 ? 0 : 2u + tr->s.params->node_id_length;
    b.is_open = what->link == 0 && b.signer == tr->s.self && b.certificate_count == 0 &&
                may_be_open(what->code) &&
                route_is_ours(tr->s.out->route, b.header.destination_list);
    enum err e = build_message(t, tr, &b, &r->buf);
    if (e != ERR_OK) {
        pool_release(&tr->requests, r);
        return e;
    }
    r->transaction_id = b.header.transaction_id;
    r->tag = what->tag;
    r->owner = what->owner;
    r->target = what->target;
    r->link = what->link;
    r->code = what->code;
    r->any_signer = what->any_signer;
    r->is_open = b.is_open;
    r->allowed = what->transmissions == 0 ? TRANSMISSIONS : what->transmissions;
    r->begun_us = t->now_us;
    trace_note(t->now_us, TRACE_request_begun, r->transaction_id, r->code);
    r->timer.tag = pool_handle(&tr->requests, r);
    r->timer.what = TIMER_REQUEST;
    e = table_insert(&tr->by_id, &r->transaction_id, handle_index(r->timer.tag));
    CHECK(e == ERR_OK);
    if (request != NULL) {
        *request = r->timer.tag;
    }
    metric_add(t->metrics, METRIC_requests_sent, 1);
    transmit(t, tr, r);
    return ERR_OK;
}

static void end_request(struct turn *t, struct transact *tr, struct request *r)
{
    bool was_there = table_remove(&tr->by_id, &r->transaction_id);
    CHECK(was_there);
    wheel_cancel(t->wheel, &r->timer);
    msgbuf_release(t->buffers, r->buf);
    pool_release(&tr->requests, r);
}

void transact_cancel(struct turn *t, struct transact *tr, handle request)
{
    struct request *r = pool_get(&tr->requests, request);
    if (r != NULL) {
        end_request(t, tr, r);
    }
}

bool transact_is_expected(const struct transact *tr, uint64_t transaction_id)
{
    uint32_t index = 0;
    return table_find(&tr->by_id, &transaction_id, &index);
}

static struct request *request_of(struct transact *tr, uint64_t transaction_id)
{
    uint32_t index = 0;
    if (!table_find(&tr->by_id, &transaction_id, &index)) {
        return NULL;
    }
    return pool_next(&tr->requests, &index); /* the table holds requests in use only */
}

bool transact_on_unacked(struct turn *t, struct transact *tr, struct slice message,
                         handle dead_link)
{
    struct fwd h;
    if (fwd_decode(message, tr->s.params, &h) != ERR_OK || h.via_count > 0) {
        return false;
    }
    struct request *r = request_of(tr, h.transaction_id);
    if (r == NULL || r->owner_bytes == 0 || !slice_is_equal(message, msgbuf_slice(r->buf))) {
        return false;
    }
    forget_owner(tr, r);
    metric_add(t->metrics, METRIC_dht_rerouted, 1);
    send(t, tr, r, dead_link);
    return true;
}

/* TX-5: is the signer at least as close to the resource as all our neighbors? */
static bool is_closest(const struct chord_table *ct, struct ring_id resource,
                       const struct node_id *signer)
{
    struct ring_id far = ids_ring_minus(ids_ring_of_node(signer), resource);
    for (uint32_t i = 0; i < ct->successor_count + ct->predecessor_count; i++) {
        const struct chord_table_node *n =
            i < ct->successor_count ? chord_table_successor(ct, i)
                                    : chord_table_predecessor(ct, i - ct->successor_count);
        if (ids_ring_is_less(ids_ring_minus(n->at, resource), far)) {
            return false;
        }
    }
    return true;
}

static bool is_entitled(const struct transact *tr, const struct request *r,
                        const struct message *answer)
{
    if (r->any_signer) {
        return true;
    }
    switch (r->target.type) {
    case TRANSACT_NODE:
        return ids_node_is_equal(&r->target.node, &answer->signer) ||
               ids_node_is_wildcard(&r->target.node, tr->s.params); /* 6.3.4, A-61 */
    case TRANSACT_RESOURCE:
        return answer->is_own || is_closest(tr->s.table, r->target.resource, &answer->signer);
    }
    UNREACHABLE("target type");
}

/* what peers on the way say of the message itself ends the attempt at once. */
static bool is_said_on_the_way(uint16_t error_code)
{
    return error_code == CONTENT_ERROR_UNSUPPORTED_FORWARDING_OPTION ||
           error_code == CONTENT_ERROR_TTL_EXCEEDED ||
           error_code == CONTENT_ERROR_MESSAGE_TOO_LARGE;
}

static void fill_result(const struct turn *t, const struct request *r,
                        struct transact_result *result)
{
    *result = (struct transact_result){.owner = r->owner,
                                       .tag = r->tag,
                                       .request = r->timer.tag,
                                       .code = r->code,
                                       .elapsed_us = t->now_us - r->begun_us};
}

bool transact_on_answer(struct turn *t, struct transact *tr, const struct message *answer,
                        struct transact_result *result)
{
    struct request *r = request_of(tr, answer->transaction_id);
    if (r == NULL) {
        metric_add(t->metrics, METRIC_dht_drop_unexpected, 1);
        return false;
    }
    struct content_error error = {0};
    bool is_error = answer->code == CONTENT_ERROR;
    if (is_error ? content_error_decode(answer->body, &error) != ERR_OK
                 : answer->code != r->code + 1) {
        metric_add(t->metrics, METRIC_dht_drop_contents, 1);
        return false;
    }
    if (!is_entitled(tr, r, answer) && !(is_error && is_said_on_the_way(error.code))) {
        metric_add(t->metrics, METRIC_dht_drop_signer, 1);
        return false; /* as if not received: retransmission goes on */
    }
    fill_result(t, r, result);
    result->answer = answer;
    result->error = is_error ? content_err_of(error.code) : ERR_OK;
    result->reload_error = error.code;
    result->error_info = error.info;
    if (!answer->is_own && answer->ttl <= tr->s.initial_ttl) {
        result->hops = 1u + tr->s.initial_ttl - answer->ttl;
    }
    metric_add(t->metrics, METRIC_requests_answered, 1);
    trace_note(t->now_us, is_error ? TRACE_request_refused : TRACE_request_answered,
               r->transaction_id, is_error ? error.code : r->code);
    metric_note(t->metrics, HISTOGRAM_request_us, result->elapsed_us);
    if (r->code == CONTENT_FETCH_REQ) {
        metric_note(t->metrics, HISTOGRAM_lookup_us, result->elapsed_us);
    }
    end_request(t, tr, r);
    return true;
}

bool transact_on_timer(struct turn *t, struct transact *tr, struct wheel_timer *timer,
                       struct transact_result *result)
{
    if (timer->what == TIMER_DEFERRED) {
        struct deferred *d = pool_get(&tr->deferred, timer->tag);
        CHECK(d != NULL);
        pool_release(&tr->deferred, d);
        return false;
    }
    struct request *r = pool_get(&tr->requests, timer->tag);
    CHECK(r != NULL);
    if (r->transmissions < r->allowed) {
        metric_add(t->metrics, METRIC_requests_repeated, 1);
        transmit(t, tr, r);
        return false;
    }
    fill_result(t, r, result);
    result->error = ERR_TIMEOUT;
    metric_add(t->metrics, METRIC_requests_failed, 1);
    trace_note(t->now_us, TRACE_request_failed, r->transaction_id, r->code);
    end_request(t, tr, r);
    return true;
}

/* Answers */

static struct way_back way_back_of(const struct message *m)
{
    return (struct way_back){.transaction_id = m->transaction_id,
                             .by = m->to,
                             .signer = m->signer,
                             .previous_hop = m->previous_hop,
                             .via_list = m->via_list,
                             .options = m->options,
                             .max_response_length = m->max_response_length,
                             .code = m->code,
                             .is_own = m->is_own};
}

/* The header of an answer: `list` has room for its lists. */
static enum err wr_way_back(const struct transact *tr, const struct way_back *back, struct wr *list,
                            struct fwd *h)
{
    if (!outgoing_has_return(tr->s.params, back->via_list)) {
        return ERR_TOO_LARGE;
    }
    outgoing_wr_return(list, tr->s.params, &tr->s.self->node_id, &back->previous_hop,
                       back->via_list);
    size_t destination_len = wr_len(list);
    fwd_wr_response_options(list, back->options);
    if (!wr_ok(list)) {
        return ERR_TOO_LARGE;
    }
    h->transaction_id = back->transaction_id;
    h->destination_list = slice_of(list->start, destination_len);
    h->options = slice_of(list->start + destination_len, wr_len(list) - destination_len);
    return ERR_OK;
}

enum { DRAFT_ROOM = 1500 }; /* an answer with two values and their signers' certificates */
enum { LISTS_CAP = FWD_FIXED_BYTES + (FWD_ENTRIES_MAX + 1) * FWD_NODE_BYTES_MAX / 2 };

static enum err answer(struct turn *t, struct transact *tr, const struct way_back *back,
                       struct build *b)
{
    uint8_t list[LISTS_CAP];
    struct wr w = wr_init(list, sizeof(list));
    enum err e = wr_way_back(tr, back, &w, &b->header);
    if (e != ERR_OK) {
        return e;
    }
    b->signer = back->by;
    b->is_open = back->is_own && may_be_open(back->code);
    struct msgbuf *buf = NULL;
    e = build_message(t, tr, b, &buf);
    if (e != ERR_OK) {
        return e;
    }
    if (back->max_response_length != 0 && buf->len > back->max_response_length &&
        b->code != CONTENT_ERROR) {
        msgbuf_release(t->buffers, buf);
        return ERR_TOO_LARGE; /* TX-9 */
    }
    struct slice payload =
        slice_from(msgbuf_slice(buf),
                   FWD_FIXED_BYTES + b->header.destination_list.len + b->header.options.len);
    if (answer_cache_is_for(back->code)) {
        struct answer_cache_key key = answer_cache_signer_key(back->transaction_id, &back->signer);
        answer_cache_keep(t, tr->s.answers, &key, payload);
    }
    if (!buggify(t, BUGGIFY_answer_late)) {
        bool before = upkeep_begin(t->buffers, b->code);
        outgoing_send(t, tr->s.out, buf, 0, 0);
        msgbuf_open_reserve(t->buffers, before);
    }
    msgbuf_release(t->buffers, buf);
    return ERR_OK;
}

static enum err answer_well(struct turn *t, struct transact *tr, const struct way_back *back,
                            struct slice body, const struct slice *certificates,
                            size_t certificate_count)
{
    struct build b = {.code = (uint16_t)(back->code + 1),
                      .body = body,
                      .certificates = certificates,
                      .certificate_count = certificate_count};
    enum err e = answer(t, tr, back, &b);
    if (e == ERR_OK) {
        metric_add(t->metrics, METRIC_answers_sent, 1);
    }
    return e;
}

static void answer_badly(struct turn *t, struct transact *tr, const struct way_back *back,
                         uint16_t error_code, struct slice info)
{
    uint8_t body[1024];
    struct wr w = wr_init(body, sizeof(body));
    content_wr_error(&w, error_code, info);
    if (!wr_ok(&w)) {
        w = wr_init(body, sizeof(body));
        content_wr_error(&w, error_code, SLICE_EMPTY);
    }
    struct build b = {.code = CONTENT_ERROR, .body = wr_slice(&w)};
    if (answer(t, tr, back, &b) == ERR_OK) {
        metric_add(t->metrics, METRIC_errors_sent, 1);
        trace_note(t->now_us, TRACE_error_sent, back->transaction_id, error_code);
    }
}

enum err transact_answer(struct turn *t, struct transact *tr, const struct message *m,
                         struct slice body, const struct slice *certificates,
                         size_t certificate_count)
{
    CHECK(content_is_request(m->code));
    struct way_back back = way_back_of(m);
    return answer_well(t, tr, &back, body, certificates, certificate_count);
}

/* Not ourselves: the previous hop comes first.  The length is not known yet. */
static inline struct fwd_return header_of_draft(const struct transact *tr, const struct message *m)
{
    return (struct fwd_return){.overlay = tr->s.params->overlay,
                               .configuration_sequence = tr->s.configuration_sequence,
                               .ttl = tr->s.initial_ttl,
                               .transaction_id = m->transaction_id,
                               .first = &m->previous_hop,
                               .via_list = m->via_list,
                               .options = m->options};
}

/* Back over the link that it came by: whoever handed it to us is the first destination (VL-3), and
 * a link to a node comes before any table (FW-6). */
bool transact_begin_draft(struct turn *t, struct transact *tr, const struct message *m,
                          struct transact_draft *d)
{
    size_t cap = 0;
    size_t room = HEADER_ROOM + m->via_list.len + m->options.len + DRAFT_ROOM;
    if (m->is_own || m->link == 0 || ids_node_is_equal(&m->previous_hop, &tr->s.self->node_id) ||
        !outgoing_has_return(tr->s.params, m->via_list)) {
        return false;
    }
    CHECK(!answer_cache_is_for(m->code));
    uint8_t *at = link_claim(t, tr->s.out->links, m->link, room, &cap);
    if (at == NULL) {
        return false;
    }
    struct fwd_return back = header_of_draft(tr, m);
    struct wr w = wr_init(at, min_size(cap, tr->s.max_message_bytes));
    fwd_wr_return(&w, tr->s.params, &back);
    d->contents = wr_len(&w);
    d->mark = content_begin(&w, (uint16_t)(m->code + 1));
    d->link = m->link;
    d->w = w;
    return wr_ok(&w);
}

enum err transact_send_draft(struct turn *t, struct transact *tr, const struct message *m,
                             struct transact_draft *d, const struct slice *certificates,
                             size_t certificate_count)
{
    struct wr *w = &d->w;
    content_end(w, d->mark);
    struct sign_sealed sealed = {
        .who = m->to,
        .transaction_id = m->transaction_id,
        .contents_at = d->contents,
        .certificates = certificates,
        .certificate_count = certificate_count,
    };
    enum err e = wr_ok(w) ? sign_seal(t, tr->s.sign, w, &sealed) : ERR_TOO_LARGE;
    if (UNLIKELY(e != ERR_OK)) {
        return e;
    }
    size_t len = wr_len(w);
    if (UNLIKELY(m->max_response_length != 0 && len > m->max_response_length)) {
        return ERR_TOO_LARGE; /* TX-9 */
    }
    fwd_put_length(w->start, (uint32_t)len);
    link_commit(t, tr->s.out->links, d->link, len);
    metric_add(t->metrics, METRIC_answers_sent, 1);
    return ERR_OK;
}

void transact_error(struct turn *t, struct transact *tr, const struct message *m,
                    uint16_t error_code, struct slice info)
{
    struct way_back back = way_back_of(m);
    answer_badly(t, tr, &back, error_code, info);
}

enum err transact_reply(struct turn *t, struct transact *tr, const struct message *m,
                        struct slice body)
{
    enum err e = transact_answer(t, tr, m, body, NULL, 0);
    if (e == ERR_TOO_LARGE) {
        transact_error(t, tr, m, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY);
    }
    return e;
}

void transact_set_config(struct transact *tr, const struct overlay_config *config)
{
    tr->s.max_message_bytes = config->max_message_bytes;
    tr->s.reliability_timer_us = (uint64_t)config->reliability_timer_ms * 1000;
    tr->s.configuration_sequence = config->sequence;
    tr->s.initial_ttl = config->initial_ttl;
}

handle transact_defer(struct turn *t, struct transact *tr, const struct message *m)
{
    if (m->via_list.len > VIA_CAP || m->options.len > OPTIONS_CAP) {
        return 0;
    }
    struct deferred *d = pool_acquire(&tr->deferred);
    if (d == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return 0;
    }
    d->back = way_back_of(m);
    if (m->via_list.len > 0) {
        memcpy(d->via, m->via_list.data, m->via_list.len);
    }
    if (m->options.len > 0) {
        memcpy(d->options, m->options.data, m->options.len);
    }
    d->back.via_list = slice_of(d->via, m->via_list.len);
    d->back.options = slice_of(d->options, m->options.len);
    d->timer.tag = pool_handle(&tr->deferred, d);
    d->timer.what = TIMER_DEFERRED;
    wheel_arm(t->wheel, &d->timer, t->now_us + DEFERRED_US);
    return d->timer.tag;
}

static void end_deferred(struct turn *t, struct transact *tr, struct deferred *d)
{
    wheel_cancel(t->wheel, &d->timer);
    pool_release(&tr->deferred, d);
}

enum err transact_answer_later(struct turn *t, struct transact *tr, handle deferred,
                               struct slice body, const struct slice *certificates,
                               size_t certificate_count)
{
    struct deferred *d = pool_get(&tr->deferred, deferred);
    if (d == NULL) {
        return ERR_NOT_FOUND;
    }
    enum err e = answer_well(t, tr, &d->back, body, certificates, certificate_count);
    if (e == ERR_TOO_LARGE) {
        answer_badly(t, tr, &d->back, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY);
    }
    end_deferred(t, tr, d);
    return e;
}

void transact_error_later(struct turn *t, struct transact *tr, handle deferred, uint16_t error_code,
                          struct slice info)
{
    struct deferred *d = pool_get(&tr->deferred, deferred);
    if (d != NULL) {
        answer_badly(t, tr, &d->back, error_code, info);
        end_deferred(t, tr, d);
    }
}

void transact_repeat(struct turn *t, struct transact *tr, const struct message *m,
                     struct slice payload)
{
    uint8_t list[LISTS_CAP];
    struct wr w = wr_init(list, sizeof(list));
    struct way_back back = way_back_of(m);
    struct fwd h = {.overlay = tr->s.params->overlay,
                    .configuration_sequence = tr->s.configuration_sequence,
                    .ttl = tr->s.initial_ttl,
                    .fragment = FWD_FRAGMENT_WHOLE};
    if (wr_way_back(tr, &back, &w, &h) != ERR_OK) {
        return;
    }
    size_t room = FWD_FIXED_BYTES + wr_len(&w) + payload.len;
    struct msgbuf *buf = msgbuf_acquire(t->buffers, room);
    if (buf == NULL) {
        return;
    }
    h.length = (uint32_t)room;
    struct wr out = wr_init(msgbuf_data(buf), msgbuf_tailroom(buf));
    fwd_wr(&out, &h);
    wr_bytes(&out, payload);
    CHECK(wr_ok(&out));
    buf->len = (uint32_t)wr_len(&out);
    metric_add(t->metrics, METRIC_answers_repeated, 1);
    outgoing_send(t, tr->s.out, buf, 0, 0);
    msgbuf_release(t->buffers, buf);
}

uint32_t transact_open(const struct transact *tr)
{
    return tr->requests.in_use;
}

bool transact_abort(struct turn *t, struct transact *tr, struct transact_result *result)
{
    uint32_t index = 0;
    struct request *r = pool_next(&tr->requests, &index);
    if (r == NULL) {
        return false;
    }
    fill_result(t, r, result);
    result->error = ERR_CLOSED;
    metric_add(t->metrics, METRIC_requests_failed, 1);
    trace_note(t->now_us, TRACE_request_failed, r->transaction_id, r->code);
    end_request(t, tr, r);
    return true;
}

void transact_forget_deferred(struct turn *t, struct transact *tr)
{
    uint32_t index = 0;
    for (struct deferred *d; (d = pool_next(&tr->deferred, &index)) != NULL;) {
        end_deferred(t, tr, d);
    }
}
