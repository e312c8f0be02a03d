/* SPDX-License-Identifier: Apache-2.0 */
/* stream_tls.c - handshake, then judgement, then bytes; every failure ends in FAILED. */
#include "link/stream_tls.h"
#include "core/pool.h"
#include "link/tls_pump.h"

enum state { STATE_HANDSHAKE, STATE_UP, STATE_FAILED };
enum { RECORD_OVERHEAD = 64 }; /* no cipher suite adds more to a record */

struct stream_tls {
    enum state state;
    bool has_expect;
    const struct stream_tls_table *table;
    struct tls *tls;
    handle conn;
    uint32_t queued;        /* bytes handed to io since the user was told */
    struct node_id node_id; /* expected, then proved */
    uint64_t not_after_ms;
    uint16_t user_len;
    char user[CRYPTO_USER_CAP + 1];
    const char *why;
};

struct stream_tls_table {
    struct stream_tls_settings settings;
    struct pool pool;
};

size_t stream_tls_table_bytes(const struct stream_tls_settings *s)
{
    return sizeof(struct stream_tls_table) +
           s->streams * (sizeof(struct stream_tls) + 16 + 2 * sizeof(uint32_t)) + 4 * 16;
}

struct stream_tls_table *stream_tls_table_init(struct arena *arena,
                                               const struct stream_tls_settings *s)
{
    struct stream_tls_table *table = ARENA_ARRAY(arena, struct stream_tls_table, 1);
    table->settings = *s;
    /* The handles are not used; streams are named by their user's record. */
    pool_init(&table->pool, arena, "streams", HANDLE_PATH, s->streams, sizeof(struct stream_tls));
    return table;
}

uint32_t stream_tls_count(const struct stream_tls_table *table)
{
    return table->pool.in_use;
}

void *stream_tls_table_use(struct stream_tls_table *table, void *tls_context)
{
    void *former = table->settings.tls_context;
    table->settings.tls_context = tls_context;
    return former;
}

static const struct tls_ops *ops_of(const struct stream_tls *s)
{
    return s->table->settings.tls;
}

static enum metric failed_of(const struct stream_tls *s)
{
    return s->table->settings.trust == NULL ? METRIC_sip_tls_failed : METRIC_stream_tls_failed;
}

static enum err fail(struct turn *t, struct stream_tls *s, enum err error, enum metric metric,
                     const char *why)
{
    CHECK(error != ERR_OK);
    s->state = STATE_FAILED;
    s->why = why;
    metric_add(t->metrics, metric, 1);
    return error;
}

static enum err pump(struct turn *t, struct stream_tls *s, size_t expected)
{
    enum err error = tls_pump(t, ops_of(s), s->tls, s->conn, expected, &s->queued);
    return error == ERR_OK ? ERR_OK : fail(t, s, error, failed_of(s), "no room for output");
}

static struct stream_tls *open_as(struct turn *t, struct stream_tls_table *table,
                                  enum tls_role role, handle conn, const struct node_id *expect,
                                  const char *host)
{
    const struct tls_ops *ops = table->settings.tls;
    struct stream_tls *s = pool_acquire(&table->pool);
    if (s == NULL) {
        metric_add(
            t->metrics,
            table->settings.trust == NULL ? METRIC_sip_tls_refused : METRIC_stream_tls_refused, 1);
        return NULL;
    }
    s->table = table;
    s->conn = conn;
    s->has_expect = expect != NULL;
    if (expect != NULL) {
        s->node_id = *expect;
    }
    s->tls = ops->open(table->settings.tls_context, role);
    if (s->tls != NULL && host != NULL && ops->set_host != NULL) {
        ops->set_host(s->tls, host);
    }
    enum err error = s->tls == NULL ? ERR_NO_MEMORY : ops->handshake(s->tls);
    if (error == ERR_OK || error == ERR_MORE) {
        error = pump(t, s, 0);
    } else {
        error = fail(t, s, error, failed_of(s), "TLS does not start");
    }
    if (error != ERR_OK) {
        stream_tls_close(t, table, s, false);
        return NULL;
    }
    return s;
}

struct stream_tls *stream_tls_open(struct turn *t, struct stream_tls_table *table,
                                   enum tls_role role, handle conn, const struct node_id *expect)
{
    return open_as(t, table, role, conn, expect, NULL);
}

struct stream_tls *stream_tls_open_to(struct turn *t, struct stream_tls_table *table, handle conn,
                                      const char *host)
{
    CHECK(table->settings.trust == NULL);
    return open_as(t, table, TLS_CLIENT, conn, NULL, host);
}

size_t stream_tls_chain(const struct stream_tls *s, struct slice chain[TLS_CHAIN_CAP])
{
    return ops_of(s)->peer_chain(s->tls, chain);
}

static enum err authenticate(struct turn *t, struct stream_tls *s)
{
    if (s->table->settings.trust == NULL) {
        s->state = STATE_UP; /* a phone: sip/digest asks who it is */
        return ERR_OK;
    }
    struct peer_auth_verdict verdict;
    struct node_id expect = s->node_id;
    struct peer_auth rules = {.trust = s->table->settings.trust,
                              .expect = s->has_expect ? &expect : NULL,
                              .self = &s->table->settings.self};
    enum err error = peer_auth_judge(t, &rules, ops_of(s), s->tls, &verdict);
    s->node_id = verdict.node_id;
    if (error != ERR_OK) {
        return fail(t, s, error, verdict.metric, verdict.why);
    }
    s->user_len = verdict.certificate.user_len;
    memcpy(s->user, verdict.certificate.user, sizeof(s->user));
    s->not_after_ms = verdict.certificate.not_after_ms;
    s->state = STATE_UP;
    return ERR_OK;
}

enum err stream_tls_recv(struct turn *t, struct stream_tls *s, struct slice received)
{
    if (s->state != STATE_HANDSHAKE && s->state != STATE_UP) {
        return ERR_STATE;
    }
    enum err error = s->state == STATE_UP ? ops_of(s)->lend(s->tls, received)
                                          : ops_of(s)->feed(s->tls, received);
    if (error == ERR_OK && s->state == STATE_HANDSHAKE) {
        error = ops_of(s)->handshake(s->tls);
        if (error == ERR_OK) {
            error = authenticate(t, s);
        } else if (error == ERR_MORE) {
            error = ERR_OK;
        }
    }
    if (error != ERR_OK) {
        /* The other side may like to know why; what becomes of the alert does not matter. */
        enum err unsaid = tls_pump(t, ops_of(s), s->tls, s->conn, 0, &s->queued);
        (void)unsaid;
        return s->state == STATE_FAILED ? error : fail(t, s, error, failed_of(s), "TLS failed");
    }
    return pump(t, s, 0);
}

enum err stream_tls_read(struct turn *t, struct stream_tls *s, uint8_t *out, size_t cap,
                         size_t *len)
{
    *len = 0;
    if (s->state != STATE_UP) {
        return s->state == STATE_HANDSHAKE ? ERR_MORE : ERR_STATE;
    }
    enum err error = ops_of(s)->read(s->tls, out, cap, len);
    if (error == ERR_OK || error == ERR_CLOSED) {
        return error;
    }
    if (error == ERR_MORE) {
        enum err pumped = pump(t, s, 0);
        return pumped == ERR_OK ? ERR_MORE : pumped;
    }
    return fail(t, s, error, failed_of(s), "TLS record not acceptable");
}

/* One record, straight into the buffer that the kernel will read. */
static enum err seal(struct turn *t, struct stream_tls *s, struct slice plain)
{
    struct msgbuf *buf = msgbuf_acquire(t->buffers, plain.len + RECORD_OVERHEAD);
    size_t len = 0;
    enum err error =
        buf == NULL ? ops_of(s)->write(s->tls, plain)
                    : ops_of(s)->seal(s->tls, plain, msgbuf_data(buf), msgbuf_tailroom(buf), &len);
    if (error != ERR_OK || len == 0) {
        if (buf != NULL) {
            msgbuf_release(t->buffers, buf);
        }
        return error == ERR_OK ? pump(t, s, plain.len)
                               : fail(t, s, error, failed_of(s), "TLS does not write");
    }
    buf->len = (uint32_t)len;
    error = io_send(t->out, t->buffers, s->conn, buf);
    if (error != ERR_OK) {
        return fail(t, s, error, failed_of(s), "no room for output");
    }
    s->queued += (uint32_t)len;
    return pump(t, s, plain.len); /* what did not find room there */
}

enum err stream_tls_write(struct turn *t, struct stream_tls *s, struct slice plaintext,
                          size_t *sent)
{
    *sent = 0;
    if (s->state != STATE_UP) {
        return ERR_STATE;
    }
    enum err error = ERR_OK;
    for (size_t at = 0; error == ERR_OK && at < plaintext.len; at += TLS_RECORD_BYTES) {
        error = seal(t, s, slice_sub(plaintext, at, TLS_RECORD_BYTES));
    }
    *sent = s->queued; /* with what the handshake and earlier reads have sent */
    s->queued = 0;
    return error;
}

void stream_tls_close(struct turn *t, struct stream_tls_table *table, struct stream_tls *s,
                      bool graceful)
{
    CHECK(s->table == table);
    if (graceful && s->state == STATE_UP) {
        ops_of(s)->shutdown(s->tls);
        enum err unsaid = tls_pump(t, ops_of(s), s->tls, s->conn, 0, &s->queued);
        (void)unsaid; /* it is over either way */
    }
    if (s->tls != NULL) {
        ops_of(s)->close(s->tls);
    }
    pool_release(&table->pool, s);
}

bool stream_tls_is_up(const struct stream_tls *s)
{
    return s->state == STATE_UP;
}

const struct node_id *stream_tls_node_id(const struct stream_tls *s)
{
    return &s->node_id;
}

struct slice stream_tls_user(const struct stream_tls *s)
{
    return slice_of(s->user, s->user_len);
}

uint64_t stream_tls_not_after_ms(const struct stream_tls *s)
{
    return s->not_after_ms;
}

const char *stream_tls_why(const struct stream_tls *s)
{
    return s->why == NULL ? "ok" : s->why;
}
