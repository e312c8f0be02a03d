/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_record.h"
#include "cmd/load_message.h"
#include "core/os/host.h"
#include <stdio.h>
#include <stdlib.h>

enum { LIFETIME_S = 600, STORE_TRIES = 3, STEP_NS = 10 * 1000 * 1000 };

struct client {
    struct load_trunk trunk;
    struct load_record *all;
    const struct load_overlay_member *member;
    uint64_t stored_ms; /* of its latest Store: each must be newer */
    bool is_stored;
};

struct load_record {
    struct load *load;
    const struct load_overlay *overlay;
    uint32_t count;
    uint32_t next;
    uint64_t mask; /* over ids, so that transaction ids are of this run */
    uint64_t strangers;
    char why[LOAD_OPS_ERROR_CAP]; /* of the latest refusal */
    struct client *clients;
};

static void on_message(struct load_trunk *trunk, struct slice message)
{
    struct client *c = CONTAINER_OF(trunk, struct client, trunk);
    struct load_record *r = c->all;
    struct load_ops *ops = &r->load->ops;
    char why[LOAD_OPS_ERROR_CAP];
    uint64_t id = 0;
    uint16_t code = 0;
    struct load_op *op = NULL;
    if (load_message_judge(r->overlay, message, &id, &code, why)) {
        op = load_ops_find(ops, id ^ r->mask);
    }
    if (op == NULL || op->who != (uint16_t)(c - r->clients)) {
        r->strangers++; /* requests of the node, answers that come too late */
        return;
    }
    uint16_t wanted = op->kind == LOAD_FETCH ? CONTENT_FETCH_ANS : CONTENT_STORE_ANS;
    if (why[0] == '\0' && code != wanted) {
        (void)snprintf(why, sizeof(why), "another_answer");
    }
    if (why[0] != '\0') {
        memcpy(r->why, why, sizeof(r->why));
        load_ops_fail(ops, op, why);
        return;
    }
    c->is_stored = c->is_stored || op->kind == LOAD_STORE;
    load_ops_done(ops, op, r->load->now_ns);
}

static size_t make(struct load_record *r, struct client *c, enum load_kind kind, uint64_t id,
                   uint8_t *out)
{
    uint32_t at = (uint32_t)(c - r->clients);
    struct load_message m = {.overlay = r->overlay,
                             .signer = c->member,
                             .about = r->clients[at + 1 == r->count ? 0 : at + 1].member,
                             .transaction_id = id ^ r->mask,
                             .lifetime_s = LIFETIME_S};
    if (kind == LOAD_FETCH) {
        return load_message_fetch(&m, out);
    }
    c->stored_ms = max_u64(host_wall_ms(), c->stored_ms + 1);
    m.storage_time_ms = c->stored_ms;
    return load_message_store(&m, out);
}

static bool begin_with(struct load_record *r, struct client *c, enum load_kind kind,
                       uint64_t intended_ns)
{
    static uint8_t message[LOAD_MESSAGE_CAP]; /* too large for a frame */
    struct load_ops *ops = &r->load->ops;
    uint64_t id = 0;
    struct load_op *op = load_ops_begin(ops, kind, intended_ns, r->load->now_ns, &id);
    if (op == NULL) {
        return false;
    }
    op->who = (uint16_t)(c - r->clients);
    size_t len = make(r, c, kind, id, message);
    CHECK(len > 0); /* our own: it fits */
    uint8_t *at = load_trunk_room(&c->trunk, len);
    if (at == NULL) {
        load_ops_fail(ops, op, c->trunk.why != NULL ? "link_down" : "send_buffer_full");
        return true;
    }
    memcpy(at, message, len);
    return true;
}

static bool begin(void *state, enum load_kind kind, uint64_t intended_ns)
{
    struct load_record *r = state;
    struct client *c = &r->clients[r->next];
    for (uint32_t tries = 1; c->trunk.why != NULL && tries < r->count; tries++) {
        r->next = r->next + 1 == r->count ? 0 : r->next + 1;
        c = &r->clients[r->next];
    }
    if (c->trunk.why != NULL && r->load->s->is_max) {
        return false; /* failing is so quick that there would be no end of it */
    }
    if (!begin_with(r, c, kind, intended_ns)) {
        return false;
    }
    r->next = r->next + 1 == r->count ? 0 : r->next + 1;
    return true;
}

static void turn(void *state)
{
    struct load_record *r = state;
    for (uint32_t i = 0; i < r->count; i++) {
        load_trunk_flush(&r->clients[i].trunk);
    }
}

/* ---- before ---- */

/* So that there is something to be fetched. */
static enum err store_all(struct load_record *r, char *why)
{
    struct load *l = r->load;
    for (uint32_t i = 0; i < r->count; i++) {
        struct client *c = &r->clients[i];
        for (uint32_t try = 0; !c->is_stored && try < STORE_TRIES && *l->s->stop == 0; try++) {
            uint64_t until_ns = l->now_ns + l->s->timeout_ms * 1000000;
            bool begun = begin_with(r, c, LOAD_STORE, l->now_ns);
            CHECK(begun); /* nothing else is outstanding */
            while (l->ops.outstanding > 0 && l->now_ns < until_ns && *l->s->stop == 0) {
                load_step(l, STEP_NS);
            }
            load_ops_expire(&l->ops, UINT64_MAX);
        }
        if (!c->is_stored) {
            return say_why(why, ERR_REMOTE,
                           "cannot store: the record of %s: %s; is the overlay "
                           "well? (chordial ctl ring)",
                           c->member->keys.ident.user, r->why[0] == '\0' ? "no answer" : r->why);
        }
    }
    load_ops_reset(&l->ops);
    return ERR_OK;
}

enum err load_record_open(struct load *l, const struct load_overlay *overlay, uint32_t first,
                          uint32_t count, struct load_record **out, char *why)
{
    CHECK(first + count <= overlay->member_count && count > 0);
    struct load_record *r = calloc(1, sizeof(*r));
    struct client *clients = calloc(count, sizeof(*clients));
    *out = NULL;
    if (r == NULL || clients == NULL) {
        free(r);
        free(clients);
        return say_why(why, ERR_NO_MEMORY, "no memory: clients: free some");
    }
    *r = (struct load_record){
        .load = l, .overlay = overlay, .mask = rng_next(&l->rng) << 32, .clients = clients};
    *out = r;
    load_add(l, &(struct load_driver){.state = r, .begin = begin, .turn = turn},
             1u << LOAD_FETCH | 1u << LOAD_STORE);
    enum err e = ERR_OK;
    while (e == ERR_OK && r->count < count) {
        struct client *c = &clients[r->count];
        c->all = r;
        c->member = &overlay->members[first + r->count];
        c->trunk.on_message = on_message;
        e = load_trunk_open(&c->trunk, l, overlay, c->member, why);
        r->count++;
    }
    return e == ERR_OK ? store_all(r, why) : e;
}

void load_record_close(struct load_record *r)
{
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        load_trunk_close(&r->clients[i].trunk);
    }
    if (r != NULL) {
        free(r->clients);
    }
    free(r);
}
