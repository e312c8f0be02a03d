/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_body_diagnostics.c - Diagnostic_Ping, PathTrack and all kinds of diagnostics (RFC 7851).
 *
 * Input: which of them; Node-ID length and, in the top bit, whether a list of it; the bytes.  What
 * decodes is written again and must be the same bytes (fuzz/bodies.h). */
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

/* Corpora know a structure by its place: add at the end. */
static const struct bodies_pair family[] = {
    BODY(diagnostics_request), BODY(diagnostics_response), BODY(path_track_req),
    BODY(path_track_ans),      BODY(diagnostic_extension), BODY(diagnostic_info),
    BODY(status_info),         BODY(routing_table_size),   BODY(process_power),
    BODY(upstream_bandwidth),  BODY(downstream_bandwidth), BODY(software_version),
    BODY(machine_uptime),      BODY(app_uptime),           BODY(memory_footprint),
    BODY(datasize_stored),     BODY(instances_entry),      BODY(instances_stored),
    BODY(message_count),       BODY(messages_sent_rcvd),   BODY(ewma_bytes_sent),
    BODY(ewma_bytes_rcvd),     BODY(underlay_hop),         BODY(battery_status),
};

BODIES_TARGET(family)

FUZZ_COUNTED
