/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err error_of_errno(void)
{
    return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND
           : errno == EEXIST                   ? ERR_EXISTS
                                               : ERR_IO;
}

static enum err read_all(int fd, struct slice *out)
{
    uint8_t *bytes = malloc(FILES_BYTES_CAP + 1);
    size_t len = 0;
    ssize_t got = 1;
    while (bytes != NULL && got > 0 && len <= FILES_BYTES_CAP) {
        got = read(fd, bytes + len, FILES_BYTES_CAP + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (bytes == NULL || got < 0 || len > FILES_BYTES_CAP) {
        free(bytes);
        return got < 0 ? ERR_IO : len > FILES_BYTES_CAP ? ERR_TOO_LARGE : ERR_NO_MEMORY;
    }
    bytes[len] = '\0';
    uint8_t *fitting = realloc(bytes, len + 1);
    *out = slice_of(fitting == NULL ? bytes : fitting, len);
    return ERR_OK;
}

enum err files_read(const char *path, struct slice *out, mode_t *mode)
{
    struct stat status;
    *out = SLICE_EMPTY;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_of_errno();
    }
    enum err e = fstat(fd, &status) == 0 ? ERR_OK : ERR_IO;
    if (e == ERR_OK && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        e = ERR_IO;
    }
    if (e == ERR_OK && mode != NULL) {
        *mode = status.st_mode & 07777;
    }
    if (e == ERR_OK) {
        e = read_all(fd, out);
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return e;
}

void files_release(struct slice *bytes)
{
    uint8_t *block = NULL;
    memcpy(&block, &bytes->data, sizeof(block)); /* const only for those who borrow */
    if (block != NULL) {
        explicit_bzero(block, bytes->len);
    }
    free(block);
    *bytes = SLICE_EMPTY;
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        bytes = slice_from(bytes, put > 0 ? (size_t)put : 0);
    }
    return fsync(fd) == 0;
}

enum err files_write(const char *path, struct slice bytes, mode_t mode, bool may_replace)
{
    char scratch[FILES_PATH_CAP + 32];
    int used = snprintf(scratch, sizeof(scratch), "%s.%ld.new", path, (long)getpid());
    if (used < 0 || (size_t)used >= sizeof(scratch)) {
        errno = ENAMETOOLONG;
        return ERR_IO;
    }
    int fd = open(scratch, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return error_of_errno();
    }
    bool written = fchmod(fd, mode) == 0 && write_all(fd, bytes);
    close(fd);
    /* link(2) refuses to replace, rename(2) does not. */
    bool named = written && (may_replace ? rename(scratch, path) : link(scratch, path)) == 0;
    enum err e = named ? ERR_OK : error_of_errno();
    int saved = errno;
    if (!named || !may_replace) {
        unlink(scratch);
    }
    errno = saved;
    return e;
}

static enum err make_folder(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) == 0) {
        return ERR_OK;
    }
    if (errno != EEXIST) {
        return error_of_errno();
    }
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return ERR_OK;
    }
    errno = ENOTDIR;
    return ERR_IO;
}

enum err files_folder(const char *path)
{
    char part[FILES_PATH_CAP];
    enum err e = files_join("", path, part);
    if (e != ERR_OK || path[0] == '\0') {
        errno = e != ERR_OK ? ENAMETOOLONG : ENOENT;
        return ERR_IO;
    }
    for (char *at = strchr(part + 1, '/'); e == ERR_OK && at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        e = make_folder(part);
        *at = '/';
    }
    return e == ERR_OK ? make_folder(part) : e;
}

static bool is_wanted(const char *folder, const char *name, const char *suffix)
{
    char path[FILES_PATH_CAP];
    struct stat status;
    size_t len = strlen(name);
    size_t tail = strlen(suffix);
    return name[0] != '.' && len > tail && strcmp(name + len - tail, suffix) == 0 &&
           files_join(folder, name, path) == ERR_OK && stat(path, &status) == 0 &&
           S_ISREG(status.st_mode);
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static bool add_path(struct files_list *list, const char *folder, const char *name)
{
    char path[FILES_PATH_CAP];
    if (list->count == FILES_COUNT_CAP || files_join(folder, name, path) != ERR_OK) {
        return false;
    }
    if ((list->count & (list->count + 1)) == 0) { /* full at 1, 3, 7, 15 ... */
        char **grown = realloc(list->paths, (2 * list->count + 2) * sizeof(char *));
        if (grown == NULL) {
            return false;
        }
        list->paths = grown;
    }
    list->paths[list->count] = strdup(path);
    return list->paths[list->count] != NULL && ++list->count > 0;
}

enum err files_list(const char *folder, const char *suffix, struct files_list *out)
{
    *out = (struct files_list){0};
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return error_of_errno();
    }
    bool good = true;
    struct dirent *e = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a DIR of our own */
    while (good && (e = readdir(dir)) != NULL) {
        good = !is_wanted(folder, e->d_name, suffix) || add_path(out, folder, e->d_name);
    }
    closedir(dir);
    if (!good) {
        files_list_free(out);
        return ERR_TOO_LARGE;
    }
    if (out->count > 1) {
        qsort(out->paths, out->count, sizeof(char *), by_name);
    }
    return ERR_OK;
}

void files_list_free(struct files_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    *list = (struct files_list){0};
}

enum err files_join(const char *folder, const char *name, char *out)
{
    bool is_alone = name[0] == '/' || folder[0] == '\0';
    int used = is_alone ? snprintf(out, FILES_PATH_CAP, "%s", name)
                        : snprintf(out, FILES_PATH_CAP, "%s/%s", folder, name);
    return used >= 0 && used < FILES_PATH_CAP ? ERR_OK : ERR_TOO_LARGE;
}

enum err files_lock(const char *folder, bool may_wait, int *fd)
{
    char path[FILES_PATH_CAP];
    *fd = -1;
    if (files_join(folder, "lock", path) != ERR_OK) {
        return ERR_TOO_LARGE;
    }
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0) {
        return error_of_errno();
    }
    while (flock(opened, may_wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno != EINTR) {
            enum err e = errno == EWOULDBLOCK ? ERR_EXISTS : ERR_IO;
            close(opened);
            return e;
        }
    }
    *fd = opened;
    return ERR_OK;
}
