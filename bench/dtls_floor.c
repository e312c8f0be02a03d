/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_floor.c - see dtls_floor.h. */
#include "bench/dtls_floor.h"
#include "bench/transit_peer.h"
#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND_CAP = 512, LINE_CAP = 512 };

/* The same engines as the rows of bench/rival_rows.py, for a moment each: what a datagram costs
 * differs by a half from one second to the next, and the figures are to be of the same moment. */
static const char *const messages[] = {"floor_udp --json --engine mmsg --batch 32 --ms 50",
                                       "floor_udp --json --engine mmsg --batch 64 --ms 50",
                                       "floor_udp --json --engine uring --ms 50"};
static const char *const acks[] = {"floor_udp --json --engine mmsg --batch 64 --bytes 46 --ms 50",
                                   "floor_udp --json --engine uring --bytes 46 --ms 50"};
static const char *const records = "floor_tls --json --datagram --connections 64 --ms 20";

/* The sum of what the works of a program cost. */
static double run(const char *program, const char *words)
{
    static const char key[] = "\"ns_per_op\": ";
    char command[COMMAND_CAP], line[LINE_CAP];
    const char *slash = strrchr(program, '/');
    int len = slash == NULL ? 0 : (int)(slash - program) + 1;
    double sum = 0;
    (void)snprintf(command, sizeof(command), "%.*s%s", len, program, words);
    FILE *f = popen(command, "re");
    transit_require(f != NULL, "a floor that runs");
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *at = strstr(line, key);
        sum += at == NULL ? 0 : strtod(at + strlen(key), NULL);
    }
    transit_require(pclose(f) == 0 && sum > 0, command);
    return sum;
}

static double best(const char *program, const char *const *commands, size_t count)
{
    double least = run(program, commands[0]);
    for (size_t i = 1; i < count; i++) {
        double ns = run(program, commands[i]);
        least = ns < least ? ns : least;
    }
    return least;
}

double dtls_floor_ns(const char *program)
{
    return best(program, messages, ARRAY_COUNT(messages)) + best(program, acks, ARRAY_COUNT(acks)) +
           run(program, records);
}
