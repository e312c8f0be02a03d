/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - items out of one pool, in two lists: by source, and requests by age.  All steps are of
 * constant length, but for making room, which walks the sources. */
#include "dht/inbox.h"
#include "core/buggify.h"

#include "codec/content.h"
#include "core/limits.h"
#include "dht/budget.h"
#include "dht/upkeep.h"

STATIC_CHECK(INBOX_FIRST == 0 && INBOX_SECOND == 1 && INBOX_LANES == 2);
STATIC_CHECK(sizeof(struct inbox_pile) == 32); /* found by a shift */
STATIC_CHECK(sizeof(struct inbox_item) <= LIMITS_COST_verify_queue);

enum { CAP_MIN = 4 };
/* Of number 0: no age makes it old. */
#define NEVER_US (UINT64_MAX / 2)
enum { OWES_MAX_US = 128 * INBOX_QUANTUM_US }; /* nobody waits for more turns than that */

/* Each lane can hold something, whatever the configuration says. */
static uint32_t cap_of(uint32_t cap)
{
    return cap < CAP_MIN ? CAP_MIN : cap;
}

size_t inbox_bytes(uint32_t cap)
{
    return (1 + (size_t)cap_of(cap)) * sizeof(struct inbox_item) +
           (size_t)INBOX_LANES * INBOX_SOURCES * sizeof(struct inbox_pile) + BUDGET_SLACK;
}

void inbox_init(struct inbox *in, struct arena *arena, const struct inbox_limits *limits)
{
    *in = (struct inbox){.limits = *limits};
    in->limits.cap = cap_of(limits->cap);
    in->items = ARENA_ARRAY(arena, struct inbox_item, in->limits.cap + 1);
    in->items[0].since_us = NEVER_US;
    for (uint32_t lane = 0; lane < INBOX_LANES; lane++) {
        in->piles[lane] = ARENA_ARRAY(arena, struct inbox_pile, INBOX_SOURCES);
    }
    for (uint32_t i = in->limits.cap; i > 0; i--) {
        in->items[i].after = in->free;
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

/* Of its source, in a lane; the pile 0 is our own.  A message without a Via List is of the neighbor
 * itself. */
static inline struct inbox_pile *pile_of(const struct inbox *in, uint32_t lane, handle link,
                                         const struct fwd *h)
{
    uint32_t passed_on = h->via_count > 0 ? 1 : 0;
    return &in->piles[lane][1 + 2 * (handle_index(link) % INBOX_LINKS) + passed_on];
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

static inline void link_youngest(struct inbox *in, struct inbox_item *item, uint32_t number)
{
    uint32_t older = in->items[0].older;
    item->older = older;
    item->younger = 0;
    in->items[older].younger = number;
    in->items[0].older = number;
}

static inline void unlink_age(struct inbox *in, const struct inbox_item *item)
{
    in->items[item->older].younger = item->younger;
    in->items[item->younger].older = item->older;
}

/* The number of a free item, which exists; whoever fills it lets it enter. */
static inline uint32_t claim(struct inbox *in)
{
    uint32_t number = in->free;
    CHECK(number != 0);
    in->free = in->items[number].after;
    return number;
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
static inline void enter(struct inbox *in, uint32_t number, struct inbox_pile *pile, uint32_t lane,
                         bool is_in_front)
{
    struct inbox_item *item = &in->items[number];
    uint32_t before = is_in_front ? 0 : pile->newest;
    uint32_t after = is_in_front ? pile->oldest : 0;
    item->before = before;
    item->after = after;
    *(before == 0 ? &pile->oldest : &in->items[before].after) = number;
    *(after == 0 ? &pile->newest : &in->items[after].before) = number;
    if (pile->count++ == 0) {
        queue_pile(in, lane, (uint32_t)(pile - in->piles[lane]));
    }
    in->count[lane]++;
}

/* ... behind its source's others. */
static inline void enter_last(struct inbox *in, uint32_t number, struct inbox_pile *pile,
                              uint32_t lane, bool is_request)
{
    enter(in, number, pile, lane, false);
    if (pile->ahead == 0) {
        pile->ahead = number;
    }
    if (is_request) {
        link_youngest(in, &in->items[number], number);
    }
}

static inline void leave(struct inbox *in, uint32_t number, struct inbox_item *out)
{
    struct inbox_item *item = &in->items[number];
    struct inbox_pile *pile = item->pile;
    uint32_t before = item->before, after = item->after;
    *out = *item;
    *(before == 0 ? &pile->oldest : &in->items[before].after) = after;
    *(after == 0 ? &pile->newest : &in->items[after].before) = before;
    if (pile->ahead == number) {
        pile->ahead = after;
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

static inline enum scarce scarcity(const struct inbox *in, uint32_t lane, bool is_large)
{
    uint32_t cap = in->limits.cap;
    if (UNLIKELY(is_large) && in->large == in->limits.large) {
        return SCARCE_LARGE;
    }
    if (inbox_count(in) == cap) {
        return SCARCE_ALL;
    }
    return in->count[lane] >= cap - cap / 4 ? SCARCE_LANE : SCARCE_NOTHING;
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

/* ... for one of `pile`, which is in that lane. */
static bool make_room(struct turn *t, struct inbox *in, const struct inbox_pile *pile,
                      uint32_t lane, enum scarce what)
{
    const struct inbox_pile *most = largest(in, what, lane);
    if (most == NULL || held(most, what) <= held(pile, what) + 1) {
        return false;
    }
    uint32_t number = most->newest;
    while (what == SCARCE_LARGE && !in->items[number].is_large) {
        number = in->items[number].before;
    }
    struct inbox_item loser;
    leave(in, number, &loser);
    msgbuf_release(t->buffers, loser.buf);
    return true;
}

/* There is not enough of `what`: has room been made? */
static NOINLINE bool has_made_room(struct turn *t, struct inbox *in, const struct inbox_pile *pile,
                                   uint32_t lane, enum scarce what)
{
    /* this one, or another */
    metric_add(t->metrics,
               what == SCARCE_LARGE ? METRIC_dht_drop_queue_large : METRIC_dht_drop_queue_full, 1);
    bool has_room = make_room(t, in, pile, lane, what);
    if (has_room && what == SCARCE_LARGE && scarcity(in, lane, true) != SCARCE_NOTHING) {
        metric_add(t->metrics, METRIC_dht_drop_queue_full, 1);
        has_room = make_room(t, in, pile, lane, scarcity(in, lane, true));
    }
    return has_room;
}

/* The number of an item for one of `pile`, to be filled; 0: it is not let in. */
static inline uint32_t let_in(struct turn *t, struct inbox *in, const struct inbox_pile *pile,
                              uint32_t lane, bool is_large)
{
    enum scarce what = scarcity(in, lane, is_large);
    bool has_room = LIKELY(what == SCARCE_NOTHING) || has_made_room(t, in, pile, lane, what);
    if (buggify(t, BUGGIFY_inbox_full)) {
        has_room = false;
        metric_add(t->metrics, METRIC_dht_drop_queue_full, 1);
    }
    return LIKELY(has_room) ? claim(in) : 0;
}

/* By numbers, since an empty slice may point nowhere. */
static struct slice moved(struct slice s, uintptr_t by)
{
    return slice_of((const uint8_t *)((uintptr_t)s.data + by), s.len);
}

/* What the header says; `by`: how far behind where `h` points the message stands now. */
static inline void keep(struct inbox_kept *kept, const struct fwd *h, handle link,
                        const struct node_id *previous_hop, uintptr_t by)
{
    struct message *m = &kept->m; /* contents and signer: overlay_serve */
    m->transaction_id = h->transaction_id;
    m->configuration_sequence = h->configuration_sequence;
    m->max_response_length = h->max_response_length;
    m->ttl = h->ttl;
    m->is_own = false;
    m->is_adjacent = h->via_count == 0;
    m->via_list = moved(h->via_list, by);
    m->options = moved(h->options, by);
    m->link = link;
    m->previous_hop = *previous_hop;
    kept->payload = moved(h->payload, by);
    kept->option_flags = h->option_flags;
}

void inbox_keep(struct inbox_kept *kept, const struct fwd *h, const struct route_decision *d,
                handle link, const struct node_id *previous_hop)
{
    keep(kept, h, link, previous_hop, 0);
    inbox_kept_decided(kept, d->to, d->to_resource, d->resource, 0);
}

/* Out of the reserve, if need be, what calls itself upkeep: anybody may, so not all of it. */
static inline struct msgbuf *acquire_upkeep(struct turn *t, const struct inbox *in, size_t bytes,
                                            const struct inbox_pile *pile, bool *is_reserved)
{
    bool is_large = bytes > MSGBUF_SMALL_BYTES;
    if (pile->count >= INBOX_UPKEEP_EACH ||
        in->reserved[is_large] >= t->buffers->reserved[is_large] / 2) {
        return msgbuf_acquire(t->buffers, bytes);
    }
    uint64_t taken = t->buffers->from_reserve;
    struct msgbuf *buf = msgbuf_acquire_reserved(t->buffers, bytes);
    *is_reserved = t->buffers->from_reserve != taken;
    return buf;
}

static NOINLINE void count_no_buffer(struct turn *t, size_t bytes)
{
    metric_add(t->metrics,
               bytes > MSGBUF_LARGE_BYTES ? METRIC_dht_drop_too_large : METRIC_dht_drop_no_buffer,
               1);
}

struct inbox_kept *inbox_copy(struct turn *t, struct inbox *in, struct slice message,
                              const struct fwd *h, handle link, const struct node_id *previous_hop)
{
    uint16_t code = inbox_code(h);
    bool is_reserved = false;
    struct msgbuf *buf = NULL;
    if (UNLIKELY(upkeep_is(code))) {
        buf = acquire_upkeep(t, in, message.len, pile_of(in, lane_of(code), link, h), &is_reserved);
    } else {
        buf = msgbuf_acquire(t->buffers, message.len);
    }
    if (UNLIKELY(buf == NULL)) {
        count_no_buffer(t, message.len);
        return NULL;
    }
    uint32_t lane = lane_of(code); /* after that call, which need not save it then */
    struct inbox_pile *pile = pile_of(in, lane, link, h);
    bool is_large = message.len > MSGBUF_SMALL_BYTES;
    uint32_t number = let_in(t, in, pile, lane, is_large);
    if (UNLIKELY(number == 0)) {
        msgbuf_release(t->buffers, buf);
        return NULL;
    }
    struct inbox_item *item = &in->items[number];
    bool is_request = content_is_request(code);
    item->buf = buf;
    item->link = link;
    item->since_us = t->now_us;
    item->pile = pile;
    item->code = code;
    item->lane = (uint8_t)lane;
    item->is_request = is_request;
    item->is_own = item->is_large = item->is_reserved = false;
    item->tries = 0;
    if (UNLIKELY(is_large || is_reserved)) {
        item->is_large = is_large;
        item->is_reserved = is_reserved;
        count_scarce(in, item, 1);
    }
    enter_last(in, number, pile, lane, is_request);
    metric_add(t->metrics, METRIC_dht_local, 1);

    uint8_t *to = msgbuf_data(buf); /* room for all of it was asked for */
    memcpy(to, message.data, message.len);
    buf->len = (uint32_t)message.len;
    struct inbox_kept *kept = (struct inbox_kept *)(void *)buf->storage;
    keep(kept, h, link, previous_hop, (uintptr_t)to - (uintptr_t)message.data);
    return kept;
}

void inbox_push_own(struct turn *t, struct inbox *in, struct msgbuf *buf, const struct fwd *h)
{
    uint16_t code = inbox_code(h);
    uint32_t lane = lane_of(code);
    struct inbox_pile *pile = &in->piles[lane][0];
    uint32_t number = let_in(t, in, pile, lane, false);
    if (number != 0) {
        in->items[number] = (struct inbox_item){.buf = msgbuf_ref(buf),
                                                .since_us = t->now_us,
                                                .pile = pile,
                                                .code = code,
                                                .lane = (uint8_t)lane,
                                                .is_own = true,
                                                .is_request = content_is_request(code)};
        enter_last(in, number, pile, lane, content_is_request(code));
    }
}

/* ---- going out ---- */

/* The oldest request is too old. */
static inline bool is_old(const struct turn *t, const struct inbox *in)
{
    const struct inbox_item *oldest = &in->items[in->items[0].younger];
    return oldest->since_us + in->limits.age_us <= t->now_us;
}

static NOINLINE void shed(struct turn *t, struct inbox *in)
{
    struct inbox_item item;
    while (is_old(t, in)) {
        leave(in, in->items[0].younger, &item);
        msgbuf_release(t->buffers, item.buf);
        metric_add(t->metrics, METRIC_dht_drop_queue_old, 1);
    }
}

void inbox_shed(struct turn *t, struct inbox *in)
{
    if (UNLIKELY(is_old(t, in))) {
        shed(t, in);
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

/* ... of one source. */
static inline size_t ahead_of(const struct inbox *in, struct inbox_pile *pile,
                              const struct inbox_item **out, size_t cap)
{
    size_t count = 0;
    uint32_t at = pile->ahead;
    while (at != 0 && count < cap) {
        out[count++] = &in->items[at];
        at = in->items[at].after;
    }
    pile->ahead = at;
    return count;
}

size_t inbox_ahead(struct inbox *in, const struct inbox_item **out, size_t cap)
{
    struct inbox_pile *piles = in->piles[INBOX_SECOND];
    uint32_t first = in->first_pile[INBOX_SECOND];
    if (first == in->last_pile[INBOX_SECOND]) {
        return first == 0 ? 0 : ahead_of(in, &piles[first - 1], out, cap);
    }
    size_t count = 0;
    bool goes_on = true;
    while (goes_on && count < cap) { /* a round of the sources, as if none of them owed */
        goes_on = false;
        for (uint32_t at = first; at != 0 && count < cap;) {
            struct inbox_pile *pile = &piles[at - 1];
            if (pile->ahead != 0) {
                count += ahead_of(in, pile, out + count, 1);
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
    uint32_t lane = in->taken % 4 == 3; /* INBOX_SECOND then */
    if (in->count[lane] == 0) {
        lane ^= 1;
        if (in->count[lane] == 0) {
            return false;
        }
    }
    in->taken++;
    leave(in, next_pile(in, lane)->oldest, out);
    return true;
}

void inbox_put_back(struct inbox *in, const struct inbox_item *item)
{
    uint32_t number = claim(in);
    struct inbox_item *again = &in->items[number];
    *again = *item;
    again->is_request = false;
    again->tries++;
    if (item->is_large || item->is_reserved) {
        count_scarce(in, again, 1);
    }
    enter(in, number, item->pile, item->lane, true);
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
    uint32_t oldest = in->items[0].younger;
    if (oldest == 0) {
        return 0;
    }
    uint64_t since_us = in->items[oldest].since_us; /* later than a turn that was kept */
    return t->now_us > since_us ? t->now_us - since_us : 0;
}
