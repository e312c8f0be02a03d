/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_trunk.h"
#include "cmd/load_cpu.h"
#include "cmd/load_datagram.h"
#include "cmd/load_dial.h"
#include "link/tls_boring.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    ACK_EVERY = 32, /* an ACK covers its own frame and the 31 before it (RFC 6940 6.6.2) */
    PLAIN_BYTES = 128 * 1024,
    MESSAGE_MAX = PLAIN_BYTES - TLS_READ_BYTES - FRAME_DATA_HEADER,
    SOCKET_BYTES = 1024 * 1024,
    RECEIVES = 16,
};

static void go_down(struct load_trunk *k, const char *why)
{
    if (k->why == NULL) {
        k->why = why;
        k->is_up = false;
        load_unwatch(k->load, &k->io);
    }
}

/* ---- out ---- */

static void seal(struct load_trunk *k)
{
    if (k->record_len == 0 || k->why != NULL) {
        return;
    }
    if (tls_boring_ops()->write(k->tls, slice_of(k->record, k->record_len)) != ERR_OK) {
        go_down(k, "TLS refused to write");
    }
    k->records_out++;
    k->record_len = 0;
    load_queue_pull(&k->queue, k->tls);
}

static void hand_over(struct load_trunk *k)
{
    const char *why =
        k->why == NULL ? load_queue_hand_over(&k->queue, k->load, &k->io, k->is_up) : NULL;
    if (why != NULL) {
        go_down(k, why);
    }
}

static uint8_t *claim(struct load_trunk *k, size_t len)
{
    if (k->why != NULL || load_queue_waiting(&k->queue) >= LOAD_TRUNK_QUEUE) {
        return NULL;
    }
    if (k->record_len + len > TLS_RECORD_BYTES) {
        seal(k);
    }
    uint8_t *at = k->record + k->record_len;
    k->record_len += len;
    return at;
}

HOT uint8_t *load_trunk_room(struct load_trunk *k, size_t len)
{
    CHECK(len <= LOAD_TRUNK_MESSAGE_CAP);
    if (k->datagram != NULL) {
        return load_datagram_room(k, len);
    }
    uint8_t *at = claim(k, FRAME_DATA_HEADER + len);
    if (at == NULL) {
        return NULL;
    }
    frame_put_data_header(at, k->sequence++, len);
    k->frames_out++;
    return at + FRAME_DATA_HEADER;
}

/* Without room the debt stays. */
static void acknowledge(struct load_trunk *k)
{
    uint8_t *at = claim(k, FRAME_ACK_BYTES);
    if (at != NULL) {
        frame_put_ack(at, k->window.top, frame_window_received(&k->window, k->window.top));
        k->owed = 0;
    }
}

void load_trunk_flush(struct load_trunk *k)
{
    if (k->datagram != NULL) {
        load_datagram_flush(k);
        return;
    }
    if (k->why != NULL) {
        return;
    }
    if (k->owed > 0) {
        acknowledge(k);
    }
    seal(k);
    hand_over(k);
}

/* ---- in ---- */

/* Takes the frames out of `plain`; what is cut stays. */
static HOT void take_frames(struct load_trunk *k)
{
    struct frame frame;
    size_t consumed = 0;
    while (k->why == NULL) {
        struct slice rest = slice_of(k->plain + k->plain_from, k->plain_len - k->plain_from);
        enum err e = frame_scan(rest, MESSAGE_MAX, &frame, &consumed);
        if (e == ERR_MORE) {
            break;
        }
        if (e != ERR_OK) {
            go_down(k, "not a frame");
            return;
        }
        k->plain_from += consumed;
        if (frame.type != FRAME_DATA) {
            continue; /* an ACK: what is lost, the receiver says */
        }
        frame_window_note(&k->window, frame.sequence);
        k->frames_in++;
        if (++k->owed >= ACK_EVERY) {
            acknowledge(k);
        }
        k->on_message(k, frame.message);
    }
    if (k->plain_from > 0) {
        memmove(k->plain, k->plain + k->plain_from, k->plain_len - k->plain_from);
        k->plain_len -= k->plain_from;
        k->plain_from = 0;
    }
}

static HOT void take_records(struct load_trunk *k)
{
    enum err e = ERR_OK;
    while (k->why == NULL) {
        size_t len = 0;
        CHECK(k->plain_len + TLS_READ_BYTES <= PLAIN_BYTES);
        e = tls_boring_ops()->read(k->tls, k->plain + k->plain_len, TLS_READ_BYTES, &len);
        if (e != ERR_OK) {
            break;
        }
        k->plain_len += len;
        take_frames(k);
    }
    if (e != ERR_MORE && k->why == NULL) {
        go_down(k, e == ERR_CLOSED ? "closed by the other side" : "TLS refused what came");
    }
}

/* One receive; true: there may be more. */
static bool receive(struct load_trunk *k)
{
    ssize_t len = recv(k->io.fd, k->receive, LOAD_TRUNK_RECEIVE, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (len <= 0) {
        go_down(k, "closed by the other side");
        return false;
    }
    k->bytes_in += (uint64_t)len;
    if (tls_boring_ops()->feed(k->tls, slice_of(k->receive, (size_t)len)) != ERR_OK) {
        go_down(k, "TLS refused what came");
        return false;
    }
    take_records(k);
    return k->why == NULL && len == LOAD_TRUNK_RECEIVE;
}

/* All that is there, within bounds: were a sink slower than its generator, the node would be blamed
 * for what it could not get rid of. */
static void on_ready(struct load_io *io)
{
    struct load_trunk *k = CONTAINER_OF(io, struct load_trunk, io);
    if (k->queue.is_writing) {
        hand_over(k);
    }
    for (uint32_t i = 0; i < RECEIVES && k->why == NULL && receive(k); i++) {}
}

/* ---- the beginning ---- */

enum err load_trunk_judge(struct load_trunk *k, const struct load_overlay *o, char *why)
{
    struct slice chain[TLS_CHAIN_CAP];
    struct crypto_certificate who;
    struct node_id *id = &k->node_id;
    char text[IDS_NODE_TEXT_CAP];
    const char *reason = "none was presented";
    size_t count = tls_boring_ops()->peer_chain(k->tls, chain);
    enum err e = count == 0 ? ERR_UNAUTHENTICATED
                            : crypto_boring()->certificate(chain[0], chain + 1, count - 1,
                                                           &o->trust, o->at_ms, &who, &reason);
    if (e != ERR_OK) {
        return say_why(why, e, "its certificate is refused: the node: %s; is it of this overlay?",
                       reason);
    }
    memcpy(id->bytes, who.node_ids[0], sizeof(id->bytes));
    if (!ids_node_is_invalid(&o->target->node_id) && !ids_node_is_equal(id, &o->target->node_id)) {
        return say_why(why, ERR_FORBIDDEN,
                       "another node answers there: %s: is the demo still "
                       "running?",
                       ids_node_text(id, &o->params, text));
    }
    return ERR_OK;
}

static enum err make_buffers(struct load_trunk *k)
{
    k->record = malloc(TLS_RECORD_BYTES);
    k->plain = malloc(PLAIN_BYTES);
    k->receive = malloc(LOAD_TRUNK_RECEIVE);
    bool all = load_queue_init(&k->queue, 2 * LOAD_TRUNK_QUEUE) && k->record != NULL &&
               k->plain != NULL && k->receive != NULL;
    return all ? ERR_OK : ERR_NO_MEMORY;
}

enum err load_trunk_open(struct load_trunk *k, struct load *l, const struct load_overlay *overlay,
                         const struct load_overlay_member *who, char *why)
{
    char text[ADDRESS_TEXT_CAP];
    const struct address *to = &overlay->target->overlay;
    k->load = l;
    k->io = (struct load_io){.on_ready = on_ready, .fd = -1};
    enum err e = make_buffers(k);
    if (e != ERR_OK) {
        return say_why(why, e, "no memory: a trunk: free some");
    }
    uint64_t until_ns = load_cpu_now_ns() + l->s->timeout_ms * 1000000;
    const struct load_dial d = {
        .to = to, .buffer_bytes = SOCKET_BYTES, .until_ns = until_ns, .stop = l->s->stop};
    e = load_dial(&d, &k->io.fd);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot connect: %s: %s; is the node running?",
                       address_text(to, text), say_errno());
    }
    k->tls = tls_boring_ops()->open(who->context, TLS_CLIENT);
    e = k->tls == NULL ? ERR_NO_MEMORY
                       : load_queue_shake_hands(&k->queue, k->tls, k->io.fd, until_ns, l->s->stop);
    if (e != ERR_OK) {
        return say_why(why, e, "no TLS with the node: %s: %s; is that its overlay-port?",
                       address_text(to, text), err_text(e));
    }
    e = load_trunk_judge(k, overlay, why);
    if (e != ERR_OK) {
        return e;
    }
    k->is_up = true;
    if (load_watch(l, &k->io, false) != ERR_OK) {
        return say_why(why, ERR_IO, "cannot wait for a socket: %s: %s", address_text(to, text),
                       say_errno());
    }
    take_records(k); /* what came with the end of the handshake */
    return ERR_OK;
}

void load_trunk_close(struct load_trunk *k)
{
    if (k->datagram != NULL) {
        load_datagram_close(k);
        return;
    }
    if (k->tls != NULL && k->is_up) {
        load_trunk_flush(k);
        tls_boring_ops()->shutdown(k->tls);
        load_queue_pull(&k->queue, k->tls);
        hand_over(k);
    }
    load_dial_end(&k->tls, &k->io.fd);
    free(k->record);
    load_queue_free(&k->queue);
    free(k->plain);
    free(k->receive);
    k->record = k->plain = k->receive = NULL;
}
