/* SPDX-License-Identifier: Apache-2.0 */
/* rival_sip.c - loads a SIP server over UDP as phones would, and divides what the server's
 * processes have used of a processor by what they have done.
 *
 *     rival_sip --kind options|register|forward|call --port N --server-pid P [--server-pid P ...]
 *               [--outstanding N] [--users N] [--host DOMAIN] [--ms N | --in-turn] [--awake]
 *               [--route ENTRIES --target URI --to AOR --uac-port N --uas-port N]
 *
 * A caller (UAC) and a callee (UAS) share this thread, on a processor that is not the server's.
 * What is to be said to a batch of messages leaves with one call, so that the server is what is
 * waited for.  Closed loop: each of `outstanding` slots begins anew when its transaction or call
 * has ended, so the server always has work and is never flooded.  A slot that hears nothing for
 * half a second is counted as lost, one that is answered with something else than 200 as refused,
 * and both begin anew; more than one in a thousand are no measurement.
 *
 * options, register: one request, one 200.  forward: INVITE and its 200 through a stateless proxy;
 * an operation is a message into it.  call: INVITE 180 200 ACK BYE 200; an operation is a call.
 *
 * With --in-turn it sends while it is told to: a slice for each line of standard input, which is
 * its length in milliseconds, and a line about it when nothing of it is under way any more, as
 * `chordial load --in-turn` does; who asks reads what the server has used, and judges what failed.
 * With --awake it looks for answers without sleeping: whoever sleeps is woken by the server, in the
 * system call that sends.
 *
 * With --route the requests of `forward` are INFO of a dialog that somebody has set up from these
 * two ports (bench/rival_calls.py): a proxy of ours forwards nothing else statelessly. */
#include "bench/floor_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS_CAP = 256, PIDS_CAP = 64, MESSAGE_BYTES = 2048, BATCH = 64, OUT_BATCH = 2 * BATCH };
enum { PATIENCE_NS = 500000000, READY_MS = 10000, READY_STEP_MS = 100, SOCKET_BYTES = 4 << 20 };

enum kind { KIND_OPTIONS, KIND_REGISTER, KIND_FORWARD, KIND_CALL };

struct slot {
    uint64_t call; /* number of the transaction or call, 0 before the first */
    uint64_t since_ns;
    bool is_busy; /* under way */
};

/* What one of the two sockets is about to send. */
struct outbox {
    int fd;
    unsigned count;
    struct mmsghdr messages[OUT_BATCH];
    struct iovec parts[OUT_BATCH];
    char texts[OUT_BATCH][MESSAGE_BYTES];
};

struct load {
    enum kind kind;
    const char *host;
    const char *route; /* NULL: requests outside a dialog */
    const char *target;
    const char *to;
    struct outbox uac;
    struct outbox uas;
    unsigned uac_port;
    unsigned uas_port;
    struct sockaddr_in server;
    unsigned pids[PIDS_CAP];
    unsigned pid_count;
    struct slot slots[SLOTS_CAP];
    unsigned slot_count;
    unsigned users;
    uint64_t calls; /* begun */
    uint64_t done;
    uint64_t lost;
    uint64_t refused;     /* answered with something else than 200 */
    unsigned last_status; /* of what was refused; 0 if nothing was */
    uint64_t heard;       /* datagrams */
    bool is_ending;       /* begins nothing new */
    bool is_awake;
    bool is_in_turn;
};

static const char sdp[] = "v=0\r\no=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\ns=-\r\n"
                          "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0 8 9 101\r\n"
                          "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
                          "a=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
                          "a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

/* ---- writing ---- */

struct text {
    char *start;
    size_t len;
};

static void put_bytes(struct text *t, const char *bytes, size_t len)
{
    floor_run_require(len < MESSAGE_BYTES - t->len, "a message that is too long");
    memcpy(t->start + t->len, bytes, len);
    t->len += len;
}

static void put(struct text *t, const char *words)
{
    put_bytes(t, words, strlen(words));
}

static void put_number(struct text *t, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_bytes(t, digits + at, sizeof(digits) - at);
}

/* Hands over what has been gathered; the server is not to be flooded, so all of it has room. */
static void flush(struct outbox *o)
{
    for (unsigned sent = 0; sent < o->count;) {
        int took = sendmmsg(o->fd, o->messages + sent, o->count - sent, 0);
        floor_run_require(took > 0 || errno == ECONNREFUSED, "sendmmsg failed");
        sent += took > 0 ? (unsigned)took : 1;
    }
    o->count = 0;
}

static struct text begin_text(struct outbox *o)
{
    if (o->count == OUT_BATCH) {
        flush(o);
    }
    return (struct text){.start = o->texts[o->count]};
}

static void end_text(const struct load *l, struct outbox *o, const struct text *t)
{
    o->parts[o->count] = (struct iovec){t->start, t->len};
    o->messages[o->count].msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)&l->server,
                                                    .msg_namelen = sizeof(l->server),
                                                    .msg_iov = &o->parts[o->count],
                                                    .msg_iovlen = 1};
    o->count++;
}

/* ---- the caller ---- */

static void put_user(struct text *t, const struct load *l, uint64_t user)
{
    put(t, "sip:u");
    put_number(t, user);
    put(t, "@");
    put(t, l->host);
}

/* A call: the slot it has, or had, and its number. */
struct which {
    unsigned index;
    uint64_t call;
};

/* The Request-URI, and the headers up to From.  `of` is the method of the request whose branch it
 * is. */
static void put_head(struct text *t, const struct load *l, struct which which, const char *method,
                     const char *of)
{
    uint64_t user = which.call % l->users;
    bool has_callee = l->kind == KIND_FORWARD || l->kind == KIND_CALL;
    put(t, method);
    put(t, l->route != NULL ? " " : has_callee ? " sip:callee@127.0.0.1:" : " sip:");
    if (l->route != NULL) {
        put(t, l->target);
    } else if (has_callee) {
        put_number(t, l->uas_port);
    } else {
        put(t, l->host);
    }
    put(t, " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:");
    put_number(t, l->uac_port);
    put(t, ";branch=z9hG4bK-");
    put_number(t, which.index);
    put(t, "-");
    put_number(t, which.call);
    put(t, "-");
    put(t, of);
    put(t, l->route != NULL ? ";rport\r\nRoute: " : ";rport");
    put(t, l->route != NULL ? l->route : "");
    put(t, "\r\nMax-Forwards: 70\r\nFrom: \"Caller ");
    put_number(t, user);
    put(t, "\" <");
    put_user(t, l, user);
    put(t, ">;tag=f");
    put_number(t, which.call);
}

static void put_to(struct text *t, const struct load *l, uint64_t call)
{
    put(t, "\r\nTo: <");
    if (l->route != NULL) {
        put(t, "sip:");
        put(t, l->to);
    } else {
        put_user(t, l, call % l->users);
    }
}

static void put_id(struct text *t, struct which which, unsigned cseq, const char *method)
{
    put(t, "\r\nCall-ID: ");
    put_number(t, which.index);
    put(t, ".");
    put_number(t, which.call);
    put(t, ".rival@127.0.0.1\r\nCSeq: ");
    put_number(t, cseq);
    put(t, " ");
    put(t, method);
}

static void request(struct load *l, unsigned index, const char *method, unsigned cseq)
{
    uint64_t call = l->slots[index].call;
    bool is_invite = strcmp(method, "INVITE") == 0 || l->route != NULL;
    bool is_dialog = strcmp(method, "ACK") == 0 || strcmp(method, "BYE") == 0 || l->route != NULL;
    struct text t = begin_text(&l->uac);
    put_head(&t, l, (struct which){index, call}, method, method);
    put_to(&t, l, call);
    put(&t, is_dialog ? ">;tag=t" : ">");
    put_id(&t, (struct which){index, call}, cseq, method);
    put(&t, "\r\nContact: <sip:u");
    put_number(&t, call % l->users);
    put(&t, "@127.0.0.1:");
    put_number(&t, l->uac_port);
    put(&t, ";transport=udp>\r\nUser-Agent: rival_sip\r\n");
    put(&t, l->kind == KIND_REGISTER ? "Expires: 3600\r\n" : "");
    put(&t, is_invite ? "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY\r\n"
                        "Supported: replaces, timer\r\nContent-Type: application/sdp\r\n"
                      : "");
    put(&t, "Content-Length: ");
    put_number(&t, is_invite ? sizeof(sdp) - 1 : 0);
    put(&t, "\r\n\r\n");
    put(&t, is_invite ? sdp : "");
    end_text(l, &l->uac, &t);
}

static void begin(struct load *l, unsigned index, uint64_t now)
{
    static const char *const methods[] = {"OPTIONS", "REGISTER", "INVITE", "INVITE"};
    l->slots[index] = (struct slot){++l->calls, now, true};
    request(l, index, l->route != NULL ? "INFO" : methods[l->kind], 1);
}

static const char *find(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    return at != NULL ? at + strlen(what) : NULL;
}

/* The call that a response is for, which may have been given up. */
static struct which call_of(const struct load *l, const char *text)
{
    char *end = NULL;
    const char *id = find(text, "Call-ID: ");
    floor_run_require(id != NULL, "a message without our Call-ID");
    unsigned long number = strtoul(id, &end, 10);
    floor_run_require(*end == '.' && number < l->slot_count, "a message with a strange Call-ID");
    return (struct which){(unsigned)number, strtoull(end + 1, NULL, 10)};
}

/* The ACK for a final response to an INVITE that is no 2xx (RFC 3261 17.1.1.3): the branch is the
 * INVITE's, the To the response's. */
static void acknowledge(struct load *l, struct which which, const char *response)
{
    const char *to = find(response, "\r\nTo: ");
    struct text t = begin_text(&l->uac);
    put_head(&t, l, which, "ACK", "INVITE");
    put(&t, "\r\nTo: ");
    put_bytes(&t, to != NULL ? to : "", to != NULL ? strcspn(to, "\r") : 0);
    put_id(&t, which, 1, "ACK");
    put(&t, "\r\nContent-Length: 0\r\n\r\n");
    end_text(l, &l->uac, &t);
}

static void end(struct load *l, unsigned index, uint64_t now)
{
    l->slots[index].is_busy = false;
    if (!l->is_ending) {
        begin(l, index, now);
    }
}

/* One that comes again, and one of a call that has been given up, counts no more; but the server
 * repeats a refusal until it has its ACK. */
static void on_response(struct load *l, const char *text, uint64_t now)
{
    unsigned long status = strtoul(text + strlen("SIP/2.0 "), NULL, 10);
    const char *cseq = find(text, "CSeq: ");
    if (status < 200 || cseq == NULL) {
        return;
    }
    struct which which = call_of(l, text);
    const struct slot *s = &l->slots[which.index];
    if (status >= 300 && strncmp(cseq, "1 INVITE", 8) == 0) {
        acknowledge(l, which, text);
    }
    if (which.call != s->call || !s->is_busy) {
        return;
    }
    if (status != 200) {
        l->refused++;
        l->last_status = (unsigned)status;
    } else if (l->kind == KIND_CALL && strncmp(cseq, "1 ", 2) == 0) {
        request(l, which.index, "ACK", 1);
        request(l, which.index, "BYE", 2);
        return;
    } else {
        l->done++;
    }
    end(l, which.index, now);
}

/* ---- the callee ---- */

/* Answers as RFC 3261 8.2.6.2 says: what must be copied is copied. */
static void respond(struct load *l, const char *asked, const char *status, bool has_body)
{
    static const char *const copied[] = {
        "Via:", "From:", "To:", "Call-ID:", "CSeq:", "Record-Route:"};
    struct text t = begin_text(&l->uas);
    put(&t, "SIP/2.0 ");
    put(&t, status);
    put(&t, "\r\n");
    for (const char *line = strstr(asked, "\r\n"); line != NULL && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        size_t line_len = strcspn(line + 2, "\r");
        for (size_t i = 0; i < ARRAY_COUNT(copied); i++) {
            if (strncmp(line + 2, copied[i], strlen(copied[i])) == 0) {
                bool is_first = i == 2 && strstr(asked, ";tag=t\r\n") == NULL;
                put_bytes(&t, line + 2, line_len);
                put(&t, is_first ? ";tag=t\r\n" : "\r\n");
            }
        }
    }
    put(&t, "Contact: <sip:callee@127.0.0.1:");
    put_number(&t, l->uas_port);
    put(&t, has_body ? ">\r\nContent-Type: application/sdp\r\nContent-Length: "
                     : ">\r\nContent-Length: ");
    put_number(&t, has_body ? sizeof(sdp) - 1 : 0);
    put(&t, "\r\n\r\n");
    put(&t, has_body ? sdp : "");
    end_text(l, &l->uas, &t);
}

static void on_request(struct load *l, const char *text)
{
    if (strncmp(text, "INVITE ", 7) == 0) {
        if (l->kind == KIND_CALL) {
            respond(l, text, "180 Ringing", false);
        }
        respond(l, text, "200 OK", true);
    } else if (strncmp(text, "INFO ", 5) == 0) {
        respond(l, text, "200 OK", true);
    } else if (strncmp(text, "BYE ", 4) == 0) {
        respond(l, text, "200 OK", false);
    }
}

/* ---- the loop ---- */

/* Whatever waits at a socket. */
static bool receive(struct load *l, const struct outbox *from)
{
    static char bytes[BATCH][MESSAGE_BYTES];
    struct mmsghdr messages[BATCH];
    struct iovec iov[BATCH];
    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){bytes[i], MESSAGE_BYTES - 1};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(from->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    floor_run_require(got >= 0 || errno == EAGAIN || errno == ECONNREFUSED, "recvmmsg failed");
    uint64_t now = floor_run_wall_ns();
    for (int i = 0; i < got; i++) {
        bytes[i][messages[i].msg_len] = 0;
        l->heard++;
        if (strncmp(bytes[i], "SIP/2.0 ", 8) == 0) {
            on_response(l, bytes[i], now);
        } else {
            on_request(l, bytes[i]);
        }
    }
    flush(&l->uac);
    flush(&l->uas);
    return got > 0;
}

static void give_up_late(struct load *l, uint64_t now)
{
    for (unsigned i = 0; i < l->slot_count; i++) {
        if (l->slots[i].is_busy && now - l->slots[i].since_ns > PATIENCE_NS) {
            l->lost++;
            end(l, i, now);
        }
    }
    flush(&l->uac);
}

static void turn(struct load *l)
{
    bool has_worked = receive(l, &l->uac);
    has_worked = receive(l, &l->uas) || has_worked;
    if (!has_worked) {
        struct pollfd fds[] = {{.fd = l->uac.fd, .events = POLLIN},
                               {.fd = l->uas.fd, .events = POLLIN}};
        (void)poll(fds, 2, l->is_awake ? 0 : 20);
        give_up_late(l, floor_run_wall_ns());
    }
}

static void run_for(struct load *l, uint64_t ns)
{
    for (uint64_t start = floor_run_wall_ns(); floor_run_wall_ns() - start < ns;) {
        turn(l);
    }
}

static void begin_all(struct load *l)
{
    l->is_ending = false;
    for (unsigned i = 0; i < l->slot_count; i++) {
        begin(l, i, floor_run_wall_ns());
        if (i % BATCH == BATCH - 1) {
            flush(&l->uac);
        }
    }
    flush(&l->uac);
}

static void end_all(struct load *l)
{
    l->is_ending = true;
    for (unsigned i = 0; i < l->slot_count;) {
        if (l->slots[i].is_busy) {
            turn(l);
        } else {
            i++;
        }
    }
}

static void run_in_turn(struct load *l, unsigned ops_each)
{
    char line[32];
    printf("{\"ready\": true}\n");
    while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t done = l->done;
        uint64_t lost = l->lost;
        uint64_t refused = l->refused;
        line[strcspn(line, "\n")] = 0;
        begin_all(l);
        run_for(l, floor_run_number(line, 1, 60000) * 1000000);
        end_all(l);
        lost = l->lost - lost;
        refused = l->refused - refused;
        printf("{\"done\": %llu, \"failed\": %llu, \"refused\": %llu, \"last_status\": %u}\n",
               (unsigned long long)(l->done - done) * ops_each,
               (unsigned long long)(lost + refused), (unsigned long long)refused, l->last_status);
    }
}

/* The first answer: a server that has just been started needs its time. */
static void wait_ready(struct load *l)
{
    for (unsigned ms = 0; l->heard == 0 && ms < READY_MS; ms += READY_STEP_MS) {
        struct pollfd fd = {.fd = l->uac.fd, .events = POLLIN};
        begin(l, 0, floor_run_wall_ns());
        flush(&l->uac);
        (void)poll(&fd, 1, READY_STEP_MS);
        if ((fd.revents & POLLERR) != 0) { /* nobody there yet: the poll did not wait */
            char byte;
            (void)recv(l->uac.fd, &byte, 1, MSG_DONTWAIT);
            (void)usleep(READY_STEP_MS * 1000);
            continue;
        }
        (void)receive(l, &l->uac);
        (void)receive(l, &l->uas);
    }
    floor_run_require(l->heard > 0, "the server does not answer");
}

static uint64_t server_ns(const struct load *l)
{
    uint64_t ns = 0;
    for (unsigned i = 0; i < l->pid_count; i++) {
        ns += floor_run_process_ns(l->pids[i]);
    }
    return ns;
}

static int open_socket(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)*port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int bytes = SOCKET_BYTES;
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    floor_run_require(fd >= 0 && bind(fd, (const void *)&at, sizeof(at)) == 0 &&
                          getsockname(fd, (void *)&at, &len) == 0,
                      "no socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    *port = ntohs(at.sin_port);
    return fd;
}

static enum kind kind_named(const char *name)
{
    static const char *const names[] = {"options", "register", "forward", "call"};
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum kind)i;
        }
    }
    floor_run_require(false, "--kind is options, register, forward or call");
    return KIND_OPTIONS;
}

static void parse(struct load *l, int argc, char **argv, uint64_t *ms)
{
    static const struct option options[] = {
        {"kind", required_argument, NULL, 'k'},
        {"port", required_argument, NULL, 'p'},
        {"server-pid", required_argument, NULL, 'P'},
        {"outstanding", required_argument, NULL, 'o'},
        {"users", required_argument, NULL, 'u'},
        {"host", required_argument, NULL, 'h'},
        {"ms", required_argument, NULL, 'm'},
        {"route", required_argument, NULL, 'r'},
        {"target", required_argument, NULL, 't'},
        {"to", required_argument, NULL, 'T'},
        {"uac-port", required_argument, NULL, 'c'},
        {"uas-port", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"in-turn", no_argument, NULL, 'i'},
        {"awake", no_argument, NULL, 'a'},
        {0},
    };
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        floor_run_require(c != '?', "wrong usage: see the head of bench/rival_sip.c");
        if (c == 'k') {
            l->kind = kind_named(optarg);
        } else if (c == 'p') {
            l->server.sin_port = htons((uint16_t)floor_run_number(optarg, 1, 65535));
        } else if (c == 'P') {
            floor_run_require(l->pid_count < PIDS_CAP, "too many processes");
            l->pids[l->pid_count++] = (unsigned)floor_run_number(optarg, 1, UINT32_MAX);
        } else if (c == 'o') {
            l->slot_count = (unsigned)floor_run_number(optarg, 1, SLOTS_CAP);
        } else if (c == 'u') {
            l->users = (unsigned)floor_run_number(optarg, 1, 10000000);
        } else if (c == 'h') {
            l->host = optarg;
        } else if (c == 'm') {
            *ms = floor_run_number(optarg, 10, 60000);
        } else if (c == 'i' || c == 'a') {
            *(c == 'i' ? &l->is_in_turn : &l->is_awake) = true;
        } else if (c == 'c' || c == 's') {
            *(c == 'c' ? &l->uac_port : &l->uas_port) =
                (unsigned)floor_run_number(optarg, 1, 65535);
        } else if (c == 'r' || c == 't' || c == 'T') {
            *(c == 'r' ? &l->route : c == 't' ? &l->target : &l->to) = optarg;
        }
    }
    floor_run_require((l->route != NULL) == (l->target != NULL && l->to != NULL) &&
                          (l->route == NULL || l->kind == KIND_FORWARD),
                      "--route goes with --target, --to and --kind forward");
    floor_run_require(l->server.sin_port != 0 && (l->pid_count > 0 || l->is_in_turn),
                      "--port and --server-pid");
}

int main(int argc, char **argv)
{
    static const char *const works[] = {"sip_options", "sip_register", "sip_forward", "sip_call"};
    static const unsigned ops_each[] = {1, 1, 2, 1};
    static struct load l;
    l = (struct load){.host = "127.0.0.1",
                      .slot_count = 64,
                      .users = 10000,
                      .is_ending = true,
                      .server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    uint64_t ms = 1000;
    parse(&l, argc, argv, &ms);
    floor_run_pin(FLOOR_RUN_LOAD_CPU);
    l.uac.fd = open_socket(&l.uac_port);
    l.uas.fd = open_socket(&l.uas_port);
    wait_ready(&l);
    if (l.is_in_turn) {
        run_in_turn(&l, ops_each[l.kind]);
        return 0;
    }
    begin_all(&l);
    run_for(&l, ms * 1000000 / 4);
    struct floor_run_result r = {.lost = l.lost + l.refused};
    uint64_t done = l.done;
    uint64_t wall = floor_run_wall_ns();
    uint64_t softirq = floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU);
    uint64_t cpu = server_ns(&l);
    run_for(&l, ms * 1000000);
    r.cpu_ns = server_ns(&l) - cpu + floor_run_softirq_ns(FLOOR_RUN_SERVER_CPU) - softirq;
    r.wall_ns = floor_run_wall_ns() - wall;
    r.ops = (l.done - done) * ops_each[l.kind];
    r.lost = l.lost + l.refused - r.lost;
    floor_run_require(r.cpu_ns > 0, "the server's processes are gone");
    floor_run_require(r.lost <= r.ops / 1000, "more than one in a thousand was lost or refused");
    floor_run_print(works[l.kind], &r);
    return 0;
}
