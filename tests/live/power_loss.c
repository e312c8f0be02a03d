/* SPDX-License-Identifier: Apache-2.0 */
/* power_loss.c - preloaded into a node: writes down what it writes to the files of one folder, and
 * what it has synced, so that tools/crash_check.py can make up what a disk would hold if the power
 * failed at the moment when the node was killed.
 *
 * POWER_LOSS_DIR names the folder, POWER_LOSS_LOG the log.  Files behave as ever, but a sync
 * reaches no disk: it takes a while, and then is a line in the log.  With POWER_LOSS_LIE set not
 * even that: a disk that lies.
 *
 * The log: type, inode, offset, length, then so many bytes (struct line); one write each, so a kill
 * leaves whole lines. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 4096, PARTS = 64, DISK_US = 2000 /* what a sync takes */ };

struct line {
    uint64_t inode;
    uint64_t offset;
    uint32_t length;
    char type; /* Created, Written, written Durably, Synced, Truncated, Folder synced, Renamed,
                  Unlinked */
    char zero[3];
};

static struct {
    uint64_t inode; /* 0: none of ours */
    bool is_dsync;
    bool is_folder;
} fds[FDS];
static const char *dir;
static size_t dir_len;
static int log_fd = -1;
static bool lies;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("POWER_LOSS_LOG");
    dir = getenv("POWER_LOSS_DIR");
    lies = getenv("POWER_LOSS_LIE") != NULL;
    dir_len = dir == NULL ? 0 : strlen(dir);
    if (path != NULL && dir != NULL) {
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                              0600);
    }
}

static void note(char type, uint64_t inode, uint64_t offset, const struct iovec *parts, int count)
{
    struct line head = {.inode = inode, .offset = offset, .type = type};
    struct iovec all[PARTS + 1] = {{&head, sizeof(head)}};
    if (log_fd < 0) {
        return;
    }
    if (count > PARTS) {
        abort();
    }
    for (int i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        head.length += (uint32_t)parts[i].iov_len;
    }
    if (syscall(SYS_writev, log_fd, all, count + 1) != (long)(sizeof(head) + head.length)) {
        abort(); /* nothing it says from here on would be true */
    }
}

static void note_text(char type, uint64_t inode, const char *text, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)text, len};
    note(type, inode, 0, &part, 1);
}

static bool is_ours(const char *path)
{
    return dir != NULL && strncmp(path, dir, dir_len) == 0 &&
           (path[dir_len] == '/' || path[dir_len] == '\0');
}

static bool is_known(int fd)
{
    return fd >= 0 && fd < FDS && fds[fd].inode != 0;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    struct stat st;
    bool is_new = is_ours(path) && (flags & O_CREAT) != 0 && stat(path, &st) != 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS && is_ours(path) && fstat(fd, &st) == 0) {
        fds[fd].inode = st.st_ino;
        fds[fd].is_dsync = (flags & O_DSYNC) != 0;
        fds[fd].is_folder = S_ISDIR(st.st_mode);
        if (is_new) {
            note_text('C', st.st_ino, path + dir_len + 1, strlen(path + dir_len + 1));
        }
    } else if (fd >= 0 && fd < FDS) {
        fds[fd].inode = 0;
    }
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int fd)
{
    if (is_known(fd)) {
        fds[fd].inode = 0;
    }
    return (int)syscall(SYS_close, fd);
}

static void note_write(int fd, uint64_t offset, const struct iovec *parts, int count)
{
    if (is_known(fd)) {
        note('W', fds[fd].inode, offset, parts, count);
    }
    if (is_known(fd) && fds[fd].is_dsync && !lies) {
        usleep(DISK_US); /* until then it may be torn */
        note('D', fds[fd].inode, offset, parts, count);
    }
}

static uint64_t position(int fd)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    note_write(fd, (uint64_t)offset, &part, 1);
    return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
    __attribute__((alias("pwrite")));

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    note_write(fd, (uint64_t)offset, parts, count);
    return syscall(SYS_pwritev, fd, parts, count, (unsigned long)offset, 0UL);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
    __attribute__((alias("pwritev")));

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (is_known(fd)) {
        struct iovec part = {(void *)(uintptr_t)bytes, len};
        note_write(fd, position(fd), &part, 1);
    }
    return syscall(SYS_write, fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_known(fd)) {
        note_write(fd, position(fd), parts, count);
    }
    return syscall(SYS_writev, fd, parts, count);
}

int ftruncate(int fd, off_t length)
{
    if (is_known(fd)) {
        note('T', fds[fd].inode, (uint64_t)length, NULL, 0);
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off_t length) __attribute__((alias("ftruncate")));

static int sync_any(int fd, long number)
{
    if (!is_known(fd)) {
        return (int)syscall(number, fd);
    }
    usleep(DISK_US);
    if (!lies) {
        note(fds[fd].is_folder ? 'F' : 'S', fds[fd].inode, 0, NULL, 0);
    }
    return 0;
}

int fsync(int fd)
{
    return sync_any(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_any(fd, SYS_fdatasync);
}

/* LMDB writes through its map only when it is asked to (MDB_WRITEMAP); what else it maps for
 * writing, its lock file, does not matter after a power failure. */
int msync(void *at, size_t len, int flags)
{
    (void)at, (void)len, (void)flags;
    abort();
}

int rename(const char *from, const char *to)
{
    if (is_ours(from) && is_ours(to)) {
        char both[2 * PATH_MAX];
        int len =
            snprintf(both, sizeof(both), "%s%c%s", from + dir_len + 1, '\n', to + dir_len + 1);
        note_text('R', 0, both, (size_t)len);
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    if (is_ours(path)) {
        note_text('U', 0, path + dir_len + 1, strlen(path + dir_len + 1));
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
