/* SPDX-License-Identifier: Apache-2.0 */
/* cmd.h - the commands of the program; each gets its own name as argv[0] and returns the exit
 * status: 0 done, 1 the thing failed, 2 bad usage or configuration. */
#pragma once

#define CMD_VERSION "0.1"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

#define COMMAND(name, help) int cmd_##name(int argc, char **argv);
#include "cmd/cmd.def"
#undef COMMAND
