/* SPDX-License-Identifier: Apache-2.0 */
/* frame_io.c - a list of flights (records with data frames in them), in the order they were sent.
 *
 * A flight leaves the list when its last frame is acknowledged, and its buffer with it. */
#include "link/frame_io.h"

size_t frame_io_flights_bytes(uint32_t streams)
{
    return (size_t)streams * FRAME_IO_FLIGHTS * sizeof(struct frame_io_flight) + 64;
}

void frame_io_flights_init(struct frame_io_flights *all, struct arena *arena, uint32_t streams)
{
    *all = (struct frame_io_flights){.cap = streams * FRAME_IO_FLIGHTS};
    all->flights = ARENA_RAW(arena, struct frame_io_flight, all->cap);
}

/* There always is one: no stream takes more than its FRAME_IO_FLIGHTS. */
static struct frame_io_flight *take_flight(struct frame_io_flights *all)
{
    struct frame_io_flight *flight = all->first_free;
    if (flight != NULL) {
        all->first_free = flight->next;
        return flight;
    }
    CHECK(all->never_used < all->cap);
    return &all->flights[all->never_used++];
}

void frame_io_init(struct frame_io *f, struct frame_io_flights *all)
{
    memset(f, 0, sizeof(*f));
    f->flights = all;
    rtt_init(&f->rtt, FRAME_IO_RTO_MIN_US, FRAME_IO_RTO_MIN_US);
}

static void drop_kept(struct frame_io *f, struct msgbuf_pool *pool, struct frame_io_flight *flight)
{
    if (flight->kept != NULL) {
        CHECK(f->kept_bytes >= flight->kept->cap);
        f->kept_bytes -= flight->kept->cap;
        msgbuf_release(pool, flight->kept);
        flight->kept = NULL;
    }
}

static void drop_oldest(struct frame_io *f, struct msgbuf_pool *pool)
{
    CHECK(f->flight_count > 0);
    struct frame_io_flight *flight = f->oldest;
    drop_kept(f, pool, flight);
    f->oldest = flight->next;
    f->newest = f->oldest == NULL ? NULL : f->newest;
    flight->next = f->flights->first_free;
    f->flights->first_free = flight;
    f->flight_count--;
    f->give_offset = 0;
}

void frame_io_fini(struct frame_io *f, struct msgbuf_pool *pool)
{
    while (f->flight_count > 0) {
        drop_oldest(f, pool);
    }
    CHECK(f->kept_bytes == 0);
}

/* ---- receiving ---- */

HOT void frame_io_on_data(struct frame_io *f, uint32_t sequence)
{
    frame_window_note(&f->window, sequence);
    f->received_since_ack++;
}

bool frame_io_owes_ack(const struct frame_io *f, bool is_urgent)
{
    return f->received_since_ack >= (is_urgent ? FRAME_IO_ACK_EVERY : 1);
}

void frame_io_put_ack(struct frame_io *f, uint8_t out[FRAME_ACK_BYTES])
{
    CHECK(f->received_since_ack > 0);
    frame_put_ack(out, f->window.top, frame_window_received(&f->window, f->window.top));
    f->received_since_ack = 0;
}

/* ---- sending ---- */

uint32_t frame_io_take_sequence(struct frame_io *f)
{
    return f->next_sequence++;
}

bool frame_io_on_sent(struct frame_io *f, struct msgbuf_pool *pool, uint64_t now_us, uint32_t first,
                      uint32_t last, struct msgbuf *frames, uint32_t keep_bytes)
{
    bool is_kept = f->flight_count < FRAME_IO_FLIGHTS && f->kept_bytes + frames->cap <= keep_bytes;
    if (!is_kept) {
        msgbuf_release(pool, frames);
    }
    if (f->flight_count == FRAME_IO_FLIGHTS) {
        /* The newest stands for these too: its time is too old for a round trip time, and right
         * (on the early side) for noticing silence. */
        f->newest->last = last;
        f->newest->is_sampled = true;
        return false;
    }
    struct frame_io_flight *flight = take_flight(f->flights);
    *flight = (struct frame_io_flight){
        .sent_us = now_us,
        .kept = is_kept ? frames : NULL,
        .first = first,
        .last = last,
    };
    *(f->newest == NULL ? &f->oldest : &f->newest->next) = flight;
    f->newest = flight;
    f->flight_count++;
    f->kept_bytes += is_kept ? frames->cap : 0;
    return is_kept;
}

enum err frame_io_on_ack(struct frame_io *f, struct msgbuf_pool *pool, uint64_t now_us,
                         uint32_t sequence)
{
    /* Modulo 2^32: how far in front of the first unacknowledged frame. */
    uint32_t ahead = sequence - f->first_unacked;
    if (ahead >= frame_io_unacked(f)) {
        bool was_sent = f->first_unacked - sequence - 1 < f->first_unacked;
        return was_sent ? ERR_DUPLICATE : ERR_NOT_FOUND;
    }
    f->first_unacked = sequence + 1;
    while (f->flight_count > 0) {
        struct frame_io_flight *oldest = f->oldest;
        if (sequence - oldest->first > UINT32_MAX / 2) {
            break; /* not reached */
        }
        bool is_last_reached = sequence - oldest->first <= oldest->last - oldest->first;
        if (is_last_reached && !oldest->is_sampled) {
            oldest->is_sampled = true;
            rtt_note(&f->rtt, now_us - oldest->sent_us);
        }
        if (sequence - oldest->first < oldest->last - oldest->first) {
            break; /* reached in part */
        }
        drop_oldest(f, pool);
    }
    return ERR_OK;
}

uint64_t frame_io_oldest_us(const struct frame_io *f)
{
    return f->flight_count == 0 ? UINT64_MAX : f->oldest->sent_us;
}

/* ---- giving back ---- */

bool frame_io_give(struct frame_io *f, struct msgbuf_pool *pool, uint8_t **message, size_t *len)
{
    while (f->flight_count > 0) {
        struct frame_io_flight *oldest = f->oldest;
        struct frame frame;
        size_t consumed = 0;
        struct slice rest = oldest->kept == NULL
                                ? SLICE_EMPTY
                                : slice_from(msgbuf_slice(oldest->kept), f->give_offset);
        if (rest.len == 0 || frame_scan(rest, FRAME_MESSAGE_MAX, &frame, &consumed) != ERR_OK) {
            drop_oldest(f, pool);
            continue;
        }
        uint8_t *start = msgbuf_data(oldest->kept) + f->give_offset;
        f->give_offset += (uint32_t)consumed;
        bool is_acked = frame.sequence - f->first_unacked >= frame_io_unacked(f);
        if (frame.type == FRAME_DATA && !is_acked) {
            *message = start + FRAME_DATA_HEADER;
            *len = frame.message.len;
            return true;
        }
    }
    return false;
}
