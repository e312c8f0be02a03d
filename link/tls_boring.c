/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring.c - one SSL object and two byte queues per connection.
 *
 * Between peers BoringSSL's part ends with the handshake (tls_boring_stream.c).  What is said here
 * of records is how it is with phones, and with TLS 1.2.
 *
 * BoringSSL reads from `in` and writes to `out` through a BIO of our own.  Both queues take memory
 * when bytes wait in them and give it back when they are empty, so an idle link costs its SSL
 * object alone.  In steady state neither is used: BoringSSL copies a record once from the received
 * bytes (`lent`) into its own buffer, where it decrypts it, and once from there to the reader; what
 * it seals in its other buffer is copied once into `seal_to`, which the kernel reads.  BoringSSL
 * asks for a whole record at a time, so after a read that found nothing more `in` is always empty:
 * what waits for the rest of its record waits inside BoringSSL. */
#include "link/tls_boring_impl.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>

/* Best first; Ed25519 must be named to be used at all. */
static const uint16_t signature_algorithms[] = {
    SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP256R1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256,
};

/* ---- queues ---- */

static void count_bytes(struct tls_boring *context, size_t more, size_t less)
{
    struct tls_boring_counters *c = &context->counters;
    c->buffer_bytes = c->buffer_bytes + more - less;
    c->buffer_peak = max_u64(c->buffer_peak, c->buffer_bytes);
}

static void drop_queue(struct tls *tls, struct tls_boring_queue *q)
{
    count_bytes(tls->context, 0, q->cap);
    OPENSSL_free(q->data);
    *q = (struct tls_boring_queue){NULL, 0, 0, 0};
}

/* What is in the queue, into memory of `cap` bytes. */
static bool move_queue(struct tls *tls, struct tls_boring_queue *q, size_t cap)
{
    size_t used = q->end - q->start;
    uint8_t *data = OPENSSL_malloc(cap);
    if (data == NULL) {
        return false;
    }
    if (used > 0) {
        memcpy(data, q->data + q->start, used);
    }
    count_bytes(tls->context, cap, q->cap);
    OPENSSL_free(q->data);
    *q = (struct tls_boring_queue){.data = data, .cap = cap, .end = used};
    return true;
}

/* Of memory that must grow no less than `least` is taken. */
static bool make_room(struct tls *tls, struct tls_boring_queue *q, size_t len, size_t least)
{
    size_t used = q->end - q->start;
    if (q->cap - q->end >= len) {
        return true;
    }
    if (used + len > TLS_BORING_BUFFER_CAP) {
        return false;
    }
    if (used + len > q->cap) {
        return move_queue(tls, q, max_size(used + len, min_size(least, TLS_BORING_BUFFER_CAP)));
    }
    memmove(q->data, q->data + q->start, used);
    q->start = 0;
    q->end = used;
    return true;
}

bool tls_boring_reserve(struct tls *tls, struct tls_boring_queue *q, size_t len)
{
    return make_room(tls, q, len, 0);
}

void tls_boring_shrink(struct tls *tls, struct tls_boring_queue *q, size_t cap)
{
    CHECK(cap >= q->end - q->start && cap > 0);
    bool is_moved = move_queue(tls, q, cap);
    (void)is_moved; /* or it stays as it is */
}

uint8_t *tls_boring_extend(struct tls *tls, struct tls_boring_queue *q, size_t len)
{
    if (!make_room(tls, q, len, 2 * q->cap)) {
        return NULL;
    }
    q->end += len;
    return q->data + q->end - len;
}

bool tls_boring_push(struct tls *tls, struct tls_boring_queue *q, const void *bytes, size_t len)
{
    uint8_t *at = len == 0 ? NULL : tls_boring_extend(tls, q, len);
    if (at != NULL) {
        memcpy(at, bytes, len);
    }
    return at != NULL || len == 0;
}

void tls_boring_drop(struct tls *tls, struct tls_boring_queue *q, size_t len)
{
    CHECK(len <= q->end - q->start);
    q->start += len;
    if (q->start == q->end) {
        drop_queue(tls, q);
    }
}

size_t tls_boring_shift(struct tls *tls, struct tls_boring_queue *q, uint8_t *out, size_t cap)
{
    size_t len = min_size(q->end - q->start, cap);
    if (len == 0) {
        return 0;
    }
    memcpy(out, q->data + q->start, len);
    tls_boring_drop(tls, q, len);
    return len;
}

static int read_bio(BIO *bio, char *out, int cap)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t len = cap > 0 ? tls_boring_shift(tls, &tls->in, (uint8_t *)out, (size_t)cap) : 0;
    if (len == 0 && cap > 0 && tls->lent.len > 0) {
        len = min_size((size_t)cap, tls->lent.len);
        memcpy(out, tls->lent.data, len);
        tls->lent = slice_from(tls->lent, len);
    }
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    return (int)len;
}

static int write_bio(BIO *bio, const char *bytes, int len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    bool is_direct = tls->seal_to != NULL && tls->out.end == tls->out.start && len > 0 &&
                     (size_t)len <= tls->seal_cap - tls->seal_len;
    if (is_direct) {
        memcpy(tls->seal_to + tls->seal_len, bytes, (size_t)len);
        tls->seal_len += (size_t)len;
        return len;
    }
    return len > 0 && tls_boring_push(tls, &tls->out, bytes, (size_t)len) ? len : -1;
}

static long control_bio(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- contexts, of streams and of datagrams ---- */

/* Whoever proves possession of a key gets in here; link/peer_auth judges the certificate. */
static enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *alert)
{
    (void)ssl;
    (void)alert;
    return ssl_verify_ok;
}

static void log_key(const SSL *ssl, const char *line)
{
    struct tls *tls = SSL_get_app_data(ssl);
    struct tls_boring *context = tls->context;
    if (context->is_mutual && !tls->is_datagram) {
        tls_boring_stream_keys_note(tls, line);
    }
    if (context->sink != NULL) {
        context->sink(context->sink_user, line);
    }
}

static bool set_credential(SSL_CTX *ssl, struct slice certificate,
                           const struct slice *intermediates, size_t count,
                           const struct crypto_key *key)
{
    CRYPTO_BUFFER *chain[TLS_CHAIN_CAP] = {NULL};
    bool good = count + 1 <= TLS_CHAIN_CAP;
    for (size_t i = 0; good && i < count + 1; i++) {
        struct slice der = i == 0 ? certificate : intermediates[i - 1];
        chain[i] = CRYPTO_BUFFER_new(der.data, der.len, NULL);
        good = chain[i] != NULL;
    }
    /* It also compares the key with the certificate. */
    good = good && SSL_CTX_set_chain_and_key(ssl, chain, count + 1, crypto_boring_key_object(key),
                                             NULL) == 1;
    for (size_t i = 0; i < TLS_CHAIN_CAP; i++) {
        CRYPTO_BUFFER_free(chain[i]);
    }
    return good;
}

static bool set_rules(SSL_CTX *ssl, bool is_public)
{
    size_t count = ARRAY_COUNT(signature_algorithms);
    int who = is_public ? SSL_VERIFY_NONE : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_custom_verify(ssl, who, accept_any);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ssl, TLS_BORING_CHAIN_BYTES);
    SSL_CTX_set_keylog_callback(ssl, log_key);
    return SSL_CTX_set_verify_algorithm_prefs(ssl, signature_algorithms, count) == 1 &&
           SSL_CTX_set_signing_algorithm_prefs(ssl, signature_algorithms, count) == 1;
}

static bool set_stream_rules(SSL_CTX *ssl)
{
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_MEM, "chordial");
    if (made != NULL) {
        BIO_meth_set_read(made, read_bio);
        BIO_meth_set_write(made, write_bio);
        BIO_meth_set_ctrl(made, control_bio);
    }
    return made;
}

static enum err make_context(struct slice certificate, const struct slice *intermediates,
                             size_t intermediate_count, const struct crypto_key *key,
                             bool is_public, struct tls_boring **context)
{
    *context = NULL;
    struct tls_boring *made = OPENSSL_malloc(sizeof(*made));
    if (made == NULL) {
        return ERR_NO_MEMORY;
    }
    memset(made, 0, sizeof(*made));
    made->is_mutual = key != NULL && !is_public;
    made->ssl = SSL_CTX_new(TLS_with_buffers_method());
    made->dtls = SSL_CTX_new(DTLS_with_buffers_method());
    made->bio = make_bio_method();
    made->datagram_bio = tls_boring_datagram_bio();
    enum err error = ERR_OK;
    if (made->ssl == NULL || made->dtls == NULL || made->bio == NULL ||
        made->datagram_bio == NULL || !set_rules(made->ssl, is_public) ||
        !set_rules(made->dtls, is_public) || !set_stream_rules(made->ssl) ||
        !tls_boring_datagram_rules(made->dtls)) {
        error = ERR_NO_MEMORY;
    } else if (key != NULL &&
               (!set_credential(made->ssl, certificate, intermediates, intermediate_count, key) ||
                !set_credential(made->dtls, certificate, intermediates, intermediate_count, key))) {
        error = ERR_BAD_CERTIFICATE;
    }
    ERR_clear_error();
    if (error != ERR_OK) {
        tls_boring_context_free(made);
        return error;
    }
    *context = made;
    return ERR_OK;
}

enum err tls_boring_context_new(struct slice certificate, const struct slice *intermediates,
                                size_t intermediate_count, const struct crypto_key *key,
                                struct tls_boring **context)
{
    return make_context(certificate, intermediates, intermediate_count, key, false, context);
}

enum err tls_boring_context_public(struct slice certificate, const struct slice *intermediates,
                                   size_t intermediate_count, const struct crypto_key *key,
                                   struct tls_boring **context)
{
    return make_context(certificate, intermediates, intermediate_count, key, true, context);
}

enum err tls_boring_context_client(struct tls_boring **context)
{
    return make_context(SLICE_EMPTY, NULL, 0, NULL, false, context);
}

void tls_boring_context_retire(struct tls_boring *context)
{
    if (context == NULL) {
        return;
    }
    if (context->counters.open == 0) {
        tls_boring_context_free(context);
    } else {
        context->is_retired = true;
    }
}

void tls_boring_context_free(struct tls_boring *context)
{
    if (context == NULL) {
        return;
    }
    CHECK(context->counters.open == 0);
    SSL_CTX_free(context->ssl);
    SSL_CTX_free(context->dtls);
    BIO_meth_free(context->bio);
    BIO_meth_free(context->datagram_bio);
    OPENSSL_free(context);
}

void tls_boring_keylog(struct tls_boring *context, tls_boring_keylog_sink sink, void *user)
{
    context->sink = sink;
    context->sink_user = user;
}

struct tls_boring_counters tls_boring_counters(const struct tls_boring *context)
{
    return context->counters;
}

/* ---- connections ---- */

struct tls *tls_boring_make(struct tls_boring *owner, SSL_CTX *ssl, const BIO_METHOD *method,
                            enum tls_role role)
{
    struct tls *tls = OPENSSL_malloc(sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    memset(tls, 0, sizeof(*tls));
    tls->context = owner;
    tls->ssl = SSL_new(ssl);
    BIO *bio = BIO_new(method);
    if (tls->ssl == NULL || bio == NULL) {
        SSL_free(tls->ssl);
        BIO_free(bio);
        OPENSSL_free(tls);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* owns it from here on */
    SSL_set_app_data(tls->ssl, tls);
    if (role == TLS_CLIENT) {
        SSL_set_connect_state(tls->ssl);
    } else {
        SSL_set_accept_state(tls->ssl);
    }
    owner->counters.opened++;
    owner->counters.open++;
    return tls;
}

static struct tls *open_tls(void *context, enum tls_role role)
{
    struct tls_boring *owner = context;
    return tls_boring_make(owner, owner->ssl, owner->bio, role);
}

/* RFC 6066 3: names only, no addresses. */
static void set_host(struct tls *tls, const char *host)
{
    bool is_name = false;
    for (const char *c = host; *c != '\0'; c++) {
        is_name = is_name || ((*c < '0' || *c > '9') && *c != '.');
        if (*c == ':') {
            return;
        }
    }
    if (is_name && SSL_set_tlsext_host_name(tls->ssl, host) != 1) {
        ERR_clear_error(); /* then without: the server's default certificate is judged */
    }
}

static void close_tls(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    CHECK(tls->context->counters.open > 0);
    tls_boring_record_free(tls);
    tls_boring_stream_keys_free(tls);
    SSL_free(tls->ssl);
    drop_queue(tls, &tls->in);
    drop_queue(tls, &tls->out);
    struct tls_boring *context = tls->context;
    context->counters.open--;
    OPENSSL_free(tls);
    if (context->is_retired && context->counters.open == 0) {
        tls_boring_context_free(context);
    }
}

enum err tls_boring_outcome(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_NONE:
        return ERR_OK;
    case SSL_ERROR_WANT_READ:
        return ERR_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    case SSL_ERROR_SSL: {
        tls->failed = true;
        uint32_t code = ERR_peek_error();
        bool is_alert =
            ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
        bool is_bare = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                       ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
        ERR_clear_error();
        if (is_bare) {
            return ERR_UNAUTHENTICATED;
        }
        return is_alert ? ERR_IO : ERR_MALFORMED;
    }
    default: /* our BIO refused: a bound was reached */
        tls->failed = true;
        ERR_clear_error();
        return ERR_IO;
    }
}

static enum err do_handshake(struct tls *tls)
{
    if (tls->failed) {
        return ERR_IO;
    }
    if (tls->is_datagram) {
        tls_boring_datagram_set_clock(tls);
    }
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    enum err error = tls_boring_outcome(tls, result);
    if (error == ERR_OK) {
        tls_boring_stream_keys_take_over(tls);
    }
    /* A peer that says goodbye before it has introduced itself. */
    return error == ERR_CLOSED ? ERR_IO : error;
}

static void keep_tls(struct tls *tls)
{
    struct slice lent = tls->lent;
    tls->lent = SLICE_EMPTY;
    if (!tls->failed && !tls_boring_push(tls, &tls->in, lent.data, lent.len)) {
        tls->failed = true;
    }
}

static enum err feed_tls(struct tls *tls, struct slice received)
{
    keep_tls(tls);
    if (tls->failed || !tls_boring_push(tls, &tls->in, received.data, received.len)) {
        tls->failed = true;
        return ERR_IO;
    }
    if (!SSL_in_init(tls->ssl)) {
        return ERR_OK;
    }
    enum err error = do_handshake(tls);
    return error == ERR_MORE ? ERR_OK : error;
}

static enum err read_tls(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    if (tls->failed) {
        return ERR_IO;
    }
    CHECK(cap > 0);
    if (tls_boring_stream_is_up(tls)) {
        return tls_boring_stream_read(tls, out, cap, len);
    }
    if (SSL_in_init(tls->ssl)) {
        return ERR_MORE; /* SSL_read would go on with it, and past its end */
    }
    ERR_clear_error();
    int got = SSL_read(tls->ssl, out, (int)min_size(cap, INT32_MAX));
    if (got > 0) {
        *len = (size_t)got;
        return ERR_OK;
    }
    enum err error = tls_boring_outcome(tls, got);
    return error == ERR_OK ? ERR_IO : error;
}

static enum err write_tls(struct tls *tls, struct slice plaintext)
{
    CHECK(plaintext.len <= TLS_RECORD_BYTES);
    if (tls->failed) {
        return ERR_IO;
    }
    if (SSL_in_init(tls->ssl)) {
        return ERR_STATE;
    }
    if (plaintext.len == 0) {
        return ERR_OK;
    }
    if (tls_boring_stream_is_up(tls)) {
        return tls_boring_stream_seal(tls, plaintext, tls->seal_to, tls->seal_cap, &tls->seal_len);
    }
    ERR_clear_error();
    int put = SSL_write(tls->ssl, plaintext.data, (int)plaintext.len);
    if (put == (int)plaintext.len) {
        return ERR_OK;
    }
    enum err error = tls_boring_outcome(tls, put);
    tls->failed = true;
    return error == ERR_OK || error == ERR_MORE ? ERR_IO : error;
}

static enum err seal_tls(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                         size_t *len)
{
    tls->seal_to = out;
    tls->seal_cap = cap;
    tls->seal_len = 0;
    enum err error = write_tls(tls, plaintext);
    *len = tls->seal_len;
    tls->seal_to = NULL;
    return error;
}

static enum err lend_tls(struct tls *tls, struct slice received)
{
    bool is_behind = tls->in.end > tls->in.start && !tls_boring_stream_is_up(tls);
    if (SSL_in_init(tls->ssl) || tls->lent.len > 0 || is_behind) {
        return feed_tls(tls, received);
    }
    if (tls->failed) {
        return ERR_IO;
    }
    tls->lent = received;
    return ERR_OK;
}

static size_t waiting_tls(const struct tls *tls)
{
    return tls->out.end - tls->out.start;
}

static size_t pull_tls(struct tls *tls, uint8_t *out, size_t cap)
{
    if (tls->is_datagram) {
        return tls_boring_datagram_pull(tls, out, cap);
    }
    return tls_boring_shift(tls, &tls->out, out, cap);
}

static size_t list_chain(struct tls *tls, struct slice chain[TLS_CHAIN_CAP])
{
    const STACK_OF(CRYPTO_BUFFER) *presented = SSL_get0_peer_certificates(tls->ssl);
    size_t count = presented == NULL ? 0 : min_size(sk_CRYPTO_BUFFER_num(presented), TLS_CHAIN_CAP);
    for (size_t i = 0; i < count; i++) {
        const CRYPTO_BUFFER *one = sk_CRYPTO_BUFFER_value(presented, i);
        chain[i] = slice_of(CRYPTO_BUFFER_data(one), CRYPTO_BUFFER_len(one));
    }
    return count;
}

static void shutdown_tls(struct tls *tls)
{
    if (tls->is_datagram) {
        tls_boring_datagram_shutdown(tls);
    } else if (tls_boring_stream_is_up(tls)) {
        tls_boring_stream_shutdown(tls);
    } else if (!tls->failed && !SSL_in_init(tls->ssl)) {
        SSL_shutdown(tls->ssl);
    }
    ERR_clear_error();
}

const struct tls_ops *tls_boring_ops(void)
{
    static const struct tls_ops table = {
        .open = open_tls,
        .close = close_tls,
        .set_host = set_host,
        .feed = feed_tls,
        .handshake = do_handshake,
        .read = read_tls,
        .write = write_tls,
        .seal = seal_tls,
        .lend = lend_tls,
        .keep = keep_tls,
        .waiting = waiting_tls,
        .pull = pull_tls,
        .peer_chain = list_chain,
        .shutdown = shutdown_tls,
        .open_datagram = tls_boring_datagram_open,
        .feed_datagram = tls_boring_datagram_feed,
        .due_us = tls_boring_datagram_due_us,
        .on_due = tls_boring_datagram_on_due,
        .seal_datagram = tls_boring_datagram_seal,
        .seal_ahead = tls_boring_record_seal_ahead,
        .overhead = tls_boring_datagram_overhead,
    };
    return &table;
}
