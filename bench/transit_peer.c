/* SPDX-License-Identifier: Apache-2.0 */
/* transit_peer.c - see transit_peer.h. */
#include "bench/transit_peer.h"

#include "codec/content.h"
#include "codec/fwd.h"
#include "core/os/host.h"
#include "link/crypto_issue.h"
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS 86400000ull
const char transit_overlay_name[] = "transit.example.org";

enum { VIA_BYTES = 18 };

void transit_require(bool is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "transit: %s\n", what);
        exit(1);
    }
}

/* ---- identities ---- */

void transit_ca_open(struct transit_ca *ca)
{
    memset(ca, 0, sizeof(*ca));
    uint64_t now_ms = host_wall_ms();
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    crypto_boring()->sha1(slice_text(transit_overlay_name), sha1);
    ca->params = (struct rl_params){.overlay = (uint32_t)sha1[16] << 24 | (uint32_t)sha1[17] << 16 |
                                               (uint32_t)sha1[18] << 8 | sha1[19],
                                    .node_id_length = IDS_NODE_MIN};
    transit_require(crypto_boring_key_make(CRYPTO_ED25519, &ca->key) == ERR_OK, "a key");
    transit_require(crypto_boring_key_make(CRYPTO_ED25519, &ca->peer_key) == ERR_OK, "a key");
    struct crypto_issue what = {.issuer_key = ca->key,
                                .common_name = SLICE_LITERAL("transit root"),
                                .not_before_ms = now_ms - DAY_MS,
                                .not_after_ms = now_ms + 30 * DAY_MS,
                                .is_ca = true};
    transit_require(crypto_issue_certificate(&what, ca->certificate, sizeof(ca->certificate),
                                             &ca->certificate_len) == ERR_OK,
                    "a root certificate");
    ca->root = slice_of(ca->certificate, ca->certificate_len);
    ca->trust = (struct crypto_trust){.roots = &ca->root,
                                      .root_count = 1,
                                      .overlay_name = slice_text(transit_overlay_name),
                                      .node_id_length = IDS_NODE_MIN};
}

void transit_identity_open(struct transit_identity *id, const struct transit_ca *ca,
                           uint32_t number, struct crypto_key *key)
{
    struct ident *ident = &id->ident;
    uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
    size_t spki_len = 0, len = 0;
    uint64_t now_ms = host_wall_ms();
    memset(id, 0, sizeof(*id));
    if (key == NULL) {
        transit_require(crypto_boring_key_make(CRYPTO_ED25519, &id->key) == ERR_OK, "a key");
    }
    ident->key = key == NULL ? id->key : key;
    transit_require(crypto_boring_key_public(ident->key, spki, sizeof(spki), &spki_len) == ERR_OK,
                    "a public key");
    /* Spread over the ring, as certificates of an authority are. */
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_boring()->sha256(slice_of((const uint8_t *)&number, sizeof(number)), hash);
    memcpy(ident->node_id.bytes, hash, IDS_NODE_MIN);
    (void)snprintf(ident->user, sizeof(ident->user), "host%u@%s", number, transit_overlay_name);
    ident->user_len = strlen(ident->user);
    uint8_t node_ids[1][20] = {{0}};
    memcpy(node_ids[0], hash, IDS_NODE_MIN);
    struct crypto_issue what = {.issuer_certificate = ca->root,
                                .issuer_key = ca->key,
                                .public_key = slice_of(spki, spki_len),
                                .user = slice_text(ident->user),
                                .node_ids = (const uint8_t(*)[20])node_ids,
                                .node_id_count = 1,
                                .node_id_length = IDS_NODE_MIN,
                                .overlay_name = slice_text(transit_overlay_name),
                                .not_before_ms = now_ms - DAY_MS,
                                .not_after_ms = now_ms + 7 * DAY_MS};
    transit_require(
        crypto_issue_certificate(&what, id->certificate, sizeof(id->certificate), &len) == ERR_OK,
        "a certificate");
    ident->certificate = slice_of(id->certificate, len);
    crypto_boring()->sha256(ident->certificate, ident->certificate_sha256);
    ident->algorithm = CRYPTO_ED25519;
    ident->not_before_ms = what.not_before_ms;
    ident->not_after_ms = what.not_after_ms;
}

/* ---- the peer ---- */

void transit_peer_open(struct transit_peer *p, const struct transit_ca *ca, uint32_t number)
{
    struct transit_identity id;
    memset(p, 0, sizeof(*p));
    transit_identity_open(&id, ca, number, ca->peer_key);
    transit_require(
        tls_boring_context_new(id.ident.certificate, NULL, 0, ca->peer_key, &p->context) == ERR_OK,
        "a TLS context");
    p->ident = id.ident;
    p->ident.certificate = SLICE_EMPTY; /* the context has it */
    p->tls = tls_boring_ops()->open(p->context, TLS_CLIENT);
    transit_require(p->tls != NULL, "a TLS connection");
    transit_require(tls_boring_ops()->handshake(p->tls) == ERR_MORE, "a handshake that begins");
}

void transit_peer_close(struct transit_peer *p)
{
    tls_boring_ops()->close(p->tls);
    tls_boring_context_free(p->context);
    free(p->partial);
    memset(p, 0, sizeof(*p));
}

static uint64_t transaction_of(size_t message)
{
    return 0x7472616e73697400ull + message;
}

void transit_load_make(struct transit_load *load, const struct transit_ca *ca, size_t len)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    const struct node_id nobody = {{1}};
    transit_require(len <= TRANSIT_MESSAGE_CAP && len > FWD_FIXED_BYTES + sizeof(list) + 2,
                    "a size of messages that there are");
    struct wr lw = wr_init(list, sizeof(list));
    fwd_wr_node(&lw, &ca->params, &nobody);
    memset(load, 0, sizeof(*load));
    load->len = len;
    load->destination_at = FWD_FIXED_BYTES + 2;
    for (size_t i = 0; i < TRANSIT_MESSAGES; i++) {
        struct fwd h = {.overlay = ca->params.overlay,
                        .configuration_sequence = 1,
                        .ttl = TRANSIT_TTL,
                        .fragment = FWD_FRAGMENT_WHOLE,
                        .transaction_id = transaction_of(i),
                        .destination_list = wr_slice(&lw)};
        struct wr w = wr_init(load->bytes[i], len);
        fwd_wr(&w, &h);
        wr_u16(&w, CONTENT_FETCH_REQ);
        size_t header = wr_len(&w);
        memset(load->bytes[i] + header, (int)i, len - header);
        fwd_put_length(load->bytes[i], (uint32_t)len);
    }
}

uint32_t transit_load_per_record(const struct transit_load *load)
{
    return (uint32_t)(TLS_RECORD_BYTES / (FRAME_DATA_HEADER + load->len));
}

uint64_t transit_load_sum(uint64_t first, uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum += transaction_of((size_t)((first + i) % TRANSIT_MESSAGES));
    }
    return sum;
}

static uint64_t read_u64(const uint8_t *at)
{
    uint64_t value = 0;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap64(value);
}

/* What a forwarded message must look like: one Via entry longer, ttl one less, and ours. */
void transit_peer_take(struct transit_peer *p, struct slice m)
{
    enum { OFFSET_TTL = 11, OFFSET_TRANSACTION = 20 };
    if (m.data[OFFSET_TTL] > TRANSIT_TTL) {
        return; /* the node's own, as towards any client: an Update, a Ping */
    }
    p->received++;
    bool is_right = p->expected != NULL && m.len == p->expected->len + VIA_BYTES &&
                    m.data[OFFSET_TTL] == TRANSIT_TTL - 1 &&
                    memcmp(m.data + FWD_FIXED_BYTES + VIA_BYTES + 2, p->ident.node_id.bytes,
                           IDS_NODE_MIN) == 0 &&
                    m.data[m.len - 1] == (uint8_t)m.data[OFFSET_TRANSACTION + 7];
    if (!is_right) {
        p->wrong++;
        return;
    }
    p->sum += read_u64(m.data + OFFSET_TRANSACTION);
}

/* Frames from the front; returns how many bytes they were, and in *need how many a cut one wants.
 */
static size_t take_frames(struct transit_peer *p, struct slice plain, size_t *need)
{
    size_t at = 0;
    *need = 0;
    while (at < plain.len) {
        struct frame frame;
        size_t consumed = 0;
        enum err e = frame_scan(slice_from(plain, at), FRAME_MESSAGE_MAX, &frame, &consumed);
        if (e == ERR_MORE) {
            *need = consumed;
            break;
        }
        transit_require(e == ERR_OK, "frames from the node");
        at += consumed;
        if (frame.type == FRAME_DATA) {
            p->top = frame.sequence;
            p->owes_ack = true;
            transit_peer_take(p, frame.message);
        }
    }
    return at;
}

static void take_plain(struct transit_peer *p, struct slice plain)
{
    size_t need = 0;
    if (p->partial_len > 0) { /* rare: goes on with a cut frame, byte by byte as it wants them */
        while (p->partial_len > 0 && plain.len > 0) {
            (void)take_frames(p, slice_of(p->partial, p->partial_len), &need);
            size_t more = min_size(need - p->partial_len, plain.len);
            p->partial = realloc(p->partial, p->partial_len + more);
            transit_require(p->partial != NULL, "memory for a cut frame");
            memcpy(p->partial + p->partial_len, plain.data, more);
            p->partial_len += more;
            plain = slice_from(plain, more);
            if (take_frames(p, slice_of(p->partial, p->partial_len), &need) == p->partial_len) {
                p->partial_len = 0;
            }
        }
    }
    size_t taken = take_frames(p, plain, &need);
    if (taken < plain.len) {
        p->partial_len = plain.len - taken;
        p->partial = realloc(p->partial, p->partial_len);
        transit_require(p->partial != NULL, "memory for a cut frame");
        memcpy(p->partial, plain.data + taken, p->partial_len);
    }
}

void transit_peer_feed(struct transit_peer *p, struct slice bytes)
{
    static _Thread_local uint8_t plain[TLS_READ_BYTES];
    const struct tls_ops *ops = tls_boring_ops();
    size_t len = 0;
    transit_require(ops->feed(p->tls, bytes) == ERR_OK, "TLS bytes from the node");
    if (!p->is_up) {
        enum err e = ops->handshake(p->tls);
        transit_require(e == ERR_OK || e == ERR_MORE, "a TLS handshake with the node");
        p->is_up = e == ERR_OK;
    }
    while (p->is_up) {
        enum err e = ops->read(p->tls, plain, sizeof(plain), &len);
        if (e == ERR_MORE) {
            break;
        }
        transit_require(e == ERR_OK, "TLS records from the node");
        take_plain(p, slice_of(plain, len));
    }
}

void transit_peer_push(struct transit_peer *p, const struct transit_load *load,
                       const struct node_id *destination, uint32_t count)
{
    static _Thread_local uint8_t plain[TLS_RECORD_BYTES];
    size_t each = FRAME_DATA_HEADER + load->len;
    transit_require(count * each <= sizeof(plain), "messages that fit a record");
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = plain + i * each;
        frame_put_data_header(at, p->next_sequence++, load->len);
        memcpy(at + FRAME_DATA_HEADER, load->bytes[p->sent++ % TRANSIT_MESSAGES], load->len);
        memcpy(at + FRAME_DATA_HEADER + load->destination_at, destination->bytes, IDS_NODE_MIN);
    }
    transit_require(tls_boring_ops()->write(p->tls, slice_of(plain, count * each)) == ERR_OK,
                    "a record that is sealed");
}

void transit_peer_acknowledge(struct transit_peer *p)
{
    uint8_t ack[FRAME_ACK_BYTES];
    if (!p->owes_ack) {
        return;
    }
    p->owes_ack = false;
    frame_put_ack(ack, p->top, UINT32_MAX);
    transit_require(tls_boring_ops()->write(p->tls, slice_of(ack, sizeof(ack))) == ERR_OK,
                    "an ACK that is sealed");
}

size_t transit_peer_pull(struct transit_peer *p, uint8_t *out, size_t cap)
{
    return tls_boring_ops()->pull(p->tls, out, cap);
}
