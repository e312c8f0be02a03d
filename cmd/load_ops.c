/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_ops.h"
#include <stdlib.h>
#include <string.h>

enum err load_ops_open(struct load_ops *o, uint32_t cap)
{
    CHECK(cap > 0);
    memset(o, 0, sizeof(*o));
    o->ops = calloc(cap, sizeof(*o->ops));
    if (o->ops == NULL) {
        return ERR_NO_MEMORY;
    }
    o->cap = cap;
    for (uint32_t i = cap; i > 0; i--) {
        o->ops[i - 1].newer = o->free;
        o->free = i;
    }
    return ERR_OK;
}

void load_ops_close(struct load_ops *o)
{
    free(o->ops);
    o->ops = NULL;
}

struct load_op *load_ops_begin(struct load_ops *o, enum load_kind kind, uint64_t intended_ns,
                               uint64_t now_ns, uint64_t *id)
{
    if (o->free == 0) {
        return NULL;
    }
    uint32_t index = o->free - 1;
    struct load_op *op = &o->ops[index];
    CHECK(!op->is_open);
    o->free = op->newer;
    *op = (struct load_op){.intended_ns = intended_ns,
                           .begun_ns = now_ns,
                           .generation = op->generation + 1,
                           .older = o->newest,
                           .kind = kind,
                           .is_open = true};
    if (o->newest != 0) {
        o->ops[o->newest - 1].newer = index + 1;
    } else {
        o->oldest = index + 1;
    }
    o->newest = index + 1;
    *id = (uint64_t)op->generation << 32 | index;
    load_ops_count_begun(o, kind, 1);
    return op;
}

struct load_op *load_ops_find(struct load_ops *o, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    if (index >= o->cap) {
        return NULL;
    }
    struct load_op *op = &o->ops[index];
    return op->is_open && op->generation == (uint32_t)(id >> 32) ? op : NULL;
}

static void release(struct load_ops *o, struct load_op *op)
{
    CHECK(op->is_open);
    if (op->older != 0) {
        o->ops[op->older - 1].newer = op->newer;
    } else {
        o->oldest = op->newer;
    }
    if (op->newer != 0) {
        o->ops[op->newer - 1].older = op->older;
    } else {
        o->newest = op->older;
    }
    op->is_open = false;
    op->newer = o->free;
    o->free = (uint32_t)(op - o->ops) + 1;
}

void load_ops_done(struct load_ops *o, struct load_op *op, uint64_t now_ns)
{
    load_ops_count_done(o, op->kind, op->intended_ns, now_ns);
    release(o, op);
}

void load_ops_fail(struct load_ops *o, struct load_op *op, const char *why)
{
    load_ops_count_failed(o, op->kind, why, 1);
    release(o, op);
}

void load_ops_expire(struct load_ops *o, uint64_t before_ns)
{
    while (o->oldest != 0 && o->ops[o->oldest - 1].begun_ns < before_ns) {
        load_ops_fail(o, &o->ops[o->oldest - 1], "timeout");
    }
}

void load_ops_reset(struct load_ops *o)
{
    CHECK(o->outstanding == 0 && o->oldest == 0);
    memset(o->tallies, 0, sizeof(o->tallies));
    o->last_done_ns = 0;
}

/* ---- counting ---- */

void load_ops_count_begun(struct load_ops *o, enum load_kind kind, uint64_t count)
{
    o->tallies[kind].begun += count;
    o->outstanding += count;
}

void load_ops_count_done(struct load_ops *o, enum load_kind kind, uint64_t intended_ns,
                         uint64_t now_ns)
{
    struct load_ops_tally *t = &o->tallies[kind];
    CHECK(o->outstanding > 0);
    o->outstanding--;
    t->done++;
    load_histogram_add(&t->latency, now_ns > intended_ns ? now_ns - intended_ns : 0);
    o->last_done_ns = now_ns;
}

static void count_error(struct load_ops_tally *t, const char *why, uint64_t count)
{
    uint32_t i = 0;
    while (i < t->error_count && strncmp(t->errors[i].name, why, LOAD_OPS_ERROR_CAP - 1) != 0) {
        i++;
    }
    if (i >= LOAD_OPS_ERRORS - 1) { /* the last place is for all that have none */
        i = LOAD_OPS_ERRORS - 1;
        why = "other";
    }
    struct load_ops_error *e = &t->errors[i];
    if (e->count == 0) {
        t->error_count = i + 1;
        size_t len = min_size(strlen(why), sizeof(e->name) - 1);
        memcpy(e->name, why, len);
        e->name[len] = '\0';
    }
    e->count += count;
}

void load_ops_count_failed(struct load_ops *o, enum load_kind kind, const char *why, uint64_t count)
{
    CHECK(o->outstanding >= count);
    if (count == 0) {
        return;
    }
    o->outstanding -= count;
    o->tallies[kind].failed += count;
    count_error(&o->tallies[kind], why, count);
}

void load_ops_sum(const struct load_ops *o, struct load_ops_tally *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (size_t k = 0; k < LOAD_KINDS; k++) {
        const struct load_ops_tally *t = &o->tallies[k];
        sum->begun += t->begun;
        sum->done += t->done;
        sum->failed += t->failed;
        load_histogram_merge(&sum->latency, &t->latency);
        for (uint32_t i = 0; i < t->error_count; i++) {
            count_error(sum, t->errors[i].name, t->errors[i].count);
        }
    }
}
