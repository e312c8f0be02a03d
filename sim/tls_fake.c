/* SPDX-License-Identifier: Apache-2.0 */
/* Record: type, length (u16), bytes.  A connection begins with one record from each side that
 * carries its certificate; the server answers the client's, as in TLS, so that set-up costs a round
 * trip. */
#include "sim/tls_fake_impl.h"

enum {
    RECORD_CERTIFICATE = 1,
    RECORD_DATA = 2,
    RECORD_CLOSE = 3,
    RECORD_HEAD = 3,
};

enum { CHUNK_BYTES = TLS_FAKE_CHUNK_BYTES, CERTIFICATE_CAP = TLS_FAKE_CERTIFICATE_CAP };

size_t tls_fake_table_bytes(uint32_t connections, uint32_t chunks)
{
    return connections * (sizeof(struct tls) + 16) + chunks * (sizeof(struct tls_fake_chunk) + 16) +
           256;
}

void tls_fake_table_init(struct tls_fake_table *table, struct arena *arena, uint32_t connections,
                         uint32_t chunks)
{
    pool_init(&table->connections, arena, "sim_tls", 1, connections, sizeof(struct tls));
    pool_init(&table->chunks, arena, "sim_tls_chunks", 2, chunks, sizeof(struct tls_fake_chunk));
}

bool tls_fake_put(struct tls *tls, struct tls_fake_chunk **where, struct slice bytes)
{
    if (*where == NULL) {
        *where = pool_acquire(&tls->context->table->chunks);
    }
    struct tls_fake_chunk *c = *where;
    if (c == NULL) {
        return false;
    }
    if (c->start > 0 && c->end + bytes.len > CHUNK_BYTES) {
        memmove(c->bytes, c->bytes + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    if (c->end + bytes.len > CHUNK_BYTES) {
        return false;
    }
    memcpy(c->bytes + c->end, bytes.data, bytes.len);
    c->end += (uint32_t)bytes.len;
    return true;
}

void tls_fake_take(struct tls *tls, struct tls_fake_chunk **where, size_t len)
{
    (*where)->start += (uint32_t)len;
    if ((*where)->start == (*where)->end) {
        pool_release(&tls->context->table->chunks, *where);
        *where = NULL;
    }
}

static enum err put_record(struct tls *tls, uint8_t type, struct slice bytes)
{
    uint8_t head[RECORD_HEAD] = {type, (uint8_t)(bytes.len >> 8), (uint8_t)bytes.len};
    if (!tls_fake_put(tls, &tls->out, slice_of(head, sizeof(head))) ||
        (bytes.len > 0 && !tls_fake_put(tls, &tls->out, bytes))) {
        tls->is_broken = true;
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

struct tls *tls_fake_open(void *context, enum tls_role role)
{
    struct tls_fake_context *c = context;
    struct tls *tls = pool_acquire(&c->table->connections);
    if (tls != NULL) {
        tls->context = c;
        tls->role = role;
    }
    return tls;
}

static void fake_close(struct tls *tls)
{
    struct tls_fake_table *table = tls->context->table;
    if (tls->in != NULL) {
        pool_release(&table->chunks, tls->in);
    }
    if (tls->out != NULL) {
        pool_release(&table->chunks, tls->out);
    }
    pool_release(&table->connections, tls);
}

/* The whole record at the front of `in`, or false. */
static bool peek(const struct tls *tls, uint8_t *type, struct slice *body)
{
    const struct tls_fake_chunk *c = tls->in;
    if (c == NULL || c->end - c->start < RECORD_HEAD) {
        return false;
    }
    const uint8_t *head = c->bytes + c->start;
    size_t len = (size_t)head[1] << 8 | head[2];
    if (c->end - c->start < RECORD_HEAD + len) {
        return false;
    }
    *type = head[0];
    *body = slice_of(head + RECORD_HEAD, len);
    return true;
}

static enum err fake_handshake(struct tls *tls)
{
    if (tls->is_datagram) {
        return tls_fake_datagram_handshake(tls);
    }
    uint8_t type = 0;
    struct slice body;
    if (!tls->has_peer && peek(tls, &type, &body)) {
        if (type != RECORD_CERTIFICATE || body.len > CERTIFICATE_CAP || body.len == 0) {
            tls->is_broken = true;
            return ERR_MALFORMED;
        }
        memcpy(tls->certificate, body.data, body.len);
        tls->certificate_len = (uint32_t)body.len;
        tls->has_peer = true;
        tls_fake_take(tls, &tls->in, RECORD_HEAD + body.len);
    }
    if (!tls->has_sent && (tls->role == TLS_CLIENT || tls->has_peer)) {
        tls->has_sent = true;
        enum err e = put_record(tls, RECORD_CERTIFICATE, tls->context->certificate);
        if (e != ERR_OK) {
            return e;
        }
    }
    return tls->has_peer ? ERR_OK : ERR_MORE;
}

static enum err fake_feed(struct tls *tls, struct slice received)
{
    if (tls->is_broken || !tls_fake_put(tls, &tls->in, received)) {
        tls->is_broken = true;
        return ERR_MALFORMED;
    }
    enum err e = tls->has_peer && tls->has_sent ? ERR_OK : fake_handshake(tls);
    return e == ERR_MORE ? ERR_OK : e;
}

static enum err fake_read(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t type = 0;
    struct slice body;
    if (tls->is_closed) {
        return ERR_CLOSED;
    }
    if (!tls->has_peer || !peek(tls, &type, &body)) {
        return ERR_MORE;
    }
    if (type == RECORD_CLOSE) {
        tls->is_closed = true;
        return ERR_CLOSED;
    }
    if (type != RECORD_DATA || body.len == 0) {
        tls->is_broken = true;
        return ERR_MALFORMED;
    }
    *len = min_size(cap, body.len);
    memcpy(out, body.data, *len);
    if (*len == body.len) {
        tls_fake_take(tls, &tls->in, RECORD_HEAD + body.len);
        return ERR_OK;
    }
    /* Part of a record: the rest gets a head of its own, written over bytes already given out. */
    size_t rest = body.len - *len;
    struct tls_fake_chunk *c = tls->in;
    c->start += (uint32_t)*len;
    c->bytes[c->start] = RECORD_DATA;
    c->bytes[c->start + 1] = (uint8_t)(rest >> 8);
    c->bytes[c->start + 2] = (uint8_t)rest;
    return ERR_OK;
}

static enum err fake_write(struct tls *tls, struct slice plaintext)
{
    CHECK(plaintext.len <= TLS_RECORD_BYTES);
    return tls->has_peer ? put_record(tls, RECORD_DATA, plaintext) : ERR_STATE;
}

static size_t fake_pull(struct tls *tls, uint8_t *out, size_t cap)
{
    if (tls->is_datagram) {
        return tls_fake_datagram_pull(tls, out, cap);
    }
    if (tls->out == NULL) {
        return 0;
    }
    size_t len = min_size(cap, tls->out->end - tls->out->start);
    memcpy(out, tls->out->bytes + tls->out->start, len);
    tls_fake_take(tls, &tls->out, len);
    return len;
}

static enum err fake_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                          size_t *len)
{
    bool is_first = tls->out == NULL;
    enum err e = fake_write(tls, plaintext);
    *len = is_first ? fake_pull(tls, out, cap) : 0;
    return e;
}

/* Nothing is lent here: what is fed is copied. */
static void fake_keep(struct tls *tls)
{
    (void)tls;
}

static size_t fake_waiting(const struct tls *tls)
{
    return tls->out == NULL ? 0 : tls->out->end - tls->out->start;
}

static size_t fake_peer_chain(struct tls *tls, struct slice chain[TLS_CHAIN_CAP])
{
    chain[0] = slice_of(tls->certificate, tls->certificate_len);
    return tls->has_peer ? 1 : 0;
}

static void fake_shutdown(struct tls *tls)
{
    if (tls->is_datagram) {
        tls_fake_datagram_shutdown(tls);
        return;
    }
    (void)put_record(tls, RECORD_CLOSE, SLICE_EMPTY);
}

void tls_fake_bury(struct tls_fake_table *table, const struct tls_fake_context *context)
{
    uint32_t index = 0;
    struct tls *tls;
    while ((tls = pool_next(&table->connections, &index)) != NULL) {
        if (tls->context == context) {
            fake_close(tls);
        }
    }
}

const struct tls_ops *tls_fake_ops(void)
{
    static const struct tls_ops ops = {
        .open = tls_fake_open,
        .close = fake_close,
        .feed = fake_feed,
        .handshake = fake_handshake,
        .read = fake_read,
        .write = fake_write,
        .seal = fake_seal,
        .lend = fake_feed,
        .keep = fake_keep,
        .waiting = fake_waiting,
        .pull = fake_pull,
        .peer_chain = fake_peer_chain,
        .shutdown = fake_shutdown,
        .open_datagram = tls_fake_datagram_open,
        .feed_datagram = tls_fake_datagram_feed,
        .due_us = tls_fake_datagram_due_us,
        .on_due = tls_fake_datagram_on_due,
        .seal_datagram = tls_fake_datagram_seal,
        .overhead = tls_fake_datagram_overhead,
    };
    return &ops;
}
