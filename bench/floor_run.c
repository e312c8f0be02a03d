/* SPDX-License-Identifier: Apache-2.0 */
/* floor_run.c - see floor_run.h. */
#include "bench/floor_run.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 320, SECOND_NS = 1000000000 };

void floor_run_require(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
        exit(1);
    }
}

void floor_run_pin(unsigned cpu)
{
    cpu_set_t set;
    long there = sysconf(_SC_NPROCESSORS_ONLN);
    CPU_ZERO(&set);
    CPU_SET(there > 1 ? cpu : 0, &set);
    floor_run_require(pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0,
                      "cannot stay on one processor");
}

static uint64_t now_ns(clockid_t which)
{
    struct timespec t;
    floor_run_require(clock_gettime(which, &t) == 0, "no clock");
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

uint64_t floor_run_cpu_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t floor_run_wall_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

/* The first line of a file of /proc; false when there is none. */
static bool read_line(const char *path, char *line, int cap)
{
    FILE *f = fopen(path, "re");
    bool is_read = f != NULL && fgets(line, cap, f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    return is_read;
}

/* The first figure of a schedstat: nanoseconds on a processor. */
static uint64_t schedstat_ns(const char *path)
{
    char line[128];
    return read_line(path, line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

uint64_t floor_run_softirq_ns(unsigned cpu)
{
    char want[32];
    char path[PATH_BYTES];
    char name[64];
    uint64_t ns = 0;
    (void)snprintf(want, sizeof(want), "ksoftirqd/%u\n", cpu);
    DIR *proc = opendir("/proc");
    floor_run_require(proc != NULL, "/proc is not there");
    for (const struct dirent *d = readdir(proc); d != NULL; d = readdir(proc)) {
        if (d->d_name[0] < '1' || d->d_name[0] > '9') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
        if (read_line(path, name, sizeof(name)) && strcmp(name, want) == 0) {
            (void)snprintf(path, sizeof(path), "/proc/%s/schedstat", d->d_name);
            ns = schedstat_ns(path);
            break;
        }
    }
    (void)closedir(proc);
    return ns;
}

uint64_t floor_run_process_ns(unsigned pid)
{
    char path[PATH_BYTES];
    uint64_t ns = 0;
    (void)snprintf(path, sizeof(path), "/proc/%u/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    for (const struct dirent *d = readdir(tasks); d != NULL; d = readdir(tasks)) {
        if (d->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "/proc/%u/task/%s/schedstat", pid, d->d_name);
            ns += schedstat_ns(path);
        }
    }
    (void)closedir(tasks);
    return ns;
}

void floor_run_print(const char *work, const struct floor_run_result *r)
{
    floor_run_require(r->ops > 0, "nothing was done");
    printf(
        "{\"work\": \"%s\", \"ns_per_op\": %.2f, \"ops\": %llu, \"busy\": %.3f, \"lost\": %llu}\n",
        work, (double)r->cpu_ns / (double)r->ops, (unsigned long long)r->ops,
        r->wall_ns > 0 ? (double)r->cpu_ns / (double)r->wall_ns : 0.0, (unsigned long long)r->lost);
    (void)fflush(stdout);
}

uint64_t floor_run_number(const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    floor_run_require(errno == 0 && end != text && *end == 0 && text[0] != '-' && value >= min &&
                          value <= max,
                      "a number of the command line is wrong");
    return value;
}
