/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the process may have, as the files of a made-up machine say it. */
#include "cmd/memory.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char root[64];
static char where[FILES_PATH_CAP];

static void setup(void)
{
    snprintf(root, sizeof(root), "/tmp/chordial-memory.XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void teardown(void)
{
    cr_assert_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(memory, .init = setup, .fini = teardown);

static void put(const char *folder, const char *name, const char *text)
{
    char path[FILES_PATH_CAP];
    snprintf(path, sizeof(path), "%s%s", root, folder);
    cr_assert_eq(files_folder(path), ERR_OK);
    snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
    cr_assert_eq(files_write(path, slice_text(text), 0600, true), ERR_OK);
}

static void holds(uint64_t bytes, const char *file)
{
    char path[FILES_PATH_CAP];
    snprintf(path, sizeof(path), "%s%s", root, file);
    cr_assert_eq(memory_allowed(root, where), bytes);
    cr_assert_str_eq(where, path);
}

Test(memory, nobody_says)
{
    cr_assert_eq(memory_allowed(root, where), UINT64_MAX);
    cr_assert_str_eq(where, "");
    put("/proc", "meminfo", "MemFree: 5 kB\n");
    put("/proc/self", "cgroup", "\n:\nnonsense\n0:x\n");
    cr_assert_eq(memory_allowed(root, where), UINT64_MAX);
}

Test(memory, the_machine)
{
    put("/proc", "meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
    put("/proc/self", "cgroup", "0::/\n");
    holds(2048 * 1024, "/proc/meminfo");
    put("/sys/fs/cgroup", "memory.max", "max\n");
    holds(2048 * 1024, "/proc/meminfo");
}

Test(memory, a_container)
{
    put("/proc", "meminfo", "MemTotal:       2048 kB\n");
    put("/proc/self", "cgroup", "0::/\n");
    put("/sys/fs/cgroup", "memory.max", "65536\n");
    holds(65536, "/sys/fs/cgroup/memory.max");
}

Test(memory, a_group_and_those_above)
{
    put("/proc", "meminfo", "MemTotal:       2048 kB\n");
    put("/proc/self", "cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c", "memory.max", "max\n");
    put("/sys/fs/cgroup/a", "memory.max", "40960\n");
    holds(40960, "/sys/fs/cgroup/a/memory.max");
    put("/sys/fs/cgroup/a/b", "memory.max", "8192\n");
    holds(8192, "/sys/fs/cgroup/a/b/memory.max");
}

Test(memory, version_1)
{
    put("/proc", "meminfo", "MemTotal:       2048 kB\n");
    put("/proc/self", "cgroup", "9:name=systemd:/\n4:memory:/x/y\n3:cpu,cpuacct:/z\n");
    put("/sys/fs/cgroup/memory/x", "memory.limit_in_bytes", "9223372036854771712\n");
    holds(2048 * 1024, "/proc/meminfo");
    put("/sys/fs/cgroup/memory/x/y", "memory.limit_in_bytes", "12288\n");
    holds(12288, "/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes");
}
