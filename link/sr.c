/* SPDX-License-Identifier: Apache-2.0 */
/* sr.c - three lists of messages: waiting -> flight -> (acknowledged, or) lost -> flight.
 *
 * The flight stands in the order of the last transmissions, so what an ACK names and what has been
 * overtaken stands at its head; only a message that was sent more than once can be meant by a
 * number elsewhere in it. */
#include "link/sr.h"
#include "core/hash.h"

enum {
    REORDER_FIRST = 3, /* RFC 5681 3.2 */
    REORDER_MAX = 48,  /* beyond it a frame might be too old for the receiver's 64 numbers */
    HISTORY = 64,      /* bits of frame_window and of `owed` */
    ACKS_SAVED_MAX = 4 * SR_ACK_SPARE, /* what was not made use of before */
};

/* What is known of a message, at the front of its buffer's storage. */
struct message {
    uint64_t queued_us;
    uint64_t sent_us; /* last transmission */
    uint32_t sequences[SR_TRANSMISSIONS];
    uint32_t times_us[SR_TRANSMISSIONS]; /* low 32 bits */
    uint32_t sent;                       /* transmissions */
    uint32_t charge;
    bool is_cut;  /* counted in cut_losses */
    bool is_late; /* lost by a timeout, not because it was overtaken */
};
STATIC_CHECK(sizeof(struct message) + FRAME_DATA_HEADER <= SR_HEADROOM);

static struct message *message_of(const struct msgbuf *buf)
{
    return (struct message *)(void *)buf->storage;
}

/* a - b modulo 2^32. */
static int32_t distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* ---- lists ---- */

static void list_append(struct sr_list *list, struct msgbuf *buf)
{
    buf->next = NULL;
    if (list->last == NULL) {
        list->first = buf;
    } else {
        list->last->next = buf;
    }
    list->last = buf;
}

/* Takes the one behind `before` (NULL: the first). */
static struct msgbuf *list_take(struct sr_list *list, struct msgbuf *before)
{
    struct msgbuf *buf = before == NULL ? list->first : before->next;
    if (before == NULL) {
        list->first = buf->next;
    } else {
        before->next = buf->next;
    }
    if (list->last == buf) {
        list->last = before;
    }
    buf->next = NULL;
    return buf;
}

/* A message has left the flight, whatever for. */
static void leave_flight(struct sr *sr, const struct message *m)
{
    sr->flight_frames--;
    sr->flight_bytes -= m->charge;
    sr->flight_again -= m->sent > 1;
}

/* A message has left its list for good. */
static void forget(struct sr *sr, const struct msgbuf *buf)
{
    CHECK(sr->frames > 0 && sr->bytes >= buf->cap);
    sr->frames--;
    sr->bytes -= buf->cap;
}

static void give_up(struct turn *t, struct sr *sr, struct msgbuf *buf)
{
    metric_add(t->metrics, METRIC_sr_given_up, 1);
    forget(sr, buf);
    msgbuf_release(t->buffers, buf);
}

/* ---- life ---- */

void sr_init(struct turn *t, struct sr *sr, const struct sr_limits *limits)
{
    CHECK(limits->flight_frames > 0 && limits->queue_frames >= limits->flight_frames);
    *sr = (struct sr){
        .limits = *limits,
        .seen_seed = rng_next(t->rng),
        .acked_top = UINT32_MAX,
        .reorder = REORDER_FIRST,
        .is_bitmap_trusted = true,
    };
    rtt_init(&sr->rtt, SR_RTO_FIRST_US, SR_RTO_MIN_US);
    sr_window_init(&sr->congestion, limits->flight_frames);
}

struct msgbuf *sr_give(struct sr *sr)
{
    struct sr_list *lists[] = {&sr->lost, &sr->flight, &sr->waiting};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (lists[i]->first != NULL) {
            struct msgbuf *buf = list_take(lists[i], NULL);
            if (lists[i] == &sr->flight) {
                leave_flight(sr, message_of(buf));
            }
            forget(sr, buf);
            return buf;
        }
    }
    return NULL;
}

void sr_fini(struct turn *t, struct sr *sr)
{
    for (struct msgbuf *buf = sr_give(sr); buf != NULL; buf = sr_give(sr)) {
        msgbuf_release(t->buffers, buf);
    }
    CHECK(sr->frames == 0 && sr->bytes == 0);
    CHECK(sr->flight_frames == 0 && sr->flight_bytes == 0 && sr->flight_again == 0);
}

enum sr_state sr_state(const struct sr *sr)
{
    if (sr->timeouts >= SR_SILENCE) {
        return SR_DEAD;
    }
    return sr->timeouts >= SR_SUSPECT ? SR_SUSPICIOUS : SR_UP;
}

/* ---- receiving ---- */

/* Has this message come a moment ago?  The neighbor's retransmissions have new numbers, so only the
 * bytes tell.  A message that is as old as repeat_us is let through: its originator asks
 * again. */
static bool is_repeat(struct sr *sr, uint64_t now_us, struct slice bytes)
{
    uint64_t hash = max_u64(1, hash_64(bytes, sr->seen_seed));
    uint64_t *hashes = sr->seen_hash[hash % SR_SEEN_SETS];
    uint32_t *times_us = sr->seen_us[hash % SR_SEEN_SETS];
    size_t victim = 0;
    for (size_t way = 0; way < SR_SEEN_WAYS; way++) {
        uint32_t age_us = (uint32_t)now_us - times_us[way];
        if (hashes[way] == hash) {
            if (age_us < sr->limits.repeat_us) {
                return true;
            }
            victim = way;
            break;
        }
        victim = age_us > (uint32_t)now_us - times_us[victim] ? way : victim;
    }
    hashes[victim] = hash;
    times_us[victim] = (uint32_t)now_us;
    return false;
}

HOT enum sr_data sr_on_data(struct turn *t, struct sr *sr, uint32_t sequence, struct slice message)
{
    int32_t ahead = distance(sequence, sr->window.top);
    bool is_first = sr->window.seen == 0;
    uint32_t age = is_first || ahead > 0 ? 0 : sr->window.top - sequence;
    if (age >= HISTORY) {
        metric_add(t->metrics, METRIC_sr_stale, 1);
        return SR_STALE;
    }
    bool is_known = !is_first && ahead <= 0 && (sr->window.seen >> age & 1) != 0;
    if (is_first || ahead > 0) {
        sr->owed = is_first || ahead >= HISTORY ? 0 : sr->owed << ahead;
    }
    sr->owed |= (uint64_t)1 << age;
    sr->owed_frames++;
    frame_window_note(&sr->window, sequence);
    if (is_known || is_repeat(sr, t->now_us, message)) {
        metric_add(t->metrics, METRIC_sr_repeats, 1);
        return SR_REPEAT;
    }
    return SR_FRESH;
}

HOT bool sr_owes_ack(const struct sr *sr, bool is_urgent)
{
    return is_urgent ? sr->owed >> (SR_ACK_EVERY - 1) != 0 && sr->owed_frames >= SR_ACK_FRAMES
                     : sr->owed != 0;
}

void sr_put_ack(struct sr *sr, uint8_t out[FRAME_ACK_BYTES])
{
    CHECK(sr->owed != 0);
    uint32_t age = (uint32_t)__builtin_ctzll(sr->owed);
    uint32_t sequence = sr->window.top - age;
    frame_put_ack(out, sequence, frame_window_received(&sr->window, sequence));
    sr->owed &= ~((uint64_t)UINT32_MAX << age);
    sr->owed_frames = 0;
}

/* ---- sending ---- */

static bool is_too_slow(const struct turn *t, const struct sr *sr)
{
    return sr->waiting.first != NULL &&
           t->now_us - message_of(sr->waiting.first)->queued_us >= sr->limits.wait_us;
}

enum err sr_queue(struct turn *t, struct sr *sr, struct msgbuf *buf)
{
    CHECK(buf->refs == 1 && buf->start >= SR_HEADROOM);
    bool is_full = sr->frames >= sr->limits.queue_frames ||
                   (uint64_t)sr->bytes + buf->cap > sr->limits.queue_bytes || is_too_slow(t, sr);
    if (is_full || sr_state(sr) == SR_DEAD) {
        msgbuf_release(t->buffers, buf);
        return is_full ? ERR_LIMIT : ERR_CLOSED;
    }
    struct message *m = message_of(buf);
    m->queued_us = t->now_us;
    m->sent = 0;
    m->charge = sr_window_charge(buf->len + FRAME_DATA_HEADER);
    m->is_cut = false;
    sr->frames++;
    sr->bytes += buf->cap;
    list_append(&sr->waiting, buf);
    return ERR_OK;
}

/* The message to send next stays in *list until it is known that it may leave. */
static struct msgbuf *pick(struct turn *t, struct sr *sr, struct sr_list **list)
{
    for (;;) {
        *list = sr->lost.first != NULL ? &sr->lost : &sr->waiting;
        struct msgbuf *buf = (*list)->first;
        if (buf == NULL || t->now_us - message_of(buf)->queued_us < SR_AGE_US) {
            return buf;
        }
        give_up(t, sr, list_take(*list, NULL));
    }
}

static bool may_leave(struct turn *t, struct sr *sr, uint32_t charge)
{
    /* One frame may always be under way, however large and however small the window. */
    bool has_room = sr->flight_frames == 0 || (sr->flight_bytes + charge <= sr->congestion.bytes &&
                                               sr->flight_frames < sr->limits.flight_frames);
    return has_room && sr_window_is_due(&sr->congestion, charge, t->now_us);
}

HOT bool sr_next(struct turn *t, struct sr *sr, struct sr_frame *out)
{
    struct sr_list *list;
    struct msgbuf *buf = pick(t, sr, &list);
    if (buf == NULL || sr_state(sr) == SR_DEAD) {
        sr->is_limited = false;
        return false;
    }
    struct message *m = message_of(buf);
    if (sr->flight_frames == 0 && sr->sent_count > 0) {
        sr_window_on_idle(&sr->congestion, t->now_us - sr->active_us, sr->rtt.rto_us);
    }
    if (!may_leave(t, sr, m->charge)) {
        sr->is_limited = true;
        return false;
    }
    list_take(list, NULL);
    CHECK(m->sent < SR_TRANSMISSIONS);
    m->sequences[m->sent] = sr->next_sequence;
    m->times_us[m->sent] = (uint32_t)t->now_us;
    m->sent++;
    m->sent_us = t->now_us;
    sr->next_sequence++;
    sr->sent_count++;
    sr->active_us = t->now_us;
    sr->flight_frames++;
    sr->flight_bytes += m->charge;
    if (m->sent > 1) {
        sr->flight_again++;
        metric_add(t->metrics, m->is_late ? METRIC_sr_resent_late : METRIC_sr_resent_gap, 1);
    }
    list_append(&sr->flight, buf);
    sr_window_spend(&sr->congestion, m->charge);
    uint8_t *frame = msgbuf_data(buf) - FRAME_DATA_HEADER;
    uint32_t sequence = m->sequences[m->sent - 1];
    frame_put_data_header(frame, sequence, buf->len);
    *out = (struct sr_frame){.frame = slice_of(frame, FRAME_DATA_HEADER + buf->len),
                             .sequence = sequence,
                             .is_again = m->sent > 1};
    return true;
}

/* ---- acknowledgements ---- */

struct ack {
    uint32_t sequence;
    uint32_t received; /* as far as it is believed */
    uint32_t bytes;    /* charged for what it acknowledges for the first time */
    uint32_t frames;
};

static bool ack_covers(const struct ack *ack, uint32_t sequence)
{
    uint32_t below = ack->sequence - sequence;
    return below == 0 || (below < 32 && (ack->received >> below & 1) != 0);
}

/* Which transmission of the message is acknowledged: the earliest, as that one shows whether the
 * others were needed; -1: none. */
static int ack_finds(const struct ack *ack, const struct message *m)
{
    for (uint32_t i = 0; i < m->sent; i++) {
        if (ack_covers(ack, m->sequences[i])) {
            return (int)i;
        }
    }
    return -1;
}

/* It was lost only in our eyes: what was cut on its account was cut by mistake (RFC 4015), and
 * frames overtake each other by more than we believed. */
static void on_needless(struct turn *t, struct sr *sr, struct message *m, uint32_t sequence)
{
    metric_add(t->metrics, METRIC_sr_resent_needlessly, m->sent > 1);
    int32_t overtaken = distance(sr->acked_top, sequence);
    if (overtaken >= (int32_t)sr->reorder && sr->timeouts == 0) {
        sr->reorder = (uint32_t)overtaken + 1 < REORDER_MAX ? (uint32_t)overtaken + 1 : REORDER_MAX;
    }
    if (m->is_cut && sr->cut_losses > 0) {
        m->is_cut = false;
        sr->cut_losses--;
        if (sr->cut_losses == 0) {
            sr_window_undo(&sr->congestion);
            sr->is_recovering = false;
        }
    }
}

/* Releases what the ACK names, in one list, which is the flight or `lost`. */
static void settle(struct turn *t, struct sr *sr, struct sr_list *list, struct ack *ack)
{
    bool is_flight = list == &sr->flight;
    struct msgbuf *before = NULL;
    struct msgbuf *next = list->first;
    while (next != NULL) {
        struct msgbuf *buf = next;
        struct message *m = message_of(buf);
        uint32_t last = m->sequences[m->sent - 1];
        next = buf->next;
        if (next != NULL) { /* it was sent a round trip ago, and is cold */
            __builtin_prefetch(message_of(next));
            __builtin_prefetch(next->next);
        }
        if (is_flight && distance(last, ack->sequence) > 0 && sr->flight_again == 0) {
            return;
        }
        int which = ack_finds(ack, m);
        if (which < 0) {
            before = buf;
            continue;
        }
        uint32_t sequence = m->sequences[which];
        list_take(list, before);
        if (is_flight) {
            leave_flight(sr, m);
        }
        if (!is_flight || sequence != last) {
            on_needless(t, sr, m, sequence);
        }
        if (sequence == ack->sequence) { /* 6.6.3.1: each ACK, there is no ambiguity */
            rtt_note(&sr->rtt, (uint32_t)t->now_us - m->times_us[which]);
        }
        ack->bytes += m->charge;
        ack->frames++;
        forget(sr, buf);
        msgbuf_release(t->buffers, buf);
    }
}

/* One cut for a window of losses: what was sent before now belongs to this one. */
static void begin_recovery(struct sr *sr)
{
    sr->is_recovering = true;
    sr->recover = sr->next_sequence;
}

/* How many later frames must be acknowledged until one counts as lost.  When nothing more is under
 * way that could be, all there were (RFC 5827), unless frames have overtaken each other before. */
static int32_t lost_after(const struct sr *sr)
{
    bool is_tail = sr->waiting.first == NULL && sr->lost.first == NULL &&
                   sr->acked_top == sr->next_sequence - 1;
    return is_tail && sr->reorder == REORDER_FIRST ? 1 : (int32_t)sr->reorder;
}

/* Overtaken by so many frames: lost (RFC 5681 3.2; A-32). */
static void find_lost(struct turn *t, struct sr *sr)
{
    uint32_t flight_bytes = sr->flight_bytes;
    int32_t after = lost_after(sr);
    while (sr->flight.first != NULL) {
        struct message *m = message_of(sr->flight.first);
        uint32_t last = m->sequences[m->sent - 1];
        if (distance(sr->acked_top, last) < after) {
            return;
        }
        struct msgbuf *buf = list_take(&sr->flight, NULL);
        leave_flight(sr, m);
        if (!sr->is_recovering || distance(last, sr->recover) >= 0) {
            metric_add(t->metrics, METRIC_sr_window_cut, 1);
            sr_window_on_loss(&sr->congestion, flight_bytes);
            begin_recovery(sr);
            sr->cut_losses = 0;
        }
        m->is_cut = true;
        sr->cut_losses++;
        if (m->sent == SR_TRANSMISSIONS) {
            give_up(t, sr, buf);
            continue;
        }
        m->is_late = false;
        list_append(&sr->lost, buf);
    }
}

/* Only positive claims about numbers that were sent can be true; who sets bit 0, or a bit for a
 * number that was never sent, sets all of them always. */
static uint32_t believed(struct turn *t, struct sr *sr, uint64_t behind, uint32_t received)
{
    if (received != 0 && sr->is_bitmap_trusted) {
        uint32_t deepest = 31 - (uint32_t)__builtin_clz(received);
        if ((received & 1) != 0 || behind + deepest >= sr->sent_count) {
            metric_add(t->metrics, METRIC_sr_bitmap_untrusted, 1);
            sr->is_bitmap_trusted = false;
        }
    }
    return sr->is_bitmap_trusted ? received : 0;
}

HOT enum err sr_on_ack(struct turn *t, struct sr *sr, uint32_t sequence, uint32_t received)
{
    uint32_t behind = sr->next_sequence - 1 - sequence;
    if (behind >= sr->sent_count || behind > INT32_MAX) { /* that far back is ahead */
        return ERR_NOT_FOUND;
    }
    /* Nobody has more to acknowledge than was sent, and each ACK may cost a walk over all that is
     * under way or lost. */
    uint64_t allowed = sr->sent_count + SR_ACK_SPARE;
    if (sr->acks_taken >= allowed) {
        metric_add(t->metrics, METRIC_sr_acks_excess, 1);
        return ERR_DUPLICATE;
    }
    sr->acks_taken = max_u64(sr->acks_taken, allowed - min_u64(allowed, ACKS_SAVED_MAX)) + 1;
    struct ack ack = {.sequence = sequence, .received = believed(t, sr, behind, received)};
    if (distance(sequence, sr->acked_top) > 0) {
        sr->acked_top = sequence;
    }
    settle(t, sr, &sr->flight, &ack);
    settle(t, sr, &sr->lost, &ack);
    if (ack.frames == 0) {
        return ERR_DUPLICATE;
    }
    bool may_grow = sr->is_limited;
    if (sr->is_recovering) {
        /* Its last losses are found a little after its end. */
        int32_t beyond = distance(sr->acked_top, sr->recover);
        sr->is_recovering = beyond <= REORDER_MAX;
        may_grow = may_grow && beyond >= 0;
    }
    sr->timeouts = sr_state(sr) == SR_DEAD ? sr->timeouts : 0;
    sr->progress_us = t->now_us;
    sr_window_on_ack(&sr->congestion, ack.bytes, may_grow, sr->rtt.srtt_us);
    find_lost(t, sr);
    return ERR_OK;
}

/* ---- time ---- */

/* RFC 6298 5: the timer of the oldest frame in flight, restarted by each ACK of something new. */
static uint64_t deadline_us(const struct sr *sr)
{
    if (sr->flight.first == NULL || sr_state(sr) == SR_DEAD) {
        return UINT64_MAX;
    }
    uint64_t since_us = max_u64(message_of(sr->flight.first)->sent_us, sr->progress_us);
    return since_us + min_u64(sr->rtt.rto_us << sr->timeouts, RTT_RTO_MAX_US);
}

uint64_t sr_next_us(const struct sr *sr)
{
    uint64_t at_us = deadline_us(sr);
    const struct msgbuf *buf = sr->lost.first != NULL ? sr->lost.first : sr->waiting.first;
    if (buf == NULL || sr_state(sr) == SR_DEAD) {
        return at_us;
    }
    uint32_t charge = message_of(buf)->charge;
    if (sr->flight_frames > 0 && (sr->flight_bytes + charge > sr->congestion.bytes ||
                                  sr->flight_frames >= sr->limits.flight_frames)) {
        return at_us;
    }
    /* As much of what waits as the window has room for. */
    uint64_t room = sr->congestion.bytes - min_u64(sr->flight_bytes, sr->congestion.bytes);
    uint64_t want = min_u64(room, (uint64_t)charge * (sr->frames - sr->flight_frames));
    return min_u64(at_us, sr_window_due_us(&sr->congestion, max_u64(want, charge)));
}

/* Everything in flight is to be sent again, before what was lost earlier: it is older, or it was
 * sent again on that account. */
static void recall_flight(struct turn *t, struct sr *sr)
{
    struct sr_list kept = {0};
    while (sr->flight.first != NULL) {
        struct msgbuf *buf = list_take(&sr->flight, NULL);
        struct message *m = message_of(buf);
        leave_flight(sr, m);
        m->is_cut = true;
        sr->cut_losses++;
        if (m->sent == SR_TRANSMISSIONS) {
            give_up(t, sr, buf);
            continue;
        }
        m->is_late = true;
        list_append(&kept, buf);
    }
    if (kept.last != NULL) {
        kept.last->next = sr->lost.first;
        sr->lost.last = sr->lost.first == NULL ? kept.last : sr->lost.last;
        sr->lost.first = kept.first;
    }
}

void sr_on_time(struct turn *t, struct sr *sr)
{
    if (t->now_us < deadline_us(sr)) {
        return;
    }
    bool is_first = sr->timeouts == 0;
    sr->timeouts++;
    if (sr_state(sr) == SR_DEAD) {
        return; /* what is in flight is given back by sr_give */
    }
    metric_add(t->metrics, METRIC_sr_window_cut, is_first);
    sr_window_on_timeout(&sr->congestion, sr->flight_bytes, is_first);
    sr->cut_losses = is_first ? 0 : sr->cut_losses;
    sr->reorder = REORDER_FIRST;
    begin_recovery(sr);
    recall_flight(t, sr);
}
