/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - the client of the admin socket, and how its answers are printed: shared by ctl, resolve,
 * fetch and ping. */
#pragma once
#include "cmd/say.h"
#include <jansson.h>

enum { ASK_TIMEOUT_S = 40, ASK_BYTES_CAP = 64 * 1024 * 1024 };

/* The socket to use: `given`, else $CHORDIAL_SOCKET, else the packaged one. */
const char *ask_socket(const char *given);
/* Sends `request` (which is given to json_decref) and reads one answer, to be given to json_decref.
 * An answer with a member "error" at its top is a failure. */
enum err ask_node(const char *path, json_t *request, json_t **answer, char *why) MUST_USE;
/* The same; ERR_IO when nothing comes for `timeout_ms`. */
enum err ask_node_within(const char *path, uint32_t timeout_ms, json_t *request, json_t **answer,
                         char *why) MUST_USE;

/* One JSON object or array on stdout, compact, on a line. */
void ask_print_json(const json_t *value);

/* Strings of an answer may be a stranger's (a URI that somebody has stored under his name): before
 * any of them is printed as it is, so that it tells the terminal nothing. */
void ask_make_plain(json_t *value);

struct ask_column {
    const char *key;
    const char *title;
};
/* A table of the objects in `rows`: as wide as it needs, null as "-". */
void ask_print_table(const json_t *rows, const struct ask_column *columns, size_t count);
