/* SPDX-License-Identifier: Apache-2.0 */
/* chordial ca init | issue | renew | update: the enrollment authority from the command line; the
 * work is in ca.c. */
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/cmd_ca_renew.h"
#include "cmd/cmd_ca_update.h"
#include "cmd/config.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PASSWORD_CAP = 512, MAX_CREDENTIALS_CAP = 64 };

static int fail(enum err e, const char *why)
{
    say_error("%s", why);
    return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
}

static int print_json(json_t *object)
{
    bool is_done = json_dumpf(object, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(object);
    return is_done ? CMD_OK : CMD_FAILED;
}

/* ---- init ---- */

struct init_options {
    const char *overlay, *digest, *key, *links;
    struct options_texts bootstrap, domains;
    uint64_t replica_min_hosts, max_credentials;
    bool is_json;
};

static bool fill_init(const struct init_options *o, struct ca_init *what)
{
    enum sip_digest ignored;
    if (o->overlay == NULL) {
        say_error("no name: --overlay: give the overlay a DNS name");
        return false;
    }
    if (config_digest(o->digest, &ignored) != ERR_OK) {
        say_error("unknown digest: --digest %s: \"sha-256 md5\" or \"md5\"", o->digest);
        return false;
    }
    if (ca_algorithm(o->key, &what->algorithm) != ERR_OK) {
        say_error("unknown key type: --key %s: ed25519, p256 or rsa2048", o->key);
        return false;
    }
    if (ca_links(o->links, &what->links) != ERR_OK) {
        say_error("unknown links: --links %s: both, tls or dtls", o->links);
        return false;
    }
    if (o->replica_min_hosts < 1 || o->replica_min_hosts > 8 || o->max_credentials < 4 ||
        o->max_credentials > MAX_CREDENTIALS_CAP) {
        say_error("out of range: --replica-min-hosts 1..8, --max-credentials 4..%d: correct it",
                  MAX_CREDENTIALS_CAP);
        return false;
    }
    for (size_t i = 0; i < o->bootstrap.count; i++) {
        struct address *a = &what->bootstrap[what->bootstrap_count];
        if (what->bootstrap_count == CA_BOOTSTRAP_CAP ||
            address_parse(slice_text(o->bootstrap.texts[i]), 6084, a) != ERR_OK) {
            say_error("not an address: --bootstrap %s: write ADDRESS:PORT, at most %d of them",
                      o->bootstrap.texts[i], CA_BOOTSTRAP_CAP);
            return false;
        }
        what->bootstrap_count++;
    }
    what->overlay = o->overlay;
    what->digest = o->digest;
    what->replica_min_hosts = (uint32_t)o->replica_min_hosts;
    what->max_credentials = (uint32_t)o->max_credentials;
    return ca_domains_read(&o->domains, &what->domains);
}

static int run_init(int argc, char **argv)
{
    struct init_options o = {.digest = "sha-256 md5",
                             .key = "ed25519",
                             .links = "both",
                             .replica_min_hosts = 2,
                             .max_credentials = 24};
    const struct options_item items[] = {
        {"overlay", 0, OPTIONS_TEXT, &o.overlay, "NAME", "the overlay's name, a DNS name"},
        {"bootstrap", 0, OPTIONS_LIST, &o.bootstrap, "A:P", "address of a first node (repeat)"},
        {"digest", 0, OPTIONS_TEXT, &o.digest, "LIST", "\"sha-256 md5\" (default) or \"md5\""},
        {"key", 0, OPTIONS_TEXT, &o.key, "TYPE", "ed25519 (default), p256 or rsa2048"},
        {"links", 0, OPTIONS_TEXT, &o.links, "KIND",
         "between nodes: both (default), tls or dtls; bootstrap is tls"},
        {"replica-min-hosts", 0, OPTIONS_NUMBER, &o.replica_min_hosts, "N",
         "copies stand on so many hosts (2)"},
        {"max-credentials", 0, OPTIONS_NUMBER, &o.max_credentials, "N",
         "nodes where one account may register (24)"},
        {"aor-domain", 0, OPTIONS_LIST, &o.domains, "WHAT", CA_DOMAINS_HELP},
        {"json", 0, OPTIONS_FLAG, &o.is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial ca init DIR --overlay NAME [options]",
        .about =
            "Makes a new overlay in DIR: root key and certificate, the signed overlay.xml that\n"
            "every node needs, and an empty user database.  Keep DIR safe and off the nodes.",
        .example = "    chordial ca init ca --overlay voice.example --bootstrap 192.0.2.10:6084",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "DIR (the folder to make)",
        .words_least = 1,
        .words_most = 1};
    struct ca_init what = {.now_ms = host_wall_ms()};
    char why[SAY_WHY_CAP];
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (!fill_init(&o, &what)) {
        return CMD_USAGE;
    }
    what.dir = argv[rest];
    enum err e = ca_init(&what, why);
    if (e != ERR_OK) {
        return fail(e, why);
    }
    if (o.is_json) {
        json_t *made = json_pack("{s:s, s:s, s:s+}", "overlay", what.overlay, "dir", what.dir,
                                 "document", what.dir, "/overlay.xml");
        return print_json(made);
    }
    (void)printf(
        "overlay %s made in %s\n"
        "next: chordial ca issue %s --user host1@%s --out keys      (one for each machine)\n"
        "      chordial ca issue %s --user alice@%s --password-stdin --nodes 2 --out keys\n",
        what.overlay, what.dir, what.dir, what.overlay, what.dir, what.overlay);
    return CMD_OK;
}

/* ---- issue ---- */

/* The first line of stdin. */
static bool read_password(char *out)
{
    if (isatty(STDIN_FILENO)) {
        (void)fprintf(stderr, "password: ");
    }
    if (fgets(out, PASSWORD_CAP, stdin) == NULL) {
        say_error("no password: stdin: --password-stdin reads one line");
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

struct issue_options {
    const char *user, *list, *out, *key, *digest;
    bool has_password, is_json;
    uint64_t nodes, days;
};

static void on_file(void *context, const char *path, const char *node_id)
{
    json_t *files = context;
    if (files == NULL) {
        (void)printf("%s  node-id %s\n", path, node_id);
    } else {
        json_array_append_new(files, json_pack("{s:s, s:s}", "file", path, "node_id", node_id));
    }
}

static bool fill_issue(const struct issue_options *o, struct ca_issue *what)
{
    enum sip_digest ignored;
    bool is_one = (o->user == NULL) != (o->list == NULL) && !(o->list != NULL && o->has_password);
    if (!is_one || o->out == NULL) {
        say_error("incomplete: --out, and --user or --accounts (which has the passwords): see "
                  "--help");
        return false;
    }
    if (o->nodes < 1 || o->nodes > CA_NODES_CAP) {
        say_error("out of range: --nodes %" PRIu64 ": 1..%d", o->nodes, CA_NODES_CAP);
        return false;
    }
    if (o->days < 1 || o->days > CA_DAYS_ROOT) {
        say_error("out of range: --days %" PRIu64 ": 1..%d", o->days, CA_DAYS_ROOT);
        return false;
    }
    if (o->digest != NULL && config_digest(o->digest, &ignored) != ERR_OK) {
        say_error("unknown digest: --digest %s: \"sha-256 md5\" or \"md5\"", o->digest);
        return false;
    }
    if (o->key != NULL && ca_algorithm(o->key, &what->algorithm) != ERR_OK) {
        say_error("unknown key type: --key %s: ed25519, p256 or rsa2048", o->key);
        return false;
    }
    what->user = o->user;
    what->list = o->list;
    what->digest = o->digest;
    what->nodes = (uint32_t)o->nodes;
    what->days = (uint32_t)o->days;
    what->out = o->out;
    return true;
}

static int issue(const struct issue_options *o, struct ca_issue *what)
{
    char password[PASSWORD_CAP];
    char why[SAY_WHY_CAP];
    if (o->has_password) {
        if (!read_password(password)) {
            return CMD_USAGE;
        }
        what->password = password;
    }
    json_t *files = o->is_json ? json_array() : NULL;
    enum err e = ca_issue(what, on_file, files, why);
    explicit_bzero(password, sizeof(password));
    if (o->is_json) {
        json_t *all = json_pack("{s:s?, s:o}", "user", what->user, "keystores", files);
        if (e == ERR_OK) {
            return print_json(all);
        }
        json_decref(all);
    }
    return e == ERR_OK ? CMD_OK : fail(e, why);
}

static int run_issue(int argc, char **argv)
{
    struct issue_options o = {.nodes = 1, .days = CA_DAYS};
    const struct options_item items[] = {
        {"user", 0, OPTIONS_TEXT, &o.user, "U@D", "whom: alice@OVERLAY, or host1@OVERLAY"},
        {"accounts", 0, OPTIONS_TEXT, &o.list, "FILE",
         "many phone accounts: lines of \"NAME@OVERLAY PASSWORD\""},
        {"password-stdin", 0, OPTIONS_FLAG, &o.has_password, NULL,
         "a phone account: its password is the first line of stdin"},
        {"nodes", 0, OPTIONS_NUMBER, &o.nodes, "K", "so many credentials (1)"},
        {"digest", 0, OPTIONS_TEXT, &o.digest, "LIST", "\"sha-256 md5\" or \"md5\""},
        {"key", 0, OPTIONS_TEXT, &o.key, "TYPE", "ed25519, p256 or rsa2048"},
        {"days", 0, OPTIONS_NUMBER, &o.days, "N", "valid for so many days (365)"},
        {"out", 'o', OPTIONS_TEXT, &o.out, "DIR", "folder for <user>.1.pem, <user>.2.pem ..."},
        {"json", 0, OPTIONS_FLAG, &o.is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial ca issue DIR --user U@D | --accounts FILE --out DIR [options]",
        .about =
            "Issues credentials: K keystores, each with a key, a certificate and a Node-ID of\n"
            "its own.  A machine's peers: one for each shard, into the folder `peers` of its\n"
            "configuration.  An account: one for each node where its phone may register, into\n"
            "the folder `accounts` of those nodes.",
        .example = "    echo secret | chordial ca issue ca --user alice@voice.example \\\n"
                   "        --password-stdin --nodes 5 --out keys",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "DIR (the one of `chordial ca init`)",
        .words_least = 1,
        .words_most = 1};
    struct ca_issue what = {.now_ms = host_wall_ms()};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    what.dir = argv[rest];
    return fill_issue(&o, &what) ? issue(&o, &what) : CMD_USAGE;
}

int cmd_ca(int argc, char **argv)
{
    static const struct {
        const char *name, *full;
        int (*run)(int argc, char **argv);
    } parts[] = {{"init", "ca init", run_init},
                 {"issue", "ca issue", run_issue},
                 {"renew", "ca renew", cmd_ca_renew},
                 {"update", "ca update", cmd_ca_update}};
    static const char help[] =
        "usage: chordial ca init DIR --overlay NAME [options]\n"
        "       chordial ca issue DIR --user U@D --out DIR [options]\n"
        "       chordial ca renew DIR KEYSTORE... [options]\n"
        "       chordial ca update DIR [options]\n\n"
        "The enrollment authority of an overlay.  `chordial ca init --help` tells more.\n\n"
        "example:\n    chordial ca init ca --overlay voice.example\n";
    for (size_t i = 0; argc > 1 && i < ARRAY_COUNT(parts); i++) {
        if (strcmp(argv[1], parts[i].name) == 0) {
            say_begin(parts[i].full);
            return parts[i].run(argc - 1, argv + 1);
        }
    }
    bool is_help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (is_help) {
        (void)printf("%s", help);
        return CMD_OK;
    }
    say_error("unknown: %s: `init`, `issue`, `renew` or `update`, see --help",
              argc > 1 ? argv[1] : "(nothing)");
    return CMD_USAGE;
}
