/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/daemon.h"
#include "core/os/host.h"
#include "link/crypto_boring.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXPIRES_DEFAULT_S = 3600, EXPIRES_MIN_S = 60, EXPIRES_MAX_S = 7200, LINE_CAP = 1024 };

/* ---- what the shards call
 * ------------------------------------------------------------------------ */

/* One write, so that lines of several threads do not mix; what is too long is cut. */
static void write_line(int fd, const char *text, size_t len)
{
    char line[LINE_CAP];
    len = min_size(len, sizeof(line) - 1);
    memcpy(line, text, len);
    line[len] = '\n';
    ssize_t written = write(fd, line, len + 1);
    (void)written; /* there is nobody to tell */
}

static void on_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    (void)level;
    write_line(STDERR_FILENO, line, len);
}

static void on_keylog(void *user, const char *line)
{
    const struct daemon *d = user;
    write_line(d->keylog, line, strlen(line));
}

static void on_event(void *context, struct turn *t, struct io_event *event)
{
    struct daemon_shard *s = context;
    if (event->kind == IO_MAIL && event->mail == IO_MAIL_CONTROL &&
        event->shard == IO_SHARD_CONTROL) {
        admin_shard_on_mail(t, &s->admin, event);
        return;
    }
    node_on_event(t, s->node, event);
}

static void on_timers(void *context, struct turn *t)
{
    struct daemon_shard *s = context;
    node_on_timers(t, s->node);
}

static bool on_flush(void *context, struct turn *t)
{
    struct daemon_shard *s = context;
    bool has_work = node_on_flush(t, s->node);
    admin_shard_flush(t, &s->admin);
    return has_work;
}

static void *run_shard(void *context)
{
    static const struct shard_handler handler = {on_event, on_timers, on_flush};
    struct daemon_shard *s = context;
    shard_run(s->shard, &handler, s);
    crypto_boring_end_thread();
    return NULL;
}

/* ---- sockets
 * ------------------------------------------------------------------------------------- */

static struct address at_port(const struct address *base, uint32_t port)
{
    struct address a = *base;
    if (a.family != 0) {
        a.port = (uint16_t)port;
    }
    return a;
}

static void fill_shard_config(const struct daemon *d, uint32_t i, struct shard_config *out)
{
    const struct config *c = &d->setup->config;
    bool is_whole_machine = d->count == host_cpu_count();
    bool is_shared = d->count > 1;
    *out = (struct shard_config){
        .backend = c->backend,
        .busy_poll_us = c->busy_poll_us,
        .is_busy_poll_adaptive = c->is_busy_poll_adaptive,
        .cpu = is_whole_machine ? (int)i : SHARD_NO_CPU,
        .limits = c->limits,
        .crypto = crypto_boring(),
        .sink = on_log,
        .log_level = c->log_level,
    };
    out->listeners[IO_LISTEN_OVERLAY].address = at_port(&c->overlay, c->overlay.port + i);
    out->listeners[IO_LISTEN_OVERLAY_SIP].address = at_port(&c->overlay, c->overlay_sip_port + i);
    if (d->setup->doc.config.links != OVERLAY_LINKS_TRUNK) { /* candidates name one port for both */
        out->listeners[IO_LISTEN_OVERLAY_UDP].address = at_port(&c->overlay, c->overlay.port + i);
    }
    const uint16_t ports[] = {c->sip.port, c->sip.port, c->sip_tls_port, c->sip_ws_port,
                              c->sip_wss_port}; /* in the order of enum io_listener */
    for (uint32_t k = 0; k < ARRAY_COUNT(ports); k++) {
        if (ports[k] != 0) {
            out->listeners[IO_LISTEN_SIP_UDP + k] = (struct shard_listener){
                .address = at_port(&c->sip, ports[k]), .is_reuseport = is_shared};
            out->listeners[IO_LISTEN_SIP6_UDP + k] = (struct shard_listener){
                .address = at_port(&c->sip6, ports[k]), .is_reuseport = is_shared};
        }
    }
}

static enum err open_sockets(struct daemon *d, char *why)
{
    char problem[SHARD_PROBLEM_CAP];
    struct shard_config *configs = calloc(d->count, sizeof(*configs));
    if (configs == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %u shards: free some", d->count);
    }
    for (uint32_t i = 0; i < d->count; i++) {
        fill_shard_config(d, i, &configs[i]);
    }
    enum err e = shard_open(configs, d->count, &d->group, problem);
    free(configs);
    return e == ERR_OK
               ? e
               : say_why(why, e, "cannot start the engine: %s: see `chordial check`", problem);
}

/* ---- nodes
 * --------------------------------------------------------------------------------------- */

static enum err open_tls(struct daemon *d, struct daemon_shard *s, const struct keystore *k,
                         char *why)
{
    enum err e = tls_boring_context_new(k->ident.certificate, k->intermediates,
                                        k->intermediate_count, k->key, &s->tls);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot set up TLS: %s: %s", k->ident.user, err_text(e));
    }
    if (d->keylog >= 0) {
        tls_boring_keylog(s->tls, on_keylog, d);
    }
    return ERR_OK;
}

enum err daemon_sip_context(struct daemon *d, const struct sip_cert *cert, struct tls_boring **out,
                            char *why)
{
    enum err e = sip_cert_context(cert, out, why);
    if (e == ERR_OK && d->keylog >= 0) {
        tls_boring_keylog(*out, on_keylog, d);
    }
    return e;
}

/* The peer's certificate, and those of the accounts whose home shard this is. */
static enum err choose_published(const struct daemon *d, uint32_t i, char *why)
{
    const struct setup *setup = d->setup;
    struct daemon_shard *s = &d->shards[i];
    s->publish = calloc(setup->account_count + 1, sizeof(*s->publish));
    if (s->publish == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %zu accounts: free some",
                       setup->account_count);
    }
    s->publish[s->publish_count++] = &setup->peers[i].ident;
    for (size_t a = 0; a < setup->account_count; a++) {
        const struct sip_account *account = &setup->sip_accounts[a];
        if (sip_home_shard(slice_text(account->user), (uint16_t)d->count) == i) {
            s->publish[s->publish_count++] = account->ident;
        }
    }
    return ERR_OK;
}

static void fill_overlay(const struct daemon *d, uint32_t i, struct overlay_settings *o)
{
    const struct setup *setup = d->setup;
    const struct config *c = &setup->config;
    const struct daemon_shard *s = &d->shards[i];
    o->config = setup->doc.config;
    o->trust = setup->trust;
    o->document = setup->xml;
    o->takes_documents = true; /* cmd/control_document judges them */
    o->self = &setup->peers[i].ident;
    o->limits = &s->limits;
    o->shard = (uint16_t)i;
    o->shards = (uint16_t)d->count;
    for (uint32_t k = 0; k < d->count; k++) {
        o->siblings[k] = setup->peers[k].ident.node_id;
    }
    o->found_ring = i == 0 ? c->found_ring : OVERLAY_FOUND_NO;
    const struct address *bootstrap = c->bootstrap_count > 0 ? c->bootstrap : setup->doc.bootstrap;
    size_t listed = min_size(setup->doc.bootstrap_count, OVERLAY_BOOTSTRAP_CAP);
    o->bootstrap_count = c->bootstrap_count > 0 ? c->bootstrap_count : listed;
    memcpy(o->bootstrap, bootstrap, o->bootstrap_count * sizeof(*bootstrap));
    o->candidates[0] = at_port(&c->overlay_advertise, c->overlay.port + i);
    o->candidate_count = 1;
    o->sip_candidates[0] = at_port(&c->overlay_advertise, c->overlay_sip_port + i);
    o->sip_candidate_count = 1;
    o->storage_ack = c->storage_ack;
    o->log_bytes = d->persist == NULL ? 0 : s->limits.persist_log_bytes;
    o->publish = s->publish;
    o->publish_count = s->publish_count;
}

static void fill_sip(const struct daemon *d, uint32_t i, struct sip_settings *p)
{
    const struct setup *setup = d->setup;
    STATIC_CHECK(sizeof(p->domain) >= sizeof(setup->doc.config.name));
    memcpy(p->domain, setup->doc.config.name, sizeof(setup->doc.config.name));
    p->accounts = setup->sip_accounts;
    p->account_count = setup->account_count;
    p->shard = (uint16_t)i;
    p->shards = (uint16_t)d->count;
    p->self = setup->peers[i].ident.node_id;
    for (uint32_t k = 0; k < d->count; k++) {
        p->siblings[k] = setup->peers[k].ident.node_id;
    }
    p->advertised = setup->config.sip_advertise;
    p->second = setup->config.sip6_advertise;
    p->inner[0] = at_port(&setup->config.overlay_advertise, setup->config.overlay.port);
    p->inner[1] = at_port(&setup->config.overlay_advertise, setup->config.overlay_sip_port);
    p->ports[SIP_TLS] = setup->config.sip_tls_port;
    p->ports[SIP_WS] = setup->config.sip_ws_port;
    p->ports[SIP_WSS] = setup->config.sip_wss_port;
    memcpy(p->secret, d->secret, sizeof(p->secret));
    p->default_expires_s = EXPIRES_DEFAULT_S;
    p->min_expires_s = EXPIRES_MIN_S;
    p->max_expires_s = EXPIRES_MAX_S;
    p->service_route = setup->config.service_route;
    p->presence = setup->config.presence;
    p->watchers = setup->config.watchers;
    p->watcher_count = setup->config.watcher_count;
    p->offline_s = setup->config.offline_s;
    p->foreign = setup->config.foreign;
    p->foreign_tls = setup->config.foreign && setup->config.foreign_ca[0] != '\0';
    p->limits = &d->shards[i].limits;
}

/* For TLS to other domains. */
static enum err open_foreign(struct daemon *d, struct daemon_shard *s, struct outward_trust *out,
                             char *why)
{
    const struct config *c = &d->setup->config;
    if (!c->foreign || c->foreign_ca[0] == '\0') {
        return ERR_OK;
    }
    enum err e = setup_roots(c, &s->foreign_roots, why);
    if (e == ERR_OK) {
        e = tls_boring_context_client(&s->foreign_tls);
        if (e != ERR_OK) {
            return say_why(why, e, "cannot set up TLS to other domains: %s", err_text(e));
        }
        if (d->keylog >= 0) {
            tls_boring_keylog(s->foreign_tls, on_keylog, d);
        }
        *out = (struct outward_trust){.judge = crypto_roots_boring_judge,
                                      .context = s->foreign_roots,
                                      .tls_context = s->foreign_tls};
    }
    return e;
}

static enum err open_node(struct daemon *d, uint32_t i, char *why)
{
    struct daemon_shard *s = &d->shards[i];
    struct node_settings *settings = calloc(1, sizeof(*settings));
    s->shard = shard_at(d->group, i);
    s->limits = *shard_limits(s->shard);
    enum err e = settings == NULL ? ERR_NO_MEMORY : choose_published(d, i, why);
    if (e == ERR_OK) {
        e = open_tls(d, s, &d->setup->peers[i], why);
    }
    if (e == ERR_OK && d->setup->sip_cert.certificate.len > 0) {
        e = daemon_sip_context(d, &d->setup->sip_cert, &s->sip_tls, why);
    }
    if (e == ERR_OK) {
        e = open_foreign(d, s, &settings->outward, why);
    }
    if (e != ERR_OK) {
        free(settings);
        return e;
    }
    fill_overlay(d, i, &settings->overlay);
    fill_sip(d, i, &settings->sip);
    settings->tls = tls_boring_ops();
    settings->tls_context = s->tls;
    settings->sip_tls_context = s->sip_tls;
    settings->sip_ws_origins = d->setup->config.sip_ws_origins;
    settings->limits = &s->limits;
    if (d->persist != NULL) {
        settings->persist = persist_thread_ops();
        settings->persist_context =
            persist_thread_context(d->persist, i, &d->setup->peers[i].ident.node_id);
    }
    e = mem_open(&s->mem, node_bytes(settings));
    if (e == ERR_OK) {
        struct turn *t = shard_turn(s->shard);
        s->node = node_init(t, &s->mem.arena, settings);
        s->sip_tls = NULL;
        s->admin = (struct admin_shard){
            .node = s->node,
            .self = settings->overlay.self,
            .index = (uint16_t)i,
            .params = {.node_id_length = settings->overlay.config.node_id_length},
            .overlay = settings->overlay.candidates[0],
            .sip = settings->sip.advertised,
        };
    } else {
        say_why(why, e,
                "no memory for shard %u: %zu MiB: lower the limits, see `chordial check "
                "--limits`",
                i, node_bytes(settings) >> 20);
    }
    free(settings);
    return e;
}

/* ---- records of an earlier life
 * ----------------------------------------------------------------- */

struct restoring {
    struct turn *t;
    struct node *node;
    uint64_t records;
};

static void restore(void *context, struct slice key, struct slice value)
{
    struct restoring *r = context;
    r->records++;
    persist_restore(r->t, r->node, key, value);
}

static enum err open_persist(struct daemon *d, char *why)
{
    const struct config *c = &d->setup->config;
    struct persist_thread_settings s = {.dir = c->data_dir,
                                        .map_bytes = config_data_bytes(c, d->count),
                                        .shards = d->count,
                                        .ring_bytes = c->limits.persist_ring_bytes};
    return c->data_dir[0] == '\0' ? ERR_OK : persist_thread_open(&s, &d->persist, why);
}

static enum err restore_all(struct daemon *d, char *why)
{
    uint64_t records = 0;
    for (uint32_t i = 0; d->persist != NULL && i < d->count; i++) {
        struct restoring r = {.t = shard_turn(d->shards[i].shard), .node = d->shards[i].node};
        enum err e = persist_thread_load(d->persist, i, restore, &r, why);
        if (e != ERR_OK) {
            return e;
        }
        persist_restored(r.t, r.node);
        records += r.records;
    }
    if (d->persist != NULL) {
        struct persist_thread_status s;
        persist_thread_status(d->persist, &s);
        say_line("data-dir %s: %llu records read, %llu broken ones left out, %llu of %llu MiB",
                 d->setup->config.data_dir, (unsigned long long)records,
                 (unsigned long long)s.db.broken, (unsigned long long)(s.db.bytes >> 20),
                 (unsigned long long)(s.db.map_bytes >> 20));
    }
    return ERR_OK;
}

/* ---- all
 * ----------------------------------------------------------------------------------------- */

static enum err open_keylog(struct daemon *d, char *why)
{
    const char *path = d->setup->config.keylog_file;
    d->keylog = -1;
    if (path[0] == '\0') {
        return ERR_OK;
    }
    d->keylog = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (d->keylog < 0) {
        return say_why(why, ERR_IO, "cannot open keylog-file: %s: %s", path, say_errno());
    }
    say_line("WARNING: TLS secrets are written to %s: whoever reads it reads all links", path);
    return ERR_OK;
}

enum err daemon_open(struct daemon *d, const struct setup *setup, char *why)
{
    memset(d, 0, sizeof(*d));
    d->setup = setup;
    d->count = setup->shards;
    host_random(d->secret, sizeof(d->secret));
    d->shards = calloc(d->count, sizeof(*d->shards));
    enum err e = open_keylog(d, why);
    if (e == ERR_OK && d->shards == NULL) {
        e = say_why(why, ERR_NO_MEMORY, "no memory: %u shards: free some", d->count);
    }
    if (e == ERR_OK) { /* first: it may fork a process, which must not hold our sockets */
        e = open_persist(d, why);
    }
    if (e == ERR_OK) {
        e = open_sockets(d, why);
    }
    for (uint32_t i = 0; e == ERR_OK && i < d->count; i++) {
        e = open_node(d, i, why);
    }
    if (e == ERR_OK) {
        e = restore_all(d, why);
    }
    if (e != ERR_OK) {
        daemon_close(d);
    }
    return e;
}

enum err daemon_start(struct daemon *d, char *why)
{
    if (d->persist != NULL) {
        enum err e = persist_thread_start(d->persist, why);
        if (e != ERR_OK) {
            return e;
        }
    }
    for (uint32_t i = 0; i < d->count; i++) {
        node_start(shard_turn(d->shards[i].shard), d->shards[i].node);
    }
    for (uint32_t i = 0; i < d->count; i++) {
        char name[16];
        struct daemon_shard *s = &d->shards[i];
        int failed = pthread_create(&s->thread, NULL, run_shard, s);
        if (failed != 0) {
            return say_why(why, ERR_IO, "cannot start a thread: shard %u: %s", i,
                           strerrordesc_np(failed));
        }
        s->is_running = true;
        (void)snprintf(name, sizeof(name), "shard-%u", i % 1000);
        pthread_setname_np(s->thread, name);
    }
    return ERR_OK;
}

uint64_t daemon_close(struct daemon *d)
{
    uint64_t left_open = 0;
    if (d->group != NULL) {
        shard_stop(d->group);
    }
    for (uint32_t i = 0; d->shards != NULL && i < d->count; i++) {
        struct daemon_shard *s = &d->shards[i];
        if (s->is_running) {
            pthread_join(s->thread, NULL);
        }
        uint64_t open_here = s->tls == NULL ? 0 : tls_boring_counters(s->tls).open;
        if (open_here == 0) {
            tls_boring_context_free(s->tls);
        }
        left_open += open_here;
        struct tls_boring *phones = s->node == NULL ? s->sip_tls : node_set_sip_tls(s->node, NULL);
        open_here = phones == NULL ? 0 : tls_boring_counters(phones).open;
        if (open_here == 0) {
            tls_boring_context_free(phones);
        }
        left_open += open_here;
        open_here = s->foreign_tls == NULL ? 0 : tls_boring_counters(s->foreign_tls).open;
        if (open_here == 0) {
            tls_boring_context_free(s->foreign_tls);
        }
        left_open += open_here;
        crypto_roots_boring_free(s->foreign_roots);
        free(s->publish);
        if (s->mem.block != NULL) {
            mem_close(&s->mem);
        }
    }
    persist_thread_close(d->persist); /* the shards have ended: what they left is written */
    if (d->group != NULL) {
        shard_close(d->group);
    }
    if (d->keylog >= 0) {
        close(d->keylog);
    }
    explicit_bzero(d->secret, sizeof(d->secret));
    free(d->shards);
    memset(d, 0, sizeof(*d));
    d->keylog = -1;
    return left_open;
}
