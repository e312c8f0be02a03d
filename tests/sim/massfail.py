#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`chordial sim massfail10`: 200 peers from nothing, 2,000 records, a tenth killed at once; every
record with a surviving copy readable and at least three copies again; the same seed twice is the
same run (Must hold 6)."""
import json
import os
import subprocess
import sys

CHORDIAL = os.environ.get('CHORDIAL', './build/release/chordial')
FULL = '--full' in sys.argv
passed = failed = 0


def check(condition, text):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print('FAIL', text, flush=True)


def simulate(seed, *words):
    done = subprocess.run([CHORDIAL, 'sim', 'massfail10', '--seed', str(seed), '--json', *words],
                          capture_output=True, text=True, timeout=300)
    if done.returncode != 0 and not done.stdout:
        print(done.stderr[-2000:])
        return None
    return json.loads(done.stdout)


def judge(run, seed):
    if run is None:
        check(False, f'seed {seed}: no result')
        return
    keys = ('nodes', 'events', 'stores', 'lookups', 'replicas', 'invariants', 'wall_s',
            'simulated_s', 'repair_s', 'join_s', 'killed')
    short = {k: run.get(k) for k in keys}
    print(f'seed {seed}:', json.dumps(short), flush=True)
    check(run['nodes'] == 200, 'nodes')
    check(run['stores']['acked'] == 2000, f'seed {seed}: stores acked')
    check(run['lookups']['failed'] <= run['stores']['lost'], f'seed {seed}: unreadable records')
    check(run['lookups']['wrong'] == 0, f'seed {seed}: wrong values')
    check(run['replicas']['min'] >= 3, f'seed {seed}: copies')
    check(run['invariants']['broken'] == 0, f'seed {seed}: invariants')


first = simulate(1)
judge(first, 1)
second = simulate(1)
check(first is not None and second is not None and first['fingerprint'] == second['fingerprint'],
      'the same seed gave another run')
for extra in range(2, 12) if FULL else ():
    judge(simulate(extra), extra)
print(f'{passed} passed, {failed} failed')
sys.exit(1 if failed else 0)
