/* SPDX-License-Identifier: Apache-2.0 */
/* sock.c - see sock.h. */
#include "core/os/sock.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    KEEPALIVE_IDLE_S = 5,
    KEEPALIVE_INTERVAL_S = 1,
    KEEPALIVE_PROBES = 3,
    USER_TIMEOUT_MS = 8000,
    DATAGRAM_BUFFER_BYTES = 4 * 1024 * 1024,
    MAPPED_AT = 12,
};

enum err sock_err(int error)
{
    switch (error) {
    case 0:
        return ERR_OK;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED:
    case ECANCELED:
        return ERR_CLOSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return ERR_UNREACHABLE_PEER;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case EMSGSIZE:
        return ERR_TOO_LARGE;
    case EACCES:
    case EPERM:
        return ERR_FORBIDDEN;
    case EADDRINUSE:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

socklen_t sock_name(const struct address *a, struct sockaddr_in6 *out)
{
    if (a->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    if (a->family == 6) {
        *out = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
        memcpy(&out->sin6_addr, a->ip, 16);
        return sizeof(*out);
    }
    return 0;
}

socklen_t sock_from_address(const struct address *a, struct sockaddr_storage *out)
{
    struct sockaddr_in6 name = {0};
    socklen_t len = sock_name(a, &name);
    memset(out, 0, sizeof(*out));
    memcpy(out, &name, len);
    return len;
}

/* In one piece: each datagram's address is copied and hashed at once, and a processor waits where
 * it reads together what was written in parts. */
static struct address v4_address(uint16_t port, const uint8_t ip[4])
{
    uint8_t bytes[sizeof(struct address)] = {0};
    struct address a;
    uint32_t host;
    STATIC_CHECK(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    STATIC_CHECK(offsetof(struct address, family) == 0 && offsetof(struct address, port) == 2 &&
                 offsetof(struct address, ip) == 4);
    memcpy(&host, ip, sizeof(host));
    uint64_t front = 4 | (uint64_t)port << 16 | (uint64_t)host << 32;
    memcpy(bytes, &front, sizeof(front));
    memcpy(&a, bytes, sizeof(a));
    return a;
}

struct address sock_to_address(const struct sockaddr_storage *from)
{
    struct address a = {0};
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        return v4_address(ntohs(in.sin_port), (const uint8_t *)&in.sin_addr);
    }
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof(in));
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in.sin6_addr);
        a.family = is_mapped ? 4 : 6;
        a.port = ntohs(in.sin6_port);
        memcpy(a.ip, in.sin6_addr.s6_addr + (is_mapped ? MAPPED_AT : 0), is_mapped ? 4 : 16);
    }
    return a;
}

struct address sock_local(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 ? sock_to_address(&at)
                                                              : (struct address){0};
}

struct address sock_remote(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    return getpeername(fd, (struct sockaddr *)&at, &len) == 0 ? sock_to_address(&at)
                                                              : (struct address){0};
}

static void set(int fd, int level, int name, int value)
{
    /* Advice to the kernel: where it is refused the socket works all the same. */
    int ignored = setsockopt(fd, level, name, &value, sizeof(value));
    (void)ignored;
}

static int open_socket(uint8_t family, int type, bool is_blocking)
{
    int flags = SOCK_CLOEXEC | (is_blocking ? 0 : SOCK_NONBLOCK);
    int fd = socket(family == 6 ? AF_INET6 : AF_INET, type | flags, 0);
    if (fd < 0) {
        return -errno;
    }
    if (family == 6) {
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    return fd;
}

static int bind_to(int fd, const struct address *at)
{
    struct sockaddr_storage storage;
    socklen_t len = sock_from_address(at, &storage);
    return bind(fd, (const struct sockaddr *)&storage, len) == 0 ? 0 : -errno;
}

static int bound(const struct address *at, int type, bool is_reuseport, bool is_blocking)
{
    int fd = open_socket(at->family, type, is_blocking);
    if (fd < 0) {
        return fd;
    }
    if (type == SOCK_STREAM) {
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (is_reuseport) {
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    int failed = bind_to(fd, at);
    if (failed == 0 && type == SOCK_STREAM && listen(fd, BACKLOG) != 0) {
        failed = -errno;
    }
    if (failed != 0) {
        close(fd);
        return failed;
    }
    return fd;
}

int sock_listen(const struct address *at, bool is_reuseport, bool is_blocking)
{
    return bound(at, SOCK_STREAM, is_reuseport, is_blocking);
}

int sock_datagram(const struct address *at, bool is_reuseport, bool is_blocking)
{
    int fd = bound(at, SOCK_DGRAM, is_reuseport, is_blocking);
    if (fd >= 0) {
        set(fd, SOL_SOCKET, SO_RCVBUF, DATAGRAM_BUFFER_BYTES);
        set(fd, SOL_SOCKET, SO_SNDBUF, DATAGRAM_BUFFER_BYTES);
        /* No path MTU of ICMP, which anybody can forge: it would make the kernel refuse trains, and
         * the socket send none to anybody for a while.  Nothing here is longer than what reaches
         * everybody, but SIP, which routers may cut. */
        bool is_v6 = at->family == 6;
        set(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
            is_v6 ? IPV6_PMTUDISC_OMIT : IP_PMTUDISC_OMIT);
    }
    return fd;
}

int sock_stream(uint8_t family, const struct address *local, bool is_blocking)
{
    int fd = open_socket(family, SOCK_STREAM, is_blocking);
    if (fd < 0) {
        return fd;
    }
    int failed = local->family != 0 ? bind_to(fd, local) : 0;
    if (failed != 0) {
        close(fd);
        return failed;
    }
    return fd;
}

void sock_tune(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

void sock_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int ignored = setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    (void)ignored;
}
