/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_cpu.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* schedstat: time on a processor, time of waiting for one.  0 for a thread that has just ended. */
static void read_schedstat(const char *path, uint64_t *ran_ns, uint64_t *waited_ns)
{
    char line[96] = "";
    char *rest = line;
    FILE *f = fopen(path, "re");
    if (f != NULL && fgets(line, sizeof(line), f) == NULL) {
        line[0] = '\0';
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    *ran_ns = strtoull(rest, &rest, 10);
    *waited_ns = strtoull(rest, &rest, 10);
}

static uint64_t run_ns_of(const char *folder, const char *thread)
{
    char path[96];
    uint64_t ran_ns = 0;
    uint64_t waited_ns = 0;
    int len = snprintf(path, sizeof(path), "%s/%.20s/schedstat", folder, thread);
    if (len > 0 && (size_t)len < sizeof(path)) {
        read_schedstat(path, &ran_ns, &waited_ns);
    }
    return ran_ns;
}

enum err load_cpu_of(uint32_t pid, uint64_t *ns)
{
    char folder[64] = "/proc/self/task";
    if (pid != 0) {
        (void)snprintf(folder, sizeof(folder), "/proc/%u/task", pid);
    }
    *ns = 0;
    DIR *threads = opendir(folder);
    if (threads == NULL) {
        return ERR_NOT_FOUND;
    }
    const struct dirent *one = NULL;
    while ((one = readdir(threads)) != NULL) {
        if (one->d_name[0] != '.') {
            *ns += run_ns_of(folder, one->d_name);
        }
    }
    (void)closedir(threads);
    return *ns > 0 ? ERR_OK : ERR_NOT_FOUND;
}

void load_cpu_own(uint64_t *ran_ns, uint64_t *waited_ns)
{
    read_schedstat("/proc/thread-self/schedstat", ran_ns, waited_ns);
}

uint64_t load_cpu_now_ns(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
