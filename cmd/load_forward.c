/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_forward.h"
#include "cmd/load_datagram.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include <stdlib.h>

enum {
    WINDOW_BITS = 17,
    WINDOW = 1 << WINDOW_BITS, /* messages under way of which we know when they were meant to go */
};

/* One generator and its sink. */
struct pair {
    struct load_trunk from, to;
    uint8_t *message; /* ready but for its transaction id */
    uint64_t sent;    /* the number of the next message */
    uint64_t arrived; /* the first number that has neither come nor been given up */
    uint64_t window;
    bool is_full;          /* closed loop: until a part of the window is free again */
    uint64_t strangers;    /* messages that are not of this run, or come after they were given up */
    uint64_t repeats;      /* messages that have come again */
    uint64_t *intended_ns; /* ring of WINDOW; 0: has come already, out of order */
};

struct load_forward {
    struct load *load;
    uint32_t count;
    uint32_t next;
    uint32_t nonce; /* upper bits of the transaction ids of this run */
    size_t len;
    size_t id_at; /* where the transaction id stands in a message */
    struct pair *pairs;
};

enum { ID_OFFSET = 20, NUMBER_BITS = 40 };
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

static uint64_t id_of(const struct load_forward *f, uint64_t number)
{
    return (uint64_t)f->nonce << NUMBER_BITS | (number & NUMBER_MASK);
}

/* ---- the sink ---- */

/* All in front of `number` that have not come. */
static void lose(struct load_forward *f, struct pair *p, uint64_t number)
{
    uint64_t count = 0;
    for (; p->arrived < number; p->arrived++) {
        count += p->intended_ns[p->arrived % WINDOW] != 0 ? 1 : 0;
    }
    load_ops_count_failed(&f->load->ops, LOAD_FORWARD, "lost", count);
}

/* A stream keeps order: what is missing in front is lost.  Over datagrams it may come yet, and what
 * the node repeats may have come already. */
static HOT void arrive(struct load_forward *f, struct pair *p, uint64_t number)
{
    uint64_t *intended_ns = &p->intended_ns[number % WINDOW];
    if (*intended_ns == 0) {
        p->repeats++;
        return;
    }
    if (p->to.datagram == NULL) {
        lose(f, p, number);
    }
    load_ops_count_done(&f->load->ops, LOAD_FORWARD, *intended_ns, f->load->now_ns);
    *intended_ns = 0;
    while (p->arrived < p->sent && p->intended_ns[p->arrived % WINDOW] == 0) {
        p->arrived++;
    }
}

/* At the generator's end: answers and maintenance of the node. */
static void on_generator_message(struct load_trunk *trunk, struct slice message)
{
    (void)message;
    CONTAINER_OF(trunk, struct pair, from)->strangers++;
}

static HOT void on_sink_message(struct load_trunk *trunk, struct slice message)
{
    struct load_forward *f = trunk->user;
    struct pair *p = CONTAINER_OF(trunk, struct pair, to);
    uint64_t id = message.len < FWD_FIXED_BYTES ? 0 : rd_at64(message.data + ID_OFFSET);
    uint64_t number = id & NUMBER_MASK;
    if (id != id_of(f, number) || number < p->arrived || number >= p->sent) {
        p->strangers++; /* the node's own maintenance */
        return;
    }
    arrive(f, p, number);
}

/* ---- the generator ---- */

static bool is_down(const struct pair *p)
{
    return p->from.why != NULL || p->to.why != NULL;
}

/* Nothing can be sent any more: it is not for want of room. */
static bool fail_all(struct load_forward *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (!is_down(&f->pairs[i])) {
            return false;
        }
    }
    if (f->load->s->is_max) {
        return false; /* failing is so quick that there would be no end of it */
    }
    load_ops_count_begun(&f->load->ops, LOAD_FORWARD, 1);
    load_ops_count_failed(&f->load->ops, LOAD_FORWARD, "link_down", 1);
    return true;
}

/* In a closed loop a full window is filled again from three quarters down: else each arrival would
 * let one message go, in a record of its own. */
static bool has_room(const struct load_forward *f, struct pair *p)
{
    uint64_t under_way = p->sent - p->arrived;
    if (!f->load->s->is_max) {
        return under_way < p->window;
    }
    if (under_way >= p->window || under_way <= p->window - p->window / 4) {
        p->is_full = under_way >= p->window;
    }
    return !p->is_full;
}

static HOT bool begin(void *state, enum load_kind kind, uint64_t intended_ns)
{
    struct load_forward *f = state;
    for (uint32_t tries = 0; tries < f->count; tries++) {
        struct pair *p = &f->pairs[f->next];
        f->next = f->next + 1 == f->count ? 0 : f->next + 1;
        if (!has_room(f, p) || p->to.why != NULL) {
            continue;
        }
        uint8_t *at = load_trunk_room(&p->from, f->len);
        if (at == NULL) {
            continue;
        }
        uint64_t id = __builtin_bswap64(id_of(f, p->sent));
        memcpy(at, p->message, f->len);
        memcpy(at + ID_OFFSET, &id, sizeof(id));
        p->intended_ns[p->sent++ % WINDOW] = intended_ns;
        load_ops_count_begun(&f->load->ops, kind, 1);
        return true;
    }
    return fail_all(f);
}

/* What went so long ago that it will not come any more. */
static void give_up(struct load_forward *f, struct pair *p)
{
    uint64_t timeout_ns = f->load->s->timeout_ms * 1000000;
    uint64_t number = p->arrived;
    bool is_over = is_down(p);
    while (number < p->sent &&
           (is_over || p->intended_ns[number % WINDOW] + timeout_ns < f->load->now_ns)) {
        number++;
    }
    lose(f, p, number);
}

static void turn(void *state)
{
    struct load_forward *f = state;
    for (uint32_t i = 0; i < f->count; i++) {
        struct pair *p = &f->pairs[i];
        load_trunk_flush(&p->from);
        load_trunk_flush(&p->to);
        give_up(f, p);
    }
}

/* ---- the message ---- */

/* To the sink's Node-ID, by way of whoever has a link to it: a Fetch request as far as the node can
 * see; nobody reads its body. */
static enum err make_message(struct load_forward *f, const struct load_overlay *o,
                             const struct load_overlay_member *sink, struct pair *p, char *why)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    struct wr d = wr_init(list, sizeof(list));
    struct wr w = wr_init(p->message, f->len);
    fwd_wr_node(&d, &o->params, &sink->keys.ident.node_id);
    struct fwd h = {.overlay = o->params.overlay,
                    .configuration_sequence = o->configuration_sequence,
                    .version = FWD_VERSION,
                    .ttl = o->initial_ttl,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .length = (uint32_t)f->len,
                    .transaction_id = UINT64_C(0x0102030405060708),
                    .destination_list = wr_slice(&d)};
    fwd_wr(&w, &h);
    size_t mark = content_begin(&w, CONTENT_FETCH_REQ);
    uint8_t *body = wr_claim(&w, wr_left(&w) - 4); /* extensions: none */
    if (body == NULL) {
        return say_why(why, ERR_CONFIG, "too short for a message: --size %zu: at least %d", f->len,
                       LOAD_FORWARD_SIZE_MIN);
    }
    rng_fill(&f->load->rng, body, (size_t)(w.at - body));
    content_end(&w, mark);
    CHECK(wr_ok(&w) && wr_len(&w) == f->len);
    CHECK(rd_at64(p->message + ID_OFFSET) == h.transaction_id);
    return ERR_OK;
}

/* `attacher`: NULL for a trunk. */
static enum err open_link(struct load_forward *f, const struct load_overlay *o,
                          const struct load_overlay_member *who, struct load_trunk *attacher,
                          struct load_trunk *out, char *why)
{
    return attacher == NULL ? load_trunk_open(out, f->load, o, who, why)
                            : load_datagram_open(out, f->load, o, who, attacher, why);
}

static enum err open_pair(struct load_forward *f, const struct load_overlay *o, uint32_t number,
                          struct load_trunk *attacher, char *why)
{
    struct pair *p = &f->pairs[number];
    const struct load_overlay_member *sink = &o->members[2 * number + 1];
    p->message = malloc(f->len);
    p->intended_ns = malloc(WINDOW * sizeof(*p->intended_ns));
    if (p->message == NULL || p->intended_ns == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: a pair of trunks: free some");
    }
    p->from.user = p->to.user = f;
    p->from.on_message = on_generator_message;
    p->to.on_message = on_sink_message;
    const struct load_settings *asked = f->load->s;
    p->window = min_u64(max_u64(1, asked->outstanding / asked->connections), WINDOW);
    enum err e = make_message(f, o, sink, p, why);
    if (e == ERR_OK) {
        e = open_link(f, o, sink, attacher, &p->to, why);
    }
    return e == ERR_OK ? open_link(f, o, &o->members[2 * number], attacher, &p->from, why) : e;
}

static enum err open_pairs(struct load_forward *f, const struct load_overlay *o, uint32_t pairs,
                           char *why)
{
    bool is_datagram = f->load->s->links == LOAD_DTLS;
    struct load_trunk attacher = {0};
    enum err e = is_datagram ? load_datagram_attacher(&attacher, f->load, o, why) : ERR_OK;
    while (e == ERR_OK && f->count < pairs) {
        e = open_pair(f, o, f->count, is_datagram ? &attacher : NULL, why);
        f->count++;
    }
    if (is_datagram) {
        load_trunk_close(&attacher);
    }
    return e;
}

enum err load_forward_open(struct load *l, const struct load_overlay *overlay, uint32_t pairs,
                           struct load_forward **out, char *why)
{
    struct load_forward *f = calloc(1, sizeof(*f));
    struct pair *made = calloc(pairs, sizeof(*made));
    *out = NULL;
    if (f == NULL || made == NULL) {
        free(f);
        free(made);
        return say_why(why, ERR_NO_MEMORY, "no memory: pairs of trunks: free some");
    }
    f->load = l;
    f->len = l->s->size_bytes;
    f->pairs = made;
    f->nonce = (uint32_t)rng_next(&l->rng) >> 8 | 1u << 23;
    for (uint32_t i = 0; i < pairs; i++) {
        made[i].from.io.fd = made[i].to.io.fd = -1;
    }
    enum err e = open_pairs(f, overlay, pairs, why);
    *out = f;
    load_add(l, &(struct load_driver){.state = f, .begin = begin, .turn = turn},
             1u << LOAD_FORWARD);
    return e;
}

void load_forward_close(struct load_forward *f)
{
    for (uint32_t i = 0; f != NULL && i < f->count; i++) {
        load_trunk_close(&f->pairs[i].from);
        load_trunk_close(&f->pairs[i].to);
        free(f->pairs[i].message);
        free(f->pairs[i].intended_ns);
    }
    if (f != NULL) {
        free(f->pairs);
    }
    free(f);
}
