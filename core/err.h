/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - the result of everything that can fail for a reason outside of us. */
#pragma once
#include "core/base.h"

enum err {
#define ERR(name, text) ERR_##name,
#include "core/err.def"
#undef ERR
    ERR_COUNT
};

/* A short lower-case English text for `e`; never NULL, static storage. */
const char *err_text(enum err e);

/* The name as in err.def, lower case, for metrics and JSON ("bad_signature"). */
const char *err_name(enum err e);
