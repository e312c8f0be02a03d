/* SPDX-License-Identifier: Apache-2.0 */
/* vector_test DIR - runs every DIR/NAME.jsonl of golden vectors through the daemon's code, in the
 * formats of tests/vectors/README.md.
 *
 * One line for each failure (file:line: name: what happened instead), then `N passed, N failed`.
 * Exit status: 0 all passed, 1 something failed, 2 bad usage or no vectors. */
#include "tests/vector/run_vector.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_CAP = 4096, PATH_CAP = 4096, NAME_CAP = 128 };

struct tally {
    const char *path;
    bool is_learning;
    unsigned passed;
    unsigned failed;
};

/* The vector's name, or what else tells which it is. */
static const char *name_of(const json_t *vector, char *out, size_t cap)
{
    const char *name = run_base_text(vector, "name"), *type = run_base_text(vector, "type");
    if (*name == '\0') {
        (void)snprintf(out, cap, "(no name, %s%.60s)", *type == '\0' ? "no type" : "type ", type);
    }
    return *name == '\0' ? out : name;
}

static void take(void *ctx, const json_t *vector, int line)
{
    static char why[WHY_CAP];
    char name[NAME_CAP];
    struct tally *tally = ctx;
    if (tally->is_learning) {
        run_base_learn(vector);
        return;
    }
    (void)snprintf(why, sizeof(why), "no JSON object");
    if (vector != NULL && run_vector(vector, why, sizeof(why))) {
        tally->passed++;
        return;
    }
    tally->failed++;
    for (char *c = why; *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : *c;
    }
    (void)printf("%s:%d: %s: %s\n", tally->path, line, name_of(vector, name, sizeof(name)), why);
    (void)fflush(stdout);
}

static int is_vectors(const struct dirent *entry)
{
    static const char suffix[] = ".jsonl";
    size_t len = strlen(entry->d_name);
    return len >= sizeof(suffix) && entry->d_name[0] != '.' &&
           strcmp(entry->d_name + len - (sizeof(suffix) - 1), suffix) == 0;
}

static void run_file(const char *folder, const char *name, struct tally *tally)
{
    static char path[PATH_CAP];
    char why[WHY_CAP];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    tally->path = path;
    if (run_base_each(path, take, tally, why, sizeof(why)) < 0 && !tally->is_learning) {
        tally->failed++;
        (void)printf("%s\n", why);
    }
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    struct tally tally = {.is_learning = true};
    if (argc != 2 || strcmp(argv[1], "--help") == 0) {
        (void)fprintf(
            argc == 2 ? stdout : stderr,
            "usage: vector_test DIR\n\n"
            "Runs every DIR/*.jsonl through the code of the daemon.  A line is one JSON\n"
            "object in the formats of tests/vectors/README.md and of own/README.md there:\n"
            "structures and messages with their fields, malformed ones, STUN, signatures\n"
            "and certificates, configuration documents, Chord hashes and routes, ACKs,\n"
            "fragments, and peers that receive something.  What a line is, its type and\n"
            "its keys tell, not the name of the file.  Folders inside DIR are not read.\n\n"
            "Each failure is a line, FILE:LINE: NAME: what happened instead; the last\n"
            "line is `N passed, N failed`.\n\n"
            "exit codes:\n"
            "    0  all passed\n"
            "    1  something failed, or a file cannot be read\n"
            "    2  bad usage, or no *.jsonl in DIR\n\n"
            "example:\n    build/release/vector_test tests/vectors\n");
        return argc == 2 ? 0 : 2;
    }
    int count = scandir(argv[1], &entries, is_vectors, alphasort);
    if (count <= 0) {
        (void)fprintf(stderr, "vector_test: %s: %s\n", argv[1],
                      count < 0 ? strerrordesc_np(errno) : "no *.jsonl in it");
        return 2;
    }
    for (int pass = 0; pass < 2; pass++) {
        tally.is_learning = pass == 0;
        for (int i = 0; i < count; i++) {
            run_file(argv[1], entries[i]->d_name, &tally);
        }
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    (void)printf("%u passed, %u failed\n", tally.passed, tally.failed);
    return tally.failed == 0 ? 0 : 1;
}
