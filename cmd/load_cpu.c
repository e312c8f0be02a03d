/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_cpu.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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

/* Processes yet to be looked at: a queue that only grows. */
struct family {
    uint32_t pids[LOAD_CPU_PROCESSES];
    uint32_t count;
};

/* "101 102 103 ": whoever it names, as far as there is room. */
static void add_children(const char *path, struct family *all)
{
    char line[LOAD_CPU_PROCESSES * 8] = "";
    FILE *f = fopen(path, "re");
    size_t len = f == NULL ? 0 : fread(line, 1, sizeof(line) - 1, f);
    char *at = line;
    char *end = NULL;
    line[len] = '\0';
    while (all->count < LOAD_CPU_PROCESSES) {
        unsigned long child = strtoul(at, &end, 10);
        if (end == at || *end != ' ') { /* the end, or a number that was cut */
            break;
        }
        all->pids[all->count++] = (uint32_t)child;
        at = end;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

/* One thread; its process's children stand with the thread that made them. */
static uint64_t run_ns_of(const char *folder, const char *thread, struct family *all)
{
    char path[96];
    uint64_t ran_ns = 0;
    uint64_t waited_ns = 0;
    (void)snprintf(path, sizeof(path), "%.40s/%.20s/schedstat", folder, thread);
    read_schedstat(path, &ran_ns, &waited_ns);
    (void)snprintf(path, sizeof(path), "%.40s/%.20s/children", folder, thread);
    add_children(path, all);
    return ran_ns;
}

static uint64_t run_ns_of_process(uint32_t pid, struct family *all)
{
    char folder[64];
    uint64_t ran_ns = 0;
    (void)snprintf(folder, sizeof(folder), "/proc/%u/task", pid);
    DIR *threads = opendir(folder);
    const struct dirent *one = NULL;
    while (threads != NULL && (one = readdir(threads)) != NULL) {
        if (one->d_name[0] != '.') {
            ran_ns += run_ns_of(folder, one->d_name, all);
        }
    }
    if (threads != NULL) {
        (void)closedir(threads);
    }
    return ran_ns;
}

enum err load_cpu_of(uint32_t pid, uint64_t *ns)
{
    struct family all = {.pids = {pid == 0 ? (uint32_t)getpid() : pid}, .count = 1};
    *ns = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        *ns += run_ns_of_process(all.pids[i], &all);
    }
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
