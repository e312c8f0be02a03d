/* SPDX-License-Identifier: Apache-2.0 */
/* config_update.c - see config_update.h. */
#include "dht/config_update.h"

#include "codec/msgs.h"
#include "dht/budget.h"
#include "dht/outgoing.h"

enum {
    BODY_HEAD = 1 + 4 + 3, /* type and the two lengths in front of a document */
    PER_S = 4,
    AT_ONCE = 16,
    TRANSMISSIONS = 2, /* whoever misses it will ask again */
};

static bool fits(const struct config_update_settings *s)
{
    return s->document.len > 0 && s->document.len < s->max_message_bytes;
}

size_t config_update_bytes(const struct config_update_settings *s)
{
    return fits(s) ? s->document.len + BODY_HEAD + BUDGET_SLACK : 0;
}

void config_update_init(struct turn *t, struct config_update *cu, struct arena *arena,
                        const struct config_update_settings *s)
{
    *cu = (struct config_update){.transact = s->transact, .params = s->params, .self = s->self};
    bucket_init(&cu->bucket, PER_S * 1000, AT_ONCE, t->now_us);
    if (!fits(s)) {
        return;
    }
    size_t len = s->document.len + BODY_HEAD;
    uint8_t *body = ARENA_ARRAY(arena, uint8_t, len);
    struct wr w = wr_init(body, len);
    struct msgs_config_update update = {.type = MSGS_CONFIG, .config_data = s->document};
    msgs_config_update_wr(&w, s->params, &update);
    CHECK(wr_ok(&w));
    cu->body = wr_slice(&w);
}

/* CU-8: once in a while for each node, and not too many in all. */
static bool may_tell(struct turn *t, struct config_update *cu, const struct node_id *id)
{
    struct config_update_told *oldest = &cu->told[0];
    for (size_t i = 0; i < CONFIG_UPDATE_TOLD; i++) {
        struct config_update_told *told = &cu->told[i];
        if (t->now_us < told->until_us && ids_node_is_equal(&told->id, id)) {
            return false;
        }
        oldest = told->until_us < oldest->until_us ? told : oldest;
    }
    if (!bucket_take(&cu->bucket, 1, t->now_us)) {
        return false;
    }
    *oldest = (struct config_update_told){*id, t->now_us + CONFIG_UPDATE_PERIOD_US};
    return true;
}

static void tell(struct turn *t, struct config_update *cu, const struct node_id *id,
                 struct slice destinations)
{
    struct transact_request request = {.owner = TRANSACT_CONFIG_UPDATE,
                                       .target = {.type = TRANSACT_NODE, .node = *id},
                                       .destinations = destinations,
                                       .code = CONTENT_CONFIG_UPDATE_REQ,
                                       .body = cu->body,
                                       .transmissions = TRANSMISSIONS};
    if (cu->body.len == 0 || !may_tell(t, cu, id) ||
        transact_request(t, cu->transact, &request, NULL) != ERR_OK) {
        metric_add(t->metrics, METRIC_config_updates_held_back, 1);
        return;
    }
    metric_add(t->metrics, METRIC_config_updates_sent, 1);
}

void config_update_send_back(struct turn *t, struct config_update *cu, const struct message *m)
{
    uint8_t list[(FWD_ENTRIES_MAX + 1) * FWD_NODE_BYTES_MAX / 2];
    struct wr w = wr_init(list, sizeof(list));
    outgoing_wr_return(&w, cu->params, cu->self, &m->previous_hop, m->via_list);
    if (!m->is_own && wr_ok(&w)) {
        tell(t, cu, &m->signer, wr_slice(&w));
    }
}

void config_update_send(struct turn *t, struct config_update *cu, const struct node_id *id)
{
    tell(t, cu, id, SLICE_EMPTY);
}

bool config_update_on_request(struct turn *t, struct config_update *cu, const struct message *m,
                              struct overlay_event *event)
{
    struct msgs_config_update body;
    metric_add(t->metrics, METRIC_config_updates_received, 1);
    if (msgs_config_update_decode(m->body, cu->params, &body) != ERR_OK) {
        transact_error(t, cu->transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return false;
    }
    /* Kinds from Kind signers are not taken (O). */
    handle answer = body.type == MSGS_CONFIG ? transact_defer(t, cu->transact, m) : 0;
    if (answer == 0) {
        transact_error(t, cu->transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY);
        return false;
    }
    *event = (struct overlay_event){.kind = OVERLAY_CONFIG_RECEIVED,
                                    .tag = answer,
                                    .node_id = m->signer,
                                    .document = body.config_data};
    return true;
}
