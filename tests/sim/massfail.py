#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chordial sim massfail10`: 200 peers from nothing, 2,000 records, a tenth killed at once; every
record with a surviving copy readable and at least three copies again; the same seed twice is the
same run (README, What stands today)."""
import json

from simulated import FULL, check, finish, run_of


def judge(run, seed):
    if run is None:
        return
    keys = ('nodes', 'events', 'stores', 'lookups', 'replicas', 'invariants', 'wall_s',
            'simulated_s', 'repair_s', 'replicas_repair_s', 'join_s', 'killed')
    short = {k: run.get(k) for k in keys}
    print(f'seed {seed}:', json.dumps(short), flush=True)
    check(run['nodes'] == 200, 'nodes')
    check(run['stores']['acked'] == 2000, f'seed {seed}: stores acked')
    check(run['lookups']['failed'] <= run['stores']['lost'], f'seed {seed}: unreadable records')
    check(run['lookups']['wrong'] == 0, f'seed {seed}: wrong values')
    check(run['replicas']['min'] >= 3, f'seed {seed}: copies')
    repaired_s = run['replicas_repair_s']
    check(repaired_s is not None and repaired_s <= 90, f'seed {seed}: copies after {repaired_s} s')
    check(run['invariants']['broken'] == 0, f'seed {seed}: invariants')


first = run_of('massfail10', 1)
judge(first, 1)
second = run_of('massfail10', 1)
check(first is not None and second is not None and first['fingerprint'] == second['fingerprint'],
      'the same seed gave another run')
for extra in range(2, 12) if FULL else ():
    judge(run_of('massfail10', extra), extra)
if FULL:
    # All eight neighbors of two peers die; each then dials, and is dialled by, so many that it is
    # full when the one that matters comes.  8 s of it are keep-alives; it was 19.75.
    run = run_of('massfail30', 11)
    check(run is not None and run['repair_s'] is not None and run['repair_s'] <= 12,
          f'massfail30, seed 11: ring right after {run and run["repair_s"]} s')
finish()
