/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - lines are cut out of one large buffer in place.  Answers gather in another, which is
 * written before every read: the only moment at which input can pause. */
#include "cmd/batch.h"
#include "cmd/cmd.h"
#include "cmd/say.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 << 10,   /* at least so much room for each read */
    ANSWER_BYTES = 512 << 10, /* answers are written when they exceed this */
    REFUSAL_BYTES = 1 << 10   /* behind them, so that a line can be refused without memory */
};

struct reader {
    int fd;
    char *bytes;
    size_t cap;
    size_t begin;     /* of the first line not yet answered */
    size_t end;       /* of what was read */
    size_t seen;      /* no newline before this */
    bool is_skipping; /* inside a line that was already answered as too long */
    bool is_over;
};

/* ---- answers ---- */

static bool grow(struct batch_out *out, size_t need)
{
    size_t cap = max_size(out->cap, ANSWER_BYTES + REFUSAL_BYTES);
    while (cap < need) {
        cap *= 2;
    }
    char *text = realloc(out->text, cap);
    if (text == NULL) {
        return false;
    }
    out->text = text;
    out->cap = cap;
    return true;
}

char *batch_reserve(struct batch_out *out, size_t len)
{
    /* one byte more than asked for: the newline always fits */
    if (out->is_full || len > BATCH_ANSWER_CAP || out->len - out->begin + len > BATCH_ANSWER_CAP ||
        (out->cap - out->len <= len && !grow(out, out->len + len + 1))) {
        out->is_full = true;
        return NULL;
    }
    return out->text + out->len;
}

void batch_took(struct batch_out *out, size_t len)
{
    CHECK(len < out->cap - out->len);
    out->len += len;
}

void batch_bytes(struct batch_out *out, const void *bytes, size_t len)
{
    char *to = batch_reserve(out, len);
    if (to != NULL && len > 0) {
        memcpy(to, bytes, len);
        out->len += len;
    }
}

void batch_text(struct batch_out *out, const char *text)
{
    batch_bytes(out, text, strlen(text));
}

void batch_number(struct batch_out *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    batch_bytes(out, digits + at, sizeof(digits) - at);
}

static char hex_digit(unsigned nibble)
{
    return (char)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
}

void batch_string(struct batch_out *out, struct slice bytes)
{
    if (bytes.len > BATCH_ANSWER_CAP / 6) {
        out->is_full = true;
        return;
    }
    char *begin = batch_reserve(out, 6 * bytes.len + 2);
    if (begin == NULL) {
        return;
    }
    char *to = begin;
    *to++ = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            memcpy(to, "\\u00", 4);
            to[4] = hex_digit(c >> 4);
            to[5] = hex_digit(c & 15);
            to += 6;
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    out->len += (size_t)(to - begin);
}

void batch_hex(struct batch_out *out, struct slice bytes)
{
    if (bytes.len > BATCH_ANSWER_CAP / 2) {
        out->is_full = true;
        return;
    }
    char *to = batch_reserve(out, 2 * bytes.len + 2);
    if (to == NULL) {
        return;
    }
    *to++ = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        *to++ = hex_digit(bytes.data[i] >> 4);
        *to++ = hex_digit(bytes.data[i] & 15);
    }
    *to = '"';
    out->len += 2 * bytes.len + 2;
}

/* ---- one line ---- */

static void answer(batch_one one, void *ctx, struct slice line, struct batch_out *out)
{
    out->begin = out->len;
    out->is_full = false;
    one(ctx, line, out);
    if (out->is_full || out->len == out->begin) { /* said in the command's own form */
        out->refused = out->is_full ? "the answer is too large" : "there is no answer";
        out->len = out->begin;
        out->is_full = false;
        one(ctx, SLICE_EMPTY, out);
    }
    CHECK(!out->is_full && out->len > out->begin);
    char *newline = out->text + out->begin;
    while ((newline = memchr(newline, '\n', (size_t)(out->text + out->len - newline))) != NULL) {
        *newline = ' ';
    }
    out->text[out->len++] = '\n';
    out->refused = NULL;
}

/* ---- the descriptors ---- */

/* Waits when the other side made the descriptor non-blocking. */
static bool may_try_again(int fd, short events)
{
    if (errno == EAGAIN) {
        struct pollfd p = {.fd = fd, .events = events};
        return poll(&p, 1, -1) >= 0 || errno == EINTR;
    }
    return errno == EINTR;
}

static bool flush(int fd, struct batch_out *out)
{
    size_t done = 0;
    while (done < out->len) {
        ssize_t n = write(fd, out->text + done, out->len - done);
        if (n < 0 && !may_try_again(fd, POLLOUT)) {
            say_error("cannot write: standard output: %s", say_errno());
            return false;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
    out->len = 0;
    out->begin = 0;
    return true;
}

/* Makes room behind what is there and reads once. */
static bool fill(struct reader *r)
{
    if (r->begin > 0) {
        memmove(r->bytes, r->bytes + r->begin, r->end - r->begin);
        r->seen -= r->begin;
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->cap - r->end < READ_BYTES) {
        size_t cap = 2 * r->cap + READ_BYTES;
        char *bytes = realloc(r->bytes, cap);
        if (bytes == NULL) {
            say_error("not enough memory: a line of %zu bytes: cut it", r->end);
            return false;
        }
        r->bytes = bytes;
        r->cap = cap;
    }
    for (;;) {
        ssize_t n = read(r->fd, r->bytes + r->end, r->cap - r->end);
        if (n >= 0) {
            r->is_over = n == 0;
            r->end += (size_t)n;
            return true;
        }
        if (!may_try_again(r->fd, POLLIN)) {
            say_error("cannot read: standard input: %s", say_errno());
            return false;
        }
    }
}

/* Takes the next whole line out of what was read; false: there is none yet. */
static bool next_line(struct reader *r, struct slice *line)
{
    const char *newline =
        r->end > r->seen ? memchr(r->bytes + r->seen, '\n', r->end - r->seen) : NULL;
    size_t end = newline == NULL ? r->end : (size_t)(newline - r->bytes);
    if (newline == NULL && !(r->is_over && r->end > r->begin)) {
        r->seen = r->end;
        return false;
    }
    *line = slice_of(r->bytes + r->begin, end - r->begin);
    r->begin = newline == NULL ? r->end : end + 1;
    r->seen = r->begin;
    return true;
}

static void refuse(batch_one one, void *ctx, struct batch_out *out)
{
    out->refused = "the line is longer than 16 MiB";
    answer(one, ctx, SLICE_EMPTY, out);
}

/* Answers all lines that are there; false when writing failed. */
static bool answer_all(struct reader *r, int fd, batch_one one, void *ctx, struct batch_out *out)
{
    struct slice line;
    while (next_line(r, &line)) {
        if (r->is_skipping) {
            r->is_skipping = false; /* the end of a line that has its answer */
        } else if (line.len > BATCH_LINE_CAP) {
            refuse(one, ctx, out);
        } else {
            answer(one, ctx, line, out);
        }
        if (out->len >= ANSWER_BYTES && !flush(fd, out)) {
            return false;
        }
    }
    if (r->end - r->begin > BATCH_LINE_CAP || r->is_skipping) {
        if (!r->is_skipping) {
            refuse(one, ctx, out);
        }
        r->is_skipping = true;
        r->begin = r->end;
    }
    return true;
}

int batch_run_between(int in, int out, batch_one one, void *ctx)
{
    STATIC_CHECK(BATCH_LINE_CAP == 16 << 20); /* as refuse() says */
    struct reader r = {.fd = in, .cap = 2 * READ_BYTES, .bytes = malloc(2 * READ_BYTES)};
    struct batch_out answers = {0};
    int status = CMD_FAILED;
    if (r.bytes == NULL || !grow(&answers, ANSWER_BYTES)) {
        say_error("not enough memory: %d bytes for lines and answers: stop something else",
                  2 * READ_BYTES + ANSWER_BYTES);
        goto out;
    }
    while (!r.is_over) {
        if (!flush(out, &answers) || !fill(&r) || !answer_all(&r, out, one, ctx, &answers)) {
            goto out;
        }
    }
    status = flush(out, &answers) ? CMD_OK : CMD_FAILED;
out:
    free(r.bytes);
    free(answers.text);
    return status;
}

int batch_run(batch_one one, void *ctx)
{
    return batch_run_between(STDIN_FILENO, STDOUT_FILENO, one, ctx);
}
