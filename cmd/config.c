/* SPDX-License-Identifier: Apache-2.0 */
/* Three steps: libconfuse reads and types the file, with a validator for each kind of text so that
 * a fault is reported with its line; take() copies into struct config; finish() checks what only
 * the whole can tell.  libconfuse reports through a callback without a context, hence `reading`. */
#include "cmd/config.h"
#include "cmd/metrics_http.h"
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    PORT_MAX = 65535,
    SPIN_MAX_US = 1000000,
    SUGGESTIONS_CAP = 128,
    DATA_SIZE_MAX_MIB = 1 << 20,
    MIB = 1 << 20,
};

static struct {
    const char *path;
    char *why;
} reading;

/* ---- what is wrong
 * ------------------------------------------------------------------------------- */

static void report_unknown(cfg_t *cfg, const char *name)
{
    const char *words[SUGGESTIONS_CAP];
    size_t count = 0;
    for (cfg_opt_t *o = cfg->opts; o->name != NULL && count < SUGGESTIONS_CAP; o++) {
        words[count++] = o->name;
    }
    bool is_limit = strcmp(cfg->name, "limits") == 0;
    const char *near = say_suggestion(name, words, count);
    if (near != NULL) {
        say_why(reading.why, ERR_CONFIG, "unknown %s '%s': %s:%d: did you mean '%s'?",
                is_limit ? "limit" : "key", name, reading.path, cfg->line, near);
    } else {
        say_why(reading.why, ERR_CONFIG, "unknown %s '%s': %s:%d: take it out (see %s)",
                is_limit ? "limit" : "key", name, reading.path, cfg->line,
                is_limit ? "`chordial check`" : "contrib/chordial.conf.example");
    }
}

/* libconfuse's error function; only the first error counts. */
static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    char text[200];
    if (reading.why[0] != '\0') {
        return;
    }
    if (strstr(format, "no such option") != NULL) {
        report_unknown(cfg, va_arg(args, const char *));
        return;
    }
    (void)vsnprintf(text, sizeof(text), format, args);
    say_why(reading.why, ERR_CONFIG, "%s: %s:%d: correct it", text, reading.path, cfg->line);
}

static int refuse(cfg_t *cfg, const cfg_opt_t *opt, const char *value, const char *wanted)
{
    cfg_error(cfg, "%s = \"%s\" is not %s", opt->name, value, wanted);
    return -1;
}

/* ---- kinds of values
 * ----------------------------------------------------------------------------- */

struct word {
    const char *text;
    int value;
};

static const struct word found_words[] = {
    {"no", OVERLAY_FOUND_NO}, {"if-alone", OVERLAY_FOUND_IF_ALONE}, {"now", OVERLAY_FOUND_NOW}};
static const struct word backend_words[] = {
    {"auto", SHARD_AUTO}, {"io_uring", SHARD_URING}, {"epoll", SHARD_EPOLL}};
static const struct word level_words[] = {
    {"error", LOG_ERROR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
static const struct word ack_words[] = {
    {"memory", OVERLAY_ACK_MEMORY}, {"replica", OVERLAY_ACK_REPLICA}, {"disk", OVERLAY_ACK_DISK}};

static const struct word poll_words[] = {{"fixed", 0}, {"adaptive", 1}};
static const struct word yes_words[] = {{"no", 0}, {"yes", 1}};

static const struct {
    const char *key;
    const struct word *words;
    size_t count;
} choices[] = {
    {"found-ring", found_words, ARRAY_COUNT(found_words)},
    {"backend", backend_words, ARRAY_COUNT(backend_words)},
    {"busy-poll", poll_words, ARRAY_COUNT(poll_words)},
    {"log-level", level_words, ARRAY_COUNT(level_words)},
    {"storage-ack", ack_words, ARRAY_COUNT(ack_words)},
    {"presence", yes_words, ARRAY_COUNT(yes_words)},
    {"service-route", yes_words, ARRAY_COUNT(yes_words)},
    {"foreign-domains", yes_words, ARRAY_COUNT(yes_words)},
};

/* The value of a key that takes one of a few words; -1 and the words when it is none of them. */
static int choice_of(const char *key, const char *text, char *wanted, size_t cap)
{
    for (size_t c = 0; c < ARRAY_COUNT(choices); c++) {
        if (strcmp(choices[c].key, key) != 0) {
            continue;
        }
        size_t len = (size_t)snprintf(wanted, cap, "one of");
        for (size_t i = 0; i < choices[c].count; i++) {
            const struct word *w = &choices[c].words[i];
            if (strcmp(w->text, text) == 0) {
                return w->value;
            }
            len += (size_t)snprintf(wanted + len, cap - len, " %s", w->text);
        }
        return -1;
    }
    UNREACHABLE("key without choices");
}

static const char *last_text(cfg_opt_t *opt)
{
    const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    return text == NULL ? "" : text;
}

static int check_choice(cfg_t *cfg, cfg_opt_t *opt)
{
    char wanted[100];
    const char *text = last_text(opt);
    return choice_of(opt->name, text, wanted, sizeof(wanted)) >= 0 ? 0
                                                                   : refuse(cfg, opt, text, wanted);
}

static int check_digest(cfg_t *cfg, cfg_opt_t *opt)
{
    enum sip_digest ignored;
    const char *text = last_text(opt);
    return config_digest(text, &ignored) == ERR_OK
               ? 0
               : refuse(cfg, opt, text, "\"sha-256 md5\" or \"md5\"");
}

static int check_host(cfg_t *cfg, cfg_opt_t *opt)
{
    struct address a;
    const char *text = last_text(opt);
    bool is_host = address_parse(slice_text(text), 0, &a) == ERR_OK && a.port == 0;
    return text[0] == '\0' || is_host ? 0 : refuse(cfg, opt, text, "an IPv4 or IPv6 address");
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt)
{
    struct address a;
    const char *text = last_text(opt);
    bool is_address = address_parse(slice_text(text), 0, &a) == ERR_OK && a.port != 0;
    if (cfg_opt_size(opt) > OVERLAY_BOOTSTRAP_CAP) {
        cfg_error(cfg, "%s has more than %d addresses", opt->name, OVERLAY_BOOTSTRAP_CAP);
        return -1;
    }
    return is_address ? 0 : refuse(cfg, opt, text, "ADDRESS:PORT");
}

static int check_dns(cfg_t *cfg, cfg_opt_t *opt)
{
    struct address a;
    const char *text = last_text(opt);
    if (cfg_opt_size(opt) > CONFIG_DNS) {
        return refuse(cfg, opt, text, "among the first 4");
    }
    return address_parse(slice_text(text), 53, &a) == ERR_OK
               ? 0
               : refuse(cfg, opt, text, "ADDRESS or ADDRESS:PORT");
}

static int check_metrics(cfg_t *cfg, cfg_opt_t *opt)
{
    struct address a;
    const char *text = last_text(opt);
    bool is_good =
        text[0] == '\0' ||
        (address_parse(slice_text(text), METRICS_HTTP_PORT, &a) == ERR_OK && a.port != 0);
    return is_good ? 0 : refuse(cfg, opt, text, "ADDRESS or ADDRESS:PORT, such as 127.0.0.1:9464");
}

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long min, long max)
{
    long value = cfg_opt_getnint(opt, 0);
    if (value < min || value > max) {
        cfg_error(cfg, "%s = %ld is not a number from %ld to %ld", opt->name, value, min, max);
        return -1;
    }
    return 0;
}

static int check_port(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 1, PORT_MAX);
}

static int check_port_or_none(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 0, PORT_MAX);
}

/* RFC 6454 6.2: scheme://host[:port], no path. */
static int check_origin(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *text = last_text(opt);
    const char *host = strstr(text, "://");
    bool is_origin = host != NULL && host != text && host[3] != '\0' &&
                     strpbrk(host + 3, "/ \t\"") == NULL && strpbrk(text, " \t") == NULL;
    return is_origin || strcmp(text, "*") == 0
               ? 0
               : refuse(cfg, opt, text, "SCHEME://HOST or SCHEME://HOST:PORT, without a path");
}

static int check_shards(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 0, OVERLAY_SHARDS_CAP);
}

static int check_seconds(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 1, 3600);
}

/* A week: what a phone on a journey needs, and no longer than a record may last. */
static int check_offline(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 0, 7 * 24 * 3600);
}

static int check_watcher(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *text = last_text(opt);
    size_t len = strlen(text);
    bool is_aor = len > 2 && len <= SIP_ACCOUNT_USER_CAP && strchr(text, '@') != NULL &&
                  strpbrk(text, ": <>") == NULL;
    if (cfg_opt_size(opt) > CONFIG_WATCHERS) {
        return refuse(cfg, opt, text, "among the first 64");
    }
    return is_aor || strcmp(text, "*") == 0
               ? 0
               : refuse(cfg, opt, text, "an address as user@domain, or *");
}

static int check_spin(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 0, SPIN_MAX_US);
}

static int check_data_size(cfg_t *cfg, cfg_opt_t *opt)
{
    return check_range(cfg, opt, 0, DATA_SIZE_MAX_MIB);
}

static int check_limit(cfg_t *cfg, cfg_opt_t *opt)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (strcmp(opt->name, limits_name((enum limit)i)) == 0) {
            struct limits_range r = limits_range((enum limit)i);
            return check_range(cfg, opt, r.least, r.most);
        }
    }
    UNREACHABLE("a limit without a name");
}

/* ---- from libconfuse to struct config
 * ------------------------------------------------------------ */

enum err config_digest(const char *text, enum sip_digest *out)
{
    if (strcmp(text, "md5") == 0) {
        *out = SIP_DIGEST_MD5;
        return ERR_OK;
    }
    *out = SIP_DIGEST_SHA256_MD5;
    return strcmp(text, "sha-256 md5") == 0 ? ERR_OK : ERR_CONFIG;
}

static int choice(cfg_t *cfg, const char *key)
{
    char wanted[100];
    int value = choice_of(key, cfg_getstr(cfg, key), wanted, sizeof(wanted));
    CHECK(value >= 0); /* defaults are right, and the rest was checked */
    return value;
}

static struct address host_of(cfg_t *cfg, const char *key, uint16_t port)
{
    struct address a = {0};
    const char *text = cfg_getstr(cfg, key);
    if (text[0] != '\0') {
        CHECK(address_parse(slice_text(text), 0, &a) == ERR_OK);
        a.port = port;
    }
    return a;
}

static enum err take_path(cfg_t *cfg, const char *key, char *out)
{
    char folder[FILES_PATH_CAP] = "";
    const char *text = cfg_getstr(cfg, key);
    const char *slash = strrchr(reading.path, '/');
    if (text[0] == '\0') {
        out[0] = '\0';
        return ERR_OK;
    }
    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s",
                       (int)max_size((size_t)(slash - reading.path), 1), reading.path);
    }
    if (files_join(folder, text, out) != ERR_OK) {
        return say_why(reading.why, ERR_CONFIG, "path too long: %s: %s: at most %d bytes",
                       reading.path, key, FILES_PATH_CAP - 1);
    }
    return ERR_OK;
}

static enum err take_paths(cfg_t *cfg, struct config *out)
{
    const struct {
        const char *key;
        char *to;
    } paths[] = {
        {"overlay-document", out->overlay_document},
        {"peers", out->peers},
        {"accounts", out->accounts},
        {"control-socket", out->control_socket},
        {"keylog-file", out->keylog_file},
        {"data-dir", out->data_dir},
        {"sip-tls-cert", out->sip_tls_cert},
        {"sip-tls-key", out->sip_tls_key},
        {"foreign-ca", out->foreign_ca},
    };
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        enum err e = take_path(cfg, paths[i].key, paths[i].to);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

static void take_limits(cfg_t *cfg, struct limits *out)
{
    limits_default(out);
    cfg_t *section = cfg_getsec(cfg, "limits");
    for (unsigned i = 0; section != NULL && i < LIMIT_COUNT; i++) {
        const char *name = limits_name((enum limit)i);
        CHECK(limits_set(out, slice_text(name), (uint64_t)cfg_getint(section, name)) == ERR_OK);
    }
}

static void take_events(cfg_t *cfg, struct config *out)
{
    out->service_route = choice(cfg, "service-route") != 0;
    out->presence = choice(cfg, "presence") != 0;
    out->offline_s = (uint32_t)cfg_getint(cfg, "offline-messages");
    out->watcher_count = cfg_size(cfg, "presence-watchers");
    CHECK(out->watcher_count <= CONFIG_WATCHERS);
    for (unsigned i = 0; i < out->watcher_count; i++) {
        const char *text = cfg_getnstr(cfg, "presence-watchers", i);
        char *aor = out->watchers[i].aor;
        size_t at = 0;
        for (; text[at] != '\0'; at++) { /* the domain in lower case, as AORs are compared */
            bool is_host = strchr(text + at, '@') == NULL;
            aor[at] = is_host ? (char)slice_lower((uint8_t)text[at]) : text[at];
        }
        aor[at] = '\0';
    }
}

static void take_foreign(cfg_t *cfg, struct config *out)
{
    out->foreign = choice(cfg, "foreign-domains") != 0;
    out->dns_count = cfg_size(cfg, "foreign-dns");
    CHECK(out->dns_count <= CONFIG_DNS);
    for (unsigned i = 0; i < out->dns_count; i++) {
        const char *text = cfg_getnstr(cfg, "foreign-dns", i);
        CHECK(address_parse(slice_text(text), 53, &out->dns[i]) == ERR_OK);
    }
}

static enum err take_origins(cfg_t *cfg, struct config *out)
{
    size_t len = 0;
    for (unsigned i = 0; i < cfg_size(cfg, "sip-ws-origins"); i++) {
        const char *text = cfg_getnstr(cfg, "sip-ws-origins", i);
        int more = snprintf(out->sip_ws_origins + len, CONFIG_ORIGINS_CAP - len, "%s%s",
                            len == 0 ? "" : " ", text);
        if (more < 0 || (size_t)more >= CONFIG_ORIGINS_CAP - len) {
            return say_why(reading.why, ERR_CONFIG,
                           "too many origins: %s: sip-ws-origins: at most %d bytes in all",
                           reading.path, CONFIG_ORIGINS_CAP - 1);
        }
        len += (size_t)more;
    }
    return ERR_OK;
}

static enum err take(cfg_t *cfg, struct config *out)
{
    uint16_t overlay_port = (uint16_t)cfg_getint(cfg, "overlay-port");
    uint16_t sip_port = (uint16_t)cfg_getint(cfg, "sip-port");
    out->overlay = host_of(cfg, "overlay-address", overlay_port);
    out->overlay_advertise = host_of(cfg, "overlay-advertise", overlay_port);
    out->overlay_sip_port = (uint16_t)cfg_getint(cfg, "overlay-sip-port");
    out->sip = host_of(cfg, "sip-address", sip_port);
    out->sip_advertise = host_of(cfg, "sip-advertise", sip_port);
    out->sip6 = host_of(cfg, "sip-address6", sip_port);
    out->sip6_advertise = host_of(cfg, "sip-advertise6", sip_port);
    out->sip_tls_port = (uint16_t)cfg_getint(cfg, "sip-tls-port");
    out->sip_ws_port = (uint16_t)cfg_getint(cfg, "sip-ws-port");
    out->sip_wss_port = (uint16_t)cfg_getint(cfg, "sip-wss-port");
    out->found_ring = (enum overlay_found_ring)choice(cfg, "found-ring");
    out->backend = (enum shard_backend)choice(cfg, "backend");
    out->busy_poll_us = (uint32_t)cfg_getint(cfg, "busy-poll-us");
    out->is_busy_poll_adaptive = choice(cfg, "busy-poll") != 0;
    out->storage_ack = (enum overlay_storage_ack)choice(cfg, "storage-ack");
    out->log_level = (enum log_level)choice(cfg, "log-level");
    out->data_size_mib = (uint32_t)cfg_getint(cfg, "data-size");
    out->shards = (uint32_t)cfg_getint(cfg, "shards");
    out->drain_timeout_s = (uint32_t)cfg_getint(cfg, "drain-timeout");
    out->has_digest = config_digest(cfg_getstr(cfg, "digest"), &out->digest) == ERR_OK;
    out->bootstrap_count = cfg_size(cfg, "bootstrap");
    for (unsigned i = 0; i < out->bootstrap_count; i++) {
        const char *text = cfg_getnstr(cfg, "bootstrap", i);
        CHECK(address_parse(slice_text(text), 0, &out->bootstrap[i]) == ERR_OK);
    }
    const char *metrics = cfg_getstr(cfg, "metrics-listen");
    if (metrics[0] != '\0') {
        CHECK(address_parse(slice_text(metrics), METRICS_HTTP_PORT, &out->metrics) == ERR_OK);
    }
    take_events(cfg, out);
    take_foreign(cfg, out);
    take_limits(cfg, &out->limits);
    enum err e = take_origins(cfg, out);
    return e == ERR_OK ? take_paths(cfg, out) : e;
}

static bool is_wildcard(const struct address *a)
{
    static const uint8_t zeros[sizeof(a->ip)];
    return a->family != 0 && memcmp(a->ip, zeros, sizeof(a->ip)) == 0;
}

/* Where others reach an address of ours: as advertised, else the address itself. */
static enum err advertise(const struct address *bound, struct address *advertised, const char *key)
{
    if (advertised->family == 0) {
        *advertised = *bound;
    }
    if (is_wildcard(advertised)) {
        return say_why(reading.why, ERR_CONFIG,
                       "no address for others: %s: %s: set it to the address by which other hosts "
                       "reach this one",
                       reading.path, key);
    }
    return ERR_OK;
}

/* The phone side: two addresses of two families, and no port twice. */
static enum err finish_sip(struct config *out)
{
    if (out->sip.family == 0) { /* IPv6 alone */
        out->sip = out->sip6;
        out->sip_advertise = out->sip6_advertise;
        out->sip6 = out->sip6_advertise = (struct address){0};
    }
    if (out->sip6.family != 0 && (out->sip6.family != 6 || out->sip.family == 6)) {
        return say_why(reading.why, ERR_CONFIG,
                       "sip-address and sip-address6 are not of two families: %s: sip-address6: it "
                       "is for IPv6, beside an IPv4 sip-address",
                       reading.path);
    }
    bool has_cert = out->sip_tls_cert[0] != '\0';
    if (has_cert != (out->sip_tls_key[0] != '\0') || (!has_cert && out->sip_wss_port != 0)) {
        return say_why(
            reading.why, ERR_CONFIG,
            "no %s: %s: phones by TLS (sip-tls-port, sip-wss-port) need sip-tls-cert and "
            "sip-tls-key",
            has_cert ? "sip-tls-key" : "sip-tls-cert", reading.path);
    }
    out->sip_tls_port = has_cert ? out->sip_tls_port : 0;
    const uint16_t ports[] = {out->sip.port, out->sip_tls_port, out->sip_ws_port,
                              out->sip_wss_port};
    for (size_t i = 0; i < ARRAY_COUNT(ports) * ARRAY_COUNT(ports); i++) {
        size_t a = i / ARRAY_COUNT(ports), b = i % ARRAY_COUNT(ports);
        if (a < b && ports[a] != 0 && ports[a] == ports[b]) {
            return say_why(reading.why, ERR_CONFIG,
                           "port %u twice: %s: sip-port, sip-tls-port, sip-ws-port, sip-wss-port: "
                           "each needs its own",
                           ports[a], reading.path);
        }
    }
    enum err e = ERR_OK;
    if (out->sip.family != 0) {
        e = advertise(&out->sip, &out->sip_advertise, "sip-advertise");
    }
    if (e == ERR_OK && out->sip6.family != 0) {
        e = advertise(&out->sip6, &out->sip6_advertise, "sip-advertise6");
    }
    return e;
}

static enum err finish(struct config *out)
{
    const struct {
        const char *key;
        bool is_missing;
        const char *what;
    } needed[] = {
        {"overlay-document", out->overlay_document[0] == '\0', "the overlay.xml of `chordial ca`"},
        {"peers", out->peers[0] == '\0', "the folder with the keystores of `chordial ca issue`"},
        {"overlay-address", out->overlay.family == 0, "the address to listen on for other peers"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        if (needed[i].is_missing) {
            return say_why(reading.why, ERR_CONFIG, "no %s: %s: set it to %s", needed[i].key,
                           reading.path, needed[i].what);
        }
    }
    if (out->storage_ack == OVERLAY_ACK_DISK && out->data_dir[0] == '\0') {
        return say_why(reading.why, ERR_CONFIG,
                       "storage-ack = disk, but no data-dir: %s: data-dir: set it to a folder of "
                       "this node alone",
                       reading.path);
    }
    enum err e = advertise(&out->overlay, &out->overlay_advertise, "overlay-advertise");
    return e == ERR_OK ? finish_sip(out) : e;
}

/* ---- the file
 * ------------------------------------------------------------------------------------ */

static const struct {
    const char *key;
    cfg_validate_callback_t check;
} checks[] = {
    {"found-ring", check_choice},
    {"backend", check_choice},
    {"busy-poll", check_choice},
    {"log-level", check_choice},
    {"storage-ack", check_choice},
    {"digest", check_digest},
    {"overlay-address", check_host},
    {"sip-address", check_host},
    {"overlay-advertise", check_host},
    {"sip-advertise", check_host},
    {"bootstrap", check_address},
    {"overlay-port", check_port},
    {"sip-port", check_port},
    {"overlay-sip-port", check_port},
    {"shards", check_shards},
    {"drain-timeout", check_seconds},
    {"busy-poll-us", check_spin},
    {"data-size", check_data_size},
    {"presence", check_choice},
    {"service-route", check_choice},
    {"presence-watchers", check_watcher},
    {"offline-messages", check_offline},
    {"foreign-domains", check_choice},
    {"foreign-dns", check_dns},
    {"sip-address6", check_host},
    {"sip-advertise6", check_host},
    {"sip-tls-port", check_port_or_none},
    {"sip-ws-port", check_port_or_none},
    {"sip-wss-port", check_port_or_none},
    {"sip-ws-origins", check_origin},
    {"metrics-listen", check_metrics},
};

static enum err parse(cfg_t *cfg, struct config *out)
{
    cfg_set_error_function(cfg, on_error);
    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        cfg_set_validate_func(cfg, checks[i].key, checks[i].check);
    }
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        char path[80];
        (void)snprintf(path, sizeof(path), "limits|%s", limits_name((enum limit)i));
        cfg_set_validate_func(cfg, path, check_limit);
    }
    struct stat status;
    if (stat(reading.path, &status) == 0 && S_ISDIR(status.st_mode)) { /* flex would end us */
        return say_why(reading.why, ERR_CONFIG,
                       "a folder: %s: give the file; see contrib/chordial.conf.example",
                       reading.path);
    }
    switch (cfg_parse(cfg, reading.path)) {
    case CFG_SUCCESS:
        break;
    case CFG_FILE_ERROR:
        return say_why(reading.why, ERR_NOT_FOUND,
                       "cannot read the configuration: %s: %s: see contrib/chordial.conf.example",
                       reading.path, say_errno());
    default:
        return ERR_CONFIG; /* on_error has said why */
    }
    enum err e = take(cfg, out);
    return e == ERR_OK ? finish(out) : e;
}

/* Pages are half full at worst, and those of the last transactions stand beside the new ones. */
uint64_t config_data_bytes(const struct config *c, uint32_t shards)
{
    enum { RECORD_EXTRA_BYTES = 192, AT_LEAST_MIB = 64, PAGES = 3 };
    const struct limits *l = &c->limits;
    uint64_t records = (uint64_t)l->stored_values + l->stored_sets + l->stored_certificates;
    uint64_t each = PAGES * ((uint64_t)l->stored_bytes + records * RECORD_EXTRA_BYTES);
    uint64_t mib = max_u64(each * shards / MIB, AT_LEAST_MIB);
    return (c->data_size_mib != 0 ? c->data_size_mib : mib) * MIB;
}

void config_phone_ports(const struct config *c, uint16_t out[CONFIG_PHONE_PORTS])
{
    out[0] = c->sip.port;
    out[1] = c->sip_tls_port;
    out[2] = c->sip_ws_port;
    out[3] = c->sip_wss_port;
}

bool config_next_phone_address(const struct config *c, unsigned *index, struct address *out,
                               const char **by)
{
    static const char *const texts[CONFIG_PHONE_PORTS] = {"UDP and TCP", "TLS", "WebSocket",
                                                          "WebSocket in TLS"};
    const struct address *at[] = {&c->sip, &c->sip6};
    uint16_t ports[CONFIG_PHONE_PORTS];
    config_phone_ports(c, ports);
    while (*index < ARRAY_COUNT(at) * CONFIG_PHONE_PORTS) {
        unsigned i = (*index)++;
        *out = *at[i / CONFIG_PHONE_PORTS];
        out->port = ports[i % CONFIG_PHONE_PORTS];
        *by = texts[i % CONFIG_PHONE_PORTS];
        if (out->family != 0 && out->port != 0) {
            return true;
        }
    }
    return false;
}

enum err config_load(const char *path, struct config *out, char *why)
{
    static cfg_opt_t limits[] = {
#define LIMIT(name, value, help) CFG_INT(#name, value, CFGF_NONE),
#include "core/limits.def"
        CFG_END()};
    static cfg_opt_t opts[] = {CFG_STR("overlay-document", "", CFGF_NONE),
                               CFG_STR("peers", "", CFGF_NONE),
                               CFG_STR("accounts", "", CFGF_NONE),
                               CFG_STR("overlay-address", "", CFGF_NONE),
                               CFG_STR("overlay-advertise", "", CFGF_NONE),
                               CFG_INT("overlay-port", 6084, CFGF_NONE),
                               CFG_INT("overlay-sip-port", 6184, CFGF_NONE),
                               CFG_STR("sip-address", "", CFGF_NONE),
                               CFG_STR("sip-advertise", "", CFGF_NONE),
                               CFG_INT("sip-port", 5060, CFGF_NONE),
                               CFG_STR("sip-address6", "", CFGF_NONE),
                               CFG_STR("sip-advertise6", "", CFGF_NONE),
                               CFG_STR("sip-tls-cert", "", CFGF_NONE),
                               CFG_STR("sip-tls-key", "", CFGF_NONE),
                               CFG_INT("sip-tls-port", 5061, CFGF_NONE),
                               CFG_INT("sip-ws-port", 0, CFGF_NONE),
                               CFG_INT("sip-wss-port", 0, CFGF_NONE),
                               CFG_STR_LIST("sip-ws-origins", "{}", CFGF_NONE),
                               CFG_STR_LIST("bootstrap", "{}", CFGF_NONE),
                               CFG_STR("found-ring", "no", CFGF_NONE),
                               CFG_INT("shards", 0, CFGF_NONE),
                               CFG_STR("backend", "auto", CFGF_NONE),
                               CFG_INT("busy-poll-us", 0, CFGF_NONE),
                               CFG_STR("busy-poll", "adaptive", CFGF_NONE),
                               CFG_STR("control-socket", "", CFGF_NONE),
                               CFG_STR("metrics-listen", "", CFGF_NONE),
                               CFG_STR("keylog-file", "", CFGF_NONE),
                               CFG_STR("log-level", "info", CFGF_NONE),
                               CFG_STR("storage-ack", "replica", CFGF_NONE),
                               CFG_STR("data-dir", "", CFGF_NONE),
                               CFG_INT("data-size", 0, CFGF_NONE),
                               CFG_STR("digest", "", CFGF_NONE),
                               CFG_INT("drain-timeout", 30, CFGF_NONE),
                               CFG_STR("service-route", "no", CFGF_NONE),
                               CFG_STR("presence", "yes", CFGF_NONE),
                               CFG_STR_LIST("presence-watchers", "{\"*\"}", CFGF_NONE),
                               CFG_INT("offline-messages", 0, CFGF_NONE),
                               CFG_STR("foreign-domains", "no", CFGF_NONE),
                               CFG_STR("foreign-ca", "", CFGF_NONE),
                               CFG_STR_LIST("foreign-dns", "{}", CFGF_NONE),
                               CFG_SEC("limits", limits, CFGF_NONE),
                               CFG_END()};
    memset(out, 0, sizeof(*out));
    why[0] = '\0';
    reading.path = path;
    reading.why = why;
    cfg_t *cfg = cfg_init(opts, CFGF_NONE);
    if (cfg == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", path);
    }
    enum err e = parse(cfg, out);
    cfg_free(cfg);
    return e;
}
