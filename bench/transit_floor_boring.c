/* SPDX-License-Identifier: Apache-2.0 */
/* transit_floor_boring.c - what a transit message costs at least: the kernel's part, as a TCP echo
 * of coalesced messages on this thread, and the record layer's part, as SSL_write and SSL_read of
 * full records.  Neither knows anything of ours. */
#include "bench/transit.h"
#include "bench/transit_node.h"
#include "core/os/host.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS = 16, DEPTH = 32, ECHO_CAP = 64 * 1024 };

/* ---- TCP ---- */

struct transit_floor_tcp {
    int near[CONNS], far[CONNS];
    int poller;
    size_t bytes; /* of one round of one connection */
    uint64_t rounds;
};

static void write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        transit_require(put > 0, "an echo client that can send");
        bytes += put;
        len -= (size_t)put;
    }
}

/* The far end: on each connection DEPTH messages at once, the next when they have come back. */
static void *run_client(void *context)
{
    static uint8_t bytes[DEPTH * TRANSIT_MESSAGE_CAP];
    struct transit_floor_tcp *f = context;
    struct pollfd polls[CONNS];
    size_t missing[CONNS];
    uint64_t left[CONNS];
    uint32_t open = CONNS;
    transit_require(host_pin(host_cpu_count() - 1) == ERR_OK, "a cpu for the client");
    for (size_t i = 0; i < CONNS; i++) {
        polls[i] = (struct pollfd){.fd = f->far[i], .events = POLLIN};
        left[i] = f->rounds;
        missing[i] = f->bytes;
        write_all(f->far[i], bytes, f->bytes);
    }
    while (open > 0) {
        transit_require(poll(polls, CONNS, 10000) > 0, "an echo that comes back");
        for (size_t i = 0; i < CONNS; i++) {
            if (polls[i].revents == 0) {
                continue;
            }
            ssize_t got = recv(f->far[i], bytes, sizeof(bytes), 0);
            transit_require(got > 0, "an echo that comes back");
            missing[i] -= (size_t)got;
            if (missing[i] == 0 && --left[i] > 0) {
                missing[i] = f->bytes;
                write_all(f->far[i], bytes, f->bytes);
            } else if (missing[i] == 0) {
                polls[i].fd = -1;
                open--;
            }
        }
    }
    return NULL;
}

static void echo_pair(int listener, const struct sockaddr_in *at, int *near, int *far)
{
    *far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    transit_require(*far >= 0 && connect(*far, (const struct sockaddr *)at, sizeof(*at)) == 0,
                    "a connection over loopback");
    *near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    transit_require(*near >= 0, "a connection over loopback");
    int one = 1;
    setsockopt(*near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(*far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Until so many bytes have been echoed in all. */
static void serve_echo(const struct transit_floor_tcp *f, uint64_t *echoed, uint64_t until)
{
    static uint8_t bytes[ECHO_CAP];
    struct epoll_event events[CONNS];
    while (*echoed < until) {
        int count = epoll_wait(f->poller, events, CONNS, 10000);
        transit_require(count > 0, "an echo client that speaks");
        for (int i = 0; i < count; i++) {
            ssize_t got = recv(events[i].data.fd, bytes, sizeof(bytes), 0);
            transit_require(got > 0, "an echo client that stays");
            write_all(events[i].data.fd, bytes, (size_t)got);
            *echoed += (uint64_t)got;
        }
    }
}

struct transit_floor_tcp *transit_floor_tcp_open(size_t message_len)
{
    struct transit_floor_tcp *f = calloc(1, sizeof(*f));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    transit_require(f != NULL && listener >= 0 &&
                        bind(listener, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
                        listen(listener, CONNS) == 0 &&
                        getsockname(listener, (struct sockaddr *)&at, &len) == 0,
                    "a listener on loopback");
    f->bytes = message_len * DEPTH;
    f->poller = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < CONNS; i++) {
        echo_pair(listener, &at, &f->near[i], &f->far[i]);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = f->near[i]};
        transit_require(epoll_ctl(f->poller, EPOLL_CTL_ADD, f->near[i], &event) == 0, "epoll");
    }
    close(listener);
    return f;
}

double transit_floor_tcp_ns(struct transit_floor_tcp *f, uint64_t messages)
{
    pthread_t client;
    uint64_t echoed = 0;
    f->rounds = (messages + messages / TRANSIT_WARM_SHARE) / (CONNS * DEPTH);
    uint64_t all = f->rounds * CONNS * f->bytes, warm = all / (TRANSIT_WARM_SHARE + 1);
    transit_require(pthread_create(&client, NULL, run_client, f) == 0, "a thread");
    serve_echo(f, &echoed, warm);
    uint64_t before = transit_world_cpu_ns();
    warm = echoed;
    serve_echo(f, &echoed, all);
    uint64_t ns = transit_world_cpu_ns() - before;
    pthread_join(client, NULL);
    return (double)ns * (double)f->bytes / DEPTH / (double)(all - warm);
}

void transit_floor_tcp_close(struct transit_floor_tcp *f)
{
    for (size_t i = 0; i < CONNS; i++) {
        close(f->near[i]);
        close(f->far[i]);
    }
    close(f->poller);
    free(f);
}

/* ---- TLS ---- */

static enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *alert)
{
    (void)ssl, (void)alert;
    return ssl_verify_ok;
}

static SSL_CTX *make_context(const struct transit_ca *ca)
{
    struct transit_identity id;
    static const uint16_t ed25519[] = {SSL_SIGN_ED25519};
    transit_identity_open(&id, ca, 99, ca->peer_key);
    SSL_CTX *context = SSL_CTX_new(TLS_with_buffers_method());
    CRYPTO_BUFFER *leaf =
        CRYPTO_BUFFER_new(id.ident.certificate.data, id.ident.certificate.len, NULL);
    transit_require(context != NULL && leaf != NULL, "a TLS context");
    transit_require(SSL_CTX_set_chain_and_key(context, &leaf, 1,
                                              crypto_boring_key_object(ca->peer_key), NULL) == 1,
                    "a TLS credential");
    SSL_CTX_set_custom_verify(context, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_verify_algorithm_prefs(context, ed25519, 1);
    SSL_CTX_set_signing_algorithm_prefs(context, ed25519, 1);
    CRYPTO_BUFFER_free(leaf);
    return context;
}

struct transit_floor_tls {
    SSL_CTX *context;
    SSL *ends[2];
    size_t message_len;
};

struct transit_floor_tls *transit_floor_tls_open(const struct transit_ca *ca, size_t message_len)
{
    struct transit_floor_tls *f = calloc(1, sizeof(*f));
    BIO *one = NULL, *other = NULL;
    transit_require(f != NULL && BIO_new_bio_pair(&one, 64 * 1024, &other, 64 * 1024) == 1,
                    "a pair of BIOs");
    f->message_len = message_len;
    f->context = make_context(ca);
    for (size_t i = 0; i < 2; i++) {
        BIO *bio = i == 0 ? one : other;
        f->ends[i] = SSL_new(f->context);
        transit_require(f->ends[i] != NULL, "a TLS connection");
        SSL_set_bio(f->ends[i], bio, bio);
    }
    SSL_set_connect_state(f->ends[0]);
    SSL_set_accept_state(f->ends[1]);
    for (size_t i = 0; i < 10; i++) {
        SSL_do_handshake(f->ends[i % 2]);
    }
    transit_require(!SSL_in_init(f->ends[0]) && !SSL_in_init(f->ends[1]), "a TLS handshake");
    return f;
}

static void pass_records(struct transit_floor_tls *f, uint64_t records)
{
    static uint8_t plain[TLS_RECORD_BYTES], got[TLS_RECORD_BYTES];
    size_t len = TLS_RECORD_BYTES / f->message_len * f->message_len;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < records; i++) {
        plain[0] = (uint8_t)i;
        int put = SSL_write(f->ends[0], plain, (int)len);
        int had = SSL_read(f->ends[1], got, sizeof(got));
        sum += put == had && got[0] == (uint8_t)i;
    }
    transit_require(sum == records, "records that come back");
}

double transit_floor_tls_ns(struct transit_floor_tls *f, uint64_t messages)
{
    size_t per_record = TLS_RECORD_BYTES / f->message_len;
    uint64_t records = messages / per_record;
    pass_records(f, records / TRANSIT_WARM_SHARE);
    uint64_t before = transit_world_cpu_ns();
    pass_records(f, records);
    uint64_t ns = transit_world_cpu_ns() - before;
    return (double)ns / (double)(records * per_record);
}

void transit_floor_tls_close(struct transit_floor_tls *f)
{
    SSL_free(f->ends[0]);
    SSL_free(f->ends[1]);
    SSL_CTX_free(f->context);
    free(f);
}
