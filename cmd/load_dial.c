/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_dial.h"
#include "cmd/load_cpu.h"
#include "core/os/sock.h"
#include "link/tls_boring.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

enum { STEP_MS = 20 };

static void tune(int fd, int buffer_bytes)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (buffer_bytes > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    }
}

enum err load_dial(const struct load_dial *d, int *fd)
{
    struct sockaddr_storage from, to;
    bool is_bound = d->from != NULL && d->from->family != 0;
    socklen_t from_len = is_bound ? sock_from_address(d->from, &from) : 0;
    socklen_t to_len = sock_from_address(d->to, &to);
    int error = 0;
    socklen_t error_len = sizeof(error);
    *fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || (is_bound && bind(*fd, (struct sockaddr *)&from, from_len) != 0)) {
        return ERR_IO;
    }
    tune(*fd, d->buffer_bytes);
    if (connect(*fd, (struct sockaddr *)&to, to_len) != 0 && errno != EINPROGRESS) {
        return ERR_IO;
    }
    struct pollfd on = {.fd = *fd, .events = POLLOUT};
    while (poll(&on, 1, STEP_MS) <= 0) {
        if (load_cpu_now_ns() >= d->until_ns || *d->stop != 0) {
            errno = ETIMEDOUT;
            return ERR_TIMEOUT;
        }
    }
    if (getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0 || error != 0) {
        errno = error;
        return ERR_IO;
    }
    return ERR_OK;
}

void load_dial_end(struct tls **tls, int *fd)
{
    if (*tls != NULL) {
        tls_boring_ops()->close(*tls);
        *tls = NULL;
    }
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}
