/* SPDX-License-Identifier: Apache-2.0 */
/* bench_stored.c - decoding values: one StoredData, and the FetchAns of 500 bytes whose figure must
 * hold: MessageContents, the list of Kinds, each StoredData with its Signature (parsed, not
 * verified), and the SipRegistration in it down to the Destination List. */
#include "bench/bench.h"
#include "bench/bench_sample.h"
#include "codec/content.h"
#include "codec/msgs.h"

struct slot {
    uint8_t bytes[BENCH_SLOT_BYTES];
    size_t len;
};

static struct slot datas[BENCH_SLOTS];
static struct slot answers[BENCH_SLOTS];

static inline uint64_t data_sum(const struct stored_data *d)
{
    bench_keep(d);
    return d->storage_time_ms + d->lifetime_s + d->value.key.len + d->value.exists +
           d->signature.algorithm + d->signature.identity.hash.len + d->signature.value.len;
}

static uint64_t data_want(const void *state, size_t input)
{
    (void)state;
    return bench_sample_time(input, 0) + 3600 + 16 + 1 + 0x0807 + 32 + 64;
}

static uint64_t data_run(void *state, uint64_t iterations)
{
    const struct slot *slots = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = &slots[i % BENCH_SLOTS];
        struct stored_data d;
        if (stored_decode(slice_of(s->bytes, s->len), STORED_DICTIONARY, &d) == ERR_OK) {
            sum += data_sum(&d);
        }
    }
    return sum;
}

static void *data_setup(void)
{
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct wr w = wr_init(datas[i].bytes, sizeof(datas[i].bytes));
        bench_sample_data(&w, i, 0);
        datas[i].len = wr_len(&w);
        struct stored_data d;
        bench_require(stored_decode(wr_slice(&w), STORED_DICTIONARY, &d) == ERR_OK, "a StoredData");
        uint8_t again[BENCH_SLOT_BYTES];
        struct wr v = wr_init(again, sizeof(again));
        stored_wr(&v, &d);
        bench_require(slice_is_equal(wr_slice(&w), wr_slice(&v)), "it encodes to its bytes");
    }
    return datas;
}

/* All of a FetchAns; 0 when something in it is wrong. */
static inline uint64_t answer_sum(struct slice in)
{
    struct rd r = rd_init(in);
    struct content c;
    struct msgs_fetch_ans ans;
    content_rd(&r, &c);
    if (!rd_is_done(&r) || c.code != CONTENT_FETCH_ANS ||
        msgs_fetch_ans_decode(c.body, &bench_sample_params, &ans) != ERR_OK) {
        return 0;
    }
    bench_keep(&c);
    uint64_t sum = 0;
    struct rd blocks = rd_init(ans.kind_responses);
    struct stored_block block;
    while (stored_block_next(&blocks, &block)) {
        struct rd values = rd_init(block.values);
        struct stored_data d;
        while (stored_next(&values, STORED_DICTIONARY, &d)) {
            struct msgs_sip_registration registration;
            if (msgs_sip_registration_decode(d.value.bytes, &bench_sample_params, &registration) !=
                ERR_OK) {
                return 0;
            }
            bench_keep(&registration);
            sum += data_sum(&d) + registration.destination_list.len;
        }
        if (!rd_ok(&values)) {
            return 0;
        }
        sum += block.kind + block.generation;
    }
    return rd_ok(&blocks) ? sum : 0;
}

static uint64_t answer_want(const void *state, size_t input)
{
    return 2 * data_want(state, input) + 1 + 2 * 18 + BENCH_SAMPLE_KIND + 7;
}

static uint64_t answer_run(void *state, uint64_t iterations)
{
    const struct slot *slots = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = &slots[i % BENCH_SLOTS];
        sum += answer_sum(slice_of(s->bytes, s->len));
    }
    return sum;
}

static void *answer_setup(void)
{
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct wr w = wr_init(answers[i].bytes, sizeof(answers[i].bytes));
        bench_sample_fetch_ans(&w, i);
        answers[i].len = wr_len(&w);
        bench_require(wr_len(&w) == BENCH_SAMPLE_CONTENTS, "the contents have 500 bytes");
        bench_require(answer_sum(wr_slice(&w)) == answer_want(NULL, i), "a FetchAns");
        for (size_t cut = 0; cut < wr_len(&w); cut++) {
            bench_require(answer_sum(slice_sub(wr_slice(&w), 0, cut)) == 0, "a cut FetchAns");
        }
    }
    return answers;
}

const struct bench bench_stored_list[] = {
    {"stored/fetch_ans", BENCH_SAMPLE_CONTENTS, BENCH_SLOTS, answer_setup, answer_run, answer_want},
    {"stored/data", 235, BENCH_SLOTS, data_setup, data_run, data_want},
    {0},
};
