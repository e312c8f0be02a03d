/* SPDX-License-Identifier: Apache-2.0 */
/* load_ops.h - what was begun, what became of it, and what is still outstanding.
 *
 * Every operation ends in exactly one way: done, or an error that has a name.  So at any moment
 * begun = done + errors + outstanding, for each kind and in all.
 *
 * Owner:  plain memory of the run; one thread.   Time: an argument.
 * Limits: `cap` outstanding; LOAD_OPS_ERRORS names of errors for a kind, others count as "other".
 */
#pragma once
#include "cmd/load_histogram.h"
#include "core/err.h"

enum load_kind {
    LOAD_FORWARD,
    LOAD_FETCH,
    LOAD_STORE,
    LOAD_REGISTER,
    LOAD_OPTIONS,
    LOAD_INVITE,
    LOAD_KINDS
};

enum { LOAD_OPS_ERRORS = 24, LOAD_OPS_ERROR_CAP = 40 };

struct load_ops_error {
    char name[LOAD_OPS_ERROR_CAP]; /* "timeout", "status_503", "lost" */
    uint64_t count;
};

struct load_ops_tally {
    uint64_t begun;
    uint64_t done;
    uint64_t failed;
    struct load_ops_error errors[LOAD_OPS_ERRORS];
    uint32_t error_count;
    struct load_histogram latency; /* nanoseconds from the intended time to the end, done ones */
};

struct load_op {
    uint64_t intended_ns;
    uint64_t begun_ns;
    uint32_t generation;
    uint32_t older,
        newer; /* index + 1, by the time of their begin; free ones are chained by newer */
    enum load_kind kind;
    bool is_open;
    /* the driver's own */
    uint8_t step;
    uint8_t tries;
    uint16_t who;
    uint32_t number;
    uint64_t answered_ns;
};

struct load_ops {
    struct load_op *ops;
    uint32_t cap;
    uint32_t free;           /* index + 1, as the next two */
    uint32_t oldest, newest; /* of those that are open */
    uint64_t outstanding;    /* those that only count (load_ops_count_begun) included */
    uint64_t last_done_ns;
    struct load_ops_tally tallies[LOAD_KINDS];
};

/* ERR_NO_MEMORY. */
enum err load_ops_open(struct load_ops *o, uint32_t cap) MUST_USE;
void load_ops_close(struct load_ops *o);

/* A new operation, its id in *id; NULL: `cap` are outstanding. */
struct load_op *load_ops_begin(struct load_ops *o, enum load_kind kind, uint64_t intended_ns,
                               uint64_t now_ns, uint64_t *id);
/* NULL: it is over, or never was. */
struct load_op *load_ops_find(struct load_ops *o, uint64_t id);
void load_ops_done(struct load_ops *o, struct load_op *op, uint64_t now_ns);
void load_ops_fail(struct load_ops *o, struct load_op *op, const char *why);
/* Ends what was begun before `before_ns` with the error "timeout". */
void load_ops_expire(struct load_ops *o, uint64_t before_ns);

/* Forgets what has been counted, when nothing is outstanding: preparations are over. */
void load_ops_reset(struct load_ops *o);

/* The same for a driver that keeps its operations by itself. */
void load_ops_count_begun(struct load_ops *o, enum load_kind kind, uint64_t count);
void load_ops_count_done(struct load_ops *o, enum load_kind kind, uint64_t intended_ns,
                         uint64_t now_ns);
void load_ops_count_failed(struct load_ops *o, enum load_kind kind, const char *why,
                           uint64_t count);

/* All kinds together, into `sum`, which is overwritten. */
void load_ops_sum(const struct load_ops *o, struct load_ops_tally *sum);
