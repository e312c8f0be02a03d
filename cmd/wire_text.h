/* SPDX-License-Identifier: Apache-2.0 */
/* wire_text.h - decoded structures for people: an indented tree, names beside numbers, long bytes
 * cut short; in colours on a terminal. */
#pragma once
#include "codec/show.h"
#include <stdio.h>

struct wire_text {
    FILE *to;
    bool has_colour;
    bool is_whole; /* bytes are not cut short */
};

/* What `bytes` seem to be: "Message", "FramedMessage", "StunMessage", or NULL when none of
 * them. The first byte of a frame is all that tells it: a capture wants more. */
const char *wire_text_guess(struct slice bytes);

/* Prints `bytes` as one `type`, each line behind `indent` blanks.  When it is refused: what, where,
 * and the bytes around, and ERR_MALFORMED.  A frame's message is printed too,
 * and of a fragment its header. */
enum err wire_text_print(const struct wire_text *t, const struct show_context *context,
                         const char *type, struct slice bytes, unsigned indent) MUST_USE;

/* One line that tells what a Message, a frame or a StunMessage is, without a newline;
 * ERR_MALFORMED: what is wrong with it. */
enum err wire_text_summary(const struct wire_text *t, const struct show_context *context,
                           const char *type, struct slice bytes) MUST_USE;
