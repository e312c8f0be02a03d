/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sip.c - what a SIP message costs before anything is done about it: indexed, then judged
 * (Request-URI, topmost Via, From, To, CSeq, Call-ID, Max-Forwards decoded; all Via, Contact, Route
 * values looked at), for the messages of sip_messages.h; and the credentials of a REGISTER checked
 * by MD5 and by SHA-256 (RFC 7616). */
#include "bench/bench.h"
#include "bench/sip_messages.h"
#include "codec/sip_parser.h"
#include "link/crypto_boring.h"
#include "sip/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERS = BENCH_SLOTS };
enum { NONCE_HEAD = 8, NETWORK_BYTES = 8, NONCE_BYTES = 24 };

/* ---- messages ---- */

struct messages {
    enum sip_messages kind;
    struct sip_parser parser;
    size_t len[BENCH_SLOTS];
    char text[BENCH_SLOTS][SIP_MESSAGES_BYTES];
};

static void *messages_setup(enum sip_messages kind)
{
    struct messages *v = calloc(1, sizeof(*v));
    bench_require(v != NULL, "no memory");
    v->kind = kind;
    sip_parser_init(&v->parser, false);
    for (unsigned i = 0; i < BENCH_SLOTS; i++) {
        v->len[i] = sip_messages_write(kind, i, v->text[i]);
    }
    return v;
}

static void *invite_setup(void)
{
    return messages_setup(SIP_MESSAGES_INVITE_ADDRESSES);
}

static void *names_setup(void)
{
    return messages_setup(SIP_MESSAGES_INVITE);
}

static void *request_setup(void)
{
    return messages_setup(SIP_MESSAGES_REGISTER);
}

static void *ok_setup(void)
{
    return messages_setup(SIP_MESSAGES_OK);
}

static void *tortuous_setup(void)
{
    return messages_setup(SIP_MESSAGES_TORTUOUS);
}

/* A number behind a header's name, in whatever case, and white space. */
static uint64_t number_behind(const char *text, const char *name)
{
    const char *at = strcasestr(text, name);
    return at == NULL ? 0 : strtoul(strpbrk(at, "0123456789"), NULL, 10);
}

static uint64_t index_want(const void *state, size_t input)
{
    const struct messages *v = state;
    const char *body = strstr(v->text[input], "\r\n\r\n") + 4;
    return sip_messages_headers[v->kind] + v->len[input] - (size_t)(body - v->text[input]);
}

static uint64_t check_want(const void *state, size_t input)
{
    const char *text = ((const struct messages *)state)->text[input];
    bool has_limit = strcasestr(text, "\nMax-Forwards") != NULL;
    return index_want(state, input) + number_behind(text, "\ncseq") +
           (has_limit ? number_behind(text, "\nMax-Forwards") : 70);
}

static struct slice datagram(const struct messages *v, uint64_t i)
{
    return slice_of((const uint8_t *)v->text[i % BENCH_SLOTS], v->len[i % BENCH_SLOTS]);
}

static uint64_t index_run(void *state, uint64_t iterations)
{
    struct messages *v = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        if (sip_parser_datagram(&v->parser, datagram(v, i)) == SIP_PARSE_OK) {
            const struct sip_msg *m = &v->parser.msg;
            bench_keep(m);
            sum += m->header_count + m->body.len;
        }
    }
    return sum;
}

static uint64_t check_run(void *state, uint64_t iterations)
{
    struct messages *v = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct sip_msg_core core;
        struct sip_fault fault;
        const struct sip_msg *m = &v->parser.msg;
        if (sip_parser_datagram(&v->parser, datagram(v, i)) == SIP_PARSE_OK &&
            sip_msg_check(m, &core, &fault) == ERR_OK) {
            bench_keep(m);
            bench_keep(&core);
            sum += m->header_count + m->body.len + core.cseq.number + core.max_forwards;
        }
    }
    return sum;
}

/* ---- credentials ---- */

struct registers {
    struct turn turn;
    struct metrics metrics;
    struct sip *sip;
    struct sip_parser parsers[USERS]; /* each holds its message */
    struct sip_rx rx[USERS];
    struct sip_account accounts[USERS];
    char text[USERS][BENCH_SLOT_BYTES];
};

static void hash_text(bool is_sha256, const char *text, char *hex)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (is_sha256) {
        crypto_boring()->sha256(slice_text(text), hash);
    } else {
        crypto_boring()->md5(slice_text(text), hash);
    }
    ids_hex(slice_of(hash, is_sha256 ? CRYPTO_SHA256_BYTES : CRYPTO_MD5_BYTES), hex);
}

/* A nonce as digest.h describes it, of second 0, with `i` as what is random, for no address. */
static void write_nonce(const struct turn *t, const struct sip *s, uint32_t i, char *hex)
{
    uint8_t bytes[NONCE_HEAD + MAC_BYTES] = {0}; /* the network behind the head is 0 */
    uint8_t mac[MAC_BYTES];
    memcpy(bytes + 4, &i, sizeof(i));
    mac_of(t, &s->keys, MAC_NONCE, slice_of(bytes, NONCE_HEAD + NETWORK_BYTES), mac);
    memcpy(bytes + NONCE_HEAD, mac, sizeof(mac));
    ids_hex(slice_of(bytes, NONCE_BYTES), hex);
}

/* The request of user `i`, answered as RFC 7616 3.4.1 says. */
static void write_register(struct registers *r, bool is_sha256, uint32_t i)
{
    struct sip_account *account = &r->accounts[i];
    char text[512], nonce[2 * NONCE_BYTES + 1], ha2[65], response[65];
    char *ha1 = is_sha256 ? account->ha1_sha256 : account->ha1_md5;
    (void)snprintf(account->user, sizeof(account->user), "user%u@voice.example", i);
    (void)snprintf(text, sizeof(text), "user%u:voice.example:secret%u", i, i);
    hash_text(is_sha256, text, ha1);
    hash_text(is_sha256, "REGISTER:sip:voice.example", ha2);
    write_nonce(&r->turn, r->sip, i, nonce);
    (void)snprintf(text, sizeof(text), "%s:%s:00000001:0a4f113b:auth:%s", ha1, nonce, ha2);
    hash_text(is_sha256, text, response);
    int len = snprintf(
        r->text[i], BENCH_SLOT_BYTES,
        "REGISTER sip:voice.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK%u\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:user%u@voice.example>;tag=%u\r\n"
        "To: <sip:user%u@voice.example>\r\nCall-ID: %u@192.0.2.9\r\nCSeq: 2 REGISTER\r\n"
        "Authorization: Digest username=\"user%u\", realm=\"voice.example\", nonce=\"%s\", "
        "uri=\"sip:voice.example\", response=\"%s\", algorithm=%s, cnonce=\"0a4f113b\", qop=auth, "
        "nc=00000001\r\nContent-Length: 0\r\n\r\n",
        i, i, i, i, i, i, nonce, response, is_sha256 ? "SHA-256" : "MD5");
    bench_require(len > 0 && len < BENCH_SLOT_BYTES, "a REGISTER that fits");
    sip_parser_init(&r->parsers[i], false);
    struct slice bytes = slice_of((const uint8_t *)r->text[i], (size_t)len);
    bench_require(sip_parser_datagram(&r->parsers[i], bytes) == SIP_PARSE_OK, "a REGISTER");
    r->rx[i].m = &r->parsers[i].msg;
}

static struct registers *register_setup(bool is_sha256)
{
    struct registers *r = calloc(1, sizeof(*r));
    bench_require(r != NULL, "no memory");
    r->sip = calloc(1, sizeof(*r->sip));
    bench_require(r->sip != NULL, "no memory");
    r->sip->seen = calloc(DIGEST_SEEN, sizeof(struct digest_seen));
    r->sip->last_a2 = calloc(1, sizeof(struct digest_a2));
    bench_require(r->sip->seen != NULL && r->sip->last_a2 != NULL, "no memory");
    r->turn = (struct turn){.now_us = 1000000, .crypto = crypto_boring(), .metrics = &r->metrics};
    memcpy(r->sip->domain, "voice.example", sizeof("voice.example"));
    r->sip->domain_text = slice_text(r->sip->domain);
    const uint8_t secret[MAC_SECRET_BYTES] = {7};
    mac_init(&r->turn, &r->sip->keys, secret);
    r->sip->settings.accounts = r->accounts;
    r->sip->settings.account_count = USERS;
    for (uint32_t i = 0; i < USERS; i++) {
        write_register(r, is_sha256, i);
    }
    /* a digit of the response changed: not taken */
    char *digit = strstr(r->text[0], "response=\"") + strlen("response=\"");
    *digit ^= 1;
    bench_require(digest_check(&r->turn, r->sip, &r->rx[0], SIP_HDR_AUTHORIZATION, 0) ==
                      DIGEST_WRONG,
                  "a wrong response is refused");
    *digit ^= 1;
    return r;
}

static void *md5_setup(void)
{
    return register_setup(false);
}

static void *sha256_setup(void)
{
    return register_setup(true);
}

static uint64_t digest_want(const void *state, size_t input)
{
    (void)state;
    return input + 1;
}

/* Each nonce is forgotten before it is used, so that its count is good every time. */
static uint64_t digest_run(void *state, uint64_t iterations)
{
    struct registers *r = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        size_t input = i % USERS;
        r->sip->seen[input % DIGEST_SEEN].highest = 0;
        if (digest_check(&r->turn, r->sip, &r->rx[input], SIP_HDR_AUTHORIZATION, (uint32_t)input) ==
            DIGEST_OK) {
            sum += input + 1;
        }
    }
    return sum;
}

const struct bench bench_sip_list[] = {
    {"sip/index", SIP_MESSAGES_INVITE_BYTES, BENCH_SLOTS, invite_setup, index_run, index_want},
    {"sip/check", SIP_MESSAGES_INVITE_BYTES, BENCH_SLOTS, invite_setup, check_run, check_want},
    {"sip/check_names", SIP_MESSAGES_INVITE_BYTES, BENCH_SLOTS, names_setup, check_run, check_want},
    {"sip/check_register", 0, BENCH_SLOTS, request_setup, check_run, check_want},
    {"sip/check_ok", 0, BENCH_SLOTS, ok_setup, check_run, check_want},
    {"sip/check_tortuous", 0, BENCH_SLOTS, tortuous_setup, check_run, check_want},
    {"digest/md5", 0, USERS, md5_setup, digest_run, digest_want},
    {"digest/sha256", 0, USERS, sha256_setup, digest_run, digest_want},
    {0},
};
