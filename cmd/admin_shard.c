/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/admin_shard.h"
#include "cmd/jot.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/msgs.h"
#include "codec/stored.h"
#include "core/trace.h"
#include "dht/kind.h"
#include "link/tls_boring.h"
#include "sip/grade.h"
#include "sip/registrar.h"
#include <inttypes.h>

/* One row; false when there is none at *cursor, which is moved behind it. */
typedef bool row_function(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j);

/* ---- small pieces
 * -------------------------------------------------------------------------------- */

static void jot_node(struct jot *j, const struct admin_shard *a, const struct node_id *id)
{
    jot_hex(j, ids_node_slice(id, &a->params));
}

static void jot_address(struct jot *j, const struct address *address)
{
    char text[ADDRESS_TEXT_CAP];
    if (address->family == 0) {
        jot_add(j, "null");
    } else {
        jot_add(j, "\"%s\"", address_text(address, text));
    }
}

static const char *boolean(bool b)
{
    return b ? "true" : "false";
}

static void jot_nodes(struct jot *j, const struct admin_shard *a, const struct node_id *ids,
                      size_t count)
{
    jot_add(j, "[");
    for (size_t i = 0; i < count; i++) {
        jot_add(j, i == 0 ? "" : ",");
        jot_node(j, a, &ids[i]);
    }
    jot_add(j, "]");
}

/* ---- rows
 * ---------------------------------------------------------------------------------------- */

static void jot_phones(struct jot *j, struct admin_shard *a)
{
    struct sip *sip = node_sip(a->node);
    struct sip_status s = {0};
    if (sip != NULL) {
        sip_status(sip, &s);
    }
    jot_add(j,
            "\"bindings\":%u,\"accounts_registered\":%u,\"flows\":%u,\"peer_flows\":%u,"
            "\"transactions\":%u,\"last_setup\":{\"at_us\":%" PRIu64 ",\"fetch_us\":%" PRIu64
            ",\"fetch_hops\":%u,\"appattach_us\":%" PRIu64 "}",
            s.bindings, s.accounts_registered, s.flows, s.peer_flows, s.transactions,
            s.last_setup.at_us, s.last_setup.fetch_us, s.last_setup.fetch_hops,
            s.last_setup.appattach_us);
}

static void jot_persist(struct jot *j, struct admin_shard *a)
{
    struct persist_status p;
    persist_status(a->node, &p);
    if (!p.is_kept) {
        jot_add(j, "\"persist\":null,");
        return;
    }
    jot_add(j,
            "\"persist\":{\"promised\":%s,\"behind\":%s,\"written\":%" PRIu64
            ",\"durable\":%" PRIu64 ",\"unproved\":%u},",
            boolean(p.is_promised), boolean(p.is_behind), p.written, p.durable, p.unproved);
}

static bool status_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct overlay_status s;
    if ((*cursor)++ > 0) {
        return false;
    }
    overlay_status(node_overlay(a->node), &s);
    jot_add(j, "{\"shard\":%u,\"node_id\":", a->index);
    jot_node(j, a, &s.self);
    jot_add(j, ",\"ready\":%s,\"configuration_sequence\":%u,\"overlay\":", boolean(s.is_ready),
            s.configuration_sequence);
    jot_address(j, &a->overlay);
    jot_add(j, ",\"sip\":");
    jot_address(j, &a->sip);
    jot_add(j,
            ",\"links\":%u,\"successors\":%zu,\"predecessors\":%zu,\"fingers\":%u,"
            "\"routing_table\":%u,\"resources\":%u,\"values_owned\":%u,\"values_replica\":%u,"
            "\"stored_bytes\":%" PRIu64 ",\"requests_open\":%u,\"verify_queue\":%u,"
            "\"verify_queue_large\":%u,\"verify_oldest_us\":%" PRIu64
            ",\"verify_dropped\":{\"full\":%" PRIu64 ",\"large\":%" PRIu64 ",\"old\":%" PRIu64
            "},\"certificates_known\":%" PRIu64 ",\"values_known\":%" PRIu64 ",",
            link_count_up(node_links(a->node)), s.successor_count, s.predecessor_count, s.fingers,
            s.routing_table, s.resources, s.values_owned, s.values_replica, s.stored_bytes,
            s.requests_open, s.verify_queue, s.verify_queue_large, s.verify_oldest_us,
            metric_read(t->metrics, METRIC_dht_drop_queue_full),
            metric_read(t->metrics, METRIC_dht_drop_queue_large),
            metric_read(t->metrics, METRIC_dht_drop_queue_old),
            metric_read(t->metrics, METRIC_certificates_known),
            metric_read(t->metrics, METRIC_values_known));
    jot_persist(j, a);
    jot_phones(j, a);
    jot_add(j, "}");
    return true;
}

static bool ring_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct overlay_status s;
    (void)t;
    if ((*cursor)++ > 0) {
        return false;
    }
    overlay_status(node_overlay(a->node), &s);
    jot_add(j, "{\"shard\":%u,\"node_id\":", a->index);
    jot_node(j, a, &s.self);
    jot_add(j, ",\"ready\":%s,\"fingers\":%u,\"successors\":", boolean(s.is_ready), s.fingers);
    jot_nodes(j, a, s.successors, s.successor_count);
    jot_add(j, ",\"predecessors\":");
    jot_nodes(j, a, s.predecessors, s.predecessor_count);
    jot_add(j, "}");
    return true;
}

static void jot_link(struct turn *t, const struct admin_shard *a, const struct link_info *l,
                     struct jot *j)
{
    uint64_t up_us = l->is_up && t->now_us > l->up_since_us ? t->now_us - l->up_since_us : 0;
    jot_add(j, "{\"shard\":%u,\"node_id\":", a->index);
    jot_node(j, a, &l->node_id);
    jot_add(j, ",\"user\":");
    jot_string(j, slice_text(l->user));
    jot_add(j, ",\"remote\":");
    jot_address(j, &l->remote);
    jot_add(j, ",\"up_s\":%" PRIu64 ",\"rtt_us\":%" PRIu64, up_us / 1000000, l->srtt_us);
}

/* peers: links that are up, in short; links: all, at length. */
static bool peer_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct link_info l;
    while (link_walk(node_links(a->node), cursor, &l)) {
        if (l.is_up) {
            jot_link(t, a, &l, j);
            jot_add(j, ",\"local\":%s}", boolean(l.is_local));
            return true;
        }
    }
    return false;
}

static bool link_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct link_info l;
    if (!link_walk(node_links(a->node), cursor, &l)) {
        return false;
    }
    jot_link(t, a, &l, j);
    jot_add(
        j,
        ",\"up\":%s,\"local\":%s,\"over\":\"%s\",\"suspect\":%s,\"dialled\":%s,\"rto_us\":%" PRIu64
        ",\"messages_in\":%" PRIu64 ",\"messages_out\":%" PRIu64 ",\"bytes_in\":%" PRIu64
        ",\"bytes_out\":%" PRIu64 ",\"queued_bytes\":%u,\"unacked_frames\":%u}",
        boolean(l.is_up), boolean(l.is_local),
        l.is_local      ? "process"
        : l.is_datagram ? "dtls"
                        : "tls",
        boolean(l.is_suspect), boolean(l.is_dialled), l.rto_us, l.messages_in, l.messages_out,
        l.bytes_in, l.bytes_out, l.queued_bytes, l.unacked_frames);
    return true;
}

static bool stored_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct overlay_stored s;
    (void)t;
    if (!overlay_walk_stored(node_overlay(a->node), cursor, &s)) {
        return false;
    }
    jot_add(j, "{\"shard\":%u,\"resource\":", a->index);
    jot_hex(j, slice_of(s.resource.bytes, sizeof(s.resource.bytes)));
    jot_add(j, ",\"kind\":%u,\"key\":", s.kind);
    jot_hex(j, s.key);
    jot_add(j, ",\"storage_time_ms\":%" PRIu64 ",\"exists\":%s,\"owned\":%s}", s.storage_time_ms,
            boolean(s.exists), boolean(s.is_owned));
    return true;
}

static bool binding_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    struct sip_binding_info b;
    struct sip *sip = node_sip(a->node);
    if (sip == NULL || !sip_walk_bindings(t, sip, cursor, &b)) {
        return false;
    }
    jot_add(j, "{\"shard\":%u,\"aor\":", a->index);
    jot_string(j, slice_text(b.aor));
    jot_add(j, ",\"contact\":");
    jot_string(j, b.contact);
    jot_add(j, ",\"expires_s\":%u,\"stored\":%s}", b.expires_s, boolean(b.is_stored));
    return true;
}

/* What this thread did last, the newest first.  The cursor is the number of the next event + 1, so
 * that what happens meanwhile is not told twice. */
static bool trace_row(struct turn *t, struct admin_shard *a, uint32_t *cursor, struct jot *j)
{
    uint32_t newest = (uint32_t)trace_noted();
    uint32_t next = *cursor == 0 ? newest : *cursor - 1;
    const struct trace_event *e = next == 0 ? NULL : trace_back(newest - next);
    while (e != NULL && a->wanted.len > 0 &&
           !slice_is_equal(a->wanted, slice_text(trace_name_text(e->name)))) {
        next--;
        e = next == 0 ? NULL : trace_back(newest - next);
    }
    if (e == NULL) {
        return false;
    }
    *cursor = next;
    jot_add(j,
            "{\"shard\":%u,\"ago_us\":%" PRIu64 ",\"event\":\"%s\",\"a\":\"0x%" PRIx64
            "\",\"b\":\"0x%" PRIx64 "\"}",
            a->index, t->now_us > e->now_us ? t->now_us - e->now_us : 0, trace_name_text(e->name),
            e->a, e->b);
    return true;
}

static row_function *rows_of(enum admin_verb verb)
{
    switch (verb) {
    case ADMIN_STATUS:
        return status_row;
    case ADMIN_PEERS:
        return peer_row;
    case ADMIN_RING:
        return ring_row;
    case ADMIN_LINKS:
        return link_row;
    case ADMIN_STORED:
        return stored_row;
    case ADMIN_BINDINGS:
        return binding_row;
    case ADMIN_TRACE:
        return trace_row;
    case ADMIN_FETCH:
    case ADMIN_PING:
    case ADMIN_STORE:
    case ADMIN_STAT:
    case ADMIN_FIND:
    case ADMIN_ROUTE:
    case ADMIN_METRICS:
    case ADMIN_HISTOGRAMS:
    case ADMIN_HEALTH:
    case ADMIN_SHUTDOWN:
    case ADMIN_RELOAD:
    case ADMIN_DRAIN:
    case ADMIN_STOP:
    case ADMIN_SIBLING_LEFT:
    case ADMIN_SET_CONFIG:
    case ADMIN_SET_SIP_TLS:
    case ADMIN_JUDGED:
    case ADMIN_READY:
    case ADMIN_LOST:
    case ADMIN_STOPPED:
    case ADMIN_CONFIG_TAKEN:
    case ADMIN_DOCUMENT:
        break;
    }
    return NULL;
}

/* ---- mail out
 * ------------------------------------------------------------------------------------ */

/* A buffer whose rows are written through *j. */
static struct msgbuf *begin_answer(struct turn *t, struct jot *j)
{
    struct msgbuf *b = msgbuf_acquire(t->buffers, sizeof(struct admin_answer) + ADMIN_ROWS_CAP);
    if (b != NULL) {
        *j = jot_init(msgbuf_data(b) + sizeof(struct admin_answer), ADMIN_ROWS_CAP);
    }
    return b;
}

static void end_answer(struct turn *t, struct msgbuf *b, const struct jot *j, uint64_t tag,
                       const struct admin_answer *head)
{
    struct admin_answer answer = *head;
    answer.len = (uint32_t)j->len;
    memcpy(msgbuf_data(b), &answer, sizeof(answer));
    b->len = (uint32_t)(sizeof(answer) + j->len);
    enum err e = io_mail(t->out, t->buffers, IO_SHARD_CONTROL, IO_MAIL_CONTROL, tag, b);
    (void)e; /* the outbox counts what it refuses, and the client has a deadline */
}

static bool send_news(struct turn *t, enum admin_verb verb)
{
    struct admin_answer answer = {.verb = verb};
    struct msgbuf *b = msgbuf_acquire(t->buffers, sizeof(answer));
    return b != NULL && msgbuf_append(b, slice_of(&answer, sizeof(answer))) == ERR_OK &&
           io_mail(t->out, t->buffers, IO_SHARD_CONTROL, IO_MAIL_CONTROL, 0, b) == ERR_OK;
}

static void send_rows(struct turn *t, struct admin_shard *a, const struct admin_request *r,
                      uint64_t tag)
{
    struct jot j;
    struct admin_answer answer = {.verb = r->verb};
    row_function *row = rows_of(r->verb);
    uint32_t cursor = r->cursor;
    a->wanted = slice_of(r->name, r->name_len);
    struct msgbuf *b = begin_answer(t, &j);
    if (b == NULL) {
        return;
    }
    for (;;) {
        size_t before = j.len;
        uint32_t at = cursor;
        jot_add(&j, before == 0 ? "" : ",");
        bool has_row = row(t, a, &cursor, &j);
        if (!has_row || j.is_full) {
            jot_back(&j, before);
            answer.next = has_row && before > 0 ? at : 0;
            break;
        }
    }
    end_answer(t, b, &j, tag, &answer);
}

/* ---- operations
 * ---------------------------------------------------------------------------------- */

static void jot_error(struct jot *j, enum err e, uint16_t reload_error)
{
    jot_add(j, "\"ok\":%s,\"error\":", boolean(e == ERR_OK));
    if (e == ERR_OK) {
        jot_add(j, "null");
    } else {
        jot_add(j, "\"%s\"", err_name(e));
    }
    jot_add(j, ",\"reload_error\":%u", reload_error);
}

/* What a SIP-REGISTRATION says: another AOR, or the way to a node. */
static void jot_route(struct jot *j, const struct admin_shard *a, struct slice value)
{
    struct msgs_sip_registration k;
    struct fwd_destination d;
    if (msgs_sip_registration_decode(value, &a->params, &k) != ERR_OK) {
        return;
    }
    if (k.type == MSGS_SIP_URI) {
        jot_add(j, ",\"uri\":");
        jot_string(j, k.uri);
    } else if (k.type == MSGS_SIP_ROUTE) {
        size_t count = 0;
        struct rd r = rd_init(k.destination_list);
        jot_add(j, ",\"route\":[");
        while (fwd_next(&r, &a->params, &d)) {
            jot_add(j, count++ == 0 ? "" : ",");
            jot_hex(j, d.id);
        }
        jot_add(j, "]");
        struct grade grade = grade_read(k.contact_prefs);
        jot_add(j, ",\"prefs\":");
        jot_string(j, k.contact_prefs);
        jot_add(j, ",\"q_milli\":%u,\"mailbox\":%s", grade.q_milli,
                slice_is_equal(k.contact_prefs, REGISTRAR_MAILBOX_PREFS) ? "true" : "false");
    }
}

static void jot_value(struct jot *j, const struct admin_shard *a, uint32_t kind,
                      const struct overlay_value *v)
{
    jot_add(j, "{\"key\":");
    jot_hex(j, v->key);
    jot_add(j,
            ",\"index\":%u,\"storage_time_ms\":%" PRIu64 ",\"lifetime_s\":%u,\"signer\":", v->index,
            v->storage_time_ms, v->lifetime_s);
    jot_node(j, a, &v->signer);
    jot_add(j, ",\"signer_user\":");
    jot_string(j, v->signer_user);
    if (kind == OVERLAY_KIND_SIP_REGISTRATION) {
        jot_route(j, a, v->value);
    }
    jot_add(j, ",\"value\":");
    jot_hex(j, v->value);
    jot_add(j, "}");
}

static void jot_fetched(struct jot *j, const struct admin_shard *a, uint32_t kind,
                        const struct answer *x)
{
    jot_add(j, ",\"value_total\":%zu,\"values\":[", x->value_total);
    bool is_first = true;
    for (size_t i = 0; i < x->value_count; i++) {
        size_t before = j->len;
        jot_add(j, is_first ? "" : ",");
        jot_value(j, a, kind, &x->values[i]);
        if (j->is_full || j->len + 64 > j->cap) { /* room for the end of the row */
            jot_back(j, before);
            break;
        }
        is_first = false;
    }
    jot_add(j, "]");
}

static void jot_meta(struct jot *j, const struct stored_meta *m)
{
    jot_add(j, "{\"key\":");
    jot_hex(j, m->key);
    jot_add(j,
            ",\"index\":%u,\"exists\":%s,\"storage_time_ms\":%" PRIu64
            ",\"lifetime_s\":%u,\"value_bytes\":%u,\"hash_algorithm\":%u,\"hash\":",
            m->index, boolean(m->exists), m->storage_time_ms, m->lifetime_s, m->value_length,
            m->hash_algorithm);
    jot_hex(j, m->hash);
    jot_add(j, "}");
}

/* Values that are there; a "nothing here" is none.  False: the answer is malformed. */
static bool jot_stat(struct jot *j, const struct admin_shard *a, const struct admin_request *r,
                     struct slice body)
{
    struct msgs_stat_ans answer;
    struct stored_block block;
    struct stored_meta meta;
    enum overlay_data_model model = OVERLAY_DICTIONARY;
    if (msgs_stat_ans_decode(body, &a->params, &answer) != ERR_OK ||
        !overlay_ask_model(node_overlay(a->node), r->kind, &model)) {
        return false;
    }
    struct rd blocks = rd_init(answer.kind_responses);
    size_t count = 0;
    while (stored_block_next(&blocks, &block)) {
        struct rd values = rd_init(block.values);
        while (block.kind == r->kind && stored_meta_next(&values, kind_wire_model(model), &meta)) {
            if (meta.exists) {
                jot_add(j, count++ == 0 ? "" : ",");
                jot_meta(j, &meta);
            }
        }
        if (block.kind == r->kind && !rd_ok(&values)) {
            return false;
        }
    }
    return rd_ok(&blocks);
}

/* The Resource-ID at or behind the asked one that has something of the Kind; zeros: none. */
static bool jot_find(struct jot *j, const struct admin_shard *a, const struct admin_request *r,
                     struct slice body)
{
    struct msgs_find_ans answer;
    struct msgs_find_kind_data found;
    if (msgs_find_ans_decode(body, &a->params, &answer) != ERR_OK) {
        return false;
    }
    struct rd results = rd_init(answer.results);
    while (msgs_find_kind_data_next(&results, &a->params, &found)) {
        bool is_any = false;
        for (size_t i = 0; i < found.closest.len; i++) {
            is_any = is_any || found.closest.data[i] != 0;
        }
        if (found.kind == r->kind && is_any) {
            jot_hex(j, found.closest);
            return true;
        }
    }
    jot_add(j, "null");
    return rd_ok(&results);
}

/* What Stat, Find and RouteQuery have said. */
static void jot_asked(struct jot *j, const struct admin_shard *a, const struct admin_request *r,
                      const struct answer *x)
{
    struct msgs_route_query_ans way;
    bool good = true;
    if (x->kind != OVERLAY_ASKED || x->error != ERR_OK) {
        return;
    }
    size_t before = j->len;
    if (r->verb == ADMIN_STAT) {
        jot_add(j, ",\"values\":[");
        good = jot_stat(j, a, r, x->body);
        jot_add(j, "]");
    } else if (r->verb == ADMIN_FIND) {
        jot_add(j, ",\"found\":");
        good = jot_find(j, a, r, x->body);
    } else if (r->verb == ADMIN_ROUTE) {
        good = msgs_route_query_ans_decode(x->body, &a->params, &way) == ERR_OK;
        jot_add(j, ",\"next_peer\":");
        jot_node(j, a, good ? &way.next_peer : &x->node_id);
    }
    if (!good) {
        jot_back(j, before);
    }
}

static void jot_what(struct turn *t, struct jot *j, const struct admin_shard *a,
                     const struct admin_request *r)
{
    struct overlay_resource resource;
    jot_add(j, "{\"shard\":%u", a->index);
    if (r->is_node) {
        jot_add(j, ",\"target\":");
        jot_node(j, a, &r->node_id);
        return;
    }
    overlay_resource_of(t, slice_of(r->name, r->name_len), &resource);
    jot_add(j, ",\"name\":");
    jot_string(j, slice_of(r->name, r->name_len));
    jot_add(j, ",\"resource\":");
    jot_hex(j, slice_of(resource.bytes, sizeof(resource.bytes)));
    if (r->verb != ADMIN_PING && r->verb != ADMIN_ROUTE) {
        jot_add(j, ",\"kind\":%u", r->kind);
    }
}

static void send_result(struct turn *t, struct admin_shard *a, const struct admin_pending *p,
                        const struct answer *x, enum err refused)
{
    struct jot j;
    struct admin_answer answer = {.verb = p->request.verb};
    struct msgbuf *b = begin_answer(t, &j);
    if (b == NULL) {
        return;
    }
    jot_what(t, &j, a, &p->request);
    jot_add(&j, ",");
    jot_error(&j, x == NULL ? refused : x->error, x == NULL ? 0 : x->reload_error);
    if (x != NULL) {
        uint64_t elapsed_us = x->elapsed_us != 0 ? x->elapsed_us : t->now_us - p->begun_us;
        jot_add(&j, ",\"hops\":%u,\"elapsed_us\":%" PRIu64, x->hops, elapsed_us);
        if (p->request.verb == ADMIN_FETCH) {
            jot_fetched(&j, a, p->request.kind, x);
        } else if (p->request.verb != ADMIN_STORE) {
            jot_add(&j, ",\"node_id\":");
            jot_node(&j, a, &x->node_id);
            jot_asked(&j, a, &p->request, x);
        }
    }
    jot_add(&j, "}");
    end_answer(t, b, &j, p->tag, &answer);
}

static enum err begin_operation(struct turn *t, struct admin_shard *a,
                                const struct admin_request *r, uint32_t slot)
{
    struct overlay_resource resource;
    if (r->verb == ADMIN_PING && r->is_node) {
        return answer_ping_node(t, a->node, &r->node_id, slot);
    }
    overlay_resource_of(t, slice_of(r->name, r->name_len), &resource);
    if (r->verb == ADMIN_STORE) {
        struct overlay_store what = {.resource = resource,
                                     .kind = r->kind,
                                     .signer = a->self,
                                     .key = ids_node_slice(&a->self->node_id, &a->params),
                                     .index = r->index,
                                     .exists = !r->is_gone,
                                     .value = slice_of(r->value, r->value_len),
                                     .lifetime_s = r->lifetime_s};
        return answer_store(t, a->node, &what, slot);
    }
    if (r->verb == ADMIN_STAT || r->verb == ADMIN_FIND || r->verb == ADMIN_ROUTE) {
        struct overlay_ask what = {.what = r->verb == ADMIN_STAT   ? OVERLAY_ASK_STAT
                                           : r->verb == ADMIN_FIND ? OVERLAY_ASK_FIND
                                                                   : OVERLAY_ASK_ROUTE,
                                   .resource = resource,
                                   .kind = r->kind,
                                   .at = r->has_at ? r->at : a->self->node_id,
                                   .is_node = r->is_node,
                                   .node = r->node_id};
        return answer_ask(t, a->node, &what, slot);
    }
    return r->verb == ADMIN_PING ? answer_ping(t, a->node, &resource, slot)
                                 : answer_fetch(t, a->node, &resource, r->kind, slot);
}

static void operate(struct turn *t, struct admin_shard *a, const struct admin_request *r,
                    uint64_t tag)
{
    uint32_t slot = 0;
    while (slot < ANSWER_CAP && a->pending[slot].tag != 0) {
        slot++;
    }
    struct admin_pending p = {.tag = tag, .begun_us = t->now_us, .request = *r};
    enum err e = slot == ANSWER_CAP ? ERR_LIMIT : begin_operation(t, a, r, slot);
    if (e != ERR_OK) {
        send_result(t, a, &p, NULL, e);
        return;
    }
    a->pending[slot] = p;
}

/* ---- the door
 * ------------------------------------------------------------------------------------ */

void admin_shard_on_mail(struct turn *t, struct admin_shard *a, const struct io_event *event)
{
    struct admin_request r;
    CHECK(event->data_len == sizeof(r));
    memcpy(&r, event->data, sizeof(r));
    CHECK(r.name_len <= ADMIN_NAME_CAP && r.value_len <= ADMIN_VALUE_CAP);
    switch (r.verb) {
    case ADMIN_STATUS:
    case ADMIN_PEERS:
    case ADMIN_RING:
    case ADMIN_LINKS:
    case ADMIN_STORED:
    case ADMIN_BINDINGS:
    case ADMIN_TRACE:
        send_rows(t, a, &r, event->tag);
        return;
    case ADMIN_FETCH:
    case ADMIN_PING:
    case ADMIN_STORE:
    case ADMIN_STAT:
    case ADMIN_FIND:
    case ADMIN_ROUTE:
        operate(t, a, &r, event->tag);
        return;
    case ADMIN_DRAIN:
        if (node_sip(a->node) != NULL) {
            sip_drain(t, node_sip(a->node));
        }
        return;
    case ADMIN_STOP:
        node_stop(t, a->node, r.number);
        return;
    case ADMIN_SIBLING_LEFT:
        link_remove_sibling(t, node_links(a->node), (uint16_t)r.number);
        return;
    case ADMIN_SET_CONFIG:
        node_set_config(t, a->node, r.change);
        a->has_taken = true;
        return;
    case ADMIN_SET_SIP_TLS: /* connections that are up keep the former one */
        tls_boring_context_retire(node_set_sip_tls(a->node, r.sip_tls));
        return;
    case ADMIN_JUDGED:
        node_document_judged(t, a->node, (uint16_t)r.number);
        return;
    case ADMIN_METRICS:
    case ADMIN_HISTOGRAMS:
    case ADMIN_HEALTH:
    case ADMIN_SHUTDOWN:
    case ADMIN_RELOAD:
    case ADMIN_READY:
    case ADMIN_LOST:
    case ADMIN_STOPPED:
    case ADMIN_CONFIG_TAKEN:
    case ADMIN_DOCUMENT:
        break;
    }
    UNREACHABLE("not a mail for a shard");
}

/* A document of another node, to be judged there.  What cannot be mailed is refused, and its sender
 * told to come again. */
static void send_document(struct turn *t, struct admin_shard *a)
{
    struct node_id from;
    struct slice document;
    if (!node_next_document(a->node, &from, &document)) {
        return;
    }
    struct admin_answer answer = {.verb = ADMIN_DOCUMENT,
                                  .len = (uint32_t)(sizeof(from) + document.len)};
    struct msgbuf *b = msgbuf_acquire(t->buffers, sizeof(answer) + answer.len);
    bool is_sent = b != NULL && msgbuf_append(b, slice_of(&answer, sizeof(answer))) == ERR_OK &&
                   msgbuf_append(b, slice_of(&from, sizeof(from))) == ERR_OK &&
                   msgbuf_append(b, document) == ERR_OK &&
                   io_mail(t->out, t->buffers, IO_SHARD_CONTROL, IO_MAIL_CONTROL, 0, b) == ERR_OK;
    if (!is_sent) {
        node_document_judged(t, a->node, CONTENT_ERROR_IN_PROGRESS);
    }
}

void admin_shard_flush(struct turn *t, struct admin_shard *a)
{
    send_document(t, a);
    if (a->has_taken && send_news(t, ADMIN_CONFIG_TAKEN)) {
        a->has_taken = false;
    }
    const struct answer *x;
    while ((x = answer_next(a->node)) != NULL) {
        CHECK(x->tag < ANSWER_CAP);
        struct admin_pending *p = &a->pending[x->tag];
        CHECK(p->tag != 0);
        send_result(t, a, p, x, ERR_OK);
        p->tag = 0;
    }
    bool is_ready = overlay_is_ready(node_overlay(a->node));
    if (is_ready != a->told_ready && send_news(t, is_ready ? ADMIN_READY : ADMIN_LOST)) {
        trace_note(t->now_us, TRACE_overlay_ready, is_ready ? 1 : 0, 0);
        a->told_ready = is_ready;
    }
    if (!a->told_stopped && node_is_stopped(a->node) && send_news(t, ADMIN_STOPPED)) {
        a->told_stopped = true;
    }
}
