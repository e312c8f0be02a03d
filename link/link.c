/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - the door of link/: requests and input go to the link they concern, events come out.
 *
 * A link with something to say stands in the list `ready`; what it has to say is read off its state
 * when link_next gets to it (LINK_UP, then messages, then changes, then the end), so there is no
 * queue of events that could run full. */
#include "core/buggify.h"
#include "link/dtls.h"
#include "link/link_life.h"
#include "link/local.h"
#include "link/trunk.h"

/* ---- input ---- */

enum err link_dial(struct turn *t, struct link_table *lt, const struct address *remote,
                   const struct node_id *expect, uint64_t tag, handle *link)
{
    *link = 0;
    struct link *l = lt->dialling_count >= lt->settings.handshaking
                         ? NULL
                         : link_table_add(lt, LINK_STATE_DIALLING);
    if (l == NULL) {
        metric_add(t->metrics, METRIC_link_dial_refused, 1);
        return ERR_LIMIT;
    }
    l->is_dialled = true;
    l->remote = *remote;
    l->tag = tag;
    l->opened_us = t->now_us;
    if (expect != NULL) {
        l->has_expect = true;
        l->node_id = *expect;
    }
    lt->dialling_count++;
    metric_add(t->metrics, METRIC_links_handshaking, 1);
    metric_add(t->metrics, METRIC_link_dials, 1);
    link_life_arm_handshake(t, lt, l);
    *link = link_table_handle(lt, l);
    if (io_connect(t->out, remote, *link) != ERR_OK) {
        link_life_fail(t, lt, l, ERR_LIMIT, METRIC_link_outbox_full, "outbox full");
    }
    return ERR_OK;
}

enum err link_dial_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                            const struct node_id *expect, uint64_t tag, handle *link)
{
    *link = 0;
    if (lt->settings.tls->open_datagram == NULL || lt->settings.links_datagram == 0) {
        return ERR_UNSUPPORTED;
    }
    struct link *l = NULL;
    enum err error = lt->dialling_count >= lt->settings.handshaking
                         ? ERR_LIMIT
                         : dtls_dial(t, lt, remote, expect, &l);
    if (l == NULL) {
        metric_add(t->metrics, METRIC_link_dial_refused, 1);
        return error;
    }
    l->tag = tag;
    metric_add(t->metrics, METRIC_link_dials, 1);
    *link = link_table_handle(lt, l);
    return ERR_OK;
}

void link_announce(struct turn *t, struct link_table *lt, const struct node_id *node_id,
                   const struct address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        announced_add(t, &lt->announced, node_id, &addresses[i]);
        dtls_replay(t, lt, &addresses[i]);
    }
}

void link_on_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                      const uint8_t *data, size_t len)
{
    if (lt->settings.tls->open_datagram == NULL || lt->settings.links_datagram == 0) {
        metric_add(t->metrics, METRIC_link_datagrams_stray, 1);
        return;
    }
    dtls_on_datagram(t, lt, remote, slice_of(data, len));
}

void link_add_sibling(struct turn *t, struct link_table *lt, uint16_t shard,
                      const struct node_id *node_id, struct slice user)
{
    if (local_add(t, lt, shard, node_id, user) == NULL) {
        metric_add(t->metrics, METRIC_link_dial_refused, 1);
    }
}

void link_remove_sibling(struct turn *t, struct link_table *lt, uint16_t shard)
{
    CHECK(shard < LINK_TABLE_SIBLINGS);
    if (lt->siblings[shard] != NULL) {
        local_remove(t, lt, lt->siblings[shard], ERR_CLOSED);
    }
}

enum err link_on_accepted(struct turn *t, struct link_table *lt, handle conn,
                          const struct address *remote, handle *link)
{
    *link = 0;
    bool is_admitted = link_table_admit(t, lt, remote) && !buggify(t, BUGGIFY_link_refused);
    struct link *l = is_admitted ? link_table_add(lt, LINK_STATE_HANDSHAKE) : NULL;
    if (l == NULL) {
        io_abort(t->out, conn);
        return ERR_LIMIT;
    }
    l->remote = *remote;
    l->opened_us = t->now_us;
    link_table_note_stranger(lt, l);
    metric_add(t->metrics, METRIC_links_handshaking, 1);
    metric_add(t->metrics, METRIC_link_accepts, 1);
    link_life_arm_handshake(t, lt, l);
    trunk_start(t, lt, l, conn);
    *link = link_table_handle(lt, l);
    return ERR_OK;
}

void link_on_connected(struct turn *t, struct link_table *lt, handle link, handle conn,
                       enum err error)
{
    struct link *l = link_table_get(lt, link);
    if (l == NULL || l->state != LINK_STATE_DIALLING) {
        if (error == ERR_OK) {
            io_abort(t->out, conn); /* nobody waits for it any more */
        }
        return;
    }
    if (error != ERR_OK) {
        link_life_fail(t, lt, l, error, METRIC_link_dial_failed, "no connection");
        return;
    }
    trunk_start(t, lt, l, conn);
}

HOT void link_on_stream(struct turn *t, struct link_table *lt, handle link, uint8_t *data,
                        size_t len)
{
    struct link *l = link_table_get(lt, link);
    if (l != NULL) {
        trunk_on_stream(t, lt, l, data, len);
    }
}

void link_on_sent(struct turn *t, struct link_table *lt, handle link, size_t len)
{
    struct link *l = link_table_get(lt, link);
    (void)t;
    if (l != NULL) {
        l->outstanding -= (uint32_t)min_size(len, l->outstanding);
        if (UNLIKELY(frame_io_owes_ack(&l->frames, false))) {
            link_table_note_dirty(lt, l);
        }
    }
}

void link_on_closed(struct turn *t, struct link_table *lt, handle link, enum err error)
{
    struct link *l = link_table_get(lt, link);
    if (l == NULL || l->conn == 0) {
        return;
    }
    l->conn = 0; /* its handle is over */
    bool is_early = l->state == LINK_STATE_HANDSHAKE;
    link_life_fail(t, lt, l, error == ERR_OK ? ERR_CLOSED : error,
                   is_early ? METRIC_link_handshake_failed : METRIC_link_closed_by_peer,
                   "connection closed");
}

void link_on_mail(struct turn *t, struct link_table *lt, uint16_t shard, uint8_t *data, size_t len)
{
    local_on_mail(t, lt, shard, data, len);
}

void link_on_timer(struct turn *t, struct link_table *lt, struct wheel_timer *timer)
{
    struct link *l = link_table_get(lt, timer->tag);
    CHECK(l != NULL); /* a link that ends cancels its timer */
    if (l->dtls != NULL) {
        dtls_on_timer(t, lt, l);
    } else {
        trunk_on_timer(t, lt, l);
    }
}

/* ---- events ---- */

static void fill_event(struct link_table *lt, const struct link *l, enum link_event_kind kind,
                       struct link_event *event)
{
    *event = (struct link_event){.kind = kind,
                                 .link = link_table_handle(lt, l),
                                 .node_id = l->node_id,
                                 .tag = l->tag,
                                 .is_local = l->is_local,
                                 .was_up = l->told_up};
    memcpy(lt->user, l->user, l->user_len); /* the link may be over when the event is looked at */
    event->user = slice_of(lt->user, l->user_len);
}

/* Messages of the loser of a glare are given out as if they had come over the link that is kept,
 * and so are those that it never got through.  False: there is none. */
static bool attribute(struct turn *t, struct link_table *lt, const struct link *l,
                      struct link_event *event)
{
    if (!l->told_down) {
        return true;
    }
    const struct link *kept = link_table_find(lt, &l->node_id);
    if (kept == NULL) {
        metric_add(t->metrics, METRIC_link_message_late, 1);
        return false;
    }
    event->link = link_table_handle(lt, kept);
    event->tag = kept->tag;
    event->is_local = kept->is_local;
    return true;
}

static HOT bool next_message(struct turn *t, struct link_table *lt, struct link *l,
                             struct link_event *event)
{
    uint8_t *message = NULL;
    size_t len = 0;
    size_t headroom = l->dtls == NULL ? LINK_HEADROOM : 0;
    if (lt->mail_from == l) {
        message = lt->mail;
        len = lt->mail_len;
        headroom = 0; /* a sender's buffer, of which we know no more */
        lt->mail_from = NULL;
    } else if (l->dtls != NULL ? !dtls_read(t, lt, l, &message, &len)
                               : !trunk_read(t, lt, l, &message, &len)) {
        return false;
    }
    *event = (struct link_event){.kind = LINK_MESSAGE,
                                 .link = link_table_handle(lt, l),
                                 .node_id = l->node_id,
                                 .tag = l->tag,
                                 .is_local = l->is_local,
                                 .was_up = l->told_up,
                                 .message = message,
                                 .message_len = len,
                                 .headroom = headroom,
                                 .user = {(const uint8_t *)lt->user, 0}};
    return true;
}

/* The next message that the other side has not acknowledged. */
static bool give_back(struct turn *t, struct link_table *lt, struct link *l, uint8_t **message,
                      size_t *len)
{
    if (l->dtls == NULL) {
        return frame_io_give(&l->frames, t->buffers, message, len);
    }
    struct msgbuf *buf = dtls_give(l);
    if (buf == NULL) {
        return false;
    }
    if (lt->spent != NULL) {
        msgbuf_release(t->buffers, lt->spent);
    }
    lt->spent = buf;
    *message = msgbuf_data(buf);
    *len = buf->len;
    return true;
}

static bool next_unacked(struct turn *t, struct link_table *lt, struct link *l,
                         struct link_event *event)
{
    if (!l->gives_back) {
        return false;
    }
    if (l->gather != NULL && l->gather_has_data) { /* gathered, never sealed */
        struct msgbuf *gather = l->gather;
        l->gather = NULL;
        frame_io_on_sent(&l->frames, t->buffers, t->now_us, l->gather_first,
                         l->frames.next_sequence - 1, gather, UINT32_MAX / 2);
    }
    uint8_t *message = NULL;
    size_t len = 0;
    if (!give_back(t, lt, l, &message, &len)) {
        return false;
    }
    fill_event(lt, l, LINK_UNACKED, event);
    event->message = message;
    event->message_len = len;
    metric_add(t->metrics, METRIC_link_unacked, 1);
    return true;
}

/* The next event of a link that is not down. */
static bool next_alive(struct turn *t, struct link_table *lt, struct link *l,
                       struct link_event *event)
{
    if (l->was_up && !l->told_up && !l->owes_down) {
        l->told_up = true;
        fill_event(lt, l, LINK_UP, event);
        return true;
    }
    if (l->owes_down && !l->told_down) {
        fill_event(lt, l, LINK_DOWN, event);
        event->error = l->error;
        l->told_down = true;
        return true;
    }
    while (next_message(t, lt, l, event)) {
        if (attribute(t, lt, l, event)) {
            return true;
        }
    }
    if (l->owes_quiet) {
        l->owes_quiet = false;
        if (l->told_up && !l->told_down && l->state == LINK_STATE_UP) {
            fill_event(lt, l, LINK_QUIET, event);
            return true;
        }
    }
    if (l->told_up && !l->told_down && l->state != LINK_STATE_DOWN &&
        l->told_suspect != (l->state == LINK_STATE_SUSPECT)) {
        l->told_suspect = l->state == LINK_STATE_SUSPECT;
        fill_event(lt, l, l->told_suspect ? LINK_SUSPECT : LINK_RESTORED, event);
        return true;
    }
    return false;
}

/* The next event of a link that is down, NULL-like false after its last. */
static bool next_down(struct turn *t, struct link_table *lt, struct link *l,
                      struct link_event *event)
{
    while (next_unacked(t, lt, l, event)) {
        if (attribute(t, lt, l, event)) {
            return true;
        }
    }
    if (l->told_down) {
        return false;
    }
    l->told_down = true;
    fill_event(lt, l, LINK_DOWN, event);
    event->error = l->error;
    return true;
}

HOT bool link_next(struct turn *t, struct link_table *lt, struct link_event *event)
{
    if (lt->spent != NULL) {
        msgbuf_release(t->buffers, lt->spent);
        lt->spent = NULL;
    }
    while (lt->ready.next != &lt->ready) {
        struct link *l = CONTAINER_OF(lt->ready.next, struct link, ready);
        if (l->state != LINK_STATE_DOWN && next_alive(t, lt, l, event)) {
            return true;
        }
        /* Reading may just have found its end. */
        if (l->state == LINK_STATE_DOWN) {
            if (next_down(t, lt, l, event)) {
                return true;
            }
            link_table_remove(t, lt, l);
            continue;
        }
        l->ready.prev->next = l->ready.next;
        l->ready.next->prev = l->ready.prev;
        l->ready.next = NULL;
        l->ready.prev = NULL;
    }
    link_table_settle_loan(lt);
    return false;
}

/* ---- output ---- */

static bool is_sendable(const struct link *l)
{
    return l != NULL && (l->state == LINK_STATE_UP || l->state == LINK_STATE_SUSPECT);
}

bool link_is_up(const struct link_table *lt, handle link)
{
    return is_sendable(link_table_get(lt, link));
}

HOT enum err link_send(struct turn *t, struct link_table *lt, handle link, struct slice head,
                       struct slice body)
{
    struct link *l = link_table_get(lt, link);
    if (!is_sendable(l)) {
        return ERR_CLOSED;
    }
    if (head.len > lt->message_cap || body.len > lt->message_cap - head.len) {
        return ERR_TOO_LARGE;
    }
    if (l->dtls != NULL) {
        return dtls_send(t, lt, l, head, body);
    }
    return l->is_local ? local_send(t, l, head, body) : trunk_send(t, lt, l, head, body);
}

HOT uint8_t *link_claim(struct turn *t, struct link_table *lt, handle link, size_t room,
                        size_t *cap)
{
    struct link *l = link_table_get(lt, link);
    if (!is_sendable(l) || l->is_local || l->dtls != NULL) {
        return NULL;
    }
    uint8_t *at = trunk_claim(t, lt, l, room, cap);
    lt->claimed = l;
    *cap = min_size(*cap, lt->message_cap);
    return at;
}

HOT void link_commit(struct turn *t, struct link_table *lt, handle link, size_t len)
{
    struct link *l = lt->claimed;
    CHECK(l != NULL && link_table_handle(lt, l) == link && len > 0);
    lt->claimed = NULL;
    trunk_commit(t, lt, l, len);
}

size_t link_room(const struct link_table *lt, handle link)
{
    const struct link *l = link_table_get(lt, link);
    return l == NULL || l->dtls == NULL ? 0 : l->dtls->room;
}

/* Many links at once do not stay in the caches from the message that has come to the flush: while
 * one is flushed the next is fetched, and of the one behind it the link itself. */
static inline void fetch_ahead(const struct link_table *lt, struct link_node *node)
{
    if (node == &lt->dirty) {
        return;
    }
    const struct link *l = CONTAINER_OF(node, struct link, dirty);
    __builtin_prefetch(node->next);
    if (l->dtls != NULL) {
        dtls_fetch_ahead(lt, l);
    }
}

void link_flush(struct turn *t, struct link_table *lt)
{
    link_table_settle_loan(lt);
    /* Whoever cannot be flushed now comes to the end of the list: one round is enough. */
    struct link_node *last = lt->dirty.prev;
    struct link_node *node = lt->dirty.next;
    while (node != &lt->dirty) {
        struct link_node *next = node->next;
        struct link *l = CONTAINER_OF(node, struct link, dirty);
        bool is_last = node == last;
        fetch_ahead(lt, next);
        if (l->dtls != NULL ? dtls_flush(t, lt, l) : trunk_flush(t, lt, l)) {
            node->prev->next = node->next;
            node->next->prev = node->prev;
            node->next = NULL;
            node->prev = NULL;
        }
        if (is_last) {
            break;
        }
        node = next;
    }
}

void link_close(struct turn *t, struct link_table *lt, handle link)
{
    struct link *l = link_table_get(lt, link);
    if (l == NULL) {
        return;
    }
    if (l->is_local) {
        local_remove(t, lt, l, ERR_CLOSED);
    } else {
        link_life_close(t, lt, l, ERR_CLOSED);
    }
}

/* ---- questions ---- */

handle link_find(const struct link_table *lt, const struct node_id *node_id)
{
    const struct link *l = link_table_find(lt, node_id);
    return l == NULL ? 0 : link_table_handle(lt, l);
}

uint32_t link_count_up(const struct link_table *lt)
{
    return lt->up_count;
}

void link_note_listens(struct link_table *lt, handle link, const struct address *at)
{
    struct link *l = link_table_get(lt, link);
    if (l != NULL) {
        l->listens = *at;
    }
}

bool link_walk(const struct link_table *lt, uint32_t *index, struct link_info *out)
{
    const struct link *l = pool_next(&lt->pool, index);
    if (l == NULL) {
        return false;
    }
    *out = (struct link_info){
        .link = link_table_handle(lt, l),
        .node_id = l->node_id,
        .remote = l->remote,
        .listens = l->listens,
        .is_up = is_sendable(l),
        .is_local = l->is_local,
        .is_suspect = l->state == LINK_STATE_SUSPECT,
        .is_dialled = l->is_dialled,
        .up_since_us = l->up_since_us,
        .srtt_us = l->frames.rtt.srtt_us,
        .rto_us = l->frames.rtt.rto_us,
        .messages_in = l->messages_in,
        .messages_out = l->messages_out,
        .bytes_in = l->bytes_in,
        .bytes_out = l->bytes_out,
        .queued_bytes = trunk_queued(l),
        .unacked_frames = frame_io_unacked(&l->frames),
        .certificate_not_after_ms = l->not_after_ms,
    };
    if (l->dtls != NULL) {
        const struct sr *sr = &l->dtls->sr;
        out->is_datagram = true;
        out->srtt_us = sr->rtt.srtt_us;
        out->rto_us = sr->rtt.rto_us;
        out->queued_bytes = sr->bytes;
        out->unacked_frames = sr_unacked(sr);
    }
    memcpy(out->user, l->user, sizeof(out->user));
    return true;
}

void link_fetch_ahead(const struct link_table *lt, handle link)
{
    if (link == 0) {
        __builtin_prefetch(&lt->pool);
        __builtin_prefetch(&lt->ready);
        __builtin_prefetch(&lt->reading);
        __builtin_prefetch(&lt->settings);
    } else if (handle_index(link) < lt->pool.cap) {
        const struct link *l =
            (const struct link *)(const void *)(lt->pool.objects +
                                                (size_t)handle_index(link) * lt->pool.object_size);
        __builtin_prefetch(&lt->pool.generations[handle_index(link)]);
        __builtin_prefetch(&l->state);
        __builtin_prefetch(&l->dirty);
        __builtin_prefetch(&l->messages_in);
        __builtin_prefetch(&l->frames);
        __builtin_prefetch(&l->frames.rtt.srtt_us);
    }
}
