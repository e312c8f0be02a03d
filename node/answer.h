/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - overlay operations for people (ctl, resolve, fetch, store ...) and for the simulator's
 * checks.
 *
 * Each that returned ERR_OK ends in one answer with its tag; ERR_LIMIT: ANSWER_CAP are open.
 * Values of an overlay event are borrowed for one call only, so an answer copies what fits. */
#pragma once
#include "node/node.h"

enum { ANSWER_CAP = 8, ANSWER_VALUES = 16, ANSWER_BYTES = 2048 };

struct answer {
    uint32_t tag;
    enum overlay_event_kind kind; /* OVERLAY_FETCHED, _PONG, _STORED or _ASKED */
    enum err error;
    uint16_t reload_error;
    uint32_t hops;
    uint64_t elapsed_us;
    struct node_id node_id;
    size_t value_count;                         /* of `values`: those that fitted */
    size_t value_total;                         /* that there were */
    struct overlay_value values[ANSWER_VALUES]; /* slices into `bytes` */
    struct slice body; /* OVERLAY_ASKED; ERR_TOO_LARGE when it does not fit */
    uint8_t bytes[ANSWER_BYTES];
    size_t bytes_used;
};

enum err answer_fetch(struct turn *t, struct node *n, const struct overlay_resource *resource,
                      uint32_t kind, uint32_t tag) MUST_USE;
enum err answer_store(struct turn *t, struct node *n, const struct overlay_store *what,
                      uint32_t tag) MUST_USE;
enum err answer_ping(struct turn *t, struct node *n, const struct overlay_resource *resource,
                     uint32_t tag) MUST_USE;
enum err answer_ping_node(struct turn *t, struct node *n, const struct node_id *node_id,
                          uint32_t tag) MUST_USE;
enum err answer_ask(struct turn *t, struct node *n, const struct overlay_ask *what,
                    uint32_t tag) MUST_USE;
bool answer_is_due(const struct node *n);
/* The next finished answer, valid until the next node call; NULL when there is none. */
const struct answer *answer_next(struct node *n);
