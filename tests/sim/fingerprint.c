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

static bool run(char *words)
{
    static struct scenario_result result;
    struct scenario s;
    struct arena arena;
    char *rest = NULL;
    uint64_t seed = strtoull(words, &words, 10);
    scenario_defaults(&s);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(w, '=');
        if (equals == NULL || scenario_set(&s, slice_of((const uint8_t *)w, (size_t)(equals - w)),
                                           slice_text(equals + 1)) != ERR_OK) {
            (void)fprintf(stderr, "not a setting: %s\n", w);
            return false;
        }
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
