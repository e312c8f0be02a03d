/* SPDX-License-Identifier: Apache-2.0 */
/* frag.c - see frag.h.
 *
 * Found by (transaction id, role): a chain of unfinished messages, one for each neighbor.  Found by
 * Node-ID: what a neighbor holds, in the order in which its messages last made progress. */
#include "dht/frag.h"
#include "core/buggify.h"

#include "core/limits.h"
#include "dht/budget.h"
#include "dht/frag_hold.h"
#include "dht/overlay.h"

struct source;

struct unfinished {
    struct wheel_timer timer;
    struct source *source;
    struct unfinished *older, *newer; /* of the source */
    struct unfinished *kin;           /* the same message by way of another source */
    uint64_t transaction_id;
    uint64_t heard_us; /* when it last made progress; 0: is_done */
    handle link;       /* that the header came by */
    bool is_answer;
    bool is_given; /* together with a kin: not a second time */
    bool is_done;  /* given, its bytes are gone */
    struct frag_hold hold;
};

struct source {
    struct node_id id;
    uint32_t messages, blocks;
    struct unfinished *oldest, *newest;
};

struct key {
    uint64_t transaction_id;
    uint64_t is_answer;
};

struct frag {
    struct frag_settings s;
    struct pool unfinished, sources, blocks;
    struct table by_key, by_id;
    uint32_t blocks_per_source; /* UINT32_MAX: any number */
    struct frag_message done;
};

enum { BLOCK_COST = FRAG_HOLD_BLOCK + 2 * sizeof(uint32_t) };
STATIC_CHECK(sizeof(struct unfinished) + sizeof(struct source) + 4 * sizeof(uint32_t) + 32 +
                 8 * (sizeof(struct key) + sizeof(uint32_t)) / 3 +
                 8 * (sizeof(struct node_id) + sizeof(uint32_t)) / 3 <=
             LIMITS_COST_reassemblies);

static uint32_t block_count(const struct frag_settings *s)
{
    return s->bytes / BLOCK_COST;
}

size_t frag_bytes(const struct frag_settings *s)
{
    return sizeof(struct frag) + budget_pool(s->messages, sizeof(struct unfinished)) +
           budget_pool(s->messages, sizeof(struct source)) +
           budget_pool(block_count(s), FRAG_HOLD_BLOCK) +
           budget_table(s->messages, sizeof(struct key)) +
           budget_table(s->messages, sizeof(struct node_id)) + BUDGET_SLACK;
}

struct frag *frag_init(struct turn *t, struct arena *arena, const struct frag_settings *s)
{
    struct frag *fg = ARENA_ARRAY(arena, struct frag, 1);
    fg->s = *s;
    fg->s.max_message_bytes = (uint32_t)min_size(s->max_message_bytes, FRAG_HOLD_BYTES);
    fg->blocks_per_source =
        s->bytes_per_source == 0 ? UINT32_MAX : s->bytes_per_source / BLOCK_COST;
    pool_init(&fg->unfinished, arena, "reassemblies", HANDLE_FRAG, s->messages,
              sizeof(struct unfinished));
    pool_init(&fg->sources, arena, "reassembly_sources", HANDLE_FRAG, s->messages,
              sizeof(struct source));
    pool_init(&fg->blocks, arena, "reassembly_blocks", HANDLE_FRAG, block_count(s),
              FRAG_HOLD_BLOCK);
    table_init(&fg->by_key, arena, s->messages, sizeof(struct key), rng_next(t->rng));
    table_init(&fg->by_id, arena, s->messages, sizeof(struct node_id), rng_next(t->rng));
    return fg;
}

void frag_set_config(struct frag *fg, const struct overlay_config *config)
{
    fg->s.max_message_bytes = (uint32_t)min_size(config->max_message_bytes, FRAG_HOLD_BYTES);
    fg->s.quiet_us = (uint64_t)config->reliability_timer_ms * 1000 / 3;
}

static void count(struct turn *t, enum metric which)
{
    metric_add(t->metrics, which, 1);
}

/* Looking up: the tables name objects in use only. */

static struct source *source_of(const struct frag *fg, const struct node_id *id)
{
    uint32_t index = 0;
    return table_find(&fg->by_id, id, &index) ? pool_next(&fg->sources, &index) : NULL;
}

static struct unfinished *first_of(const struct frag *fg, const struct key *key)
{
    uint32_t index = 0;
    return table_find(&fg->by_key, key, &index) ? pool_next(&fg->unfinished, &index) : NULL;
}

static struct key key_of(const struct unfinished *u)
{
    return (struct key){u->transaction_id, u->is_answer ? 1 : 0};
}

static struct unfinished *find(const struct frag *fg, const struct frag_arrival *a)
{
    struct key key = {a->h->transaction_id, a->is_answer ? 1 : 0};
    struct unfinished *u = first_of(fg, &key);
    while (u != NULL && !ids_node_is_equal(&u->source->id, a->previous_hop)) {
        u = u->kin;
    }
    return u;
}

/* Coming and going */

static void append(struct unfinished *u)
{
    struct source *s = u->source;
    u->newer = NULL;
    u->older = s->newest;
    if (s->newest != NULL) {
        s->newest->newer = u;
    } else {
        s->oldest = u;
    }
    s->newest = u;
}

/* The first to go. */
static void prepend(struct unfinished *u)
{
    struct source *s = u->source;
    u->older = NULL;
    u->newer = s->oldest;
    if (s->oldest != NULL) {
        s->oldest->older = u;
    } else {
        s->newest = u;
    }
    s->oldest = u;
}

static void detach(struct unfinished *u)
{
    struct source *s = u->source;
    if (u->older != NULL) {
        u->older->newer = u->newer;
    } else {
        s->oldest = u->newer;
    }
    if (u->newer != NULL) {
        u->newer->older = u->older;
    } else {
        s->newest = u->older;
    }
}

static void set_first(struct frag *fg, const struct key *key, const struct unfinished *u)
{
    (void)table_remove(&fg->by_key, key);
    if (u != NULL) {
        uint32_t index = handle_index(pool_handle(&fg->unfinished, u));
        enum err e = table_insert(&fg->by_key, key, index);
        CHECK(e == ERR_OK); /* as many as there are unfinished messages */
    }
}

static struct source *begin_source(struct frag *fg, const struct node_id *id)
{
    struct source *s = source_of(fg, id);
    if (s == NULL && (s = pool_acquire(&fg->sources)) != NULL) {
        s->id = *id;
        enum err e = table_insert(&fg->by_id, id, handle_index(pool_handle(&fg->sources, s)));
        CHECK(e == ERR_OK); /* each has an unfinished message */
    }
    return s;
}

static void end_source(struct frag *fg, struct source *s)
{
    if (s->messages == 0) {
        (void)table_remove(&fg->by_id, &s->id);
        pool_release(&fg->sources, s);
    }
}

static struct unfinished *begin(struct turn *t, struct frag *fg, const struct frag_arrival *a)
{
    struct source *s = begin_source(fg, a->previous_hop);
    if (s == NULL) {
        return NULL;
    }
    struct unfinished *u = pool_acquire(&fg->unfinished);
    if (u == NULL) {
        end_source(fg, s);
        return NULL;
    }
    u->source = s;
    u->transaction_id = a->h->transaction_id;
    u->is_answer = a->is_answer;
    struct key key = key_of(u);
    u->kin = first_of(fg, &key);
    set_first(fg, &key, u);
    s->messages++;
    append(u);
    u->timer.tag = pool_handle(&fg->unfinished, u);
    wheel_arm(t->wheel, &u->timer, t->now_us + FRAG_LIFE_US);
    return u;
}

static void forget_bytes(struct frag *fg, struct unfinished *u)
{
    u->source->blocks -= u->hold.block_count;
    frag_hold_clear(&u->hold, &fg->blocks);
}

static void end(struct turn *t, struct frag *fg, struct unfinished *u)
{
    struct key key = key_of(u);
    struct unfinished *before = first_of(fg, &key);
    if (before == u) {
        set_first(fg, &key, u->kin);
    } else {
        while (before->kin != u) {
            before = before->kin;
        }
        before->kin = u->kin;
    }
    struct source *s = u->source;
    wheel_cancel(t->wheel, &u->timer);
    detach(u);
    s->messages--;
    forget_bytes(fg, u);
    end_source(fg, s);
    pool_release(&fg->unfinished, u);
}

static void finish(struct turn *t, struct frag *fg, struct unfinished *u)
{
    forget_bytes(fg, u);
    u->is_done = true;
    u->heard_us = 0;
    detach(u);
    prepend(u);
    wheel_arm(t->wheel, &u->timer, t->now_us + fg->s.quiet_us);
}

/* Room */

struct wish {
    const struct node_id *id;
    const struct unfinished *mine; /* that the room is for: not to be evicted; NULL: a new one */
    uint32_t messages, blocks;
};

static struct unfinished *oldest_of(const struct source *s, const struct unfinished *mine)
{
    struct unfinished *u = s == NULL ? NULL : s->oldest;
    return u != NULL && u == mine ? u->newer : u;
}

static bool may_go(const struct turn *t, const struct frag *fg, const struct unfinished *u)
{
    return u != NULL && (u->is_done || t->now_us - u->heard_us >= fg->s.quiet_us);
}

static uint32_t held_by(const struct source *s, bool by_blocks)
{
    return s == NULL ? 0 : by_blocks ? s->blocks : s->messages;
}

/* Who gives way where the total is used up: a message of the neighbor that holds most of what is
 * wanted, if that is more than the newcomer would then hold; else one that was given, or the one
 * that has been quiet for longest; NULL: nobody. */
static struct unfinished *victim(const struct turn *t, const struct frag *fg, const struct wish *w)
{
    bool by_blocks = fg->unfinished.in_use + w->messages <= fg->unfinished.cap;
    uint32_t after =
        held_by(source_of(fg, w->id), by_blocks) + (by_blocks ? w->blocks : w->messages);
    const struct source *heaviest = NULL;
    struct unfinished *quietest = NULL;
    const struct source *s = NULL;
    for (uint32_t index = 0; (s = pool_next(&fg->sources, &index)) != NULL;) {
        struct unfinished *u = oldest_of(s, w->mine);
        if (held_by(s, by_blocks) > held_by(heaviest, by_blocks)) {
            heaviest = s;
        }
        if (u != NULL && (quietest == NULL || u->heard_us < quietest->heard_us)) {
            quietest = u;
        }
    }
    if (held_by(heaviest, by_blocks) > after) {
        return oldest_of(heaviest, w->mine);
    }
    return may_go(t, fg, quietest) ? quietest : NULL;
}

static bool is_share_used(const struct frag *fg, const struct source *s, const struct wish *w)
{
    uint32_t messages = held_by(s, false) + w->messages;
    return (fg->s.messages_per_source != 0 && messages > fg->s.messages_per_source) ||
           held_by(s, true) + w->blocks > fg->blocks_per_source;
}

static bool is_total_used(const struct frag *fg, const struct wish *w)
{
    return fg->unfinished.in_use + w->messages > fg->unfinished.cap ||
           fg->blocks.in_use + w->blocks > fg->blocks.cap;
}

/* False, and counted, when nobody gives way. */
static bool make_room(struct turn *t, struct frag *fg, const struct wish *w)
{
    for (;;) { /* each time round one less is held */
        const struct source *s = source_of(fg, w->id);
        struct unfinished *u = NULL;
        enum metric why = METRIC_dht_drop_fragment_source;
        if (is_share_used(fg, s, w)) {
            u = oldest_of(s, w->mine);
            u = may_go(t, fg, u) ? u : NULL;
        } else if (is_total_used(fg, w)) {
            u = victim(t, fg, w);
            why = METRIC_dht_drop_fragment_full;
        } else {
            return true;
        }
        if (u == NULL) {
            count(t, why);
            return false;
        }
        if (!u->is_done) {
            count(t, METRIC_dht_drop_fragment_evicted);
        }
        end(t, fg, u);
    }
}

/* Complete */

/* The Via List grows on the way, and nobody there knows how long the whole message is: it
 * does not count, as long as the message can be held. */
static bool is_more(const struct frag *fg, size_t len, size_t via_bytes)
{
    return len - via_bytes > fg->s.max_message_bytes || len > FRAG_HOLD_BYTES;
}

/* The message of `a`, and of `b` where `a` has not all of it. */
static bool give(struct turn *t, struct frag *fg, const struct unfinished *a,
                 const struct unfinished *b)
{
    const struct unfinished *head = b == NULL || a->hold.header_bytes != 0 ? a : b;
    size_t payload = b == NULL || a->hold.end != 0 ? a->hold.end : b->hold.end;
    size_t len = head->hold.header_bytes + payload;
    if (is_more(fg, len, head->hold.via_bytes)) {
        count(t, METRIC_dht_drop_fragment_large);
        return false;
    }
    struct msgbuf *buf = msgbuf_acquire(t->buffers, len);
    if (buf == NULL) {
        count(t, METRIC_dht_drop_no_buffer);
        return false;
    }
    uint8_t *message = msgbuf_data(buf);
    buf->len = (uint32_t)len;
    frag_hold_copy_header(&head->hold, message);
    fragment_put_whole(message, (uint32_t)len);
    frag_hold_copy_payload(&a->hold, message + head->hold.header_bytes);
    if (b != NULL) {
        frag_hold_copy_payload(&b->hold, message + head->hold.header_bytes);
    }
    fg->done =
        (struct frag_message){.buf = buf, .link = head->link, .previous_hop = head->source->id};
    count(t, METRIC_dht_reassembled);
    return true;
}

static void try_to_give(struct turn *t, struct frag *fg, struct unfinished *u)
{
    if (frag_hold_is_complete(&u->hold)) {
        if (give(t, fg, u, NULL)) {
            finish(t, fg, u);
        } else {
            end(t, fg, u);
        }
        return;
    }
    struct key key = key_of(u);
    for (struct unfinished *k = first_of(fg, &key); k != NULL && !u->is_given; k = k->kin) {
        if (k != u && !k->is_given && frag_hold_is_joint(&u->hold, &k->hold)) {
            u->is_given = k->is_given = give(t, fg, u, k);
        }
    }
}

/* Input */

/* FR-2 */
static bool is_short(const struct frag_hold_piece *p)
{
    return p->payload.len == 0 || (!p->is_last && p->payload.len < FRAGMENT_PAYLOAD_MIN);
}

static bool is_large(const struct frag *fg, const struct frag_hold_piece *p)
{
    return is_more(fg, p->header.len + p->from + p->payload.len, p->via_bytes);
}

/* Does it belong to what is here of its message?  If not, that was counted. */
static bool judge(struct turn *t, struct frag *fg, struct unfinished *u,
                  const struct frag_hold_piece *p)
{
    enum metric why = METRIC_dht_drop_fragment_end;
    switch (frag_hold_judge(&u->hold, p)) {
    case FRAG_HOLD_NEW:
        return true;
    case FRAG_HOLD_REPEATED:
        count(t, METRIC_dht_drop_fragment_repeated);
        return false;
    case FRAG_HOLD_DIFFERS:
        why = METRIC_dht_drop_fragment_overlap;
        break;
    case FRAG_HOLD_ENDS:
        break;
    }
    count(t, why);
    end(t, fg, u);
    return false;
}

/* Room for the piece and a place to put it; NULL, and counted, when there is none. */
static struct unfinished *place(struct turn *t, struct frag *fg, const struct frag_arrival *a,
                                struct unfinished *u, const struct frag_hold_piece *p)
{
    static const struct frag_hold nothing;
    struct wish w = {.id = a->previous_hop,
                     .mine = u,
                     .messages = u == NULL ? 1 : 0,
                     .blocks = frag_hold_need(u == NULL ? &nothing : &u->hold, p)};
    if (buggify(t, BUGGIFY_reassembly_full) || !make_room(t, fg, &w)) {
        if (u != NULL) {
            end(t, fg, u); /* FR-5: it can no longer become whole */
        }
        return NULL;
    }
    if (u == NULL && (u = begin(t, fg, a)) == NULL) {
        count(t, METRIC_dht_drop_fragment_full);
    }
    return u;
}

void frag_push(struct turn *t, struct frag *fg, const struct frag_arrival *a)
{
    CHECK(fg->done.buf == NULL);
    struct frag_hold_piece p = {.header = slice_sub(a->message, 0, a->h->header_bytes),
                                .payload = a->h->payload,
                                .via_bytes = (uint32_t)a->h->via_list.len,
                                .from = fwd_offset(a->h),
                                .is_last = fwd_is_last(a->h)};
    struct unfinished *u = find(fg, a);
    if (u != NULL && u->is_done) {
        count(t, METRIC_dht_drop_fragment_repeated);
        return;
    }
    if (is_short(&p)) {
        count(t, METRIC_dht_drop_fragment_short);
        return;
    }
    if (is_large(fg, &p)) {
        count(t, METRIC_dht_drop_fragment_large);
        if (u != NULL) {
            end(t, fg, u);
        }
        return;
    }
    if (u != NULL && !judge(t, fg, u, &p)) {
        return;
    }
    u = place(t, fg, a, u, &p);
    if (u == NULL) {
        return;
    }
    uint32_t blocks = u->hold.block_count;
    bool had_header = u->hold.header_bytes != 0;
    bool is_put = frag_hold_put(&u->hold, &fg->blocks, &p);
    u->source->blocks += u->hold.block_count - blocks;
    if (!is_put) {
        count(t, METRIC_dht_drop_fragment_full);
        end(t, fg, u);
        return;
    }
    count(t, METRIC_dht_fragments);
    if (!had_header && u->hold.header_bytes != 0) {
        u->link = a->link;
    }
    u->heard_us = t->now_us;
    detach(u);
    append(u);
    try_to_give(t, fg, u);
}

bool frag_next(struct frag *fg, struct frag_message *out)
{
    if (fg->done.buf == NULL) {
        return false;
    }
    *out = fg->done;
    fg->done = (struct frag_message){0};
    return true;
}

void frag_on_timer(struct turn *t, struct frag *fg, struct wheel_timer *timer)
{
    struct unfinished *u = pool_get(&fg->unfinished, timer->tag);
    CHECK(u != NULL);
    if (!u->is_given && !u->is_done) {
        count(t, METRIC_dht_drop_fragment_late);
    }
    end(t, fg, u);
}

void frag_clear(struct turn *t, struct frag *fg)
{
    struct unfinished *u = NULL;
    for (uint32_t index = 0; (u = pool_next(&fg->unfinished, &index)) != NULL;) {
        end(t, fg, u);
    }
    struct frag_message message;
    if (frag_next(fg, &message)) {
        msgbuf_release(t->buffers, message.buf);
    }
}

void frag_totals(const struct frag *fg, struct frag_totals *out)
{
    *out = (struct frag_totals){.messages = fg->unfinished.in_use,
                                .sources = fg->sources.in_use,
                                .bytes = fg->blocks.in_use * BLOCK_COST};
}
