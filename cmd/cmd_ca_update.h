/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ca_update.h - chordial ca update, on behalf of cmd_ca.c. */
#pragma once

int cmd_ca_update(int argc, char **argv);
