/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_datagram.h"
#include "cmd/load_cpu.h"
#include "cmd/load_message.h"
#include "core/os/gso.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACK_EVERY = 32, /* an ACK covers its own frame and the 31 before it (RFC 6940 6.6.2) */
    SOCKET_BYTES = 4 * 1024 * 1024,
    RECEIVES = 64,
    STEP_NS = 10 * 1000 * 1000,
    PLAIN_BYTES = FRAME_DATA_HEADER + LOAD_MESSAGE_CAP,
    TRAIN_CLOSED = GSO_SEGMENTS, /* nothing may follow what is in it */
};

struct load_datagram {
    uint32_t acked; /* the first frame of ours that is not acknowledged */
    uint64_t acked_ns;
    size_t plain_len; /* of the frame that is being written; 0: none */
    size_t train_len, segment;
    uint32_t segments;
    const char *refused; /* why there was no Attach; static */
    bool is_answered;
    uint64_t attach_id;
    const struct load_overlay *overlay;
    uint8_t plain[PLAIN_BYTES];
    uint8_t train[GSO_BYTES];
    uint8_t received[GSO_TRAIN_BYTES];
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

/* What the kernel does not take is lost, like anything in front of it: the window is far smaller
 * than the buffer of the socket. */
static void send_train(struct load_trunk *k)
{
    struct load_datagram *d = k->datagram;
    struct gso_control control;
    struct iovec part = {d->train, d->train_len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (d->train_len == 0) {
        return;
    }
    if (d->train_len > d->segment) {
        gso_write(&message, &control, (uint16_t)d->segment);
    }
    ssize_t sent = sendmsg(k->io.fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
        go_down(k, "its port is closed");
    }
    d->train_len = 0;
    d->segments = 0;
}

/* Only the last datagram of a train may be shorter than the others, and none longer. */
static void seal(struct load_trunk *k, struct slice plain)
{
    struct load_datagram *d = k->datagram;
    size_t len = 0;
    size_t need = plain.len + TLS_DATAGRAM_OVERHEAD;
    if (d->segments >= GSO_SEGMENTS || d->train_len + need > sizeof(d->train)) {
        send_train(k);
    }
    uint8_t *at = d->train + d->train_len;
    if (tls_boring_ops()->seal_datagram(k->tls, plain, at, need, &len) != ERR_OK) {
        go_down(k, "DTLS refused to write");
        return;
    }
    if (d->train_len > 0 && len > d->segment) {
        send_train(k);
        memmove(d->train, at, len);
    }
    d->segment = d->train_len == 0 ? len : d->segment;
    d->segments = len < d->segment ? TRAIN_CLOSED : d->segments + 1;
    d->train_len += len;
    k->records_out++;
}

static void seal_frame(struct load_trunk *k)
{
    struct load_datagram *d = k->datagram;
    if (d->plain_len > 0 && k->why == NULL) {
        seal(k, slice_of(d->plain, d->plain_len));
    }
    d->plain_len = 0;
}

HOT uint8_t *load_datagram_room(struct load_trunk *k, size_t len)
{
    struct load_datagram *d = k->datagram;
    CHECK(len <= LOAD_MESSAGE_CAP);
    if (k->why != NULL) {
        return NULL;
    }
    if (k->sequence == d->acked) {
        d->acked_ns = k->load->now_ns;
    } else if (k->load->now_ns > d->acked_ns + LOAD_DATAGRAM_GIVE_UP_NS) {
        d->acked = k->sequence;
    }
    if (k->sequence - d->acked >= LOAD_DATAGRAM_WINDOW) {
        return NULL;
    }
    seal_frame(k);
    frame_put_data_header(d->plain, k->sequence++, len);
    d->plain_len = FRAME_DATA_HEADER + len;
    k->frames_out++;
    return d->plain + FRAME_DATA_HEADER;
}

static void acknowledge(struct load_trunk *k)
{
    uint8_t ack[FRAME_ACK_BYTES];
    frame_put_ack(ack, k->window.top, frame_window_received(&k->window, k->window.top));
    seal(k, slice_of(ack, sizeof(ack)));
    k->owed = 0;
}

void load_datagram_flush(struct load_trunk *k)
{
    if (k->why != NULL || !k->is_up) {
        return;
    }
    seal_frame(k);
    if (k->owed > 0) {
        acknowledge(k);
    }
    send_train(k);
}

/* ---- in ---- */

static void say_handshake(struct load_trunk *k)
{
    uint8_t out[LOAD_DATAGRAM_BYTES];
    size_t len = 0;
    while ((len = tls_boring_ops()->pull(k->tls, out, sizeof(out))) > 0) {
        (void)send(k->io.fd, out, len, MSG_NOSIGNAL); /* if it is lost, DTLS says it again */
    }
}

static HOT void take_frame(struct load_trunk *k, struct slice plain)
{
    struct load_datagram *d = k->datagram;
    struct frame frame;
    if (frame_decode(plain, &frame) != ERR_OK) {
        go_down(k, "not a frame");
        return;
    }
    if (frame.type == FRAME_ACK) {
        uint32_t newer = frame.sequence + 1 - d->acked;
        if (newer > 0 && newer <= k->sequence - d->acked) {
            d->acked += newer;
            d->acked_ns = k->load->now_ns;
        }
        return;
    }
    frame_window_note(&k->window, frame.sequence);
    k->frames_in++;
    if (++k->owed >= ACK_EVERY) {
        acknowledge(k);
    }
    k->on_message(k, frame.message);
}

static HOT void take_datagram(struct load_trunk *k, struct slice datagram)
{
    static uint8_t plain[TLS_RECORD_BYTES]; /* too large for a frame */
    const struct tls_ops *ops = tls_boring_ops();
    size_t len = 0;
    enum err e =
        ops->feed_datagram(k->tls, k->load->now_ns / 1000, datagram, plain, sizeof(plain), &len);
    if (e == ERR_OK && !k->is_up) {
        enum err shaken = ops->handshake(k->tls);
        say_handshake(k);
        k->is_up = shaken == ERR_OK;
        e = shaken == ERR_MORE ? ERR_OK : shaken;
    }
    if (k->is_up && len > 0) {
        take_frame(k, slice_of(plain, len)); /* one frame in a record, one record in a datagram */
    }
    if (e != ERR_OK) {
        go_down(k, e == ERR_CLOSED ? "closed by the other side" : "DTLS refused what came");
    }
}

static void on_ready(struct load_io *io)
{
    struct load_trunk *k = CONTAINER_OF(io, struct load_trunk, io);
    struct load_datagram *d = k->datagram;
    for (uint32_t i = 0; i < RECEIVES && k->why == NULL; i++) {
        struct gso_control control;
        struct iovec part = {d->received, sizeof(d->received)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t got = recvmsg(io->fd, &message, MSG_DONTWAIT);
        if (got < 0 && errno == ECONNREFUSED && k->is_up) {
            go_down(k, "its port is closed");
        }
        if (got <= 0) {
            return;
        }
        k->bytes_in += (uint64_t)got;
        size_t segment = gso_read(control.bytes, message.msg_controllen, (uint32_t)got);
        for (size_t at = 0; at < (size_t)got && k->why == NULL; at += segment) {
            take_datagram(k, slice_of(d->received + at, min_size(segment, (size_t)got - at)));
        }
    }
}

/* ---- the beginning ---- */

/* A socket towards the node, and its own address as the node sees it. */
static enum err make_socket(struct load_trunk *k, const struct address *to, struct address *local,
                            char *why)
{
    char text[ADDRESS_TEXT_CAP];
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};
    int bytes = SOCKET_BYTES;
    bool is_v4 = to->family == 4;
    struct sockaddr *at = is_v4 ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6;
    socklen_t len = is_v4 ? sizeof(in4) : sizeof(in6);
    memcpy(&in4.sin_addr, to->ip, sizeof(in4.sin_addr));
    memcpy(&in6.sin6_addr, to->ip, sizeof(in6.sin6_addr));
    k->io.fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->io.fd < 0 || connect(k->io.fd, at, len) != 0 || getsockname(k->io.fd, at, &len) != 0) {
        return say_why(why, ERR_IO, "no way to send: %s: %s", address_text(to, text), say_errno());
    }
    (void)setsockopt(k->io.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    (void)setsockopt(k->io.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)gso_receive(k->io.fd); /* a kernel without: one by one */
    *local =
        (struct address){.family = to->family, .port = ntohs(is_v4 ? in4.sin_port : in6.sin6_port)};
    memcpy(local->ip, is_v4 ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr, is_v4 ? 4 : 16);
    return ERR_OK;
}

/* What comes to the attacher while one waits for an AttachAns. */
static void on_attach_answer(struct load_trunk *attacher, struct slice message)
{
    struct load_trunk *k = attacher->user;
    struct load_datagram *d = k->datagram;
    static char why[LOAD_OPS_ERROR_CAP];
    uint64_t id = 0;
    uint16_t code = 0;
    if (!load_message_judge(d->overlay, message, &id, &code, why) || id != d->attach_id) {
        return;
    }
    d->is_answered = true;
    d->refused = code == CONTENT_ATTACH_ANS ? NULL : why;
}

static void ignore(struct load_trunk *attacher, struct slice message)
{
    (void)attacher;
    (void)message;
}

enum err load_datagram_attacher(struct load_trunk *k, struct load *l,
                                const struct load_overlay *overlay, char *why)
{
    *k = (struct load_trunk){.io = {.fd = -1}, .on_message = ignore};
    return load_trunk_open(k, l, overlay, &overlay->members[overlay->member_count - 1], why);
}

static enum err ask(struct load_trunk *k, const struct load_overlay_member *who,
                    const struct address *local, struct load_trunk *attacher, char *why)
{
    static uint8_t message[LOAD_MESSAGE_CAP];
    struct load_datagram *d = k->datagram;
    d->attach_id = rng_next(&k->load->rng) | 1;
    struct load_message m = {.overlay = d->overlay, .signer = who, .transaction_id = d->attach_id};
    size_t len = load_message_attach(&m, &attacher->node_id, local, message);
    uint8_t *at = len == 0 ? NULL : load_trunk_room(attacher, len);
    if (at == NULL) {
        return say_why(why, ERR_IO, "cannot ask for a link: the node: %s",
                       attacher->why == NULL ? "the request is too long" : attacher->why);
    }
    memcpy(at, message, len);
    attacher->user = k;
    attacher->on_message = on_attach_answer;
    load_trunk_flush(attacher);
    return ERR_OK;
}

/* The node answers, dials and shakes hands, in whatever order we learn of it. */
static enum err await(struct load_trunk *k, struct load_trunk *attacher, char *why)
{
    struct load *l = k->load;
    struct load_datagram *d = k->datagram;
    uint64_t until_ns = load_cpu_now_ns() + l->s->timeout_ms * 1000000;
    while (!k->is_up && k->why == NULL && d->refused == NULL && attacher->why == NULL) {
        if (l->now_ns >= until_ns || *l->s->stop != 0) {
            return say_why(why, ERR_TIMEOUT,
                           "no DTLS with the node: %s: time-out; does the "
                           "overlay document permit DTLS-UDP-SR-NO-ICE?",
                           d->is_answered ? "it has agreed, but does not dial"
                                          : "it does not answer an Attach");
        }
        load_step(l, STEP_NS);
        load_trunk_flush(attacher);
        if (tls_boring_ops()->on_due(k->tls, l->now_ns / 1000) != ERR_OK) {
            go_down(k, "handshake: time-out");
        }
        say_handshake(k);
    }
    if (k->is_up) {
        return ERR_OK;
    }
    const char *reason = d->refused != NULL ? d->refused : k->why != NULL ? k->why : attacher->why;
    return say_why(why, ERR_REMOTE, "no DTLS with the node: refused: %s", reason);
}

enum err load_datagram_open(struct load_trunk *k, struct load *l,
                            const struct load_overlay *overlay,
                            const struct load_overlay_member *who, struct load_trunk *attacher,
                            char *why)
{
    struct address local;
    k->load = l;
    k->io = (struct load_io){.on_ready = on_ready, .fd = -1};
    k->datagram = calloc(1, sizeof(*k->datagram));
    k->tls = tls_boring_ops()->open_datagram(who->context, TLS_SERVER, LOAD_DATAGRAM_BYTES,
                                             load_cpu_now_ns() / 1000);
    if (k->datagram == NULL || k->tls == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: a link: free some");
    }
    k->datagram->overlay = overlay;
    enum err e = make_socket(k, &overlay->target->overlay, &local, why);
    if (e == ERR_OK && load_watch(l, &k->io, false) != ERR_OK) {
        e = say_why(why, ERR_IO, "cannot wait for a socket: a link: %s", say_errno());
    }
    e = e == ERR_OK ? ask(k, who, &local, attacher, why) : e;
    e = e == ERR_OK ? await(k, attacher, why) : e;
    e = e == ERR_OK ? load_trunk_judge(k, overlay, why) : e;
    if (e == ERR_OK && !ids_node_is_equal(&k->node_id, &attacher->node_id)) {
        e = say_why(why, ERR_FORBIDDEN,
                    "another node has dialled: a link: is something else "
                    "running there?");
    }
    return e;
}

void load_datagram_close(struct load_trunk *k)
{
    if (k->tls != NULL) {
        if (k->is_up) {
            load_datagram_flush(k);
            tls_boring_ops()->shutdown(k->tls);
            say_handshake(k);
        }
        tls_boring_ops()->close(k->tls);
        k->tls = NULL;
    }
    if (k->io.fd >= 0) {
        close(k->io.fd);
        k->io.fd = -1;
    }
    free(k->datagram);
    k->datagram = NULL;
}
