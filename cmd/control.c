/* SPDX-License-Identifier: Apache-2.0 */
/* One poll(2) loop that never blocks elsewhere.  The end is a small state machine:
 *
 *   RUNNING -> LEAVING (shard `leaving` has been told to stop, from the last to the first) -> ENDED
 */
#include "cmd/control.h"
#include "cmd/admin_socket.h"
#include "cmd/cmd.h"
#include "cmd/control_document.h"
#include "cmd/control_metrics.h"
#include "cmd/control_tls.h"
#include "cmd/jot.h"
#include "cmd/resolver.h"
#include "core/os/host.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    EXTRA_US = 10 * 1000 * 1000, /* for leaving, behind drain-timeout */
    POLLS_OWN = 4,
};

enum phase { RUNNING, LEAVING, ENDED };

struct control {
    struct daemon *daemon;
    struct control_document document;
    struct control_tls tls;
    struct control_metrics metrics;
    struct admin_socket socket;
    struct admin_socket_host host;
    struct resolver *resolver; /* NULL: no other domains */
    int signals;
    uint64_t started_us;
    enum phase phase;
    uint32_t leaving;     /* the shard that was told to stop */
    bool is_told;         /* ... successfully */
    uint64_t deadline_us; /* of draining */
    bool ready[OVERLAY_SHARDS_CAP];
    bool said_ready;
};

void control_block_signals(void)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(sigaction(SIGPIPE, &ignore, NULL) == 0);
    CHECK(sigaction(SIGXFSZ, &ignore, NULL) == 0); /* a database that may not grow is an error */
}

static enum err mail(struct control *c, uint32_t shard, uint64_t tag, const struct admin_request *r)
{
    return shard_control_send(c->daemon->group, shard, IO_MAIL_CONTROL, tag,
                              slice_of(r, sizeof(*r)));
}

/* ---- the end
 * ------------------------------------------------------------------------------------- */

/* Tells shard `leaving` to stop; tried again at the next tick when its mailbox is full. */
static void tell_to_stop(struct control *c)
{
    uint64_t now_us = host_now_us();
    struct admin_request r = {.verb = ADMIN_STOP};
    r.number = c->deadline_us > now_us ? c->deadline_us - now_us : 0;
    c->is_told = mail(c, c->leaving, 0, &r) == ERR_OK;
}

static void shut_down(void *context)
{
    struct control *c = context;
    struct admin_request r = {.verb = ADMIN_DRAIN};
    if (c->phase != RUNNING) {
        return;
    }
    uint64_t drain_us = (uint64_t)c->daemon->setup->config.drain_timeout_s * 1000000;
    say_line("draining: new calls are refused, peers leave one after another, at most %u s",
             c->daemon->setup->config.drain_timeout_s);
    for (uint32_t i = 0; i < c->daemon->count; i++) {
        enum err e = mail(c, i, 0, &r);
        (void)e; /* ADMIN_STOP drains too */
    }
    c->phase = LEAVING;
    c->metrics.is_draining = true;
    c->deadline_us = host_now_us() + drain_us;
    c->leaving = c->daemon->count - 1;
    tell_to_stop(c);
}

static void on_stopped(struct control *c, uint32_t shard)
{
    struct admin_request r = {.verb = ADMIN_SIBLING_LEFT, .number = shard};
    say_line("peer %u has left", shard);
    for (uint32_t i = 0; i < shard; i++) {
        enum err e = mail(c, i, 0, &r);
        (void)e; /* then it finds out when its mails are not answered */
    }
    if (c->phase != LEAVING || shard != c->leaving) {
        return;
    }
    if (shard == 0) {
        c->phase = ENDED;
        return;
    }
    c->leaving = shard - 1;
    tell_to_stop(c);
}

static void tick(struct control *c, uint64_t now_us)
{
    control_document_tick(&c->document);
    control_tls_tick(&c->tls);
    if (c->phase != LEAVING) {
        return;
    }
    if (!c->is_told) {
        tell_to_stop(c);
    }
    if (now_us > c->deadline_us + EXTRA_US) {
        say_line("peers have not left in time: ending without them");
        c->phase = ENDED;
    }
}

/* The certificate for phones and the overlay document from their files; the others are read at
 * start only.  ERR_OK: both are in force. */
static enum err reload(struct control *c, char *why)
{
    bool must_leave = false;
    bool has_cert = sip_cert_is_wanted(&c->daemon->setup->config);
    enum err e = control_tls_reload(&c->tls, why);
    if (e == ERR_OK && (!has_cert || !control_document_is_in_force(&c->document))) {
        e = control_document_reload(&c->document, &must_leave, why);
    }
    control_metrics_on_reload(&c->metrics, e == ERR_OK);
    if (e != ERR_OK) {
        say_line("%s", why);
    }
    if (must_leave) {
        shut_down(c);
    }
    return e;
}

static void on_signal(struct control *c, uint32_t number)
{
    char why[SAY_WHY_CAP];
    if (number == SIGHUP) {
        reload(c, why);
        return;
    }
    if (c->phase != RUNNING) {
        say_line("second signal: ending at once");
        admin_socket_close(&c->socket);
        _exit(CMD_FAILED);
    }
    shut_down(c);
}

static void read_signals(struct control *c)
{
    struct signalfd_siginfo info;
    while (read(c->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        on_signal(c, info.ssi_signo);
    }
}

/* ---- mail
 * ---------------------------------------------------------------------------------------- */

static void say_if_ready(struct control *c)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < c->daemon->count; i++) {
        ready += c->ready[i] ? 1 : 0;
    }
    if (ready == c->daemon->count && !c->said_ready) {
        static const char line[] = "ready\n";
        ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
        (void)written;
    }
    c->said_ready = ready == c->daemon->count;
}

static void on_news(struct control *c, const struct io_event *event, uint64_t now_us)
{
    struct admin_answer news;
    CHECK(event->shard < c->daemon->count);
    memcpy(&news, event->data, sizeof(news));
    CHECK(event->data_len == sizeof(news) + news.len);
    if (news.verb == ADMIN_DOCUMENT) {
        struct slice bytes = slice_of(event->data + sizeof(news), news.len);
        if (control_document_on_mail(&c->document, event->shard, bytes)) {
            shut_down(c);
        }
        return;
    }
    if (news.verb == ADMIN_CONFIG_TAKEN) {
        control_document_on_taken(&c->document, event->shard);
        return;
    }
    if (news.verb == ADMIN_STOPPED) {
        on_stopped(c, event->shard);
        return;
    }
    c->ready[event->shard] = news.verb == ADMIN_READY;
    control_health_on_joined(&c->metrics.health, event->shard, c->ready[event->shard], now_us);
    if (c->phase == RUNNING) {
        say_line("peer %u %s", event->shard,
                 news.verb == ADMIN_READY ? "has joined" : "has lost the overlay, rejoining");
        say_if_ready(c);
    }
}

/* What a name server has said, to the shard that has asked. */
static void carry_answer(void *context, uint32_t shard, uint64_t tag, struct slice bytes)
{
    struct control *c = context;
    enum err e = shard_control_send(c->daemon->group, shard, IO_MAIL_DNS, tag, bytes);
    (void)e; /* its mailbox is full: the request gives up by itself */
}

static void take_mail(struct control *c, uint64_t now_us)
{
    struct io_event event;
    while (shard_control_take(c->daemon->group, &event)) {
        if (event.mail == IO_MAIL_DNS && c->resolver != NULL) {
            resolver_ask(c->resolver, event.shard, event.tag, slice_of(event.data, event.data_len));
            continue;
        }
        if (event.mail != IO_MAIL_CONTROL || event.data_len < sizeof(struct admin_answer)) {
            continue;
        }
        if (event.tag == 0) {
            on_news(c, &event, now_us);
        } else if (!control_metrics_on_answer(&c->metrics, &event, now_us)) {
            admin_socket_on_answer(&c->socket, &event, now_us);
        }
    }
}

/* What has become of records, to the shards that they are of. */
static void carry_news(struct control *c)
{
    uint32_t shard = 0;
    struct persist_news news;
    while (c->daemon->persist != NULL && persist_thread_news(c->daemon->persist, &shard, &news)) {
        if (shard_control_send(c->daemon->group, shard, IO_MAIL_PERSIST, 0,
                               slice_of(&news, sizeof(news))) != ERR_OK) {
            persist_thread_again(c->daemon->persist, shard); /* with the next tick, or the next */
            return;
        }
    }
}

/* ---- what the admin socket asks of us
 * ------------------------------------------------------------ */

static enum err host_send(void *context, uint32_t shard, uint64_t tag,
                          const struct admin_request *r)
{
    return mail(context, shard, tag, r);
}

static void describe_persistence(struct control *c, struct jot *j)
{
    struct persist_thread_status s;
    if (c->daemon->persist == NULL) {
        jot_add(j, "\"persistence\":null,");
        return;
    }
    persist_thread_status(c->daemon->persist, &s);
    jot_add(j,
            "\"persistence\":{\"well\":%s,\"records\":%" PRIu64 ",\"bytes\":%" PRIu64
            ",\"max_bytes\":%" PRIu64 ",\"commits\":%" PRIu64 ",\"commit_max_us\":%" PRIu64
            ",\"failures\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"set_aside\":%" PRIu64
            ",\"problem\":",
            s.is_well ? "true" : "false", s.db.records, s.db.bytes, s.db.map_bytes, s.commits,
            s.commit_us_max, s.failures, s.db.broken, s.db.set_aside);
    jot_string(j, slice_text(s.problem));
    jot_add(j, "},");
}

static void describe_status(struct control *c, struct jot *j)
{
    const struct setup *setup = c->daemon->setup;
    uint64_t uptime_us = host_now_us() - c->started_us;
    bool is_ready = c->phase == RUNNING && c->said_ready;
    jot_add(j, "\"overlay\":");
    jot_string(j, slice_text(setup->doc.config.name));
    jot_add(j, ",\"host\":");
    jot_string(j, slice_text(setup->peers[0].ident.user));
    jot_add(j,
            ",\"pid\":%ld,\"uptime_s\":%" PRIu64 ",\"ready\":%s,\"draining\":%s,\"accounts\":%zu,"
            "\"backend\":",
            (long)getpid(), uptime_us / 1000000, is_ready ? "true" : "false",
            c->phase == RUNNING ? "false" : "true", setup->account_count);
    jot_string(j, slice_text(shard_backend_text(c->daemon->shards[0].shard)));
    jot_add(j, ",");
    control_document_describe(&c->document, j);
    control_tls_describe(&c->tls, j);
    describe_persistence(c, j);
}

static void describe_reload(struct control *c, struct jot *j)
{
    char why[SAY_WHY_CAP] = "";
    enum err e = reload(c, why);
    jot_add(j, "{\"reloaded\":%s,", e == ERR_OK ? "true" : "false");
    control_document_describe(&c->document, j);
    jot_add(j, "\"why\":");
    jot_string(j, slice_text(why));
    jot_add(j, "}");
}

static size_t host_describe(void *context, enum admin_verb verb, char *out, size_t cap)
{
    struct control *c = context;
    struct jot j = jot_init(out, cap);
    if (verb == ADMIN_METRICS) {
        control_metrics_describe(&c->metrics, &j);
    } else if (verb == ADMIN_HISTOGRAMS) {
        control_metrics_describe_histograms(&c->metrics, &j);
    } else if (verb == ADMIN_HEALTH) {
        control_metrics_describe_health(&c->metrics, &j);
    } else if (verb == ADMIN_RELOAD) {
        describe_reload(c, &j);
    } else {
        describe_status(c, &j);
    }
    return j.len;
}

/* ---- the loop
 * ------------------------------------------------------------------------------------ */

static enum err open_all(struct control *c, char *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (c->signals < 0) {
        return say_why(why, ERR_IO, "cannot take signals: signalfd: %s", say_errno());
    }
    c->host = (struct admin_socket_host){.context = c,
                                         .shards = c->daemon->count,
                                         .send = host_send,
                                         .describe = host_describe,
                                         .shut_down = shut_down};
    return admin_socket_open(&c->socket, c->daemon->setup->config.control_socket, &c->host, why);
}

static void loop(struct control *c)
{
    struct pollfd polls[POLLS_OWN + ADMIN_SOCKET_POLLS + RESOLVER_POLLS];
    while (c->phase != ENDED) {
        polls[0] = (struct pollfd){.fd = c->signals, .events = POLLIN};
        polls[1] =
            (struct pollfd){.fd = shard_control_descriptor(c->daemon->group), .events = POLLIN};
        polls[2] = (struct pollfd){.fd = -1};
        if (c->daemon->persist != NULL) {
            polls[2] = (struct pollfd){.fd = persist_thread_descriptor(c->daemon->persist),
                                       .events = POLLIN};
        }
        size_t count = admin_socket_polls(&c->socket, polls + POLLS_OWN);
        struct pollfd *names = polls + POLLS_OWN + count;
        int timeout_ms = TICK_MS;
        polls[3] = control_metrics_poll(&c->metrics, &timeout_ms);
        size_t name_count =
            c->resolver == NULL ? 0 : resolver_polls(c->resolver, names, &timeout_ms);
        int found = poll(polls, POLLS_OWN + count + name_count, timeout_ms);
        CHECK(found >= 0 || errno == EINTR);
        uint64_t now_us = host_now_us();
        if (found < 0) {
            continue;
        }
        if (polls[0].revents != 0) {
            read_signals(c);
        }
        take_mail(c, now_us);
        if (c->resolver != NULL) {
            resolver_work(c->resolver, names, name_count);
        }
        carry_news(c);
        admin_socket_work(&c->socket, polls + POLLS_OWN, count, now_us);
        control_metrics_work(&c->metrics, now_us);
        tick(c, now_us);
    }
}

int control_run(struct daemon *d)
{
    char why[SAY_WHY_CAP];
    struct control *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        say_error("no memory: control thread: free some");
        return CMD_FAILED;
    }
    c->daemon = d;
    c->socket.fd = -1;
    c->signals = -1;
    c->started_us = host_now_us();
    control_tls_open(&c->tls, d);
    enum err e = control_document_open(&c->document, d, why);
    if (e == ERR_OK) {
        e = open_all(c, why);
    }
    if (e == ERR_OK) {
        e = control_metrics_open(&c->metrics, d, &c->document.keep, &c->tls.ends_ms, why);
    }
    if (e == ERR_OK && d->setup->config.foreign) {
        e = resolver_open(&d->setup->config, carry_answer, c, &c->resolver, why);
    }
    if (e == ERR_OK) {
        e = daemon_start(d, why);
    }
    if (e == ERR_OK) {
        loop(c);
        say_line("ended");
    } else {
        say_error("%s", why);
    }
    admin_socket_close(&c->socket);
    control_metrics_close(&c->metrics);
    control_document_close(&c->document);
    control_tls_close(&c->tls);
    resolver_close(c->resolver);
    if (c->signals >= 0) {
        close(c->signals);
    }
    free(c);
    return e == ERR_OK ? CMD_OK : CMD_FAILED;
}
