/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c - see capture.h. */
#include "cmd/capture.h"
#include "cmd/capture_stream.h"
#include "codec/frame.h"
#include "codec/fwd.h"
#include "codec/stun.h"
#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <stdio.h>

enum {
    ETHERTYPE_IP4 = 0x0800,
    ETHERTYPE_IP6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_SYN = 0x02,
    MESSAGE_LENGTH_AT = 16,
    TOKEN_END = FRAME_DATA_HEADER + 4,
};

struct capture {
    void (*one)(void *ctx, const struct capture_item *item);
    void *ctx;
    struct capture_totals *totals;
    struct capture_item item;
    struct capture_stream *streams;
};

static const uint8_t token[] = {0xd2, 0x45, 0x4c, 0x4f};

static void deliver(struct capture *c, struct capture_item item, const char *type,
                    struct slice bytes)
{
    item.type = type;
    item.bytes = bytes;
    c->totals->items++;
    c->one(c->ctx, &item);
}

/* ---- what the bytes are ---- */

enum look {
    LOOK_OTHER, /* not RELOAD */
    LOOK_MORE,  /* the front of an item */
    LOOK_ITEM,
};

struct seen {
    const char *type;
    size_t len;
};

/* Is the token at `at`, as far as the bytes go? */
static bool has_token(struct slice in, size_t at)
{
    struct slice there = slice_sub(in, at, sizeof(token));
    return slice_is_equal(there, slice_of(token, there.len));
}

static bool is_within(struct slice in, size_t len)
{
    return len >= FWD_FIXED_BYTES && len <= CAPTURE_BUFFER && len <= in.len;
}

/* One byte does not make a frame: RTP begins with 0x80 too.  In a message the token tells, which is
 * why a data frame of less than 12 bytes is not one yet. */
static enum look look_data(struct slice in, struct seen *out)
{
    struct frame f;
    enum err e = frame_scan(in, CAPTURE_BUFFER - FRAME_DATA_HEADER, &f, &out->len);
    out->type = "FramedMessage";
    if (!has_token(in, FRAME_DATA_HEADER)) {
        return LOOK_OTHER;
    }
    return e == ERR_MORE ? LOOK_MORE : e == ERR_OK ? LOOK_ITEM : LOOK_OTHER;
}

static enum look look_message(struct slice in, struct seen *out)
{
    struct rd r = rd_init(slice_from(in, MESSAGE_LENGTH_AT));
    out->len = rd_u32(&r);
    out->type = "Message";
    if (!has_token(in, 0)) {
        return LOOK_OTHER;
    }
    if (!rd_ok(&r)) {
        return LOOK_MORE;
    }
    return is_within(in, out->len)                                     ? LOOK_ITEM
           : out->len >= FWD_FIXED_BYTES && out->len <= CAPTURE_BUFFER ? LOOK_MORE
                                                                       : LOOK_OTHER;
}

/* What stands at the front of `in`, which has one byte at least. */
static enum look look_at(struct slice in, struct seen *out)
{
    if (in.data[0] == FRAME_DATA) {
        return look_data(in, out);
    }
    if (in.data[0] == FRAME_ACK) {
        *out = (struct seen){"FramedMessage", FRAME_ACK_BYTES};
        return in.len < FRAME_ACK_BYTES ? LOOK_MORE : LOOK_ITEM;
    }
    return look_message(in, out);
}

/* ---- datagrams ---- */

static void on_datagram(struct capture *c, struct slice payload)
{
    bool has_item = false;
    while (payload.len > 0) {
        struct seen seen = {NULL, 0};
        enum look look = LOOK_ITEM;
        if (!has_item && stun_is_message(payload)) {
            seen = (struct seen){"StunMessage", payload.len};
        } else {
            look = look_at(payload, &seen);
        }
        bool is_ack = payload.data[0] == FRAME_ACK;
        bool is_too_short = payload.len < (payload.data[0] == FRAME_DATA ? TOKEN_END : 4);
        if (look == LOOK_OTHER || is_too_short || (is_ack && payload.len != FRAME_ACK_BYTES)) {
            break;
        }
        if (look == LOOK_MORE) { /* cut short, yet told: the decoder says what is wrong with it */
            seen.len = payload.len;
        }
        deliver(c, c->item, seen.type, slice_sub(payload, 0, seen.len));
        has_item = true;
        payload = slice_from(payload, seen.len);
    }
    c->totals->other_packets += !has_item && payload.len > 0 ? 1 : 0;
}

/* ---- streams ---- */

/* How many bytes stand before what may be the next frame or message, told by its token; all but the
 * few that may be the front of one when there is none. */
static size_t find_start(struct slice in, bool *is_found)
{
    const uint8_t *at = memmem(in.data, in.len, token, sizeof(token));
    *is_found = at != NULL;
    if (at == NULL) {
        return in.len - min_size(in.len, TOKEN_END - 1);
    }
    size_t start = (size_t)(at - in.data);
    if (start < FRAME_DATA_HEADER || at[-FRAME_DATA_HEADER] != FRAME_DATA) {
        return start;
    }
    /* A header says the same length as its message, unless its first byte is one of something else
     * and the header itself was lost. */
    struct rd header = rd_init(slice_of(at - 3, 3));
    struct rd message = rd_init(slice_from(in, start + MESSAGE_LENGTH_AT));
    size_t len = rd_u32(&message);
    bool is_header = !rd_ok(&message) || rd_u24(&header) == len;
    return is_header ? start - FRAME_DATA_HEADER : start;
}

/* In a stream an ACK is followed by another frame. */
static bool is_odd_ack(struct slice in)
{
    uint8_t after = in.len > FRAME_ACK_BYTES ? in.data[FRAME_ACK_BYTES] : FRAME_DATA;
    return in.data[0] == FRAME_ACK && after != FRAME_DATA && after != FRAME_ACK;
}

static size_t take_items(void *ctx, const struct capture_item *item, struct slice in,
                         enum capture_stream_sync *sync)
{
    struct capture *c = ctx;
    size_t done = 0;
    bool is_reload = false; /* or seems to be the front of it */
    while (done < in.len) {
        struct seen seen = {NULL, 0};
        bool is_found = true;
        if (*sync != CAPTURE_STREAM_IN_STEP) {
            done += find_start(slice_from(in, done), &is_found);
        }
        struct slice rest = slice_from(in, done);
        enum look look = is_found ? look_at(rest, &seen) : LOOK_MORE;
        is_reload |= is_found && look != LOOK_OTHER;
        if (look == LOOK_MORE) {
            break;
        }
        if (look == LOOK_ITEM && !is_odd_ack(rest)) {
            deliver(c, *item, seen.type, slice_sub(rest, 0, seen.len));
            done += seen.len;
            *sync = CAPTURE_STREAM_IN_STEP;
        } else if (*sync == CAPTURE_STREAM_IN_STEP) {
            *sync = CAPTURE_STREAM_ASTRAY; /* look for it, here first */
        } else {
            done++;
        }
    }
    c->totals->other_packets += *sync == CAPTURE_STREAM_ASTRAY && !is_reload ? 1 : 0;
    return done;
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
    struct capture_stream_segment segment = {.key = {is_four ? 4 : 6}};
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
    segment.sequence = rd_u32(&r);
    (void)rd_u32(&r);
    size_t header = (size_t)(rd_u8(&r) >> 4) * 4;
    segment.is_syn = (rd_u8(&r) & TCP_SYN) != 0;
    (void)rd_bytes(&r, header < 20 ? SIZE_MAX : header - 14);
    if (protocol != PROTOCOL_TCP || !rd_ok(&r)) {
        return;
    }
    segment.payload = rd_rest(&r);
    memcpy(segment.key + 1, from.data, from.len);
    memcpy(segment.key + 17, to.data, to.len);
    memcpy(segment.key + 33, ports, sizeof(ports));
    capture_stream_segment(c->streams, &c->item, &segment);
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

/* libpcap says the path in front, or not. */
static const char *without_path(const char *told, const char *path)
{
    size_t len = strlen(path);
    bool is_in_front = strncmp(told, path, len) == 0 && strncmp(told + len, ": ", 2) == 0;
    return is_in_front ? told + len + 2 : told;
}

static enum err read_packets(struct capture *c, pcap_t *file, const char *path, char *why)
{
    struct pcap_pkthdr *header = NULL;
    const uint8_t *data = NULL;
    int got = 0;
    while ((got = pcap_next_ex(file, &header, &data)) == 1) {
        c->item.packet = ++c->totals->packets;
        c->item.seconds = header->ts.tv_sec;
        c->item.micros = (uint32_t)header->ts.tv_usec;
        if (!on_packet(c, pcap_datalink(file), slice_of(data, header->caplen))) {
            return say_why(why, ERR_UNSUPPORTED,
                           "link type %s: %s: capture on Ethernet, loopback or any",
                           pcap_datalink_val_to_name(pcap_datalink(file)), path);
        }
    }
    if (got == PCAP_ERROR) {
        return say_why(why, ERR_MALFORMED,
                       "the capture ends early: %s: %s: packets before that were printed", path,
                       without_path(pcap_geterr(file), path));
    }
    return ERR_OK;
}

enum err capture_read(const char *path, void (*one)(void *ctx, const struct capture_item *item),
                      void *ctx, struct capture_totals *totals, char *why)
{
    char told[PCAP_ERRBUF_SIZE] = "";
    struct capture c = {.one = one, .ctx = ctx, .totals = totals};
    *totals = (struct capture_totals){0};
    pcap_t *file = pcap_open_offline(path, told);
    if (file == NULL) {
        return say_why(why, ERR_NOT_FOUND,
                       "cannot read the capture: %s: %s: give a pcap or pcapng file", path,
                       without_path(told, path));
    }
    c.streams = capture_stream_new(take_items, &c, totals);
    enum err e = read_packets(&c, file, path, why);
    capture_stream_end(c.streams);
    pcap_close(file);
    return e;
}
