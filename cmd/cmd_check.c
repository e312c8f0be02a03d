/* SPDX-License-Identifier: Apache-2.0 */
/* chordial check: everything that can be known of a configuration without starting the node. */
#include "cmd/check_show.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

static enum err check_sip_ports(const struct config *c, char *why)
{
    const struct address *at[] = {&c->sip, &c->sip6};
    uint16_t ports[CONFIG_PHONE_PORTS];
    enum err e = ERR_OK;
    config_phone_ports(c, ports);
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        if (e == ERR_OK && at[i]->family != 0) {
            e = check_port(at[i], ports[0], SOCK_DGRAM, why);
        }
        for (size_t k = 0; e == ERR_OK && at[i]->family != 0 && k < CONFIG_PHONE_PORTS; k++) {
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
            check_show_json(&setup, with_limits);
        } else if (e == ERR_OK) {
            check_show_text(&setup, with_limits);
        } else if (with_limits) {
            check_show_limits(&setup); /* what is too large shows there */
        }
        setup_free(&setup);
    }
    if (e != ERR_OK) {
        say_error("%s", why);
        return CMD_USAGE;
    }
    return CMD_OK;
}
