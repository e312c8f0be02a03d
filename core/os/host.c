/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - see host.h. */
#include "core/os/host.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t host_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t host_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

void host_random(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        CHECK(got > 0 || errno == EINTR); /* a kernel without entropy is no place to run */
        if (got > 0) {
            at += (size_t)got;
            len -= (size_t)got;
        }
    }
}

/* The cores of the process, as they were before it pinned any of its threads: a thread inherits the
 * one core of whoever starts it, and would find no other. */
static cpu_set_t usable;

static void find_usable(void)
{
    if (sched_getaffinity(0, sizeof(usable), &usable) != 0) {
        CPU_ZERO(&usable);
    }
}

static const cpu_set_t *usable_cpus(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, find_usable) == 0);
    return &usable;
}

uint32_t host_cpu_count(void)
{
    int count = CPU_COUNT(usable_cpus());
    return count > 0 ? (uint32_t)count : 1;
}

enum err host_pin(uint32_t cpu)
{
    const cpu_set_t *all = usable_cpus();
    uint32_t seen = 0;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, all) || seen++ != cpu) {
            continue;
        }
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        return sched_setaffinity(0, sizeof(one), &one) == 0 ? ERR_OK : ERR_IO;
    }
    return ERR_NOT_FOUND;
}

const char *host_kernel(char *out)
{
    struct utsname name;
    snprintf(out, HOST_TEXT_CAP, "%.64s", uname(&name) == 0 ? name.release : "unknown");
    return out;
}

uint64_t host_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit wanted = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
            limit = wanted;
        }
    }
    return limit.rlim_cur;
}

uint32_t host_descriptors_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    uint32_t count = 0;
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count - 1; /* the directory itself */
}
