/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_ping(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial ping [-s SOCKET] NODE-ID|NAME [--json]",
        .about = "Sends a RELOAD Ping through a running node: to a Node-ID of 32 hex digits, or to "
                 "whoever\n"
                 "is responsible for a Resource Name.",
        .example = "    chordial ping -s control.sock alice@voice.example",
        .words = "NODE-ID or NAME"};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status) ? lookup_ping(a.socket, a.word, a.is_json)
                                                        : status;
}
