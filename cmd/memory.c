/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - see memory.h. */
#include "cmd/memory.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct least {
    uint64_t bytes;
    char *where;
};

/* A file with one number, in bytes.  "max" is none, nor is a file that is not there. */
static void take(struct least *l, const char *path)
{
    struct slice text = SLICE_EMPTY;
    if (files_read(path, &text, NULL) != ERR_OK) {
        return;
    }
    char *end = NULL;
    errno = 0;
    uint64_t bytes = strtoull((const char *)text.data, &end, 10);
    if (errno == 0 && end != (const char *)text.data && bytes < l->bytes) {
        l->bytes = bytes;
        (void)snprintf(l->where, FILES_PATH_CAP, "%s", path);
    }
    files_release(&text);
}

/* The group and all above it: each may have a limit.  In a container the groups above cannot be
 * seen, and its own may stand at the top. */
static void take_group(struct least *l, const char *top, const char *group, const char *name)
{
    char path[FILES_PATH_CAP];
    char rest[FILES_PATH_CAP];
    if (snprintf(rest, sizeof(rest), "%s", group) >= (int)sizeof(rest)) {
        return;
    }
    for (;;) {
        if (snprintf(path, sizeof(path), "%s%s/%s", top, rest, name) < (int)sizeof(path)) {
            take(l, path);
        }
        char *slash = strrchr(rest, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

/* Lines of HIERARCHY:CONTROLLERS:GROUP, cgroups(7): of version 2 without controllers. */
static void take_groups(struct least *l, const char *root, char *lines)
{
    char top[FILES_PATH_CAP];
    for (char *line = strsep(&lines, "\n"); line != NULL; line = strsep(&lines, "\n")) {
        char *controllers = strchr(line, ':');
        char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        group = strcmp(group, "/") == 0 ? group + 1 : group;
        bool is_second = controllers[1] == '\0';
        if (!is_second && strcmp(controllers + 1, "memory") != 0) {
            continue;
        }
        (void)snprintf(top, sizeof(top), "%s/sys/fs/cgroup%s", root, is_second ? "" : "/memory");
        take_group(l, top, group, is_second ? "memory.max" : "memory.limit_in_bytes");
    }
}

static void take_machine(struct least *l, const char *root)
{
    char path[FILES_PATH_CAP];
    struct slice text = SLICE_EMPTY;
    (void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    if (files_read(path, &text, NULL) != ERR_OK) {
        return;
    }
    const char *total = strstr((const char *)text.data, "MemTotal:");
    uint64_t kib = total == NULL ? 0 : strtoull(total + strlen("MemTotal:"), NULL, 10);
    if (kib > 0 && kib < l->bytes / 1024) {
        l->bytes = kib * 1024;
        (void)snprintf(l->where, FILES_PATH_CAP, "%s", path);
    }
    files_release(&text);
}

uint64_t memory_allowed(const char *root, char *where)
{
    char path[FILES_PATH_CAP];
    struct slice groups = SLICE_EMPTY;
    struct least l = {.bytes = UINT64_MAX, .where = where};
    where[0] = '\0';
    take_machine(&l, root);
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    if (files_read(path, &groups, NULL) == ERR_OK) {
        take_groups(&l, root, (char *)(uintptr_t)groups.data);
        files_release(&groups);
    }
    return l.bytes;
}
