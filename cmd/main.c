/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the command and lets it do the rest. */
#include "cmd/cmd.h"
#include "cmd/say.h"
#include <stdio.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
#define COMMAND(name, help) {#name, cmd_##name, help},
#include "cmd/cmd.def"
#undef COMMAND
};

/* Changes when somebody who runs it has to know. */

static void print_help(FILE *to)
{
    (void)fprintf(
        to, "usage: chordial COMMAND [options] | --help | --version\n\n"
            "A super-peer for P2P telephony: RELOAD overlay node and SIP registrar in one.\n\n"
            "commands:\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    }
    (void)fprintf(
        to, "\n`chordial COMMAND --help` tells more.\n\nexample:\n    chordial demo --once\n");
}

static int refuse(const char *word)
{
    const char *names[ARRAY_COUNT(commands)];
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        names[i] = commands[i].name;
    }
    const char *near = say_suggestion(word, names, ARRAY_COUNT(commands));
    if (near != NULL) {
        say_error("unknown command: %s: did you mean `%s`?", word, near);
    } else {
        say_error("unknown command: %s: `chordial --help` lists them", word);
    }
    return CMD_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CMD_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return CMD_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("chordial %s (RELOAD 1.0, SIP 2.0; %s)\n", CMD_VERSION, COMPILER);
        return CMD_OK;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            say_begin(commands[i].name);
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return refuse(argv[1]);
}
