/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - whole files and folders, at start and in the commands; never on a shard. */
#pragma once
#include "cmd/say.h"
#include <sys/types.h>

enum { FILES_PATH_CAP = 512, FILES_BYTES_CAP = 1024 * 1024, FILES_COUNT_CAP = 100000 };

/* The bytes of a file with a NUL behind them, to be given to files_release; *mode (may be NULL)
 * gets its permission bits.  ERR_NOT_FOUND, ERR_TOO_LARGE (more than FILES_BYTES_CAP), ERR_IO;
 * errno tells more of the last. */
enum err files_read(const char *path, struct slice *out, mode_t *mode) MUST_USE;
/* Wipes and frees what files_read (or malloc) gave. */
void files_release(struct slice *bytes);
/* Writes a file and only then gives it its name, so that nobody sees half of it.  Without
 * `may_replace` ERR_EXISTS when there is one. */
enum err files_write(const char *path, struct slice bytes, mode_t mode, bool may_replace) MUST_USE;
/* Creates a folder and those above it (0700 where they are new); ERR_OK when it is there already.
 */
enum err files_folder(const char *path) MUST_USE;

/* The folder for one process at a time, by a file `lock` in it that stays: *fd is to be closed, and
 * a process that ends lets go too.  Where another has it: waits, or ERR_EXISTS.  ERR_TOO_LARGE;
 * ERR_NOT_FOUND or ERR_IO, of which errno tells more. */
enum err files_lock(const char *folder, bool may_wait, int *fd) MUST_USE;

struct files_list {
    char **paths; /* "folder/name", in natural order of the names: x.2.pem before x.10.pem */
    size_t count;
};

/* The regular files of a folder whose name ends in `suffix` and does not begin with a dot. */
enum err files_list(const char *folder, const char *suffix, struct files_list *out) MUST_USE;
void files_list_free(struct files_list *list);
/* "folder/name" into `out` (FILES_PATH_CAP bytes); ERR_TOO_LARGE.  An absolute name stays. */
enum err files_join(const char *folder, const char *name, char *out) MUST_USE;
