/* SPDX-License-Identifier: Apache-2.0 */
/* bench_secblock.c - decoding a SecurityBlock with one certificate (RFC 6940 6.3.4), and the bytes
 * that a message's signature is over. */
#include "bench/bench.h"
#include "bench/bench_sample.h"
#include "codec/secblock.h"

struct slot {
    uint8_t bytes[BENCH_SLOT_BYTES];
    size_t len;
};

static struct slot slots[BENCH_SLOTS];

static inline uint64_t sum_of(const struct secblock *s)
{
    bench_keep(s);
    return s->certificate_count + s->certificates.len + s->signature.algorithm +
           s->signature.identity.hash.data[0] + s->signature.value.len;
}

static uint64_t decode_want(const void *state, size_t input)
{
    (void)state;
    return 1 + 3 + 420 + 0x0807 + input + 64;
}

static uint64_t decode_run(void *state, uint64_t iterations)
{
    const struct slot *all = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = &all[i % BENCH_SLOTS];
        struct secblock block;
        if (secblock_decode(slice_of(s->bytes, s->len), &block) == ERR_OK) {
            sum += sum_of(&block);
        }
    }
    return sum;
}

static void *setup(void)
{
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct wr w = wr_init(slots[i].bytes, sizeof(slots[i].bytes));
        bench_sample_secblock(&w, i);
        slots[i].len = wr_len(&w);
        struct secblock block;
        bench_require(secblock_decode(wr_slice(&w), &block) == ERR_OK, "a SecurityBlock");
        bench_require(sum_of(&block) == decode_want(NULL, i), "its fields");
    }
    return slots;
}

static uint64_t input_want(const void *state, size_t input)
{
    (void)state;
    return 12 + BENCH_SAMPLE_CONTENTS + 3 + 2 + 32 + input;
}

static uint64_t input_run(void *state, uint64_t iterations)
{
    static const uint8_t contents[BENCH_SAMPLE_CONTENTS];
    const struct slot *all = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint8_t out[12 + sizeof(contents) + SECBLOCK_IDENTITY_BYTES_MAX];
        const struct slot *s = &all[i % BENCH_SLOTS];
        struct secblock_identity signer = {
            .type = SECBLOCK_IDENTITY_CERT_HASH,
            .hash_algorithm = SECBLOCK_HASH_SHA256,
            .hash = slice_of(s->bytes + 2 + 3 + 420 + 2 + 3 + 2, 32),
        };
        struct wr w = wr_init(out, sizeof(out));
        secblock_wr_message_input(&w, bench_sample_params.overlay, i,
                                  slice_of(contents, sizeof(contents)), &signer);
        bench_keep(out);
        sum += wr_len(&w) + out[wr_len(&w) - 1];
    }
    return sum;
}

const struct bench bench_secblock_list[] = {
    {"secblock/decode", 531, BENCH_SLOTS, setup, decode_run, decode_want},
    {"secblock/signature_input", BENCH_SAMPLE_CONTENTS, BENCH_SLOTS, setup, input_run, input_want},
    {0},
};
