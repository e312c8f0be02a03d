/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator without a network: histogram, schedule, accounting, digest, processor time. */
#include "cmd/load_cpu.h"
#include "cmd/load_digest.h"
#include "cmd/load_histogram.h"
#include "cmd/load_ops.h"
#include "cmd/load_schedule.h"
#include "codec/sip_parser.h"
#include "link/crypto_boring.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

static struct load_histogram a, b, c;

static int by_value(const void *x, const void *y)
{
    uint64_t p = *(const uint64_t *)x;
    uint64_t q = *(const uint64_t *)y;
    return p < q ? -1 : p > q;
}

/* Never too small, and never more than one part in 128 too large, over all magnitudes. */
Test(load, histogram_relative_error)
{
    struct rng r;
    rng_init(&r, 7);
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t value = rng_next(&r) >> (22 + rng_below(&r, 42));
        memset(&a, 0, sizeof(a));
        load_histogram_add(&a, value);
        load_histogram_add(&a, LOAD_HISTOGRAM_MAX); /* so that `value` is not the maximum */
        uint64_t back = load_histogram_quantile(&a, 500000);
        cr_assert(back >= value && back - value <= value / LOAD_HISTOGRAM_STEPS, "%llu -> %llu",
                  (unsigned long long)value, (unsigned long long)back);
    }
}

Test(load, histogram_quantiles_against_sorting)
{
    enum { COUNT = 10001 };
    static uint64_t values[COUNT];
    struct rng r;
    rng_init(&r, 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = rng_next(&r) >> (30 + rng_below(&r, 20));
        load_histogram_add(&a, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), by_value);
    const uint32_t asked[] = {1, 10000, 500000, 900000, 990000, 999000, 999900, 1000000};
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        uint64_t rank = ((uint64_t)COUNT * asked[i] + 999999) / 1000000;
        uint64_t exact = values[(rank == 0 ? 1 : rank) - 1];
        uint64_t got = load_histogram_quantile(&a, asked[i]);
        cr_assert(got >= exact && got - exact <= exact / LOAD_HISTOGRAM_STEPS, "at %u: %llu, %llu",
                  asked[i], (unsigned long long)got, (unsigned long long)exact);
    }
    cr_assert_eq(load_histogram_quantile(&a, 1000000), values[COUNT - 1], "the maximum is exact");
}

Test(load, histogram_edges)
{
    cr_assert_eq(load_histogram_quantile(&a, 500000), 0);
    cr_assert_float_eq(load_histogram_mean(&a), 0, 0);
    load_histogram_add(&a, 0);
    cr_assert_eq(load_histogram_quantile(&a, 1000000), 0);
    load_histogram_add(&a, UINT64_MAX);
    cr_assert_eq(a.clipped, 1);
    cr_assert_eq(load_histogram_quantile(&a, 1000000), UINT64_MAX);
    cr_assert_eq(load_histogram_quantile(&a, 500000), 0);
}

Test(load, histogram_merge_is_adding_to_one)
{
    struct rng r;
    rng_init(&r, 5);
    for (uint32_t i = 0; i < 5000; i++) {
        uint64_t value = rng_next(&r) >> 35;
        load_histogram_add(i % 3 == 0 ? &a : &b, value);
        load_histogram_add(&c, value);
    }
    load_histogram_merge(&a, &b);
    cr_assert_eq(memcmp(a.counts, c.counts, sizeof(a.counts)), 0);
    cr_assert(a.count == c.count && a.max == c.max && a.clipped == c.clipped);
    cr_assert_float_eq(load_histogram_mean(&a), load_histogram_mean(&c), 1e-3);
}

Test(load, schedule_constant)
{
    struct load_schedule s;
    load_schedule_init(&s, LOAD_SCHEDULE_CONSTANT, 1000, 5 * SECOND_NS, 1);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t want = 5 * SECOND_NS + i * 1000000;
        cr_assert(load_schedule_next(&s) - want + 1 <= 2, "number %llu", (unsigned long long)i);
        load_schedule_take(&s);
    }
}

/* Mean and variance of exponential gaps, memory of none, and the same again from the same seed. */
Test(load, schedule_poisson)
{
    enum { COUNT = 200000 };
    struct load_schedule s, again;
    double sum = 0;
    double squares = 0;
    uint32_t longer = 0;
    uint64_t last = 0;
    load_schedule_init(&s, LOAD_SCHEDULE_POISSON, 1000, 0, 11);
    load_schedule_init(&again, LOAD_SCHEDULE_POISSON, 1000, 0, 11);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t next = load_schedule_next(&s);
        cr_assert_eq(next, load_schedule_next(&again));
        cr_assert(next >= last);
        double gap = (double)(next - last) / 1e6; /* in units of the mean */
        sum += gap;
        squares += gap * gap;
        longer += gap > 1 ? 1 : 0;
        last = next;
        load_schedule_take(&s);
        load_schedule_take(&again);
    }
    double mean = sum / COUNT;
    cr_assert_float_eq(mean, 1, 0.01);
    cr_assert_float_eq(squares / COUNT - mean * mean, 1, 0.03);
    cr_assert_float_eq((double)longer / COUNT, 0.36788, 0.005); /* 1/e */
}

/* begun = done + failed + outstanding, whatever happens in whatever order. */
Test(load, operations_end_once)
{
    enum { CAP = 50 };
    static struct load_ops o;
    static struct load_ops_tally sum;
    uint64_t ids[CAP] = {0};
    struct rng r;
    uint64_t refused = 0;
    rng_init(&r, 2);
    cr_assert_eq(load_ops_open(&o, CAP), ERR_OK);
    for (uint64_t now = 1; now < 100000; now++) {
        uint64_t *id = &ids[rng_below(&r, CAP)];
        struct load_op *op = load_ops_find(&o, *id);
        enum load_kind kind = (enum load_kind)rng_below(&r, LOAD_KINDS);
        if (op == NULL) {
            refused += load_ops_begin(&o, kind, now - 1, now, id) == NULL ? 1 : 0;
        } else if (rng_below(&r, 3) == 0) {
            load_ops_fail(&o, op, "status_503");
            cr_assert_null(load_ops_find(&o, *id), "it is over");
        } else if (rng_below(&r, 3) == 0) {
            load_ops_done(&o, op, now);
        }
        if (now % 97 == 0) {
            load_ops_expire(&o, now > 60 ? now - 60 : 0);
        }
        load_ops_sum(&o, &sum);
        cr_assert_eq(sum.begun, sum.done + sum.failed + o.outstanding);
    }
    cr_assert_eq(refused, 0, "there was always room");
    cr_assert_eq(sum.latency.count, sum.done);
    cr_assert_eq(sum.error_count, 2, "status_503 and timeout");
    cr_assert_eq(sum.errors[0].count + sum.errors[1].count, sum.failed);
    load_ops_expire(&o, UINT64_MAX);
    cr_assert_eq(o.outstanding, 0);
    load_ops_close(&o);
}

Test(load, operations_have_a_cap)
{
    static struct load_ops o;
    uint64_t id = 0;
    cr_assert_eq(load_ops_open(&o, 3), ERR_OK);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_not_null(load_ops_begin(&o, LOAD_OPTIONS, 0, 10 + i, &id));
    }
    uint64_t other = 0;
    cr_assert_null(load_ops_begin(&o, LOAD_OPTIONS, 0, 13, &other));
    load_ops_expire(&o, 12); /* the two oldest, not the third */
    cr_assert_eq(o.outstanding, 1);
    cr_assert_not_null(load_ops_find(&o, id));
    cr_assert_not_null(load_ops_begin(&o, LOAD_OPTIONS, 0, 13, &other));
    cr_assert_null(load_ops_find(&o, UINT64_MAX), "an id that never was");
    load_ops_close(&o);
}

Test(load, operations_name_their_errors)
{
    static struct load_ops o;
    char name[LOAD_OPS_ERROR_CAP];
    cr_assert_eq(load_ops_open(&o, 1), ERR_OK);
    load_ops_count_begun(&o, LOAD_FETCH, 300);
    for (uint32_t i = 0; i < 100; i++) { /* more names than places */
        snprintf(name, sizeof(name), "status_%u", i);
        load_ops_count_failed(&o, LOAD_FETCH, name, 2);
    }
    const struct load_ops_tally *t = &o.tallies[LOAD_FETCH];
    uint64_t sum = 0;
    cr_assert_eq(t->error_count, LOAD_OPS_ERRORS);
    for (uint32_t i = 0; i < t->error_count; i++) {
        sum += t->errors[i].count;
    }
    cr_assert_eq(sum, 200);
    cr_assert_eq(t->failed, 200);
    cr_assert_eq(o.outstanding, 100);
    cr_assert_str_eq(t->errors[LOAD_OPS_ERRORS - 1].name, "other");
    cr_assert_eq(t->errors[LOAD_OPS_ERRORS - 1].count, 2 * (100 - LOAD_OPS_ERRORS + 1));
    load_ops_close(&o);
}

/* The example of RFC 7616 3.9.1 but for its nonce count and client nonce, which are ours; so the
 * answer is worked out here once more from the words of the RFC. */
Test(load, digest_counts_and_answers)
{
    static struct sip_parser parser;
    static const char challenge[] =
        "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
        "WWW-Authenticate: Digest realm=\"http-auth@example.org\", nonce=\"7ypf/xlj9XXwfDPEoM4U\","
        " algorithm=MD5, qop=\"auth\"\r\n"
        "WWW-Authenticate: Digest realm=\"http-auth@example.org\", nonce=\"8ypf/xlj9XXwfDPEoM4U\","
        " algorithm=SHA-256, qop=\"auth\"\r\nContent-Length: 0\r\n\r\n";
    struct load_digest d = {0};
    char line[LOAD_DIGEST_LINE_CAP];
    sip_parser_init(&parser, false);
    cr_assert_eq(sip_parser_datagram(&parser, slice_text(challenge)), SIP_PARSE_OK);
    cr_assert(load_digest_learn(&d, crypto_boring(), "Mufasa", "Circle of Life", &parser.msg));
    cr_assert(d.is_sha256, "the best one is taken");
    cr_assert_str_eq(d.ha1, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    for (uint32_t count = 1; count <= 3; count++) {
        char want[64];
        snprintf(want, sizeof(want), "nc=%08x,", count);
        (void)load_digest_line(&d, crypto_boring(), "Mufasa", "REGISTER", "sip:b", line);
        cr_assert_not_null(strstr(line, want), "%s", line);
        cr_assert_not_null(strstr(line, "nonce=\"8ypf/xlj9XXwfDPEoM4U\""), "%s", line);
        cr_assert_eq(strncmp(line, "Authorization: Digest ", 22), 0);
    }
    (void)load_digest_line(&d, crypto_boring(), "Mufasa", "INVITE", "sip:b", line);
    cr_assert_eq(strncmp(line, "Proxy-Authorization: Digest ", 28), 0);
}

Test(load, processor_time_is_the_kernels)
{
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t ran[2] = {0};
    uint64_t waited[2] = {0};
    load_cpu_own(&ran[0], &waited[0]);
    cr_assert_eq(load_cpu_of(0, &before), ERR_OK);
    uint64_t until = load_cpu_now_ns() + SECOND_NS / 20;
    while (load_cpu_now_ns() < until) {}
    cr_assert_eq(load_cpu_of(0, &after), ERR_OK);
    load_cpu_own(&ran[1], &waited[1]);
    cr_assert(after > before && after - before < SECOND_NS, "%llu ns",
              (unsigned long long)(after - before));
    cr_assert(ran[1] > ran[0] && ran[1] - ran[0] <= after - before + SECOND_NS / 100);
    cr_assert_eq(load_cpu_of(INT32_MAX, &after), ERR_NOT_FOUND);
}

static void burn(uint64_t ns)
{
    uint64_t ran = 0;
    uint64_t waited = 0;
    uint64_t begun = 0;
    load_cpu_own(&begun, &waited);
    do {
        load_cpu_own(&ran, &waited);
    } while (ran - begun < ns);
}

/* What a child runs is its parent's too. */
Test(load, processor_time_of_a_family)
{
    uint64_t before = 0;
    uint64_t after = 0;
    int ends[2];
    char byte = 0;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(load_cpu_of(0, &before), ERR_OK);
    pid_t child = fork();
    if (child == 0) {
        burn(SECOND_NS / 20);
        (void)!write(ends[1], &byte, 1);
        pause();
    }
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    cr_assert_eq(load_cpu_of(0, &after), ERR_OK);
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert(after - before >= SECOND_NS / 20, "%llu ns", (unsigned long long)(after - before));
}
