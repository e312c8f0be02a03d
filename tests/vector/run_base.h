/* SPDX-License-Identifier: Apache-2.0 */
/* run_base.h - what the runners of vectors share: reading a vector, saying why it failed, and what
 * one vector must know from others: root certificates and the time to judge by.
 *
 * A runner is  bool run_X(const json_t *vector, char *why, size_t cap)  : true when the code does
 * what the vector says, else `why` says what it did.  It runs the daemon's code and no test
 * framework: build/MODE/vector_test and the Criterion tests use the same runners. */
#pragma once
#include "cmd/verify.h"
#include "codec/stored.h"

typedef bool (*run_base_runner)(const json_t *vector, char *why, size_t cap);

/* Fills `why` and returns false:  return run_base_fail(why, cap, "ttl %u", ttl); */
bool run_base_fail(char *why, size_t cap, const char *format, ...) PRINTF_LIKE(3, 4);

/* The text under `key`, "" when there is none. */
const char *run_base_text(const json_t *o, const char *key);
/* The bytes of a hex string in a heap block of exactly their size, which run_base_free takes; false
 * when it is no hex. */
bool run_base_hex(const json_t *hex, struct slice *out) MUST_USE;
bool run_base_bytes(const json_t *o, const char *key, struct slice *out) MUST_USE;
void run_base_free(struct slice *bytes);
/* 32 hex digits as a Node-ID. */
bool run_base_node(const char *hex, struct node_id *out) MUST_USE;
/* The vector's "data_model", single where there is none; false when that is no model's name. */
bool run_base_model(const json_t *vector, enum stored_model *out) MUST_USE;
/* Must it be as the vector says ("strength": neither should nor advisory)? */
bool run_base_is_must(const json_t *vector);
/* The outcome of a comparison: a difference where the RFC leaves a choice is no failure, but is
 * counted. */
bool run_base_differs(const json_t *vector, char *why, size_t cap, const char *text);
unsigned run_base_differences(void);

/* Takes what other vectors may need from this one; call it for every vector before any is run. */
void run_base_learn(const json_t *vector);
/* What `vector` is to be judged by: the roots that its "trust" names, and its "at" or else the
 * latest one learnt.  False: it names roots that nobody has shown. */
bool run_base_terms(const json_t *vector, const char *trust, struct verify_terms *out) MUST_USE;

/* Calls `use` for each line of a file, with NULL where it is no JSON object; the number of lines,
 * or -1 when the file cannot be read (`why`). */
int run_base_each(const char *path, void (*use)(void *ctx, const json_t *vector, int line),
                  void *ctx, char *why, size_t cap);
