/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_route(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial route [-s SOCKET] NODE-ID|NAME [--json]",
        .about = "Shows the way to a Node-ID of 32 hex digits or to whoever is responsible for a "
                 "Resource\n"
                 "Name: asks the node, and then each peer that was named, whom it would send to "
                 "(RELOAD\n"
                 "RouteQuery), until one names itself.",
        .example = "    chordial route -s control.sock alice@voice.example",
        .words = "NODE-ID or NAME"};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status) ? lookup_route(a.socket, a.word, a.is_json)
                                                        : status;
}
