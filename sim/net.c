/* SPDX-License-Identifier: Apache-2.0 */
/* How long something is on its way says sim/underlay.  A stream never loses bytes: a lost segment
 * costs one retransmission time.  Bytes of one stream arrive in order. */
#include "sim/net.h"
#include "sim/world_impl.h"

enum {
    RETRANSMIT_US = 200 * 1000,   /* what a lost TCP segment costs */
    IP_AND_TCP = 52,              /* heads of a segment, with the time stamps of TCP */
    LOCAL_US = 20,                /* mail between shards of one machine */
    SILENCE_US = 8 * 1000 * 1000, /* until keep-alive gives a silent connection up */
    HELD_US = 400 * 1000,         /* between tries to send into a way that is cut */
    SYN_US = 3 * 1000 * 1000,     /* nobody answers a SYN: given up */
    KEEP_ALIVE = 1,               /* tag of what ends a connection that is cut */
};

STATIC_CHECK(NET_CONNS_PER_NODE <= 256); /* far_make */

uint32_t net_conns_cap(uint32_t nodes)
{
    /* Most nodes have some tens of links; only the bootstrap nodes come near their cap. */
    return nodes * 48 + NET_CONNS_PER_NODE;
}

size_t net_bytes(const struct world_settings *s)
{
    size_t rows = NET_ROWS * (NET_ROW * sizeof(struct net_end) + sizeof(uint32_t));
    return s->nodes * (rows + 3) + underlay_bytes(&s->underlay, s->nodes) +
           places_bytes(&s->places, s->nodes) + 192;
}

void net_init(struct net *net, struct arena *arena, const struct world_settings *s)
{
    *net = (struct net){0};
    net->ends = ARENA_RAW(arena, struct net_end, (size_t)s->nodes * NET_CONNS_PER_NODE);
    net->rows_of = ARENA_RAW(arena, uint32_t, (size_t)s->nodes * NET_ROWS);
    net->rows_count = ARENA_ARRAY(arena, uint8_t, s->nodes);
    net->faults.side = ARENA_ARRAY(arena, uint8_t, s->nodes);
    net->faults.clog = ARENA_ARRAY(arena, uint8_t, s->nodes);
    rng_init(&net->rng, s->seed ^ 0x10557);
    underlay_init(&net->underlay, arena, &s->underlay, s->nodes, s->seed);
    places_init(&net->places, arena, &s->places, s->nodes, NET_PORT);
}

struct address net_address(uint32_t node)
{
    struct address a = {.family = 4, .port = NET_PORT};
    a.ip[0] = 10;
    a.ip[1] = (uint8_t)(node >> 16);
    a.ip[2] = (uint8_t)(node >> 8);
    a.ip[3] = (uint8_t)node;
    return a;
}

static struct net_end *end_at(struct world *w, uint32_t node, uint32_t index)
{
    const struct net *net = &w->net;
    uint32_t row = net->rows_of[(size_t)node * NET_ROWS + index / NET_ROW] - 1;
    return &w->net.ends[(size_t)row * NET_ROW + index % NET_ROW];
}

/* Of which there are ends. */
static uint32_t ends_of(const struct world *w, uint32_t node)
{
    return (uint32_t)w->net.rows_count[node] * NET_ROW;
}

static void take_row(struct world *w, uint32_t node)
{
    struct net *net = &w->net;
    uint32_t row = net->rows++;
    memset(&net->ends[(size_t)row * NET_ROW], 0, NET_ROW * sizeof(struct net_end));
    net->rows_of[(size_t)node * NET_ROWS + net->rows_count[node]++] = row + 1;
}

static handle handle_of(struct world *w, uint32_t node, uint32_t index)
{
    return handle_make(HANDLE_CONN, end_at(w, node, index)->generation, index);
}

/* The far end's handle, be it over by now. */
static uint32_t far_make(uint32_t index, uint32_t generation)
{
    return generation << 8 | index;
}

static uint32_t far_index(const struct net_end *end)
{
    return end->far & 0xff;
}

static handle far_handle(const struct net_end *end)
{
    return handle_make(HANDLE_CONN, end->far >> 8, far_index(end));
}

static struct net_end *end_of(struct world *w, uint32_t node, handle conn)
{
    uint32_t index = handle_index(conn);
    if (conn == 0 || index >= ends_of(w, node) || handle_of(w, node, index) != conn) {
        return NULL;
    }
    struct net_end *end = end_at(w, node, index);
    return (end->generation & 1) != 0 ? end : NULL;
}

/* A free end of `node`, taken; UINT32_MAX when it has none left. */
static uint32_t take_end(struct world *w, uint32_t node)
{
    for (uint32_t i = 0; i < w->limits.conns && i < NET_CONNS_PER_NODE; i++) {
        if (i == ends_of(w, node)) {
            take_row(w, node);
        }
        struct net_end *end = end_at(w, node, i);
        if ((end->generation & 1) == 0) {
            *end = (struct net_end){.generation = (end->generation + 1) & 0xffffff};
            return i;
        }
    }
    return UINT32_MAX;
}

static void drop_end(struct net_end *end)
{
    end->generation = (end->generation + 1) & 0xffffff;
}

static uint64_t delay_us(struct world *w, uint32_t from, uint32_t to, uint32_t bytes)
{
    if (w->net.is_instant) {
        return 0;
    }
    if (from / w->settings.shards == to / w->settings.shards) {
        return LOCAL_US;
    }
    return underlay_delay_us(&w->net.underlay, w->now_us, from, to, bytes);
}

bool net_has_way(const struct world *w, uint32_t from, uint32_t to)
{
    const struct net_faults *f = &w->net.faults;
    if (from / w->settings.shards == to / w->settings.shards) {
        return true; /* one machine */
    }
    return !f->cut[f->side[from]][f->side[to]] && (f->clog[from] & NET_CLOG_OUT) == 0 &&
           (f->clog[to] & NET_CLOG_IN) == 0;
}

static bool has_ways(const struct world *w, uint32_t a, uint32_t b)
{
    return net_has_way(w, a, b) && net_has_way(w, b, a);
}

static bool is_lost(struct world *w)
{
    uint32_t ppm = w->settings.loss_ppm + w->net.faults.extra_loss_ppm;
    return ppm > 0 && rng_below(&w->net.rng, 1000000) < ppm;
}

static void post(struct world *w, uint32_t node, uint64_t at_us, const struct io_event *io,
                 struct msgbuf *buf)
{
    struct queue_event e = {.at_us = at_us,
                            .node = node,
                            .incarnation = w->nodes[node].incarnation,
                            .what = QUEUE_IO,
                            .io = *io,
                            .buf = buf};
    if (buf != NULL) {
        e.io.data = msgbuf_data(buf);
        e.io.data_len = buf->len;
    }
    queue_put(&w->queue, &e);
}

/* When something sent now on this stream arrives: not before what was sent earlier. */
static uint64_t arrival(struct world *w, uint32_t node, struct net_end *end, uint32_t bytes)
{
    uint64_t at = w->now_us + delay_us(w, node, end->far_node, bytes + IP_AND_TCP) +
                  (is_lost(w) ? RETRANSMIT_US : 0);
    end->arrives_us = max_u64(at, end->arrives_us);
    return end->arrives_us;
}

static void fail_connect(struct world *w, uint32_t node, uint64_t after_us, uint64_t tag)
{
    struct io_event failed = {.kind = IO_CONNECTED, .error = ERR_REFUSED, .tag = tag};
    post(w, node, w->now_us + after_us, &failed, NULL);
}

static void connect_to(struct world *w, uint32_t node, const struct io_op *op)
{
    uint32_t far = UINT32_MAX;
    bool is_there = places_find(&w->net.places, &op->remote, &far);
    if (far == UINT32_MAX || far == node) {
        fail_connect(w, node, 1000, op->tag);
        return;
    }
    uint64_t delay = delay_us(w, node, far, IP_AND_TCP);
    if (!has_ways(w, node, far) || (!w->nodes[far].is_alive && w->nodes[far].is_off) || !is_there ||
        !places_admits_stream(&w->net.places, far)) {
        fail_connect(w, node, SYN_US, op->tag);
        return;
    }
    uint32_t mine = UINT32_MAX;
    uint32_t theirs = UINT32_MAX;
    if (w->nodes[far].is_alive) {
        mine = take_end(w, node);
        theirs = mine == UINT32_MAX ? UINT32_MAX : take_end(w, far);
    }
    if (theirs == UINT32_MAX) {
        if (mine != UINT32_MAX) {
            drop_end(end_at(w, node, mine));
        }
        fail_connect(w, node, 2 * delay, op->tag);
        return;
    }
    struct net_end *a = end_at(w, node, mine);
    struct net_end *b = end_at(w, far, theirs);
    a->is_dialled = 1;
    a->far_node = far;
    a->far = far_make(theirs, b->generation);
    a->arrives_us = w->now_us + delay;
    b->far_node = node;
    b->far = far_make(mine, a->generation);
    b->arrives_us = w->now_us + 2 * delay;
    struct io_event accepted = {
        .kind = IO_ACCEPTED,
        .conn = handle_of(w, far, theirs),
        .listener = op->remote.port == NET_PORT_SIP ? IO_LISTEN_OVERLAY_SIP : IO_LISTEN_OVERLAY,
        .local = op->remote,
        .remote = places_address(&w->net.places, node),
    };
    struct io_event connected = {.kind = IO_CONNECTED,
                                 .conn = handle_of(w, node, mine),
                                 .tag = op->tag,
                                 .local = places_address(&w->net.places, node),
                                 .remote = op->remote};
    post(w, far, w->now_us + delay, &accepted, NULL);
    post(w, node, w->now_us + 2 * delay, &connected, NULL);
}

static void capture(struct world *w, struct world_captured *what)
{
    what->wall_us = w->settings.start_wall_ms * 1000 + w->now_us;
    w->settings.capture(w->settings.capture_context, what);
}

/* Who dialled has a port of its own for each connection.  A record that begins in one piece and
 * ends in the next is left out: none of ours does. */
static void capture_stream(struct world *w, uint32_t node, struct net_end *end, uint32_t index,
                           struct slice bytes)
{
    enum { FIRST_PORT = 20000 };
    struct world_captured what = {.from = net_address(node), .to = net_address(end->far_node)};
    what.from.port = end->is_dialled ? (uint16_t)(FIRST_PORT + index) : NET_PORT;
    what.to.port = end->is_dialled ? NET_PORT : (uint16_t)(FIRST_PORT + far_index(end));
    size_t record = 0;
    while ((record = tls_fake_record(bytes, &what.frames)) != 0) {
        what.sequence = end->captured;
        if (what.frames.len > 0) {
            capture(w, &what);
        }
        end->captured += (uint32_t)what.frames.len;
        bytes = slice_from(bytes, record);
    }
}

static void capture_datagram(struct world *w, uint32_t node, uint32_t far, struct slice bytes)
{
    struct world_captured what = {.from = net_address(node),
                                  .to = net_address(far),
                                  .is_datagram = true,
                                  .frames = tls_fake_datagram_plain(bytes)};
    if (what.frames.len > 0) {
        capture(w, &what);
    }
}

static void send_on(struct world *w, uint32_t node, const struct io_op *op)
{
    struct net_end *end = end_of(w, node, op->conn);
    if (end == NULL) {
        msgbuf_release(&w->buffers, op->buf);
        return;
    }
    w->net.stream_bytes += op->buf->len;
    world_crypto_account(w, msgbuf_slice(op->buf));
    if (w->settings.capture != NULL) {
        capture_stream(w, node, end, handle_index(op->conn), msgbuf_slice(op->buf));
    }
    CHECK(w->sent_count < WORLD_OUTBOX);
    w->sent[w->sent_count++] = (struct world_sent){.conn = op->conn, .len = op->buf->len};
    uint64_t at = arrival(w, node, end, op->buf->len);
    if (!w->nodes[end->far_node].is_alive || end->is_void != 0) {
        msgbuf_release(&w->buffers, op->buf);
        return;
    }
    op->buf->owner = 0; /* the network has it now */
    struct io_event stream = {.kind = IO_STREAM, .conn = far_handle(end)};
    post(w, end->far_node, at, &stream, op->buf);
}

/* A receiver decrypts in place, so that each copy has bytes of its own. */
static void post_datagram(struct world *w, const struct address *seen, uint32_t far, uint64_t at_us,
                          const struct io_op *op)
{
    struct io_event datagram = {.kind = IO_DATAGRAM,
                                .listener = IO_LISTEN_OVERLAY_UDP,
                                .local = places_address(&w->net.places, far),
                                .remote = *seen};
    struct msgbuf *copy = msgbuf_acquire(&w->buffers, op->buf->len);
    CHECK(copy != NULL); /* the world was made too small */
    copy->owner = 0;     /* the network's */
    enum err e = msgbuf_append(copy, msgbuf_slice(op->buf));
    CHECK(e == ERR_OK);
    post(w, far, at_us, &datagram, copy);
}

static void send_datagram(struct world *w, uint32_t node, const struct io_op *op)
{
    if (op->listener == IO_LISTEN_SIP_UDP) {
        world_phones_take(w, node, op);
        return;
    }
    uint32_t far = 0;
    struct places *places = &w->net.places;
    struct address seen = places_datagram_out(places, w->now_us, node, &op->remote);
    bool is_there = places_find(places, &op->remote, &far);
    bool arrives = op->listener == IO_LISTEN_OVERLAY_UDP && is_there &&
                   places_datagram_in(places, w->now_us, far, &op->remote, &seen) &&
                   w->nodes[far].is_alive && net_has_way(w, node, far) && !is_lost(w);
    w->net.datagrams++;
    if (w->settings.capture != NULL && is_there) {
        capture_datagram(w, node, far, msgbuf_slice(op->buf));
    }
    if (!arrives) {
        w->net.datagrams_lost++;
        msgbuf_release(&w->buffers, op->buf);
        return;
    }
    struct narrow_fate fate = {.copies = 1, .arrives_us = {w->now_us + LOCAL_US}};
    if (node / w->settings.shards != far / w->settings.shards) {
        fate = underlay_datagram(&w->net.underlay, w->now_us, node, far, op->buf->len);
    }
    w->net.datagrams_lost += fate.copies == 0 ? 1 : 0;
    for (uint32_t i = 0; i < fate.copies; i++) {
        post_datagram(w, &seen, far, fate.arrives_us[i], op);
    }
    msgbuf_release(&w->buffers, op->buf);
}

/* The far end hears of it at `at_us`; its end stays in use until then (net_admit). */
static void tell_far_end(struct world *w, const struct net_end *end, uint64_t at_us, enum err why)
{
    struct io_event closed = {.kind = IO_CLOSED, .conn = far_handle(end), .error = why};
    if (w->nodes[end->far_node].is_alive) {
        post(w, end->far_node, at_us, &closed, NULL);
    }
}

static void close_end(struct world *w, uint32_t node, handle conn)
{
    struct net_end *end = end_of(w, node, conn);
    if (end != NULL) {
        uint64_t at = arrival(w, node, end, 0);
        if (end->is_void == 0) {
            tell_far_end(w, end, at, ERR_CLOSED);
        }
        drop_end(end);
    }
}

static void mail_to(struct world *w, uint32_t node, const struct io_op *op)
{
    uint32_t first = node - node % w->settings.shards;
    uint32_t far = first + op->shard;
    if (op->shard >= w->settings.shards || !w->nodes[far].is_alive) {
        if (op->buf != NULL) {
            msgbuf_release(&w->buffers, op->buf);
        }
        return;
    }
    if (op->buf != NULL) {
        op->buf->owner = 0; /* on its way, whatever becomes of the sender */
    }
    struct io_event mail = {
        .kind = IO_MAIL, .tag = op->tag, .shard = (uint16_t)(node - first), .mail = op->mail};
    post(w, far, w->now_us + LOCAL_US, &mail, op->buf);
}

void net_carry_out(struct world *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->outbox.count; k++) {
        const struct io_op *op = &w->outbox.ops[k];
        switch (op->kind) {
        case IO_OP_CONNECT:
            connect_to(w, i, op);
            break;
        case IO_OP_SEND:
            send_on(w, i, op);
            break;
        case IO_OP_CLOSE:
        case IO_OP_ABORT:
            close_end(w, i, op->conn);
            break;
        case IO_OP_DATAGRAM:
            send_datagram(w, i, op);
            break;
        case IO_OP_MAIL:
            mail_to(w, i, op);
            break;
        case IO_OP_PROVED:
            break;
        }
    }
    io_outbox_clear(&w->outbox);
}

void net_bury(struct world *w, uint32_t i, bool is_told)
{
    for (uint32_t k = 0; k < ends_of(w, i); k++) {
        struct net_end *end = end_at(w, i, k);
        if ((end->generation & 1) == 0) {
            continue;
        }
        uint64_t heard = is_told ? arrival(w, i, end, 0) : w->now_us + SILENCE_US;
        if (end->is_void == 0) { /* else it is told already */
            tell_far_end(w, end, heard, is_told ? ERR_CLOSED : ERR_TIMEOUT);
        }
        drop_end(end);
    }
}

void net_move(struct world *w, uint32_t i)
{
    places_move(&w->net.places, i);
    for (uint32_t k = 0; k < ends_of(w, i); k++) {
        struct net_end *end = end_at(w, i, k);
        if ((end->generation & 1) == 0 || end->is_void != 0) {
            continue;
        }
        struct net_end *far = end_of(w, end->far_node, far_handle(end));
        struct io_event closed = {
            .kind = IO_CLOSED, .conn = handle_of(w, i, k), .error = ERR_TIMEOUT};
        tell_far_end(w, end, w->now_us + SILENCE_US, ERR_TIMEOUT);
        post(w, i, w->now_us + SILENCE_US, &closed, NULL);
        end->is_void = 1;
        if (far != NULL) {
            far->is_void = 1;
        }
    }
}

void net_ways_changed(struct world *w)
{
    for (uint32_t i = 0; i < w->settings.nodes; i++) {
        for (uint32_t k = 0; k < ends_of(w, i) && w->nodes[i].is_alive; k++) {
            struct net_end *end = end_at(w, i, k);
            bool is_cut = (end->generation & 1) != 0 && !has_ways(w, i, end->far_node);
            if (is_cut == (end->cut_since_us != 0)) {
                continue;
            }
            end->cut_since_us = is_cut ? w->now_us : 0;
            struct io_event closed = {.kind = IO_CLOSED,
                                      .conn = handle_of(w, i, k),
                                      .error = ERR_TIMEOUT,
                                      .tag = KEEP_ALIVE};
            if (is_cut) {
                post(w, i, w->now_us + SILENCE_US, &closed, NULL);
            }
        }
    }
}

/* Keep-alive was to end it: has it been cut all the time? */
static bool is_given_up(const struct world *w, const struct queue_event *e,
                        const struct net_end *end)
{
    return e->io.tag != KEEP_ALIVE ||
           (end->cut_since_us != 0 && w->now_us - end->cut_since_us >= SILENCE_US);
}

/* Bytes for which there is no way now are sent again, and those behind them wait. */
static bool is_held(struct world *w, const struct queue_event *e, struct net_end *end)
{
    bool waits = e->io.kind == IO_STREAM || (e->io.kind == IO_CLOSED && e->io.error != ERR_TIMEOUT);
    if (!waits) {
        return false;
    }
    if (!net_has_way(w, end->far_node, e->node)) {
        end->held_us = max_u64(end->held_us, w->now_us + HELD_US);
    }
    if (end->held_us <= w->now_us) {
        return false;
    }
    w->net.held++;
    post(w, e->node, end->held_us, &e->io, e->buf);
    return true;
}

bool net_admit(struct world *w, struct queue_event *e)
{
    enum io_event_kind kind = e->io.kind;
    if (kind == IO_MAIL || kind == IO_DATAGRAM || (kind == IO_CONNECTED && e->io.conn == 0)) {
        return true;
    }
    struct net_end *end = end_of(w, e->node, e->io.conn);
    if (end == NULL) {
        if (kind == IO_CONNECTED) { /* accepted and closed again before we heard of it */
            e->io.conn = 0;
            e->io.error = ERR_REFUSED;
            return true;
        }
        return false;
    }
    if (end->is_void != 0 && kind == IO_STREAM) {
        return false;
    }
    if (is_held(w, e, end)) {
        e->buf = NULL; /* it stands in the queue again */
        return false;
    }
    if (kind == IO_CLOSED) {
        if (!is_given_up(w, e, end)) {
            return false;
        }
        e->io.tag = 0;
        drop_end(end);
    }
    return true;
}
