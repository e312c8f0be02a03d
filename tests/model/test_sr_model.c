/* SPDX-License-Identifier: Apache-2.0 */
/* link/sr over made-up lines: nothing lost without a word, throughput, congestion, fairness, pace,
 * and peers that follow 6.6.3.1 to the letter.  The figures are printed with --verbose. */
#include "tests/model/sr_stage.h"

static void say(const char *what, const struct stage_end *e, const struct stage *s)
{
    const struct stage_end *far = &s->ends[e->far];
    cr_log_info("%s: %u offered, %u arrived, %u twice, %u transmissions, %lu late, %lu gap, %lu "
                "needless, %lu cuts, %lu given up, %u acks, window %u B, srtt %lu us, reorder %u",
                what, e->offered, far->distinct, far->twice, e->transmissions,
                stage_metric(e, METRIC_sr_resent_late), stage_metric(e, METRIC_sr_resent_gap),
                stage_metric(e, METRIC_sr_resent_needlessly), stage_metric(e, METRIC_sr_window_cut),
                stage_metric(e, METRIC_sr_given_up), far->acks, e->sr.congestion.bytes,
                e->sr.rtt.srtt_us, e->sr.reorder);
}

/* Messages a second that arrive over a line of 100 Mbit/s and 20 ms. */
static uint32_t rate(enum stage_kind sender, enum stage_kind receiver, uint32_t loss_ppm)
{
    enum { SECONDS = 10 };
    struct narrow_settings wide = {.bytes_per_s = 12500000,
                                   .queue_bytes = 250000,
                                   .delay_us = 10 * STAGE_MS,
                                   .loss_ppm = loss_ppm};
    struct stage *s = stage_new();
    struct narrow lines[2];
    narrow_init(&lines[0], &wide, 1);
    narrow_init(&lines[1], &wide, 2);
    struct stage_end *e = stage_link(s, sender, receiver, &lines[0], &lines[1]);
    e->total = STAGE_IDS;
    stage_run(s, (uint64_t)SECONDS * STAGE_S);
    uint32_t count = s->ends[1].distinct;
    stage_free(s);
    return count / SECONDS;
}

/* The stop-and-wait of 6.6.3.1 against the window, the same line and time. */
Test(sr_model, outdoes_stop_and_wait)
{
    static const struct {
        uint32_t loss_ppm;
        uint32_t times;
    } lines[] = {{0, 200}, {1000, 40}, {10000, 12}, {50000, 5}};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        uint32_t loss_ppm = lines[i].loss_ppm;
        uint32_t cap = rate(STAGE_STRICT, STAGE_SR, loss_ppm);
        uint32_t ours[] = {rate(STAGE_SR, STAGE_SR, loss_ppm),
                           rate(STAGE_SR, STAGE_STRICT, loss_ppm),
                           rate(STAGE_SR, STAGE_ONES, loss_ppm)};
        cr_log_info(
            "loss %u ppm: stop-and-wait %u/s; the window %u/s to its like, %u/s to a strict "
            "peer, %u/s to one of all ones",
            loss_ppm, cap, ours[0], ours[1], ours[2]);
        cr_assert(cap >= 5 && cap <= 100, "%u", cap); /* */
        for (size_t k = 0; k < ARRAY_COUNT(ours); k++) {
            cr_assert_geq(ours[k], lines[i].times * cap);
        }
    }
}

/* ---- bad lines: nothing is lost without a word ---- */

static struct narrow_settings bad(uint32_t which)
{
    return (struct narrow_settings){
        .bytes_per_s = which % 2 == 0 ? 0 : (uint64_t)500000 << which % 5,
        .queue_bytes = 20000 + 10000 * (which % 7),
        .delay_us = 1000 + 7000 * (which % 6),
        .jitter_us = 3000 * (which % 4),
        .loss_ppm = 30000 * (which % 5),
        .reorder_ppm = which % 3 == 0 ? 20000 : 0,
        .reorder_us = 5000,
        .duplicate_ppm = which % 4 == 1 ? 20000 : 0,
    };
}

/* Both ends send; every kind of peer; numbers that wrap on the way. */
static void cross(uint32_t which, enum stage_kind far, uint64_t interval_us, uint32_t total)
{
    struct narrow_settings there = bad(which);
    struct narrow_settings back = bad(which * 7 + 3);
    struct stage *s = stage_new();
    struct narrow lines[2];
    narrow_init(&lines[0], &there, which);
    narrow_init(&lines[1], &back, which + 1000);
    struct stage_end *e = stage_link(s, STAGE_SR, far, &lines[0], &lines[1]);
    stage_start_at(e, UINT32_MAX - 500);
    e->total = total;
    e->interval_us = interval_us;
    e->backlog = 40;
    e[1].backlog = 40;
    e[1].total = far == STAGE_SR ? total : total / 50;
    e[1].len = 100;
    e[1].interval_us = interval_us;
    stage_run(s, UINT64_MAX);
    char what[64];
    snprintf(what, sizeof(what), "line %u peer %u", which, far);
    say(what, e, s);
    cr_assert_eq(sr_state(&e->sr), SR_UP);
    cr_assert_eq(sr_unacked(&e->sr), 0);
    cr_assert_eq(e->offered, total);
    cr_assert_lt(e->sr.next_sequence, UINT32_MAX / 2); /* has wrapped */
    stage_account(s, 0);
    if (far == STAGE_SR) {
        stage_account(s, 1);
    }
    cr_assert_leq(stage_metric(e, METRIC_sr_given_up), total / 1000);
    stage_free(s);
}

Test(sr_model, loses_nothing_without_a_word)
{
    for (uint32_t which = 0; which < 40; which++) {
        cross(which, (enum stage_kind)(which % 3), which % 2 == 0 ? 0 : 25 * STAGE_MS, 2000);
    }
}

/* The line falls silent for good: dead within 3.2 s, everything is given back. */
Test(sr_model, gives_back_what_a_dead_line_swallows)
{
    static const struct narrow_settings clean = {
        .bytes_per_s = 1000000, .queue_bytes = 60000, .delay_us = 5 * STAGE_MS};
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct stage *s = stage_new();
        struct narrow lines[2];
        narrow_init(&lines[0], &clean, seed);
        narrow_init(&lines[1], &clean, seed + 1);
        struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &lines[0], &lines[1]);
        e->total = STAGE_IDS;
        uint64_t dies_us = 300 * STAGE_MS + seed * 1777;
        stage_run(s, dies_us);
        lines[seed % 2].settings.loss_ppm = 1000000;
        stage_run(s, dies_us + 400 * STAGE_MS);
        cr_assert_eq(sr_state(&e->sr), SR_UP);
        stage_run(s, UINT64_MAX);
        cr_assert_eq(sr_state(&e->sr), SR_DEAD);
        cr_assert_leq(s->now_us - dies_us, 3500 * STAGE_MS);
        cr_assert_gt(sr_unacked(&e->sr), 0);
        stage_account(s, 0);
        stage_free(s);
    }
}

/* ---- congestion ---- */

/* A line of 1 Mbit/s: it must carry messages, not repetitions. */
Test(sr_model, does_not_choke_a_narrow_line)
{
    static const struct {
        uint64_t bytes_per_s;
        uint32_t queue_bytes, delay_ms, len;
        uint32_t floor_percent;
    } lines[] = {
        {125000, 16000, 25, 1200, 80},  {125000, 8000, 10, 1200, 80},
        {125000, 64000, 100, 1200, 80}, {12500, 6000, 50, 1200, 80},
        {1250000, 60000, 20, 1200, 80}, {125000, 16000, 25, 300, 80},
    };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct narrow_settings there = {.bytes_per_s = lines[i].bytes_per_s,
                                        .queue_bytes = lines[i].queue_bytes,
                                        .delay_us = lines[i].delay_ms * STAGE_MS,
                                        .jitter_us = 2 * STAGE_MS};
        struct stage *s = stage_new();
        struct narrow there_line;
        struct narrow back_line;
        narrow_init(&there_line, &there, i);
        narrow_init(&back_line, &there, i + 100);
        struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &there_line, &back_line);
        e->total = STAGE_IDS;
        e->len = lines[i].len;
        stage_run(s, 60 * (uint64_t)STAGE_S);
        say("narrow", e, s);
        uint64_t wire = lines[i].len + FRAME_DATA_HEADER + STAGE_UDP_IP_DTLS;
        uint64_t percent = s->ends[1].distinct * wire * 100 / (60 * lines[i].bytes_per_s);
        cr_log_info("narrow %zu: %lu %% of the line are messages, %lu %% of transmissions dropped",
                    i, percent, there_line.overflowed * 100 / there_line.entered);
        cr_assert_geq(percent, lines[i].floor_percent);
        cr_assert_leq(s->ends[1].twice * 100, s->ends[1].distinct);
        stage_account(s, 0);
        stage_free(s);
    }
}

/* Links that share a line share it, also with one that began earlier. */
Test(sr_model, shares_a_line)
{
    for (uint32_t count = 2; count <= 4; count++) {
        struct narrow_settings there = {.bytes_per_s = 500000,
                                        .queue_bytes = 30000,
                                        .delay_us = 20 * STAGE_MS,
                                        .jitter_us = STAGE_MS};
        struct stage *s = stage_new();
        struct narrow line;
        struct narrow back;
        narrow_init(&line, &there, count);
        narrow_init(&back, &there, count + 1);
        uint64_t before[4] = {0};
        for (uint32_t i = 0; i < count; i++) {
            struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &line, &back);
            e->total = STAGE_IDS;
            e->starts_us = i * 3000 * STAGE_MS;
        }
        stage_run(s, 15 * (uint64_t)STAGE_S);
        for (uint32_t i = 0; i < count; i++) {
            before[i] = s->ends[2 * i + 1].distinct;
        }
        stage_run(s, 75 * (uint64_t)STAGE_S);
        uint64_t sum = 0;
        uint64_t squares = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t share = s->ends[2 * i + 1].distinct - before[i];
            say("shared", &s->ends[2 * i], s);
            cr_log_info("link %u: %lu messages in 60 s", i, share);
            sum += share;
            squares += share * share;
        }
        uint64_t jain_percent = sum * sum * 100 / (count * squares);
        uint64_t line_percent = sum * 1073 * 100 / (60 * there.bytes_per_s);
        cr_log_info("%u links: Jain index 0.%02lu, %lu %% of the line", count, jain_percent,
                    line_percent);
        cr_assert_geq(jain_percent, 90);
        cr_assert_geq(line_percent, 80);
        stage_free(s);
    }
}

/* The way becomes much longer for a second: the timeout was a mistake, and is taken back. */
Test(sr_model, recovers_from_a_delay)
{
    static const uint32_t spikes_ms[] = {150, 300, 1000, 2000};
    static const struct narrow_settings wide = {
        .bytes_per_s = 1250000, .queue_bytes = 100000, .delay_us = 10 * STAGE_MS};
    for (size_t i = 0; i < ARRAY_COUNT(spikes_ms); i++) {
        struct stage *s = stage_new();
        struct narrow lines[2];
        narrow_init(&lines[0], &wide, 1);
        narrow_init(&lines[1], &wide, 2);
        struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &lines[0], &lines[1]);
        e->total = STAGE_IDS;
        stage_run(s, 3 * (uint64_t)STAGE_S);
        uint32_t before = e->sr.congestion.bytes;
        lines[0].settings.delay_us = spikes_ms[i] * STAGE_MS;
        stage_run(s, 4 * (uint64_t)STAGE_S);
        lines[0].settings.delay_us = wide.delay_us;
        stage_run(s, 8 * (uint64_t)STAGE_S);
        say("delay", e, s);
        cr_log_info("after %u ms more: window %u, was %u", spikes_ms[i], e->sr.congestion.bytes,
                    before);
        cr_assert_eq(sr_state(&e->sr), SR_UP);
        cr_assert_gt(stage_metric(e, METRIC_sr_resent_late), 0);
        cr_assert_geq(e->sr.congestion.bytes * 2, before);
        cr_assert_leq(e[1].twice, 10);
        stage_account(s, 0);
        stage_free(s);
    }
}

/* One ACK in fifty is lost.  When each of the peer's turns sees few frames the others speak for
 * them; when it sees 150 at once, each is spoken for twice. */
Test(sr_model, outlives_lost_acks)
{
    static const struct narrow_settings wide = {
        .bytes_per_s = 12500000, .queue_bytes = 250000, .delay_us = 10 * STAGE_MS};
    uint32_t count[2][2];
    for (uint32_t is_coarse = 0; is_coarse < 2; is_coarse++) {
        for (uint32_t is_lossy = 0; is_lossy < 2; is_lossy++) {
            struct narrow_settings narrow = wide;
            narrow.loss_ppm = is_lossy * 20000;
            struct stage *s = stage_new();
            struct narrow lines[2];
            narrow_init(&lines[0], &wide, 1);
            narrow_init(&lines[1], &narrow, 2);
            struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &lines[0], &lines[1]);
            e->total = STAGE_IDS;
            e[1].tick_us = is_coarse * 16 * STAGE_MS;
            stage_run(s, 10 * (uint64_t)STAGE_S);
            say("lost acks", e, s);
            count[is_coarse][is_lossy] = e[1].distinct;
            cr_assert_leq(e[1].twice * 100, e[1].distinct);
            stage_account(s, 0);
            stage_free(s);
        }
    }
    cr_assert_geq(count[0][1] * 100, count[0][0] * 99);
    cr_assert_geq(count[1][1] * 100, count[1][0] * 35); /* 18 with one ACK for 32 frames */
}

/* A window of some hundred frames does not leave as one burst, although the peer acknowledges only
 * every 16 ms, a fifth of a window at once. */
Test(sr_model, spreads_its_window)
{
    static const struct narrow_settings wide = {
        .bytes_per_s = 12500000, .queue_bytes = 1000000, .delay_us = 40 * STAGE_MS};
    struct stage *s = stage_new();
    struct narrow lines[2];
    narrow_init(&lines[0], &wide, 1);
    narrow_init(&lines[1], &wide, 2);
    struct stage_end *e = stage_link(s, STAGE_SR, STAGE_SR, &lines[0], &lines[1]);
    e->total = STAGE_IDS;
    e->settle_us = 3 * STAGE_S;
    e[1].tick_us = 16 * STAGE_MS;
    stage_run(s, 10 * (uint64_t)STAGE_S);
    say("paced", e, s);
    cr_log_info("window %u frames, at most %u leave in one turn", e->sr.flight_frames,
                e->most_at_once);
    cr_assert_geq(e->sr.flight_frames, 200);
    cr_assert_leq(e->most_at_once, 24);
    stage_free(s);
}
