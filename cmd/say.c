/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/say.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_CAP = 1024, WORD_CAP = 40 };

static const char *speaker = "";

void say_begin(const char *command)
{
    speaker = command;
}

/* Names and arguments come from anywhere: none of them moves the cursor or begins a line of its
 * own.  Control bytes, and those of U+0080 to U+009F in UTF-8. */
void say_make_plain(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        uint8_t next = i + 1 < len ? (uint8_t)text[i + 1] : 0;
        if (c < 0x20 || c == 0x7f) {
            text[i] = '?';
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            text[i] = '?';
            text[i + 1] = '?';
        }
    }
}

static void write_line(const char *format, va_list args)
{
    char line[LINE_CAP];
    int head = snprintf(line, sizeof(line), "chordial%s%s: ", *speaker == '\0' ? "" : " ", speaker);
    CHECK(head > 0);
    size_t len = min_size((size_t)head, sizeof(line) - 2);
    int used = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    len = min_size(len + (size_t)(used > 0 ? used : 0), sizeof(line) - 2);
    say_make_plain(line, len);
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* there is nobody to tell */
}

void say_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
}

void say_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
}

enum err say_why(char *why, enum err e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, SAY_WHY_CAP, format, args);
    va_end(args);
    return e;
}

const char *say_errno(void)
{
    const char *text = strerrordesc_np(errno);
    return text == NULL ? "unknown error" : text;
}

/* Levenshtein; words are cut at WORD_CAP. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_CAP + 1];
    size_t a_len = min_size(strlen(a), WORD_CAP);
    size_t b_len = min_size(strlen(b), WORD_CAP);
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
            corner = row[j];
            row[j] = min_size(change, 1 + min_size(row[j], row[j - 1]));
        }
    }
    return row[b_len];
}

const char *say_suggestion(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(word);
    size_t best_distance = len < 4 ? 2 : len / 3 + 2; /* nearer than that */
    for (size_t i = 0; i < count; i++) {
        bool is_cut = len > 1 && strncmp(word, words[i], len) == 0;
        size_t d = is_cut ? 1 : distance(word, words[i]);
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}
