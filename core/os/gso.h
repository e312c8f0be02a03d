/* SPDX-License-Identifier: Apache-2.0 */
/* gso.h - trains of datagrams: many datagrams of one size, one walk through the kernel.
 *
 * Sending (UDP_SEGMENT, Linux 4.18) the kernel cuts what one call hands over into datagrams of the
 * size given; receiving (UDP_GRO, Linux 5.0) it hands over what it has put together, with the size.
 * Only the last datagram of a train may be shorter.  A kernel or device that cannot refuses, at the
 * socket or at a send; core/os/train falls back then. */
#pragma once
#include "core/base.h"
#include <sys/socket.h>

enum {
    GSO_SEGMENTS = 64,       /* of one train: what every kernel takes */
    GSO_BYTES = 65000,       /* of one train: below the longest IP packet, headers included */
    GSO_TRAIN_BYTES = 65536, /* the longest train that arrives */
};

/* Room for the control message of either direction. */
struct gso_control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

/* The kernel knows UDP_SEGMENT; whether the device takes it shows when something is sent. */
bool gso_is_known(int fd);
/* Asks for trains on a socket that receives; false where the kernel has none. */
bool gso_receive(int fd);
/* Makes `message` a train of datagrams of `segment` bytes. */
void gso_write(struct msghdr *message, struct gso_control *control, uint16_t segment);
/* The size of each datagram in `payload` received bytes: `payload` itself when the control bytes
 * say nothing, or nothing that can be. */
uint32_t gso_read(const void *control, size_t control_len, uint32_t payload);
