/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - how much memory this process may have before the kernel ends it without a word: that
 * of the machine, or of its control group, whichever is less. */
#pragma once
#include "cmd/files.h"

/* Bytes, and in `where` (FILES_PATH_CAP) the file that says so.  UINT64_MAX when none does.  `root`
 * stands in front of /proc and /sys: "" but in tests. */
uint64_t memory_allowed(const char *root, char *where);
