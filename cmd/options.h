/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the options of one command, as a table: parsing, --help, and what is wrong. */
#pragma once
#include "core/base.h"

enum options_kind {
    OPTIONS_FLAG,   /* out: bool */
    OPTIONS_TEXT,   /* out: const char * */
    OPTIONS_NUMBER, /* out: uint64_t */
    OPTIONS_LIST,   /* out: struct options_texts; may be given several times */
};

enum { OPTIONS_TEXTS_CAP = 32, OPTIONS_ITEMS_CAP = 32 };

struct options_texts {
    const char *texts[OPTIONS_TEXTS_CAP];
    size_t count;
};

struct options_item {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum options_kind kind;
    void *out;
    const char *argument; /* what --help calls it; NULL for a flag */
    const char *help;
};

struct options {
    const char *usage;   /* "chordial ca init DIR --overlay NAME [options]" */
    const char *about;   /* one or more lines */
    const char *example; /* lines, each indented by four */
    const struct options_item *items;
    size_t count;
    const char *words; /* what stands beside the options ("sip:U@D"); NULL: the command looks */
    int words_least, words_most;
};

/* Reads argv[1..].  True: go on; words that are no options stand at argv[*rest] and behind, as many
 * as there may be.  False: help was asked for (*status 0, printed) or something is wrong (*status
 * 2, said). */
bool options_parse(const struct options *o, int argc, char **argv, int *rest, int *status) MUST_USE;
