/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c - see capture.h. */
#include "cmd/capture.h"
#include "cmd/wire_text.h"
#include "codec/frame.h"
#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <stdlib.h>

enum {
    ETHERTYPE_IP4 = 0x0800,
    ETHERTYPE_IP6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_SYN = 0x02,
    MESSAGE_LENGTH_AT = 16,
};

/* One direction of a TCP connection. */
struct flow {
    uint8_t key[38]; /* family, addresses, ports */
    uint32_t next;   /* sequence number expected */
    uint64_t used;   /* packet that touched it last; 0: free */
    uint8_t *bytes;  /* CAPTURE_BUFFER of them */
    size_t len;
};

struct capture {
    void (*one)(void *ctx, const struct capture_item *item);
    void *ctx;
    struct capture_totals *totals;
    struct capture_item item;
    struct flow flows[CAPTURE_FLOWS];
};

static void deliver(struct capture *c, const char *type, struct slice bytes)
{
    c->item.type = type;
    c->item.bytes = bytes;
    c->totals->items++;
    c->one(c->ctx, &c->item);
}

/* Whole frames or messages at the front of `in`; gives how many bytes they had, and whether what
 * follows may become one when more comes. */
static size_t take_items(struct capture *c, struct slice in, bool *wants_more)
{
    size_t done = 0;
    *wants_more = false;
    while (done < in.len) {
        struct slice rest = slice_from(in, done);
        const char *type = wire_text_guess(rest);
        struct frame f;
        size_t len = 0;
        if (type == NULL) {
            *wants_more = rest.len < 4 && rest.data[0] == 0xd2;
            return done;
        }
        if (strcmp(type, "StunMessage") == 0) {
            if (done > 0) {
                return done; /* a datagram has one, and a stream none */
            }
            len = rest.len;
        } else if (strcmp(type, "FramedMessage") == 0) {
            enum err e = frame_scan(rest, FRAME_MESSAGE_MAX, &f, &len);
            *wants_more = e == ERR_MORE;
            if (e != ERR_OK) {
                return done;
            }
        } else {
            struct rd r = rd_init(slice_from(rest, MESSAGE_LENGTH_AT));
            len = rd_u32(&r);
            *wants_more = !rd_ok(&r) || len > rest.len;
            if (*wants_more || len < FWD_FIXED_BYTES) {
                return done;
            }
        }
        deliver(c, type, slice_sub(rest, 0, len));
        done += len;
    }
    return done;
}

static void on_datagram(struct capture *c, struct slice payload)
{
    bool wants_more = false;
    size_t done = take_items(c, payload, &wants_more);
    if (wants_more) { /* cut short, yet told: the decoder says what is wrong with it */
        deliver(c, wire_text_guess(slice_from(payload, done)), slice_from(payload, done));
    } else if (done == 0 && payload.len > 0) {
        c->totals->other_packets++;
    }
}

static struct flow *find_flow(struct capture *c, const uint8_t key[38])
{
    struct flow *oldest = &c->flows[0];
    for (size_t i = 0; i < CAPTURE_FLOWS; i++) {
        struct flow *f = &c->flows[i];
        if (f->used != 0 && memcmp(f->key, key, sizeof(f->key)) == 0) {
            return f;
        }
        oldest = f->used < oldest->used ? f : oldest;
    }
    memcpy(oldest->key, key, sizeof(oldest->key));
    oldest->used = 0; /* new: whatever comes first is its beginning */
    oldest->len = 0;
    return oldest;
}

static void on_segment(struct capture *c, const uint8_t key[38], uint32_t sequence, bool is_syn,
                       struct slice payload)
{
    struct flow *f = find_flow(c, key);
    if (f->bytes == NULL) {
        f->bytes = malloc(CAPTURE_BUFFER);
        CHECK(f->bytes != NULL);
    }
    bool is_new = f->used == 0 || is_syn;
    f->used = c->totals->packets;
    if (is_new) {
        f->next = sequence + (is_syn ? 1 : 0);
        f->len = 0;
    }
    uint32_t behind = f->next - sequence; /* bytes that came already */
    if (behind != 0 && behind <= payload.len) {
        payload = slice_from(payload, behind);
    } else if (behind != 0 && payload.len > 0) {
        if (behind < UINT32_MAX / 2) {
            return; /* sent again */
        }
        c->totals->gaps++;
        f->len = 0;
        f->next = sequence;
    }
    f->next += (uint32_t)payload.len;
    if (payload.len > CAPTURE_BUFFER - f->len) {
        f->len = 0; /* nothing in so many bytes was RELOAD */
        payload = slice_sub(payload, 0, CAPTURE_BUFFER);
    }
    if (payload.len == 0) {
        return;
    }
    memcpy(f->bytes + f->len, payload.data, payload.len);
    f->len += payload.len;
    bool wants_more = false;
    size_t done = take_items(c, slice_of(f->bytes, f->len), &wants_more);
    f->len -= done;
    if (!wants_more && f->len > 0) {
        c->totals->other_packets++;
        f->len = 0;
    }
    memmove(f->bytes, f->bytes + done, f->len);
}

/* ---- down to the payload ---- */

static void put_names(struct capture *c, int family, struct slice from, struct slice to,
                      uint16_t from_port, uint16_t to_port)
{
    char text[INET6_ADDRSTRLEN] = "";
    const char *shape = family == AF_INET ? "%s:%u" : "[%s]:%u";
    (void)inet_ntop(family, from.data, text, sizeof(text));
    (void)snprintf(c->item.from, sizeof(c->item.from), shape, text, from_port);
    (void)inet_ntop(family, to.data, text, sizeof(text));
    (void)snprintf(c->item.to, sizeof(c->item.to), shape, text, to_port);
}

static void on_ip(struct capture *c, struct slice packet)
{
    struct rd r = rd_init(packet);
    uint8_t first = rd_u8(&r);
    bool is_four = first >> 4 == 4;
    uint8_t protocol = 0;
    struct slice from, to;
    uint8_t key[38] = {is_four ? 4 : 6};
    if (is_four) {
        size_t header = (size_t)(first & 15) * 4, total = 0;
        (void)rd_u8(&r);
        total = rd_u16(&r);
        (void)rd_u16(&r);
        uint16_t fragment = rd_u16(&r) & 0x3fff; /* more fragments, or an offset */
        (void)rd_u8(&r);
        protocol = rd_u8(&r);
        (void)rd_u16(&r);
        from = rd_bytes(&r, 4);
        to = rd_bytes(&r, 4);
        (void)rd_bytes(&r, header < 20 ? SIZE_MAX : header - 20);
        if (!rd_ok(&r) || fragment != 0 || total < header) {
            return;
        }
        r = rd_init(slice_sub(packet, header, total - header)); /* Ethernet pads */
    } else {
        (void)rd_bytes(&r, 3);
        size_t len = rd_u16(&r);
        protocol = rd_u8(&r); /* extension headers: passed over as other packets */
        (void)rd_u8(&r);
        from = rd_bytes(&r, 16);
        to = rd_bytes(&r, 16);
        if (!rd_ok(&r) || first >> 4 != 6) {
            return;
        }
        r = rd_init(rd_bytes(&r, min_size(len, rd_left(&r))));
    }
    uint16_t ports[2];
    ports[0] = rd_u16(&r);
    ports[1] = rd_u16(&r);
    put_names(c, is_four ? AF_INET : AF_INET6, from, to, ports[0], ports[1]);
    if (protocol == PROTOCOL_UDP) {
        (void)rd_u32(&r);
        on_datagram(c, rd_rest(&r));
        return;
    }
    uint32_t sequence = rd_u32(&r);
    (void)rd_u32(&r);
    size_t header = (size_t)(rd_u8(&r) >> 4) * 4;
    uint8_t flags = rd_u8(&r);
    (void)rd_bytes(&r, header < 20 ? SIZE_MAX : header - 14);
    if (protocol != PROTOCOL_TCP || !rd_ok(&r)) {
        return;
    }
    memcpy(key + 1, from.data, from.len);
    memcpy(key + 17, to.data, to.len);
    memcpy(key + 33, ports, sizeof(ports));
    on_segment(c, key, sequence, (flags & TCP_SYN) != 0, rd_rest(&r));
}

/* Takes the link layer off; false when it is one that we do not know. */
static bool on_packet(struct capture *c, int link, struct slice packet)
{
    struct rd r = rd_init(packet);
    uint16_t ethertype = ETHERTYPE_IP4;
    switch (link) {
    case DLT_EN10MB:
        (void)rd_bytes(&r, 12);
        ethertype = rd_u16(&r);
        while (ethertype == ETHERTYPE_VLAN) {
            (void)rd_u16(&r);
            ethertype = rd_u16(&r);
        }
        break;
    case DLT_LINUX_SLL:
        (void)rd_bytes(&r, 14);
        ethertype = rd_u16(&r);
        break;
    case DLT_LINUX_SLL2:
        ethertype = rd_u16(&r);
        (void)rd_bytes(&r, 18);
        break;
    case DLT_NULL:
    case DLT_LOOP:
        (void)rd_u32(&r); /* a family in somebody's byte order: the version nibble will tell */
        break;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        break;
    default:
        return false;
    }
    if (rd_ok(&r) && (ethertype == ETHERTYPE_IP4 || ethertype == ETHERTYPE_IP6)) {
        on_ip(c, rd_rest(&r));
    }
    return true;
}

enum err capture_read(const char *path, void (*one)(void *ctx, const struct capture_item *item),
                      void *ctx, struct capture_totals *totals, char *why)
{
    char told[PCAP_ERRBUF_SIZE] = "";
    struct capture *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *totals = (struct capture_totals){0};
    c->one = one;
    c->ctx = ctx;
    c->totals = totals;
    enum err e = ERR_OK;
    pcap_t *file = pcap_open_offline(path, told);
    if (file == NULL) {
        free(c);
        return say_why(why, ERR_NOT_FOUND,
                       "cannot read the capture: %s: %s: give a pcap or pcapng"
                       " file",
                       path, told);
    }
    struct pcap_pkthdr *header = NULL;
    const uint8_t *data = NULL;
    int got = 0;
    while (e == ERR_OK && (got = pcap_next_ex(file, &header, &data)) == 1) {
        c->item.packet = ++totals->packets;
        c->item.seconds = header->ts.tv_sec;
        c->item.micros = (uint32_t)header->ts.tv_usec;
        if (!on_packet(c, pcap_datalink(file), slice_of(data, header->caplen))) {
            e = say_why(why, ERR_UNSUPPORTED,
                        "link type %s: %s: capture on Ethernet, loopback or"
                        " any",
                        pcap_datalink_val_to_name(pcap_datalink(file)), path);
        }
    }
    if (e == ERR_OK && got == PCAP_ERROR) {
        e = say_why(why, ERR_MALFORMED,
                    "the capture ends early: %s: %s: packets before that were"
                    " printed",
                    path, pcap_geterr(file));
    }
    pcap_close(file);
    for (size_t i = 0; i < CAPTURE_FLOWS; i++) {
        free(c->flows[i].bytes);
    }
    free(c);
    return e;
}
