/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_datagram.c - DTLS 1.2 (RFC 6347): what differs from a stream.
 *
 * One write of BoringSSL is one datagram.  Those of a handshake wait in `out`, each behind its
 * length.  What is received is read where it lies, while tls_boring_datagram_feed runs: nothing of
 * it is kept here, since BoringSSL keeps what it needs of a handshake.
 *
 * Once the handshake is done, application data is the business of tls_boring_record.c, if the
 * cipher suite is one that it knows.  Otherwise BoringSSL copies each datagram into a buffer of 16
 * KiB that it allocates for a read and frees when the records in it are used up, so an idle
 * connection has none; and a record of ours goes straight to whoever has it sealed. */
#include "link/tls_boring_impl.h"

#include <openssl/err.h>

enum {
    LENGTH_BYTES = 2,
    /* RFC 6347 4.2.4.1 recommends one second, for networks about which nothing is known, and lets
     * those that wait for somebody take less.  Half of it leaves three repetitions within the 4 s
     * that the answerer of an Attach gives each candidate. */
    FIRST_TIMEOUT_MS = 500,
};

/* Zero means to BoringSSL that no timer runs. */
#define CLOCK_OFFSET_US (1000000ull)

static _Thread_local uint64_t clock_us;

void tls_boring_datagram_set_clock(const struct tls *tls)
{
    clock_us = tls->now_us + CLOCK_OFFSET_US;
}

static void tell_time(const SSL *ssl, struct timeval *out)
{
    (void)ssl; /* always NULL */
    out->tv_sec = (time_t)(clock_us / 1000000);
    out->tv_usec = (suseconds_t)(clock_us % 1000000);
}

bool tls_boring_datagram_rules(SSL_CTX *ssl)
{
    SSL_CTX_set_current_time_cb(ssl, tell_time);
    SSL_CTX_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    return SSL_CTX_set_min_proto_version(ssl, DTLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, DTLS1_2_VERSION) == 1;
}

/* ---- the two ends of the wire ---- */

static int read_datagram(BIO *bio, char *out, int cap)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->datagram.len == 0 || cap <= 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t len = min_size(tls->datagram.len, (size_t)cap); /* the rest of one too long is lost */
    memcpy(out, tls->datagram.data, len);
    tls->datagram = SLICE_EMPTY;
    return (int)len;
}

static int write_datagram(BIO *bio, const char *bytes, int len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0 || len > UINT16_MAX) {
        return -1;
    }
    if (tls->seal_to != NULL) {
        if (tls->seal_len > 0 || (size_t)len > tls->seal_cap) {
            return -1;
        }
        memcpy(tls->seal_to, bytes, (size_t)len);
        tls->seal_len = (size_t)len;
        return len;
    }
    struct slice record = slice_of(bytes, (size_t)len);
    if (!tls_boring_record_is_allowed(tls, record)) {
        return len; /* as if it were lost on the way */
    }
    return tls_boring_datagram_push(tls, record) ? len : -1;
}

static long control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_boring_datagram_bio(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_MEM, "chordial datagrams");
    if (made != NULL) {
        BIO_meth_set_read(made, read_datagram);
        BIO_meth_set_write(made, write_datagram);
        BIO_meth_set_ctrl(made, control);
    }
    return made;
}

bool tls_boring_datagram_push(struct tls *tls, struct slice datagram)
{
    uint8_t head[LENGTH_BYTES] = {(uint8_t)(datagram.len >> 8), (uint8_t)datagram.len};
    return tls_boring_push(tls, &tls->out, head, sizeof(head)) &&
           tls_boring_push(tls, &tls->out, datagram.data, datagram.len);
}

size_t tls_boring_datagram_pull(struct tls *tls, uint8_t *out, size_t cap)
{
    uint8_t head[LENGTH_BYTES];
    if (tls_boring_shift(tls, &tls->out, head, sizeof(head)) == 0) {
        return 0;
    }
    size_t len = (size_t)head[0] << 8 | head[1];
    CHECK(len <= cap);
    return tls_boring_shift(tls, &tls->out, out, len);
}

/* ---- connections ---- */

struct tls *tls_boring_datagram_open(void *context, enum tls_role role, size_t datagram_bytes,
                                     uint64_t now_us)
{
    struct tls_boring *owner = context;
    struct tls *tls = tls_boring_make(owner, owner->dtls, owner->datagram_bio, role);
    if (tls == NULL) {
        return NULL;
    }
    tls->is_datagram = true;
    tls->now_us = now_us;
    CHECK(SSL_set_mtu(tls->ssl, (unsigned)datagram_bytes) == 1);
    DTLSv1_set_initial_timeout_duration(tls->ssl, FIRST_TIMEOUT_MS);
    SSL_set_shed_handshake_config(tls->ssl, 1);
    return tls;
}

static bool has_more(const struct tls *tls)
{
    return tls->datagram.len > 0 || SSL_has_pending(tls->ssl) == 1;
}

/* The records that are left in the datagram.  BoringSSL is not asked once too often: it would take
 * a buffer of 16 KiB, find nothing to read, and wipe it again.  (It clears its queue of errors
 * itself.) */
static enum err read_all(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    while (has_more(tls) && *len < cap) {
        int got = SSL_read(tls->ssl, out + *len, (int)min_size(cap - *len, INT32_MAX));
        if (got <= 0) {
            enum err error = tls_boring_outcome(tls, got);
            return error == ERR_MORE ? ERR_OK : error == ERR_OK ? ERR_IO : error;
        }
        *len += (size_t)got;
    }
    return ERR_OK;
}

static bool has_taken_over(struct tls *tls)
{
    return tls->record != NULL ||
           (!tls->is_left && !SSL_in_init(tls->ssl) && tls_boring_record_take_over(tls));
}

/* Once the handshake is done: our records, and between them those that are BoringSSL's. */
static HOT enum err feed_records(struct tls *tls, struct slice rest, uint8_t *out, size_t cap,
                                 size_t *len)
{
    for (;;) {
        size_t got = 0;
        enum tls_boring_next next =
            tls_boring_record_open(tls, &rest, out + *len, cap - *len, &got);
        *len += got;
        if (next == TLS_BORING_NEXT_NONE) {
            return ERR_OK;
        }
        got = 0;
        tls->datagram = tls_boring_record_take(&rest);
        tls_boring_datagram_set_clock(tls);
        enum err error = read_all(tls, out + *len, cap - *len, &got);
        *len += got;
        if (error != ERR_OK) {
            if (error == ERR_MALFORMED) { /* BoringSSL's alert comes too late for their window */
                tls_boring_record_alert(tls, SSL_AD_UNEXPECTED_MESSAGE);
            }
            return error;
        }
    }
}

HOT enum err tls_boring_datagram_feed(struct tls *tls, uint64_t now_us, struct slice datagram,
                                      uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    if (tls->failed) {
        return ERR_IO;
    }
    tls->now_us = now_us;
    enum err error = ERR_OK;
    if (has_taken_over(tls)) {
        error = feed_records(tls, datagram, out, cap, len);
        tls->datagram = SLICE_EMPTY;
        return error;
    }
    tls->datagram = datagram;
    tls_boring_datagram_set_clock(tls);
    if (SSL_in_init(tls->ssl)) {
        ERR_clear_error();
        error = tls_boring_outcome(tls, SSL_do_handshake(tls->ssl));
        error = error == ERR_CLOSED ? ERR_IO : error;
    }
    if (error == ERR_OK) {
        error = read_all(tls, out, cap, len);
    }
    tls->datagram = SLICE_EMPTY;
    return error == ERR_MORE ? ERR_OK : error;
}

uint64_t tls_boring_datagram_due_us(struct tls *tls, uint64_t now_us)
{
    struct timeval left;
    tls->now_us = now_us;
    tls_boring_datagram_set_clock(tls);
    if (tls->failed || DTLSv1_get_timeout(tls->ssl, &left) != 1) {
        return UINT64_MAX;
    }
    return now_us + (uint64_t)left.tv_sec * 1000000 + (uint64_t)left.tv_usec;
}

enum err tls_boring_datagram_on_due(struct tls *tls, uint64_t now_us)
{
    if (tls->failed) {
        return ERR_IO;
    }
    tls->now_us = now_us;
    tls_boring_datagram_set_clock(tls);
    ERR_clear_error();
    if (DTLSv1_handle_timeout(tls->ssl) >= 0) {
        return ERR_OK;
    }
    ERR_clear_error();
    tls->failed = true;
    return ERR_TIMEOUT;
}

HOT enum err tls_boring_datagram_seal(struct tls *tls, struct slice plaintext, uint8_t *out,
                                      size_t cap, size_t *len)
{
    CHECK(plaintext.len > 0 && plaintext.len + TLS_DATAGRAM_OVERHEAD <= cap);
    *len = 0;
    if (tls->failed) {
        return ERR_IO;
    }
    if (has_taken_over(tls)) {
        return tls_boring_record_seal(tls, TLS_BORING_DATA, plaintext, out, cap, len);
    }
    if (SSL_in_init(tls->ssl)) {
        return ERR_STATE;
    }
    tls->seal_to = out;
    tls->seal_cap = cap;
    tls->seal_len = 0;
    int put = SSL_write(tls->ssl, plaintext.data, (int)plaintext.len);
    tls->seal_to = NULL;
    if (put == (int)plaintext.len && tls->seal_len > 0) {
        *len = tls->seal_len;
        return ERR_OK;
    }
    enum err error = tls_boring_outcome(tls, put);
    tls->failed = true;
    return error == ERR_OK || error == ERR_MORE ? ERR_IO : error;
}

size_t tls_boring_datagram_overhead(struct tls *tls)
{
    return SSL_max_seal_overhead(tls->ssl);
}

void tls_boring_datagram_shutdown(struct tls *tls)
{
    if (tls->failed || SSL_in_init(tls->ssl)) {
        return;
    }
    if (has_taken_over(tls)) {
        tls_boring_record_alert(tls, SSL_AD_CLOSE_NOTIFY);
    } else {
        SSL_shutdown(tls->ssl);
    }
}
