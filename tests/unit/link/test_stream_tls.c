/* SPDX-License-Identifier: Apache-2.0 */
/* TLS streams of AppAttach: authentication, bytes, ends.  RFC 6940 6.5.2, RFC 7904 5; AA-1, AA-4.
 */
#include "tests/unit/link/link_world.h"

static struct stream_tls_table *tables[2];

static void open_tables(uint32_t streams)
{
    world_init(50);
    for (size_t i = 0; i < 2; i++) {
        struct world_host *h = &world.hosts[i];
        struct stream_tls_settings s = {.tls = tls_boring_ops(),
                                        .tls_context = h->tls,
                                        .trust = &world.trust,
                                        .self = node_of(h),
                                        .streams = streams};
        size_t bytes = stream_tls_table_bytes(&s);
        struct arena exact;
        arena_init(&exact, arena_take(&h->arena, 1, bytes, 64), bytes);
        tables[i] = stream_tls_table_init(&exact, &s);
    }
}

/* What a stream was lent, until it has been read. */
static struct msgbuf *lent[8];
static size_t lent_count;
static struct world_host *lender;

static void take_back(void)
{
    while (lent_count > 0) {
        msgbuf_release(&lender->buffers, lent[--lent_count]);
    }
}

/* Carries all sends of host `from` to the stream of the other; the first error it meets. */
static enum err carry(size_t from, struct stream_tls *to)
{
    struct world_host *h = &world.hosts[from];
    enum err error = ERR_OK;
    take_back();
    lender = h;
    for (uint32_t i = 0; i < h->out.count; i++) {
        struct msgbuf *buf = h->out.ops[i].buf;
        cr_assert_eq(h->out.ops[i].kind, IO_OP_SEND);
        if (error == ERR_OK) {
            error = stream_tls_recv(&world.hosts[1 - from].t, to, msgbuf_slice(buf));
        }
        cr_assert_lt(lent_count, ARRAY_COUNT(lent));
        lent[lent_count++] = buf;
    }
    io_outbox_clear(&h->out);
    return error;
}

/* Sends of host `from` that nobody waits for. */
static void discard(size_t from)
{
    struct world_host *h = &world.hosts[from];
    for (uint32_t i = 0; i < h->out.count; i++) {
        msgbuf_release(&h->buffers, h->out.ops[i].buf);
    }
    io_outbox_clear(&h->out);
}

static struct stream_tls *client, *server;

static enum err shake(const struct node_id *client_expects, const struct node_id *server_expects)
{
    client = stream_tls_open(&world.hosts[0].t, tables[0], TLS_CLIENT, 1, client_expects);
    server = stream_tls_open(&world.hosts[1].t, tables[1], TLS_SERVER, 2, server_expects);
    cr_assert_not_null(client);
    cr_assert_not_null(server);
    cr_assert(!stream_tls_is_up(client));
    size_t sent = 0;
    cr_assert_eq(stream_tls_write(&world.hosts[0].t, client, SLICE_LITERAL("x"), &sent), ERR_STATE);
    enum err error = carry(0, server);
    error = error == ERR_OK ? carry(1, client) : error;
    return error == ERR_OK ? carry(0, server) : error;
}

static void close_both(bool graceful)
{
    stream_tls_close(&world.hosts[0].t, tables[0], client, graceful);
    stream_tls_close(&world.hosts[1].t, tables[1], server, false);
    take_back();
    cr_assert_eq(stream_tls_count(tables[0]) + stream_tls_count(tables[1]), 0);
}

Test(stream_tls, carries_bytes_between_proved_nodes)
{
    static uint8_t text[40000], got[40000];
    open_tables(2);
    struct node_id b = node_of(&world.hosts[1]), a = node_of(&world.hosts[0]);
    cr_assert_eq(shake(&b, NULL), ERR_OK);
    cr_assert(stream_tls_is_up(client) && stream_tls_is_up(server));
    cr_assert(ids_node_is_equal(stream_tls_node_id(server), &a));
    cr_assert(ids_node_is_equal(stream_tls_node_id(client), &b));
    cr_assert(slice_is_equal(stream_tls_user(client), slice_text(world.hosts[1].credential.user)));
    cr_assert_eq(stream_tls_not_after_ms(client), NOW_MS + DAY_MS);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 13);
    }
    size_t sent = 0, len = 0, total = 0;
    cr_assert_eq(stream_tls_write(&world.hosts[0].t, client, slice_of(text, sizeof(text)), &sent),
                 ERR_OK);
    cr_assert_gt(sent, sizeof(text));
    cr_assert_eq(carry(0, server), ERR_OK);
    while (stream_tls_read(&world.hosts[1].t, server, got + total, sizeof(got) - total, &len) ==
           ERR_OK) {
        total += len;
        if (total == sizeof(got)) {
            break;
        }
    }
    cr_assert_eq(total, sizeof(text));
    cr_assert_eq(memcmp(got, text, sizeof(text)), 0);
    cr_assert_eq(stream_tls_read(&world.hosts[1].t, server, got, 1, &len), ERR_MORE);
    cr_assert_str_eq(stream_tls_why(server), "ok");
    stream_tls_close(&world.hosts[0].t, tables[0], client, true);
    cr_assert_eq(carry(0, server), ERR_OK);
    cr_assert_eq(stream_tls_read(&world.hosts[1].t, server, got, 1, &len), ERR_CLOSED);
    stream_tls_close(&world.hosts[1].t, tables[1], server, true);
    take_back();
    discard(1);
    world_fini();
}

/* ID-5: whoever answers an AppAttach must be the node that was asked. */
Test(stream_tls, refuses_another_node)
{
    open_tables(2);
    struct node_id other = node_of(&world.hosts[2]);
    cr_assert_eq(shake(&other, NULL), ERR_FORBIDDEN);
    cr_assert(!stream_tls_is_up(client));
    cr_assert_str_eq(stream_tls_why(client), "not the expected Node-ID");
    cr_assert_eq(metric_of(&world.hosts[0], METRIC_link_auth_wrong_node), 1);
    cr_assert_eq(stream_tls_recv(&world.hosts[0].t, client, SLICE_LITERAL("x")), ERR_STATE);
    discard(0);
    close_both(true);
    discard(0);
    world_fini();
}

Test(stream_tls, garbage_ends_it)
{
    open_tables(1);
    uint8_t byte = 0;
    size_t len = 0;
    cr_assert_eq(shake(NULL, NULL), ERR_OK);
    cr_assert_null(stream_tls_open(&world.hosts[0].t, tables[0], TLS_CLIENT, 3, NULL));
    cr_assert_eq(metric_of(&world.hosts[0], METRIC_stream_tls_refused), 1);
    enum err error = stream_tls_recv(&world.hosts[1].t, server, SLICE_LITERAL("no record at all"));
    cr_assert_eq(error, ERR_OK);
    cr_assert_eq(stream_tls_read(&world.hosts[1].t, server, &byte, 1, &len), ERR_MALFORMED);
    cr_assert_eq(stream_tls_read(&world.hosts[1].t, server, &byte, 1, &len), ERR_STATE);
    cr_assert_eq(metric_of(&world.hosts[1], METRIC_stream_tls_failed), 1);
    close_both(false);
    /* No buffer for the first flight. */
    world.hosts[0].buffers.fail_after = 0;
    cr_assert_null(stream_tls_open(&world.hosts[0].t, tables[0], TLS_CLIENT, 3, NULL));
    world.hosts[0].buffers.fail_after = UINT32_MAX;
    cr_assert_eq(stream_tls_count(tables[0]), 0);
    world_fini();
}

/* Phones: the server asks for no certificate, and takes whoever comes.  A credential that is
 * replaced goes with the last connection that began with it. */
Test(stream_tls, takes_phones_and_changes_its_credential)
{
    struct tls_boring *contexts[2] = {NULL, NULL};
    const struct credential *c[2] = {&world.hosts[1].credential, &world.hosts[2].credential};
    world_init(50);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(
            tls_boring_context_public(credential_der(c[i]), NULL, 0, c[i]->key, &contexts[i]),
            ERR_OK);
        struct tls_boring *other = NULL;
        cr_assert_eq(
            tls_boring_context_public(credential_der(c[i]), NULL, 0, c[1 - i]->key, &other),
            ERR_BAD_CERTIFICATE);
        cr_assert_null(other);
    }
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    struct stream_tls_settings phones = {
        .tls = tls_boring_ops(), .tls_context = contexts[0], .streams = 2};
    struct stream_tls_settings dialler = {
        .tls = tls_boring_ops(), .tls_context = contexts[1], .streams = 2};
    tables[0] = stream_tls_table_init(&a->arena, &dialler); /* presents none either */
    tables[1] = stream_tls_table_init(&b->arena, &phones);
    cr_assert_eq(shake(NULL, NULL), ERR_OK);
    cr_assert_eq(carry(1, client), ERR_OK);
    cr_assert(stream_tls_is_up(client) && stream_tls_is_up(server));
    cr_assert_eq(stream_tls_table_use(tables[1], contexts[1]), contexts[0]);
    tls_boring_context_retire(contexts[0]); /* `server` still has it */
    uint8_t byte = 0;
    size_t sent = 0, len = 0;
    cr_assert_eq(stream_tls_write(&a->t, client, SLICE_LITERAL("x"), &sent), ERR_OK);
    cr_assert_eq(carry(0, server), ERR_OK);
    cr_assert_eq(stream_tls_read(&b->t, server, &byte, 1, &len), ERR_OK);
    cr_assert_eq(byte, 'x');
    discard(1);
    close_both(false); /* ... and no more: ASan would see it if it stayed, or went before */
    struct stream_tls *idle = stream_tls_open(&b->t, tables[1], TLS_SERVER, 3, NULL);
    cr_assert_not_null(idle);
    cr_assert_eq(tls_boring_counters(contexts[1]).open, 1);
    /* Bytes that are no TLS end it, under a name of its own. */
    cr_assert_eq(metric_of(b, METRIC_sip_tls_failed), 0);
    server = stream_tls_open(&b->t, tables[1], TLS_SERVER, 4, NULL);
    cr_assert_neq(stream_tls_recv(&b->t, server, SLICE_LITERAL("REGISTER sip:x SIP/2.0\r\n")),
                  ERR_OK);
    cr_assert_eq(metric_of(b, METRIC_sip_tls_failed), 1);
    cr_assert_null(stream_tls_open(&b->t, tables[1], TLS_SERVER, 5, NULL));
    cr_assert_eq(metric_of(b, METRIC_sip_tls_refused), 1);
    cr_assert_eq(metric_of(b, METRIC_stream_tls_failed) + metric_of(b, METRIC_stream_tls_refused),
                 0);
    discard(1);
    stream_tls_close(&b->t, tables[1], idle, false);
    stream_tls_close(&b->t, tables[1], server, false);
    tls_boring_context_retire(contexts[1]); /* nobody has it: at once */
    world_fini();
}
