/* SPDX-License-Identifier: Apache-2.0 */
/* say.h - what the program tells people on stderr.
 *
 * An error reads `chordial <cmd>: what: where: what to do`, a fact of the start `chordial <cmd>:
 * fact`. Functions of cmd/ that fail write one line of the form `what: where: what to do` into a
 * buffer of SAY_WHY_CAP bytes, which the command prints with say_error. Control bytes in a line are
 * printed as '?'. Threads: each call is one write(2). */
#pragma once
#include "core/err.h"
#include "core/slice.h"

enum { SAY_WHY_CAP = 640 };

/* The command that speaks, a literal such as "ca init". */
void say_begin(const char *command);
void say_error(const char *format, ...) PRINTF_LIKE(1, 2);
void say_line(const char *format, ...) PRINTF_LIKE(1, 2);
/* Fills `why` (SAY_WHY_CAP bytes) and returns `e`: for `return say_why(why, ERR_CONFIG, ...)`. */
enum err say_why(char *why, enum err e, const char *format, ...) PRINTF_LIKE(3, 4);
/* As in a line: control bytes become '?'. */
void say_make_plain(char *text, size_t len);
/* The text of errno. */
const char *say_errno(void);
/* The nearest of `count` words, when it is near enough to have been meant; else NULL. */
const char *say_suggestion(const char *word, const char *const *words, size_t count);
