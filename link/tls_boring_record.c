/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_record.c - application data of DTLS 1.2 once the handshake is done: RFC 6347 4.1 over
 * BoringSSL's AEADs, without its record layer.
 *
 * SSL_read and SSL_write copy each record into a buffer that is allocated for it and once more out
 * of it; BoringSSL's functions that spare this (OpenRecord, SealRecord) refuse DTLS.  So the keys
 * are taken over (SSL_generate_key_block, which is there for such record layers): a record is
 * opened from the received datagram straight to the reader, and sealed from the frame straight into
 * the datagram that leaves.  Handshakes, repetitions of their last flight and alerts that come stay
 * BoringSSL's business; alerts that leave are sealed here.
 *
 * A nonce must never come twice under one key.  BoringSSL numbers its records of this epoch from 0
 * and goes on doing so when it repeats its last flight; ours begin at first_ours, and what
 * BoringSSL would number records_of_boring or more does not leave.  The window of RFC 6347 4.1.2.6
 * begins with all that BoringSSL may have taken, so no record is accepted by both.  A record
 * belongs to one of the two by its type, which the AEAD authenticates. */
#include "link/tls_boring_impl.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>

enum {
    HEAD = 13, /* type, version, epoch and sequence number, length */
    AD_BYTES = 13,
    EXPLICIT_BYTES = 8, /* in front of the ciphertext, with GCM (RFC 5288 3) */
    NONCE_BYTES = 12,
    FIXED_BYTES = 4, /* of a nonce of GCM */
    KEY_MOST = 32,
    HISTORY = 64,
    LINE_BYTES = 64,
    ALERT_FATAL = 2,
    ALERT_WARNING = 1,
};
static const uint64_t epoch = (uint64_t)1 << 48; /* the one after the handshake */
static const uint64_t first_ours = (uint64_t)1 << 40;
static const uint64_t records_of_boring = (uint64_t)1 << 32;

struct half {
    uint8_t iv[NONCE_BYTES]; /* its fixed part */
    EVP_AEAD_CTX keys;
};

struct tls_boring_record {
    uint64_t next; /* to be sealed; epoch included, as all numbers here */
    uint64_t top;  /* highest that was opened */
    uint64_t seen; /* bit k: top - k has come */
    size_t explicit_bytes;
    size_t overhead;
    bool is_shut; /* an alert has left: nothing comes behind it */
    struct half out;
    struct half in;
};

static void put_64(uint8_t *out, uint64_t value)
{
    uint64_t wire = __builtin_bswap64(value);
    memcpy(out, &wire, sizeof(wire));
}

static uint64_t get_64(const uint8_t *in)
{
    uint64_t wire;
    memcpy(&wire, in, sizeof(wire));
    return __builtin_bswap64(wire);
}

/* ---- taking over ---- */

static const EVP_AEAD *aead_of(const SSL *ssl)
{
    switch (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl))) {
    case NID_aes_128_gcm:
        return EVP_aead_aes_128_gcm();
    case NID_aes_256_gcm:
        return EVP_aead_aes_256_gcm();
    case NID_chacha20_poly1305:
        return EVP_aead_chacha20_poly1305();
    default:
        return NULL;
    }
}

/* RFC 5246 6.3: keys of client and server, then the fixed parts of their nonces. */
static bool take_keys(struct tls_boring_record *r, const SSL *ssl, const EVP_AEAD *aead,
                      size_t fixed)
{
    uint8_t block[2 * (KEY_MOST + NONCE_BYTES)];
    size_t key = EVP_AEAD_key_length(aead);
    size_t len = 2 * (key + fixed);
    size_t ours = SSL_is_server(ssl) ? 1 : 0;
    bool is_good = key <= KEY_MOST && SSL_get_key_block_len(ssl) == len &&
                   SSL_generate_key_block(ssl, block, len) == 1;
    if (is_good) {
        size_t tag = EVP_AEAD_DEFAULT_TAG_LENGTH;
        memcpy(r->out.iv, block + 2 * key + ours * fixed, fixed);
        memcpy(r->in.iv, block + 2 * key + (1 - ours) * fixed, fixed);
        is_good =
            EVP_AEAD_CTX_init(&r->out.keys, aead, block + ours * key, key, tag, NULL) == 1 &&
            EVP_AEAD_CTX_init(&r->in.keys, aead, block + (1 - ours) * key, key, tag, NULL) == 1;
    }
    OPENSSL_cleanse(block, sizeof(block));
    return is_good;
}

bool tls_boring_record_take_over(struct tls *tls)
{
    const EVP_AEAD *aead = aead_of(tls->ssl);
    bool is_known = aead != NULL && SSL_version(tls->ssl) == DTLS1_2_VERSION &&
                    SSL_get_write_sequence(tls->ssl) >> 48 == epoch >> 48 &&
                    SSL_get_read_sequence(tls->ssl) >> 48 == epoch >> 48;
    struct tls_boring_record *r = is_known ? OPENSSL_malloc(sizeof(*r)) : NULL;
    tls->is_left = true; /* what cannot be taken over now is left to BoringSSL for good */
    if (r == NULL) {
        return false;
    }
    memset(r, 0, sizeof(*r));
    bool is_explicit = aead != EVP_aead_chacha20_poly1305();
    r->next = epoch | first_ours;
    r->top = SSL_get_read_sequence(tls->ssl);
    r->seen = UINT64_MAX;
    r->explicit_bytes = is_explicit ? EXPLICIT_BYTES : 0;
    r->overhead = HEAD + r->explicit_bytes + EVP_AEAD_max_overhead(aead);
    tls->record = r;
    if (!take_keys(r, tls->ssl, aead, is_explicit ? FIXED_BYTES : NONCE_BYTES)) {
        tls_boring_record_free(tls);
        ERR_clear_error();
        return false;
    }
    tls->is_left = false;
    return true;
}

void tls_boring_record_free(struct tls *tls)
{
    struct tls_boring_record *r = tls->record;
    if (r != NULL) {
        EVP_AEAD_CTX_cleanup(&r->out.keys);
        EVP_AEAD_CTX_cleanup(&r->in.keys);
        OPENSSL_free(r); /* wipes it */
        tls->record = NULL;
    }
}

bool tls_boring_record_is_allowed(const struct tls *tls, struct slice record)
{
    if (tls->record == NULL || record.len < HEAD || record.data[4] == 0) {
        return true;
    }
    return record.data[0] != TLS_BORING_ALERT &&
           (get_64(record.data + 3) & ~epoch) < records_of_boring;
}

/* ---- records ---- */

/* RFC 5288 3, RFC 7905 2. */
static void make_nonce(const struct tls_boring_record *r, const struct half *h,
                       const uint8_t number[8], uint8_t nonce[NONCE_BYTES])
{
    memcpy(nonce, h->iv, NONCE_BYTES);
    if (r->explicit_bytes != 0) {
        memcpy(nonce + FIXED_BYTES, number, 8);
        return;
    }
    put_64(nonce + FIXED_BYTES, get_64(nonce + FIXED_BYTES) ^ get_64(number));
}

/* RFC 5246 6.2.3.3: number, type, version, length of the plaintext. */
static void make_ad(const uint8_t *head, size_t len, uint8_t ad[AD_BYTES])
{
    memcpy(ad, head + 3, 8);
    memcpy(ad + 8, head, 3);
    ad[11] = (uint8_t)(len >> 8);
    ad[12] = (uint8_t)len;
}

HOT enum err tls_boring_record_seal(struct tls *tls, uint8_t type, struct slice plaintext,
                                    uint8_t *out, size_t cap, size_t *len)
{
    struct tls_boring_record *r = tls->record;
    uint8_t nonce[NONCE_BYTES], ad[AD_BYTES];
    *len = 0;
    if (r->is_shut || r->next >> 48 != epoch >> 48) { /* RFC 6347 4.1: the numbers are used up */
        return ERR_IO;
    }
    CHECK(plaintext.len <= TLS_RECORD_BYTES && plaintext.len + r->overhead <= cap);
    size_t body = plaintext.len + r->overhead - HEAD;
    out[0] = type;
    out[1] = DTLS1_2_VERSION >> 8;
    out[2] = DTLS1_2_VERSION & 0xff;
    put_64(out + 3, r->next);
    out[11] = (uint8_t)(body >> 8);
    out[12] = (uint8_t)body;
    memcpy(out + HEAD, out + 3, r->explicit_bytes);
    make_nonce(r, &r->out, out + 3, nonce);
    make_ad(out, plaintext.len, ad);
    r->next++; /* whatever happens, this number is spent */
    size_t at = HEAD + r->explicit_bytes;
    if (EVP_AEAD_CTX_seal(&r->out.keys, out + at, len, cap - at, nonce, sizeof(nonce),
                          plaintext.data, plaintext.len, ad, sizeof(ad)) != 1) {
        ERR_clear_error();
        return ERR_IO;
    }
    *len += at;
    return ERR_OK;
}

HOT void tls_boring_record_seal_ahead(const struct tls *tls)
{
    const struct tls_boring_record *r = tls->record;
    if (r == NULL) {
        return;
    }
    __builtin_prefetch(r);
    for (size_t at = 0; at < sizeof(r->out); at += LINE_BYTES) {
        __builtin_prefetch((const uint8_t *)&r->out + at);
    }
}

static bool is_replay(const struct tls_boring_record *r, uint64_t number)
{
    uint64_t age = r->top - number;
    return number <= r->top && (age >= HISTORY || (r->seen >> age & 1) != 0);
}

static void note(struct tls_boring_record *r, uint64_t number)
{
    if (number > r->top) {
        uint64_t ahead = number - r->top;
        r->seen = ahead >= HISTORY ? 0 : r->seen << ahead;
        r->top = number;
    }
    r->seen |= (uint64_t)1 << (r->top - number);
}

/* RFC 6347 4.1.2.6, 4.1.2.7: what is not authentic, or has come before, is dropped in silence. */
static HOT size_t open_record(struct tls_boring_record *r, struct slice record, uint8_t *out,
                              size_t cap)
{
    const uint8_t *head = record.data;
    uint8_t nonce[NONCE_BYTES], ad[AD_BYTES];
    uint64_t number = get_64(head + 3);
    size_t len = 0;
    if (number >> 48 != epoch >> 48 || record.len < r->overhead || is_replay(r, number)) {
        return 0;
    }
    size_t at = HEAD + r->explicit_bytes;
    size_t plain = record.len - r->overhead;
    if (plain > min_size(cap, TLS_RECORD_BYTES)) {
        return 0;
    }
    make_nonce(r, &r->in, r->explicit_bytes != 0 ? head + HEAD : head + 3, nonce);
    make_ad(head, plain, ad);
    if (EVP_AEAD_CTX_open(&r->in.keys, out, &len, cap, nonce, sizeof(nonce), head + at,
                          record.len - at, ad, sizeof(ad)) != 1) {
        ERR_clear_error();
        return 0;
    }
    note(r, number);
    return len;
}

/* Of the record at the front, with its header; 0 when it is not whole. */
static size_t length_of(struct slice rest)
{
    size_t len = rest.len < HEAD ? 0 : HEAD + ((size_t)rest.data[11] << 8 | rest.data[12]);
    return len <= rest.len ? len : 0;
}

struct slice tls_boring_record_take(struct slice *rest)
{
    struct slice record = slice_of(rest->data, length_of(*rest));
    *rest = slice_from(*rest, record.len);
    return record;
}

HOT enum tls_boring_next tls_boring_record_open(struct tls *tls, struct slice *rest, uint8_t *out,
                                                size_t cap, size_t *len)
{
    *len = 0;
    while (length_of(*rest) != 0) { /* behind one that is cut off nothing can be found */
        if (rest->data[0] != TLS_BORING_DATA) {
            return TLS_BORING_NEXT_OTHER;
        }
        struct slice record = tls_boring_record_take(rest);
        bool is_version =
            record.data[1] == DTLS1_2_VERSION >> 8 && record.data[2] == (DTLS1_2_VERSION & 0xff);
        *len += is_version ? open_record(tls->record, record, out + *len, cap - *len) : 0;
    }
    return TLS_BORING_NEXT_NONE;
}

/* ---- alerts ---- */

void tls_boring_record_alert(struct tls *tls, uint8_t description)
{
    uint8_t alert[2] = {description == SSL_AD_CLOSE_NOTIFY ? ALERT_WARNING : ALERT_FATAL,
                        description};
    uint8_t out[sizeof(alert) + TLS_DATAGRAM_OVERHEAD];
    size_t len = 0;
    if (tls_boring_record_seal(tls, TLS_BORING_ALERT, slice_of(alert, sizeof(alert)), out,
                               sizeof(out), &len) == ERR_OK) {
        bool is_put = tls_boring_datagram_push(tls, slice_of(out, len));
        (void)is_put; /* as if it were lost on the way */
        tls->record->is_shut = true;
    }
}
