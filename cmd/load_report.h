/* SPDX-License-Identifier: Apache-2.0 */
/* load_report.h - what a run of the load generator has found, for people or as one JSON object. */
#pragma once
#include "cmd/load.h"

struct load_report {
    const char *kind;   /* as asked for: "mixed" too */
    const char *target; /* "127.0.0.1:5060" */
    const char *transport;
    const char *source; /* where from: "127.1.0.0/16", "trunks" */
};

/* Keys: see `chordial load --help` and README.md. */
void load_report_json(const struct load *l, const struct load_report *r);
void load_report_table(const struct load *l, const struct load_report *r);
