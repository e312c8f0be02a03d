/* SPDX-License-Identifier: Apache-2.0 */
/* test_handset.c - two phones back to back, and one that talks to a test. */
#include "codec/sip_write.h"
#include "sim/crypto_fake.h"
#include "sim/handset.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wframe-larger-than="

enum { SECOND = 1000000, KEPT = 64, RING_US = 2 * SECOND };

struct line {
    struct handset *ends[2]; /* where a message goes, if anywhere */
    uint32_t sent[2];
    uint8_t last[2][HANDSET_MESSAGE_CAP];
    size_t last_len[2];
    /* on their way */
    uint8_t bytes[KEPT][HANDSET_MESSAGE_CAP];
    size_t len[KEPT];
    uint32_t to[KEPT];
    uint32_t first, count;
    bool is_cut;
};

static struct line line;
static struct handset_settings settings;
static struct sip_parser parser;
static struct crypto crypto;
static struct rng rng;
static struct handset phones[2];

static void keep(void *context, struct handset *h, struct slice message)
{
    struct line *l = context;
    l->sent[h->index]++;
    memcpy(l->last[h->index], message.data, message.len);
    l->last_len[h->index] = message.len;
    if (l->is_cut) {
        return;
    }
    uint32_t at = (l->first + l->count++) % KEPT;
    cr_assert_leq(l->count, KEPT);
    memcpy(l->bytes[at], message.data, message.len);
    l->len[at] = message.len;
    l->to[at] = 1 - h->index;
}

static void deliver(uint64_t now_us)
{
    while (line.count > 0) {
        uint32_t at = line.first++ % KEPT;
        line.first %= KEPT;
        line.count--;
        handset_receive(line.ends[line.to[at]], now_us, slice_of(line.bytes[at], line.len[at]));
    }
}

static void set_up(void)
{
    rng_init(&rng, 1);
    crypto_fake_init(&crypto, &rng);
    memset(&line, 0, sizeof(line));
    settings = (struct handset_settings){.domain = "sim.example",
                                         .crypto = crypto,
                                         .ring_us = RING_US,
                                         .patience_us = 200 * SECOND,
                                         .send = keep,
                                         .context = &line,
                                         .parser = &parser};
    for (uint32_t i = 0; i < 2; i++) {
        struct address local = {.family = 4, .port = 5060, .ip = {11, 0, 0, (uint8_t)i}};
        handset_init(&phones[i], &settings, i, &local, i + 7);
        line.ends[i] = &phones[i];
    }
}

static bool last_has(uint32_t phone, const char *text)
{
    return memmem(line.last[phone], line.last_len[phone], text, strlen(text)) != NULL;
}

/* A response to the last request of `phone`, as it stands in its own line. */
static void answer(uint32_t phone, uint64_t now_us, unsigned status, const char *to_tag,
                   const char *more)
{
    static struct sip_parser request;
    uint8_t out[HANDSET_MESSAGE_CAP];
    struct sip_msg_core core;
    struct sip_fault fault;
    struct sip_writer w;
    struct slice message;
    sip_parser_init(&request, false);
    cr_assert_eq(sip_parser_datagram(&request, slice_of(line.last[phone], line.last_len[phone])),
                 SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(&request.msg, &core, &fault), ERR_OK, "%s", fault.why);
    struct sip_write_reply reply = {.status = status, .to_tag = slice_text(to_tag)};
    sip_write_init(&w, out, sizeof(out));
    sip_write_response(&w, &request.msg, &core, &reply);
    sip_write_text(&w, more);
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(sip_write_finish(&w, &message), ERR_OK);
    handset_receive(&phones[phone], now_us, message);
}

static void run_until(struct handset *h, uint64_t until_us)
{
    while (handset_due_us(h) <= until_us) {
        handset_on_time(h, handset_due_us(h));
    }
}

Test(handset, registers_with_digest, .init = set_up)
{
    line.is_cut = true;
    handset_register(&phones[0], 0, 120);
    cr_expect(last_has(0, "REGISTER sip:sim.example SIP/2.0\r\n"));
    cr_expect(last_has(0, "\r\nExpires: 120\r\n") && !last_has(0, "Authorization:"));
    answer(0, 1000, 401, "t",
           "WWW-Authenticate: Digest realm=\"sim.example\", nonce=\"n\", algorithm=MD5, "
           "qop=\"auth\"\r\n");
    cr_expect_eq(line.sent[0], 2);
    cr_expect(last_has(0, "\r\nCSeq: 2 REGISTER\r\n"));
    cr_expect(last_has(0, "Authorization: Digest username=\"p0\", realm=\"sim.example\", "
                          "nonce=\"n\", uri=\"sip:sim.example\", algorithm=MD5"));
    answer(0, 2000, 200, "t", "");
    cr_expect_eq(phones[0].news.registered, 200);
    cr_expect_eq(phones[0].news.expires_s, 120);
    cr_expect_eq(handset_due_us(&phones[0]), UINT64_MAX, "nothing is left to be done");
    /* A password that nobody takes is not tried for ever. */
    handset_register(&phones[0], 3000, 120);
    for (uint64_t i = 0; i < 5 && phones[0].reg.is_open; i++) {
        answer(0, 4000 + i, 401, "t",
               "WWW-Authenticate: Digest realm=\"sim.example\", nonce=\"n\", qop=\"auth\"\r\n");
    }
    cr_expect_eq(phones[0].news.registered, 401);
    cr_expect_eq(line.sent[0], 5);
}

/* RFC 3261 17.1.1.2: 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s after the first; 32 s end it. */
Test(handset, gives_up, .init = set_up)
{
    line.is_cut = true;
    handset_call(&phones[0], 0, "p1@sim.example");
    run_until(&phones[0], 31 * SECOND);
    cr_expect_eq(line.sent[0], 6);
    cr_expect_not(handset_is_idle(&phones[0]));
    run_until(&phones[0], 40 * SECOND);
    cr_expect_eq(line.sent[0], 7);
    cr_expect_eq(phones[0].news.answered, 408);
    cr_expect(handset_is_idle(&phones[0]));
    /* Others again: no more than 4 s apart. */
    memset(&line, 0, sizeof(line));
    line.is_cut = true;
    handset_register(&phones[1], 0, 60);
    run_until(&phones[1], 40 * SECOND);
    cr_expect_eq(line.sent[1], 11);
    cr_expect_eq(phones[1].news.registered, 408);
    /* Somebody works on it: not sent again, but not waited for for ever. */
    handset_call(&phones[0], 100 * (uint64_t)SECOND, "p1@sim.example");
    answer(0, 100 * (uint64_t)SECOND, 100, "", "");
    run_until(&phones[0], 299 * (uint64_t)SECOND);
    cr_expect_not(handset_is_idle(&phones[0]));
    run_until(&phones[0], 301 * (uint64_t)SECOND);
    cr_expect(handset_is_idle(&phones[0]));
}

Test(handset, calls_and_hangs_up, .init = set_up)
{
    handset_call(&phones[0], 0, "p1@sim.example");
    deliver(10);
    cr_expect(phones[0].news.rang && phones[1].news.took);
    cr_expect_eq(phones[0].news.answered, 0);
    cr_expect_eq(handset_due_us(&phones[1]), 10 + RING_US);
    handset_on_time(&phones[1], 10 + RING_US);
    deliver(20 + RING_US);
    cr_expect_eq(phones[0].news.answered, 200);
    cr_expect(phones[1].dialog.is_acked);
    handset_hang_up(&phones[0], 5 * SECOND);
    deliver(5 * SECOND);
    cr_expect_eq(phones[0].news.ended, 200);
    cr_expect(phones[1].news.was_ended);
    cr_expect(handset_is_idle(&phones[0]) && handset_is_idle(&phones[1]));
    cr_expect_eq(phones[0].news.again, 0);
}

/* The callee of a call whose ACK never comes repeats its 200, and ends after 32 s. */
Test(handset, callee_without_an_ack, .init = set_up)
{
    handset_call(&phones[0], 0, "p1@sim.example");
    deliver(0);
    line.is_cut = true;
    uint32_t before = line.sent[1];
    run_until(&phones[1], 60 * SECOND);
    cr_expect_gt(line.sent[1], before + 8);
    cr_expect(phones[1].news.was_ended);
    cr_expect(handset_is_idle(&phones[1]));
}

/* The same INVITE again is answered as before; by another way it is a merged one. */
Test(handset, one_call_by_two_ways, .init = set_up)
{
    uint8_t invite[HANDSET_MESSAGE_CAP];
    handset_call(&phones[0], 0, "p1@sim.example");
    size_t len = line.last_len[0];
    memcpy(invite, line.last[0], len);
    deliver(0);
    line.is_cut = true;
    handset_receive(&phones[1], 1, slice_of(invite, len));
    cr_expect(last_has(1, "SIP/2.0 180 "));
    uint8_t *branch = memmem(invite, len, "z9hG4bK", 7);
    branch[8] = branch[8] == '0' ? '1' : '0';
    handset_receive(&phones[1], 2, slice_of(invite, len));
    cr_expect(last_has(1, "SIP/2.0 482 "));
    uint8_t *call_id = memmem(invite, len, "Call-ID: ", 9);
    call_id[9] = call_id[9] == '0' ? '1' : '0';
    handset_receive(&phones[1], 3, slice_of(invite, len));
    cr_expect(last_has(1, "SIP/2.0 486 "));
}

/* Whoever answers a call twice is counted; who repeats himself is not. */
Test(handset, two_final_answers, .init = set_up)
{
    line.is_cut = true;
    handset_call(&phones[0], 0, "p1@sim.example");
    uint8_t invite[HANDSET_MESSAGE_CAP];
    size_t len = line.last_len[0];
    memcpy(invite, line.last[0], len);
    answer(0, 1, 404, "a", "");
    cr_expect(last_has(0, "ACK sip:p1@sim.example"));
    cr_expect_eq(phones[0].news.answered, 404);
    memcpy(line.last[0], invite, len);
    line.last_len[0] = len;
    answer(0, 2, 404, "a", "");
    cr_expect_eq(phones[0].news.again, 0);
    memcpy(line.last[0], invite, len);
    line.last_len[0] = len;
    answer(0, 3, 480, "b", "");
    cr_expect_eq(phones[0].news.again, 1);
}
