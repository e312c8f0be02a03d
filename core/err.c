/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - texts and names of enum err, made from err.def. */
#include "core/err.h"
#include "core/slice.h"

enum { NAME_CAP = 24 };

static const char *const texts[ERR_COUNT] = {
#define ERR(name, text) text,
#include "core/err.def"
#undef ERR
};

/* err.def spells its names in upper case; these macros make the lower-case copies at compile time,
 * since a table filled at run time would be shared between threads. */
#define LOWER(c) ((char)((c) >= 'A' && (c) <= 'Z' ? (c) | 0x20 : (c)))
#define AT(s, i) ((i) < sizeof(s) ? LOWER((s)[(i) < sizeof(s) ? (i) : 0]) : '\0')
#define LOWERED(s)                                                                                 \
    {                                                                                              \
        AT(s, 0), AT(s, 1), AT(s, 2), AT(s, 3), AT(s, 4), AT(s, 5), AT(s, 6), AT(s, 7), AT(s, 8),  \
            AT(s, 9), AT(s, 10), AT(s, 11), AT(s, 12), AT(s, 13), AT(s, 14), AT(s, 15), AT(s, 16), \
            AT(s, 17), AT(s, 18), AT(s, 19), AT(s, 20), AT(s, 21), AT(s, 22), '\0'                 \
    }

#define ERR(name, text) STATIC_CHECK(sizeof(#name) < NAME_CAP);
#include "core/err.def"
#undef ERR

static const char names[ERR_COUNT][NAME_CAP] = {
#define ERR(name, text) LOWERED(#name),
#include "core/err.def"
#undef ERR
};

const char *err_text(enum err e)
{
    return (unsigned)e < ERR_COUNT ? texts[e] : "unknown error";
}

const char *err_name(enum err e)
{
    return (unsigned)e < ERR_COUNT ? names[e] : "unknown";
}
