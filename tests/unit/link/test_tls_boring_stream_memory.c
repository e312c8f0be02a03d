/* SPDX-License-Identifier: Apache-2.0 */
/* Without memory: each allocation of our end fails once, on the way to a connection and over it.
 * The connection goes on, or ends with an error; nothing is left, and no record goes out twice. */
#include "tests/unit/link/bare_pair.h"
#include <openssl/err.h>

/* BoringSSL asks these for memory where a program has them. */
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *pointer);
size_t OPENSSL_memory_get_size(void *pointer);

enum { NEVER = -1, BEFORE = 16 /* in front of each block: its size, and alignment */ };
static int left = NEVER; /* so many more succeed, then one fails */

void *OPENSSL_memory_alloc(size_t size)
{
    if (left == 0) {
        left = NEVER;
        return NULL;
    }
    left -= left > 0 ? 1 : 0;
    uint8_t *block = malloc(BEFORE + size);
    cr_assert_neq(block, NULL);
    memcpy(block, &size, sizeof(size));
    return block + BEFORE;
}

void OPENSSL_memory_free(void *pointer)
{
    free(pointer == NULL ? NULL : (uint8_t *)pointer - BEFORE);
}

size_t OPENSSL_memory_get_size(void *pointer)
{
    size_t size = 0;
    memcpy(&size, (uint8_t *)pointer - BEFORE, sizeof(size));
    return size;
}

/* carry() of bare_pair.h, where ours may say that it is over. */
static bool carry_some(struct pair *p)
{
    static uint8_t wire[WIRE];
    enum err e = ERR_OK;
    int after = left;
    left = NEVER; /* those of the other end do not count */
    int len = BIO_read(p->from_bare, wire, sizeof(wire));
    left = after;
    if (len > 0) {
        e = p->ops->feed(p->tls, slice_of(wire, (size_t)len));
    }
    size_t back = p->ops->pull(p->tls, wire, sizeof(wire));
    after = left;
    left = NEVER;
    cr_assert_eq(BIO_write(p->to_bare, wire, (int)back), (int)back);
    ERR_clear_error();
    left = after;
    return e == ERR_OK;
}

/* What the other end does has all the memory that it wants. */
static int bare_shakes(struct pair *p)
{
    int after = left;
    left = NEVER;
    int done = SSL_do_handshake(p->bare);
    ERR_clear_error();
    left = after;
    return done;
}

static bool shake(struct pair *p)
{
    enum err e = ERR_MORE;
    for (int round = 0; round < 8 && (e == ERR_OK || e == ERR_MORE); round++) {
        e = p->ops->handshake(p->tls);
        if ((e == ERR_OK || e == ERR_MORE) && !carry_some(p)) {
            return false;
        }
        bare_shakes(p);
    }
    return e == ERR_OK && SSL_in_init(p->bare) == 0;
}

/* Small pieces, so that records wait in our queues: those grow. */
static bool hear(struct pair *p, const uint8_t *text, size_t text_len)
{
    static uint8_t wire[WIRE], got[TLS_READ_BYTES];
    size_t had = 0;
    enum err e = ERR_MORE;
    int after = left;
    left = NEVER;
    cr_assert_eq(SSL_write(p->bare, text, (int)text_len), (int)text_len);
    int all = BIO_read(p->from_bare, wire, sizeof(wire));
    left = after;
    for (int at = 0; at < all && (e == ERR_OK || e == ERR_MORE); at += 1000) {
        size_t len = 0;
        e = p->ops->feed(p->tls, slice_of(wire + at, min_size((size_t)(all - at), 1000)));
        for (e = e == ERR_OK ? ERR_OK : e; e == ERR_OK; had += len) {
            e = p->ops->read(p->tls, got + had, 100, &len);
        }
    }
    bool is_all = e == ERR_MORE && had == text_len;
    cr_assert(!is_all || memcmp(got, text, text_len) == 0);
    cr_assert(is_all || e != ERR_MORE, "bytes are lost, and nobody says so");
    return is_all;
}

static bool say(struct pair *p)
{
    uint8_t got[100];
    if (p->ops->write(p->tls, SLICE_LITERAL("back")) != ERR_OK || !carry_some(p)) {
        return false;
    }
    int after = left;
    left = NEVER;
    cr_assert_eq(SSL_read(p->bare, got, sizeof(got)), 4);
    cr_assert_eq(memcmp(got, "back", 4), 0);
    left = after;
    return true;
}

/* How many allocations of ours there were; the one behind `after` others fails. */
static int try(enum tls_role ours, int after, unsigned *talks)
{
    static struct pair p;
    static uint8_t text[5000];
    memset(text, 't', sizeof(text));
    pair_open(&p, ours, false);
    left = after;
    bool is_up = shake(&p);
    if (is_up && hear(&p, text, sizeof(text)) && say(&p)) {
        *talks += 1;
    }
    int made = left == NEVER ? after + 1 : after - left;
    left = NEVER;
    end(&p);
    return made;
}

Test(tls_boring_stream, fails_soundly_without_memory, .timeout = 120)
{
    enum { MANY = 1000000 };
    for (int role = 0; role < 2; role++) {
        enum tls_role ours = role == 0 ? TLS_SERVER : TLS_CLIENT;
        unsigned talks = 0;
        int all = try(ours, MANY, &talks);
        cr_assert(talks == 1 && all > 50 && all < MANY);
        for (int after = 0; after < all; after++) {
            cr_assert_leq(try(ours, after, &talks), after + 1);
        }
        cr_assert_gt(talks, 1, "where the key log finds no memory BoringSSL goes on");
        cr_assert_lt(talks, (unsigned)all);
    }
}
