/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - one mail, one message. */
#include "link/local.h"

struct link *local_add(struct turn *t, struct link_table *lt, uint16_t shard,
                       const struct node_id *node_id, struct slice user)
{
    CHECK(shard < LINK_TABLE_SIBLINGS && shard != lt->settings.shard);
    CHECK(user.len <= CRYPTO_USER_CAP);
    if (lt->siblings[shard] != NULL) {
        return lt->siblings[shard];
    }
    struct link *l = link_table_add(lt, LINK_STATE_HANDSHAKE);
    if (l == NULL) {
        return NULL;
    }
    l->is_local = true;
    l->is_dialled = true; /* nothing to prove: it is counted as ours */
    lt->dialling_count++;
    metric_add(t->metrics, METRIC_links_handshaking, 1);
    l->shard = shard;
    l->node_id = *node_id;
    l->user_len = (uint16_t)user.len;
    if (user.len > 0) {
        memcpy(l->user, user.data, user.len);
    }
    l->opened_us = t->now_us;
    l->up_since_us = t->now_us;
    l->not_after_ms = UINT64_MAX;
    lt->siblings[shard] = l;
    link_table_enter(t, lt, l, LINK_STATE_UP);
    return l;
}

void local_remove(struct turn *t, struct link_table *lt, struct link *l, enum err error)
{
    CHECK(l->is_local);
    if (l->state == LINK_STATE_DOWN) {
        return;
    }
    lt->siblings[l->shard] = NULL;
    l->error = error;
    link_table_enter(t, lt, l, LINK_STATE_DOWN);
    link_table_note_ready(lt, l);
}

enum err local_send(struct turn *t, struct link *l, struct slice head, struct slice body)
{
    struct msgbuf *buf = msgbuf_acquire(t->buffers, head.len + body.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_link_send_failed, 1);
        return ERR_LIMIT;
    }
    enum err error = msgbuf_append(buf, head);
    CHECK(error == ERR_OK);
    error = msgbuf_append(buf, body);
    CHECK(error == ERR_OK);
    error = io_mail(t->out, t->buffers, l->shard, IO_MAIL_LINK, 0, buf);
    if (error != ERR_OK) {
        metric_add(t->metrics, METRIC_link_queue_full, 1);
        return ERR_LIMIT;
    }
    l->messages_out++;
    l->bytes_out += head.len + body.len;
    metric_add(t->metrics, METRIC_link_messages_out, 1);
    return ERR_OK;
}

void local_on_mail(struct turn *t, struct link_table *lt, uint16_t shard, uint8_t *data, size_t len)
{
    struct link *l = shard < LINK_TABLE_SIBLINGS ? lt->siblings[shard] : NULL;
    if (l == NULL || len > lt->message_cap) {
        metric_add(t->metrics, METRIC_link_mail_dropped, 1);
        return;
    }
    CHECK(lt->mail_from == NULL); /* the one before must have been taken */
    lt->mail_from = l;
    lt->mail = data;
    lt->mail_len = len;
    l->messages_in++;
    l->bytes_in += len;
    metric_add(t->metrics, METRIC_link_messages_in, 1);
    link_table_note_ready(lt, l);
}
