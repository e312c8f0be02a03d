/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_ask.c - Stat, Find and RouteQuery for people (RFC 6940 7.4.3, 7.4.4, 6.4.2.4): asked, and
 * the body of the answer handed up as it is.  Nothing in the peer itself depends on one. */
#include "dht/kind.h"
#include "dht/overlay_impl.h"

enum { BODY_CAP = 96 };

static struct transact_target target_of(const struct overlay_ask *what)
{
    struct transact_target target = {.type = TRANSACT_RESOURCE, .node = what->at};
    if (what->what == OVERLAY_ASK_ROUTE) {
        target.type = TRANSACT_NODE;
        return target;
    }
    enum err e = ids_ring_of_resource(slice_of(what->resource.bytes, sizeof(what->resource.bytes)),
                                      &target.resource);
    CHECK(e == ERR_OK);
    return target;
}

bool overlay_ask_model(const struct overlay *o, uint32_t kind, enum overlay_data_model *out)
{
    struct overlay_kind found;
    if (!kind_find(&o->s.config, kind, &found)) {
        return false;
    }
    *out = found.data_model;
    return true;
}

/* All there is of the Kind, as a Fetch would have it (7.4.2.1). */
static enum err wr_stat(const struct overlay *o, const struct overlay_ask *what, struct wr *w)
{
    static const struct stored_range all = {0, STORED_INDEX_APPEND};
    enum overlay_data_model model;
    if (!overlay_ask_model(o, what->kind, &model)) {
        return ERR_NOT_FOUND;
    }
    wr_opaque8(w, slice_of(what->resource.bytes, sizeof(what->resource.bytes)));
    size_t mark = wr_begin(w, 2);
    if (model == OVERLAY_ARRAY) {
        stored_wr_specifier_array(w, what->kind, 0, &all, 1);
    } else if (model == OVERLAY_DICTIONARY) {
        stored_wr_specifier_dictionary(w, what->kind, 0, NULL, 0);
    } else {
        stored_wr_specifier_single(w, what->kind, 0);
    }
    wr_end(w, 2, mark);
    return ERR_OK;
}

static void wr_find(const struct overlay_ask *what, struct wr *w)
{
    wr_opaque8(w, slice_of(what->resource.bytes, sizeof(what->resource.bytes)));
    size_t mark = wr_begin(w, 1);
    wr_u32(w, what->kind);
    wr_end(w, 1, mark);
}

static void wr_route(const struct overlay *o, const struct overlay_ask *what, struct wr *w)
{
    wr_u8(w, 0); /* send_update: nobody waits for one */
    if (what->is_node) {
        fwd_wr_node(w, &o->params, &what->node);
    } else {
        fwd_wr_resource(w, slice_of(what->resource.bytes, sizeof(what->resource.bytes)));
    }
    wr_u16(w, 0);
}

enum err overlay_ask(struct turn *t, struct overlay *o, const struct overlay_ask *what,
                     uint64_t tag)
{
    static const uint16_t codes[] = {[OVERLAY_ASK_STAT] = CONTENT_STAT_REQ,
                                     [OVERLAY_ASK_FIND] = CONTENT_FIND_REQ,
                                     [OVERLAY_ASK_ROUTE] = CONTENT_ROUTE_QUERY_REQ};
    uint8_t body[BODY_CAP];
    struct wr w = wr_init(body, sizeof(body));
    enum err e = o->is_ready ? ERR_OK : ERR_STATE;
    if (what->what == OVERLAY_ASK_STAT && e == ERR_OK) {
        e = wr_stat(o, what, &w);
    } else if (what->what == OVERLAY_ASK_FIND) {
        wr_find(what, &w);
    } else if (what->what == OVERLAY_ASK_ROUTE) {
        wr_route(o, what, &w);
    }
    if (e != ERR_OK) {
        return e;
    }
    CHECK(wr_ok(&w));
    struct transact_request request = {.owner = TRANSACT_ASK,
                                       .tag = tag,
                                       .target = target_of(what),
                                       .code = codes[what->what],
                                       .body = wr_slice(&w)};
    return transact_request(t, o->transact, &request, NULL);
}

void overlay_ask_on_result(struct turn *t, struct overlay *o, const struct transact_result *result,
                           const struct overlay_event *event)
{
    if (result->answer == NULL || result->error != ERR_OK) {
        overlay_impl_push(t, o, event);
        return;
    }
    CHECK(!o->has_fetched);
    o->fetched = *event;
    o->fetched.document = result->answer->body;
    o->has_fetched = true;
}
