/* SPDX-License-Identifier: Apache-2.0 */
/* wire_meaning.h - what numbers and bytes of a decoded structure mean, for people: names of codes,
 * and the structures inside opaque fields. */
#pragma once
#include "codec/show.h"
#include <jansson.h>

/* The decoded object {"fields": ...}, or NULL with the fault.  The type must be one that
 * codec/show has. */
json_t *wire_meaning_decode(const struct show_context *context, const char *type,
                            struct slice bytes, struct show_fault *fault);

/* The name of the value `v` of member `name` of `parent` (NULL: an item of a list of that name), or
 * NULL. */
const char *wire_meaning_number(const json_t *parent, const char *name, json_int_t v);

/* Puts decoded structures below the bytes that they stand in, as members named like their types:
 * values of known Kinds, what an error is about, extensions, forwarding options, diagnostics. */
void wire_meaning_unfold(const struct show_context *context, json_t *tree);
