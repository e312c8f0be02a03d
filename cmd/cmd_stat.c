/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/lookup.h"

int cmd_stat(int argc, char **argv)
{
    static const struct lookup_help help = {
        .usage = "chordial stat [-s SOCKET] NAME [--kind K] [--json]",
        .about =
            "Asks through a running node what is stored under a Resource Name, without the values\n"
            "themselves (RELOAD Stat): length, hash, storage time, lifetime.  Nothing of it is "
            "signed.",
        .example = "    chordial stat -s control.sock alice@voice.example --kind 16",
        .words = "NAME",
        .has_kind = true};
    struct lookup_asked a;
    int status = 0;
    return lookup_parse(&help, argc, argv, &a, &status)
               ? lookup_stat(a.socket, a.word, a.kind, a.is_json)
               : status;
}
