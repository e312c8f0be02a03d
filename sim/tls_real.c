/* SPDX-License-Identifier: Apache-2.0 */
/* To those who hold one, a connection of ours is a struct tls of which they know nothing, as is
 * BoringSSL's that stands in it. */
#include "sim/tls_real.h"

struct tls_real_connection {
    struct tls *tls; /* link/tls_boring's */
    struct tls_real_context *context;
    struct tls_real_connection *next, *prev; /* of the same context */
};

size_t tls_real_table_bytes(uint32_t connections)
{
    return connections * (sizeof(struct tls_real_connection) + 24) + 256;
}

void tls_real_table_init(struct tls_real_table *table, struct arena *arena, uint32_t connections)
{
    *table = (struct tls_real_table){0};
    pool_init(&table->connections, arena, "sim_tls_real", 1, connections,
              sizeof(struct tls_real_connection));
}

static struct tls_real_connection *of(struct tls *tls)
{
    return (struct tls_real_connection *)(void *)tls;
}

static struct tls *inner(const struct tls *tls)
{
    return ((const struct tls_real_connection *)(const void *)tls)->tls;
}

static const struct tls_ops *boring(void)
{
    return tls_boring_ops();
}

static void tell(struct tls *tls, struct tls_real_plain *what, enum err error)
{
    const struct tls_real_context *context = of(tls)->context;
    if (error == ERR_OK && context->table->ear != NULL && what->plain.len > 0) {
        what->node = context->node;
        context->table->ear(context->table->ear_of, what);
    }
}

/* ---- beginning and end ---- */

static struct tls *enter(struct tls_real_context *context, struct tls *made)
{
    struct tls_real_connection *c =
        made == NULL ? NULL : pool_acquire(&context->table->connections);
    if (c == NULL) {
        boring()->close(made); /* NULL is nothing to it */
        return NULL;
    }
    *c = (struct tls_real_connection){.tls = made, .context = context, .next = context->first};
    if (c->next != NULL) {
        c->next->prev = c;
    }
    context->first = c;
    return (struct tls *)(void *)c;
}

static struct tls *open_stream(void *context, enum tls_role role)
{
    struct tls_real_context *c = context;
    return enter(c, boring()->open(c->credential, role));
}

static struct tls *open_datagram(void *context, enum tls_role role, size_t datagram_bytes,
                                 uint64_t now_us)
{
    struct tls_real_context *c = context;
    return enter(c, boring()->open_datagram(c->credential, role, datagram_bytes, now_us));
}

static void close_connection(struct tls *tls)
{
    struct tls_real_connection *c = of(tls);
    struct tls_real_context *context = c->context;
    boring()->close(c->tls);
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    *(c->prev == NULL ? &context->first : &c->prev->next) = c->next;
    pool_release(&context->table->connections, c);
}

void tls_real_bury(struct tls_real_context *context)
{
    while (context->first != NULL) {
        close_connection((struct tls *)(void *)context->first);
    }
}

/* ---- plaintext, of which the world hears ---- */

static enum err read_stream(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    enum err error = boring()->read(inner(tls), out, cap, len);
    struct tls_real_plain what = {.is_heard = true, .plain = slice_of(out, *len)};
    tell(tls, &what, error);
    return error;
}

static enum err write_stream(struct tls *tls, struct slice plaintext)
{
    enum err error = boring()->write(inner(tls), plaintext);
    struct tls_real_plain what = {.plain = plaintext};
    tell(tls, &what, error);
    return error;
}

static enum err seal_stream(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                            size_t *len)
{
    enum err error = boring()->seal(inner(tls), plaintext, out, cap, len);
    struct tls_real_plain what = {.plain = plaintext, .sealed_bytes = *len};
    tell(tls, &what, error);
    return error;
}

static enum err feed_datagram(struct tls *tls, uint64_t now_us, struct slice datagram, uint8_t *out,
                              size_t cap, size_t *len)
{
    enum err error = boring()->feed_datagram(inner(tls), now_us, datagram, out, cap, len);
    struct tls_real_plain what = {
        .is_heard = true, .is_datagram = true, .plain = slice_of(out, *len)};
    tell(tls, &what, ERR_OK); /* plaintext may have come before the end */
    return error;
}

static enum err seal_datagram(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                              size_t *len)
{
    enum err error = boring()->seal_datagram(inner(tls), plaintext, out, cap, len);
    struct tls_real_plain what = {.is_datagram = true, .plain = plaintext, .sealed_bytes = *len};
    tell(tls, &what, error);
    return error;
}

/* ---- all else is BoringSSL's ---- */

static void set_host(struct tls *tls, const char *host)
{
    boring()->set_host(inner(tls), host);
}

static enum err feed(struct tls *tls, struct slice received)
{
    return boring()->feed(inner(tls), received);
}

static enum err handshake(struct tls *tls)
{
    return boring()->handshake(inner(tls));
}

static enum err lend(struct tls *tls, struct slice received)
{
    return boring()->lend(inner(tls), received);
}

static void keep(struct tls *tls)
{
    boring()->keep(inner(tls));
}

static size_t waiting(const struct tls *tls)
{
    return boring()->waiting(inner(tls));
}

static size_t pull(struct tls *tls, uint8_t *out, size_t cap)
{
    return boring()->pull(inner(tls), out, cap);
}

static size_t peer_chain(struct tls *tls, struct slice chain[TLS_CHAIN_CAP])
{
    return boring()->peer_chain(inner(tls), chain);
}

static void shut_down(struct tls *tls)
{
    boring()->shutdown(inner(tls));
}

static uint64_t due_us(struct tls *tls, uint64_t now_us)
{
    return boring()->due_us(inner(tls), now_us);
}

static enum err on_due(struct tls *tls, uint64_t now_us)
{
    return boring()->on_due(inner(tls), now_us);
}

static void seal_ahead(const struct tls *tls)
{
    boring()->seal_ahead(inner(tls));
}

static size_t overhead(struct tls *tls)
{
    return boring()->overhead(inner(tls));
}

const struct tls_ops *tls_real_ops(void)
{
    static const struct tls_ops table = {
        .open = open_stream,
        .close = close_connection,
        .set_host = set_host,
        .feed = feed,
        .handshake = handshake,
        .read = read_stream,
        .write = write_stream,
        .seal = seal_stream,
        .lend = lend,
        .keep = keep,
        .waiting = waiting,
        .pull = pull,
        .peer_chain = peer_chain,
        .shutdown = shut_down,
        .open_datagram = open_datagram,
        .feed_datagram = feed_datagram,
        .due_us = due_us,
        .on_due = on_due,
        .seal_datagram = seal_datagram,
        .seal_ahead = seal_ahead,
        .overhead = overhead,
    };
    return &table;
}
