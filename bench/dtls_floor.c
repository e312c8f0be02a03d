/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_floor.c - see dtls_floor.h. */
#include "bench/dtls_floor.h"
#include "bench/transit_peer.h"
#include "core/base.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_CAP = 512, SAID_CAP = 2048, WORDS_CAP = 12 };

/* The same engines as the rows of bench/rival_rows.py, for a moment each: what a datagram costs
 * differs by a half from one second to the next, and the figures are to be of the same moment. */
static const char *const messages[DTLS_FLOOR_MESSAGES][WORDS_CAP] = {
    {"floor_udp", "--json", "--engine", "mmsg", "--batch", "32", "--ms", "50"},
    {"floor_udp", "--json", "--engine", "mmsg", "--batch", "64", "--ms", "50"},
    {"floor_udp", "--json", "--engine", "uring", "--ms", "50"}};
static const char *const acks[DTLS_FLOOR_ACKS][WORDS_CAP] = {
    {"floor_udp", "--json", "--engine", "mmsg", "--batch", "64", "--bytes", "46", "--ms", "50"},
    {"floor_udp", "--json", "--engine", "uring", "--bytes", "46", "--ms", "50"}};
static const char *const records[WORDS_CAP] = {"floor_tls", "--json", "--datagram", "--connections",
                                               "64",        "--ms",   "20"};

/* What the program beside ours prints. */
static void listen_to(const char *program, const char *const *words, char *said)
{
    char path[PATH_CAP];
    const char *slash = strrchr(program, '/');
    int len = slash == NULL ? 0 : (int)(slash - program) + 1;
    int ends[2];
    int status = 0;
    pid_t child = 0;
    ssize_t got = 0;
    size_t at = 0;
    posix_spawn_file_actions_t actions;
    (void)snprintf(path, sizeof(path), "%.*s%s", len, program, words[0]);
    transit_require(pipe2(ends, O_CLOEXEC) == 0 && posix_spawn_file_actions_init(&actions) == 0 &&
                        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0 &&
                        posix_spawn(&child, path, &actions, NULL, (char *const *)(uintptr_t)words,
                                    environ) == 0,
                    "a floor beside this program");
    (void)close(ends[1]);
    while (at < SAID_CAP - 1 && (got = read(ends[0], said + at, SAID_CAP - 1 - at)) > 0) {
        at += (size_t)got;
    }
    said[at] = '\0';
    (void)close(ends[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    transit_require(waitpid(child, &status, 0) == child && status == 0, "a floor that ends well");
}

/* The sum of what the works of a program cost. */
static double run(const char *program, const char *const *words)
{
    static const char key[] = "\"ns_per_op\": ";
    char said[SAID_CAP];
    double sum = 0;
    listen_to(program, words, said);
    for (const char *at = said; (at = strstr(at, key)) != NULL;) {
        at += strlen(key);
        sum += strtod(at, NULL);
    }
    transit_require(sum > 0, "a floor that prints figures");
    return sum;
}

void dtls_floor_slice(struct dtls_floor *f, const char *program)
{
    for (size_t i = 0; i < ARRAY_COUNT(messages); i++) {
        slices_add(&f->messages[i], run(program, messages[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(acks); i++) {
        slices_add(&f->acks[i], run(program, acks[i]));
    }
    slices_add(&f->records, run(program, records));
}

static const struct slices *best(const struct slices *ways, size_t count)
{
    const struct slices *least = ways;
    for (size_t i = 1; i < count; i++) {
        if (slices_median(&ways[i]) < slices_median(least)) {
            least = &ways[i];
        }
    }
    return least;
}

struct slices dtls_floor_best(const struct dtls_floor *f)
{
    struct slices datagrams = slices_sum(best(f->messages, ARRAY_COUNT(f->messages)),
                                         best(f->acks, ARRAY_COUNT(f->acks)));
    return slices_sum(&datagrams, &f->records);
}
