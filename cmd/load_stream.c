/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_stream.h"
#include "cmd/load_cpu.h"
#include "cmd/load_dial.h"
#include "cmd/say.h"
#include "core/os/sock.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    RECEIVES = 8,
};

static void go_down(struct load_stream *k, const char *why)
{
    if (k->why == NULL) {
        k->why = why;
        if (k->is_up) {
            load_unwatch(k->load, &k->io);
        }
        k->is_up = false;
    }
}

/* ---- out ---- */

static void hand_over(struct load_stream *k)
{
    const char *why =
        k->why == NULL ? load_queue_hand_over(&k->queue, k->load, &k->io, k->is_up) : NULL;
    if (why != NULL) {
        go_down(k, why);
    }
}

bool load_stream_send(struct load_stream *k, struct slice message)
{
    CHECK(message.len <= TLS_RECORD_BYTES);
    errno = k->is_up ? EAGAIN : ENOTCONN;
    if (!k->is_up || load_queue_waiting(&k->queue) + message.len > LOAD_STREAM_QUEUE) {
        return false;
    }
    if (k->tls == NULL) {
        load_queue_add(&k->queue, message);
    } else if (tls_boring_ops()->write(k->tls, message) != ERR_OK) {
        go_down(k, "TLS refused to write");
    } else {
        load_queue_pull(&k->queue, k->tls);
    }
    hand_over(k);
    errno = ENOTCONN;
    return k->is_up;
}

/* ---- in ---- */

static void take_message(struct load_stream *k)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    if (k->parser.event != SIP_EVENT_MESSAGE) {
        return; /* a pong, or an empty line */
    }
    if (sip_msg_check(&k->parser.msg, &core, &fault) != ERR_OK) {
        k->unreadable++;
        return;
    }
    k->on_message(k, &k->parser.msg, &core);
}

/* Takes the messages out of `in`; what is cut stays. */
static void take_messages(struct load_stream *k)
{
    size_t from = 0;
    while (k->why == NULL && from < k->in_len) {
        enum sip_parse how = sip_parser_feed(&k->parser, slice_of(k->in + from, k->in_len - from));
        if (how == SIP_PARSE_MORE) {
            break;
        }
        if (how == SIP_PARSE_OK) {
            take_message(k);
        } else if (k->parser.consumed == 0) {
            go_down(k, "not SIP");
            return;
        } else {
            k->unreadable++;
        }
        from += k->parser.consumed;
    }
    if (from > 0) {
        memmove(k->in, k->in + from, k->in_len - from);
        k->in_len -= from;
    } else if (k->in_len == LOAD_STREAM_IN) {
        go_down(k, "a message that is too long");
    }
}

static void take_records(struct load_stream *k)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && k->why == NULL) {
        size_t len = 0;
        e = tls_boring_ops()->read(k->tls, k->in + k->in_len, LOAD_STREAM_IN - k->in_len, &len);
        k->in_len += e == ERR_OK ? len : 0;
        take_messages(k);
    }
    if (e != ERR_OK && e != ERR_MORE) {
        go_down(k, e == ERR_CLOSED ? "closed by the other side" : "TLS refused what came");
    }
}

/* One receive; true: there may be more. */
static bool receive(struct load_stream *k)
{
    static uint8_t sealed[TLS_RECORD_BYTES];
    uint8_t *to = k->tls != NULL ? sealed : k->in + k->in_len;
    size_t room = k->tls != NULL ? sizeof(sealed) : LOAD_STREAM_IN - k->in_len;
    ssize_t len = recv(k->io.fd, to, room, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (len <= 0) {
        go_down(k, "closed by the other side");
        return false;
    }
    if (k->tls == NULL) {
        k->in_len += (size_t)len;
        take_messages(k);
    } else if (tls_boring_ops()->feed(k->tls, slice_of(sealed, (size_t)len)) != ERR_OK) {
        go_down(k, "TLS refused what came");
    } else {
        take_records(k);
    }
    return k->why == NULL && (size_t)len == room;
}

static void on_ready(struct load_io *io)
{
    struct load_stream *k = CONTAINER_OF(io, struct load_stream, io);
    if (k->queue.is_writing) {
        hand_over(k);
    }
    for (uint32_t i = 0; i < RECEIVES && k->why == NULL && receive(k); i++) {}
}

/* ---- the beginning ---- */

static enum err open_tls(struct load_stream *k, const struct load_stream_way *way,
                         uint64_t until_ns)
{
    k->tls = tls_boring_ops()->open(way->context, TLS_CLIENT);
    if (k->tls == NULL) {
        return ERR_NO_MEMORY;
    }
    if (way->host[0] != '\0' && tls_boring_ops()->set_host != NULL) {
        tls_boring_ops()->set_host(k->tls, way->host);
    }
    return load_queue_shake_hands(&k->queue, k->tls, k->io.fd, until_ns, k->load->s->stop);
}

enum err load_stream_open(struct load_stream *k, struct load *l, const struct load_stream_way *way,
                          char *why)
{
    char text[ADDRESS_TEXT_CAP];
    uint64_t until_ns = load_cpu_now_ns() + l->s->timeout_ms * 1000000;
    k->load = l;
    k->io = (struct load_io){.on_ready = on_ready, .fd = -1};
    k->in = malloc(LOAD_STREAM_IN);
    if (!load_queue_init(&k->queue, LOAD_STREAM_QUEUE + LOAD_QUEUE_RECORD) || k->in == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: a connection: give fewer --connections");
    }
    sip_parser_init(&k->parser, true);
    const struct load_dial d = {
        .from = &way->from, .to = &way->to, .until_ns = until_ns, .stop = l->s->stop};
    enum err e = load_dial(&d, &k->io.fd);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot connect: %s: %s; is the node running?",
                       address_text(&way->to, text), say_errno());
    }
    e = way->context == NULL ? ERR_OK : open_tls(k, way, until_ns);
    if (e != ERR_OK) {
        return say_why(why, e, "no TLS with the node under load: %s: %s; is that its sip-tls-port?",
                       address_text(&way->to, text), err_text(e));
    }
    k->is_up = load_watch(l, &k->io, false) == ERR_OK;
    if (!k->is_up) {
        return say_why(why, ERR_IO, "cannot wait for a socket: %s: %s; give fewer --connections",
                       address_text(&way->to, text), say_errno());
    }
    return ERR_OK;
}

struct address load_stream_local(const struct load_stream *k)
{
    return sock_local(k->io.fd);
}

void load_stream_close(struct load_stream *k)
{
    if (k->tls != NULL && k->is_up) {
        tls_boring_ops()->shutdown(k->tls);
        load_queue_pull(&k->queue, k->tls);
        hand_over(k);
    }
    load_dial_end(&k->tls, &k->io.fd);
    free(k->in);
    load_queue_free(&k->queue);
    k->in = NULL;
    k->is_up = false;
}
