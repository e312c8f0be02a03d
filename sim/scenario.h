/* SPDX-License-Identifier: Apache-2.0 */
/* scenario.h - what is done to a world, as a small text of key = value lines, and what came of it.
 *
 *   nodes = 200              # peers that join, one after another
 *   join_interval_ms = 100
 *   records = 2000           # SIP-REGISTRATIONs stored, then fetched back
 *   kill_percent = 10        # of the peers, all at once (kill -9); kill_silent = 1: power failure
 *   repair_s = 60            # virtual time given to the survivors before copies are counted
 *
 * Unknown keys are errors; a point in a key is as good as '_' (churn.lifetime_s).  The command line
 * overrides single keys. */
#pragma once
#include "core/buggify.h"
#include "sim/adversary.h"
#include "sim/checker.h"
#include "sim/fault.h"
#include "sim/measure.h"
#include "sim/phones.h"
#include "sim/trace.h"
#include "sim/traffic.h"
#include "sim/vigil.h"

struct scenario {
#define SCENARIO(name, value, help) uint64_t name;
#include "sim/scenario.def"
#undef SCENARIO
    /* No keys: NULL, or what the caller lends. */
    const struct node_id *ids; /* of the first nodes; the others draw theirs */
    uint32_t id_count;
    struct fault_list *faults; /* sim/fault_list.h */
    const struct trace *trace; /* sim/trace.h */
    world_capture *capture;    /* is given all frames between nodes */
    void *capture_context;
};

void scenario_defaults(struct scenario *s);
/* One "key = value".  ERR_NOT_FOUND for an unknown key, ERR_MALFORMED for a bad number. */
enum err scenario_set(struct scenario *s, struct slice key, struct slice value) MUST_USE;
/* A whole file; '#' begins a comment.  *line is the number of the line at fault. */
enum err scenario_parse(struct scenario *s, struct slice text, uint32_t *line) MUST_USE;

/* Is every key within its bounds?  ERR_MALFORMED: *key is not, and must be from *least to *most. */
enum err scenario_check(const struct scenario *s, const char **key, uint64_t *least,
                        uint64_t *most) MUST_USE;

/* What must hold, whatever happens; operations.md calls them the invariants. */
enum scenario_invariant {
#define INVARIANT(name, text) SCENARIO_##name,
#include "sim/invariant.def"
#undef INVARIANT
    SCENARIO_INVARIANTS
};

/* What came of faults that went on for a while (run_s and the like). */
struct scenario_survival {
    struct traffic_counts traffic;
    struct workload_result verified; /* all records, once, when all was quiet again */
    struct churn_counts churn;
    struct fault_counts faults;
    struct trace_counts trace;
    struct buggify buggify;
    uint32_t disks_lost;  /* with their machines */
    uint64_t blackout_us; /* after the power was back, until the ring was right; 0 = never */
    uint64_t faults_total;
    uint32_t hostile;           /* peers, */
    uint64_t deeds;             /* and what they did */
    uint64_t quiet_us;          /* after the faults, until the ring was right; 0 = never */
    uint32_t lost;              /* records without any copy */
    uint32_t lost_unexcused;    /* ... of which never more than two copies failed within a window */
    uint32_t stale_unexcused;   /* newest value gone though no holder died since */
    uint64_t expected_lost_ppm; /* of the records, by the model of sim/shortage */
    uint64_t shortages;         /* times that a record had fewer than three copies, and how long */
    uint64_t shortage_mean_us, shortage_p95_us, shortage_longest_us;
    uint64_t node_us;       /* lived by all nodes together */
    struct account carried; /* over links until the faults were over, with the load */
    uint64_t carried_node_us;
};

/* Addresses that changed, and peers behind NATs. */
struct scenario_roam {
    uint32_t moves;
    uint32_t behind, behind_joined;
    uint64_t streams_refused, datagrams_refused; /* by NATs */
};

enum { SCENARIO_TABLES_CAP = 64 };

struct scenario_result {
    uint64_t simulated_us;
    uint64_t events;
    uint64_t fingerprint;
    uint64_t join_us;          /* until the ring of all peers was right; 0 = never */
    uint64_t repair_us;        /* after the kill, until the ring was right again; 0 = never */
    uint64_t copies_repair_us; /* ... until each record had its copies again; 0 = never */
    uint32_t killed;
    uint32_t lost;              /* acknowledged, but no copy is left anywhere */
    uint64_t expected_lost_ppm; /* of the records, by a model of three copies on three peers */
    struct checker_ring ring;
    struct checker_copies copies_before;
    struct checker_copies copies_after;
    struct workload_result stores;
    struct workload_result fetches;
    uint64_t stream_bytes;
    struct ready_counts ready;
    struct spread join_each_us; /* of each peer */
    struct measure_result measured[MEASURE_KINDS];
    uint64_t upkeep_us;    /* how long upkeep was counted */
    struct account upkeep; /* what it sent meanwhile, all peers together */
    uint64_t measured_us;
    uint64_t measured_events, measured_turns;
    uint64_t measured_messages;      /* that left over links meanwhile, at each hop */
    struct metrics measured_metrics; /* ... and all else that was counted */
    /* Peers through which each of the first nodes could route when that began: who compares us with
     * a ring of real processes must know that both have the same links. */
    uint32_t tables[SCENARIO_TABLES_CAP];
    uint32_t table_count;
    uint64_t measured_cpu_us; /* processor time: how fast we are; nothing depends on it */
    uint64_t setup_cpu_us;
    struct account carried; /* from the beginning to the end */
    uint64_t datagrams, datagrams_lost;
    uint32_t checked, broken; /* invariants */
    uint32_t broken_by[SCENARIO_INVARIANTS];
    struct scenario_survival survival;
    struct phones_counts phones;
    uint64_t looked; /* events after which sim/vigil looked, and what it saw first */
    struct vigil_first first[VIGIL_RULES];
    struct scenario_roam roam;
    uint32_t buffers_left; /* after all nodes were gone: must be 0 */
    struct metrics metrics;
};

const char *scenario_invariant_name(enum scenario_invariant which);
/* What holds where it holds. */
const char *scenario_invariant_text(enum scenario_invariant which);

/* The settings of the world that `s` asks for. */
void scenario_world(const struct scenario *s, uint64_t seed, struct world_settings *out);
size_t scenario_bytes(const struct scenario *s);
/* Runs it from nothing to the end.  `clock_us` is asked for the report alone. */
void scenario_run(const struct scenario *s, struct arena *arena, uint64_t seed,
                  uint64_t (*clock_us)(void), struct scenario_result *out);
