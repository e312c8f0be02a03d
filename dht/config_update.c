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
 * document does not even fit with the shortest. */
static size_t room_of(const struct config_update_settings *s)
{
    size_t used = FWD_FIXED_BYTES + CONTENTS_HEAD + BODY_HEAD + s->document.len + SECURITY_HEAD +
                  CERTIFICATE_HEAD + s->self->certificate.len + signature_bytes(s->self);
    for (size_t i = 0; i < s->self->intermediate_count; i++) {
        used += CERTIFICATE_HEAD + s->self->intermediates[i].len;
    }
    size_t left = s->max_message_bytes > used ? s->max_message_bytes - used : 0;
    return s->document.len > 0 && left >= FWD_NODE_BYTES_MAX ? left : 0;
}

size_t config_update_bytes(const struct config_update_settings *s)
{
    return room_of(s) > 0 ? s->document.len + BODY_HEAD + BUDGET_SLACK : 0;
}

void config_update_init(struct turn *t, struct config_update *cu, struct arena *arena,
                        const struct config_update_settings *s)
{
    *cu = (struct config_update){.transact = s->transact,
                                 .params = s->params,
                                 .self = s->self,
                                 .takes_documents = s->takes_documents,
                                 .room = room_of(s)};
    bucket_init(&cu->bucket, CONFIG_UPDATE_PER_S * 1000, CONFIG_UPDATE_AT_ONCE, t->now_us);
    bucket_init(&cu->back, CONFIG_UPDATE_BACK_PER_S * 1000, CONFIG_UPDATE_BACK_AT_ONCE, t->now_us);
    if (cu->room == 0) {
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

/* CU-8: once in a while for each node.  The place to note this one in; NULL: it has been told. */
static struct config_update_told *place_for(const struct turn *t, struct config_update *cu,
                                            const struct node_id *id, bool is_back)
{
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
    if (!m->is_own && wr_ok(&w)) {
        tell_and_count(t, cu, &m->signer, wr_slice(&w));
    }
}

void config_update_send(struct turn *t, struct config_update *cu, const struct node_id *id)
{
    tell_and_count(t, cu, id, SLICE_EMPTY);
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
    bool is_taken = cu->takes_documents && body.type == MSGS_CONFIG;
    handle answer = is_taken ? transact_defer(t, cu->transact, m) : 0;
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
