/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/lookup.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "dht/overlay.h"
#include <inttypes.h>

int cmd_fetch(int argc, char **argv)
{
    const char *socket = NULL;
    bool is_json = false;
    uint64_t kind = OVERLAY_KIND_SIP_REGISTRATION;
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &socket, "SOCKET", "the node's control-socket"},
        {"kind", 0, OPTIONS_NUMBER, &kind, "K", "Kind-ID: 1 SIP-REGISTRATION (default), 3, 16"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial fetch [-s SOCKET] NAME [--kind K] [--json]",
        .about =
            "Fetches what is stored under a Resource Name (a user name, for instance) through a\n"
            "running node, and prints the values that proved themselves.",
        .example = "    chordial fetch -s control.sock alice@voice.example --kind 1",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "NAME",
        .words_least = 1,
        .words_most = 1};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    if (kind == 0 || kind > UINT32_MAX) {
        say_error("not a Kind-ID: --kind %" PRIu64 ": 1 to 4294967295", kind);
        return CMD_USAGE;
    }
    return lookup_fetch(ask_socket(socket), argv[rest], (uint32_t)kind, is_json);
}
