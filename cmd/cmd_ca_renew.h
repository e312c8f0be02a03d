/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ca_renew.h - chordial ca renew, on behalf of cmd_ca.c. */
#pragma once

int cmd_ca_renew(int argc, char **argv);
