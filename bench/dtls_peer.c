/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_peer.c - see dtls_peer.h. */
#include "bench/dtls_peer.h"

#include "core/os/gso.h"
#include "core/os/host.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum {
    DATAGRAM_BYTES = 1232,
    SOCKET_BYTES = 4 * 1024 * 1024,
    SHAKE_MS = 5000,
    OFFSET_TRANSACTION = 20,
    VIA_BYTES = 18,
};

void dtls_peer_open(struct dtls_peer *p, const struct transit_ca *ca, uint32_t number,
                    const struct address *node)
{
    struct transit_identity id;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int bytes = SOCKET_BYTES;
    memset(p, 0, sizeof(*p));
    transit_identity_open(&id, ca, number, ca->peer_key);
    transit_require(tls_boring_context_new(id.ident.certificate, NULL, 0, ca->peer_key,
                                           &p->end.context) == ERR_OK,
                    "a TLS context");
    p->end.ident = id.ident;
    p->end.ident.certificate = SLICE_EMPTY; /* the context has it */
    p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    transit_require(p->fd >= 0 && bind(p->fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                        getsockname(p->fd, (struct sockaddr *)&at, &len) == 0,
                    "a socket");
    p->local = (struct address){.family = 4, .port = ntohs(at.sin_port), .ip = {127, 0, 0, 1}};
    at.sin_port = htons(node->port);
    transit_require(connect(p->fd, (struct sockaddr *)&at, sizeof(at)) == 0, "a way to the node");
    (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    transit_require(gso_is_known(p->fd) && gso_receive(p->fd), "a kernel with UDP trains");
}

void dtls_peer_close(struct dtls_peer *p)
{
    close(p->fd);
    transit_peer_close(&p->end);
}

static void send_datagrams(struct dtls_peer *p, uint8_t *bytes, size_t len, size_t segment)
{
    struct gso_control control;
    struct iovec part = {bytes, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (len > segment) {
        gso_write(&message, &control, (uint16_t)segment);
    }
    transit_require(sendmsg(p->fd, &message, 0) == (ssize_t)len, "datagrams that leave");
}

static size_t seal(struct dtls_peer *p, struct slice plain, uint8_t *out)
{
    size_t len = 0;
    transit_require(tls_boring_ops()->seal_datagram(
                        p->end.tls, plain, out, plain.len + TLS_DATAGRAM_OVERHEAD, &len) == ERR_OK,
                    "a record that is sealed");
    return len;
}

void dtls_peer_acknowledge(struct dtls_peer *p)
{
    uint8_t ack[FRAME_ACK_BYTES], out[FRAME_ACK_BYTES + TLS_DATAGRAM_OVERHEAD];
    if (p->owed == 0) {
        return;
    }
    frame_put_ack(ack, p->window.top, frame_window_received(&p->window, p->window.top));
    size_t len = seal(p, slice_of(ack, sizeof(ack)), out);
    send_datagrams(p, out, len, len);
    p->owed = 0;
    p->acks_sent++;
}

static void say_handshake(struct dtls_peer *p)
{
    uint8_t out[DATAGRAM_BYTES];
    size_t len = 0;
    while ((len = tls_boring_ops()->pull(p->end.tls, out, sizeof(out))) > 0) {
        send_datagrams(p, out, len, len);
    }
}

static uint64_t id_at(const uint8_t *message)
{
    uint64_t id = 0;
    memcpy(&id, message + OFFSET_TRANSACTION, sizeof(id));
    return id;
}

/* The node repeats what is not acknowledged in time, and here everybody may be without a core for
 * that long. */
static bool is_repeat(struct dtls_peer *p, struct slice message)
{
    uint64_t id = __builtin_bswap64(id_at(message.data));
    uint32_t number = (uint32_t)((id >> 8) * TRANSIT_MESSAGES + (id & 0xff));
    uint64_t before = p->numbers.seen;
    uint32_t age = p->numbers.top - number;
    if (before != 0 && age < 64 && (before >> age & 1) != 0) {
        p->repeats++;
        return true;
    }
    frame_window_note(&p->numbers, number);
    return false;
}

static void take_frame(struct dtls_peer *p, struct slice plain)
{
    struct frame frame;
    transit_require(frame_decode(plain, &frame) == ERR_OK, "frames from the node");
    if (frame.type == FRAME_ACK) {
        p->acks++;
        return;
    }
    frame_window_note(&p->window, frame.sequence);
    if (frame.message.len != p->end.expected->len + VIA_BYTES || !is_repeat(p, frame.message)) {
        transit_peer_take(&p->end, frame.message);
    }
    p->owed++;
    if (p->owed == DTLS_PEER_ACK_EVERY) {
        dtls_peer_acknowledge(p);
    }
}

static void take_datagram(struct dtls_peer *p, struct slice datagram)
{
    static uint8_t plain[TLS_RECORD_BYTES];
    const struct tls_ops *ops = tls_boring_ops();
    size_t len = 0;
    transit_require(ops->feed_datagram(p->end.tls, host_now_us(), datagram, plain, sizeof(plain),
                                       &len) == ERR_OK,
                    "DTLS records from the node");
    if (!p->end.is_up) {
        enum err e = ops->handshake(p->end.tls);
        transit_require(e == ERR_OK || e == ERR_MORE, "a DTLS handshake with the node");
        p->end.is_up = e == ERR_OK;
        say_handshake(p);
    }
    if (len > 0) {
        take_frame(p, slice_of(plain, len)); /* one record in a datagram, one frame in a record */
    }
}

void dtls_peer_receive(struct dtls_peer *p)
{
    static uint8_t bytes[GSO_TRAIN_BYTES];
    for (;;) {
        struct gso_control control;
        struct iovec part = {bytes, sizeof(bytes)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        ssize_t got = recvmsg(p->fd, &message, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        transit_require(got > 0, "a node that is there");
        size_t segment = gso_read(control.bytes, message.msg_controllen, (uint32_t)got);
        for (size_t at = 0; at < (size_t)got; at += segment) {
            take_datagram(p, slice_of(bytes + at, min_size(segment, (size_t)got - at)));
        }
    }
}

void dtls_peer_shake(struct dtls_peer *p)
{
    p->end.tls =
        tls_boring_ops()->open_datagram(p->end.context, TLS_CLIENT, DATAGRAM_BYTES, host_now_us());
    transit_require(p->end.tls != NULL, "a DTLS connection");
    transit_require(tls_boring_ops()->handshake(p->end.tls) == ERR_MORE, "a handshake");
    say_handshake(p);
    while (!p->end.is_up) {
        struct pollfd ready = {.fd = p->fd, .events = POLLIN};
        transit_require(poll(&ready, 1, SHAKE_MS) == 1, "a handshake that goes on");
        dtls_peer_receive(p);
    }
}

/* Two messages with the same bytes would be one that the neighbor repeats. */
static uint64_t number_message(uint8_t *message, uint64_t number)
{
    uint64_t id = __builtin_bswap64(id_at(message)) + (number / TRANSIT_MESSAGES << 8);
    uint64_t wire = __builtin_bswap64(id);
    memcpy(message + OFFSET_TRANSACTION, &wire, sizeof(wire));
    return id;
}

void dtls_peer_send(struct dtls_peer *p, const struct transit_load *load, struct dtls_peer *to,
                    uint32_t count)
{
    static uint8_t out[DTLS_PEER_BURST * DATAGRAM_BYTES];
    uint8_t plain[FRAME_DATA_HEADER + TRANSIT_MESSAGE_CAP];
    size_t at = 0, segment = 0;
    transit_require(count <= DTLS_PEER_BURST, "a burst that is not too long");
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *message = plain + FRAME_DATA_HEADER;
        memcpy(message, load->bytes[to->sent_to % TRANSIT_MESSAGES], load->len);
        memcpy(message + load->destination_at, to->end.ident.node_id.bytes, IDS_NODE_MIN);
        to->sent_to_sum += number_message(message, to->sent_to++);
        frame_put_data_header(plain, p->end.next_sequence++, load->len);
        segment = seal(p, slice_of(plain, FRAME_DATA_HEADER + load->len), out + at);
        at += segment;
    }
    send_datagrams(p, out, at, segment);
}
