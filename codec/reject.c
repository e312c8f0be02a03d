/* SPDX-License-Identifier: Apache-2.0 */
/* reject.c - names and texts of enum reject, made from reject.def. */
#include "codec/reject.h"

static const struct {
    const char *name;
    const char *text;
} reasons[REJECT_COUNT] = {
    [REJECT_NONE] = {"none", "nothing is wrong"},
#define REJECT(name, word, text) [REJECT_##name] = {word, text},
#include "codec/reject.def"
};

const char *reject_name(enum reject why)
{
    return reasons[why].name;
}

const char *reject_text(enum reject why)
{
    return reasons[why].text;
}
