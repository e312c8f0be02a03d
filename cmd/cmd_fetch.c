/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_fetch(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial fetch [-s SOCKET] NAME [--kind K] [--json]",
        .about =
            "Fetches what is stored under a Resource Name (a user name, for instance) through a\n"
            "running node, and prints the values that proved themselves.",
        .example = "    chordial fetch -s control.sock alice@voice.example --kind 1",
        .words = "NAME",
        .has_kind = true};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status)
               ? lookup_fetch(a.socket, a.word, a.kind, a.is_json)
               : status;
}
