/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_resolve(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial resolve [-s SOCKET] sip:U@D [--json]",
        .about =
            "Shows the way to a user as a caller would see it: the routes of the registrations, "
            "or\n"
            "404 nobody, 480 known but not registered (or there is only a place where messages "
            "are\n"
            "kept), 504 no answer.  Exit status 1 but for 200.",
        .example = "    chordial resolve -s control.sock sip:alice@voice.example",
        .words = "sip:U@D"};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status)
               ? lookup_resolve(a.socket, a.word, a.is_json)
               : status;
}
