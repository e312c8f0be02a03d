/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/lookup.h"
#include "cmd/options.h"

int cmd_resolve(int argc, char **argv)
{
    const char *socket = NULL;
    bool is_json = false;
    const struct options_item items[] = {
        {"socket", 's', OPTIONS_TEXT, &socket, "SOCKET", "the node's control-socket"},
        {"json", 0, OPTIONS_FLAG, &is_json, NULL, "print one JSON object"},
    };
    const struct options options = {
        .usage = "chordial resolve [-s SOCKET] sip:U@D [--json]",
        .about =
            "Shows the way to a user as a caller would see it: the routes of the registrations, "
            "or\n"
            "404 nobody, 480 known but not registered, 504 no answer.  Exit status 1 but for 200.",
        .example = "    chordial resolve -s control.sock sip:alice@voice.example",
        .items = items,
        .count = ARRAY_COUNT(items),
        .words = "sip:U@D",
        .words_least = 1,
        .words_most = 1};
    int rest = 0;
    int status = 0;
    if (!options_parse(&options, argc, argv, &rest, &status)) {
        return status;
    }
    return lookup_resolve(ask_socket(socket), argv[rest], is_json);
}
