/* SPDX-License-Identifier: Apache-2.0 */
/* register.c - what a REGISTER costs among 10^3, 10^4 and 10^5 registered phones, in this process.
 *
 *     build/release/bench/register [--json] [--up-to N]
 *
 * A node alone in its ring, from the datagram to the 200: challenge, digest, registrar, a Store of
 * the registration into its own overlay, answer.  Cryptography costs nothing (lookup_records). Each
 * phone registers once, then some of them, at random, refresh; both requests of a registration (the
 * one that is challenged and the one that is answered) count as one operation.  Exit code 1 when an
 * answer is not what it has to be. */
#include "bench/bench.h"
#include "bench/lookup_world.h"
#include "core/os/mem.h"
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_CAP = 2048,
    REFRESHES = 4000,
    SAMPLE = 500, /* of the first registrations: so many at the end are timed */
    STEP_US = 10000,
    BUFFERS = 16384, /* answers are kept for 32 s, in case that a request comes again */
    LARGEST = 100000,
};

struct phones {
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct crypto crypto;
    struct log log;
    struct limits limits;
    struct crypto_trust trust;
    struct mem mem;
    struct node *node;
    struct lookup_person self;
    struct lookup_person *people;
    struct sip_account *accounts;
    uint32_t count;
    uint32_t sent;
    uint32_t wrong;
    char answer[TEXT_CAP]; /* the last one */
};

static void drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static void hex_of(const struct phones *p, const char *text, char out[33])
{
    uint8_t hash[CRYPTO_MD5_BYTES];
    p->crypto.md5(slice_text(text), hash);
    (void)ids_hex(slice_of(hash, sizeof(hash)), out);
}

static void make_accounts(struct phones *p)
{
    p->people = calloc(p->count, sizeof(*p->people));
    p->accounts = calloc(p->count, sizeof(*p->accounts));
    bench_require(p->people != NULL && p->accounts != NULL, "no memory");
    for (uint32_t i = 0; i < p->count; i++) {
        char text[128];
        struct sip_account *a = &p->accounts[i];
        lookup_person_make(&p->people[i], i);
        (void)snprintf(a->user, sizeof(a->user), "user%u@" LOOKUP_OVERLAY, i);
        (void)snprintf(text, sizeof(text), "user%u:" LOOKUP_OVERLAY ":secret", i);
        hex_of(p, text, a->ha1_md5);
        a->digest = SIP_DIGEST_MD5;
        a->ident = &p->people[i].ident;
    }
}

static struct node_settings settings_of(struct phones *p, const struct tls_ops *tls)
{
    struct node_settings s = {.tls = tls, .limits = &p->limits};
    s.overlay = (struct overlay_settings){.trust = p->trust,
                                          .self = &p->self.ident,
                                          .limits = &p->limits,
                                          .shards = 1,
                                          .siblings = {p->self.ident.node_id},
                                          .found_ring = OVERLAY_FOUND_NOW,
                                          .storage_ack = OVERLAY_ACK_REPLICA};
    s.overlay.config = lookup_world_config();
    s.sip = (struct sip_settings){.domain = LOOKUP_OVERLAY,
                                  .accounts = p->accounts,
                                  .account_count = p->count,
                                  .shards = 1,
                                  .self = p->self.ident.node_id,
                                  .siblings = {p->self.ident.node_id},
                                  .advertised = {.family = 4, .port = 5060, .ip = {10, 0, 0, 1}},
                                  .default_expires_s = 3600,
                                  .min_expires_s = 60,
                                  .max_expires_s = 7200,
                                  .limits = &p->limits};
    return s;
}

static void set_limits(struct phones *p)
{
    limits_default(&p->limits);
    uint32_t cap = p->count + p->count / 15 + 64;
    p->limits.sip_bindings = cap;
    p->limits.stored_sets = cap;
    p->limits.stored_values = cap;
    p->limits.stored_certificates = cap;
    p->limits.stored_bytes = cap * 768 + 65536;
    p->limits.msgbuf_small = BUFFERS;
    p->limits.msgbuf_large = BUFFERS / 8;
    p->limits.outbox = 8192;
    p->limits.verify_us_idle = UINT32_MAX; /* what signatures would cost is not measured */
    p->limits.verify_us_per_turn = UINT32_MAX;
}

/* Everything that the node has sent is looked at and forgotten. */
static void collect(struct phones *p)
{
    for (uint32_t i = 0; i < p->out.count; i++) {
        struct msgbuf *buf = p->out.ops[i].buf;
        if (buf == NULL) {
            continue;
        }
        struct slice text = msgbuf_slice(buf);
        if (p->out.ops[i].kind == IO_OP_DATAGRAM && text.len < sizeof(p->answer)) {
            memcpy(p->answer, text.data, text.len);
            p->answer[text.len] = 0;
        }
        msgbuf_release(&p->buffers, buf);
    }
    io_outbox_clear(&p->out);
}

static struct phones *make(uint32_t count)
{
    static const struct tls_ops no_tls; /* nobody connects */
    struct phones *p = calloc(1, sizeof(*p));
    bench_require(p != NULL, "no memory");
    p->count = count;
    rng_init(&p->rng, 1);
    wheel_init(&p->wheel, 1000000);
    lookup_crypto_init(&p->crypto, &p->rng);
    log_init(&p->log, drop_log, NULL, LOG_ERROR, 0);
    lookup_person_make(&p->self, LOOKUP_PEER_FIRST);
    p->trust =
        (struct crypto_trust){.overlay_name = slice_text(LOOKUP_OVERLAY), .node_id_length = 16};
    set_limits(p);
    make_accounts(p);
    struct node_settings s = settings_of(p, &no_tls);
    size_t bytes = node_bytes(&s) + io_outbox_bytes(p->limits.outbox) + (size_t)BUFFERS * 2400 +
                   (size_t)BUFFERS / 8 * 19000;
    bench_require(mem_open(&p->mem, bytes + 65536) == ERR_OK, "no memory");
    msgbuf_pool_init(&p->buffers, &p->mem.arena, BUFFERS, BUFFERS / 8);
    io_outbox_init(&p->out, &p->mem.arena, p->limits.outbox);
    p->turn = (struct turn){.now_us = 1000000,
                            .wall_ms = LOOKUP_WALL_MS,
                            .rng = &p->rng,
                            .crypto = &p->crypto,
                            .wheel = &p->wheel,
                            .buffers = &p->buffers,
                            .out = &p->out,
                            .metrics = &p->metrics,
                            .log = &p->log};
    p->node = node_init(&p->turn, &p->mem.arena, &s);
    node_start(&p->turn, p->node);
    while (node_on_flush(&p->turn, p->node)) {}
    collect(p);
    return p;
}

static void destroy(struct phones *p)
{
    mem_close(&p->mem);
    free(p->people);
    free(p->accounts);
    free(p);
}

/* One datagram of a phone and all that follows from it at once; the CPU time in ns. */
static uint64_t handle_text(struct phones *p, uint32_t number, char *text, size_t len)
{
    struct address from = {.family = 4,
                           .port = (uint16_t)(1024 + number % 60000),
                           .ip = {10, 1, (uint8_t)(number >> 8), (uint8_t)number}};
    struct io_event event = {.kind = IO_DATAGRAM,
                             .listener = IO_LISTEN_SIP_UDP,
                             .remote = from,
                             .data = (uint8_t *)text,
                             .data_len = len};
    p->answer[0] = 0;
    uint64_t begun = lookup_world_cpu_ns();
    node_on_event(&p->turn, p->node, &event);
    node_on_timers(&p->turn, p->node);
    while (node_on_flush(&p->turn, p->node)) {}
    uint64_t spent = lookup_world_cpu_ns() - begun;
    collect(p);
    return spent;
}

static size_t write_register(struct phones *p, uint32_t number, const char *authorization,
                             char out[TEXT_CAP])
{
    uint32_t id = p->sent++;
    int len = snprintf(out, TEXT_CAP,
                       "REGISTER sip:" LOOKUP_OVERLAY " SIP/2.0\r\n"
                       "Via: SIP/2.0/UDP 10.1.%u.%u:%u;rport;branch=z9hG4bK%u\r\n"
                       "Max-Forwards: 70\r\n"
                       "From: <sip:user%u@" LOOKUP_OVERLAY ">;tag=a%u\r\n"
                       "To: <sip:user%u@" LOOKUP_OVERLAY ">\r\n"
                       "Call-ID: %u@10.1.0.1\r\n"
                       "CSeq: %u REGISTER\r\n"
                       "Contact: <sip:user%u@10.1.%u.%u:%u>\r\n"
                       "Expires: 3600\r\n"
                       "%s"
                       "Content-Length: 0\r\n\r\n",
                       number >> 8 & 255, number & 255, 1024 + number % 60000, id, number, id,
                       number, number, id + 1, number, number >> 8 & 255, number & 255,
                       1024 + number % 60000, authorization);
    bench_require(len > 0 && len < TEXT_CAP, "a REGISTER that fits");
    return (size_t)len;
}

static void complain(struct phones *p, const char *what)
{
    if (p->wrong++ == 0) {
        (void)fprintf(stderr, "register: %s: %.600s\n", what, p->answer);
    }
}

/* A challenge and its answer; ns of both. */
static uint64_t do_register(struct phones *p, uint32_t number)
{
    char text[TEXT_CAP], more[512], input[512], ha2[33], response[33], nonce[128];
    p->turn.now_us += STEP_US;
    p->turn.wall_ms += STEP_US / 1000;
    size_t len = write_register(p, number, "", text);
    uint64_t spent = handle_text(p, number, text, len);
    static const char mark[] = "nonce=\"";
    const char *at = strstr(p->answer, mark);
    size_t nonce_len = at == NULL ? 0 : strcspn(at + strlen(mark), "\"");
    memset(nonce, 0, sizeof(nonce));
    if (nonce_len < sizeof(nonce) && nonce_len > 0) {
        memcpy(nonce, at + strlen(mark), nonce_len);
    }
    if (strncmp(p->answer, "SIP/2.0 401", 11) != 0 || nonce[0] == 0) {
        complain(p, "not challenged");
        return spent;
    }
    hex_of(p, "REGISTER:sip:" LOOKUP_OVERLAY, ha2);
    (void)snprintf(input, sizeof(input), "%s:%s:00000001:c:auth:%s", p->accounts[number].ha1_md5,
                   nonce, ha2);
    hex_of(p, input, response);
    (void)snprintf(more, sizeof(more),
                   "Authorization: Digest username=\"user%u\", realm=\"" LOOKUP_OVERLAY
                   "\", nonce=\"%s\", uri=\"sip:" LOOKUP_OVERLAY
                   "\", response=\"%s\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n",
                   number, nonce, response);
    len = write_register(p, number, more, text);
    spent += handle_text(p, number, text, len);
    if (strncmp(p->answer, "SIP/2.0 200", 11) != 0) {
        complain(p, "not registered");
    }
    return spent;
}

static void say(bool json, const char *work, uint32_t registrations, double ns)
{
    if (json) {
        printf("{\"work\": \"%s\", \"ns_per_op\": %.1f, \"registrations\": %u}\n", work, ns,
               registrations);
    } else {
        printf("%-20s %7u registrations %9.1f ns\n", work, registrations, ns);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool measure(bool json, uint32_t count)
{
    static uint64_t ns[REFRESHES];
    struct phones *p = make(count);
    struct rng rng;
    rng_init(&rng, 9);
    uint32_t timed = 0;
    for (uint32_t i = 0; i < count && p->wrong == 0; i++) {
        uint64_t spent = do_register(p, i);
        if (i + SAMPLE >= count) {
            ns[timed++] = spent;
        }
    }
    qsort(ns, timed, sizeof(ns[0]), compare);
    double first = (double)ns[timed / 2];
    for (uint32_t i = 0; i < REFRESHES && p->wrong == 0; i++) {
        ns[i] = do_register(p, (uint32_t)rng_below(&rng, count));
    }
    qsort(ns, REFRESHES, sizeof(ns[0]), compare);
    struct sip_status status;
    sip_status(node_sip(p->node), &status);
    if (status.accounts_registered != count) {
        complain(p, "phones that are not registered at the end");
    }
    bool is_right = p->wrong == 0;
    if (is_right) {
        say(json, "register/first", count, first);
        say(json, "register/refresh", count, (double)ns[REFRESHES / 2]);
    }
    destroy(p);
    return is_right;
}

int main(int argc, char **argv)
{
    bool json = false;
    unsigned long up_to = LARGEST;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--up-to") == 0) {
            up_to = strtoul(argv[++i], NULL, 10);
        } else {
            (void)fprintf(stderr, "usage: register [--json] [--up-to N]\n");
            return 2;
        }
    }
    bool is_right = true;
    for (uint32_t count = 1000; count <= up_to && count <= LARGEST; count *= 10) {
        is_right = measure(json, count) && is_right;
    }
    return is_right ? 0 : 1;
}
