/* SPDX-License-Identifier: Apache-2.0 */
/* gso.c - see gso.h. */
#include "core/os/gso.h"
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

bool gso_is_known(int fd)
{
    int none = 0;
    return setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &none, sizeof(none)) == 0;
}

bool gso_receive(int fd)
{
    int on = 1;
    return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == 0;
}

void gso_write(struct msghdr *message, struct gso_control *control, uint16_t segment)
{
    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(sizeof(segment));
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

/* Read by hand: the bytes stand where the kernel put them, in a layout without a msghdr.  They come
 * from the kernel, not from the network, and are looked at as if they did not. */
uint32_t gso_read(const void *control, size_t control_len, uint32_t payload)
{
    const uint8_t *at = control;
    size_t left = control_len;
    while (left >= sizeof(struct cmsghdr)) {
        struct cmsghdr c;
        memcpy(&c, at, sizeof(c));
        if (c.cmsg_len < CMSG_LEN(0) || c.cmsg_len > left) {
            break;
        }
        if (c.cmsg_level == IPPROTO_UDP && c.cmsg_type == UDP_GRO) {
            int segment = 0;
            if (c.cmsg_len >= CMSG_LEN(sizeof(segment))) {
                memcpy(&segment, at + CMSG_LEN(0), sizeof(segment));
            }
            return segment > 0 && (uint32_t)segment < payload ? (uint32_t)segment : payload;
        }
        size_t step = min_size(CMSG_ALIGN(c.cmsg_len), left);
        at += step;
        left -= step;
    }
    return payload;
}
