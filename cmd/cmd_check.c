/* SPDX-License-Identifier: Apache-2.0 */
/* chordial check: everything that can be known of a configuration without starting the node. */
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "core/os/host.h"
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUDGET_LINES = 64, SOON_MS = 14 * 24 * 3600 * 1000 };

/* ---- ports
 * --------------------------------------------------------------------------------------- */

static socklen_t to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, a->ip, sizeof(in.sin_addr));
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&in6.sin6_addr, a->ip, sizeof(in6.sin6_addr));
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

/* What has been bound stays so until all is: two keys may name one port. */
enum { HELD_CAP = 3 * OVERLAY_SHARDS_CAP + 16 };
static int held[HELD_CAP];
static size_t held_count;

static void let_go(void)
{
    while (held_count > 0) {
        close(held[--held_count]);
    }
}

static bool can_bind(const struct address *a, uint16_t port, int type)
{
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr(a, port, &to);
    int yes = 1;
    int fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);
    bool done =
        fd >= 0 &&
        (type != SOCK_STREAM || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0) &&
        (a->family == 4 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
        bind(fd, (const struct sockaddr *)&to, len) == 0 &&
        (type != SOCK_STREAM || listen(fd, 1) == 0);
    int saved = errno;
    if (fd >= 0 && done && held_count < HELD_CAP) {
        held[held_count++] = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return done;
}

static enum err check_port(const struct address *a, uint16_t port, int type, char *why)
{
    char text[ADDRESS_TEXT_CAP];
    struct address with_port = *a;
    with_port.port = port;
    if (can_bind(a, port, type)) {
        return ERR_OK;
    }
    return say_why(why, ERR_IO, "cannot listen: %s %s: %s%s", type == SOCK_STREAM ? "tcp" : "udp",
                   address_text(&with_port, text), say_errno(),
                   errno == EADDRINUSE
                       ? "; is the node running already, or have two keys this port?"
                   : errno == EADDRNOTAVAIL ? "; give an address of this machine"
                   : errno == EACCES        ? "; ports below 1024 need CAP_NET_BIND_SERVICE"
                                            : "");
}

static bool has_datagrams(const struct setup *s)
{
    return s->doc.config.links != OVERLAY_LINKS_TRUNK;
}

/* What phones connect to: a port for each transport, 0 where there is none. */
enum { PHONE_STREAMS = 4 };
static void phone_streams(const struct config *c, uint16_t out[PHONE_STREAMS])
{
    out[0] = c->sip.port;
    out[1] = c->sip_tls_port;
    out[2] = c->sip_ws_port;
    out[3] = c->sip_wss_port;
}

static enum err check_sip_ports(const struct config *c, char *why)
{
    const struct address *at[] = {&c->sip, &c->sip6};
    uint16_t ports[PHONE_STREAMS];
    enum err e = ERR_OK;
    phone_streams(c, ports);
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        if (e == ERR_OK && at[i]->family != 0) {
            e = check_port(at[i], ports[0], SOCK_DGRAM, why);
        }
        for (size_t k = 0; e == ERR_OK && at[i]->family != 0 && k < PHONE_STREAMS; k++) {
            e = ports[k] == 0 ? ERR_OK : check_port(at[i], ports[k], SOCK_STREAM, why);
        }
    }
    return e;
}

static enum err check_ports(const struct setup *s, char *why)
{
    const struct config *c = &s->config;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->shards; i++) {
        e = check_port(&c->overlay, (uint16_t)(c->overlay.port + i), SOCK_STREAM, why);
        if (e == ERR_OK) {
            e = check_port(&c->overlay, (uint16_t)(c->overlay_sip_port + i), SOCK_STREAM, why);
        }
        if (e == ERR_OK && has_datagrams(s)) {
            e = check_port(&c->overlay, (uint16_t)(c->overlay.port + i), SOCK_DGRAM, why);
        }
    }
    if (e == ERR_OK && c->metrics.family != 0) {
        e = check_port(&c->metrics, c->metrics.port, SOCK_STREAM, why);
    }
    return e == ERR_OK ? check_sip_ports(c, why) : e;
}

/* ---- data-dir
 * ------------------------------------------------------------------------------------ */

/* Could `run` make it?  The nearest folder above that is there says so. */
static enum err check_parent(const char *dir, char *why)
{
    char above[FILES_PATH_CAP];
    (void)snprintf(above, sizeof(above), "%s", dir);
    do {
        char *slash = strrchr(above, '/');
        (void)snprintf(slash == NULL || slash == above ? above : slash, 2, "%s",
                       slash == NULL    ? "."
                       : slash == above ? "/"
                                        : "");
    } while (access(above, F_OK) != 0 && strcmp(above, "/") != 0 && strcmp(above, ".") != 0);
    return access(above, W_OK | X_OK) == 0
               ? ERR_OK
               : say_why(why, ERR_IO, "cannot make data-dir: %s: %s: %s; name another", dir, above,
                         say_errno());
}

/* It is made by `run`; what is there already must be ours to write. */
static enum err check_data_dir(const struct setup *s, char *why)
{
    const char *dir = s->config.data_dir;
    struct stat st;
    if (dir[0] == '\0') {
        return ERR_OK;
    }
    if (stat(dir, &st) != 0 && errno == ENOENT) {
        return check_parent(dir, why);
    }
    if (access(dir, R_OK | W_OK | X_OK) != 0) {
        return say_why(why, ERR_IO,
                       "cannot use data-dir: %s: %s: give it to the user that runs "
                       "the node",
                       dir, say_errno());
    }
    return S_ISDIR(st.st_mode) ? ERR_OK
                               : say_why(why, ERR_CONFIG,
                                         "data-dir is not a folder: %s: name "
                                         "another",
                                         dir);
}

static const char *ack_text(const struct setup *s)
{
    switch (s->config.storage_ack) {
    case OVERLAY_ACK_MEMORY:
        return "memory";
    case OVERLAY_ACK_REPLICA:
        return "replica";
    case OVERLAY_ACK_DISK:
        break;
    }
    return "disk";
}

static void print_storage(const struct setup *s)
{
    const struct config *c = &s->config;
    (void)printf("storage       acknowledged when in: %s; ", ack_text(s));
    if (c->data_dir[0] == '\0') {
        (void)printf("no data-dir: nothing outlives the process\n");
        return;
    }
    (void)printf("kept in %s, at most %" PRIu64 " MiB\n", c->data_dir,
                 config_data_bytes(c, s->shards) >> 20);
}

/* ---- what is printed
 * ----------------------------------------------------------------------------- */

static void port_range(uint16_t first, uint32_t count, char *out, size_t cap)
{
    if (count == 1) {
        (void)snprintf(out, cap, "%u", first);
    } else {
        (void)snprintf(out, cap, "%u-%u", first, first + count - 1);
    }
}

static void firewall(const struct setup *s, char *out, size_t cap)
{
    char a[16];
    char b[16];
    port_range(s->config.overlay.port, s->shards, a, sizeof(a));
    port_range(s->config.overlay_sip_port, s->shards, b, sizeof(b));
    char tcp[80];
    char udp[48] = "";
    bool has_sip = s->config.sip.family != 0;
    uint16_t ports[PHONE_STREAMS];
    int used = snprintf(tcp, sizeof(tcp), "%s, %s", a, b);
    phone_streams(&s->config, ports);
    for (size_t i = 0; has_sip && i < PHONE_STREAMS; i++) {
        if (ports[i] != 0 && used > 0 && (size_t)used < sizeof(tcp)) {
            used += snprintf(tcp + used, sizeof(tcp) - (size_t)used, ", %u", ports[i]);
        }
    }
    if (has_datagrams(s) && has_sip) {
        (void)snprintf(udp, sizeof(udp), "'{ %s, %u }'", a, s->config.sip.port);
    } else if (has_datagrams(s)) {
        (void)snprintf(udp, sizeof(udp), "%s", a);
    } else if (has_sip) {
        (void)snprintf(udp, sizeof(udp), "%u", s->config.sip.port);
    }
    int len = snprintf(out, cap, "nft add rule inet filter input tcp dport '{ %s }' accept", tcp);
    if (udp[0] != '\0' && len > 0 && (size_t)len < cap) {
        (void)snprintf(out + len, cap - (size_t)len,
                       "; nft add rule inet filter input udp dport %s accept", udp);
    }
}

static uint64_t earliest_expiry_ms(const struct setup *s)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < s->peer_count; i++) {
        first = min_u64(first, s->peers[i].ident.not_after_ms);
    }
    for (size_t i = 0; i < s->account_count; i++) {
        first = min_u64(first, s->accounts[i].ident.not_after_ms);
    }
    return first;
}

static void print_limits(const struct setup *s)
{
    struct limits_line lines[BUDGET_LINES];
    size_t count = 0;
    limits_budget(&s->config.limits, lines, BUDGET_LINES, &count);
    (void)printf("\n%-28s %10s  %-9s %s\n", "limit", "value", "MiB/shard", "what");
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        const char *name = limits_name((enum limit)i);
        char mib[24] = "";
        for (size_t j = 0; j < min_size(count, BUDGET_LINES); j++) {
            if (strcmp(lines[j].name, name) == 0) {
                (void)snprintf(mib, sizeof(mib), "%.1f", (double)lines[j].bytes / 1048576);
            }
        }
        (void)printf("%-28s %10u  %-9s %s\n", name, limits_get(&s->config.limits, (enum limit)i),
                     mib, limits_help((enum limit)i));
    }
}

/* Kinds of the document that this node does without, and why. */
static void print_kinds(const struct setup *s)
{
    (void)printf("Kinds         %zu of the document taken over\n", s->doc.config.kind_count);
    for (size_t i = 0; i < s->doc.kind_count; i++) {
        const struct overlay_doc_kind *k = &s->doc.kinds[i];
        if (k->refusal != NULL && k->name.len > 0) {
            (void)printf("              not %.*s: %s\n", (int)k->name.len,
                         (const char *)k->name.data, k->refusal);
        } else if (k->refusal != NULL) {
            (void)printf("              not %u: %s\n", k->id, k->refusal);
        }
    }
}

static void print_phones(const struct setup *s)
{
    static const char *const names[PHONE_STREAMS] = {"UDP and TCP", "TLS", "WebSocket",
                                                     "WebSocket in TLS"};
    const struct config *c = &s->config;
    const struct address *at[] = {&c->sip, &c->sip6};
    const char *heading = "phones at     ";
    char text[ADDRESS_TEXT_CAP];
    char line[200];
    uint16_t ports[PHONE_STREAMS];
    phone_streams(c, ports);
    for (size_t i = 0; i < ARRAY_COUNT(at) * PHONE_STREAMS; i++) {
        struct address one = *at[i / PHONE_STREAMS];
        one.port = ports[i % PHONE_STREAMS];
        if (one.family != 0 && one.port != 0) {
            (void)printf("%s%s, %s\n", heading, address_text(&one, text), names[i % PHONE_STREAMS]);
            heading = "              ";
        }
    }
    if (sip_cert_is_wanted(c)) {
        sip_cert_names(&s->sip_cert, line, sizeof(line));
        (void)printf("              their certificate is for %s, and ends in %" PRIu64 " days\n",
                     line, (s->sip_cert.names.not_after_ms - s->at_ms) / 86400000);
    }
    if (sip_cert_is_wanted(c) && !s->sip_cert.is_for_domain) {
        (void)printf("              WARNING: it does not name %s (RFC 5922 7.1): phones that look "
                     "for it will not connect\n",
                     s->doc.config.name);
    }
    if (c->sip.family != 0 && c->foreign) {
        (void)printf("              may call other domains, by UDP, TCP%s\n",
                     c->foreign_ca[0] == '\0' ? "; no TLS without foreign-ca" : " and TLS");
    }
    if (c->sip_ws_port != 0 || c->sip_wss_port != 0) {
        (void)printf("              browsers from %s\n",
                     c->sip_ws_origins[0] == '\0' ? "any site" : c->sip_ws_origins);
    }
}

static void print_text(const struct setup *s, bool with_limits)
{
    char text[ADDRESS_TEXT_CAP];
    char line[256];
    size_t count = 0;
    uint64_t budget = limits_budget(&s->config.limits, NULL, 0, &count);
    uint64_t left_ms = earliest_expiry_ms(s) - s->at_ms;
    firewall(s, line, sizeof(line));
    (void)printf("overlay       %s, sequence %u, signature good\n", s->doc.config.name,
                 s->doc.config.sequence);
    print_kinds(s);
    (void)printf("shards        %u of %zu credentials, host %s\n", s->shards, s->peer_count,
                 s->peers[0].ident.user);
    (void)printf("accounts      %zu\n", s->account_count);
    (void)printf("overlay at    %s, advertised as ", address_text(&s->config.overlay, text));
    (void)printf("%s\n", address_text(&s->config.overlay_advertise, text));
    if (s->config.sip.family != 0) {
        print_phones(s);
    } else {
        (void)printf("phones at     nowhere: a storage-only peer\n");
    }
    print_storage(s);
    (void)printf("certificates  good, the first ends in %" PRIu64 " days%s\n", left_ms / 86400000,
                 left_ms < SOON_MS ? ": RENEW" : "");
    (void)printf("memory        %.0f MiB at most: %.1f MiB for each of %u shards\n",
                 (double)(budget * s->shards) / 1048576, (double)budget / 1048576, s->shards);
    (void)printf("ports         free\n");
    (void)printf("firewall      %s\n", line);
    if (with_limits) {
        print_limits(s);
    }
}

static void print_json(const struct setup *s)
{
    char line[256];
    size_t count = 0;
    uint64_t budget = limits_budget(&s->config.limits, NULL, 0, &count);
    firewall(s, line, sizeof(line));
    json_t *nodes = json_array();
    const struct rl_params params = {.node_id_length = s->doc.config.node_id_length};
    for (uint32_t i = 0; i < s->shards; i++) {
        char id[IDS_NODE_TEXT_CAP];
        json_array_append_new(nodes,
                              json_string(ids_node_text(&s->peers[i].ident.node_id, &params, id)));
    }
    bool has_data = s->config.data_dir[0] != '\0';
    json_t *all = json_pack(
        "{s:b, s:s, s:s?, s:I, s:s, s:i, s:I, s:I, s:s, s:o, s:I, s:I, s:I, s:I, "
        "s:s}",
        "ok", 1, "storage_ack", ack_text(s), "data_dir", has_data ? s->config.data_dir : NULL,
        "data_max_bytes", (json_int_t)(has_data ? config_data_bytes(&s->config, s->shards) : 0),
        "overlay", s->doc.config.name, "sequence", (int)s->doc.config.sequence, "shards",
        (json_int_t)s->shards, "credentials", (json_int_t)s->peer_count, "host",
        s->peers[0].ident.user, "node_ids", nodes, "accounts", (json_int_t)s->account_count,
        "certificate_not_after_ms", (json_int_t)earliest_expiry_ms(s), "memory_bytes",
        (json_int_t)(budget * s->shards), "memory_per_shard_bytes", (json_int_t)budget, "firewall",
        line);
    json_dumpf(all, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(all);
}

int cmd_check(int argc, char **argv)
{
    static struct setup setup;
    const char *path = NULL;
    bool is_json = false;
    bool with_limits = false;
    const struct options_item items[] = {
        {"config", 'c', OPTIONS_TEXT, &path, "FILE", "the configuration file"},
        {"limits", 0, OPTIONS_FLAG, &with_limits, NULL, "print every limit and what it takes"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {.usage = "chordial check -c FILE [--limits] [--json]",
                                    .about = "Tests a configuration: files, keys, certificates, "
                                             "the overlay document, ports; prints\n"
                                             "the memory budget and the line for the firewall.",
                                    .example = "    chordial check -c chordial.conf",
                                    .items = items,
                                    .count = ARRAY_COUNT(items),
                                    .words = "",
                                    .words_least = 0,
                                    .words_most = 0};
    char why[SAY_WHY_CAP];
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (path == NULL) {
        say_error("wants a configuration: -c FILE: see --help");
        return CMD_USAGE;
    }
    enum err e = setup_load(path, host_wall_ms(), host_cpu_count(), &setup, why);
    if (e == ERR_OK) {
        e = check_data_dir(&setup, why);
        e = e == ERR_OK ? check_ports(&setup, why) : e;
        let_go();
        e = e == ERR_OK ? setup_memory(&setup, why) : e;
        if (e == ERR_OK && is_json) {
            print_json(&setup);
        } else if (e == ERR_OK) {
            print_text(&setup, with_limits);
        } else if (with_limits) {
            print_limits(&setup); /* what is too large shows there */
        }
        setup_free(&setup);
    }
    if (e != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    return CMD_OK;
}
