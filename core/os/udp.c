/* SPDX-License-Identifier: Apache-2.0 */
/* udp.c - see udp.h. */
#include "core/os/udp.h"
#include "core/os/sock.h"
#include <errno.h>

size_t udp_bytes(const struct limits *l)
{
    return train_bytes(l);
}

void udp_init(struct udp *u, struct arena *arena, const struct limits *l, struct driver *driver,
              struct turn *turn, uint64_t seed)
{
    memset(u, 0, sizeof(*u));
    u->driver = driver;
    u->turn = turn;
    train_init(&u->trains, arena, l, driver, turn, seed);
    for (size_t i = 0; i < IO_LISTENER_COUNT; i++) {
        u->fds[i] = -1;
    }
}

void udp_start(struct udp *u, uint16_t listener, int fd)
{
    CHECK(listener < IO_LISTENER_COUNT);
    u->fds[listener] = fd;
    u->locals[listener] = sock_local(fd);
    bool ignored = gso_receive(fd); /* without, datagrams come one by one */
    (void)ignored;
    train_open(&u->trains, listener, fd, u->locals[listener].family);
    driver_datagrams(u->driver, listener, fd);
}

static void complete_receive(struct udp *u, const struct driver_event *e)
{
    CHECK(e->index < IO_LISTENER_COUNT);
    if (e->is_last && e->result != -ECANCELED && e->result != -EBADF) {
        driver_datagrams(u->driver, e->index, u->fds[e->index]);
    }
    if (e->result == -ENOBUFS) {
        metric_add(u->turn->metrics, METRIC_datagram_buffers_full, 1);
        return;
    }
    if (e->result < 0) {
        metric_add(u->turn->metrics, METRIC_datagrams_in_failed, 1);
        return;
    }
    if (e->is_truncated) {
        metric_add(u->turn->metrics, METRIC_datagrams_in, 1);
        metric_add(u->turn->metrics, METRIC_datagrams_truncated, 1);
        return;
    }
    u->datagram = (struct io_event){.kind = IO_DATAGRAM,
                                    .listener = (uint16_t)e->index,
                                    .local = u->locals[e->index],
                                    .remote = sock_to_address(e->from)};
    u->rest = e->data;
    u->rest_len = (uint32_t)e->result;
    u->segment = e->segment > 0 ? e->segment : u->rest_len;
    if (u->segment < u->rest_len) {
        metric_add(u->turn->metrics, METRIC_datagram_trains_in, 1);
    }
    u->has_more = true;
}

void udp_complete(struct udp *u, const struct driver_event *e)
{
    if (e->kind == DRIVER_DATAGRAM) {
        CHECK(!u->has_more);
        complete_receive(u, e);
        return;
    }
    CHECK(e->kind == DRIVER_SEND_DATAGRAM);
    train_complete(&u->trains, e);
}

struct io_event *udp_next(struct udp *u)
{
    while (u->has_more) {
        uint32_t len = (uint32_t)min_size(u->segment, u->rest_len);
        u->datagram.data = u->rest;
        u->datagram.data_len = len;
        u->rest += len;
        u->rest_len -= len;
        u->has_more = u->rest_len > 0;
        metric_add(u->turn->metrics, METRIC_datagrams_in, 1);
        if (len <= DRIVER_DATAGRAM_BYTES) {
            return &u->datagram;
        }
        metric_add(u->turn->metrics, METRIC_datagrams_truncated, 1);
    }
    return NULL;
}

void udp_send(struct udp *u, uint16_t listener, const struct address *remote, struct msgbuf *buf)
{
    train_add(&u->trains, listener, remote, buf);
}

void udp_flush(struct udp *u)
{
    train_flush(&u->trains);
}

bool udp_is_empty(const struct udp *u)
{
    return u->trains.heads.in_use == 0;
}
