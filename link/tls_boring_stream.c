/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_stream.c - application data of TLS 1.3 between peers once the handshake is done:
 * RFC 8446 5 over BoringSSL's AEADs, without its record layer.
 *
 * SSL_read and SSL_write take a buffer from the heap for each record and copy it once on the way in
 * and once on the way out; what they cost besides the AEAD is more than the AEAD.  So both secrets
 * are taken over (the key log says them) when the handshake ends: a record is opened from the
 * received bytes straight to the reader, and sealed from the plaintext straight into the buffer
 * that the kernel reads.  From then on BoringSSL reads and writes nothing more on this connection,
 * so no nonce comes twice.
 *
 * What may come between the data is done here: alerts (6), a KeyUpdate, which is answered (4.6.3),
 * and tickets, which are skipped: nobody resumes.  Anything else ends the connection with an alert,
 * as it would in BoringSSL. */
#include "codec/ids.h"
#include "link/tls_boring_impl.h"

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>

enum {
    HEAD = 5, /* type, version, length */
    TAG_BYTES = 16,
    NONCE_BYTES = 12,
    KEY_BYTES = 16,
    SECRET_BYTES = 32,                               /* of SHA-256 */
    INNER_MOST = TLS_RECORD_BYTES + 256 - TAG_BYTES, /* 5.2: with type and padding */
    LABEL_CAP = 2 + 1 + 6 + 12 + 1,
    HANDSHAKE = 22,
    MESSAGE_HEAD = 4, /* type, length */
    NEW_SESSION_TICKET = 4,
    KEY_UPDATE = 24,
    KEY_UPDATE_BYTES = MESSAGE_HEAD + 1,
    IDLE_CAP = 32, /* records in a row that carry no data, as in BoringSSL */
    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
};

struct half {
    uint64_t number; /* of the next record */
    uint8_t iv[NONCE_BYTES];
    bool has_secret;
    uint8_t secret[SECRET_BYTES];
    EVP_AEAD_CTX keys;
};

struct tls_boring_stream {
    bool is_up;                   /* BoringSSL has nothing more to do */
    bool is_closed;               /* close_notify has come */
    bool is_shut;                 /* or an alert has left */
    unsigned idle;                /* records in a row without data */
    size_t skip;                  /* of a ticket, still to come */
    struct tls_boring_queue rest; /* opened, for a reader with little room */
    struct half out;
    struct half in;
};

/* ---- keys ---- */

void tls_boring_stream_note(struct tls *tls, const char *line)
{
    static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    bool is_server = SSL_is_server(tls->ssl) == 1;
    for (size_t i = 0; i < ARRAY_COUNT(labels); i++) {
        const char *digits = strrchr(line, ' ');
        if (strncmp(line, labels[i], strlen(labels[i])) != 0 || digits == NULL) {
            continue;
        }
        if (tls->stream == NULL) {
            tls->stream = OPENSSL_malloc(sizeof(*tls->stream));
            if (tls->stream == NULL) {
                return; /* then BoringSSL goes on */
            }
            memset(tls->stream, 0, sizeof(*tls->stream));
        }
        struct half *h = (i == 1) == is_server ? &tls->stream->out : &tls->stream->in;
        size_t len = 0;
        h->has_secret =
            ids_unhex(slice_text(digits + 1), h->secret, SECRET_BYTES, &len) == ERR_OK &&
            len == SECRET_BYTES;
    }
}

/* RFC 8446 7.1: HKDF-Expand-Label without a context. */
static bool expand(const uint8_t secret[SECRET_BYTES], const char *label, uint8_t *out, size_t len)
{
    uint8_t info[LABEL_CAP] = {(uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(6 + strlen(label))};
    size_t size = strlen(label);
    CHECK(size <= 12);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, size);
    return HKDF_expand(out, len, EVP_sha256(), secret, SECRET_BYTES, info, 9 + size + 1) == 1;
}

static bool make_keys(struct half *h)
{
    uint8_t key[KEY_BYTES];
    EVP_AEAD_CTX_cleanup(&h->keys);
    EVP_AEAD_CTX_zero(&h->keys);
    bool is_made =
        expand(h->secret, "key", key, sizeof(key)) && expand(h->secret, "iv", h->iv, NONCE_BYTES) &&
        EVP_AEAD_CTX_init(&h->keys, EVP_aead_aes_128_gcm(), key, sizeof(key), TAG_BYTES, NULL) == 1;
    OPENSSL_cleanse(key, sizeof(key));
    return is_made;
}

/* 7.2: the next generation. */
static bool update_keys(struct half *h)
{
    uint8_t next[SECRET_BYTES];
    bool is_made = expand(h->secret, "traffic upd", next, sizeof(next));
    memcpy(h->secret, next, sizeof(next));
    OPENSSL_cleanse(next, sizeof(next));
    h->number = 0;
    return is_made && make_keys(h);
}

/* TLS_AES_128_GCM_SHA256, upon which two of us agree where processors have instructions for it. */
static bool is_known(const SSL *ssl)
{
    return SSL_version(ssl) == TLS1_3_VERSION &&
           SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) == 0x1301;
}

void tls_boring_stream_take_over(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    if (r == NULL || r->is_up) {
        return;
    }
    r->is_up = is_known(tls->ssl) && r->in.has_secret && r->out.has_secret && make_keys(&r->in) &&
               make_keys(&r->out);
    r->in.number = SSL_get_read_sequence(tls->ssl);
    r->out.number = SSL_get_write_sequence(tls->ssl);
    if (!r->is_up) {
        tls_boring_stream_free(tls);
        ERR_clear_error();
    }
}

void tls_boring_stream_free(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    if (r != NULL) {
        tls_boring_drop(tls, &r->rest, r->rest.end - r->rest.start);
        EVP_AEAD_CTX_cleanup(&r->out.keys);
        EVP_AEAD_CTX_cleanup(&r->in.keys);
        OPENSSL_free(r); /* wipes it */
        tls->stream = NULL;
    }
}

bool tls_boring_stream_is_up(const struct tls *tls)
{
    return tls->stream != NULL && tls->stream->is_up;
}

/* 5.3 */
static void make_nonce(const struct half *h, uint8_t nonce[NONCE_BYTES])
{
    uint64_t last;
    memcpy(nonce, h->iv, NONCE_BYTES);
    memcpy(&last, nonce + 4, sizeof(last));
    last ^= __builtin_bswap64(h->number);
    memcpy(nonce + 4, &last, sizeof(last));
}

/* ---- the way out ---- */

/* One record of exactly plaintext.len + TLS_BORING_STREAM_OVERHEAD bytes. */
static HOT bool seal(struct tls_boring_stream *r, uint8_t type, struct slice plaintext,
                     uint8_t *out)
{
    uint8_t nonce[NONCE_BYTES];
    size_t body = plaintext.len + 1 + TAG_BYTES, len = 0;
    out[0] = TLS_BORING_DATA;
    out[1] = TLS1_2_VERSION >> 8; /* 5.1: legacy_record_version */
    out[2] = TLS1_2_VERSION & 0xff;
    out[3] = (uint8_t)(body >> 8);
    out[4] = (uint8_t)body;
    make_nonce(&r->out, nonce);
    r->out.number++; /* whatever happens, this number is spent */
    STATIC_CHECK(TLS_BORING_STREAM_OVERHEAD == HEAD + 1 + TAG_BYTES);
    return EVP_AEAD_CTX_seal_scatter(&r->out.keys, out + HEAD, out + HEAD + plaintext.len, &len,
                                     1 + TAG_BYTES, nonce, sizeof(nonce), plaintext.data,
                                     plaintext.len, &type, 1, out, HEAD) == 1 &&
           len == 1 + TAG_BYTES;
}

/* Into `out`, or, when that has no room or something waits, behind what waits. */
static enum err put(struct tls *tls, uint8_t type, struct slice plaintext, uint8_t *out, size_t cap,
                    size_t *len)
{
    struct tls_boring_stream *r = tls->stream;
    size_t total = plaintext.len + TLS_BORING_STREAM_OVERHEAD;
    *len = 0;
    if (r->is_shut) {
        return ERR_IO; /* nothing comes behind an alert */
    }
    bool is_direct = out != NULL && total <= cap && tls->out.end == tls->out.start;
    uint8_t *at = is_direct ? out : tls_boring_extend(tls, &tls->out, total);
    if (at == NULL || !seal(r, type, plaintext, at)) {
        ERR_clear_error();
        tls->failed = true;
        return ERR_IO;
    }
    *len = is_direct ? total : 0;
    return ERR_OK;
}

HOT enum err tls_boring_stream_seal(struct tls *tls, struct slice plaintext, uint8_t *out,
                                    size_t cap, size_t *len)
{
    CHECK(plaintext.len <= TLS_RECORD_BYTES);
    *len = 0;
    return plaintext.len == 0 ? ERR_OK : put(tls, TLS_BORING_DATA, plaintext, out, cap, len);
}

static void alert(struct tls *tls, uint8_t level, uint8_t description)
{
    const uint8_t bytes[2] = {level, description};
    size_t none = 0;
    enum err e = put(tls, TLS_BORING_ALERT, slice_of(bytes, sizeof(bytes)), NULL, 0, &none);
    (void)e; /* it is over either way */
    tls->stream->is_shut = true;
}

void tls_boring_stream_shutdown(struct tls *tls)
{
    if (!tls->failed && !tls->stream->is_shut) {
        alert(tls, ALERT_WARNING, SSL_AD_CLOSE_NOTIFY);
    }
}

/* ---- the way in ---- */

static enum err fail(struct tls *tls, uint8_t description)
{
    alert(tls, ALERT_FATAL, description);
    tls->failed = true;
    ERR_clear_error();
    return ERR_MALFORMED;
}

static size_t body_of(const uint8_t *head)
{
    return (size_t)head[3] << 8 | head[4];
}

/* The next whole record, of what waits or of what is lent: of the latter no more is copied than the
 * record at the front needs, or, with ERR_MORE, all of it. */
static HOT enum err next_record(struct tls *tls, struct slice *record)
{
    struct tls_boring_queue *q = &tls->in;
    for (;;) {
        bool is_queued = q->end > q->start;
        struct slice have = is_queued ? slice_of(q->data + q->start, q->end - q->start) : tls->lent;
        size_t want = HEAD;
        if (have.len >= HEAD) {
            want += body_of(have.data);
            if (have.data[0] != TLS_BORING_DATA || have.data[1] != TLS1_2_VERSION >> 8 ||
                have.data[2] != (TLS1_2_VERSION & 0xff)) {
                return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
            }
            if (body_of(have.data) > INNER_MOST + TAG_BYTES) {
                return fail(tls, SSL_AD_RECORD_OVERFLOW);
            }
        }
        if (have.len >= HEAD && have.len >= want) {
            *record = slice_sub(have, 0, want);
            return ERR_OK;
        }
        size_t len = min_size(is_queued ? want - have.len : tls->lent.len, tls->lent.len);
        if (len == 0) {
            return ERR_MORE;
        }
        if (!tls_boring_reserve(tls, q, is_queued ? len : want) ||
            !tls_boring_push(tls, q, tls->lent.data, len)) {
            tls->failed = true;
            return ERR_IO;
        }
        tls->lent = slice_from(tls->lent, len);
    }
}

static void consume(struct tls *tls, size_t len)
{
    if (tls->in.end > tls->in.start) {
        tls_boring_drop(tls, &tls->in, len);
    } else {
        tls->lent = slice_from(tls->lent, len);
    }
}

/* 4.6: messages behind the handshake. */
static enum err on_handshake(struct tls *tls, struct slice content)
{
    struct tls_boring_stream *r = tls->stream;
    static const uint8_t answer[KEY_UPDATE_BYTES] = {KEY_UPDATE, 0, 0, 1, 0};
    size_t none = 0;
    if (content.len == 0) {
        return fail(tls, SSL_AD_UNEXPECTED_MESSAGE); /* 5.1 */
    }
    while (content.len > 0) {
        size_t len = min_size(r->skip, content.len);
        r->skip -= len;
        content = slice_from(content, len);
        if (content.len == 0) {
            return ERR_OK;
        }
        bool is_head = content.len >= MESSAGE_HEAD; /* a head that is cut in two: nobody does it */
        size_t body = !is_head ? 0
                               : (size_t)content.data[1] << 16 | (size_t)content.data[2] << 8 |
                                     content.data[3];
        if (is_head && content.data[0] == NEW_SESSION_TICKET && !SSL_is_server(tls->ssl) &&
            body <= TLS_RECORD_BYTES) {
            r->skip = MESSAGE_HEAD + body;
            continue;
        }
        if (content.len != KEY_UPDATE_BYTES || content.data[0] != KEY_UPDATE || body != 1 ||
            content.data[MESSAGE_HEAD] > 1) {
            return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
        }
        bool is_asked = content.data[MESSAGE_HEAD] == 1 && !r->is_shut;
        if (!update_keys(&r->in) ||
            (is_asked &&
             (put(tls, HANDSHAKE, slice_of(answer, sizeof(answer)), NULL, 0, &none) != ERR_OK ||
              !update_keys(&r->out)))) {
            tls->failed = true;
            return ERR_IO;
        }
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err on_alert(struct tls *tls, struct slice content)
{
    if (content.len != 2) {
        return fail(tls, SSL_AD_DECODE_ERROR);
    }
    if (content.data[1] == SSL_AD_CLOSE_NOTIFY) {
        tls->stream->is_closed = true;
        return ERR_CLOSED;
    }
    if (content.data[1] == SSL_AD_USER_CANCELLED && content.data[0] == ALERT_WARNING) {
        return ERR_OK; /* close_notify follows */
    }
    tls->failed = true;
    tls->stream->is_shut = true;
    return ERR_IO;
}

/* Opens the record into `inner`, which has room; content and type are found there. */
static HOT enum err open_record(struct tls *tls, struct slice record, uint8_t *inner,
                                struct slice *content, uint8_t *type)
{
    struct half *h = &tls->stream->in;
    uint8_t nonce[NONCE_BYTES];
    size_t len = 0;
    make_nonce(h, nonce);
    if (record.len < HEAD + 1 + TAG_BYTES ||
        EVP_AEAD_CTX_open(&h->keys, inner, &len, record.len - HEAD - TAG_BYTES, nonce,
                          sizeof(nonce), record.data + HEAD, record.len - HEAD, record.data,
                          HEAD) != 1) {
        return fail(tls, SSL_AD_BAD_RECORD_MAC);
    }
    h->number++;
    while (len > 0 && inner[len - 1] == 0) { /* 5.4: padding */
        len--;
    }
    if (len == 0) {
        return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
    }
    *type = inner[len - 1];
    *content = slice_of(inner, len - 1);
    return len - 1 > TLS_RECORD_BYTES ? fail(tls, SSL_AD_RECORD_OVERFLOW) : ERR_OK;
}

/* What is between the data. */
static enum err on_other(struct tls *tls, uint8_t type, struct slice content)
{
    struct tls_boring_stream *r = tls->stream;
    bool is_split = r->skip > 0 && type != HANDSHAKE; /* 5.1: nothing comes within a message */
    if (++r->idle > IDLE_CAP || is_split) {
        return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
    }
    if (type == TLS_BORING_ALERT) {
        return on_alert(tls, content);
    }
    if (type == HANDSHAKE) {
        return on_handshake(tls, content);
    }
    return type == TLS_BORING_DATA ? ERR_OK : fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
}

HOT enum err tls_boring_stream_read(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    struct tls_boring_stream *r = tls->stream;
    *len = tls_boring_shift(tls, &r->rest, out, cap);
    while (*len == 0) {
        struct slice record, content = SLICE_EMPTY;
        uint8_t type = 0;
        if (r->is_closed) {
            return ERR_CLOSED;
        }
        enum err e = next_record(tls, &record);
        if (e != ERR_OK) {
            return e;
        }
        size_t most = record.len > HEAD + TAG_BYTES ? record.len - HEAD - TAG_BYTES : 0;
        bool is_direct = most <= cap;
        uint8_t *inner = is_direct ? out : tls_boring_extend(tls, &r->rest, most);
        if (inner == NULL) {
            tls->failed = true;
            return ERR_IO;
        }
        e = open_record(tls, record, inner, &content, &type);
        consume(tls, record.len);
        bool is_data = e == ERR_OK && type == TLS_BORING_DATA && content.len > 0 && r->skip == 0;
        e = e != ERR_OK || is_data ? e : on_other(tls, type, content);
        r->idle = is_data ? 0 : r->idle;
        size_t kept = is_data ? content.len : 0;
        if (is_direct) {
            *len = kept;
        } else {
            r->rest.end = r->rest.start + kept; /* it was empty */
            *len = tls_boring_shift(tls, &r->rest, out, cap);
            tls_boring_drop(tls, &r->rest, 0);
        }
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}
