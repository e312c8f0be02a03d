/* SPDX-License-Identifier: Apache-2.0 */
/* udp.c - see udp.h. */
#include "core/os/udp.h"
#include "core/os/sock.h"
#include <errno.h>

size_t udp_bytes(const struct limits *l)
{
    return (size_t)l->datagrams_in_flight * (sizeof(struct udp_send) + 2 * sizeof(uint32_t) + 16) +
           256;
}

void udp_init(struct udp *u, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn)
{
    memset(u, 0, sizeof(*u));
    u->driver = driver;
    u->turn = turn;
    pool_init(&u->sends, arena, "datagrams", 1, l->datagrams_in_flight, sizeof(struct udp_send));
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        u->fds[i] = -1;
    }
}

void udp_start(struct udp *u, uint16_t listener, int fd)
{
    CHECK(listener < IO_LISTENER_COUNT);
    u->fds[listener] = fd;
    u->locals[listener] = sock_local(fd);
    driver_datagrams(u->driver, listener, fd);
}

static bool complete_receive(struct udp *u, const struct driver_event *e, struct io_event *out)
{
    CHECK(e->index < IO_LISTENER_COUNT);
    if (e->is_last && e->result != -ECANCELED && e->result != -EBADF) {
        driver_datagrams(u->driver, e->index, u->fds[e->index]);
    }
    if (e->result == -ENOBUFS) {
        metric_add(u->turn->metrics, METRIC_receive_buffers_exhausted, 1);
        return false;
    }
    if (e->result < 0) {
        metric_add(u->turn->metrics, METRIC_datagrams_in_failed, 1);
        return false;
    }
    metric_add(u->turn->metrics, METRIC_datagrams_in, 1);
    if (e->is_truncated) {
        metric_add(u->turn->metrics, METRIC_datagrams_truncated, 1);
        return false;
    }
    *out = (struct io_event){.kind = IO_DATAGRAM,
                             .listener = (uint16_t)e->index,
                             .local = u->locals[e->index],
                             .remote = sock_to_address(e->from),
                             .data = e->data,
                             .data_len = (size_t)e->result};
    return true;
}

static void complete_send(struct udp *u, const struct driver_event *e)
{
    CHECK(e->index < u->sends.cap);
    struct udp_send *s =
        (struct udp_send *)(void *)(u->sends.objects + (size_t)e->index * u->sends.object_size);
    metric_add(u->turn->metrics,
               e->result >= 0 ? METRIC_datagrams_out : METRIC_datagrams_out_failed, 1);
    msgbuf_release(u->turn->buffers, s->buf);
    pool_release(&u->sends, s);
}

bool udp_complete(struct udp *u, const struct driver_event *e, struct io_event *out)
{
    if (e->kind == DRIVER_DATAGRAM) {
        return complete_receive(u, e, out);
    }
    CHECK(e->kind == DRIVER_SEND_DATAGRAM);
    complete_send(u, e);
    return false;
}

void udp_send(struct udp *u, uint16_t listener, const struct address *remote, struct msgbuf *buf)
{
    bool is_open = listener < IO_LISTENER_COUNT && u->fds[listener] >= 0;
    struct udp_send *s =
        is_open && remote->family == u->locals[listener].family ? pool_acquire(&u->sends) : NULL;
    if (s == NULL) {
        metric_add(u->turn->metrics, METRIC_datagrams_out_dropped, 1);
        msgbuf_release(u->turn->buffers, buf);
        return;
    }
    s->buf = buf;
    s->part = (struct iovec){.iov_base = msgbuf_data(buf), .iov_len = buf->len};
    s->message = (struct msghdr){.msg_name = &s->to,
                                 .msg_namelen = sock_from_address(remote, &s->to),
                                 .msg_iov = &s->part,
                                 .msg_iovlen = 1};
    driver_send_datagram(u->driver, handle_index(pool_handle(&u->sends, s)), u->fds[listener],
                         &s->message);
}
