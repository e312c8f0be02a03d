/* SPDX-License-Identifier: Apache-2.0 */
/* sim_files.h - what a simulated run leaves behind: its frames as a capture file, its faults as a
 * list that can be given back (sim/fault_list.h). */
#pragma once
#include "cmd/say.h"
#include "sim/scenario.h"

struct sim_files_capture;

/* Frames as plain TCP segments and UDP datagrams of IPv4, one frame in each: tshark 4.0 finds no
 * second one in a segment.  Who was dialled has port 6084.  NULL: `why` (SAY_WHY_CAP bytes) tells
 * people. */
struct sim_files_capture *sim_files_open(const char *path, char *why);
/* A world_capture; `context` is the above. */
void sim_files_capture(void *context, const struct world_captured *what);
/* False: not all could be written. */
bool sim_files_close(struct sim_files_capture *c);

/* Reads a list into `l`, with memory of its own; path NULL: an empty one, to be written down. */
enum err sim_files_faults(const char *path, struct fault_list *l, char *why) MUST_USE;
/* Whether that can be done: asked before the run, which may take hours. */
enum err sim_files_try(const char *path, char *why) MUST_USE;
enum err sim_files_write_faults(const char *path, const struct fault_list *l, char *why) MUST_USE;
/* A file of Node-IDs, 32 hex digits a line; to be given to free. */
enum err sim_files_ids(const char *path, struct node_id **ids, uint32_t *count, char *why) MUST_USE;
/* A file of who comes and goes (sim/trace.h), with memory of its own: to be given to free as items.
 */
enum err sim_files_trace(const char *path, uint64_t peers, struct trace *t, char *why) MUST_USE;
void sim_files_release_faults(struct fault_list *l);
