/* SPDX-License-Identifier: Apache-2.0 */
/* phones.c - many phones that register at one node over UDP, then all renew at once.
 *
 *     phones --port N --accounts FILE --domain D [--at-once N] [--window S] [--patience S]
 *
 * FILE is that of `chordial ca issue --accounts`.  Phone i has the address 127.x.y.z of its own
 * (IP_PKTINFO on one socket: no limit of descriptors stands in the way) and does what RFC 3261
 * 17.1.2 and 20.33 ask: it repeats after 0.5, 1, 2, 4, 4 ... s, answers a challenge, and comes back
 * after the Retry-After of a 503.
 *
 * First all register, `at-once` of them under way; then each renews at a moment of its own within
 * `window` seconds.  Printed per phase: how many got their 200, when the last did, how long a phone
 * waited, and every other status.  Exit status 1 when a phone was left without a 200. */
#include "bench/floor_run.h"
#include "cmd/load_digest.h"
#include "codec/sip_parser.h"
#include "core/os/host.h"
#include "core/rng.h"
#include "link/crypto_boring.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NAME_CAP = 64,
    MESSAGE_CAP = 2048,
    BATCH = 64,
    EACH_MS = 10,   /* a first registration may take that long of the node */
    FIRST_MS = 500, /* T1 */
    MOST_MS = 4000, /* T2 */
    EXPIRES_S = 3600,
    STATUSES = 700,
    SLOT_MS = 10,
    SLOTS = 8192, /* 82 s ahead; what is due later is looked at on the way */
    SOCKET_BYTES = 32 << 20,
};

struct phone {
    char name[NAME_CAP];
    char password[NAME_CAP];
    struct load_digest digest;
    struct phone *next; /* in its slot of the wheel */
    uint64_t due_ms;
    uint64_t begun_ms;
    uint32_t wait_ms; /* to the next repetition */
    uint32_t cseq;
    bool is_waiting; /* a request is out */
    bool is_done;    /* its 200 has come */
};

struct storm {
    int fd;
    struct sockaddr_in server;
    const char *domain;
    struct phone *phones;
    uint32_t count, done;
    uint32_t at_once;   /* first registrations under way */
    uint32_t *waits_ms; /* of those done */
    uint64_t statuses[STATUSES];
    uint64_t sent, repeated, not_sent;
    uint64_t start_ms, last_ms, slot;
    struct phone *wheel[SLOTS];
    struct rng rng;
    struct sip_parser parser;
};

static uint64_t now_ms(void)
{
    return host_now_us() / 1000;
}

static void schedule(struct storm *s, struct phone *p, uint64_t at_ms)
{
    uint64_t slot = max_u64(at_ms / SLOT_MS, s->slot + 1);
    p->due_ms = at_ms;
    p->next = s->wheel[slot % SLOTS];
    s->wheel[slot % SLOTS] = p;
}

/* ---- saying ---- */

static bool send_from(struct storm *s, uint32_t index, const char *text, size_t len)
{
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = {0};
    struct in_pktinfo info = {.ipi_spec_dst.s_addr =
                                  htonl(127u << 24 | 1u << 16 | (index / 250) << 8 | index % 250)};
    struct iovec part = {(void *)(uintptr_t)text, len};
    struct msghdr message = {.msg_name = &s->server,
                             .msg_namelen = sizeof(s->server),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    control.head.cmsg_level = IPPROTO_IP;
    control.head.cmsg_type = IP_PKTINFO;
    control.head.cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
    return sendmsg(s->fd, &message, 0) == (ssize_t)len;
}

/* A repetition is made anew, to the same bytes (RFC 3261 17.1.2.2). */
static void say(struct storm *s, struct phone *p, bool is_repeated)
{
    char text[MESSAGE_CAP];
    char uri[NAME_CAP + 8];
    char line[LOAD_DIGEST_LINE_CAP] = "";
    uint32_t index = (uint32_t)(p - s->phones);
    (void)snprintf(uri, sizeof(uri), "sip:%s", s->domain);
    if (is_repeated && p->digest.is_known) {
        p->digest.count--;
    }
    p->cseq += is_repeated ? 0 : 1;
    if (p->digest.is_known) {
        (void)load_digest_line(&p->digest, crypto_boring(), p->name, "REGISTER", uri, line);
    }
    int len = snprintf(text, sizeof(text),
                       "REGISTER %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK%u-%u"
                       "\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=t%u\r\nTo: <sip:%s@%s>\r\n"
                       "Call-ID: phone%u\r\nCSeq: %u REGISTER\r\nContact: <sip:%s@127.0.0.1>;"
                       "expires=%d\r\n%sContent-Length: 0\r\n\r\n",
                       uri, index, p->cseq, p->name, s->domain, index, p->name, s->domain, index,
                       p->cseq, p->name, EXPIRES_S, line);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    bool is_sent = send_from(s, index, text, (size_t)len);
    s->sent += is_sent ? 1 : 0;
    s->not_sent += is_sent ? 0 : 1;
    p->is_waiting = true;
}

static void ask(struct storm *s, struct phone *p, uint64_t at_ms)
{
    say(s, p, false);
    p->wait_ms = FIRST_MS;
    schedule(s, p, at_ms + p->wait_ms);
}

/* What is due: a beginning, or a repetition. */
static void on_due(struct storm *s, struct phone *p, uint64_t at_ms)
{
    if (p->is_done) {
        return;
    }
    if (p->due_ms > at_ms) {
        schedule(s, p, p->due_ms);
        return;
    }
    if (!p->is_waiting) {
        p->begun_ms = p->begun_ms == 0 ? at_ms : p->begun_ms;
        ask(s, p, at_ms);
        return;
    }
    s->repeated++;
    say(s, p, true);
    p->wait_ms = (uint32_t)min_u64(2 * (uint64_t)p->wait_ms, MOST_MS);
    schedule(s, p, at_ms + p->wait_ms);
}

static void turn_wheel(struct storm *s)
{
    uint64_t at_ms = now_ms();
    for (uint64_t until = at_ms / SLOT_MS; s->slot < until; s->slot++) {
        struct phone *p = s->wheel[s->slot % SLOTS];
        s->wheel[s->slot % SLOTS] = NULL;
        while (p != NULL) {
            struct phone *next = p->next;
            on_due(s, p, at_ms);
            p = next;
        }
    }
}

/* ---- hearing ---- */

static uint32_t number_at(struct slice text, size_t *at)
{
    uint32_t value = 0;
    while (*at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9') {
        value = 10 * value + (uint32_t)(text.data[(*at)++] - '0');
    }
    return value;
}

/* Seconds of a Retry-After, at least one. */
static uint32_t patience_s(const struct sip_msg *m)
{
    size_t at = 0;
    return (uint32_t)max_u64(number_at(sip_msg_first(m, SIP_HDR_RETRY_AFTER), &at), 1);
}

static void on_answer(struct storm *s, struct phone *p, const struct sip_msg *m)
{
    uint64_t at_ms = now_ms();
    s->statuses[m->status % STATUSES]++;
    if (m->status == 200) {
        s->waits_ms[s->done++] = (uint32_t)(at_ms - p->begun_ms);
        p->is_done = true;
        s->last_ms = at_ms;
    } else if (m->status == 401 &&
               load_digest_learn(&p->digest, crypto_boring(), p->name, p->password, m)) {
        say(s, p, false); /* its repetition is on the wheel */
    } else {
        p->is_waiting = false; /* comes back, be it a 503 or what must not be */
        p->due_ms = at_ms + 1000u * patience_s(m);
    }
}

static void hear(struct storm *s, struct slice bytes)
{
    struct sip_msg_core core;
    struct sip_fault fault;
    sip_parser_init(&s->parser, false);
    if (sip_parser_datagram(&s->parser, bytes) != SIP_PARSE_OK ||
        s->parser.event != SIP_EVENT_MESSAGE ||
        sip_msg_check(&s->parser.msg, &core, &fault) != ERR_OK || s->parser.msg.status < 200) {
        return;
    }
    size_t at = 5; /* behind "phone" */
    uint32_t index = core.call_id.len > at ? number_at(core.call_id, &at) : s->count;
    struct phone *p = index < s->count ? &s->phones[index] : NULL;
    if (p != NULL && p->is_waiting && !p->is_done && core.cseq.number == p->cseq) {
        on_answer(s, p, &s->parser.msg);
    }
}

static void receive(struct storm *s)
{
    static uint8_t bytes[BATCH][MESSAGE_CAP];
    struct iovec parts[BATCH];
    struct mmsghdr heads[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = bytes[i], .iov_len = sizeof(bytes[i])};
        heads[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    int count;
    while ((count = recvmmsg(s->fd, heads, BATCH, MSG_DONTWAIT, NULL)) > 0) {
        for (int i = 0; i < count; i++) {
            hear(s, slice_of(bytes[i], heads[i].msg_len));
        }
    }
}

/* ---- a phase ---- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct storm *s, const char *phase)
{
    uint32_t middle = 0, late = 0;
    if (s->done > 0) {
        qsort(s->waits_ms, s->done, sizeof(s->waits_ms[0]), by_value);
        middle = s->waits_ms[s->done / 2];
        late = s->waits_ms[(size_t)s->done * 99 / 100];
    }
    (void)printf("%s.phones %u\n%s.done %u\n%s.last_s %.1f\n%s.wait_p50_ms %u\n"
                 "%s.wait_p99_ms %u\n%s.sent %llu\n%s.repeated %llu\n%s.not_sent %llu\n",
                 phase, s->count, phase, s->done, phase,
                 s->done > 0 ? (double)(s->last_ms - s->start_ms) / 1000 : 0.0, phase, middle,
                 phase, late, phase, (unsigned long long)s->sent, phase,
                 (unsigned long long)s->repeated, phase, (unsigned long long)s->not_sent);
    for (size_t i = 0; i < STATUSES; i++) {
        if (s->statuses[i] > 0) {
            (void)printf("%s.status_%zu %llu\n", phase, i, (unsigned long long)s->statuses[i]);
        }
    }
    (void)fflush(stdout);
}

/* Each phone begins somewhere in the window; without one, as soon as few enough are under way. */
static bool run(struct storm *s, const char *phase, uint64_t window_ms, uint64_t patience_ms)
{
    uint32_t begun = window_ms > 0 ? s->count : 0;
    struct pollfd poll_fd = {.fd = s->fd, .events = POLLIN};
    memset(s->statuses, 0, sizeof(s->statuses));
    memset(s->wheel, 0, sizeof(s->wheel));
    s->done = 0;
    s->sent = s->repeated = s->not_sent = 0;
    s->start_ms = now_ms();
    s->slot = s->start_ms / SLOT_MS;
    for (uint32_t i = 0; i < s->count; i++) {
        struct phone *p = &s->phones[i];
        p->is_done = p->is_waiting = false;
        p->begun_ms = 0;
        if (window_ms > 0) {
            schedule(s, p, s->start_ms + rng_below(&s->rng, window_ms));
        }
    }
    while (s->done < s->count && now_ms() < s->start_ms + patience_ms) {
        while (begun < s->count && begun - s->done < s->at_once) {
            schedule(s, &s->phones[begun++], now_ms());
        }
        turn_wheel(s);
        (void)poll(&poll_fd, 1, 5);
        receive(s);
    }
    report(s, phase);
    return s->done == s->count;
}

/* ---- before ---- */

/* "NAME@DOMAIN PASSWORD" */
static bool read_account(char *line, struct phone *p)
{
    char *rest = line;
    const char *name = strsep(&rest, "@");
    const char *domain = strsep(&rest, " ");
    const char *password = strsep(&rest, "\r\n");
    memset(p, 0, sizeof(*p));
    if (domain == NULL || password == NULL || strlen(name) >= NAME_CAP ||
        strlen(password) >= NAME_CAP) {
        return false;
    }
    memcpy(p->name, name, strlen(name));
    memcpy(p->password, password, strlen(password));
    return true;
}

static uint32_t read_accounts(struct storm *s, const char *path)
{
    char line[4 * NAME_CAP];
    uint32_t cap = 0;
    uint32_t count = 0;
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (count == cap) {
            cap = cap == 0 ? 1024 : 2 * cap;
            s->phones = realloc(s->phones, cap * sizeof(s->phones[0]));
            CHECK(s->phones != NULL);
        }
        count += read_account(line, &s->phones[count]) ? 1 : 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return count;
}

static bool open_socket(struct storm *s, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int bytes = SOCKET_BYTES;
    s->server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    s->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&any, sizeof(any)) != 0) {
        return false;
    }
    /* as root beyond the usual bound: the phones' own loss is not what is measured */
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    return true;
}

struct wish {
    const char *accounts;
    uint64_t port, window_s, patience_s;
};

static struct wish parse(struct storm *s, int argc, char **argv)
{
    static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                          {"accounts", required_argument, NULL, 'a'},
                                          {"domain", required_argument, NULL, 'd'},
                                          {"at-once", required_argument, NULL, 'n'},
                                          {"window", required_argument, NULL, 'w'},
                                          {"patience", required_argument, NULL, 't'},
                                          {0}};
    struct wish w = {.window_s = 60, .patience_s = 120};
    for (int c = 0; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        floor_run_require(c != '?', "wrong usage: see the head of bench/phones.c");
        if (c == 'a') {
            w.accounts = optarg;
        } else if (c == 'd') {
            s->domain = optarg;
        } else if (c == 'p') {
            w.port = floor_run_number(optarg, 1, 65535);
        } else if (c == 'n') {
            s->at_once = (uint32_t)floor_run_number(optarg, 1, 100000);
        } else if (c == 'w') {
            w.window_s = floor_run_number(optarg, 1, SLOTS * SLOT_MS / 1000);
        } else if (c == 't') {
            w.patience_s = floor_run_number(optarg, 1, 3600);
        }
    }
    floor_run_require(w.accounts != NULL && s->domain != NULL && w.port != 0,
                      "--port, --accounts and --domain");
    return w;
}

int main(int argc, char **argv)
{
    static struct storm s = {.at_once = 256};
    struct wish w = parse(&s, argc, argv);
    s.count = read_accounts(&s, w.accounts);
    s.waits_ms = calloc(s.count + 1, sizeof(s.waits_ms[0]));
    rng_init(&s.rng, 1);
    floor_run_require(s.count > 0 && s.waits_ms != NULL, "no accounts in that file");
    floor_run_require(open_socket(&s, (uint16_t)w.port), "no socket");
    uint64_t first_ms = (uint64_t)s.count * EACH_MS;
    bool is_good = run(&s, "register", 0, first_ms + 1000 * w.patience_s);
    if (is_good) { /* whoever is to be asked about the node may do so now */
        (void)printf("registered\n");
        (void)fflush(stdout);
        (void)getchar();
        is_good = run(&s, "refresh", w.window_s * 1000, w.patience_s * 1000);
    }
    return is_good ? 0 : 1;
}
