/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - the control thread: signals, the admin socket, mail to and from the shards, and the
 * end.
 *
 * SIGTERM and SIGINT (or `ctl drain`): all shards refuse new calls at once; then their peers leave
 * the overlay one after another, each told to its siblings, within drain-timeout.  A second one
 * ends the process where it stands.  SIGHUP (or `ctl reload`) reads the overlay document anew.
 *
 * Owner: the calling thread, which must have blocked those signals before any thread was started.
 */
#pragma once
#include "cmd/daemon.h"

/* Blocks the signals that control_run takes; before daemon_start. */
void control_block_signals(void);
/* Runs until the node has ended; the exit status. */
int control_run(struct daemon *d);
