/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_find(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial find [-s SOCKET] NAME [--kind K] [--json]",
        .about = "Asks through a running node whoever is responsible for a Resource Name which "
                 "Resource-ID\n"
                 "at or behind the name's has something of the Kind there (RELOAD Find): it tells "
                 "that and\n"
                 "no more, `null` when there is none.",
        .example = "    chordial find -s control.sock alice@voice.example --kind 1",
        .words = "NAME",
        .has_kind = true};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status)
               ? lookup_find(a.socket, a.word, a.kind, a.is_json)
               : status;
}
