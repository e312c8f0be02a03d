/* SPDX-License-Identifier: Apache-2.0 */
/* tls_fake_datagram.c - what stands in for DTLS: the heads of its records, four flights as there,
 * timers that double, and nothing secret.
 *
 * A record carries two nonces where DTLS has a sequence number: those of another association are
 * not taken, as if they had other keys.  Replays are: this network makes none. */
#include "sim/tls_fake_impl.h"

enum {
    HEAD = 13, /* type, version, epoch, nonces, length */
    HANDSHAKE_HEAD = 12,
    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_DATA = 23,
    MESSAGE_OF_FLIGHT = 0, /* below: what DTLS calls them */
    OVERHEAD = 37,         /* as AES-GCM of DTLS 1.2 */
    FIRST_WAIT_US = 500 * 1000,
    TRIES = 6,
};

static const uint8_t message_of[] = {[TLS_FAKE_NOTHING] = MESSAGE_OF_FLIGHT,
                                     [TLS_FAKE_HELLO] = 1,
                                     [TLS_FAKE_REPLY] = 2,
                                     [TLS_FAKE_FINISH] = 20,
                                     [TLS_FAKE_DONE] = 21};

static void put_head(const struct tls *tls, uint8_t type, uint8_t epoch, size_t len,
                     uint8_t out[HEAD])
{
    const uint8_t head[5] = {type, 0xfe, 0xfd, 0, epoch};
    memcpy(out, head, sizeof(head));
    memcpy(out + 5, tls->nonces, sizeof(tls->nonces));
    out[11] = (uint8_t)(len >> 8);
    out[12] = (uint8_t)len;
}

static void put_datagram(struct tls *tls, struct slice bytes)
{
    uint8_t length[2] = {(uint8_t)(bytes.len >> 8), (uint8_t)bytes.len};
    if (!tls_fake_put(tls, &tls->out, slice_of(length, sizeof(length))) ||
        !tls_fake_put(tls, &tls->out, bytes)) {
        tls->is_broken = true;
    }
}

static void send_flight(struct tls *tls)
{
    uint8_t bytes[HEAD + HANDSHAKE_HEAD + TLS_FAKE_CERTIFICATE_CAP] = {0};
    bool is_first = tls->flight == TLS_FAKE_HELLO || tls->flight == TLS_FAKE_REPLY;
    struct slice body = is_first ? tls->context->certificate : SLICE_EMPTY;
    CHECK(body.len <= TLS_FAKE_CERTIFICATE_CAP);
    put_head(tls, TYPE_HANDSHAKE, is_first ? 0 : 1, HANDSHAKE_HEAD + body.len, bytes);
    bytes[HEAD] = message_of[tls->flight];
    if (body.len > 0) {
        memcpy(bytes + HEAD + HANDSHAKE_HEAD, body.data, body.len);
    }
    put_datagram(tls, slice_of(bytes, HEAD + HANDSHAKE_HEAD + body.len));
}

/* `is_last`: nobody answers this one. */
static void begin_flight(struct tls *tls, enum tls_fake_flight flight, bool is_last)
{
    tls->flight = flight;
    tls->tries = 0;
    tls->wait_us = FIRST_WAIT_US;
    tls->due_us = is_last ? UINT64_MAX : tls->now_us + tls->wait_us;
    send_flight(tls);
}

struct tls *tls_fake_datagram_open(void *context, enum tls_role role, size_t datagram_bytes,
                                   uint64_t now_us)
{
    struct tls *tls = tls_fake_open(context, role);
    CHECK(datagram_bytes >= HEAD + HANDSHAKE_HEAD + TLS_FAKE_CERTIFICATE_CAP);
    if (tls == NULL) {
        return NULL;
    }
    tls->is_datagram = true;
    tls->now_us = now_us;
    tls->due_us = UINT64_MAX;
    uint8_t *mine = tls->nonces + (role == TLS_CLIENT ? 0 : 3);
    mine[0] = (uint8_t)(now_us >> 26); /* no two within a quarter of a million seconds */
    mine[1] = (uint8_t)(now_us >> 18);
    mine[2] = (uint8_t)(now_us >> 10);
    return tls;
}

enum err tls_fake_datagram_handshake(struct tls *tls)
{
    if (tls->is_broken) {
        return ERR_IO;
    }
    if (tls->role == TLS_CLIENT && tls->flight == TLS_FAKE_NOTHING) {
        begin_flight(tls, TLS_FAKE_HELLO, false);
    }
    return tls->is_finished ? ERR_OK : ERR_MORE;
}

/* Hello or reply: who it is, and the nonces of both. */
static enum err meet(struct tls *tls, struct slice record)
{
    struct slice certificate = slice_from(record, HEAD + HANDSHAKE_HEAD);
    if (!tls_fake_meet(tls, certificate)) {
        tls->is_broken = true;
        return ERR_MALFORMED;
    }
    size_t theirs = tls->role == TLS_CLIENT ? 3 : 0;
    memcpy(tls->nonces + theirs, record.data + 5 + theirs, 3);
    return ERR_OK;
}

static enum err on_handshake(struct tls *tls, struct slice record)
{
    uint8_t message = record.len < HEAD + HANDSHAKE_HEAD ? 0 : record.data[HEAD];
    bool is_ours = memcmp(record.data + 5, tls->nonces, sizeof(tls->nonces)) == 0;
    if (tls->role == TLS_SERVER) {
        if (message == message_of[TLS_FAKE_HELLO] && tls->flight == TLS_FAKE_NOTHING) {
            enum err e = meet(tls, record);
            if (e == ERR_OK) {
                begin_flight(tls, TLS_FAKE_REPLY, false);
            }
            return e;
        }
        if (message == message_of[TLS_FAKE_FINISH] && is_ours) {
            tls->is_finished = true; /* sent again: our answer was lost */
            begin_flight(tls, TLS_FAKE_DONE, true);
        }
        return ERR_OK;
    }
    bool is_reply_to_us = memcmp(record.data + 5, tls->nonces, 3) == 0;
    if (message == message_of[TLS_FAKE_REPLY] && tls->flight == TLS_FAKE_HELLO && is_reply_to_us) {
        enum err e = meet(tls, record);
        if (e == ERR_OK) {
            begin_flight(tls, TLS_FAKE_FINISH, false);
        }
        return e;
    }
    if (message == message_of[TLS_FAKE_DONE] && is_ours) {
        tls->is_finished = true;
        tls->due_us = UINT64_MAX;
    }
    return ERR_OK;
}

enum err tls_fake_datagram_feed(struct tls *tls, uint64_t now_us, struct slice datagram,
                                uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    tls->now_us = now_us;
    if (tls->is_broken || tls->is_closed) {
        return ERR_IO;
    }
    if (datagram.len < HEAD ||
        datagram.len != HEAD + ((size_t)datagram.data[11] << 8 | datagram.data[12])) {
        return ERR_OK; /* dropped without a word */
    }
    if (datagram.data[0] == TYPE_HANDSHAKE) {
        return on_handshake(tls, datagram);
    }
    if (!tls->is_finished || memcmp(datagram.data + 5, tls->nonces, sizeof(tls->nonces)) != 0) {
        return ERR_OK;
    }
    if (datagram.data[0] == TYPE_ALERT) {
        tls->is_closed = true;
        return ERR_CLOSED;
    }
    size_t plain = datagram.len - OVERHEAD;
    if (datagram.data[0] == TYPE_DATA && datagram.len > OVERHEAD && plain <= cap) {
        memcpy(out, datagram.data + OVERHEAD, plain);
        *len = plain;
    }
    return ERR_OK;
}

uint64_t tls_fake_datagram_due_us(struct tls *tls, uint64_t now_us)
{
    tls->now_us = now_us;
    return tls->due_us;
}

enum err tls_fake_datagram_on_due(struct tls *tls, uint64_t now_us)
{
    tls->now_us = now_us;
    if (now_us < tls->due_us) {
        return ERR_OK;
    }
    if (++tls->tries > TRIES) {
        tls->is_broken = true;
        return ERR_TIMEOUT;
    }
    tls->wait_us *= 2;
    tls->due_us = now_us + tls->wait_us;
    send_flight(tls);
    return ERR_OK;
}

enum err tls_fake_datagram_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                                size_t *len)
{
    CHECK(plaintext.len > 0 && plaintext.len + TLS_DATAGRAM_OVERHEAD <= cap);
    if (!tls->is_finished) {
        return ERR_STATE;
    }
    memset(out, 0, OVERHEAD);
    put_head(tls, TYPE_DATA, 1, plaintext.len + OVERHEAD - HEAD, out);
    memcpy(out + OVERHEAD, plaintext.data, plaintext.len);
    *len = plaintext.len + OVERHEAD;
    return ERR_OK;
}

size_t tls_fake_datagram_overhead(struct tls *tls)
{
    (void)tls;
    return OVERHEAD;
}

size_t tls_fake_datagram_pull(struct tls *tls, uint8_t *out, size_t cap)
{
    if (tls->out == NULL) {
        return 0;
    }
    const uint8_t *length = tls->out->bytes + tls->out->start;
    size_t len = (size_t)length[0] << 8 | length[1];
    CHECK(len <= cap);
    memcpy(out, length + 2, len);
    tls_fake_take(tls, &tls->out, 2 + len);
    return len;
}

void tls_fake_datagram_shutdown(struct tls *tls)
{
    uint8_t bytes[HEAD + 2] = {0};
    if (tls->is_finished && !tls->is_closed) {
        put_head(tls, TYPE_ALERT, 1, 2, bytes);
        put_datagram(tls, slice_of(bytes, sizeof(bytes)));
    }
}

struct slice tls_fake_datagram_plain(struct slice datagram)
{
    bool is_data = datagram.len > OVERHEAD && datagram.data[0] == TYPE_DATA;
    return is_data ? slice_from(datagram, OVERHEAD) : SLICE_EMPTY;
}
