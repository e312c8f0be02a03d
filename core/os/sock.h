/* SPDX-License-Identifier: Apache-2.0 */
/* sock.h - sockets as the engine wants them; struct address on one side, sockaddr on the other. */
#pragma once
#include "core/address.h"
#include <netinet/in.h>
#include <sys/socket.h>

/* errno (positive) in the project's words. */
enum err sock_err(int error);
/* Returns the length of what was written to `out`; 0 for no address. */
socklen_t sock_from_address(const struct address *a, struct sockaddr_storage *out);
/* The same into less room, for whoever does it for each datagram. */
socklen_t sock_name(const struct address *a, struct sockaddr_in6 *out);
/* IPv4 mapped into IPv6 comes out as IPv4; an unknown family as no address. */
struct address sock_to_address(const struct sockaddr_storage *from);
struct address sock_local(int fd);
struct address sock_remote(int fd);

/* Each returns a descriptor, or -errno.  `is_blocking`: io_uring waits itself and needs blocking
 * sockets, epoll needs the others. */
int sock_listen(const struct address *at, bool is_reuseport, bool is_blocking);
int sock_datagram(const struct address *at, bool is_reuseport, bool is_blocking);
/* A TCP socket that may be connected; bound to `local` when that has a family. */
int sock_stream(uint8_t family, const struct address *local, bool is_blocking);
/* No delay, keep-alive (5 s idle, 1 s x 3) and user timeout 8 s: design.md section 5. */
void sock_tune(int fd);
/* The next close sends a reset and leaves nothing in the kernel. */
void sock_reset_on_close(int fd);
