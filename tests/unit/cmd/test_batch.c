/* SPDX-License-Identifier: Apache-2.0 */
/* cmd/batch: a line out for each line in, whatever comes in and however it is cut. */
#include "cmd/batch.h"
#include "cmd/cmd.h"
#include "cmd/wire.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct job {
    int in;
    int out;
    batch_one one;
    int status;
};

/* Answers with the length and the line as a JSON string. */
static void echo(void *ctx, struct slice line, struct batch_out *out)
{
    (void)ctx;
    if (out->refused != NULL) {
        cr_expect_eq(line.len, 0);
        batch_text(out, out->refused);
        return;
    }
    batch_number(out, line.len);
    batch_text(out, " ");
    batch_string(out, line);
}

static void *run(void *argument)
{
    struct job *j = argument;
    j->status = batch_run_between(j->in, j->out, j->one, NULL);
    (void)close(j->out);
    return NULL;
}

/* The loop in a thread, between two pipes. */
struct bench {
    struct job job;
    pthread_t thread;
    int to;
    int from;
};

static void begin(struct bench *b, batch_one one)
{
    int in[2], out[2];
    cr_assert_eq(pipe(in), 0);
    cr_assert_eq(pipe(out), 0);
    b->job = (struct job){.in = in[0], .out = out[1], .one = one, .status = -1};
    b->to = in[1];
    b->from = out[0];
    cr_assert_eq(pthread_create(&b->thread, NULL, run, &b->job), 0);
}

static void feed(const struct bench *b, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(b->to, text, len);
        cr_assert_gt(n, 0);
        text += n;
        len -= (size_t)n;
    }
}

static void expect_line(const struct bench *b, const char *want)
{
    char got[512];
    size_t len = 0;
    while (len < sizeof(got) - 1 && read(b->from, got + len, 1) == 1 && got[len] != '\n') {
        len++;
    }
    got[len] = '\0';
    cr_assert_str_eq(got, want);
}

static void finish(struct bench *b)
{
    char byte;
    (void)close(b->to);
    cr_assert_eq(read(b->from, &byte, 1), 0, "more than was asked for");
    cr_assert_eq(pthread_join(b->thread, NULL), 0);
    cr_assert_eq(b->job.status, CMD_OK);
    (void)close(b->from);
    (void)close(b->job.in);
}

Test(batch, answers_before_it_waits_and_cuts_anywhere)
{
    struct bench b;
    begin(&b, echo);
    feed(&b, "one\n", 4);
    expect_line(&b, "3 \"one\""); /* though the input stays open */
    feed(&b, "t", 1);
    feed(&b, "wo\n\nth", 6);
    expect_line(&b, "3 \"two\"");
    expect_line(&b, "0 \"\"");
    feed(&b, "ree\n\"\\\0\xff\r\n", 10);
    expect_line(&b, "5 \"three\"");
    expect_line(&b, "5 \"\\u0022\\u005c\\u0000\\u00ff\\u000d\"");
    feed(&b, "no newline", 10);
    (void)close(b.to);
    b.to = open("/dev/null", O_WRONLY);
    expect_line(&b, "10 \"no newline\"");
    finish(&b);
}

/* Longer than the cap: one error, and the next line is answered as ever. */
Test(batch, a_line_has_a_cap)
{
    struct bench b;
    enum { PIECE = 1 << 16 };
    static char piece[PIECE];
    memset(piece, 'x', sizeof(piece));
    begin(&b, echo);
    for (size_t i = 0; i < 2 * (size_t)BATCH_LINE_CAP / PIECE; i++) {
        feed(&b, piece, sizeof(piece));
    }
    feed(&b, "\nnext\n", 6);
    expect_line(&b, "the line is longer than 16 MiB");
    expect_line(&b, "4 \"next\"");
    finish(&b);
}

/* At the cap a line is a line. */
static void count(void *ctx, struct slice line, struct batch_out *out)
{
    (void)ctx;
    batch_text(out, out->refused == NULL ? "" : "refused ");
    batch_number(out, line.len);
}

Test(batch, the_cap_is_exact)
{
    struct bench b;
    char *line = malloc(BATCH_LINE_CAP + 2);
    memset(line, 'x', BATCH_LINE_CAP + 1);
    line[BATCH_LINE_CAP] = '\n';
    begin(&b, count);
    feed(&b, line, BATCH_LINE_CAP + 1);
    expect_line(&b, "16777216");
    line[BATCH_LINE_CAP] = 'x';
    line[BATCH_LINE_CAP + 1] = '\n';
    feed(&b, line, BATCH_LINE_CAP + 2);
    expect_line(&b, "refused 0");
    finish(&b);
    free(line);
}

/* What breaks the promise of one line is mended. */
static void misbehave(void *ctx, struct slice line, struct batch_out *out)
{
    (void)ctx;
    if (out->refused != NULL) {
        cr_expect_eq(line.len, 0);
        batch_text(out, "refused: ");
        batch_text(out, out->refused);
    } else if (slice_is_equal(line, SLICE_LITERAL("lines"))) {
        batch_text(out, "a\nb\n");
    } else if (slice_is_equal(line, SLICE_LITERAL("huge"))) {
        while (!out->is_full) {
            batch_bytes(out, "0123456789abcdef", 16);
        }
    }
}

Test(batch, one_line_whatever_is_added)
{
    struct bench b;
    begin(&b, misbehave);
    feed(&b, "lines\nnothing\nhuge\nlines\n", 25);
    expect_line(&b, "a b ");
    expect_line(&b, "refused: there is no answer");
    expect_line(&b, "refused: the answer is too large");
    expect_line(&b, "a b ");
    finish(&b);
}

/* One that knows its answer to be too large: nobody has to make 256 MiB for the test. */
static void outgrow(void *ctx, struct slice line, struct batch_out *out)
{
    if (out->refused != NULL || line.len == 0) {
        wire_decode(ctx, line, out);
    } else {
        cr_expect_null(batch_reserve(out, BATCH_ANSWER_CAP + 1));
    }
}

/* What is too long, in or out, is refused as `decode` refuses: no shape besides its own two, and
 * no word of the JSON parser, which has seen nothing. */
Test(batch, refuses_in_the_form_of_the_command)
{
    struct wire *wire = wire_new();
    struct batch_out out = {.refused = "the line is longer than 16 MiB"};
    wire_decode(wire, SLICE_EMPTY, &out);
    cr_expect(slice_is_equal(
                  slice_of(out.text, out.len),
                  SLICE_LITERAL("{\"reject\":\"the line is longer than 16 MiB\",\"offset\":0}")),
              "%.*s", (int)out.len, out.text);
    out.len = 0;
    wire_encode(wire, SLICE_EMPTY, &out);
    cr_expect(slice_is_equal(slice_of(out.text, out.len),
                             SLICE_LITERAL("{\"reject\":\"the line is longer than 16 MiB\"}")),
              "%.*s", (int)out.len, out.text);
    free(out.text);

    FILE *in = tmpfile(), *to = tmpfile();
    char got[128];
    cr_assert(in != NULL && to != NULL && fputs("large\n\n", in) >= 0 && fflush(in) == 0);
    cr_assert_eq(lseek(fileno(in), 0, SEEK_SET), 0);
    cr_assert_eq(batch_run_between(fileno(in), fileno(to), outgrow, wire), CMD_OK);
    rewind(to);
    cr_assert_not_null(fgets(got, sizeof(got), to));
    cr_expect_str_eq(got, "{\"reject\":\"the answer is too large\",\"offset\":0}\n");
    cr_assert_not_null(fgets(got, sizeof(got), to));
    cr_expect_eq(strncmp(got, "{\"reject\":\"the line is not a JSON object: ", 42), 0, "%s", got);
    (void)fclose(in);
    (void)fclose(to);
    wire_free(wire);
}

static void hex(void *ctx, struct slice line, struct batch_out *out)
{
    (void)ctx;
    batch_hex(out, line);
}

Test(batch, hex_digits)
{
    struct bench b;
    begin(&b, hex);
    feed(&b, "\x01\xfe\n\n", 4);
    expect_line(&b, "\"01fe\"");
    expect_line(&b, "\"\"");
    finish(&b);
}

/* Through files, as fast as it goes: order and number are right, and it is not slow. */
Test(batch, keeps_up)
{
    enum { LINES = 400000 };
    FILE *in = tmpfile(), *out = tmpfile();
    cr_assert(in != NULL && out != NULL);
    for (unsigned i = 0; i < LINES; i++) {
        (void)fprintf(in, "%u\n", i);
    }
    cr_assert_eq(fflush(in), 0);
    cr_assert_eq(lseek(fileno(in), 0, SEEK_SET), 0);
    struct timespec a, z;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    cr_assert_eq(batch_run_between(fileno(in), fileno(out), echo, NULL), CMD_OK);
    (void)clock_gettime(CLOCK_MONOTONIC, &z);
    double s = (double)(z.tv_sec - a.tv_sec) + (double)(z.tv_nsec - a.tv_nsec) / 1e9;
    printf("%d lines in %.3f s, %.0f lines/s\n", LINES, s, LINES / s);
    rewind(out);
    for (unsigned i = 0; i < LINES; i++) {
        char got[64], want[64], number[16];
        int digits = snprintf(number, sizeof(number), "%u", i);
        (void)snprintf(want, sizeof(want), "%d \"%s\"\n", digits, number);
        cr_assert_not_null(fgets(got, sizeof(got), out));
        cr_assert_str_eq(got, want);
    }
    cr_assert_lt(s, 4.0, "100,000 lines a second under a sanitizer");
    (void)fclose(in);
    (void)fclose(out);
}

Test(batch, says_when_nobody_reads)
{
    int null = open("/dev/full", O_WRONLY), in[2];
    cr_assert_eq(pipe(in), 0);
    cr_assert_eq(write(in[1], "x\n", 2), 2);
    (void)close(in[1]);
    cr_assert_eq(batch_run_between(in[0], null, echo, NULL), CMD_FAILED);
    (void)close(null);
    (void)close(in[0]);
}
