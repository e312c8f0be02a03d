/* SPDX-License-Identifier: Apache-2.0 */
/* lock_count.c - preloaded into a program (LD_PRELOAD) by tests/live/locks.py: counts its calls of
 * lock functions by the program or library that makes them.
 *
 * The counts are a shared mapping of the file $LOCK_COUNT/<process id>: one struct line for each
 * object that was loaded at the start, the program itself first, and one for all others.  Only
 * calls through the dynamic linker are seen: what libc does inside itself is not. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

enum { LINES = 64, NAME_CAP = 120 };

struct line {
    char name[NAME_CAP];
    atomic_uint_fast64_t calls;
};

struct range {
    uintptr_t first;
    uintptr_t end;
};

static struct line *lines; /* NULL: not counting (yet) */
static struct range ranges[LINES];
static size_t count;

static int note_object(struct dl_phdr_info *info, size_t size, void *user)
{
    struct line *to = user;
    (void)size;
    if (count == LINES - 1) {
        return 1;
    }
    uintptr_t first = UINTPTR_MAX;
    uintptr_t end = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            uintptr_t to_end = from + info->dlpi_phdr[i].p_memsz;
            first = from < first ? from : first;
            end = to_end > end ? to_end : end;
        }
    }
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash == NULL ? info->dlpi_name : slash + 1;
    snprintf(to[count].name, NAME_CAP, "%s", count == 0 ? "program" : name);
    ranges[count] = (struct range){first, end};
    count++;
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("LOCK_COUNT");
    char path[4096];
    if (folder == NULL) {
        return;
    }
    snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t bytes = LINES * sizeof(struct line);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
        abort();
    }
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) {
        abort();
    }
    (void)dl_iterate_phdr(note_object, at);
    snprintf(((struct line *)at)[count].name, NAME_CAP, "others");
    lines = at;
}

static void count_call(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    size_t i = 0;
    if (lines == NULL) {
        return;
    }
    while (i < count && (at < ranges[i].first || at >= ranges[i].end)) {
        i++;
    }
    atomic_fetch_add_explicit(&lines[i].calls, 1, memory_order_relaxed);
}

/* A function of this name that counts and then calls the one that it hides. */
#define COUNTED(function, parameters, arguments)                                                   \
    int function parameters                                                                        \
    {                                                                                              \
        static int(*_Atomic real) parameters;                                                      \
        count_call(__builtin_return_address(0));                                                   \
        if (real == NULL) {                                                                        \
            real = (int(*) parameters)dlsym(RTLD_NEXT, #function);                                 \
        }                                                                                          \
        return real arguments;                                                                     \
    }

COUNTED(pthread_mutex_lock, (pthread_mutex_t * m), (m))
COUNTED(pthread_mutex_trylock, (pthread_mutex_t * m), (m))
COUNTED(pthread_mutex_timedlock, (pthread_mutex_t * m, const struct timespec *t), (m, t))
COUNTED(pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l))
COUNTED(pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l))
COUNTED(pthread_rwlock_tryrdlock, (pthread_rwlock_t * l), (l))
COUNTED(pthread_rwlock_trywrlock, (pthread_rwlock_t * l), (l))
COUNTED(pthread_spin_lock, (pthread_spinlock_t * l), (l))
COUNTED(pthread_spin_trylock, (pthread_spinlock_t * l), (l))
COUNTED(mtx_lock, (mtx_t * m), (m))
COUNTED(mtx_trylock, (mtx_t * m), (m))
COUNTED(sem_wait, (sem_t * s), (s))
COUNTED(sem_trywait, (sem_t * s), (s))
COUNTED(sem_timedwait, (sem_t * s, const struct timespec *t), (s, t))
COUNTED(sem_post, (sem_t * s), (s))

/* A lock made by hand sleeps in a futex. */
long syscall(long number, ...)
{
    static long (*_Atomic real)(long, ...);
    va_list rest;
    long a[6];
    va_start(rest, number);
    for (size_t i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    if (number == SYS_futex) {
        count_call(__builtin_return_address(0));
    }
    if (real == NULL) {
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
