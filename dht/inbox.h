/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - the verification queue: messages for us that wait for their signature to be checked.
 *
 * Forwarding never waits behind it, since overlay_work drains it at the end of the turn within a
 * budget.  What we send to ourselves goes through here too: no recursion, one road for all.
 *
 * Order: two lanes.  What keeps the ring together (and answers to us) goes first, but every fourth
 * message taken is of the other lane, so that neither starves.  In a lane the sources take turns,
 * and each is served oldest first.  A source is a neighbor, or what that neighbor passes on for
 * others: its own Updates do not stand behind a flood that only came its way.  Turns are paid in
 * modelled microseconds (inbox_charge): who asks for dearer signatures is served less often.
 *
 * Limits:  `cap` messages; no lane takes the last quarter, which the other may need; `large` of
 * them in large buffers, which links need too.  When there is no room, the newest message of the
 * source that holds most makes room for one that holds less: nobody alone fills it.  What calls
 * itself upkeep may be in a buffer of the reserve (dht/upkeep.h), which is a claim that nobody has
 * proved yet: half of the reserve, INBOX_UPKEEP_EACH for each source.  A request that
 * has waited for `age_us` is dropped, since its sender has sent it again by then. */
#pragma once
#include "core/turn.h"
#include "dht/message.h"
#include "dht/route.h"

enum {
    INBOX_LINKS = 64, /* links that are told apart: by index modulo, some may share */
    INBOX_SOURCES = 1 + 2 * INBOX_LINKS,
    INBOX_QUANTUM_US = 16, /* what a turn is worth: the cheapest of signatures */
    INBOX_UPKEEP_EACH = 8, /* a source that has so many waiting gets no buffer of the reserve */
};

enum inbox_lane { INBOX_FIRST, INBOX_SECOND, INBOX_LANES };

struct inbox_pile;

struct inbox_item {
    _Alignas(64) struct msgbuf *buf; /* the whole message; an item is one cache line */
    uint64_t since_us;
    handle link;             /* 0: from ourselves */
    struct inbox_pile *pile; /* of its source in its lane */
    /* numbers, 0 = none */
    uint32_t before, after;  /* in its pile; `after` of a free one: the next free */
    uint32_t older, younger; /* requests of all sources, in a circle through number 0 */
    uint16_t code;
    uint8_t lane; /* enum inbox_lane */
    bool is_request;
    bool is_own;
    bool is_large;    /* holds one of the large buffers that are counted here */
    bool is_reserved; /* ... of the reserve */
    uint8_t tries;    /* how often it was taken and put back: then its sender is proved */
};

/* What is known of a message before it is taken, kept in front of it in its buffer. */
struct inbox_kept {
    struct message m;     /* what header and routing decision say of it */
    struct slice payload; /* behind the header */
    uint64_t generation;  /* of the table then; 0: not said */
    uint8_t option_flags; /* as in struct fwd */
};
STATIC_CHECK(sizeof(struct inbox_kept) <= MSGBUF_HEADROOM);

/* What one source has in one lane. */
struct inbox_pile {
    uint32_t oldest, newest; /* items; 0 = none */
    uint32_t count;
    uint32_t large;
    uint32_t owes_us;
    uint32_t next;  /* that has its turn after this one, index + 1 */
    uint32_t ahead; /* the oldest that inbox_ahead has not given; 0 = none */
    uint32_t spare;
};

struct inbox_limits {
    uint32_t cap;
    uint32_t large;
    uint64_t age_us;
};

struct inbox {
    struct inbox_limits limits;
    /* By number, from 1 on.  Number 0 is in front of the oldest request and behind the youngest, so
     * that neither is a case of its own. */
    struct inbox_item *items;
    struct inbox_pile *piles[INBOX_LANES];
    uint32_t first_pile[INBOX_LANES], last_pile[INBOX_LANES]; /* turns, index + 1 */
    uint32_t count[INBOX_LANES];
    uint32_t large;
    uint32_t reserved[2]; /* items in buffers of the reserve, small and large */
    uint32_t free;
    uint32_t taken; /* for taking turns between the lanes */
};

size_t inbox_bytes(uint32_t cap);
void inbox_init(struct inbox *in, struct arena *arena, const struct inbox_limits *limits);

/* Copies `message`, whose decoded header is `h`, and keeps what the header says for inbox_kept_of;
 * what the routing decision says is for the caller to add: inbox_kept_decided.  What is kept, until
 * it is popped; NULL, and counted in a metric, when there is no room. */
struct inbox_kept *inbox_copy(struct turn *t, struct inbox *in, struct slice message,
                              const struct fwd *h, handle link, const struct node_id *previous_hop);
/* Whom of ours, or which resource, it is for; `generation` of the table then, 0: not said. */
static inline void inbox_kept_decided(struct inbox_kept *kept, const struct ident *to,
                                      bool to_resource, struct ring_id resource,
                                      uint64_t generation)
{
    kept->m.to = to;
    kept->m.to_resource = to_resource;
    kept->m.resource = resource;
    kept->generation = generation;
}
/* NULL for what we have sent ourselves.  Borrowed from the buffer. */
static inline struct inbox_kept *inbox_kept_of(const struct inbox_item *item)
{
    return item->is_own ? NULL : (struct inbox_kept *)(void *)item->buf->storage;
}
/* All of it, for a message that stands where `h` points into; the decision is LOCAL. */
void inbox_keep(struct inbox_kept *kept, const struct fwd *h, const struct route_decision *d,
                handle link, const struct node_id *previous_hop);
/* A message of ours for ourselves; takes a reference to `buf`. */
void inbox_push_own(struct turn *t, struct inbox *in, struct msgbuf *buf, const struct fwd *h);
/* Drops the requests that are too old. */
void inbox_shed(struct turn *t, struct inbox *in);
/* The next one; the caller releases out->buf. */
bool inbox_pop(struct turn *t, struct inbox *in, struct inbox_item *out);
/* How long it has waited, in a histogram.  A turn that was kept may be older than what came in. */
static inline void inbox_note_wait(struct turn *t, const struct inbox_item *item)
{
    metric_note(t->metrics, HISTOGRAM_dht_verify_wait_us,
                t->now_us - min_u64(item->since_us, t->now_us));
}
/* The next ones of the second lane, in the order in which inbox_pop is likely to give them, `cap`
 * at most; each is given once.  How many there are. */
size_t inbox_ahead(struct inbox *in, const struct inbox_item **out, size_t cap);
/* Puts back the one that was popped last, in front of its source's others, with its buffer.  It has
 * been begun, so it does not grow old any more. */
void inbox_put_back(struct inbox *in, const struct inbox_item *item);
/* What it has cost to look at `item`. */
void inbox_charge(struct inbox *in, const struct inbox_item *item, uint64_t cost_us);

uint32_t inbox_count(const struct inbox *in);
/* How long the oldest request has waited; 0 when there is none. */
uint64_t inbox_oldest_us(const struct turn *t, const struct inbox *in);
/* Message code of an unfragmented message, 0 when there is none. */
static inline uint16_t inbox_code(const struct fwd *h)
{
    return fwd_is_whole(h) && h->payload.len >= 2 ? rd_at16(h->payload.data) : 0;
}
