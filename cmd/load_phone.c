/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_phone.h"
#include "core/os/sock.h"
#include "link/crypto_boring.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 32,
    SOCKET_BYTES = 4 * 1024 * 1024,
    FIRST_NET = 1,    /* 127.1.0.1 is the first phone */
    HOSTS_A_NET = 250 /* .1 to .250 */
};
STATIC_CHECK(LOAD_IO_CAP / HOSTS_A_NET < 256);

static void take(struct load_phone *p, struct slice bytes)
{
    struct load_phones *all = p->all;
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&all->parser, false);
    if (sip_parser_datagram(&all->parser, bytes) != SIP_PARSE_OK ||
        all->parser.event != SIP_EVENT_MESSAGE ||
        sip_msg_check(&all->parser.msg, &core, &fault) != ERR_OK) {
        all->unreadable++;
        return;
    }
    all->on_message(p, &all->parser.msg, &core);
}

static void on_ready(struct load_io *io)
{
    static uint8_t bytes[BATCH][LOAD_PHONE_BYTES_CAP];
    struct iovec parts[BATCH];
    struct mmsghdr heads[BATCH];
    struct load_phone *p = CONTAINER_OF(io, struct load_phone, io);
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = bytes[i], .iov_len = sizeof(bytes[i])};
        heads[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(io->fd, heads, BATCH, MSG_DONTWAIT, NULL);
    /* An error is that of an earlier datagram (nobody listens): its time-out tells. */
    for (int i = 0; i < count; i++) {
        if ((heads[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
            p->all->truncated++;
            continue;
        }
        take(p, slice_of(bytes[i], heads[i].msg_len));
    }
}

/* Its own address, where there are as many as one likes. */
static struct address source_of(uint32_t index, const struct address *to)
{
    struct address a = {.family = 4};
    if (address_range_of(to) == ADDRESS_LOOPBACK) {
        a.ip[0] = 127;
        a.ip[1] = FIRST_NET;
        a.ip[2] = (uint8_t)(index / HOSTS_A_NET);
        a.ip[3] = (uint8_t)(index % HOSTS_A_NET + 1);
    }
    return a;
}

static enum err open_datagram(struct load_phone *p, const struct address *from,
                              const struct address *to, struct address *local, char *why)
{
    struct sockaddr_storage mine, server;
    socklen_t mine_len = sock_from_address(from, &mine);
    socklen_t server_len = sock_from_address(to, &server);
    int bytes = SOCKET_BYTES;
    char text[ADDRESS_TEXT_CAP];
    p->io.on_ready = on_ready;
    p->io.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->io.fd < 0 || bind(p->io.fd, (struct sockaddr *)&mine, mine_len) != 0 ||
        connect(p->io.fd, (struct sockaddr *)&server, server_len) != 0 ||
        load_watch(p->all->load, &p->io, false) != ERR_OK) {
        return say_why(why, ERR_IO, "no socket for a phone: %s: %s; give fewer --connections",
                       address_text(to, text), say_errno());
    }
    (void)setsockopt(p->io.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    *local = sock_local(p->io.fd);
    return ERR_OK;
}

static void on_stream_message(struct load_stream *stream, const struct sip_msg *m,
                              const struct sip_msg_core *core)
{
    struct load_phone *p = stream->user;
    p->all->on_message(p, m, core);
}

static enum err open_stream(struct load_phone *p, const struct address *from,
                            const struct address *to, struct address *local, char *why)
{
    struct load_phones *all = p->all;
    const struct load_stream_way way = {
        .from = *from, .to = *to, .context = all->tls, .host = all->target->domain};
    p->stream.on_message = on_stream_message;
    p->stream.user = p;
    enum err e = load_stream_open(&p->stream, all->load, &way, why);
    *local = e == ERR_OK ? load_stream_local(&p->stream) : (struct address){0};
    return e;
}

static enum err open_one(struct load_phones *all, uint32_t index, const struct address *to,
                         char *why)
{
    struct load_phone *p = &all->phones[index];
    struct address from = source_of(index, to);
    struct address local;
    uint8_t random[8];
    bool is_udp = all->load->s->transport == LOAD_UDP;
    p->all = all;
    p->io.fd = p->stream.io.fd = -1;
    enum err e =
        is_udp ? open_datagram(p, &from, to, &local, why) : open_stream(p, &from, to, &local, why);
    if (e != ERR_OK) {
        return e;
    }
    address_text(&local, p->local);
    all->crypto->random(all->crypto, random, sizeof(random));
    ids_hex(slice_of(random, sizeof(random)), p->token);
    return ERR_OK;
}

static enum err choose_transport(struct load_phones *all, char *why)
{
    static const char *const vias[LOAD_TRANSPORTS] = {"UDP", "TCP", "TLS"};
    static const char *const params[LOAD_TRANSPORTS] = {"", ";transport=tcp", ";transport=tls"};
    enum load_transport transport = all->load->s->transport;
    all->via = vias[transport];
    all->params = params[transport];
    if (transport == LOAD_TLS && tls_boring_context_client(&all->tls) != ERR_OK) {
        return say_why(why, ERR_NO_MEMORY, "no memory: TLS of phones: free some");
    }
    return ERR_OK;
}

enum err load_phone_open(struct load_phones *all, struct load *l, const struct load_target *target,
                         uint32_t callers, uint32_t callees, char *why)
{
    uint32_t count = callers + callees;
    const struct address *other = target->callees.family != 0 ? &target->callees : &target->sip;
    all->load = l;
    all->target = target;
    all->crypto = crypto_boring();
    if (target->sip.family == 0) {
        return say_why(why, ERR_CONFIG,
                       "no SIP address: this kind needs it: give --demo FILE, or --sip HOST:PORT");
    }
    enum err e = choose_transport(all, why);
    if (e != ERR_OK) {
        return e;
    }
    all->phones = calloc(count, sizeof(*all->phones));
    if (all->phones == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %u phones: give fewer", count);
    }
    while (e == ERR_OK && all->count < count) {
        e = open_one(all, all->count, all->count < callers ? &target->sip : other, why);
        all->count++;
    }
    return e;
}

void load_phone_close(struct load_phones *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->phones[i].io.fd >= 0) {
            close(all->phones[i].io.fd);
        }
        load_stream_close(&all->phones[i].stream);
    }
    if (all->tls != NULL) {
        tls_boring_context_free(all->tls);
        all->tls = NULL;
    }
    free(all->phones);
    all->phones = NULL;
    all->count = 0;
}

void load_phone_assign(struct load_phone *p, const struct load_target_account *account)
{
    p->account = account;
    (void)snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(account->user, "@"),
                   account->user);
}

bool load_phone_send(struct load_phone *p, const void *bytes, size_t len)
{
    if (p->all->load->s->transport != LOAD_UDP) {
        return load_stream_send(&p->stream, slice_of(bytes, len));
    }
    ssize_t sent = send(p->io.fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNREFUSED) { /* that was about an earlier one */
        sent = send(p->io.fd, bytes, len, MSG_NOSIGNAL);
    }
    return sent >= 0;
}
