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
 * What may come between the data is done here: alerts (6), a KeyUpdate, which is answered (4.6.3)
 * before the next data, and tickets, which are skipped: nobody resumes.  Anything else ends the
 * connection with an alert, as it would in BoringSSL. */
#include "link/tls_boring_stream.h"

#include <openssl/err.h>
#include <openssl/mem.h>

enum {
    HEAD = 5, /* type, version, length */
    TAG_BYTES = TLS_BORING_STREAM_TAG,
    NONCE_BYTES = TLS_BORING_STREAM_NONCE,
    INNER_MOST = TLS_RECORD_BYTES + 1, /* 5.4: with type and padding */
    RECORD_MOST = HEAD + INNER_MOST + TAG_BYTES,
    HANDSHAKE = 22,
    MESSAGE_HEAD = 4, /* type, length */
    NEW_SESSION_TICKET = 4,
    KEY_UPDATE = 24,
    KEY_UPDATE_BYTES = TLS_BORING_STREAM_MESSAGE,
    IDLE_CAP = 32,                         /* in a row that carry no data, as in BoringSSL */
    UPDATE_COST = 4,                       /* new keys cost us what some small records do */
    UPDATES_MOST = IDLE_CAP * UPDATE_COST, /* so 32 at once, then one to four records of data */
    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
};

bool tls_boring_stream_is_up(const struct tls *tls)
{
    return tls->stream != NULL && tls->stream->is_up;
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
    tls_boring_stream_nonce(&r->out, nonce);
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
        if (at != NULL && !is_direct) {
            tls->out.end -= total; /* no record */
            tls_boring_drop(tls, &tls->out, 0);
        }
        ERR_clear_error();
        tls->failed = true;
        return ERR_IO;
    }
    *len = is_direct ? total : 0;
    return ERR_OK;
}

/* 4.6.3: new keys, either for the answer that is owed, one to however many requests, or because
 * these have sealed enough. */
static enum err update_out(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    static const uint8_t message[KEY_UPDATE_BYTES] = {KEY_UPDATE, 0, 0, 1, 0}; /* not_requested */
    size_t none = 0;
    enum err e = put(tls, HANDSHAKE, slice_of(message, sizeof(message)), NULL, 0, &none);
    if (e == ERR_OK && !tls_boring_stream_keys_update(&r->out)) {
        r->is_shut = true; /* without keys */
        tls->failed = true;
        e = ERR_IO;
    }
    r->update_at = r->limit;
    return e;
}

HOT enum err tls_boring_stream_seal(struct tls *tls, struct slice plaintext, uint8_t *out,
                                    size_t cap, size_t *len)
{
    CHECK(plaintext.len <= TLS_RECORD_BYTES);
    *len = 0;
    if (plaintext.len == 0) {
        return ERR_OK;
    }
    if (UNLIKELY(tls->stream->out.number >= tls->stream->update_at)) {
        enum err e = update_out(tls); /* it waits, and the data behind it */
        if (e != ERR_OK) {
            return e;
        }
    }
    return put(tls, TLS_BORING_DATA, plaintext, out, cap, len);
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
            if (UNLIKELY(q->cap > 2 * RECORD_MOST)) {
                tls_boring_shrink(tls, q, want); /* he may never send the rest */
            }
            return ERR_MORE;
        }
        if (!tls_boring_reserve(tls, q, is_queued ? want - have.len : want) ||
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

/* A KeyUpdate, whole: the next record has the next keys, so nothing may follow in this one (5.1).
 * The answer waits for the next data: who only asks is not answered. */
static enum err on_key_update(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    uint8_t request = r->message[MESSAGE_HEAD];
    r->updates += UPDATE_COST;
    if (request > 1) {
        return fail(tls, SSL_AD_ILLEGAL_PARAMETER);
    }
    if (r->updates > UPDATES_MOST) {
        return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
    }
    if (!tls_boring_stream_keys_update(&r->in)) {
        tls->failed = true;
        return ERR_IO;
    }
    r->update_at = request == 1 ? 0 : r->update_at;
    return ERR_OK;
}

/* The head of a message is there.  A ticket is skipped, a KeyUpdate goes on. */
static enum err on_head(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    size_t body = (size_t)r->message[1] << 16 | (size_t)r->message[2] << 8 | (size_t)r->message[3];
    if (r->message[0] == KEY_UPDATE && body == KEY_UPDATE_BYTES - MESSAGE_HEAD) {
        return ERR_OK;
    }
    if (r->message[0] != NEW_SESSION_TICKET || SSL_is_server(tls->ssl) || body > TLS_RECORD_BYTES) {
        return fail(tls, SSL_AD_UNEXPECTED_MESSAGE);
    }
    r->skip = body;
    r->message_len = 0;
    return ERR_OK;
}

/* 4.6: messages behind the handshake, which may be cut across records anywhere. */
static enum err on_handshake(struct tls *tls, struct slice content)
{
    struct tls_boring_stream *r = tls->stream;
    enum err e = content.len == 0 ? fail(tls, SSL_AD_UNEXPECTED_MESSAGE) : ERR_OK; /* 5.1 */
    while (e == ERR_OK && content.len > 0) {
        size_t skipped = min_size(r->skip, content.len);
        r->skip -= skipped;
        content = slice_from(content, skipped);
        size_t want = r->message_len < MESSAGE_HEAD ? MESSAGE_HEAD : KEY_UPDATE_BYTES;
        size_t len = min_size(want - r->message_len, content.len);
        if (len > 0) {
            memcpy(r->message + r->message_len, content.data, len);
        }
        r->message_len += len;
        content = slice_from(content, len);
        if (r->message_len == MESSAGE_HEAD && len > 0) {
            e = on_head(tls);
        } else if (r->message_len == KEY_UPDATE_BYTES) {
            r->message_len = 0;
            e = content.len > 0 ? fail(tls, SSL_AD_UNEXPECTED_MESSAGE) : on_key_update(tls);
        }
    }
    r->is_within = r->skip > 0 || r->message_len > 0;
    return e;
}

/* What came behind a close_notify is nothing (6.1). */
static void forget(struct tls *tls)
{
    tls->lent = SLICE_EMPTY;
    tls_boring_drop(tls, &tls->in, tls->in.end - tls->in.start);
}

static enum err on_alert(struct tls *tls, struct slice content)
{
    if (content.len != 2) {
        return fail(tls, content.len == 0 ? SSL_AD_UNEXPECTED_MESSAGE /* 5.1 */
                                          : SSL_AD_DECODE_ERROR);
    }
    if (content.data[1] == SSL_AD_CLOSE_NOTIFY) {
        forget(tls);
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
    struct tls_boring_half *h = &tls->stream->in;
    uint8_t nonce[NONCE_BYTES];
    size_t len = 0;
    tls_boring_stream_nonce(h, nonce);
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
    return ERR_OK;
}

/* What is between the data. */
static enum err on_other(struct tls *tls, uint8_t type, struct slice content)
{
    struct tls_boring_stream *r = tls->stream;
    bool is_split = r->is_within && type != HANDSHAKE; /* 5.1: nothing comes within a message */
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
            forget(tls);
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
        bool is_data = e == ERR_OK && type == TLS_BORING_DATA && content.len > 0 && !r->is_within;
        e = e != ERR_OK || is_data ? e : on_other(tls, type, content);
        r->idle = is_data ? 0 : r->idle;
        r->updates -= is_data && r->updates > 0;
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
