/* SPDX-License-Identifier: Apache-2.0 */
/* Record: type, length (u16), bytes.  A connection begins with one record from each side that
 * carries its certificate; the server answers the client's, as in TLS, so that set-up costs a round
 * trip. */
#include "core/hash.h"
#include "sim/tls_fake_impl.h"

enum {
    RECORD_CERTIFICATE = 1,
    RECORD_DATA = 2,
    RECORD_CLOSE = 3,
    RECORD_HEAD = 3,
};

enum { CHUNK_BYTES = TLS_FAKE_CHUNK_BYTES, CERTIFICATE_CAP = TLS_FAKE_CERTIFICATE_CAP };

/* Bytes wait only where a record is cut, or more is sealed than fits its buffer. */
static uint32_t chunks_of(uint32_t connections)
{
    return connections / 16 + 256;
}

size_t tls_fake_table_bytes(uint32_t connections, uint32_t peers)
{
    size_t slots = 4; /* as core/table counts them */
    while (slots * 3 < (size_t)peers * 4) {
        slots *= 2;
    }
    return connections * (sizeof(struct tls) + 24) +
           peers * (sizeof(struct tls_fake_certificate) + 24) +
           slots * (TLS_FAKE_HASH_BYTES + sizeof(uint32_t)) +
           chunks_of(connections) * (sizeof(struct tls_fake_chunk) + 16) + 1024;
}

void tls_fake_table_init(struct tls_fake_table *table, struct arena *arena, uint32_t connections,
                         uint32_t peers)
{
    *table = (struct tls_fake_table){.chunk_cap = chunks_of(connections)};
    pool_init(&table->connections, arena, "sim_tls", 1, connections, sizeof(struct tls));
    pool_init(&table->certificates, arena, "sim_certificates", 2, peers,
              sizeof(struct tls_fake_certificate));
    table_init(&table->by_hash, arena, peers, TLS_FAKE_HASH_BYTES, 0);
    table->chunks = ARENA_RAW(arena, struct tls_fake_chunk, table->chunk_cap);
}

uint32_t tls_fake_in_use(const struct tls_fake_table *table)
{
    return table->connections.in_use + table->chunks_open;
}

static struct tls_fake_chunk *take_chunk(struct tls_fake_table *table)
{
    struct tls_fake_chunk *c = table->first_free;
    if (c != NULL) {
        table->first_free = c->next;
    } else if (table->chunks_used < table->chunk_cap) {
        c = &table->chunks[table->chunks_used++];
    } else {
        return NULL;
    }
    c->start = 0;
    c->end = 0;
    table->chunks_open++;
    return c;
}

static void give_chunk(struct tls_fake_table *table, struct tls_fake_chunk **where)
{
    if (*where != NULL) {
        (*where)->next = table->first_free;
        table->first_free = *where;
        table->chunks_open--;
        *where = NULL;
    }
}

bool tls_fake_meet(struct tls *tls, struct slice certificate)
{
    struct tls_fake_table *table = tls->context->table;
    uint8_t hash[TLS_FAKE_HASH_BYTES];
    uint32_t index = 0;
    if (certificate.len == 0 || certificate.len > CERTIFICATE_CAP) {
        return false;
    }
    hash_128(certificate, 0, hash);
    if (table_find(&table->by_hash, hash, &index)) {
        tls->peer = pool_at(&table->certificates, index);
    } else {
        tls->peer = pool_acquire(&table->certificates);
        if (tls->peer == NULL) {
            return false;
        }
        memcpy(tls->peer->hash, hash, sizeof(hash));
        memcpy(tls->peer->bytes, certificate.data, certificate.len);
        tls->peer->len = (uint32_t)certificate.len;
        enum err e =
            table_insert(&table->by_hash, hash, pool_index(&table->certificates, tls->peer));
        CHECK(e == ERR_OK);
    }
    CHECK(slice_is_equal(certificate, slice_of(tls->peer->bytes, tls->peer->len)));
    tls->peer->refs++;
    tls->has_peer = true;
    return true;
}

static void forget_peer(struct tls *tls)
{
    struct tls_fake_table *table = tls->context->table;
    if (tls->peer != NULL && --tls->peer->refs == 0) {
        table_remove(&table->by_hash, tls->peer->hash);
        pool_release(&table->certificates, tls->peer);
    }
}

bool tls_fake_put(struct tls *tls, struct tls_fake_chunk **where, struct slice bytes)
{
    if (*where == NULL) {
        *where = take_chunk(tls->context->table);
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
        give_chunk(tls->context->table, where);
    }
}

static void put_head(uint8_t *head, uint8_t type, size_t len)
{
    head[0] = type;
    head[1] = (uint8_t)(len >> 8);
    head[2] = (uint8_t)len;
}

static enum err put_record(struct tls *tls, uint8_t type, struct slice bytes)
{
    uint8_t head[RECORD_HEAD];
    put_head(head, type, bytes.len);
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
        tls->next = c->first;
        if (c->first != NULL) {
            c->first->prev = tls;
        }
        c->first = tls;
    }
    return tls;
}

static void fake_close(struct tls *tls)
{
    struct tls_fake_context *c = tls->context;
    give_chunk(c->table, &tls->in);
    give_chunk(c->table, &tls->out);
    forget_peer(tls);
    if (tls->next != NULL) {
        tls->next->prev = tls->prev;
    }
    *(tls->prev == NULL ? &c->first : &tls->prev->next) = tls->next;
    pool_release(&c->table->connections, tls);
}

/* What has come and was not read. */
static struct slice received_of(const struct tls *tls)
{
    const struct tls_fake_chunk *c = tls->in;
    return c == NULL ? tls->lent : slice_of(c->bytes + c->start, c->end - c->start);
}

static void consume(struct tls *tls, size_t len)
{
    if (tls->in != NULL) {
        tls_fake_take(tls, &tls->in, len);
    } else {
        tls->lent = slice_from(tls->lent, len);
    }
}

/* The whole record at the front of what has come, or false. */
static bool peek(const struct tls *tls, uint8_t *type, struct slice *body)
{
    struct slice s = received_of(tls);
    size_t len = s.len < RECORD_HEAD ? 0 : (size_t)s.data[1] << 8 | s.data[2];
    if (s.len < RECORD_HEAD + len) {
        return false;
    }
    *type = s.data[0];
    *body = slice_of(s.data + RECORD_HEAD, len);
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
        if (type != RECORD_CERTIFICATE || !tls_fake_meet(tls, body)) {
            tls->is_broken = true;
            return ERR_MALFORMED;
        }
        consume(tls, RECORD_HEAD + body.len);
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

static void fake_keep(struct tls *tls)
{
    if (tls->lent.len > 0) {
        struct slice lent = tls->lent;
        tls->lent = SLICE_EMPTY;
        tls->is_broken = !tls_fake_put(tls, &tls->in, lent) || tls->is_broken;
    }
}

static enum err fake_lend(struct tls *tls, struct slice received)
{
    fake_keep(tls); /* of before */
    tls->lent = received;
    if (tls->in != NULL) {
        fake_keep(tls);
    }
    if (tls->is_broken) {
        return ERR_MALFORMED;
    }
    enum err e = tls->has_peer && tls->has_sent ? ERR_OK : fake_handshake(tls);
    return e == ERR_MORE ? ERR_OK : e;
}

static enum err fake_feed(struct tls *tls, struct slice received)
{
    enum err e = fake_lend(tls, received);
    fake_keep(tls);
    return tls->is_broken ? ERR_MALFORMED : e;
}

/* Up to `cap` bytes of the data record that is being read. */
static enum err read_some(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    *len = min_size(cap, tls->left);
    memcpy(out, received_of(tls).data, *len);
    tls->left -= (uint32_t)*len;
    consume(tls, *len);
    return ERR_OK;
}

static enum err fake_read(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t type = 0;
    struct slice body;
    if (tls->is_closed) {
        return ERR_CLOSED;
    }
    if (tls->left > 0) {
        return read_some(tls, out, cap, len);
    }
    if (!tls->has_peer || !peek(tls, &type, &body)) {
        fake_keep(tls); /* the beginning of a record */
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
    consume(tls, RECORD_HEAD);
    tls->left = (uint32_t)body.len;
    return read_some(tls, out, cap, len);
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
    if (tls->out == NULL && tls->has_peer && RECORD_HEAD + plaintext.len <= cap) {
        put_head(out, RECORD_DATA, plaintext.len);
        memcpy(out + RECORD_HEAD, plaintext.data, plaintext.len);
        *len = RECORD_HEAD + plaintext.len;
        return ERR_OK;
    }
    bool is_first = tls->out == NULL;
    enum err e = fake_write(tls, plaintext);
    *len = is_first ? fake_pull(tls, out, cap) : 0;
    return e;
}

static size_t fake_waiting(const struct tls *tls)
{
    return tls->out == NULL ? 0 : tls->out->end - tls->out->start;
}

static size_t fake_peer_chain(struct tls *tls, struct slice chain[TLS_CHAIN_CAP])
{
    if (!tls->has_peer) {
        return 0;
    }
    chain[0] = slice_of(tls->peer->bytes, tls->peer->len);
    return 1;
}

static void fake_shutdown(struct tls *tls)
{
    if (tls->is_datagram) {
        tls_fake_datagram_shutdown(tls);
        return;
    }
    (void)put_record(tls, RECORD_CLOSE, SLICE_EMPTY);
}

size_t tls_fake_record(struct slice bytes, struct slice *plain)
{
    *plain = SLICE_EMPTY;
    size_t len = bytes.len < RECORD_HEAD ? 0 : (size_t)bytes.data[1] << 8 | bytes.data[2];
    if (bytes.len < RECORD_HEAD + len) {
        return 0;
    }
    if (bytes.data[0] == RECORD_DATA) {
        *plain = slice_of(bytes.data + RECORD_HEAD, len);
    }
    return RECORD_HEAD + len;
}

void tls_fake_bury(struct tls_fake_context *context)
{
    while (context->first != NULL) {
        fake_close(context->first);
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
        .lend = fake_lend,
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
