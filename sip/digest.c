/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - see digest.h.
 *
 * nonce = hex(time in 1/256 s, 4 bytes | random, 4 bytes | MAC of both and the network, 16 bytes).
 * It is looked at before the password: a guess costs a nonce that was received. The `uri` of the
 * credentials is hashed but not compared with the Request-URI: RFC 3261 22.4 lets phones differ
 * there (several name the proxy), and the account is bound to From or To anyway. */
#include "sip/digest.h"
#include "sip/guess.h"
#include "sip/ha1.h"

#define US_PER_S UINT64_C(1000000)
enum {
    TICKS_PER_S = 256, /* few enough nonces in one that they seldom meet in a place */
    NONCE_TICKS = DIGEST_NONCE_S * TICKS_PER_S,
    TIME_BYTES = 4,
    RANDOM_BYTES = 4,
    NETWORK_BYTES = 8,
    V4_NETWORK_BYTES = 3,
    V6_NETWORK_BYTES = 6,
    NONCE_BYTES = TIME_BYTES + RANDOM_BYTES + MAC_BYTES,
    FIELD_CAP = 512,
    TEXT_CAP = 2048,
    HASH_HEX_CAP = 2 * CRYPTO_SHA256_BYTES + 1
};

static uint32_t now_ticks(const struct turn *t)
{
    return (uint32_t)(t->now_us * TICKS_PER_S / US_PER_S);
}

static uint32_t made_at(const uint8_t *nonce)
{
    struct rd r = rd_init(slice_of(nonce, TIME_BYTES));
    return rd_u32(&r);
}

static void seal(struct turn *t, const struct sip *s, const struct address *remote,
                 const uint8_t *head, uint8_t out[MAC_BYTES])
{
    uint8_t input[TIME_BYTES + RANDOM_BYTES + NETWORK_BYTES] = {0};
    memcpy(input, head, TIME_BYTES + RANDOM_BYTES);
    memcpy(input + TIME_BYTES + RANDOM_BYTES, remote->ip,
           remote->family == 6 ? V6_NETWORK_BYTES : V4_NETWORK_BYTES);
    mac_of(t, &s->keys, MAC_NONCE, slice_of(input, sizeof(input)), out);
}

static void make_nonce(struct turn *t, const struct sip *s, const struct address *remote, char *hex)
{
    uint8_t bytes[NONCE_BYTES];
    struct wr w = wr_init(bytes, sizeof(bytes));
    wr_u32(&w, now_ticks(t));
    CHECK(wr_ok(&w));
    t->crypto->random(t->crypto, bytes + TIME_BYTES, RANDOM_BYTES);
    seal(t, s, remote, bytes, bytes + TIME_BYTES + RANDOM_BYTES);
    ids_hex(slice_of(bytes, sizeof(bytes)), hex);
}

/* Compares without telling by its time where the difference is. */
static bool is_same(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    uint64_t differs = 0;
    CHECK(len % sizeof(differs) == 0);
    for (size_t i = 0; i < len; i += sizeof(differs)) {
        differs |= slice_eight(x + i) ^ slice_eight(y + i);
    }
    return differs == 0;
}

/* Is the nonce ours, given to that network, and young? */
static bool is_fresh(struct turn *t, const struct sip *s, const struct address *remote,
                     struct slice text, uint8_t *nonce)
{
    uint8_t mac[MAC_BYTES];
    size_t len = 0;
    if (ids_unhex(text, nonce, NONCE_BYTES, &len) != ERR_OK || len != NONCE_BYTES) {
        return false;
    }
    seal(t, s, remote, nonce, mac);
    return is_same(mac, nonce + TIME_BYTES + RANDOM_BYTES, MAC_BYTES) &&
           now_ticks(t) - made_at(nonce) <= NONCE_TICKS;
}

/* A nonce takes the place of another; false: it may have stood there before. */
static bool take_place(const struct turn *t, struct digest_seen *seen, const uint8_t *nonce,
                       uint32_t count)
{
    uint32_t now = now_ticks(t), made = made_at(nonce), lost = made_at(seen->nonce);
    seen->has_lost = seen->has_lost && now - seen->lost <= NONCE_TICKS;
    if (seen->has_lost && now - made >= now - seen->lost) {
        return false;
    }
    if (seen->bits != 0 && (!seen->has_lost || now - lost < now - seen->lost)) {
        seen->lost = lost;
        seen->has_lost = true;
    }
    memcpy(seen->nonce, nonce, sizeof(seen->nonce));
    seen->bits = 1;
    seen->highest = count;
    return true;
}

/* Notes the use of a nonce count; false when it was used before, or may have been. */
static bool is_first_use(const struct turn *t, struct sip *s, const uint8_t *nonce, uint32_t count)
{
    uint32_t slot = 0;
    memcpy(&slot, nonce + TIME_BYTES, sizeof(slot));
    struct digest_seen *seen = &s->seen[slot % DIGEST_SEEN];
    if (seen->bits == 0 || memcmp(seen->nonce, nonce, sizeof(seen->nonce)) != 0) {
        return take_place(t, seen, nonce, count);
    }
    if (count > seen->highest) {
        uint32_t step = count - seen->highest;
        seen->bits = step < 64 ? seen->bits << step | 1 : 1;
        seen->highest = count;
        return true;
    }
    uint32_t back = seen->highest - count;
    if (back >= 64 || (seen->bits >> back & 1) != 0) {
        return false;
    }
    seen->bits |= UINT64_C(1) << back;
    return true;
}

static void colon(struct wr *w, struct slice text)
{
    wr_u8(w, ':');
    wr_bytes(w, text);
}

/* The hash of method and URI, no secret.  Most REGISTERs say the same here, whoever sends them, so
 * the last one's is kept. */
static bool hash_a2(struct turn *t, struct sip *s, const struct sip_rx *rx, struct slice uri,
                    bool is_sha256, char out[HASH_HEX_CAP])
{
    uint8_t text[TEXT_CAP];
    struct digest_a2 *last = s->last_a2;
    struct wr w = wr_init(text, sizeof(text));
    wr_bytes(&w, rx->m->method_text);
    colon(&w, uri);
    if (!wr_ok(&w)) {
        return false;
    }
    struct slice a2 = wr_slice(&w);
    bool is_last =
        last->is_sha256 == is_sha256 && slice_is_equal(slice_of(last->text, last->len), a2);
    if (is_last) {
        memcpy(out, last->hex, sizeof(last->hex));
        return true;
    }
    ha1_hash(t->crypto, is_sha256, a2, out);
    if (rx->m->method == SIP_METHOD_REGISTER && a2.len <= sizeof(last->text)) {
        memcpy(last->text, a2.data, a2.len);
        memcpy(last->hex, out, sizeof(last->hex));
        last->len = (uint8_t)a2.len;
        last->is_sha256 = is_sha256;
    }
    return true;
}

/* KD(H(A1), nonce:nc:cnonce:qop:H(A2)), RFC 7616 3.4.1. */
static bool is_right(struct turn *t, struct sip *s, const struct sip_rx *rx,
                     const struct sip_hdr_digest *d, const char *ha1, bool is_sha256)
{
    uint8_t text[TEXT_CAP], got[HASH_HEX_CAP];
    char ha2[HASH_HEX_CAP] = {0}, want[HASH_HEX_CAP];
    size_t hex_len = is_sha256 ? 2 * CRYPTO_SHA256_BYTES : 2 * CRYPTO_MD5_BYTES;
    if (d->response.len != hex_len || !hash_a2(t, s, rx, d->uri, is_sha256, ha2)) {
        return false;
    }
    struct wr w = wr_init(text, sizeof(text));
    wr_bytes(&w, slice_of(ha1, hex_len));
    colon(&w, d->nonce);
    colon(&w, d->nc);
    colon(&w, d->cnonce);
    colon(&w, d->qop);
    colon(&w, slice_of(ha2, hex_len));
    if (!wr_ok(&w)) {
        return false;
    }
    ha1_hash(t->crypto, is_sha256, wr_slice(&w), want);
    slice_lower_to(d->response, got);
    return is_same(got, want, hex_len);
}

/* "alice" or "alice@example.org". */
static bool is_user(const struct sip_account *account, struct slice name)
{
    struct slice whole = slice_text(account->user);
    struct slice rest = slice_from(whole, name.len); /* "@example.org", and no other '@' */
    return slice_is_equal(name, whole) ||
           (rest.len > 0 && rest.data[0] == '@' && slice_is_same(name.data, whole.data, name.len) &&
            memchr(rest.data + 1, '@', rest.len - 1) == NULL);
}

static enum digest_result judge(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                const struct sip_hdr_digest *d, const struct sip_account *account,
                                uint32_t index)
{
    uint8_t nonce[NONCE_BYTES], number[4], name[FIELD_CAP];
    struct slice user = d->username;
    bool is_sha256 = sip_lex_is_word(d->algorithm, SLICE_LITERAL("sha-256"));
    bool is_md5 = d->algorithm.len == 0 || sip_lex_is_word(d->algorithm, SLICE_LITERAL("md5"));
    const char *ha1 = is_sha256 ? account->ha1_sha256 : account->ha1_md5;
    size_t len = 0;
    if ((!is_sha256 && !is_md5) || ha1[0] == 0 || d->is_userhash ||
        (is_sha256 && account->digest == SIP_DIGEST_MD5)) {
        return DIGEST_WRONG;
    }
    if (d->has_escapes) {
        if (sip_lex_unquote(user, name, sizeof(name), &len) != ERR_OK) {
            return DIGEST_WRONG;
        }
        user = slice_of(name, len);
    }
    if (!is_user(account, user)) {
        return DIGEST_OTHER;
    }
    if (!d->has_qop || !sip_lex_is_word(d->qop, SLICE_LITERAL("auth")) ||
        d->nc.len != 2 * sizeof(number) ||
        ids_unhex(d->nc, number, sizeof(number), &len) != ERR_OK) {
        return DIGEST_WRONG;
    }
    if (!is_fresh(t, s, &rx->from.remote, d->nonce, nonce)) {
        return DIGEST_STALE;
    }
    if (!guess_is_allowed(t, s, rx, index)) {
        return DIGEST_LATER;
    }
    if (!is_right(t, s, rx, d, ha1, is_sha256)) {
        guess_note(t, s, rx, index);
        return DIGEST_WRONG;
    }
    struct rd r = rd_init(slice_of(number, sizeof(number)));
    return is_first_use(t, s, nonce, rd_u32(&r)) ? DIGEST_OK : DIGEST_STALE;
}

static enum digest_result check(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                enum sip_hdr_id id, const struct sip_account *account,
                                uint32_t index)
{
    enum digest_result result = DIGEST_NONE;
    for (unsigned next = rx->m->first[id]; next != 0; next = rx->m->headers[next - 1].next) {
        struct sip_hdr_digest d;
        if (sip_hdr_digest_decode(sip_msg_value(rx->m, next - 1), &d) != ERR_OK || !d.is_digest ||
            !slice_is_equal_nocase(d.realm, s->domain_text)) {
            continue;
        }
        enum digest_result one = judge(t, s, rx, &d, account, index);
        if (one == DIGEST_OK || one == DIGEST_LATER) {
            return one;
        }
        result = one == DIGEST_STALE || result == DIGEST_NONE ? one : result;
    }
    return result;
}

enum digest_result digest_check(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                enum sip_hdr_id id, uint32_t account)
{
    return check(t, s, rx, id, &s->settings.accounts[account], account);
}

static void challenge(const struct sip *s, struct sip_writer *w, enum sip_hdr_id id,
                      const char *nonce, const char *algorithm, bool is_stale)
{
    sip_write_header_begin(w, id);
    sip_write_text(w, "Digest realm=");
    sip_write_quoted(w, s->domain_text);
    sip_write_text(w, ", nonce=\"");
    sip_write_text(w, nonce);
    sip_write_text(w, "\", algorithm=");
    sip_write_text(w, algorithm);
    sip_write_text(w, ", qop=\"auth\"");
    if (is_stale) {
        sip_write_text(w, ", stale=true");
    }
    sip_write_header_end(w);
}

/* 401 (REGISTER) or 407, with a challenge for each hash that the account's policy names. */
static void send_challenge(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                           const struct sip_account *account, bool is_stale)
{
    char nonce[2 * NONCE_BYTES + 1];
    struct sip_writer w;
    bool is_register = rx->m->method == SIP_METHOD_REGISTER;
    unsigned status = is_register ? 401 : 407;
    enum sip_hdr_id id = is_register ? SIP_HDR_WWW_AUTHENTICATE : SIP_HDR_PROXY_AUTHENTICATE;
    make_nonce(t, s, &rx->from.remote, nonce);
    metric_add(t->metrics, METRIC_sip_challenges, 1);
    reply_begin(t, s, rx, status, &w);
    if (account->digest == SIP_DIGEST_SHA256_MD5 && account->ha1_sha256[0] != 0) {
        challenge(s, &w, id, nonce, "SHA-256", is_stale); /* RFC 8760 2.3: the best one first */
    }
    if (account->ha1_md5[0] != 0) {
        challenge(s, &w, id, nonce, "MD5", is_stale);
    }
    reply_finish(t, s, rx, NULL, status, &w); /* as reply_stranger */
    tx_server_forget(t, s, tx);
}

static void answer(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   const struct sip_account *account, enum digest_result result, const char *other)
{
    if (result == DIGEST_OTHER) {
        reply_stranger(t, s, rx, tx, 403, other);
    } else if (result == DIGEST_LATER) {
        reply_stranger(t, s, rx, tx, 503, "Too many wrong passwords, wait a while");
    } else {
        send_challenge(t, s, rx, tx, account, result == DIGEST_STALE);
    }
}

void digest_answer(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   uint32_t account, enum digest_result result, const char *other)
{
    bool is_refused = result == DIGEST_OTHER || result == DIGEST_WRONG;
    metric_add(t->metrics, METRIC_sip_refused_auth, is_refused ? 1 : 0);
    answer(t, s, rx, tx, &s->settings.accounts[account], result, other);
}

/* An account for `aor` that nobody has a password of: always the same one, offering the hashes that
 * some account of this node offers.  Its number in sip/guess comes back. */
static uint32_t make_decoy(struct turn *t, const struct sip *s, struct slice aor,
                           struct sip_account *out)
{
    uint8_t mac[MAC_BYTES], twice[2 * MAC_BYTES];
    struct rd r = rd_init(slice_of(mac, sizeof(mac)));
    mac_of(t, &s->keys, MAC_DECOY, aor, mac);
    uint32_t which = rd_u32(&r), number = rd_u32(&r);
    const struct sip_account *like =
        s->settings.account_count == 0
            ? NULL
            : &s->settings.accounts[which % (uint32_t)s->settings.account_count];
    *out = (struct sip_account){0};
    memcpy(out->user, aor.data, min_size(aor.len, SIP_ACCOUNT_USER_CAP));
    memcpy(twice, mac, MAC_BYTES);
    memcpy(twice + MAC_BYTES, mac, MAC_BYTES);
    if (like == NULL || like->ha1_md5[0] != 0) {
        ids_hex(slice_of(mac, MAC_BYTES), out->ha1_md5);
    }
    if (like == NULL || like->ha1_sha256[0] != 0) {
        ids_hex(slice_of(twice, sizeof(twice)), out->ha1_sha256);
    }
    out->digest = like == NULL ? SIP_DIGEST_SHA256_MD5 : like->digest;
    return number | GUESS_DECOY;
}

void digest_deny(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                 struct slice aor, const char *other)
{
    struct sip_account decoy;
    bool is_register = rx->m->method == SIP_METHOD_REGISTER;
    uint32_t number = make_decoy(t, s, aor, &decoy);
    enum digest_result result =
        check(t, s, rx, is_register ? SIP_HDR_AUTHORIZATION : SIP_HDR_PROXY_AUTHORIZATION, &decoy,
              number);
    metric_add(t->metrics, METRIC_sip_refused_auth, 1);
    answer(t, s, rx, tx, &decoy, result, other);
}
