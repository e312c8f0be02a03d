/* SPDX-License-Identifier: Apache-2.0 */
/* judge.h - what the judges of tools/sip_differential.py share: each is a program of its own around
 * one parser, since their names clash and some of them crash.
 *
 * Input: messages, each behind its length in four bytes.  Output: a line for each: verdict ("+", or
 * "-" and why), then method, Call-ID, CSeq number, topmost branch, From tag and To tag in hex;
 * "." where there is none. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JUDGE_MESSAGE_CAP = 65536, JUDGE_FIELDS = 6 };
enum judge_field {
    JUDGE_METHOD,
    JUDGE_CALL_ID,
    JUDGE_CSEQ,
    JUDGE_BRANCH,
    JUDGE_FROM_TAG,
    JUDGE_TO_TAG
};

struct judge_text {
    const void *data; /* NULL: there is none */
    size_t len;
};

struct judgement {
    int is_accepted;
    const char *why; /* of a refusal, where it is told */
    struct judge_text fields[JUDGE_FIELDS];
    char number[24]; /* for JUDGE_CSEQ */
};

static inline struct judge_text judge_text(const char *text)
{
    struct judge_text t = {text, text == NULL ? 0 : strlen(text)};
    return t;
}

static inline void judge_cseq(struct judgement *j, unsigned long number)
{
    (void)snprintf(j->number, sizeof(j->number), "%lu", number);
    j->fields[JUDGE_CSEQ] = judge_text(j->number);
}

static FILE *judge_out; /* libosip2 writes on stdout, too */

static inline void judge_say(const struct judgement *j)
{
    (void)fprintf(judge_out, "%s%s", j->is_accepted ? "+" : "-", j->why == NULL ? "" : j->why);
    for (int i = 0; i < JUDGE_FIELDS; i++) {
        const unsigned char *data = j->fields[i].data;
        (void)fputs(data == NULL ? "\t." : "\t", judge_out);
        for (size_t k = 0; data != NULL && k < j->fields[i].len; k++) {
            (void)fprintf(judge_out, "%02x", data[k]);
        }
    }
    (void)fputs("\n", judge_out);
    (void)fflush(judge_out); /* what was said before a crash counts */
}

/* `text` has a NUL behind its last byte; what j points to must last until this returns. */
typedef void judge_function(char *text, size_t len, void (*done)(const struct judgement *));

static inline int judge_main(judge_function *judge)
{
    static char text[JUDGE_MESSAGE_CAP + 1];
    unsigned char head[4];
    judge_out = fdopen(dup(STDOUT_FILENO), "w");
    if (judge_out == NULL || freopen("/dev/null", "w", stdout) == NULL) {
        return 2;
    }
    while (fread(head, sizeof(head), 1, stdin) == 1) {
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (len > JUDGE_MESSAGE_CAP || (len > 0 && fread(text, len, 1, stdin) != 1)) {
            return 2;
        }
        char *copy = malloc(len + 1); /* of exact size, for a sanitizer */
        if (copy == NULL) {
            return 2;
        }
        memcpy(copy, text, len);
        copy[len] = 0;
        judge(copy, len, judge_say);
        free(copy);
    }
    return 0;
}
