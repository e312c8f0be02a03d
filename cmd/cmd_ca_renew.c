/* SPDX-License-Identifier: Apache-2.0 */
/* chordial ca renew: certificates that end are made anew; the work is in ca_renew.c. */
#include "cmd/cmd_ca_renew.h"
#include "cmd/ca.h"
#include "cmd/ca_renew.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "core/os/host.h"
#include <jansson.h>
#include <limits.h>
#include <stdio.h>

/* One keystore; a line about it, or an entry in `files`. */
static int renew(const struct ca_renew *what, json_t *files)
{
    char why[SAY_WHY_CAP];
    char node_id[IDS_NODE_TEXT_CAP];
    enum err e = ca_renew(what, node_id, why);
    if (e != ERR_OK) {
        say_error("%s", why);
        return CMD_FAILED;
    }
    if (files == NULL) {
        (void)printf("%s  node-id %s  %u days\n", what->path, node_id, what->days);
    } else {
        json_array_append_new(files,
                              json_pack("{s:s, s:s}", "file", what->path, "node_id", node_id));
    }
    return CMD_OK;
}

int cmd_ca_renew(int argc, char **argv)
{
    uint64_t days = CA_DAYS;
    bool is_json = false;
    const struct options_item items[] = {
        {"days", 0, OPTIONS_NUMBER, &days, "N", "valid for so many days from now (365)"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial ca renew DIR KEYSTORE... [options]",
        .about = "Makes the certificates of keystores anew, before or after they end: user,\n"
                 "Node-ID, key and password stay, so a node that is restarted with them is the\n"
                 "peer it was and finds its data-dir.  The files are replaced.  One that\n"
                 "DIR/users.json does not know is refused.",
        .example = "    chordial ca renew ca node1/peers/*.pem node1/accounts/*.pem",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "DIR KEYSTORE...",
        .words_least = 2,
        .words_most = INT_MAX};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (days < 1 || days > CA_DAYS_ROOT) {
        say_error("out of range: --days 1..%d: correct it", CA_DAYS_ROOT);
        return CMD_USAGE;
    }
    struct ca_renew what = {.dir = argv[rest], .days = (uint32_t)days, .now_ms = host_wall_ms()};
    json_t *files = is_json ? json_array() : NULL;
    for (int i = rest + 1; i < argc && status == CMD_OK; i++) {
        what.path = argv[i];
        status = renew(&what, files);
    }
    if (is_json) { /* also what was done before one failed */
        json_t *all = json_pack("{s:o}", "keystores", files);
        if (json_dumpf(all, stdout, JSON_COMPACT) == 0) {
            (void)putchar('\n');
        }
        json_decref(all);
    }
    return status;
}
