/* SPDX-License-Identifier: Apache-2.0 */
/* config_update.c - see config_update.h. */
#include "dht/config_update.h"

#include "codec/msgs.h"
#include "dht/budget.h"
#include "dht/outgoing.h"

enum {
    BODY_HEAD = 1 + 4 + 3,     /* type and the two lengths in front of a document */
    CONTENTS_HEAD = 2 + 4 + 4, /* code, length of the body, no extensions */
    CERTIFICATE_HEAD = 1 + 2,  /* type and length */
    SECURITY_HEAD = 2 + 2 + 3 + 2 + CRYPTO_SHA256_BYTES + 2, /* lengths and SignerIdentity */
    TRANSMISSIONS = 2,                                       /* whoever misses it will ask again */
};

STATIC_CHECK((CONFIG_UPDATE_PER_S + CONFIG_UPDATE_BACK_PER_S) *
                     (CONFIG_UPDATE_PERIOD_US / 1000000) +
                 CONFIG_UPDATE_AT_ONCE + CONFIG_UPDATE_BACK_AT_ONCE <
             CONFIG_UPDATE_TOLD);

/* Bytes of a signature at most. */
static size_t signature_bytes(const struct ident *who)
{
    switch (who->algorithm) {
    case CRYPTO_ED25519:
        return 64;
    case CRYPTO_ECDSA_SHA256:
        return 104; /* DER, P-384 */
    case CRYPTO_RSA_SHA256:
    case CRYPTO_ALGORITHM_NONE:
        break;
    }
    return CRYPTO_SIGNATURE_CAP;
}

/* What is left of a message for the Destination List when everything else is in it; 0 when the
 * document does not even fit with the shortest and an entry in the Via List. */
static size_t room_of(const struct ident *self, size_t document_len, uint32_t max_message_bytes)
{
    size_t used = FWD_FIXED_BYTES + CONTENTS_HEAD + BODY_HEAD + document_len + SECURITY_HEAD +
                  CERTIFICATE_HEAD + self->certificate.len + signature_bytes(self);
    for (size_t i = 0; i < self->intermediate_count; i++) {
        used += CERTIFICATE_HEAD + self->intermediates[i].len;
    }
    size_t left = max_message_bytes > used ? max_message_bytes - used : 0;
    return document_len > 0 && left >= 2 * FWD_NODE_BYTES_MAX ? left : 0;
}

/* Who takes no other document needs no room for one. */
static size_t bytes_cap_of(const struct config_update_settings *s)
{
    bool is_sent = room_of(s->self, s->document.len, s->max_message_bytes) > 0;
    size_t fixed = is_sent ? s->document.len + BODY_HEAD : 0;
    return s->takes_documents ? s->max_message_bytes : fixed;
}

size_t config_update_bytes(const struct config_update_settings *s)
{
    size_t cap = bytes_cap_of(s);
    return cap > 0 ? cap + CONFIG_UPDATE_TOLD * sizeof(struct config_update_told) + BUDGET_SLACK
                   : 0;
}

static void set_document(struct config_update *cu, struct slice document,
                         uint32_t max_message_bytes)
{
    cu->room = room_of(cu->self, document.len, max_message_bytes);
    cu->body = SLICE_EMPTY;
    cu->document = SLICE_EMPTY;
    if (cu->room == 0) {
        return;
    }
    struct wr w = wr_init(cu->bytes, cu->bytes_cap);
    struct msgs_config_update update = {.type = MSGS_CONFIG, .config_data = document};
    msgs_config_update_wr(&w, cu->params, &update);
    CHECK(wr_ok(&w));
    cu->body = wr_slice(&w);
    struct msgs_config_update again;
    enum err e = msgs_config_update_decode(cu->body, cu->params, &again);
    CHECK(e == ERR_OK);
    cu->document = again.config_data;
}

void config_update_init(struct turn *t, struct config_update *cu, struct arena *arena,
                        const struct config_update_settings *s)
{
    size_t cap = bytes_cap_of(s);
    *cu = (struct config_update){
        .transact = s->transact,
        .params = s->params,
        .self = s->self,
        .table = s->table,
        .takes_documents = s->takes_documents,
        .bytes = cap > 0 ? ARENA_ARRAY(arena, uint8_t, cap) : NULL,
        .bytes_cap = cap,
        .told = cap > 0 ? ARENA_ARRAY(arena, struct config_update_told, CONFIG_UPDATE_TOLD) : NULL,
        .timer = {.tag = handle_make(HANDLE_OVERLAY, 0, 0), .what = CONFIG_UPDATE_TIMER}};
    bucket_init(&cu->bucket, CONFIG_UPDATE_PER_S * 1000, CONFIG_UPDATE_AT_ONCE, t->now_us);
    bucket_init(&cu->back, CONFIG_UPDATE_BACK_PER_S * 1000, CONFIG_UPDATE_BACK_AT_ONCE, t->now_us);
    bucket_init(&cu->judge, CONFIG_UPDATE_JUDGE_PER_S * 1000, CONFIG_UPDATE_JUDGE_AT_ONCE,
                t->now_us);
    set_document(cu, s->document, s->max_message_bytes);
}

/* CU-8: once in a while for each node.  The place to note this one in; NULL: it has been told. */
static struct config_update_told *place_for(const struct turn *t, struct config_update *cu,
                                            const struct node_id *id, bool is_back)
{
    if (cu->told == NULL) {
        return NULL;
    }
    struct config_update_told *oldest = &cu->told[0];
    for (size_t i = 0; i < CONFIG_UPDATE_TOLD; i++) {
        struct config_update_told *told = &cu->told[i];
        if (t->now_us < told->until_us && told->is_back == is_back &&
            ids_node_is_equal(&told->id, id)) {
            return NULL;
        }
        oldest = told->until_us < oldest->until_us ? told : oldest;
    }
    return oldest;
}

/* Only what has gone out counts as told and takes from the bucket. */
static bool tell(struct turn *t, struct config_update *cu, const struct node_id *id,
                 struct slice destinations)
{
    bool is_back = destinations.len > 0;
    struct bucket *bucket = is_back ? &cu->back : &cu->bucket;
    struct config_update_told *place = place_for(t, cu, id, is_back);
    struct transact_request request = {.owner = TRANSACT_CONFIG_UPDATE,
                                       .target = {.type = TRANSACT_NODE, .node = *id},
                                       .destinations = destinations,
                                       .code = CONTENT_CONFIG_UPDATE_REQ,
                                       .body = cu->body,
                                       .transmissions = TRANSMISSIONS};
    if (destinations.len > cu->room || cu->body.len == 0 || place == NULL ||
        !bucket_has(bucket, 1, t->now_us) ||
        transact_request(t, cu->transact, &request, NULL) != ERR_OK) {
        return false;
    }
    bool is_taken = bucket_take(bucket, 1, t->now_us);
    CHECK(is_taken);
    *place = (struct config_update_told){*id, is_back, t->now_us + CONFIG_UPDATE_PERIOD_US};
    return true;
}

static void tell_and_count(struct turn *t, struct config_update *cu, const struct node_id *id,
                           struct slice destinations)
{
    metric_add(t->metrics,
               tell(t, cu, id, destinations) ? METRIC_config_updates_sent
                                             : METRIC_config_updates_held_back,
               1);
}

void config_update_send_back(struct turn *t, struct config_update *cu, const struct message *m)
{
    uint8_t list[(FWD_ENTRIES_MAX + 1) * FWD_NODE_BYTES_MAX / 2];
    struct wr w = wr_init(list, sizeof(list));
    outgoing_wr_return(&w, cu->params, &cu->self->node_id, &m->previous_hop, m->via_list);
    if (!m->is_own && wr_ok(&w) && outgoing_has_return(cu->params, m->via_list)) {
        tell_and_count(t, cu, &m->signer, wr_slice(&w));
    }
}

void config_update_send(struct turn *t, struct config_update *cu, const struct node_id *id)
{
    tell_and_count(t, cu, id, SLICE_EMPTY);
}

/* What came in */

/* True when a document of `id` may be judged now.  The table holds whom the bucket lets through. */
static bool may_be_judged(const struct turn *t, struct config_update *cu, const struct node_id *id)
{
    STATIC_CHECK(CONFIG_UPDATE_JUDGE_PER_S * (CONFIG_UPDATE_JUDGE_PERIOD_US / 1000000) +
                     CONFIG_UPDATE_JUDGE_AT_ONCE <
                 CONFIG_UPDATE_JUDGED);
    struct config_update_judged *oldest = &cu->judged[0];
    bool is_busy = cu->judging != 0 && t->now_us < cu->judging_until_us;
    for (size_t i = 0; !is_busy && i < CONFIG_UPDATE_JUDGED; i++) {
        struct config_update_judged *j = &cu->judged[i];
        is_busy = t->now_us < j->until_us && ids_node_is_equal(&j->id, id);
        oldest = j->until_us < oldest->until_us ? j : oldest;
    }
    if (is_busy || !bucket_take(&cu->judge, 1, t->now_us)) {
        return false;
    }
    *oldest = (struct config_update_judged){*id, t->now_us + CONFIG_UPDATE_JUDGE_PERIOD_US};
    return true;
}

/* Why a document is not judged at all; 0: it is. */
static uint16_t fault_of(const struct turn *t, struct config_update *cu, const struct message *m,
                         const struct msgs_config_update *body)
{
    if (!cu->takes_documents || body->type != MSGS_CONFIG) {
        return CONTENT_ERROR_FORBIDDEN; /* Kinds from Kind signers are not taken (O) */
    }
    if (cu->document.len > 0 && slice_is_equal(cu->document, body->config_data)) {
        metric_add(t->metrics, METRIC_config_updates_known, 1);
        return CONTENT_ERROR_CONFIG_TOO_OLD; /* CU-4: not newer than ours */
    }
    if (!may_be_judged(t, cu, &m->signer)) {
        metric_add(t->metrics, METRIC_config_updates_paced, 1);
        return CONTENT_ERROR_IN_PROGRESS;
    }
    return 0;
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
    uint16_t fault = fault_of(t, cu, m, &body);
    handle answer = fault == 0 ? transact_defer(t, cu->transact, m) : 0;
    if (answer == 0) {
        transact_error(t, cu->transact, m, fault == 0 ? CONTENT_ERROR_FORBIDDEN : fault,
                       SLICE_EMPTY);
        return false;
    }
    cu->judging = answer;
    cu->judging_until_us = t->now_us + CONFIG_UPDATE_JUDGE_US;
    *event = (struct overlay_event){.kind = OVERLAY_CONFIG_RECEIVED,
                                    .tag = answer,
                                    .node_id = m->signer,
                                    .document = body.config_data};
    return true;
}

void config_update_judged(struct config_update *cu, uint64_t tag)
{
    cu->judging = cu->judging == tag ? 0 : cu->judging;
}

/* Of our own accord */

static void note_told(const struct turn *t, struct config_update *cu, const struct node_id *id)
{
    struct config_update_told *place = place_for(t, cu, id, false);
    if (place != NULL) {
        *place = (struct config_update_told){*id, false, t->now_us + CONFIG_UPDATE_PERIOD_US};
    }
}

void config_update_set(struct turn *t, struct config_update *cu, struct slice document,
                       uint32_t max_message_bytes, const struct node_id *from)
{
    static const struct node_id nobody;
    set_document(cu, document, max_message_bytes);
    if (cu->told != NULL) { /* they were told of the last one */
        memset(cu->told, 0, CONFIG_UPDATE_TOLD * sizeof(*cu->told));
    }
    cu->spread_left = cu->body.len > 0 ? CONFIG_UPDATE_SPREAD : 0;
    if (!ids_node_is_equal(from, &nobody)) {
        note_told(t, cu, from);
    }
    wheel_arm(t->wheel, &cu->timer, t->now_us + rng_below(t->rng, CONFIG_UPDATE_SPREAD_STEP_US));
}

void config_update_note(const struct turn *t, struct config_update *cu, const struct node_id *id)
{
    if (cu->spread_left > 0) {
        note_told(t, cu, id);
    }
}

static bool wants_ours(const struct turn *t, struct config_update *cu,
                       const struct chord_table_node *n)
{
    return !n->is_local && n->state == CHORD_TABLE_PEER && place_for(t, cu, &n->id, false) != NULL;
}

/* Who gets it next: neighbors, from the nearest, then the others; NULL: nobody is left. */
static const struct chord_table_node *next_of(const struct turn *t, struct config_update *cu)
{
    const struct chord_table *ct = cu->table;
    for (uint32_t i = 0; i < CHORD_TABLE_NEIGHBORS; i++) {
        const struct chord_table_node *both[] = {chord_table_successor(ct, i),
                                                 chord_table_predecessor(ct, i)};
        for (size_t k = 0; k < ARRAY_COUNT(both); k++) {
            if (both[k] != NULL && wants_ours(t, cu, both[k])) {
                return both[k];
            }
        }
    }
    for (uint32_t i = 0; i < ct->count; i++) {
        if (wants_ours(t, cu, &ct->nodes[i])) {
            return &ct->nodes[i];
        }
    }
    return NULL;
}

void config_update_on_timer(struct turn *t, struct config_update *cu)
{
    for (uint32_t i = 0; i < CONFIG_UPDATE_SPREAD_STEP && cu->spread_left > 0; i++) {
        const struct chord_table_node *n = next_of(t, cu);
        if (n == NULL) {
            cu->spread_left = 0;
            return;
        }
        struct node_id id = n->id;
        if (!tell(t, cu, &id, SLICE_EMPTY)) {
            break; /* the bucket is empty: later */
        }
        metric_add(t->metrics, METRIC_config_updates_sent, 1);
        cu->spread_left--;
    }
    if (cu->spread_left > 0) {
        wheel_arm(t->wheel, &cu->timer,
                  t->now_us + CONFIG_UPDATE_SPREAD_STEP_US +
                      rng_below(t->rng, CONFIG_UPDATE_SPREAD_STEP_US));
    }
}

void config_update_clear(struct turn *t, struct config_update *cu)
{
    wheel_cancel(t->wheel, &cu->timer);
    cu->spread_left = 0;
}
