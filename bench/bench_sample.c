/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sample.c - see bench_sample.h. */
#include "bench/bench_sample.h"

#include "bench/bench.h"
#include "codec/content.h"
#include "codec/msgs.h"
#include "core/rng.h"

enum { NODE_BYTES = 16, HOPS = 4, CERTIFICATE_BYTES = 420, ED25519_BYTES = 64, SHA256_BYTES = 32 };
enum { ED25519 = 0x0807 };

/* RFC 3840; its length makes the contents 500 bytes. */
#define CONTACT_PREFS "(& (sip.audio=TRUE) (sip.video=TRUE) (sip.mobility=\"fixed\"))      "

struct rl_params bench_sample_params = {.overlay = 0x9aa32b8d, .node_id_length = NODE_BYTES};

uint64_t bench_sample_time(size_t input, unsigned value)
{
    return 1700000000000u + 1000 * input + value;
}

static struct node_id node_of(size_t input, unsigned number)
{
    struct node_id id = {{0}};
    struct rng rng;
    rng_init(&rng, 100 * input + number);
    rng_fill(&rng, id.bytes, NODE_BYTES);
    return id;
}

static void write_signature(struct wr *w, size_t input)
{
    uint8_t hash[SHA256_BYTES];
    uint8_t value[ED25519_BYTES];
    memset(hash, (int)input, sizeof(hash));
    memset(value, (int)~input, sizeof(value));
    struct secblock_signature s = {.algorithm = ED25519,
                                   .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                                                .hash_algorithm = SECBLOCK_HASH_SHA256,
                                                .hash = slice_of(hash, sizeof(hash))},
                                   .value = slice_of(value, sizeof(value))};
    secblock_wr_signature(w, &s);
}

void bench_sample_data(struct wr *w, size_t input, unsigned value)
{
    bench_keep(&bench_sample_params);
    uint8_t list[FWD_NODE_BYTES_MAX];
    struct node_id id = node_of(input, value);
    struct wr v = wr_init(list, sizeof(list));
    fwd_wr_node(&v, &bench_sample_params, &id);
    struct msgs_sip_registration registration = {.type = MSGS_SIP_ROUTE,
                                                 .contact_prefs = SLICE_LITERAL(CONTACT_PREFS),
                                                 .destination_list = wr_slice(&v)};
    size_t mark = wr_begin(w, 4);
    wr_u64(w, bench_sample_time(input, value));
    wr_u32(w, 3600);
    wr_opaque16(w, ids_node_slice(&id, &bench_sample_params));
    wr_bool(w, true);
    size_t inner = wr_begin(w, 4);
    msgs_sip_registration_wr(w, &bench_sample_params, &registration);
    wr_end(w, 4, inner);
    write_signature(w, input);
    wr_end(w, 4, mark);
}

void bench_sample_fetch_ans(struct wr *w, size_t input)
{
    size_t contents = content_begin(w, CONTENT_FETCH_ANS);
    size_t list = wr_begin(w, 4);
    size_t block = stored_block_begin(w, BENCH_SAMPLE_KIND, 7);
    for (unsigned i = 0; i < BENCH_SAMPLE_VALUES; i++) {
        bench_sample_data(w, input, i);
    }
    stored_block_end(w, block);
    wr_end(w, 4, list);
    content_end(w, contents);
}

void bench_sample_secblock(struct wr *w, size_t input)
{
    uint8_t der[CERTIFICATE_BYTES];
    memset(der, (int)input, sizeof(der));
    size_t mark = wr_begin(w, 2);
    secblock_wr_certificate(w, SECBLOCK_CERTIFICATE_X509, slice_of(der, sizeof(der)));
    wr_end(w, 2, mark);
    write_signature(w, input);
}

void bench_sample_message(struct wr *w, size_t input)
{
    bench_keep(&bench_sample_params);
    uint8_t list[HOPS * FWD_NODE_BYTES_MAX];
    struct wr v = wr_init(list, sizeof(list));
    for (unsigned i = 0; i < HOPS; i++) {
        struct node_id id = node_of(input, 10 + i);
        fwd_wr_node(&v, &bench_sample_params, &id);
    }
    struct fwd h = {.overlay = bench_sample_params.overlay,
                    .configuration_sequence = 22,
                    .ttl = 30,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = bench_sample_time(input, 0),
                    .destination_list = wr_slice(&v)};
    fwd_wr(w, &h);
    bench_sample_fetch_ans(w, input);
    bench_sample_secblock(w, input);
    if (wr_ok(w)) {
        fwd_put_length(w->start, (uint32_t)wr_len(w));
    }
}
