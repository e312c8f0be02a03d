/* SPDX-License-Identifier: Apache-2.0 */
/* wire_build.h - JSON in the shape of tests/vectors/README.md to bytes of the wire: the inverse of
 * codec/show.
 *
 * The encoding of given fields is unique, so an object that lacks a field or has one too many is
 * refused.  Whether the bytes mean anything is for a decoder to say. */
#pragma once
#include "codec/show.h"
#include <jansson.h>

enum { WIRE_BUILD_PATH_CAP = 160, WIRE_BUILD_WHY_CAP = WIRE_BUILD_PATH_CAP + 96 };

/* Writes what `fields` says as one `type`.  ERR_NOT_FOUND: no such type.  ERR_MALFORMED: *why (of
 * WIRE_BUILD_WHY_CAP bytes) names the field with the path to it, and says what it should be.
 * ERR_TOO_LARGE: something does not fit behind its length, or all of it not into `w`. */
enum err wire_build(const struct show_context *context, const char *type, const json_t *fields,
                    struct wr *w, char *why) MUST_USE;
