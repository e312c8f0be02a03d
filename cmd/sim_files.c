/* SPDX-License-Identifier: Apache-2.0 */
/* sim_files.c - see sim_files.h. */
#include "cmd/sim_files.h"
#include "cmd/files.h"
#include "codec/frame.h"
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SNAP_BYTES = 65535,
    IP_BYTES = 20,
    TCP_BYTES = 20,
    UDP_BYTES = 8,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    TCP_PSH_ACK = 0x18,
    HOPS = 64,
};

struct sim_files_capture {
    pcap_t *dead;
    pcap_dumper_t *file;
    uint8_t packet[SNAP_BYTES];
};

struct sim_files_capture *sim_files_open(const char *path, char *why)
{
    struct sim_files_capture *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->dead = pcap_open_dead(DLT_RAW, SNAP_BYTES)) == NULL) {
        (void)say_why(why, ERR_NO_MEMORY, "no memory for a capture: %s", path);
        free(c);
        return NULL;
    }
    c->file = pcap_dump_open(c->dead, path);
    if (c->file == NULL) {
        (void)say_why(why, ERR_IO, "cannot be written: --pcap %s: %s", path, pcap_geterr(c->dead));
        pcap_close(c->dead);
        free(c);
        return NULL;
    }
    return c;
}

bool sim_files_close(struct sim_files_capture *c)
{
    bool good = pcap_dump_flush(c->file) == 0;
    pcap_dump_close(c->file);
    pcap_close(c->dead);
    free(c);
    return good;
}

static uint8_t *put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    return put_u16(put_u16(at, value >> 16), value & 0xffff);
}

/* RFC 791; checksums stay 0. */
static uint8_t *put_ip(uint8_t *at, const struct world_captured *what, size_t len)
{
    memset(at, 0, IP_BYTES);
    at[0] = 0x45;
    (void)put_u16(at + 2, len);
    at[8] = HOPS;
    at[9] = what->is_datagram ? PROTOCOL_UDP : PROTOCOL_TCP;
    memcpy(at + 12, what->from.ip, 4);
    memcpy(at + 16, what->to.ip, 4);
    return at + IP_BYTES;
}

static void put_packet(struct sim_files_capture *c, const struct world_captured *what,
                       uint32_t sequence, struct slice frame)
{
    size_t head = IP_BYTES + (what->is_datagram ? UDP_BYTES : TCP_BYTES);
    size_t len = head + frame.len;
    if (len > sizeof(c->packet)) {
        return; /* none of ours is: max-message-size is a few thousand bytes */
    }
    uint8_t *at = put_ip(c->packet, what, len);
    at = put_u16(put_u16(at, what->from.port), what->to.port);
    if (what->is_datagram) {
        at = put_u16(put_u16(at, UDP_BYTES + frame.len), 0);
    } else {
        at = put_u32(put_u32(at, sequence + 1), 1);
        *at++ = TCP_BYTES / 4 << 4;
        *at++ = TCP_PSH_ACK;
        at = put_u16(put_u32(at, UINT32_C(0xffff) << 16), 0); /* window, checksum, urgent */
    }
    memcpy(at, frame.data, frame.len);
    struct pcap_pkthdr header = {.ts = {.tv_sec = (time_t)(what->wall_us / 1000000),
                                        .tv_usec = (suseconds_t)(what->wall_us % 1000000)},
                                 .caplen = (bpf_u_int32)len,
                                 .len = (bpf_u_int32)len};
    pcap_dump((u_char *)c->file, &header, c->packet);
}

void sim_files_capture(void *context, const struct world_captured *what)
{
    struct sim_files_capture *c = context;
    struct slice rest = what->frames;
    uint32_t sequence = what->sequence;
    while (rest.len > 0) {
        struct frame frame;
        size_t len = 0;
        if (frame_scan(rest, FRAME_MESSAGE_MAX, &frame, &len) != ERR_OK) {
            len = rest.len; /* noise that an adversary sends goes as it is */
        }
        put_packet(c, what, sequence, slice_of(rest.data, len));
        sequence += (uint32_t)len;
        rest = slice_from(rest, len);
    }
}

/* ---- faults ---- */

enum err sim_files_faults(const char *path, struct fault_list *l, char *why)
{
    struct slice text = SLICE_EMPTY;
    uint32_t line = 0;
    *l = (struct fault_list){.items = calloc(FAULT_LIST_CAP, sizeof(struct fault_listed))};
    if (l->items == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory for a list of faults");
    }
    if (path == NULL) {
        return ERR_OK;
    }
    if (files_read(path, &text, NULL) != ERR_OK) {
        return say_why(why, ERR_CONFIG, "cannot be read: --faults %s: %s", path, say_errno());
    }
    enum err e = fault_list_parse(l, text, &line);
    files_release(&text);
    return e == ERR_OK ? e
                       : say_why(why, ERR_CONFIG,
                                 "not a fault that --faults-out has written: %s:%u", path, line);
}

enum err sim_files_try(const char *path, char *why)
{
    FILE *file = fopen(path, "ae");
    return file != NULL && fclose(file) == 0
               ? ERR_OK
               : say_why(why, ERR_IO, "cannot be written: --faults-out %s: %s", path, say_errno());
}

enum err sim_files_write_faults(const char *path, const struct fault_list *l, char *why)
{
    char line[FAULT_LIST_LINE_CAP];
    FILE *file = fopen(path, "we");
    bool good = file != NULL;
    for (uint32_t i = 0; i < l->count && good; i++) {
        size_t len = fault_list_line(&l->items[i], line);
        good = fwrite(line, 1, len, file) == len;
    }
    if (file != NULL) {
        good = fclose(file) == 0 && good;
    }
    return good ? ERR_OK
                : say_why(why, ERR_IO, "cannot be written: --faults-out %s: %s", path, say_errno());
}

void sim_files_release_faults(struct fault_list *l)
{
    free(l->items);
    *l = (struct fault_list){0};
}

/* ---- traces ---- */

static uint32_t lines_of(struct slice text)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n' && lines < TRACE_CAP ? 1 : 0;
    }
    return lines;
}

enum err sim_files_trace(const char *path, uint64_t peers, struct trace *t, char *why)
{
    struct slice text = SLICE_EMPTY;
    uint32_t line = 0;
    const char *wrong = NULL;
    *t = (struct trace){0};
    if (files_read(path, &text, NULL) != ERR_OK) {
        return say_why(why, ERR_CONFIG, "cannot be read: --trace %s: %s", path, say_errno());
    }
    t->cap = lines_of(text);
    t->items = calloc(t->cap, sizeof(struct trace_event));
    if (t->items == NULL) {
        files_release(&text);
        return say_why(why, ERR_NO_MEMORY, "no memory for a trace: %s", path);
    }
    bool good = trace_parse(t, text, peers, &line, &wrong);
    files_release(&text);
    return good ? ERR_OK
                : say_why(why, ERR_CONFIG, "%s: --trace %s:%u: a line is TIME PEER ACTION", wrong,
                          path, line);
}

/* ---- Node-IDs ---- */

static bool take_id(struct slice *text, struct node_id *id)
{
    enum { DIGITS = 2 * IDS_NODE_MIN };
    size_t len = 0;
    *id = (struct node_id){0};
    if (text->len <= DIGITS || text->data[DIGITS] != '\n' ||
        ids_unhex(slice_of(text->data, DIGITS), id->bytes, IDS_NODE_MIN, &len) != ERR_OK) {
        return false;
    }
    *text = slice_from(*text, DIGITS + 1);
    return true;
}

enum err sim_files_ids(const char *path, struct node_id **ids, uint32_t *count, char *why)
{
    struct slice text = SLICE_EMPTY;
    if (files_read(path, &text, NULL) != ERR_OK) {
        return say_why(why, ERR_CONFIG, "cannot be read: --ids %s: %s", path, say_errno());
    }
    struct slice rest = text;
    *count = 0;
    *ids = calloc(text.len / (2 * IDS_NODE_MIN) + 1, sizeof(struct node_id));
    while (*ids != NULL && rest.len > 0 && take_id(&rest, &(*ids)[*count])) {
        ++*count;
    }
    bool is_whole = rest.len == 0 && *ids != NULL;
    files_release(&text);
    return is_whole
               ? ERR_OK
               : say_why(why, ERR_CONFIG, "not 32 hex digits: --ids %s: line %u", path, *count + 1);
}
