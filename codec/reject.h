/* SPDX-License-Identifier: Apache-2.0 */
/* reject.h - why a decoder refuses bytes, in one word for programs and one sentence for people.
 *
 * Protocol code needs no more than ERR_MALFORMED; decode, the fuzz targets and whoever debugs an
 * interoperation want to know what is wrong and where (struct rd). */
#pragma once
#include "core/base.h"

enum reject {
    REJECT_NONE,
#define REJECT(name, word, text) REJECT_##name,
#include "codec/reject.def"
    REJECT_COUNT
};

/* "inner_length"; "none" for REJECT_NONE.  Static storage, never NULL. */
const char *reject_name(enum reject why);
/* "a length disagrees with what it frames" */
const char *reject_text(enum reject why);
