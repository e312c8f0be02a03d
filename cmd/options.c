/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/options.h"
#include "cmd/say.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_LONG = 256 };

static void print_help(const struct options *o)
{
    (void)printf("usage: %s\n\n%s\n", o->usage, o->about);
    if (o->count > 0) {
        (void)printf("\noptions:\n");
    }
    for (size_t i = 0; i < o->count; i++) {
        const struct options_item *item = &o->items[i];
        char left[64];
        char letter[8] = "    ";
        if (item->letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", item->letter);
        }
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, item->name,
                       item->argument == NULL ? "" : " ",
                       item->argument == NULL ? "" : item->argument);
        (void)printf("  %-32s %s\n", left, item->help);
    }
    (void)printf("\nexample:\n%s\n", o->example);
}

static bool take_number(const struct options_item *item, const char *text)
{
    char *end = NULL;
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = is_hex ? text + 2 : text; /* a leading 0 is no octal's */
    errno = 0;
    unsigned long long value = strtoull(digits, &end, is_hex ? 16 : 10);
    if (errno != 0 || end == digits || *end != '\0' || !isxdigit((unsigned char)digits[0])) {
        say_error("not a whole number: --%s %s: give digits only, or 0x and hexadecimal ones",
                  item->name, text);
        return false;
    }
    *(uint64_t *)item->out = value;
    return true;
}

static bool take(const struct options_item *item, const char *text)
{
    switch (item->kind) {
    case OPTIONS_FLAG:
        *(bool *)item->out = true;
        return true;
    case OPTIONS_TEXT:
        *(const char **)item->out = text;
        return true;
    case OPTIONS_NUMBER:
        return take_number(item, text);
    case OPTIONS_LIST: {
        struct options_texts *list = item->out;
        if (list->count == OPTIONS_TEXTS_CAP) {
            say_error("too many: --%s: at most %d can be given", item->name, OPTIONS_TEXTS_CAP);
            return false;
        }
        list->texts[list->count++] = text;
        return true;
    }
    }
    UNREACHABLE("kind of option");
}

/* The tables that getopt_long wants. */
static void make_tables(const struct options *o, struct option *longs, char *letters)
{
    CHECK(o->count <= OPTIONS_ITEMS_CAP);
    *letters++ = ':';
    *letters++ = 'h';
    for (size_t i = 0; i < o->count; i++) {
        const struct options_item *item = &o->items[i];
        bool has_argument = item->kind != OPTIONS_FLAG;
        longs[i] = (struct option){.name = item->name,
                                   .has_arg = has_argument ? required_argument : no_argument,
                                   .val = FIRST_LONG + (int)i};
        if (item->letter != 0) {
            *letters++ = item->letter;
            if (has_argument) {
                *letters++ = ':';
            }
        }
    }
    longs[o->count] = (struct option){.name = "help", .has_arg = no_argument, .val = 'h'};
    *letters = '\0';
}

static const struct options_item *item_of(const struct options *o, int value)
{
    for (size_t i = 0; i < o->count; i++) {
        if (value == FIRST_LONG + (int)i || (value < FIRST_LONG && value == o->items[i].letter)) {
            return &o->items[i];
        }
    }
    UNREACHABLE("option");
}

static void complain(const struct options *o, int value, char **argv)
{
    const char *words[OPTIONS_ITEMS_CAP];
    const char *given = argv[optind > 1 ? optind - 1 : 1];
    for (size_t i = 0; i < o->count; i++) {
        words[i] = o->items[i].name;
    }
    const char *near =
        strncmp(given, "--", 2) == 0 ? say_suggestion(given + 2, words, o->count) : NULL;
    if (value == ':') {
        say_error("lacks its value: %s: see --help", given);
    } else if (near != NULL) {
        say_error("unknown option: %s: did you mean --%s?", given, near);
    } else {
        say_error("unknown option: %s: see --help", given);
    }
}

/* As many words as the command takes? */
static bool check_words(const struct options *o, int count, char **words)
{
    if (count < o->words_least) {
        say_error("incomplete: %s: see --help", o->words);
    } else if (count > o->words_most) {
        say_error("a word too many: %s: see --help", words[o->words_most]);
    }
    return count >= o->words_least && count <= o->words_most;
}

bool options_parse(const struct options *o, int argc, char **argv, int *rest, int *status)
{
    struct option longs[OPTIONS_ITEMS_CAP + 2] = {0};
    char letters[2 * OPTIONS_ITEMS_CAP + 3];
    make_tables(o, longs, letters);
    optind = 0; /* glibc: begin anew */
    for (int value = 0; (value = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (value == 'h') {
            print_help(o);
            *status = 0;
            return false;
        }
        bool is_wrong = value == ':' || value == '?';
        if (is_wrong) {
            complain(o, value, argv);
        }
        if (is_wrong || !take(item_of(o, value), optarg)) {
            *status = 2;
            return false;
        }
    }
    *rest = optind;
    if (o->words != NULL && !check_words(o, argc - optind, argv + optind)) {
        *status = 2;
        return false;
    }
    return true;
}
