/* SPDX-License-Identifier: Apache-2.0 */
/* wire_line.h - the usual line of `decode --batch`, read without building a tree.
 *
 * jansson takes two thirds of the time of such a line.  Lines of this one shape, an object of plain
 * strings, are told here; all others, good or bad, are for jansson to judge. */
#pragma once
#include "core/slice.h"

/* What a line asks; `data` is NULL where it has no such text. */
struct wire_line {
    struct slice type;
    struct slice hex;
    struct slice a;
    struct slice b;
};

/* True: `line` is a JSON object of these four keys at most, none twice, with strings of printable
 * ASCII that have no escapes; *out borrows from it.  False says nothing about the line. */
bool wire_line_read(struct slice line, struct wire_line *out);
