/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/lookup.h"
#include "cmd/options.h"

int cmd_ping(int argc, char **argv)
{
    const char *socket = NULL;
    bool is_json = false;
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &socket, "SOCKET", "the node's control-socket"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {.usage = "chordial ping [-s SOCKET] NODE-ID|NAME [--json]",
                                    .about = "Sends a RELOAD Ping through a running node: to a "
                                             "Node-ID of 32 hex digits, or to whoever\n"
                                             "is responsible for a Resource Name.",
                                    .example =
                                        "    chordial ping -s control.sock alice@voice.example",
                                    .items = items,
                                    .count = ARRAY_COUNT(items),
                                    .words = "NODE-ID or NAME",
                                    .words_least = 1,
                                    .words_most = 1};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    return lookup_ping(ask_socket(socket), argv[rest], is_json);
}
