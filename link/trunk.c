/* SPDX-License-Identifier: Apache-2.0 */
/* trunk.c - bytes become messages on the way in, messages become records on the way out.
 *
 * In:  ciphertext (lent by the engine, until link_next has nothing more to say) -> TLS -> `chunk`
 * (shared by all links, read to its end before the next) -> frames; only a frame that is cut by the
 * end of a chunk is copied, into `partial`. Out: link_send copies the message into `gather`;
 * trunk_flush seals it as one record.  The gathered frames themselves are what is kept until the
 * ACK, so keeping costs no copy. Time: one timer; armed for the handshake, then whenever a frame is
 * unacknowledged, then for the drain.  It is not moved by each ACK: when it fires it looks how old
 * the oldest frame is. */
#include "link/trunk.h"
#include "core/buggify.h"
#include "link/link_life.h"
#include "link/tls_pump.h"

/* ---- the beginning ---- */

/* False: the link is down. */
static bool pump(struct turn *t, struct link_table *lt, struct link *l, size_t expected)
{
    uint32_t said = 0;
    enum err error = tls_pump(t, lt->settings.tls, l->tls, l->conn, expected, &said);
    l->outstanding += said;
    l->bytes_out += said;
    l->is_stuck = error == ERR_NO_MEMORY;
    if (l->is_stuck) {
        link_table_note_dirty(lt, l);
        return true;
    }
    if (error != ERR_OK) {
        link_life_fail(t, lt, l, ERR_LIMIT, METRIC_link_outbox_full, "outbox full");
        return false;
    }
    return true;
}

/* False: the link is down. */
static bool open_tls(struct turn *t, struct link_table *lt, struct link *l)
{
    const struct tls_ops *ops = lt->settings.tls;
    l->tls = ops->open(lt->settings.tls_context, l->is_dialled ? TLS_CLIENT : TLS_SERVER);
    if (l->tls == NULL) {
        link_life_fail(t, lt, l, ERR_NO_MEMORY, METRIC_link_no_buffer, "no memory for TLS");
        return false;
    }
    enum err error = ops->handshake(l->tls);
    if (error != ERR_MORE && error != ERR_OK) {
        link_life_fail(t, lt, l, error, METRIC_link_handshake_failed, "TLS does not start");
        return false;
    }
    return pump(t, lt, l, 0);
}

void trunk_start(struct turn *t, struct link_table *lt, struct link *l, handle conn)
{
    CHECK(l->tls == NULL && l->conn == 0);
    l->conn = conn;
    if (l->is_dialled) {
        link_table_enter(t, lt, l, LINK_STATE_HANDSHAKE);
        open_tls(t, lt, l);
    } /* else with its first byte: a stranger who says nothing costs no TLS */
}

/* The first byte of who has dialled us.  False: the link is down. */
static bool begin_stranger(struct turn *t, struct link_table *lt, struct link *l)
{
    if (!pace_take(t, &lt->pace, &l->remote)) {
        link_life_fail(t, lt, l, ERR_LIMIT, METRIC_link_refused_handshaking, "too many handshakes");
        return false;
    }
    return open_tls(t, lt, l);
}

void trunk_on_stream(struct turn *t, struct link_table *lt, struct link *l, uint8_t *data,
                     size_t len)
{
    if (l->state == LINK_STATE_DOWN ||
        (l->tls == NULL && (l->state != LINK_STATE_HANDSHAKE || !begin_stranger(t, lt, l)))) {
        return; /* its end is waiting to be taken */
    }
    const struct tls_ops *ops = lt->settings.tls;
    l->bytes_in += len;
    link_table_settle_loan(lt);
    enum err error = ops->lend(l->tls, slice_of(data, len));
    lt->lender = l->tls;
    if (error == ERR_OK && l->state == LINK_STATE_HANDSHAKE) {
        error = ops->handshake(l->tls);
        if (error == ERR_OK) {
            link_life_authenticate(t, lt, l);
        } else if (error == ERR_MORE) {
            error = ERR_OK;
        }
    }
    if (error != ERR_OK) {
        link_life_on_tls_error(t, lt, l, error);
        return;
    }
    if (l->state == LINK_STATE_DOWN || !pump(t, lt, l, 0)) {
        return;
    }
    if (l->state != LINK_STATE_HANDSHAKE) {
        l->has_input = true;
        link_table_note_ready(lt, l);
    }
}

/* ---- in ---- */

static void on_ack(struct turn *t, struct link_table *lt, struct link *l, uint32_t sequence)
{
    enum err error = frame_io_on_ack(&l->frames, t->buffers, t->now_us, sequence);
    if (error == ERR_NOT_FOUND) {
        metric_add(t->metrics, METRIC_link_ack_unknown, 1);
    }
    if (error != ERR_OK || l->state != LINK_STATE_SUSPECT) {
        return;
    }
    uint64_t oldest_us = frame_io_oldest_us(&l->frames);
    l->down_at_us = t->now_us + lt->settings.retain_us;
    if (oldest_us == UINT64_MAX || t->now_us - oldest_us < l->frames.rtt.rto_us) {
        link_table_enter(t, lt, l, LINK_STATE_UP);
        link_table_note_ready(lt, l);
        wheel_cancel(t->wheel, &l->timer);
        trunk_arm_silence(t, l);
    }
}

static bool append_ack(struct turn *t, struct link *l);

/* One frame has come; true when it is a message. */
static bool on_frame(struct turn *t, struct link_table *lt, struct link *l,
                     const struct frame *frame)
{
    if (frame->type == FRAME_ACK) {
        on_ack(t, lt, l, frame->sequence);
        return false;
    }
    frame_io_on_data(&l->frames, frame->sequence);
    if (frame_io_owes_ack(&l->frames, true)) {
        append_ack(t, l); /* without a buffer the debt stays, and is paid by the flush */
    }
    link_table_note_dirty(lt, l);
    l->messages_in++;
    metric_add(t->metrics, METRIC_link_messages_in, 1);
    return true;
}

static void on_bad_frame(struct turn *t, struct link_table *lt, struct link *l, enum err error)
{
    if (error == ERR_TOO_LARGE) { /* LK-9 */
        link_life_fail(t, lt, l, error, METRIC_link_message_too_large,
                       "message larger than allowed");
    } else {
        link_life_fail(t, lt, l, ERR_MALFORMED, METRIC_link_frame_garbage, "not a frame");
    }
}

/* Makes `partial` hold at least `need` bytes. */
static bool reserve_partial(struct turn *t, struct link *l, size_t need)
{
    struct msgbuf *old = l->partial;
    if (old != NULL && old->len + msgbuf_tailroom(old) >= need) {
        return true;
    }
    struct msgbuf *larger = msgbuf_acquire(t->buffers, need);
    if (larger == NULL) {
        return false;
    }
    if (old != NULL) {
        enum err error = msgbuf_append(larger, msgbuf_slice(old));
        CHECK(error == ERR_OK);
        msgbuf_release(t->buffers, old);
    }
    l->partial = larger;
    return true;
}

enum step { STEP_MESSAGE, STEP_AGAIN, STEP_EMPTY, STEP_OVER };

/* Notes that a frame goes on in the next chunk. */
static enum step begin_partial(struct turn *t, struct link_table *lt, struct link *l,
                               struct slice rest, size_t need)
{
    CHECK(rest.len < need);
    if (!reserve_partial(t, l, need)) {
        link_life_fail(t, lt, l, ERR_NO_MEMORY, METRIC_link_no_buffer, "no buffer for a cut frame");
        return STEP_OVER;
    }
    enum err error = msgbuf_append(l->partial, rest);
    CHECK(error == ERR_OK);
    l->partial_need = (uint32_t)need;
    return STEP_EMPTY;
}

/* Goes on with the cut frame; takes from the chunk what belongs to it. */
static enum step step_partial(struct turn *t, struct link_table *lt, struct link *l,
                              uint8_t **message, size_t *len)
{
    size_t take = min_size(l->partial_need - l->partial->len, lt->chunk_len - lt->chunk_at);
    if (!reserve_partial(t, l, l->partial_need)) {
        link_life_fail(t, lt, l, ERR_NO_MEMORY, METRIC_link_no_buffer, "no buffer for a cut frame");
        return STEP_OVER;
    }
    enum err error = msgbuf_append(l->partial, slice_of(lt->chunk + lt->chunk_at, take));
    CHECK(error == ERR_OK);
    lt->chunk_at += take;
    if (l->partial->len < l->partial_need) {
        return STEP_EMPTY;
    }
    struct frame frame;
    size_t consumed = 0;
    error = frame_scan(msgbuf_slice(l->partial), lt->message_cap, &frame, &consumed);
    if (error == ERR_MORE) {
        CHECK(consumed > l->partial_need);
        l->partial_need = (uint32_t)consumed;
        return STEP_AGAIN;
    }
    if (error != ERR_OK) {
        on_bad_frame(t, lt, l, error);
        return STEP_OVER;
    }
    CHECK(consumed == l->partial->len);
    CHECK(lt->spent == NULL);
    lt->spent = l->partial;
    l->partial = NULL;
    if (!on_frame(t, lt, l, &frame)) {
        return STEP_AGAIN;
    }
    *message = msgbuf_data(lt->spent) + FRAME_DATA_HEADER;
    *len = frame.message.len;
    return STEP_MESSAGE;
}

static HOT enum step step_chunk(struct turn *t, struct link_table *lt, struct link *l,
                                uint8_t **message, size_t *len)
{
    if (lt->chunk_at == lt->chunk_len) {
        return STEP_EMPTY;
    }
    if (l->partial != NULL) {
        return step_partial(t, lt, l, message, len);
    }
    struct frame frame;
    size_t consumed = 0;
    struct slice rest = slice_of(lt->chunk + lt->chunk_at, lt->chunk_len - lt->chunk_at);
    enum err error = frame_scan(rest, lt->message_cap, &frame, &consumed);
    if (error == ERR_MORE) {
        lt->chunk_at = lt->chunk_len;
        return begin_partial(t, lt, l, rest, consumed);
    }
    if (error != ERR_OK) {
        on_bad_frame(t, lt, l, error);
        return STEP_OVER;
    }
    uint8_t *start = lt->chunk + lt->chunk_at;
    lt->chunk_at += consumed;
    if (!on_frame(t, lt, l, &frame)) {
        return STEP_AGAIN;
    }
    *message = start + FRAME_DATA_HEADER;
    *len = frame.message.len;
    return STEP_MESSAGE;
}

/* The next plaintext of `l` into the chunk; false when there is none. */
static bool fill_chunk(struct turn *t, struct link_table *lt, struct link *l)
{
    lt->reading = l;
    lt->chunk_at = 0;
    lt->chunk_len = 0;
    enum err error = lt->settings.tls->read(l->tls, lt->chunk, TLS_READ_BYTES, &lt->chunk_len);
    if (error == ERR_OK) {
        return true;
    }
    lt->reading = NULL;
    l->has_input = false;
    if (error != ERR_MORE) {
        link_life_on_tls_error(t, lt, l, error);
        return false;
    }
    pump(t, lt, l, 0); /* reading may have made TLS answer (a key update) */
    return false;
}

HOT bool trunk_read(struct turn *t, struct link_table *lt, struct link *l, uint8_t **message,
                    size_t *len)
{
    CHECK(lt->reading == NULL || lt->reading == l);
    while (l->has_input) {
        if (lt->reading == NULL && !fill_chunk(t, lt, l)) {
            return false;
        }
        enum step step = step_chunk(t, lt, l, message, len);
        if (step == STEP_MESSAGE) {
            return true;
        }
        if (lt->spent != NULL) { /* a cut ACK */
            msgbuf_release(t->buffers, lt->spent);
            lt->spent = NULL;
        }
        if (step == STEP_OVER) {
            return false;
        }
        if (step == STEP_EMPTY) {
            lt->reading = NULL;
        }
    }
    return false;
}

/* ---- out ---- */

uint32_t trunk_queued(const struct link *l)
{
    return l->outstanding + (l->gather == NULL ? 0 : l->gather->len);
}

/* Seals one record, straight into the buffer that the kernel will read.  False: the link is down.
 */
static bool seal_record(struct turn *t, struct link_table *lt, struct link *l, struct slice plain)
{
    const struct tls_ops *ops = lt->settings.tls;
    struct msgbuf *buf = buggify(t, BUGGIFY_record_no_buffer)
                             ? NULL
                             : msgbuf_acquire(t->buffers, plain.len + TRUNK_RECORD_OVERHEAD);
    size_t len = 0;
    size_t room = buf == NULL ? 0 : msgbuf_tailroom(buf);
    if (buggify(t, BUGGIFY_record_short)) {
        room = min_size(room, 16);
    }
    enum err error = buf == NULL ? ops->write(l->tls, plain)
                                 : ops->seal(l->tls, plain, msgbuf_data(buf), room, &len);
    if (buf != NULL && (len == 0 || error != ERR_OK)) {
        msgbuf_release(t->buffers, buf);
    } else if (buf != NULL) {
        buf->len = (uint32_t)len;
        msgbuf_charge(t->buffers, buf, l->account);
        if (io_send(t->out, t->buffers, l->conn, buf) != ERR_OK) {
            link_life_fail(t, lt, l, ERR_LIMIT, METRIC_link_outbox_full, "outbox full");
            return false;
        }
        l->outstanding += (uint32_t)len;
        l->bytes_out += len;
    }
    if (error != ERR_OK) {
        link_life_on_tls_error(t, lt, l, error);
        return false;
    }
    return pump(t, lt, l, plain.len);
}

/* Seals what was gathered.  False: the link is down. */
static bool seal(struct turn *t, struct link_table *lt, struct link *l)
{
    struct msgbuf *gather = l->gather;
    if (gather == NULL) {
        return true;
    }
    for (size_t at = 0; at < gather->len; at += TLS_RECORD_BYTES) {
        struct slice piece = slice_sub(msgbuf_slice(gather), at, TLS_RECORD_BYTES);
        if (!seal_record(t, lt, l, piece)) {
            return false;
        }
    }
    l->gather = NULL;
    if (!l->gather_has_data) {
        msgbuf_release(t->buffers, gather);
        return true;
    }
    l->gather_has_data = false;
    /* What is kept for giving back is the first to be let go. */
    bool has_share = msgbuf_has_share(t->buffers, l->account, gather->is_large);
    frame_io_on_sent(&l->frames, t->buffers, t->now_us, l->gather_first,
                     l->frames.next_sequence - 1, gather,
                     has_share ? lt->settings.retained_bytes : 0);
    if (!wheel_is_armed(&l->timer)) {
        trunk_arm_silence(t, l);
    }
    return true;
}

/* ... where that takes another buffer, or a record has to leave first. */
static NOINLINE enum err make_room(struct turn *t, struct link_table *lt, struct link *l,
                                   size_t need)
{
    if (l->gather != NULL && l->gather->len > 0 && l->gather->len + need > TLS_RECORD_BYTES &&
        !seal(t, lt, l)) {
        return ERR_CLOSED;
    }
    struct msgbuf *old = l->gather;
    if (old != NULL && msgbuf_tailroom(old) >= need) {
        return ERR_OK;
    }
    size_t bytes = old == NULL ? need : MSGBUF_LARGE_BYTES;
    struct msgbuf *larger = msgbuf_acquire_for(t->buffers, l->account, bytes);
    if (larger == NULL) {
        return ERR_NO_MEMORY;
    }
    if (old != NULL) {
        enum err error = msgbuf_append(larger, msgbuf_slice(old));
        CHECK(error == ERR_OK);
        msgbuf_release(t->buffers, old);
    }
    l->gather = larger;
    return ERR_OK;
}

/* Makes room for `need` more bytes of plaintext; most turns fit a small buffer. */
static inline enum err reserve_gather(struct turn *t, struct link_table *lt, struct link *l,
                                      size_t need)
{
    const struct msgbuf *gather = l->gather;
    if (LIKELY(gather != NULL && gather->len + need <= TLS_RECORD_BYTES &&
               msgbuf_tailroom(gather) >= need)) {
        return ERR_OK;
    }
    return make_room(t, lt, l, need);
}

/* The other side does not take what we send.  Then an ACK does not leave alone: each would hold a
 * buffer of its own until the connection ends, and the last of them, when it is taken again, says
 * all that the others would have said. */
static bool is_backed_up(const struct link *l)
{
    return l->gather == NULL && l->outstanding > TRUNK_ACK_BACKLOG;
}

/* Puts the ACK that is owed behind what was gathered; false when there is no buffer for it. */
static bool append_ack(struct turn *t, struct link *l)
{
    if (is_backed_up(l)) {
        return false;
    }
    if (l->gather == NULL) {
        l->gather = msgbuf_acquire_reserved(t->buffers, FRAME_ACK_BYTES);
        if (l->gather != NULL) {
            msgbuf_charge(t->buffers, l->gather, l->account);
        }
    }
    if (l->gather == NULL || msgbuf_tailroom(l->gather) < FRAME_ACK_BYTES) {
        return false;
    }
    uint8_t ack[FRAME_ACK_BYTES];
    frame_io_put_ack(&l->frames, ack);
    enum err error = msgbuf_append(l->gather, slice_of(ack, sizeof(ack)));
    CHECK(error == ERR_OK);
    return true;
}

/* Puts the frame's header in front of a message of `len` bytes behind what was gathered. */
static inline uint8_t *begin_frame(struct link *l, size_t len)
{
    uint32_t sequence = frame_io_take_sequence(&l->frames);
    if (!l->gather_has_data) {
        l->gather_has_data = true;
        l->gather_first = sequence;
    }
    uint8_t *at = msgbuf_data(l->gather) + l->gather->len;
    frame_put_data_header(at, sequence, len);
    return at + FRAME_DATA_HEADER;
}

static inline void end_frame(struct turn *t, struct link_table *lt, struct link *l, size_t len)
{
    l->gather->len += (uint32_t)(FRAME_DATA_HEADER + len);
    l->messages_out++;
    metric_add(t->metrics, METRIC_link_messages_out, 1);
    link_table_note_dirty(lt, l);
}

HOT uint8_t *trunk_claim(struct turn *t, struct link_table *lt, struct link *l, size_t room,
                         size_t *cap)
{
    size_t need = FRAME_DATA_HEADER + room;
    *cap = 0;
    if (l->is_stuck || trunk_queued(l) + need > lt->settings.queue_bytes ||
        need > TLS_RECORD_BYTES || reserve_gather(t, lt, l, need) != ERR_OK) {
        return NULL;
    }
    const struct msgbuf *gather = l->gather;
    size_t gathered = gather->len;
    size_t left =
        min_size(msgbuf_tailroom(gather), lt->settings.queue_bytes - l->outstanding - gathered);
    *cap = min_size(left, TLS_RECORD_BYTES - gathered) - FRAME_DATA_HEADER;
    return msgbuf_data(gather) + gathered + FRAME_DATA_HEADER;
}

HOT void trunk_commit(struct turn *t, struct link_table *lt, struct link *l, size_t len)
{
    CHECK(l->gather != NULL && FRAME_DATA_HEADER + len <= msgbuf_tailroom(l->gather));
    (void)begin_frame(l, len);
    end_frame(t, lt, l, len);
}

HOT enum err trunk_send(struct turn *t, struct link_table *lt, struct link *l, struct slice head,
                        struct slice body)
{
    size_t message_len = head.len + body.len;
    size_t need = FRAME_DATA_HEADER + message_len;
    if (l->is_stuck || trunk_queued(l) + need > lt->settings.queue_bytes) {
        metric_add(t->metrics, METRIC_link_queue_full, 1);
        return ERR_LIMIT;
    }
    enum err error = reserve_gather(t, lt, l, need);
    if (error != ERR_OK) {
        metric_add(t->metrics, METRIC_link_send_failed, 1);
        return error == ERR_NO_MEMORY ? ERR_LIMIT : error;
    }
    uint8_t *at = begin_frame(l, message_len);
    if (head.len > 0) {
        memcpy(at, head.data, head.len);
    }
    if (body.len > 0) {
        memcpy(at + head.len, body.data, body.len);
    }
    end_frame(t, lt, l, message_len);
    return ERR_OK;
}

bool trunk_flush(struct turn *t, struct link_table *lt, struct link *l)
{
    if (l->tls == NULL) {
        return true;
    }
    if (l->is_stuck && (!pump(t, lt, l, TLS_RECORD_BYTES) || l->is_stuck)) {
        return l->state == LINK_STATE_DOWN;
    }
    if (l->state == LINK_STATE_HANDSHAKE || l->state == LINK_STATE_DIALLING) {
        return true;
    }
    if (t->wall_ms > l->not_after_ms) { /* ID-7 */
        link_life_fail(t, lt, l, ERR_EXPIRED, METRIC_link_certificate_expired,
                       "certificate expired");
        return true;
    }
    if (is_backed_up(l)) {
        return true; /* link_on_sent comes back to it */
    }
    bool is_paid = !frame_io_owes_ack(&l->frames, false) || append_ack(t, l);
    if (is_paid && l->gather != NULL && !seal(t, lt, l)) {
        return true;
    }
    if (!is_paid && l->gather != NULL) { /* full to the brim: the ACK gets a record of its own */
        if (!seal(t, lt, l)) {
            return true;
        }
        is_paid = append_ack(t, l) && seal(t, lt, l);
    }
    return l->state == LINK_STATE_DOWN || (is_paid && !l->is_stuck);
}

/* ---- time ---- */

void trunk_arm_silence(struct turn *t, struct link *l)
{
    uint64_t oldest_us = frame_io_oldest_us(&l->frames);
    if (oldest_us != UINT64_MAX) {
        l->timer.what = TRUNK_TIMER_SILENCE;
        wheel_arm(t->wheel, &l->timer, oldest_us + l->frames.rtt.rto_us);
    }
}

static void on_silence(struct turn *t, struct link_table *lt, struct link *l)
{
    uint64_t oldest_us = frame_io_oldest_us(&l->frames);
    if (l->state == LINK_STATE_SUSPECT) {
        if (t->now_us >= l->down_at_us) {
            link_life_fail(t, lt, l, ERR_TIMEOUT, METRIC_link_silent, "no acknowledgement");
        } else {
            wheel_arm(t->wheel, &l->timer, l->down_at_us);
        }
        return;
    }
    if (oldest_us == UINT64_MAX || t->now_us - oldest_us < l->frames.rtt.rto_us) {
        trunk_arm_silence(t, l);
        return;
    }
    metric_add(t->metrics, METRIC_link_suspect, 1);
    l->down_at_us = t->now_us + lt->settings.retain_us;
    wheel_arm(t->wheel, &l->timer, l->down_at_us);
    link_table_enter(t, lt, l, LINK_STATE_SUSPECT);
    link_table_note_ready(lt, l);
}

void trunk_on_timer(struct turn *t, struct link_table *lt, struct link *l)
{
    switch ((enum trunk_timer)l->timer.what) {
    case TRUNK_TIMER_HANDSHAKE:
        CHECK(l->state == LINK_STATE_DIALLING || l->state == LINK_STATE_HANDSHAKE);
        link_life_fail(t, lt, l, ERR_TIMEOUT,
                       l->state == LINK_STATE_DIALLING ? METRIC_link_dial_failed
                                                       : METRIC_link_handshake_timeout,
                       "not authenticated in time");
        return;
    case TRUNK_TIMER_SILENCE:
        CHECK(l->state == LINK_STATE_UP || l->state == LINK_STATE_SUSPECT);
        on_silence(t, lt, l);
        return;
    case TRUNK_TIMER_DRAIN:
        CHECK(l->state == LINK_STATE_DRAINING);
        if (!l->is_dialled && l->bytes_in != l->drain_bytes_in) {
            link_table_arm_drain(t, lt, l); /* still used from the other side, which closes it */
            return;
        }
        l->gives_back = true;
        link_life_close(t, lt, l, ERR_EXISTS);
        return;
    }
    UNREACHABLE("a timer of another kind");
}
