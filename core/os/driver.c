/* SPDX-License-Identifier: Apache-2.0 */
/* driver.c - hands each verb to the back end in use. */
#include "core/os/driver.h"

void driver_accept(struct driver *d, uint32_t listener, int fd)
{
    if (d->is_uring) {
        uring_accept(&d->uring, listener, fd);
    } else {
        epoll_accept(&d->epoll, listener, fd);
    }
}

void driver_datagrams(struct driver *d, uint32_t listener, int fd)
{
    if (d->is_uring) {
        uring_datagrams(&d->uring, listener, fd);
    } else {
        epoll_datagrams(&d->epoll, listener, fd);
    }
}

void driver_connect(struct driver *d, uint32_t conn, int fd, const struct sockaddr_storage *to,
                    socklen_t len)
{
    if (d->is_uring) {
        uring_connect(&d->uring, conn, fd, to, len);
    } else {
        epoll_connect(&d->epoll, conn, fd, to, len);
    }
}

void driver_receive(struct driver *d, uint32_t conn, int fd)
{
    if (d->is_uring) {
        uring_receive(&d->uring, conn, fd);
    } else {
        epoll_receive(&d->epoll, conn, fd);
    }
}

void driver_send(struct driver *d, uint32_t conn, int fd, const struct msghdr *message)
{
    if (d->is_uring) {
        uring_send(&d->uring, driver_tag(DRIVER_SEND, conn), fd, message);
    } else {
        epoll_send(&d->epoll, conn, fd, message);
    }
}

void driver_send_datagram(struct driver *d, uint32_t listener, uint32_t slot, int fd,
                          const struct msghdr *message)
{
    if (d->is_uring) {
        uring_send_datagram(&d->uring, driver_tag(DRIVER_SEND_DATAGRAM, slot), listener, fd,
                            message);
    } else {
        epoll_send_datagram(&d->epoll, listener, slot, message);
    }
}

void driver_cancel(struct driver *d, uint32_t conn, int fd)
{
    if (d->is_uring) {
        uring_cancel(&d->uring, fd);
    } else {
        epoll_cancel(&d->epoll, conn);
    }
}

void driver_cancel_listener(struct driver *d, uint32_t listener, int fd)
{
    if (d->is_uring) {
        uring_cancel(&d->uring, fd);
    } else {
        epoll_cancel_listener(&d->epoll, listener);
    }
}

void driver_watch(struct driver *d, int descriptor)
{
    if (d->is_uring) {
        uring_watch(&d->uring, descriptor);
    } else {
        epoll_watch(&d->epoll, descriptor);
    }
}

bool driver_wake(struct driver *d, int ring)
{
    return d->is_uring && ring >= 0 && uring_wake(&d->uring, ring);
}

void driver_wait(struct driver *d, uint64_t timeout_us)
{
    if (d->is_uring) {
        uring_wait(&d->uring, timeout_us);
    } else {
        epoll_sleep(&d->epoll, timeout_us);
    }
}

bool driver_next(struct driver *d, struct driver_event *out)
{
    return d->is_uring ? uring_next(&d->uring, out) : epoll_next(&d->epoll, out);
}

bool driver_is_ready(struct driver *d)
{
    return d->is_uring ? uring_is_ready(&d->uring) : epoll_is_ready(&d->epoll);
}

bool driver_again(struct driver *d)
{
    return d->is_uring && uring_again(&d->uring);
}

void driver_close(struct driver *d)
{
    if (d->is_uring) {
        uring_close(&d->uring);
    } else {
        epoll_close(&d->epoll);
    }
}
