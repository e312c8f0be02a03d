/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - items out of one pool, in two lists: by source, and requests by age.  All steps are of
 * constant length, but for making room, which walks the sources. */
#include "dht/inbox.h"
#include "core/buggify.h"

#include "codec/content.h"
#include "core/limits.h"
#include "dht/budget.h"
#include "dht/upkeep.h"

STATIC_CHECK(sizeof(struct inbox_item) <= LIMITS_COST_verify_queue);

enum { CAP_MIN = 4 };
enum { OWES_MAX_US = 128 * INBOX_QUANTUM_US }; /* nobody waits for more turns than that */

/* Each lane can hold something, whatever the configuration says. */
static uint32_t cap_of(uint32_t cap)
{
    return cap < CAP_MIN ? CAP_MIN : cap;
}

size_t inbox_bytes(uint32_t cap)
{
    return (size_t)cap_of(cap) * sizeof(struct inbox_item) +
           (size_t)INBOX_LANES * INBOX_SOURCES * sizeof(struct inbox_pile) + BUDGET_SLACK;
}

void inbox_init(struct inbox *in, struct arena *arena, const struct inbox_limits *limits)
{
    *in = (struct inbox){.limits = *limits};
    in->limits.cap = cap_of(limits->cap);
    in->items = ARENA_ARRAY(arena, struct inbox_item, in->limits.cap);
    for (uint32_t lane = 0; lane < INBOX_LANES; lane++) {
        in->piles[lane] = ARENA_ARRAY(arena, struct inbox_pile, INBOX_SOURCES);
    }
    for (uint32_t i = in->limits.cap; i > 0; i--) {
        in->items[i - 1].after = in->free;
        in->free = i;
    }
}

/* Storage, whatever else sip/ asks for, and documents go to the second lane. */
static enum inbox_lane lane_of(uint16_t code)
{
    switch (code) {
    case CONTENT_STORE_REQ:
    case CONTENT_FETCH_REQ:
    case CONTENT_FIND_REQ:
    case CONTENT_STAT_REQ:
    case CONTENT_APP_ATTACH_REQ:
    case CONTENT_PING_REQ:
    case CONTENT_PROBE_REQ:
    case CONTENT_CONFIG_UPDATE_REQ: /* large, and nothing in the ring waits for it */
        return INBOX_SECOND;
    default:
        return INBOX_FIRST;
    }
}

/* 0: ourselves.  A message without a Via List is of the neighbor itself. */
static uint16_t source_of(handle link, const struct fwd *h)
{
    uint32_t passed_on = h->via_count > 0 ? 1 : 0;
    return (uint16_t)(1 + 2 * (handle_index(link) % INBOX_LINKS) + passed_on);
}

/* ---- lists ---- */

static void queue_pile(struct inbox *in, uint32_t lane, uint32_t index)
{
    in->piles[lane][index].next = 0;
    *(in->last_pile[lane] == 0 ? &in->first_pile[lane]
                               : &in->piles[lane][in->last_pile[lane] - 1].next) = index + 1;
    in->last_pile[lane] = index + 1;
}

static void unqueue_pile(struct inbox *in, uint32_t lane, uint32_t index)
{
    uint32_t previous = 0;
    uint32_t at = in->first_pile[lane];
    while (at != index + 1) {
        CHECK(at != 0);
        previous = at;
        at = in->piles[lane][at - 1].next;
    }
    *(previous == 0 ? &in->first_pile[lane] : &in->piles[lane][previous - 1].next) =
        in->piles[lane][index].next;
    if (in->last_pile[lane] == index + 1) {
        in->last_pile[lane] = previous;
    }
}

static void link_youngest(struct inbox *in, struct inbox_item *item, uint32_t number)
{
    uint32_t older = in->youngest;
    item->older = older;
    item->younger = 0;
    *(older == 0 ? &in->oldest : &in->items[older - 1].younger) = number;
    in->youngest = number;
}

static void unlink_age(struct inbox *in, const struct inbox_item *item)
{
    *(item->older == 0 ? &in->oldest : &in->items[item->older - 1].younger) = item->younger;
    *(item->younger == 0 ? &in->youngest : &in->items[item->younger - 1].older) = item->older;
}

/* A free item, which exists; whoever fills it lets it enter. */
static struct inbox_item *claim(struct inbox *in)
{
    CHECK(in->free != 0);
    struct inbox_item *item = &in->items[in->free - 1];
    in->free = item->after;
    return item;
}

/* One more, or less, of what there is little of. */
static void count_scarce(struct inbox *in, const struct inbox_item *item, int by)
{
    uint32_t one = (uint32_t)by;
    item->pile->large += item->is_large ? one : 0;
    in->large += item->is_large ? one : 0;
    in->reserved[item->is_large] += item->is_reserved ? one : 0;
}

/* Pile and lane are the item's, which was written a moment ago: to read it back would wait. */
static inline void enter(struct inbox *in, struct inbox_item *item, struct inbox_pile *pile,
                         uint32_t lane, bool is_in_front)
{
    uint32_t number = (uint32_t)(item - in->items) + 1;
    uint32_t before = is_in_front ? 0 : pile->newest;
    uint32_t after = is_in_front ? pile->oldest : 0;
    item->before = before;
    item->after = after;
    *(before == 0 ? &pile->oldest : &in->items[before - 1].after) = number;
    *(after == 0 ? &pile->newest : &in->items[after - 1].before) = number;
    if (pile->count++ == 0) {
        queue_pile(in, lane, (uint32_t)(pile - in->piles[lane]));
    }
    in->count[lane]++;
}

/* ... behind its source's others. */
static inline void enter_last(struct inbox *in, struct inbox_item *item, struct inbox_pile *pile,
                              uint32_t lane, bool is_request)
{
    uint32_t number = (uint32_t)(item - in->items) + 1;
    enter(in, item, pile, lane, false);
    pile->ahead = pile->ahead == 0 ? number : pile->ahead;
    if (is_request) {
        link_youngest(in, item, number);
    }
}

static void leave(struct inbox *in, uint32_t number, struct inbox_item *out)
{
    struct inbox_item *item = &in->items[number - 1];
    struct inbox_pile *pile = item->pile;
    *out = *item;
    *(item->before == 0 ? &pile->oldest : &in->items[item->before - 1].after) = item->after;
    *(item->after == 0 ? &pile->newest : &in->items[item->after - 1].before) = item->before;
    if (pile->ahead == number) {
        pile->ahead = item->after;
    }
    if (item->is_request) {
        unlink_age(in, item);
    }
    in->count[item->lane]--;
    if (UNLIKELY(item->is_large || item->is_reserved)) {
        count_scarce(in, item, -1);
    }
    if (--pile->count == 0) {
        unqueue_pile(in, item->lane, (uint32_t)(pile - in->piles[item->lane]));
    }
    item->after = in->free;
    in->free = number;
}

/* ---- coming in ---- */

/* What there may be too little of. */
enum scarce { SCARCE_NOTHING, SCARCE_LANE, SCARCE_ALL, SCARCE_LARGE };

/* What decides whether a message is let in. */
struct arriving {
    struct inbox_pile *pile; /* of its source in its lane */
    uint8_t lane;
    bool is_large;
};

static enum scarce scarcity(const struct inbox *in, const struct arriving *item)
{
    uint32_t cap = in->limits.cap;
    if (item->is_large && in->large == in->limits.large) {
        return SCARCE_LARGE;
    }
    if (inbox_count(in) == cap) {
        return SCARCE_ALL;
    }
    return in->count[item->lane] >= cap - cap / 4 ? SCARCE_LANE : SCARCE_NOTHING;
}

static uint32_t held(const struct inbox_pile *pile, enum scarce what)
{
    return what == SCARCE_LARGE ? pile->large : pile->count;
}

/* The pile that holds most; what we have sent ourselves is left alone.  NULL: there is none. */
static const struct inbox_pile *largest(const struct inbox *in, enum scarce what, uint32_t lane)
{
    const struct inbox_pile *most = NULL;
    for (uint32_t l = 0; l < INBOX_LANES; l++) {
        /* No lane is robbed for the other's sake, but of large buffers. */
        for (uint32_t at = l == lane || what == SCARCE_LARGE ? in->first_pile[l] : 0; at != 0;) {
            const struct inbox_pile *pile = &in->piles[l][at - 1];
            if (at != 1 && held(pile, what) > (most == NULL ? 0 : held(most, what))) {
                most = pile;
            }
            at = pile->next;
        }
    }
    return most;
}

static bool make_room(struct turn *t, struct inbox *in, const struct arriving *item,
                      enum scarce what)
{
    const struct inbox_pile *most = largest(in, what, item->lane);
    if (most == NULL || held(most, what) <= held(item->pile, what) + 1) {
        return false;
    }
    uint32_t number = most->newest;
    while (what == SCARCE_LARGE && !in->items[number - 1].is_large) {
        number = in->items[number - 1].before;
    }
    struct inbox_item loser;
    leave(in, number, &loser);
    msgbuf_release(t->buffers, loser.buf);
    return true;
}

/* There is not enough of `what`: has room been made? */
static bool has_made_room(struct turn *t, struct inbox *in, const struct arriving *item,
                          enum scarce what)
{
    /* this one, or another */
    metric_add(t->metrics,
               what == SCARCE_LARGE ? METRIC_dht_drop_queue_large : METRIC_dht_drop_queue_full, 1);
    bool has_room = make_room(t, in, item, what);
    if (has_room && what == SCARCE_LARGE && scarcity(in, item) != SCARCE_NOTHING) {
        metric_add(t->metrics, METRIC_dht_drop_queue_full, 1);
        has_room = make_room(t, in, item, scarcity(in, item));
    }
    return has_room;
}

/* An item for it, to be filled; NULL: it is not let in. */
static inline struct inbox_item *let_in(struct turn *t, struct inbox *in,
                                        const struct arriving *item)
{
    enum scarce what = scarcity(in, item);
    bool has_room = what == SCARCE_NOTHING || has_made_room(t, in, item, what);
    if (buggify(t, BUGGIFY_inbox_full)) {
        has_room = false;
        metric_add(t->metrics, METRIC_dht_drop_queue_full, 1);
    }
    return has_room ? claim(in) : NULL;
}

/* By numbers, since an empty slice may point nowhere. */
static struct slice moved(struct slice s, uintptr_t by)
{
    return slice_of((const uint8_t *)((uintptr_t)s.data + by), s.len);
}

/* `by`: how far behind where `h` points the message stands now. */
static inline void keep(struct inbox_kept *kept, const struct fwd *h,
                        const struct route_decision *d, uintptr_t by)
{
    struct message *m = &kept->m; /* contents and signer: overlay_serve */
    m->transaction_id = h->transaction_id;
    m->configuration_sequence = h->configuration_sequence;
    m->max_response_length = h->max_response_length;
    m->ttl = h->ttl;
    m->is_own = false;
    m->is_adjacent = h->via_count == 0;
    m->to_resource = d->to_resource;
    m->resource = d->resource;
    m->to = d->to;
    m->via_list = moved(h->via_list, by);
    m->options = moved(h->options, by);
    kept->payload = moved(h->payload, by);
    kept->generation = 0;
    kept->option_flags = h->option_flags;
}

void inbox_keep(struct inbox_kept *kept, const struct fwd *h, const struct route_decision *d,
                handle link, const struct node_id *previous_hop)
{
    keep(kept, h, d, 0);
    kept->m.link = link;
    kept->m.previous_hop = *previous_hop;
}

/* Out of the reserve, if need be, what calls itself upkeep: anybody may, so not all of it. */
static inline struct msgbuf *acquire(struct turn *t, const struct inbox *in, size_t bytes,
                                     uint16_t code, const struct inbox_pile *pile,
                                     bool *is_reserved)
{
    bool is_large = bytes > MSGBUF_SMALL_BYTES;
    *is_reserved = false;
    if (LIKELY(!upkeep_is(code)) || pile->count >= INBOX_UPKEEP_EACH ||
        in->reserved[is_large] >= t->buffers->reserved[is_large] / 2) {
        return msgbuf_acquire(t->buffers, bytes);
    }
    uint64_t taken = t->buffers->from_reserve;
    struct msgbuf *buf = msgbuf_acquire_reserved(t->buffers, bytes);
    *is_reserved = t->buffers->from_reserve != taken;
    return buf;
}

struct inbox_kept *inbox_push(struct turn *t, struct inbox *in, struct slice message,
                              const struct fwd *h, const struct route_decision *d, handle link,
                              const struct node_id *previous_hop)
{
    uint16_t code = inbox_code(h);
    struct arriving what = {.lane = (uint8_t)lane_of(code)};
    what.pile = &in->piles[what.lane][source_of(link, h)];
    bool is_reserved;
    struct msgbuf *buf = acquire(t, in, message.len, code, what.pile, &is_reserved);
    if (buf == NULL) {
        metric_add(t->metrics,
                   message.len > MSGBUF_LARGE_BYTES ? METRIC_dht_drop_too_large
                                                    : METRIC_dht_drop_no_buffer,
                   1);
        return NULL;
    }
    enum err e = msgbuf_append(buf, message);
    CHECK(e == ERR_OK && buf->start >= sizeof(struct inbox_kept));
    struct inbox_kept *kept = (struct inbox_kept *)(void *)buf->storage;
    keep(kept, h, d, (uintptr_t)msgbuf_data(buf) - (uintptr_t)message.data);
    kept->m.link = link;
    kept->m.previous_hop = *previous_hop;
    what.is_large = buf->is_large != 0;
    struct inbox_item *item = let_in(t, in, &what);
    if (item == NULL) {
        msgbuf_release(t->buffers, buf);
        return NULL;
    }
    item->buf = buf;
    item->link = link;
    item->since_us = t->now_us;
    item->pile = what.pile;
    item->code = code;
    item->lane = what.lane;
    item->is_own = false;
    bool is_request = content_is_request(code);
    item->is_request = is_request;
    item->is_large = what.is_large;
    item->is_reserved = is_reserved;
    item->tries = 0;
    if (UNLIKELY(what.is_large || is_reserved)) {
        count_scarce(in, item, 1);
    }
    enter_last(in, item, what.pile, what.lane, is_request);
    metric_add(t->metrics, METRIC_dht_local, 1);
    return kept;
}

void inbox_push_own(struct turn *t, struct inbox *in, struct msgbuf *buf, const struct fwd *h)
{
    uint16_t code = inbox_code(h);
    struct arriving what = {.lane = (uint8_t)lane_of(code)};
    what.pile = &in->piles[what.lane][0];
    struct inbox_item *item = let_in(t, in, &what);
    if (item != NULL) {
        *item = (struct inbox_item){.buf = msgbuf_ref(buf),
                                    .since_us = t->now_us,
                                    .pile = what.pile,
                                    .code = code,
                                    .lane = what.lane,
                                    .is_own = true,
                                    .is_request = content_is_request(code)};
        enter_last(in, item, what.pile, what.lane, content_is_request(code));
    }
}

/* ---- going out ---- */

void inbox_shed(struct turn *t, struct inbox *in)
{
    struct inbox_item item;
    while (in->oldest != 0 && inbox_oldest_us(t, in) >= in->limits.age_us) {
        leave(in, in->oldest, &item);
        msgbuf_release(t->buffers, item.buf);
        metric_add(t->metrics, METRIC_dht_drop_queue_old, 1);
    }
}

/* Whose turn it is in a lane that is not empty: who owes pays with turns. */
static struct inbox_pile *next_pile(struct inbox *in, uint32_t lane)
{
    for (;;) {
        uint32_t index = in->first_pile[lane] - 1;
        struct inbox_pile *pile = &in->piles[lane][index];
        if (in->first_pile[lane] == in->last_pile[lane]) {
            pile->owes_us = 0; /* nobody to be fair to */
            return pile;
        }
        in->first_pile[lane] = pile->next;
        queue_pile(in, lane, index);
        pile->owes_us -= (uint32_t)min_size(pile->owes_us, INBOX_QUANTUM_US);
        if (pile->owes_us == 0) {
            return pile;
        }
    }
}

static uint32_t next_lane(const struct inbox *in)
{
    uint32_t lane = in->taken % 4 == 3 ? INBOX_SECOND : INBOX_FIRST;
    return in->count[lane] > 0 ? lane : INBOX_LANES - 1 - lane;
}

size_t inbox_ahead(struct inbox *in, const struct inbox_item **out, size_t cap)
{
    struct inbox_pile *piles = in->piles[INBOX_SECOND];
    size_t count = 0;
    bool goes_on = true;
    while (goes_on && count < cap) { /* a round of the sources, as if none of them owed */
        goes_on = false;
        for (uint32_t at = in->first_pile[INBOX_SECOND]; at != 0 && count < cap;) {
            struct inbox_pile *pile = &piles[at - 1];
            if (pile->ahead != 0) {
                out[count] = &in->items[pile->ahead - 1];
                pile->ahead = out[count++]->after;
                goes_on = true;
            }
            at = pile->next;
        }
    }
    return count;
}

bool inbox_pop(struct turn *t, struct inbox *in, struct inbox_item *out)
{
    inbox_shed(t, in);
    if (inbox_count(in) == 0) {
        return false;
    }
    uint32_t lane = next_lane(in);
    in->taken++;
    leave(in, next_pile(in, lane)->oldest, out);
    return true;
}

void inbox_put_back(struct inbox *in, const struct inbox_item *item)
{
    struct inbox_item *again = claim(in);
    *again = *item;
    again->is_request = false;
    again->tries++;
    if (item->is_large || item->is_reserved) {
        count_scarce(in, again, 1);
    }
    enter(in, again, item->pile, item->lane, true);
}

void inbox_charge(struct inbox *in, const struct inbox_item *item, uint64_t cost_us)
{
    struct inbox_pile *pile = item->pile;
    (void)in;
    pile->owes_us = (uint32_t)min_u64(pile->owes_us + cost_us, OWES_MAX_US);
}

uint32_t inbox_count(const struct inbox *in)
{
    return in->count[INBOX_FIRST] + in->count[INBOX_SECOND];
}

uint64_t inbox_oldest_us(const struct turn *t, const struct inbox *in)
{
    if (in->oldest == 0) {
        return 0;
    }
    uint64_t since_us = in->items[in->oldest - 1].since_us; /* later than a turn that was kept */
    return t->now_us > since_us ? t->now_us - since_us : 0;
}
