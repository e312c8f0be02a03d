/* SPDX-License-Identifier: Apache-2.0 */
/* Runs scenarios out of their seeds and prints the fingerprint of each: `ninja sim-fingerprint`
 * builds this by every compiler and level and compares what they print.  Each argument is a seed
 * and the settings of one scenario, as in "7 nodes=20 records=20". */
#include "sim/scenario.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static uint64_t no_clock(void)
{
    return 0;
}

/* The next word of `rest`, which loses it; empty at the end. */
static struct slice take_word(struct slice *rest)
{
    const uint8_t *blank = memchr(rest->data, ' ', rest->len);
    size_t len = blank == NULL ? rest->len : (size_t)(blank - rest->data);
    struct slice word = slice_of(rest->data, len);
    *rest = slice_from(*rest, blank == NULL ? len : len + 1);
    return word;
}

static bool read_settings(struct slice rest, struct scenario *s)
{
    scenario_defaults(s);
    while (rest.len > 0) {
        struct slice word = take_word(&rest);
        const uint8_t *equals = memchr(word.data, '=', word.len);
        size_t key = equals == NULL ? 0 : (size_t)(equals - word.data);
        if (equals == NULL ||
            scenario_set(s, slice_of(word.data, key), slice_from(word, key + 1)) != ERR_OK) {
            (void)fprintf(stderr, "not a setting: %.*s\n", (int)word.len, (const char *)word.data);
            return false;
        }
    }
    return true;
}

static bool run(const char *words)
{
    static struct scenario_result result;
    struct scenario s;
    struct arena arena;
    struct slice rest = slice_text(words);
    uint64_t seed = strtoull(words, NULL, 10);
    (void)take_word(&rest);
    if (!read_settings(rest, &s)) {
        return false;
    }
    size_t bytes = scenario_bytes(&s);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        perror("mmap");
        return false;
    }
    arena_init(&arena, block, bytes);
    scenario_run(&s, &arena, seed, no_clock, &result);
    (void)printf("%016" PRIx64 " %" PRIu64 " events, %" PRIu64 " fetched\n", result.fingerprint,
                 result.events, (uint64_t)result.fetches.ok);
    return munmap(block, bytes) == 0;
}

int main(int argc, char **argv)
{
    bool good = argc > 1;
    for (int i = 1; i < argc && good; i++) {
        good = run(argv[i]);
    }
    return good ? 0 : 1;
}
